//! What people and machines write down while everything goes wrong: never a message's content, an address or a secret.

use super::{FROM, NOON, TO, harvested};
use crate::stage::{Addresses, Document, Fault, HttpProxy, LedgerServer, Proxy, Said, Stage, sqs_event};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

/// Stands in every document, and in what the services say about them.
const CONTENT: &str = "canaryword";
/// Stands in each credential.
const SECRET: &str = "canarysecret";
const HOST: &str = "127.0.0.1";
/// Reports show which source was read: its address is on record here and nowhere else, without user and password.
const WITH_THE_SOURCE: &str = "deployment_setting";
const SHORT: Duration = Duration::from_secs(4);

/// A message whose every value that isn't its id or its time is content.
fn document(number: u32) -> Document {
    let id = format!("m-{number:04}");
    let (hour, minute) = (10 + number % 4, number / 4 % 60);
    let body = json!({
        "message_id": id,
        "created_at": format!("2026-03-01T{hour}:{minute:02}:00Z"),
        "text": format!("{CONTENT} {number}"),
        CONTENT: {CONTENT: [CONTENT]},
    });
    Document::raw(&id, body.to_string())
}

/// A stage whose every credential holds the canary, on a ledger of its own.
async fn stage_of_canaries(server: &LedgerServer) -> Stage {
    server
        .administer(&format!(
            "CREATE USER 'granary_user'@'%' IDENTIFIED BY '{SECRET}'"
        ))
        .await;
    server
        .administer("GRANT ALL PRIVILEGES ON `granary%`.* TO 'granary_user'@'%'")
        .await;
    let addresses = Addresses::from_environment().with_ledger_server(server);
    let settings = [
        ("GRANARY_LOG", "trace"),
        ("GRANARY_BATCH_SIZE", "20"),
        ("GRANARY_LEASE_SECONDS", "6"),
        ("AWS_SECRET_ACCESS_KEY", SECRET),
    ];
    let mut stage = Stage::at(addresses, "secrecy", &settings).await;
    stage.have_metadata().await;
    stage
}

/// Services that quote what they are asked for, and say where they are.
fn indiscreet(status: u16) -> Said {
    let quoting = format!(
        "failed to parse field [text]. Preview of field's value: '{CONTENT}' at [Source: \"{CONTENT}\"]"
    );
    let mut said = Said::by_elasticsearch(status, "document_parsing_exception");
    said.body = json!({"error": {"type": "document_parsing_exception", "reason": quoting}, "status": status})
        .to_string();
    said
}

/// Everything that stands in the ledger, table by table, as text.
async fn ledger(stage: &Stage) -> BTreeMap<String, String> {
    let columns: Vec<(String, String)> = stage
        .rows(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = DATABASE()",
        )
        .await;
    let mut texts: BTreeMap<String, String> = BTreeMap::new();
    for (table, column) in columns {
        // As bytes: a checksum is no text, whatever the server makes of it.
        let query = format!("SELECT COALESCE(CAST(`{column}` AS BINARY), '') FROM `{table}`");
        let values: Vec<Vec<u8>> = stage.rows(&query).await;
        let values: Vec<_> = values
            .iter()
            .map(|value| String::from_utf8_lossy(value))
            .collect();
        texts
            .entry(table)
            .or_default()
            .push_str(&format!("{column}: {}\n", values.join("\n")));
    }
    texts
}

fn assert_discreet(name: &str, text: &str) {
    for canary in [CONTENT, SECRET, HOST] {
        if let Some(line) = text.lines().find(|line| line.contains(canary)) {
            panic!("{name} has {canary}: {line}");
        }
    }
}

/// Between the functions and everything that they stand on.
struct Wires {
    ledger: Proxy,
    source: HttpProxy,
    archive: HttpProxy,
    queues: HttpProxy,
}

impl Wires {
    async fn lay(stage: &mut Stage) -> Self {
        let ledger = stage
            .setting("GRANARY_LEDGER_URL")
            .replace("granary:of-a-test", &format!("granary_user:{SECRET}"));
        let wires = Self {
            ledger: Proxy::before(&ledger).await,
            source: HttpProxy::before(stage.setting("GRANARY_ES_URL")).await,
            archive: HttpProxy::before(stage.setting("AWS_ENDPOINT_URL")).await,
            queues: HttpProxy::before(stage.setting("AWS_ENDPOINT_URL")).await,
        };
        let with_password = wires
            .source
            .url
            .replace("http://", &format!("http://user:{SECRET}@"));
        stage.tell(&[
            ("GRANARY_LEDGER_URL", &wires.ledger.url()),
            ("GRANARY_ES_URL", &with_password),
            ("AWS_ENDPOINT_URL_S3", &wires.archive.url),
            ("AWS_ENDPOINT_URL_SQS", &wires.queues.url),
            ("AWS_ENDPOINT_URL_SNS", &wires.queues.url),
        ]);
        wires
    }

