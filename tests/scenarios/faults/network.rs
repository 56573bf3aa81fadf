//! The network between the functions and each service: slow, silent, and half-open.
//!
//! Silent: connections stand and nothing comes through. Half-open: requests arrive and are carried out, and no answer
//! comes back. All functions meet the fault at the same time, in short invocations; one that waits too long is killed, as
//! Lambda does.

use super::{FROM, NOON, TO, assert_archived_in_peace, assert_recovered, indexed};
use crate::stage::{
    Document, FunctionError, OPERATOR_TIMEOUT, Proxy, Stage, failed_items, request, sqs_event,
};
use serde_json::{Value, json};
use std::time::Duration;

const LATENCY: Duration = Duration::from_millis(15);
/// Of an invocation that meets the fault.
const SHORT: Duration = Duration::from_secs(6);
/// Of an invocation that meets a ledger that never answers.
const TICK_MAX: Duration = Duration::from_secs(60);
const OVERVIEW_MAX: Duration = Duration::from_secs(5);
/// A heartbeat gives up after two thirds of it, within a short invocation.
const LEASE: (&str, &str) = ("GRANARY_LEASE_SECONDS", "6");

/// Where a service's address is set, and where it is to be had.
struct Wire {
    variable: &'static str,
    service: &'static str,
}

const ELASTICSEARCH: Wire = Wire {
    variable: "GRANARY_ES_URL",
    service: "GRANARY_ES_URL",
};
const MARIADB: Wire = Wire {
    variable: "GRANARY_LEDGER_URL",
    service: "GRANARY_LEDGER_URL",
};
const S3: Wire = Wire {
    variable: "AWS_ENDPOINT_URL_S3",
    service: "AWS_ENDPOINT_URL",
};
const SQS: Wire = Wire {
    variable: "AWS_ENDPOINT_URL_SQS",
    service: "AWS_ENDPOINT_URL",
};
const SNS: Wire = Wire {
    variable: "AWS_ENDPOINT_URL_SNS",
    service: "AWS_ENDPOINT_URL",
};

async fn lay(stage: &mut Stage, wires: &[Wire]) -> Vec<Proxy> {
    let mut networks = Vec::new();
    for wire in wires {
        let network = Proxy::before(stage.setting(wire.service)).await;
        stage.tell(&[(wire.variable, &network.url())]);
        networks.push(network);
    }
    networks
}

/// H7, E12, D1: every service, slow in every piece.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d1_networks_that_are_slow_everywhere_cost_time_and_nothing_else() {
    let mut stage = Stage::new("slow").await;
    let messages = indexed(&stage).await;
    let networks = lay(&mut stage, &[ELASTICSEARCH, MARIADB, S3, SQS, SNS]).await;
    networks.iter().for_each(|network| network.slow(LATENCY));
    stage.backfill(FROM, TO).await;
    let exports = stage.run_until_quiet().await;
    assert_eq!(exports.errors, []);
    assert_recovered(&stage, &messages).await;
    stage.finish().await;
}

/// One service is silent, then half-open, while all functions need it. Afterwards they recover by themselves.
async fn outlast(name: &str, wire: Wire) -> (Stage, Proxy, Vec<Document>) {
    let mut stage = Stage::with(name, &[LEASE]).await;
    let messages = indexed(&stage).await;
    let network = lay(&mut stage, &[wire]).await.remove(0);
    stage.backfill(FROM, NOON).await;
    stage.harvest().await;
    stage.export_one().await;
    stage.reap().await;
    stage.backfill(NOON, TO).await;
    for (round, half_open) in [(1, false), (2, true)] {
        stage
            .ledger
            .raise_alert(
                "archive_conflict",
                &format!("{round}.1"),
                &format!("cause {round}"),
                "an object",
            )
            .await
            .unwrap();
        stage
            .sql("UPDATE batch SET enqueued_at = NULL WHERE status = 'pending'")
            .await;
        let received = stage.queues.receive().await;
        if half_open {
            network.stall_answers_after(0);
        } else {
            network.stall();
        }
        let export = async {
            if let Some((queue, message)) = &received {
                stage
                    .exporter(0)
                    .invoke(sqs_event(&[(queue, message)]), SHORT)
                    .await
                    .ok();
            }
        };
        // How each of them ends is its own affair.
        let (_, _, ()) = tokio::join!(
            stage.harvester.invoke(json!({}), SHORT),
            stage.reaper.invoke(json!({}), SHORT),
            export
        );
        network.restore();
        if let Some((queue, message)) = &received {
            stage.queues.make_visible(queue, message).await;
        }
        stage.let_leases_end().await;
        stage.let_delays_end().await;
    }
    (stage, network, messages)
}

/// Every alert was told; nothing failed that the batch would be to blame for.
async fn assert_outlasted(stage: Stage, messages: &[Document]) {
    stage.run_until_quiet().await;
    let blamed: Vec<(String, String)> = stage
        .rows("SELECT outcome, COALESCE(error_code, '') FROM attempt WHERE outcome = 'failed'")
        .await;
    assert_eq!(blamed, []);
    let told = stage.queues.told().await.concat();
    let numbers: Vec<u64> = stage.rows("SELECT id FROM alert").await;
    let untold = numbers
        .iter()
        .find(|number| !told.contains(&format!("[{number}]")) && !told.contains(&format!("Alert {number} ")));
    assert!(
        numbers.len() >= 2 && untold.is_none(),
        "{untold:?} of {numbers:?} in {told}"
    );
    assert_archived_in_peace(&stage, messages).await;
    stage.finish().await;
}

