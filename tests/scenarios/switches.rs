//! The switches: schedules and consumers at the AWS emulator, thrown by the API.

use super::queue_desk::ask;
use crate::stage::{Document, Function, Stage};
use granary_domain::BatchId;
use granary_ledger::export::{Claim, ClaimedBatch};
use serde_json::{Value, json};
use std::time::Duration;

const FROM: &str = "2026-03-01T10:00:00Z";
const TO: &str = "2026-03-01T11:00:00Z";
const LEASE: Duration = Duration::from_secs(90);
const RESTART: &str = "/queue/consumers/restart";

/// A stage with switches, and an operator that is told of them.
pub(super) async fn with_switches(name: &str) -> (Stage, Function) {
    let stage = Stage::new(name).await;
    let settings = stage.switches().await.settings();
    let settings: Vec<(&str, &str)> = settings
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let operator = stage.another("operator", &settings);
    (stage, operator)
}

/// One batch in somebody's hands.
async fn somebody_at_work(stage: &Stage) -> ClaimedBatch {
    stage.index_messages(&Document::many(10, 10..11)).await;
    stage.backfill(FROM, TO).await;
    stage.harvest().await;
    let batch: u64 = stage.row("SELECT id FROM batch").await;
    match stage
        .ledger
        .claim(BatchId(batch), "somebody", LEASE)
        .await
        .unwrap()
    {
        Claim::Won(claimed) => *claimed,
        Claim::Lost(why) => panic!("{why:?}"),
    }
}

async fn let_him_finish(stage: &Stage, claimed: &ClaimedBatch) {
    let failure = granary_domain::Failure {
        cause: granary_domain::Cause::Shutdown,
        text: "a test".to_owned(),
    };
    stage.ledger.hand_back(claimed, &failure).await.unwrap();
}

async fn get(operator: &Function, path: &str) -> Value {
    let (status, answer) = ask(operator, "GET", path, &Value::Null).await;
    assert_eq!(status, 200, "{path}: {answer}");
    answer
}

pub(super) async fn post(operator: &Function, path: &str, body: Value) -> Value {
    let (status, answer) = ask(operator, "POST", path, &body).await;
    assert_eq!(status, 200, "{path}: {answer}");
    answer
}

