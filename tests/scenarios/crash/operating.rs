//! Where somebody has asked for something: the operator is interrupted while it is told, the reaper while it does it.

use super::exporting;
use super::harvesting::{archived, indexed};
use super::network::Network;
use super::reaping;
use super::scene::{FROM, Prepared, TO};
use crate::stage::{Document, Stage, request};
use granary_domain::MigrationId;
use granary_ledger::jobs::NewOperation;
use granary_ledger::settings::Stage as Part;
use granary_verify::Verdict;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::time::Duration;
use uuid::Uuid;

const SEEDED: u64 = 20;
/// An hour takes some fifteen of these.
const LATENCY: Duration = Duration::from_millis(60);

/// Puts a job on record, as the operator does.
async fn ask(stage: &Stage, kind: &str, arguments: Value) -> Uuid {
    let operation = NewOperation {
        id: Uuid::now_v7(),
        kind: kind.into(),
        arguments,
        requested_by: "test".into(),
    };
    stage.ledger.make_operation(&operation).await.unwrap();
    operation.id
}

async fn archived_messages(stage: &Stage, hours: std::ops::Range<u32>) -> (Prepared, MigrationId) {
    let messages = Document::many(20, hours);
    archived(stage, &messages).await;
    let id: Vec<u8> = stage
        .row("SELECT id FROM migration WHERE kind = 'backfill'")
        .await;
    (
        Prepared::of(messages),
        MigrationId(Uuid::from_slice(&id).unwrap()),
    )
}

pub(super) async fn verification_asked_for(stage: &Stage) -> Prepared {
    let (prepared, migration) = archived_messages(stage, 10..12).await;
    ask(stage, "verify", json!({"migration": migration})).await;
    prepared
}

pub(super) async fn verification_of_everything(stage: &Stage) -> Prepared {
    let (prepared, _) = archived_messages(stage, 10..12).await;
    ask(stage, "verify", json!({"from": FROM, "to": TO})).await;
    prepared
}

async fn ask_for_repair(stage: &Stage) {
    ask(stage, "verify", json!({"from": FROM, "to": TO, "repair": "on"})).await;
}

pub(super) async fn left_out_message(stage: &Stage) -> Prepared {
    let (mut prepared, _) = archived_messages(stage, 10..12).await;
    let late = Document::message("late", "2026-03-01T10:30:00Z");
    stage.index_messages(std::slice::from_ref(&late)).await;
    prepared.messages.push(late);
    ask_for_repair(stage).await;
    prepared
}

pub(super) async fn lost_object(stage: &Stage) -> Prepared {
    let (prepared, _) = archived_messages(stage, 10..12).await;
    let key: String = stage
        .row("SELECT object_key FROM batch ORDER BY id LIMIT 1")
        .await;
    stage.bucket.delete(&key).await;
    ask_for_repair(stage).await;
    prepared
}

/// Everything is in the archive, and the ledger is empty.
pub(super) async fn rebuild_asked_for(stage: &Stage) -> Prepared {
    let (prepared, _) = archived_messages(stage, 10..12).await;
    stage.lose_the_database().await;
    let arguments = json!({"dryRun": false, "batchSize": 10, "reason": "a test", "requestedBy": "test"});
    ask(stage, "rebuild", arguments).await;
    prepared
}

/// A message that was gone when its batch was exported is at the source again.
async fn with_an_exception_that_is_back(stage: &Stage) -> Prepared {
    let messages = Document::many(20, 10..12);
    stage.index_messages(&messages).await;
    stage.backfill(FROM, TO).await;
    stage.harvest().await;
    let gone = &messages[..1];
    stage
        .indices
        .delete(&stage.indices.messages, &gone[0].doc_id)
        .await;
    stage.run_until_quiet().await;
    stage.index_messages(gone).await;
    Prepared::of(messages)
}

pub(super) async fn exception_is_back(stage: &Stage) -> Prepared {
    let prepared = with_an_exception_that_is_back(stage).await;
    ask_for_repair(stage).await;
    prepared
}

pub(super) async fn recall_asked_for(stage: &Stage) -> Prepared {
    let prepared = with_an_exception_that_is_back(stage).await;
    prepared.asked(request("POST", "/migrate/retry-failed", ""))
}

pub(super) async fn verification_without_answer(stage: &Stage) -> Prepared {
    let network = Network::without_answers(stage).await;
    verification_asked_for(stage)
        .await
        .behind(network, "GRANARY_ES_URL")
}

/// Ten hours, each of which takes most of a second: together they take more than the invocation's working time, and each
/// of them less than the fifth that is left at its end.
pub(super) async fn verification_without_time(stage: &Stage) -> Prepared {
    let network = Network::slow(stage, LATENCY).await;
    let (prepared, migration) = archived_messages(stage, 10..20).await;
    ask(stage, "verify", json!({"migration": migration})).await;
    prepared.behind(network, "GRANARY_ES_URL")
}

pub(super) async fn unknown_operation(stage: &Stage) -> Prepared {
    let (prepared, _) = archived_messages(stage, 10..12).await;
    ask(stage, "paint", json!({})).await;
    prepared
}

