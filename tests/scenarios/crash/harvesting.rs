//! Where the harvester is interrupted.

use super::network::Network;
use super::scene::{FROM, Prepared, TO};
use crate::stage::{Document, FunctionError, HARVESTER_TIMEOUT, Stage, instant};
use granary_domain::TimeRange;
use serde_json::json;
use std::time::Duration;

/// Messages of both hours.
pub(super) async fn indexed(stage: &Stage, count: u32) -> Vec<Document> {
    let messages = Document::many(count, 10..12);
    stage.index_messages(&messages).await;
    messages
}

/// Everything is in the archive, and said to be.
pub(super) async fn archived(stage: &Stage, messages: &[Document]) {
    stage.index_messages(messages).await;
    stage.backfill(FROM, TO).await;
    stage.run_until_quiet().await;
}

/// As before the first deployment.
pub(super) async fn new_database(stage: &Stage) -> Prepared {
    stage.empty_database().await;
    Prepared::of(indexed(stage, 10).await)
}

pub(super) async fn due(stage: &Stage) -> Prepared {
    let messages = indexed(stage, 30).await;
    stage.backfill(FROM, TO).await;
    Prepared::of(messages)
}

/// The point in time is closed just before the step that the harvester dies before.
pub(super) async fn lost_view(stage: &Stage) -> Prepared {
    let prepared = due(stage).await;
    let dying = stage.another("harvester", &[(granary_steps::VARIABLE, "finish_window:before")]);
    let died = dying.invoke(json!({}), HARVESTER_TIMEOUT).await;
    assert!(matches!(died, Err(FunctionError::Exited(_))), "{died:?}");
    stage.let_leases_end().await;
    prepared
}

pub(super) async fn refused_window(stage: &Stage) -> Prepared {
    let messages = indexed(stage, 20).await;
    let migration = stage.backfill(FROM, TO).await;
    let range = TimeRange::new(instant(FROM), instant(TO)).unwrap();
    assert!(stage.ledger.open_window(migration, range).await.unwrap());
    refuse_every_query(stage).await;
    Prepared::of(messages)
}

pub(super) async fn refused_migration(stage: &Stage) -> Prepared {
    let prepared = due(stage).await;
    refuse_every_query(stage).await;
    prepared
}

async fn refuse_every_query(stage: &Stage) {
    stage
        .sql("UPDATE migration SET source_filter = '{\"no_such_query\": {}}' WHERE kind = 'backfill'")
        .await;
}

/// A window takes five requests, and its lease is renewed after two thirds of a second.
pub(super) async fn slow_source(stage: &Stage) -> Prepared {
    let network = Network::slow(stage, Duration::from_millis(400)).await;
    let prepared = due(stage).await.told("GRANARY_LEASE_SECONDS", "3");
    prepared.behind(network, "GRANARY_ES_URL")
}

pub(super) async fn late_message(stage: &Stage) -> Prepared {
    let mut messages = Document::many(20, 10..12);
    archived(stage, &messages).await;
    let late = Document::message("late", "2026-03-01T10:30:00Z");
    stage.index_messages(std::slice::from_ref(&late)).await;
    messages.push(late);
    stage
        .sql(
            "UPDATE harvest_window SET created_at = range_to + INTERVAL 2 MINUTE, \
             recorded_at = recorded_at - INTERVAL 2 DAY",
        )
        .await;
    Prepared::of(messages)
}
