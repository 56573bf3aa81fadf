//! Where the reaper is interrupted.

use super::scene::{FROM, Prepared, TO};
use super::{exporting, operating};
use crate::stage::{Document, EXPORTER_TIMEOUT, FunctionError, Stage, sqs_event};

/// Of batches that nobody else asks about.
const ATTEMPTS_IN_A_STORM: u32 = 20;

async fn sent_in_vain(stage: &Stage, then: &str) -> Prepared {
    let prepared = exporting::handed_off(stage).await;
    stage.queues.purge(&stage.queues.normal).await;
    stage.sql(&format!("UPDATE batch SET enqueued_at = {then}")).await;
    prepared
}

pub(super) async fn unsent(stage: &Stage) -> Prepared {
    sent_in_vain(stage, "NULL").await
}

pub(super) async fn lost_message(stage: &Stage) -> Prepared {
    sent_in_vain(stage, "UTC_TIMESTAMP(6) - INTERVAL 1 HOUR").await
}

pub(super) async fn hidden_message(stage: &Stage) -> Prepared {
    let prepared = exporting::handed_off(stage).await;
    let received = stage.receive_all().await;
    assert!(!received.is_empty(), "a batch was sent");
    stage.reap().await;
    stage.let_the_queues_idle("2 MINUTE").await;
    prepared
}

pub(super) async fn dead_worker(stage: &Stage) -> Prepared {
    let prepared = exporting::handed_off(stage).await;
    let dying = stage.another("exporter", &[(granary_steps::VARIABLE, "claim_batch:after")]);
    let (queue, message) = stage.queues.receive().await.expect("a batch was sent");
    let died = dying
        .invoke(sqs_event(&[(queue, &message)]), EXPORTER_TIMEOUT)
        .await;
    assert!(matches!(died, Err(FunctionError::Exited(_))), "{died:?}");
    stage.let_leases_end().await;
    prepared
}

pub(super) async fn failed_batch(stage: &Stage) -> Prepared {
    let prepared = exporting::handed_off(stage).await;
    let blind = stage.blind_ledger().await;
    let failing = stage.another("exporter", &[("GRANARY_LEDGER_URL", &blind)]);
    stage.export_all_by(&failing).await;
    stage.let_delays_end().await;
    prepared
}

pub(super) async fn parked_batch(stage: &Stage) -> Prepared {
    let prepared = exporting::handed_off(stage).await;
    let blind = stage.blind_ledger().await;
    let failing = stage.another(
        "exporter",
        &[("GRANARY_LEDGER_URL", &blind), ("GRANARY_MAX_ATTEMPTS", "1")],
    );
    stage.export_all_by(&failing).await;
    prepared
}

pub(super) async fn cancelled_migration(stage: &Stage) -> Prepared {
    let (prepared, given_up) = operating::two_migrations(stage).await;
    assert!(stage.ledger.cancel_migration(given_up).await.unwrap());
    prepared
}

pub(super) async fn archived(stage: &Stage) -> Prepared {
    let prepared = exporting::handed_off(stage).await;
    stage.export_all().await;
    prepared
}

pub(super) async fn many_batches(stage: &Stage) -> Prepared {
    let messages = Document::many(150, 10..11);
    stage.index_messages(&messages).await;
    stage.backfill(FROM, TO).await;
    stage.harvest().await;
    Prepared::of(messages)
}

/// What stood at the key of the first generation is left behind by the second.
pub(super) async fn orphan(stage: &Stage) -> Prepared {
    let prepared = exporting::foreign_object(stage).await;
    stage.export_all().await;
    let_a_day_pass(stage).await;
    prepared
}

pub(super) async fn a_day_old(stage: &Stage) -> Prepared {
    let prepared = exporting::handed_off(stage).await;
    let_a_day_pass(stage).await;
    prepared
}

async fn let_a_day_pass(stage: &Stage) {
    stage
        .sql("UPDATE migration SET created_at = created_at - INTERVAL 25 HOUR")
        .await;
    stage
        .sql("UPDATE harvest_window SET recorded_at = recorded_at - INTERVAL 25 HOUR")
        .await;
}

pub(super) async fn replaced_object(stage: &Stage) -> Prepared {
    let prepared = operating::lost_object(stage).await;
    stage.reap().await;
    stage.harvest().await;
    stage.export_all().await;
    prepared
}

pub(super) async fn storm(stage: &Stage) -> Prepared {
    let prepared = exporting::handed_off(stage).await;
    let rows: Vec<_> = (0..ATTEMPTS_IN_A_STORM)
        .map(|number| {
            let batch = 1_000_000 + number;
            format!("({batch}, 1, 1, 'w', UTC_TIMESTAMP(6), UTC_TIMESTAMP(6), 'failed')")
        })
        .collect();
    let columns = "batch_id, number, generation, worker, started_at, ended_at, outcome";
    stage
        .sql(&format!(
            "INSERT INTO attempt ({columns}) VALUES {}",
            rows.join(", ")
        ))
        .await;
    prepared
}

pub(super) async fn storm_is_over(stage: &Stage) -> Prepared {
    let prepared = storm(stage).await;
    stage.reap().await;
    let_the_storm_end(stage).await;
    prepared
}

pub(super) async fn let_the_storm_end(stage: &Stage) {
    stage.sql("DELETE FROM attempt WHERE batch_id >= 1000000").await;
}

/// What the operator's "send again" does to parked batches.
pub(super) async fn send_parked_again(stage: &Stage) {
    let parked: Vec<u64> = stage
        .rows("SELECT id FROM batch WHERE parked_at IS NOT NULL")
        .await;
    let parked: Vec<_> = parked.into_iter().map(granary_domain::BatchId).collect();
    stage.ledger.unpark(&parked).await.unwrap();
}