async fn assert_no_attempt_was_burnt(stage: &Stage) {
    let burnt: u64 = stage
        .row("SELECT COUNT(*) FROM attempt WHERE outcome NOT IN ('completed', 'deferred', 'handed_back')")
        .await;
    assert_eq!(burnt, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h7_an_elasticsearch_that_is_silent_or_half_open_costs_no_attempt() {
    let (stage, _network, messages) = outlast("net-es", ELASTICSEARCH).await;
    assert_no_attempt_was_burnt(&stage).await;
    assert_outlasted(stage, &messages).await;
}

/// Whoever asks for a long job while Elasticsearch is silent isn't kept until API Gateway hangs up: the job is on record,
/// and goes on once it can.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h7_who_asks_while_elasticsearch_is_silent_hears_of_the_operation_in_time() {
    let mut stage = Stage::new("net-ask").await;
    let messages = indexed(&stage).await;
    let network = lay(&mut stage, &[ELASTICSEARCH]).await.remove(0);
    stage.backfill(FROM, TO).await;
    stage.run_until_quiet().await;
    network.stall();
    let wish = json!({ "from": FROM, "to": TO, "reason": "the network is ill" }).to_string();
    let answer = stage
        .operator
        .invoke(request("POST", "/verify", &wish), OPERATOR_TIMEOUT)
        .await
        .expect("it answers before API Gateway hangs up");
    network.restore();
    assert_eq!(answer["statusCode"], 202, "{answer}");
    let body: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
    let status = body["statusUrl"].as_str().unwrap();
    let waiting = stage.look_at(status).await["operation"].clone();
    assert_eq!(waiting["state"], "waiting", "{waiting}");
    assert!(waiting["error"].is_string(), "it says why: {waiting}");
    let entries = stage.look_at("/audit?action=verify.start").await;
    assert_eq!(entries["entries"][0]["reason"], "the network is ill");
    stage.reap().await;
    let operation = stage.look_at(status).await["operation"].clone();
    assert_eq!(operation["result"]["verdict"], "COMPLETE", "{operation}");
    assert_archived_in_peace(&stage, &messages).await;
    stage.finish().await;
}

/// E12, E13: half-open, the object is written and nobody learns of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e12_an_s3_that_is_silent_or_half_open_costs_no_attempt() {
    let (stage, _network, messages) = outlast("net-s3", S3).await;
    assert_no_attempt_was_burnt(&stage).await;
    assert_outlasted(stage, &messages).await;
}

/// D1, E11: workers lose their leases, and what they wrote without learning of it is found.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d1_a_ledger_that_is_silent_or_half_open_loses_and_doubles_nothing() {
    let (stage, _network, messages) = outlast("net-ledger", MARIADB).await;
    assert_outlasted(stage, &messages).await;
}

/// D1: a tick of a warm or a cold function against a server that accepts connections and never answers, and what a person
/// learns who asks how everything stands.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d1_against_a_ledger_that_never_answers_a_tick_ends_within_a_minute_and_overview_within_5_s() {
    let mut stage = Stage::new("net-never").await;
    let messages = indexed(&stage).await;
    let network = lay(&mut stage, &[MARIADB]).await.remove(0);
    stage.backfill(FROM, TO).await;
    stage.harvest().await;
    assert_eq!(stage.export_one().await.acknowledged, 1);
    stage.reap().await;
    let overview = || request("GET", "/overview", "");
    let answer = stage.ask(overview()).await;
    assert_eq!(answer["statusCode"], 200, "{answer}");

    let (queue, message) = stage.queues.receive().await.expect("batches were sent");
    let event = sqs_event(&[(queue, &message)]);
    let cold = ["harvester", "reaper"].map(|name| stage.another(name, &[]));
    network.stall();
    let (harvested, reaped, exported, overview, no_harvester, no_reaper) = tokio::join!(
        stage.harvester.invoke(json!({}), TICK_MAX),
        stage.reaper.invoke(json!({}), TICK_MAX),
        stage.exporter(0).invoke(event, TICK_MAX),
        stage.operator.invoke(overview(), OVERVIEW_MAX),
        cold[0].invoke(json!({}), TICK_MAX),
        cold[1].invoke(json!({}), TICK_MAX),
    );
    network.restore();
    for tick in [harvested, reaped] {
        let Err(FunctionError::Returned { message, .. }) = &tick else {
            panic!("it fails and says why: {tick:?}");
        };
        assert!(message.contains("gave no answer within"), "{message}");
    }
    for start in [no_harvester, no_reaper] {
        assert!(matches!(start, Err(FunctionError::Exited(_))), "{start:?}");
    }
    assert_eq!(failed_items(&exported.expect("it answers")).len(), 1);
    let overview = overview.expect("it answers within 5 s");
    assert_eq!(overview["statusCode"], 503, "{overview}");
    let body = overview["body"].as_str().unwrap();
    assert!(
        body.contains("ledger") && body.contains("no answer within"),
        "{body}"
    );
    stage.queues.make_visible(queue, &message).await;
    assert_recovered(&stage, &messages).await;
    stage.finish().await;
}

/// Q4, E10: half-open, messages are sent that nobody takes for sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn q4_an_sqs_that_is_silent_or_half_open_loses_and_doubles_nothing() {
    let (stage, _network, messages) = outlast("net-sqs", SQS).await;
    assert_no_attempt_was_burnt(&stage).await;
    assert_outlasted(stage, &messages).await;
}

/// A1, A2: half-open, people are told and nobody takes them for told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a1_an_sns_that_is_silent_or_half_open_loses_no_alert() {
    let (stage, _network, messages) = outlast("net-sns", SNS).await;
    assert_no_attempt_was_burnt(&stage).await;
    assert_outlasted(stage, &messages).await;
}
