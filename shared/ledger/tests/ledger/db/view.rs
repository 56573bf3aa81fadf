//! The view `message_status`: how each message stands, for people and their queries.

use crate::stage::{Stage, whole};
use granary_domain::{MessageId, Outcome};
use granary_ledger::export::Exception;

/// Id, status, object key, attempts, error.
type Row = (String, String, Option<String>, Option<u32>, Option<String>);

async fn release(stage: &Stage, id: &str) {
    let batch = stage.batch(&[id]).await;
    let claimed = stage.claim(batch, "worker").await;
    stage.ledger.cancel_migration(claimed.migration_id).await.unwrap();
    stage.ledger.release_cancelled().await.unwrap();
}

/// Exports one message and says which object it is in; the two others are exceptions.
async fn export(stage: &Stage, id: &str, missing: &str, quarantined: &str) -> String {
    let batch = stage.batch(&[id, missing, quarantined]).await;
    let claimed = stage.claim(batch, "worker").await;
    let exceptions = [(Outcome::Missing, missing), (Outcome::Quarantined, quarantined)];
    let exceptions = exceptions.map(|(outcome, id)| Exception {
        message_id: MessageId::try_from(id.to_owned()).unwrap(),
        outcome,
        reason: format!("it is {id}"),
    });
    stage
        .ledger
        .record_exceptions(&claimed, &exceptions)
        .await
        .unwrap();
    let mut settlement = whole(&claimed);
    (settlement.exported, settlement.missing, settlement.quarantined) = (1, 1, 1);
    stage.ledger.settle(&claimed, &settlement).await.unwrap();
    settlement.object.unwrap().to_string()
}

#[tokio::test]
async fn the_view_says_how_each_message_stands() {
    let stage = Stage::new().await;
    release(&stage, "released").await;
    stage.batch(&["pending"]).await;
    let held = stage.batch(&["in progress"]).await;
    stage.claim(held, "worker").await;
    let failed = stage.batch(&["failed"]).await;
    stage.claim(failed, "worker").await;
    stage.reap(failed).await;
    let key = export(&stage, "exported", "missing", "quarantined").await;

    let rows: Vec<Row> = stage
        .database
        .rows(
            "SELECT CAST(message_id AS CHAR), status, object_key, attempts, error_text FROM message_status \
             ORDER BY message_id",
        )
        .await;
    let row = |id: &str, status: &str, key: Option<&str>, attempts, error: Option<&str>| -> Row {
        (
            id.into(),
            status.into(),
            key.map(str::to_owned),
            attempts,
            error.map(str::to_owned),
        )
    };
    let expected = [
        row("exported", "completed", Some(&key), Some(1), None),
        row(
            "failed",
            "failed",
            None,
            Some(1),
            Some("the worker stopped renewing its lease"),
        ),
        row("in progress", "in_progress", None, Some(1), None),
        row("missing", "missing", None, Some(1), Some("it is missing")),
        row("pending", "pending", None, Some(0), None),
        row(
            "quarantined",
            "quarantined",
            None,
            Some(1),
            Some("it is quarantined"),
        ),
        row("released", "released", None, None, None),
    ];
    assert_eq!(rows, expected);
}