pub(super) async fn end(stage: Stage, operator: Function) {
    operator.kill().await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schedule_is_switched_off_and_on_and_keeps_the_rest_of_its_definition() {
    let (stage, operator) = with_switches("schedules").await;
    let switches = stage.switches().await;
    let status = get(&operator, "/migrate/scheduler/status").await;
    assert_eq!(
        (&status["status"], &status["schedules"][0]["enabled"]),
        (&json!("running"), &json!(true))
    );
    let before = switches.schedule(0).await;

    let body = json!({"schedule": "harvester", "dryRun": true});
    let foretold = post(&operator, "/migrate/scheduler/stop", body).await;
    assert_eq!(foretold["status"], "partly");
    assert!(switches.is_enabled(0).await, "it was only asked what would be");

    let body = json!({"schedule": "harvester", "reason": "the index is rebuilt"});
    let stopped = post(&operator, "/migrate/scheduler/stop", body).await;
    assert_eq!(
        (
            &stopped["schedules"][0]["wasEnabled"],
            &stopped["schedules"][0]["enabled"]
        ),
        (&json!(true), &json!(false))
    );
    assert!(!switches.is_enabled(0).await && switches.is_enabled(1).await);
    post(&operator, "/migrate/scheduler/stop", json!({})).await;
    assert!(!switches.is_enabled(0).await && !switches.is_enabled(1).await);
    let started = post(&operator, "/migrate/scheduler/start", json!({})).await;
    assert_eq!(started["status"], "running");

    let after = switches.schedule(0).await;
    assert_eq!(after.state, before.state);
    assert_eq!(after.target, before.target);
    assert_eq!(after.flexible_time_window, before.flexible_time_window);
    assert_eq!(after.schedule_expression, before.schedule_expression);
    assert_eq!(
        after.schedule_expression_timezone,
        before.schedule_expression_timezone
    );
    assert_eq!(after.description, before.description);
    assert_eq!(after.action_after_completion, before.action_after_completion);
    let actions: Vec<String> = stage.rows("SELECT action FROM audit ORDER BY id").await;
    assert_eq!(actions, ["scheduler.stop", "scheduler.stop", "scheduler.start"]);
    end(stage, operator).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_is_switched_off_and_on() {
    let (stage, operator) = with_switches("consumers").await;
    let switches = stage.switches().await;
    let status = get(&operator, "/queue/consumers/status").await;
    let consumer = &status["consumers"][0];
    assert_eq!(
        (
            &status["status"],
            &consumer["queue"],
            &consumer["maximumConcurrency"]
        ),
        (&json!("running"), &json!("batches-priority"), &json!(3))
    );
    post(&operator, "/queue/consumers/stop", json!({"dryRun": true})).await;
    post(&operator, "/queue/consumers/stop", json!({"queue": "batches"})).await;
    assert_eq!(switches.consumer_state().await, "Enabled", "it wasn't meant");
    for _ in 0..2 {
        let stopped = post(&operator, "/queue/consumers/stop", json!({})).await;
        assert_eq!(stopped["status"], "stopped");
        assert_eq!(switches.consumer_state().await, "Disabled");
    }
    let health = get(&operator, "/queue/consumers/health").await;
    assert_eq!(health["status"], "degraded", "{health}");
    let started = post(&operator, "/queue/consumers/start", json!({})).await;
    assert_eq!(
        (&started["status"], &started["consumers"][0]["wasEnabled"]),
        (&json!("running"), &json!(false))
    );
    assert_eq!(switches.consumer_state().await, "Enabled");
    let audited = "SELECT action FROM audit ORDER BY id";
    let (stop, start) = ("consumers.stop", "consumers.start");
    assert_eq!(stage.rows::<String>(audited).await, [stop, stop, stop, start]);
    end(stage, operator).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_switches_on_again_at_once_where_nobody_is_at_work() {
    let (stage, operator) = with_switches("restart").await;
    let switches = stage.switches().await;
    let before = get(&operator, "/queue/consumers/status").await;
    post(&operator, RESTART, json!({"dryRun": true})).await;
    let restarted = post(&operator, RESTART, json!({"reason": "a test"})).await;
    assert_eq!(restarted["operation"]["state"], "succeeded", "{restarted}");
    assert_eq!(switches.consumer_state().await, "Enabled");
    let audited = "SELECT COUNT(*) FROM audit WHERE action = 'consumers.restart' AND reason = 'a test'";
    assert_eq!(
        (
            stage.row::<u64>("SELECT COUNT(*) FROM audit").await,
            stage.row::<u64>(audited).await
        ),
        (1, 1)
    );
    let after = get(&operator, "/queue/consumers/status").await;
    assert_eq!(
        (&after["restart"], &after["status"]),
        (&Value::Null, &before["status"])
    );
    end(stage, operator).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_waits_for_who_is_at_work_and_goes_on_with_the_next_look() {
    let (stage, operator) = with_switches("restart-waits").await;
    let switches = stage.switches().await;
    let claimed = somebody_at_work(&stage).await;
    let (status, waiting) = ask(&operator, "POST", RESTART, &json!({})).await;
    assert_eq!(
        (status, &waiting["operation"]["progress"]["phase"]),
        (202, &json!("idle"))
    );
    assert_eq!(switches.consumer_state().await, "Disabled");
    let (status, again) = ask(&operator, "POST", RESTART, &json!({})).await;
    assert_eq!(
        (status, &again["operationId"]),
        (202, &waiting["operationId"]),
        "the same one"
    );
    // The reaper leaves it alone, and tells people of it once it lasts.
    stage.reap().await;
    assert_eq!(stage.queues.told().await.len(), 0);
    stage
        .sql("UPDATE operation SET created_at = created_at - INTERVAL 6 MINUTE")
        .await;
    stage.reap().await;
    stage.reap().await;
    let told = stage.queues.told().await;
    assert!(
        told.len() == 1 && told[0].contains("/queue/consumers/start"),
        "{told:?}"
    );
    assert_eq!(switches.consumer_state().await, "Disabled");

    let_him_finish(&stage, &claimed).await;
    let status_url = waiting["statusUrl"].as_str().unwrap();
    let operation = get(&operator, status_url).await["operation"].take();
    assert_eq!(operation["state"], "succeeded", "{operation}");
    assert_eq!(switches.consumer_state().await, "Enabled");
    stage.run_until_quiet().await;
    end(stage, operator).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_somebody_switches_off_stays_off_though_a_restart_was_under_way() {
    let (stage, operator) = with_switches("restart-ended").await;
    let switches = stage.switches().await;
    let claimed = somebody_at_work(&stage).await;
    let (_, waiting) = ask(&operator, "POST", RESTART, &json!({})).await;
    post(&operator, "/queue/consumers/stop", json!({})).await;
    let_him_finish(&stage, &claimed).await;
    let status_url = waiting["statusUrl"].as_str().unwrap();
    let operation = get(&operator, status_url).await["operation"].take();
    assert_eq!(
        (&operation["state"], &operation["result"]["endedBy"]),
        (&json!("succeeded"), &json!("stop"))
    );
    assert_eq!(switches.consumer_state().await, "Disabled");
    stage.run_until_quiet().await;
    end(stage, operator).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_that_was_not_meant_comes_on_where_the_restart_ends_that_had_it_off() {
    let (stage, operator) = with_switches("restart-others").await;
    let switches = stage.switches().await;
    let claimed = somebody_at_work(&stage).await;
    let (status, _) = ask(&operator, "POST", RESTART, &json!({})).await;
    assert_eq!(status, 202);
    let body = json!({"queue": "batches", "dryRun": true});
    let foretold = post(&operator, "/queue/consumers/stop", body).await;
    assert_eq!(foretold["consumers"][0]["state"], "Enabling");
    assert_eq!(switches.consumer_state().await, "Disabled");
    let stopped = post(&operator, "/queue/consumers/stop", json!({"queue": "batches"})).await;
    assert_eq!(stopped["restartsEnded"].as_array().map(Vec::len), Some(1));
    assert_eq!(switches.consumer_state().await, "Enabled");
    let status = get(&operator, "/queue/consumers/status").await;
    assert_eq!(status["restart"], Value::Null);
    let_him_finish(&stage, &claimed).await;
    stage.run_until_quiet().await;
    end(stage, operator).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_are_told_of_a_restart_that_was_given_up_since_the_consumers_are_off() {
    let (stage, operator) = with_switches("restart-given-up").await;
    let claimed = somebody_at_work(&stage).await;
    let (status, _) = ask(&operator, "POST", RESTART, &json!({})).await;
    assert_eq!(status, 202);
    stage
        .sql(
            "UPDATE operation SET state = 'failed', error_text = 'a test', finished_at = UTC_TIMESTAMP(6), \
             lease_until = NULL, created_at = created_at - INTERVAL 6 MINUTE",
        )
        .await;
    stage.reap().await;
    let told = stage.queues.told().await;
    assert!(
        told.len() == 1 && told[0].contains("/queue/consumers/start"),
        "{told:?}"
    );
    let started = post(&operator, "/queue/consumers/start", json!({})).await;
    assert_eq!(started["status"], "running");
    let_him_finish(&stage, &claimed).await;
    stage.run_until_quiet().await;
    end(stage, operator).await;
}
