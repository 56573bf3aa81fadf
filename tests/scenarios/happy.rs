//! Nothing goes wrong.

use crate::stage::{CANARY, Document, Stage};
use granary_verify::Verdict;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const FROM: &str = "2026-03-01T10:00:00Z";
const TO: &str = "2026-03-01T13:00:00Z";

/// 1,000 messages over three hours, each with the odd bytes of its own.
fn messages() -> Vec<Document> {
    let message = |number: usize| {
        let id = format!("m-{number:04}");
        let (hour, minute, second) = (10 + number % 3, number / 3 % 60, number % 60);
        let body = format!(
            r#"{{"message_id":"{id}", "created_at":"2026-03-01T{hour}:{minute:02}:{second:02}.{:03}Z","n":9007199254740993, "e":1e400,"z":-0.0,"t":"caf\u00e9 é 🚚 \/","note":"{CANARY}","number":{number}}}"#,
            number % 1_000
        );
        Document::raw(&id, body)
    };
    (0..1_000).map(message).collect()
}

/// A status for every message, two entries of history for every second one, no processing details at all.
async fn write_metadata(stage: &Stage, messages: &[Document]) {
    let entry = |id: &str, suffix: &str, fields: Value| {
        let mut body = json!({"message_id": id, "note": CANARY});
        body.as_object_mut()
            .unwrap()
            .extend(fields.as_object().unwrap().clone());
        Document::raw(&format!("{id}-{suffix}"), body.to_string())
    };
    let ids = || messages.iter().map(|message| message.doc_id.as_str());
    let statuses: Vec<_> = ids().map(|id| entry(id, "s", json!({"state": "sent"}))).collect();
    let histories: Vec<_> = ids()
        .step_by(2)
        .flat_map(|id| {
            let second = entry(id, "h1", json!({"at": "2026-03-01T14:00:00Z", "event": "sent"}));
            let first = entry(id, "h2", json!({"at": "2026-03-01T13:30:00Z", "event": "queued"}));
            [second, first]
        })
        .collect();
    stage.indices.write(&stage.indices.status, &statuses).await;
    stage.indices.write(&stage.indices.history, &histories).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_travels_from_the_index_to_an_object_byte_for_byte() {
    let mut stage = Stage::new("happy").await;
    stage.indices.have_shards(2).await;
    stage.have_metadata().await;
    let messages = messages();
    stage.index_messages(&messages).await;
    write_metadata(&stage, &messages).await;
    stage.backfill(FROM, TO).await;

    stage.harvest().await;
    let exports = stage.export_all().await;
    assert_eq!(
        (exports.returned.len(), exports.errors.len()),
        (0, 0),
        "{exports:?}"
    );
    stage.reap().await;

    let lines = stage.bucket.lines().await;
    let exported: BTreeMap<_, _> = lines
        .iter()
        .map(|line| (line.message_id.as_str(), line))
        .collect();
    assert_eq!(
        (lines.len(), exported.len()),
        (1_000, 1_000),
        "nothing twice, nothing lost"
    );
    for message in &messages {
        let line = exported[message.doc_id.as_str()];
        assert_eq!(line.message, message.body);
        assert_eq!(line.field("status")["state"], "sent");
        assert_eq!(line.field("processing"), json!([]));
    }
    let events = |id: &str| {
        let history = exported[id].field("history");
        history
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["event"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        (events("m-0000"), events("m-0001")),
        (vec![json!("queued"), json!("sent")], vec![])
    );

    let hours: BTreeSet<_> = lines
        .iter()
        .map(|line| line.key.as_str().rsplit_once('/').unwrap().0)
        .collect();
    let hour = |hour: u32| format!("{}dt=2026-03-01/hour={hour}", stage.archive_root());
    assert_eq!(hours, BTreeSet::from([hour(10).as_str(), &hour(11), &hour(12)]));

    // 334 + 333 + 333 messages, 100 to a batch and never two hours in one.
    assert_eq!(
        stage.batches_by_status().await,
        BTreeMap::from([("completed", (12, 1_000))])
    );
    let unowned: u64 = stage
        .row("SELECT COUNT(*) FROM message_status WHERE status = 'released'")
        .await;
    let migration: String = stage
        .row("SELECT state FROM migration WHERE kind = 'backfill'")
        .await;
    assert_eq!((unowned, migration.as_str()), (0, "completed"));
    let report = stage.verify(FROM, TO).await;
    assert_eq!(report.verdict, Verdict::Complete, "{:?}", report.account.findings);
    assert_eq!(stage.queues.told().await, [""; 0], "and nobody was alarmed");
    stage.finish().await;
}
