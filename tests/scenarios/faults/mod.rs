//! The fault matrix: every service that Granary stands on fails in every way it has, while work is under way.
//!
//! What each of these scenarios comes to is the same: when the fault is over the system has recovered by itself, what was
//! the platform's fault cost no attempt, nothing was given up, and the archive is complete.

mod network;
mod elasticsearch;
#[cfg(feature = "full")]
mod ledger_server;
mod s3;
mod sqs;
mod sns;
mod machine;
mod secrecy;
mod tls;
mod rotation;

use crate::stage::{Document, Stage};
use granary_domain::{MigrationId, TimeRange};

const FROM: &str = "2026-03-01T10:00:00Z";
const NOON: &str = "2026-03-01T12:00:00Z";
const TO: &str = "2026-03-01T14:00:00Z";
const NOBODY: [String; 0] = [];

/// 400 messages over four hours, in the source and not harvested: four batches.
async fn indexed(stage: &Stage) -> Vec<Document> {
    let messages = Document::many(400, 10..14);
    stage.index_messages(&messages).await;
    messages
}

/// The same, recorded and sent.
async fn harvested(stage: &Stage) -> Vec<Document> {
    let messages = indexed(stage).await;
    stage.backfill(FROM, TO).await;
    assert_eq!(stage.harvest().await["batches_sent"], 4);
    messages
}

/// A window that the next tick takes without asking the source for one.
async fn open_window(stage: &Stage, migration: MigrationId) {
    let range = TimeRange::new(FROM.parse().unwrap(), TO.parse().unwrap()).unwrap();
    assert!(stage.ledger.open_window(migration, range).await.unwrap());
}

/// The fault is over: everything is archived, no attempt counts but those that completed, and nobody was alarmed.
async fn assert_recovered(stage: &Stage, messages: &[Document]) {
    stage.run_until_quiet().await;
    let outcomes: Vec<(String, u64)> = stage
        .rows(
            "SELECT outcome, COUNT(*) FROM attempt \
             WHERE outcome NOT IN ('completed', 'deferred', 'handed_back') GROUP BY 1",
        )
        .await;
    assert_eq!(outcomes, [], "no attempt failed");
    let burnt: u64 = stage.row("SELECT COUNT(*) FROM batch WHERE attempts <> 1").await;
    assert_eq!(burnt, 0, "one attempt counts for each batch");
    assert_archived_in_peace(stage, messages).await;
}

/// The same where a worker was lost, whose attempt counts.
async fn assert_archived_in_peace(stage: &Stage, messages: &[Document]) {
    let parked: u64 = stage
        .row("SELECT COUNT(*) FROM batch WHERE parked_at IS NOT NULL")
        .await;
    assert_eq!(parked, 0);
    stage.assert_archived(messages, FROM, TO).await;
    assert_eq!(stage.queues.told().await, NOBODY);
    assert_eq!(stage.queues.dead_letters().await, NOBODY);
}

/// Attempts that were deferred for a cause.
async fn deferred(stage: &Stage, cause: &str) -> u64 {
    let deferred = format!("outcome = 'deferred' AND error_code = '{cause}'");
    stage
        .row(&format!("SELECT COUNT(*) FROM attempt WHERE {deferred}"))
        .await
}
