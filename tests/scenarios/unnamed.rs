//! Documents whose id the configured field doesn't hold: no message, and never a plain COMPLETE.

use crate::stage::{Document, Listening, Stage};
use serde_json::{Value, json};

const RANGE: &str = "--from 2026-03-01T10:00:00Z --to 2026-03-01T11:00:00Z";
const AT: &str = "2026-03-01T10:30:00Z";

fn mail(doc_id: &str, message_id: &str) -> Document {
    Document::raw(
        doc_id,
        json!({"message_id": message_id, "created_at": AT}).to_string(),
    )
}

async fn verify(operator: &Listening) -> Value {
    let said = operator.granary(&format!("--json verify {RANGE}")).await;
    said.json()["result"].clone()
}

/// Field case 10: long mail headers, and an index without the field that comes later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h18_ids_that_their_field_does_not_hold_are_incomplete_by_index_and_raise_an_alert() {
    let settings = [("GRANARY_VERIFY_AFTER_SECONDS", "0")];
    let mut stage = Stage::with("unnamed", &settings).await;
    let mails = stage.indices.more_messages.clone();
    let mut mapping = stage.indices.mapping();
    mapping["mappings"]["properties"]["message_id"] =
        json!({"type": "text", "fields": {"keyword": {"type": "keyword", "ignore_above": 256}}});
    stage.indices.create(&mails, mapping).await;
    stage.tell(&[
        ("GRANARY_SOURCE_INDEX", &format!("{mails}*")),
        ("GRANARY_SOURCE_ID_FIELD", "message_id.keyword"),
    ]);
    let long = format!("<{}@mail.example>", "a".repeat(300));
    let short = mail("2", "<b@mail.example>");
    stage
        .indices
        .write(&mails, &[mail("1", &long), short.clone()])
        .await;
    stage
        .backfill("2026-03-01T10:00:00Z", "2026-03-01T11:00:00Z")
        .await;
    stage.run_until_quiet().await;
    for _ in 0..3 {
        stage.reap().await;
    }
    let told = stage.queues.told().await;
    assert!(
        told.iter().any(|told| told.contains("windows are not proven")),
        "{told:?}"
    );
    let operator = stage.listen(&[]).await;
    let report = verify(&operator).await;
    let exceptions = json!([{"kind": "without_id", "index": mails, "messages": 1, "accepted": false}]);
    assert_eq!(
        (&report["verdict"], &report["exceptions"]),
        (&json!("INCOMPLETE"), &exceptions),
        "{report}"
    );

    // Empty, it is fit; its first document has an id that no search knows.
    let later = format!("{mails}-later");
    let bare = json!({"mappings": {"dynamic": false, "properties": {"created_at": {"type": "date"}}}});
    stage.indices.create(&later, bare).await;
    stage.harvest().await;
    stage
        .indices
        .write(&later, &[mail("3", "<c@mail.example>")])
        .await;
    stage.run_until_quiet().await;
    let report = verify(&operator).await;
    assert_eq!(report["verdict"], "INCOMPLETE", "{report}");
    assert!(report["exceptions"].to_string().contains(&later), "{report}");
    stage.indices.delete_index(&later).await;
    stage.finish_broken().await;
}
