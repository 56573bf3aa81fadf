//! Where somebody has something done to batches and windows, and the operator is interrupted while it does it.

use super::exporting;
use super::harvesting::{archived, due, indexed};
use super::scene::{FROM, Prepared, TO};
use crate::stage::{Document, FunctionError, HARVESTER_TIMEOUT, Stage, request};
use serde_json::json;

/// A harvester died with a window in its hands, and somebody closes what is stuck.
pub(super) async fn fix_asked_for(stage: &Stage) -> Prepared {
    let prepared = due(stage).await;
    let dying = stage.another("harvester", &[(granary_steps::VARIABLE, "claim_window:after")]);
    let died = dying.invoke(json!({}), HARVESTER_TIMEOUT).await;
    assert!(matches!(died, Err(FunctionError::Exited(_))), "{died:?}");
    stage.let_leases_end().await;
    prepared.asked(request("POST", "/migrate/fix-stuck-jobs", ""))
}

/// Everything is in the archive, and somebody wants it there anew.
pub(super) async fn reset_asked_for(stage: &Stage) -> Prepared {
    let messages = Document::many(20, 10..12);
    archived(stage, &messages).await;
    let body = json!({"from": FROM, "to": TO, "reason": "the mapping was wrong"}).to_string();
    Prepared::of(messages).asked(request("POST", "/migrate/reset-pending", &body))
}

/// A message became visible late, and somebody names it.
pub(super) async fn bulk_asked_for(stage: &Stage) -> Prepared {
    let mut messages = Document::many(20, 10..12);
    archived(stage, &messages).await;
    let late = Document::message("late", "2026-03-01T10:30:00Z");
    stage.index_messages(std::slice::from_ref(&late)).await;
    messages.push(late);
    let body = json!({"ids": ["late"], "priority": 7}).to_string();
    Prepared::of(messages).asked(request("POST", "/migrate/bulk", &body))
}

/// Nobody owns the messages of a migration that was cancelled, and somebody gives them to a batch.
pub(super) async fn adoption_asked_for(stage: &Stage) -> Prepared {
    let messages = indexed(stage, 20).await;
    let given_up = stage.backfill(FROM, TO).await;
    stage.harvest().await;
    assert!(stage.ledger.cancel_migration(given_up).await.unwrap());
    stage.reap().await;
    let unowned: u64 = stage
        .row("SELECT COUNT(*) FROM message_status WHERE status = 'released'")
        .await;
    assert_eq!(unowned, messages.len() as u64);
    Prepared::of(messages).asked(request("POST", "/migrate/create-missing-migrations", ""))
}

/// The ledger is behind the archive's mark of batch numbers, and somebody confirms that.
pub(super) async fn ledger_restored(stage: &Stage) -> Prepared {
    let messages = Document::many(20, 10..12);
    archived(stage, &messages).await;
    let mark = json!({"reservedTo": 50_000, "usedTo": 40_001});
    let key = stage.bucket.archive.layout().number_mark();
    stage
        .bucket
        .put(key.as_str(), mark.to_string().into_bytes())
        .await;
    stage.reap().await;
    assert!(stage.ledger.restored().await.unwrap().is_some());
    let body = json!({"reason": "the backup of noon"}).to_string();
    Prepared::of(messages).asked(request("POST", "/sweep/confirm-restored", &body))
}

/// A batch was given up after its object was written, and somebody adopts that.
pub(super) async fn object_adopted(stage: &Stage) -> Prepared {
    let messages = Document::many(20, 10..12);
    archived(stage, &messages).await;
    let (batch, key): (u64, String) = stage
        .row("SELECT id, object_key FROM batch ORDER BY id LIMIT 1")
        .await;
    stage
        .sql(&format!("DELETE FROM attempt WHERE batch_id = {batch}"))
        .await;
    stage
        .sql(&format!(
            "UPDATE batch SET status = 'cancelled', object_key = NULL, settled_at = NULL, attempts = 0 WHERE id = {batch}"
        ))
        .await;
    let body = json!({"key": key}).to_string();
    Prepared::of(messages).asked(request("POST", "/sweep/adopt", &body))
}

/// A worker died with a batch in its hands, and somebody has everything done that is due.
pub(super) async fn everything_asked_for(stage: &Stage) -> Prepared {
    let prepared = super::reaping::dead_worker(stage).await;
    prepared.asked(request("POST", "/migrate/process-all", ""))
}

/// Batches wait unsent, and somebody has all that is pending migrated.
pub(super) async fn pending_asked_for(stage: &Stage) -> Prepared {
    let prepared = exporting::handed_off(stage).await;
    stage.queues.purge(&stage.queues.normal).await;
    stage.sql("UPDATE batch SET enqueued_at = NULL").await;
    let body = json!({"filters": {"status": "pending"}}).to_string();
    prepared.asked(request("POST", "/migrate", &body))
}
