//! Workers that die, are frozen, or have to stop in the middle of a batch.

use super::takeover;
use crate::stage::{Document, FunctionError, Stage};
use granary_domain::BatchStatus;
use granary_verify::Verdict;
use serde_json::Value;

const FROM: &str = "2026-03-01T10:00:00Z";
const TO: &str = "2026-03-01T11:00:00Z";

/// Ten messages in one batch, one of which is gone by the time it is exported: so the exporter writes an exception, and
/// can be held there.
async fn harvested(name: &str) -> Stage {
    let stage = Stage::new(name).await;
    let messages: Vec<_> = (0..10)
        .map(|number| Document::message(&format!("m-{number}"), "2026-03-01T10:30:00Z"))
        .collect();
    stage.index_messages(&messages).await;
    stage.backfill(FROM, TO).await;
    stage.harvest().await;
    stage.indices.delete(&stage.indices.messages, "m-3").await;
    stage
}

const IN_PROGRESS: &str = "SELECT COUNT(*) FROM batch WHERE status = 'in_progress'";

async fn assert_nothing_was_lost(stage: &Stage) {
    assert_eq!(
        stage.batches(BatchStatus::Completed).await,
        1,
        "{:?}",
        stage.batches_by_status().await
    );
    let lines = stage.bucket.lines().await;
    assert_eq!((lines.len(), stage.bucket.objects().await.len()), (9, 1));
    let report = stage.verify(FROM, TO).await;
    assert_eq!(report.verdict, Verdict::Complete, "{:?}", report.account.findings);
    assert_eq!(report.account.counts.tombstones, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e9_a_batch_whose_worker_was_killed_is_exported_by_the_next() {
    let stage = harvested("killed").await;
    let held = stage.hold("SELECT * FROM message FOR UPDATE").await;
    let (exports, ()) = tokio::join!(stage.export_one(), async {
        stage.until(IN_PROGRESS).await;
        stage.exporter(0).kill().await;
    });
    assert!(
        matches!(exports.errors[..], [FunctionError::Exited(_)]),
        "{exports:?}"
    );
    held.let_go().await;
    assert_eq!(stage.batches(BatchStatus::InProgress).await, 1);

    stage.let_leases_end().await;
    stage.run_until_quiet().await;
    assert_nothing_was_lost(&stage).await;
    let outcomes: Vec<String> = stage.rows("SELECT outcome FROM attempt ORDER BY number").await;
    assert_eq!(outcomes, ["reaped", "completed"]);
    stage.finish().await;
}

/// E8, H14: Lambda goes on with a process whose handler panicked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e8_a_panic_is_a_death_to_its_batch_and_the_process_is_fit_for_the_next_one() {
    for step in ["put_object", "settle_batch"] {
        let stage = harvested("panic").await;
        let fault = format!("{step}:panic");
        let exporter = stage.another("exporter", &[("GRANARY_FAULT", &fault)]);
        let exports = stage.export_all_by(&exporter).await;
        let told = &exports.errors;
        assert!(
            matches!(&told[..], [FunctionError::Returned { message, .. }] if message.contains(step)),
            "{exports:?}"
        );
        takeover::let_it_be_reaped(&stage).await;
        assert_eq!(stage.export_all_by(&exporter).await.acknowledged, 1);
        let outcomes: Vec<String> = stage.rows("SELECT outcome FROM attempt ORDER BY number").await;
        assert_eq!(outcomes, ["reaped", "completed"]);
        assert_nothing_was_lost(&stage).await;
        stage.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e9_a_worker_that_is_shut_down_hands_its_batch_back() {
    let stage = harvested("terminated").await;
    let held = stage.hold("SELECT * FROM message FOR UPDATE").await;
    let (_, ()) = tokio::join!(stage.export_one(), async {
        stage.until(IN_PROGRESS).await;
        stage.exporter(0).terminate();
    });
    held.let_go().await;
    let (status, attempts): (String, u32) = stage.row("SELECT status, attempts FROM batch").await;
    assert_eq!(
        (status.as_str(), attempts),
        ("pending", 0),
        "no attempt was burnt"
    );
    stage.run_until_quiet().await;
    assert_nothing_was_lost(&stage).await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_that_exceeds_its_timeout_is_killed_and_started_again() {
    let stage = harvested("timeout").await;
    let held = stage.hold("SELECT * FROM message FOR UPDATE").await;
    let (queue, message) = stage.queues.receive().await.expect("a batch was sent");
    let event = crate::stage::sqs_event(&[(queue, &message)]);
    let limit = std::time::Duration::from_secs(2);
    let outcome = stage.exporter(0).invoke(event, limit).await;
    held.let_go().await;
    // At 80 % of its time it hands the batch back, unless the ledger keeps it from that.
    assert!(
        matches!(outcome, Ok(Value::Object(_)) | Err(FunctionError::TimedOut)),
        "{outcome:?}"
    );
    stage.let_leases_end().await;
    stage.run_until_quiet().await;
    assert_nothing_was_lost(&stage).await;
    stage.finish().await;
}