    /// Refused for good, so that attempts fail with a reason; refused for a while; half an answer; one that isn't what it
    /// should be.
    fn fail_exports(&self) {
        let document = |fault, times| {
            self.source
                .inject(fault, times, |asked| asked.path.contains("_mget"));
        };
        document(Fault::Refuse(indiscreet(400)), 2);
        document(Fault::Refuse(indiscreet(503)), 5);
        document(Fault::BreakOffAfter { bytes: 200 }, 5);
        document(Fault::Edit(|answer| answer["docs"] = json!(CONTENT)), 1);
        let object = |said, times| {
            self.archive.inject(Fault::Refuse(said), times, |asked| {
                asked.method == "PUT" && !asked.path.contains("/_ledger/")
            });
        };
        object(Said::by_s3(403, "AccessDenied"), 1);
        object(Said::by_s3(503, "SlowDown"), 6);
        let queue = Fault::Refuse(Said::by_s3(500, "InternalError"));
        self.queues.inject(queue, 12, |_| true);
    }

    fn fail_harvests(&self) {
        self.source.inject(Fault::Refuse(indiscreet(400)), 3, |asked| {
            asked.path.contains("_search")
        });
    }

    fn restore(&self) {
        self.ledger.restore();
        self.source.restore();
        self.archive.restore();
        self.queues.restore();
    }
}

/// 400 messages in the source, one of them with a status; half of them recorded and sent.
async fn half_harvested(stage: &Stage) -> Vec<Document> {
    let messages: Vec<_> = (0..400).map(document).collect();
    stage.index_messages(&messages).await;
    let status = json!({"message_id": "m-0000", "state": CONTENT}).to_string();
    stage
        .indices
        .write(&stage.indices.status, &[Document::raw("s-1", status)])
        .await;
    stage.backfill(FROM, NOON).await;
    stage.harvest().await;
    messages
}

/// Everything fails in turn. What a harvester said that could not even start.
async fn let_everything_fail(stage: &Stage, wires: &Wires) -> String {
    wires.fail_exports();
    let future_version = format!("{{\"v\":99,\"text\":\"{CONTENT}\"}}");
    let foreign = format!("{CONTENT} {SECRET}");
    for body in [future_version, foreign] {
        stage.queues.send(&stage.queues.normal, &body).await;
    }
    let exports = stage.export_all().await;
    stage.try_reap().await.ok();
    stage.try_reap().await.ok();
    // The ledger goes away under everybody.
    stage.backfill(NOON, TO).await;
    let (queue, message) = exports.returned.first().expect("what can't be read comes back");
    wires.ledger.cut();
    let _outcomes = tokio::join!(
        stage.harvester.invoke(json!({}), SHORT),
        stage.reaper.invoke(json!({}), SHORT),
        stage.exporter(0).invoke(sqs_event(&[(queue, message)]), SHORT),
    );
    let refusal = stage.another("harvester", &[]).refusal().await;
    wires.ledger.restore();
    wires.fail_harvests();
    stage.try_harvest().await.ok();
    refusal
}

async fn let_everything_recover(stage: &Stage, wires: &Wires) {
    wires.restore();
    stage.let_leases_end().await;
    stage.let_delays_end().await;
    // What can't be read would come back until it is a dead letter.
    stage.queues.purge(&stage.queues.normal).await;
    stage
        .sql("UPDATE batch SET enqueued_at = NULL WHERE status = 'pending'")
        .await;
    stage.run_until_quiet().await;
}

/// S2, S1: everything fails in turn, at the most talkative of log levels, and everything that was written is searched.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s2_a_run_full_of_faults_writes_down_no_content_no_address_and_no_secret() {
    let server = LedgerServer::start().await;
    let mut stage = stage_of_canaries(&server).await;
    let wires = Wires::lay(&mut stage).await;
    let messages = half_harvested(&stage).await;
    let refusal = let_everything_fail(&stage, &wires).await;
    let_everything_recover(&stage, &wires).await;

    let reasons: u64 = stage
        .row("SELECT COUNT(*) FROM attempt WHERE error_text IS NOT NULL")
        .await;
    assert!(reasons >= 3, "{reasons} reasons are too few to learn from");
    for (table, mut text) in ledger(&stage).await {
        if table == WITH_THE_SOURCE {
            text = text.replace(HOST, "");
        }
        assert_discreet(&table, &text);
    }
    let functions = [
        &stage.harvester,
        &stage.reaper,
        stage.exporter(0),
        stage.exporter(1),
    ];
    for function in functions {
        let log = function.log().join("\n");
        assert!(!log.is_empty());
        assert_discreet(&format!("the log of the {}", function.name), &log);
    }
    assert_discreet("the harvester's refusal to start", &refusal);
    let told = stage.queues.told().await;
    assert!(!told.is_empty());
    assert_discreet("an alert", &told.join("\n"));
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}

/// S2: what is in the queue is a number and a uuid.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s2_a_hand_off_message_holds_nothing_but_numbers() {
    let stage = Stage::new("bodies").await;
    harvested(&stage).await;
    for (_, message) in stage.receive_all().await {
        let body: BTreeMap<String, serde_json::Value> =
            serde_json::from_str(message.body.as_deref().unwrap()).unwrap();
        let fields: Vec<_> = body.keys().map(String::as_str).collect();
        assert_eq!(fields, ["batch_id", "migration_id", "v"]);
    }
    stage.finish().await;
}