pub(super) async fn purge_asked_for(stage: &Stage) -> Prepared {
    let (prepared, _) = archived_messages(stage, 10..12).await;
    assert_eq!(stage.verify(FROM, TO).await.verdict, Verdict::Complete);
    let purge = json!({"before": TO, "dryRun": false, "horizonSecs": 604_800, "requestedBy": "test"});
    ask(stage, "purge", purge).await;
    prepared
}

pub(super) async fn re_export_asked_for(stage: &Stage) -> Prepared {
    let prepared = purge_asked_for(stage).await;
    stage.reap().await;
    let sealed: u64 = stage
        .row("SELECT COUNT(*) FROM sealed_range WHERE purged_at IS NOT NULL")
        .await;
    assert_eq!(sealed, 2);
    let body = json!({"from": FROM, "to": TO, "reExport": true}).to_string();
    prepared.asked(request("POST", "/migrate", &body))
}

pub(super) async fn verification_ordered(stage: &Stage) -> Prepared {
    let (prepared, migration) = archived_messages(stage, 10..12).await;
    let body = json!({"migrationId": migration}).to_string();
    prepared.asked(request("POST", "/verify", &body))
}

/// Two migrations over the same messages, which belong to the first one.
pub(super) async fn two_migrations(stage: &Stage) -> (Prepared, MigrationId) {
    let messages = indexed(stage, 20).await;
    let first = stage.backfill(FROM, TO).await;
    stage.harvest().await;
    stage.backfill(FROM, TO).await;
    stage.harvest().await;
    (Prepared::of(messages), first)
}

pub(super) async fn cancellation_asked_for(stage: &Stage) -> Prepared {
    let (prepared, first) = two_migrations(stage).await;
    prepared.asked(request("DELETE", &format!("/migrate/cancel/{first}"), ""))
}

pub(super) async fn job_cancellation_asked_for(stage: &Stage) -> Prepared {
    let (prepared, migration) = archived_messages(stage, 10..12).await;
    let job = ask(stage, "verify", json!({"migration": migration})).await;
    prepared.asked(request("DELETE", &format!("/operations/{job}"), ""))
}

pub(super) async fn pause_asked_for(stage: &Stage) -> Prepared {
    let prepared = exporting::handed_off(stage).await;
    prepared.asked(request("POST", "/pause", r#"{"stage":"export"}"#))
}

pub(super) async fn resume_asked_for(stage: &Stage) -> Prepared {
    let prepared = exporting::handed_off(stage).await;
    stage.ledger.pause(Part::Export, "test").await.unwrap();
    prepared.asked(request("POST", "/resume", ""))
}

/// People were told of a batch that is parked.
pub(super) async fn retry_asked_for(stage: &Stage) -> Prepared {
    let prepared = reaping::parked_batch(stage).await;
    stage.reap().await;
    prepared.asked(request("POST", "/migrate/retry-failed", ""))
}

pub(super) async fn tuning_asked_for(stage: &Stage) -> Prepared {
    let prepared = exporting::handed_off(stage).await;
    prepared.asked(request("POST", "/tune", r#"{"maxAttempts":7,"reason":"test"}"#))
}

/// As if the ledger were another bucket's.
pub(super) async fn setting_adopted(stage: &Stage) -> Prepared {
    let prepared = exporting::handed_off(stage).await;
    stage
        .sql("UPDATE deployment_setting SET value = 'elsewhere' WHERE name = 'bucket'")
        .await;
    let body = r#"{"setting":"bucket","reason":"test"}"#;
    prepared.asked(request("POST", "/ledger/adopt", body))
}

pub(super) async fn acceptance_asked_for(stage: &Stage) -> Prepared {
    let prepared = exporting::handed_off(stage).await;
    let body = r#"{"kind":"without_id","index":"messages-1","max":3,"reason":"test"}"#;
    prepared.asked(request("POST", "/exceptions/accept", body))
}

pub(super) async fn history_asked_for(stage: &Stage) -> Prepared {
    let prepared = exporting::handed_off(stage).await;
    prepared.asked(request("POST", "/seed/job-status", r#"{"count":3}"#))
}

/// Test messages in the source, asked for by a migration.
async fn seeded(stage: &Stage) -> MigrationId {
    let now = Timestamp::now();
    let base = now - SignedDuration::from_mins(1);
    ask(
        stage,
        "seed",
        json!({"count": SEEDED, "seed": 7, "base": base, "hours": 2}),
    )
    .await;
    stage.reap().await;
    let from = (now - SignedDuration::from_hours(4)).to_string();
    stage.backfill(&from, &now.to_string()).await
}

async fn assert_recorded(stage: &Stage) {
    let recorded: u64 = stage.row("SELECT COUNT(*) FROM message").await;
    assert_eq!(recorded, SEEDED);
}

pub(super) async fn seeded_and_exported(stage: &Stage) -> Prepared {
    seeded(stage).await;
    stage.run_until_quiet().await;
    assert_recorded(stage).await;
    ask(stage, "clear", json!({})).await;
    Prepared::of(Vec::new())
}

pub(super) async fn seeded_and_released(stage: &Stage) -> Prepared {
    let migration = seeded(stage).await;
    stage.harvest().await;
    assert!(stage.ledger.cancel_migration(migration).await.unwrap());
    stage.reap().await;
    assert_recorded(stage).await;
    ask(stage, "clear", json!({})).await;
    Prepared::of(Vec::new())
}
