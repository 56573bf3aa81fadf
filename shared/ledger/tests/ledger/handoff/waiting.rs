//! What waits at the end of the pipe: for how long, without a claim, and which of it is the continuous migration's.

use crate::stage::{LEASE, Stage, failure, whole};
use granary_domain::BatchId;
use granary_ledger::export::Claim;
use granary_ledger::handoff::{QueueLane, QueueState};
use granary_ledger::settings::Stage as JourneyStage;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

impl Stage {
    /// For how long something has waited in a queue, in whole minutes; `None`: nothing waits.
    async fn minutes_waited(&self, queue: QueueLane) -> Option<u64> {
        let waited = self
            .ledger
            .observe_waiting(queue, QueueState::Works)
            .await
            .unwrap();
        waited.map(|waited| waited.as_secs() / 60)
    }

    /// Lets time pass for what was observed, and for what was claimed.
    async fn let_minutes_pass(&self, minutes: u32) {
        for statement in [
            "UPDATE control SET changed_at = changed_at - INTERVAL {} MINUTE WHERE name LIKE 'waiting.%'",
            "UPDATE batch SET claimed_at = claimed_at - INTERVAL {} MINUTE, enqueued_at = enqueued_at - INTERVAL {} MINUTE",
        ] {
            let statement = statement.replace("{}", &minutes.to_string());
            self.database.sql(&statement).await;
        }
    }

    async fn make_urgent(&self, batch: BatchId) {
        let statement = format!("UPDATE batch SET priority = 7 WHERE id = {batch}");
        self.database.sql(&statement).await;
    }
}

#[tokio::test]
async fn a3_a_queue_waits_from_the_first_look_until_one_of_its_batches_is_claimed() {
    let stage = Stage::new().await;
    let normal = QueueLane::Normal;
    assert_eq!(stage.minutes_waited(normal).await, None);
    let waiting = stage.batch(&["waits"]).await;
    stage.mark_sent(&[waiting]).await;
    assert_eq!(stage.minutes_waited(normal).await, Some(0));
    assert_eq!(stage.minutes_waited(QueueLane::Priority).await, None);
    stage.let_minutes_pass(9).await;
    assert_eq!(stage.minutes_waited(normal).await, Some(9));

    let urgent = stage.batch(&["urgent"]).await;
    stage.make_urgent(urgent).await;
    stage.claim(urgent, "worker").await;
    assert_eq!(
        stage.minutes_waited(normal).await,
        Some(9),
        "that took the other queue"
    );
    // It is resent, as a batch is whose message the queue hides: it has waited all the same.
    stage.ledger.mark_unsent(waiting).await.unwrap();
    stage.let_minutes_pass(2).await;
    assert_eq!(stage.minutes_waited(normal).await, Some(11));

    let other = stage.batch(&["other"]).await;
    let other = stage.claim(other, "worker").await;
    assert_eq!(stage.minutes_waited(normal).await, Some(0));
    stage.ledger.settle(&other, &whole(&other)).await.unwrap();
    stage.let_minutes_pass(11).await;
    assert_eq!(stage.minutes_waited(normal).await, Some(11), "that was long ago");
    stage.claim(waiting, "worker").await;
    assert_eq!(stage.minutes_waited(normal).await, None);
    let observed: u64 = stage
        .database
        .row("SELECT COUNT(*) FROM control WHERE name LIKE 'waiting.%'")
        .await;
    assert_eq!(observed, 0);
}

#[tokio::test]
async fn a3_what_is_paused_or_not_due_does_not_wait_and_begins_to_when_it_is() {
    let stage = Stage::new().await;
    let normal = QueueLane::Normal;
    let batch = stage.batch(&["m"]).await;
    assert_eq!(stage.minutes_waited(normal).await, Some(0), "it is to be sent");
    stage.let_minutes_pass(20).await;
    stage.ledger.pause(JourneyStage::Export, "test").await.unwrap();
    assert_eq!(stage.minutes_waited(normal).await, None);
    stage.ledger.resume(JourneyStage::Export).await.unwrap();
    assert_eq!(stage.minutes_waited(normal).await, Some(0));

    let claimed = stage.claim(batch, "worker").await;
    stage.ledger.defer(&claimed, &failure(), MINUTE).await.unwrap();
    assert_eq!(stage.minutes_waited(normal).await, None);
    stage.let_delays_end().await;
    assert_eq!(stage.minutes_waited(normal).await, Some(0));
    stage
        .database
        .sql("UPDATE migration SET paused_at = UTC_TIMESTAMP(6)")
        .await;
    assert_eq!(stage.minutes_waited(normal).await, None);
}

/// 100,000 batches of a backfill that were sent three hours ago, of which one is claimed between two looks.
#[tokio::test]
async fn a3_a_long_backfill_waits_for_hours_and_is_not_stalled() {
    let stage = Stage::new().await;
    let first = stage.batch(&["m"]).await;
    let digit = "(SELECT 0 AS n UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4 \
                 UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9)";
    stage
        .database
        .sql(&format!(
            "INSERT INTO batch (migration_id, window_id, window_ordinal, hour_start, message_count, digest_high, digest_low, \
             time_from, time_to, created_at, enqueued_at, sends) SELECT b.migration_id, b.window_id, 1 + a.n + 10 * c.n + 100 * d.n + 1000 * e.n + 10000 * f.n, \
             b.hour_start, 1, 0, 0, b.time_from, b.time_to, b.created_at, UTC_TIMESTAMP(6) - INTERVAL 3 HOUR, 1 \
             FROM batch b, {digit} a, {digit} c, {digit} d, {digit} e, {digit} f WHERE b.id = {first}"
        ))
        .await;
    stage.mark_sent(&[first]).await;
    let ledger = &stage.ledger;
    for batch in first.0..first.0 + 3 {
        stage.minutes_waited(QueueLane::Normal).await;
        stage.let_minutes_pass(11).await;
        let claimed = ledger.claim(BatchId(batch), "worker", LEASE).await.unwrap();
        assert!(matches!(claimed, Claim::Won(_)), "{claimed:?}");
        assert_eq!(stage.minutes_waited(QueueLane::Normal).await, Some(0));
        assert_eq!(stage.minutes_waited(QueueLane::Priority).await, None);
        assert_eq!(ledger.continuous_waits(30 * MINUTE).await.unwrap(), None);
    }
    assert_eq!(ledger.believed_in(QueueLane::Normal).await.unwrap(), 99_998);
}

#[tokio::test]
async fn a3_a_batch_of_the_continuous_migration_waits_from_when_it_was_sent() {
    let stage = Stage::new().await;
    let batch = stage.batch(&["m"]).await;
    let waits = async || stage.ledger.continuous_waits(30 * MINUTE).await.unwrap();
    stage.mark_sent(&[batch]).await;
    stage.let_minutes_pass(31).await;
    assert_eq!(waits().await, None, "it is a backfill's");
    stage
        .database
        .sql("UPDATE migration SET kind = 'continuous', only_one = 'continuous', range_to = NULL")
        .await;
    let found = waits().await.expect("it waits");
    assert_eq!((found.batch_id, found.waited.as_secs() / 60), (batch, 31));
    assert!(
        stage
            .ledger
            .continuous_waits(32 * MINUTE)
            .await
            .unwrap()
            .is_none()
    );
    stage.ledger.pause(JourneyStage::Export, "test").await.unwrap();
    assert_eq!(waits().await, None);
    stage.ledger.resume(JourneyStage::Export).await.unwrap();
    stage.claim(batch, "worker").await;
    assert_eq!(waits().await, None);
}

#[tokio::test]
async fn a3_after_an_outage_of_sqs_a_queue_begins_to_wait_anew() {
    let stage = Stage::new().await;
    stage.batch(&["m"]).await;
    let minutes = async |state| {
        let waited = stage.ledger.observe_waiting(QueueLane::Normal, state).await;
        waited.unwrap().expect("it waits").as_secs() / 60
    };
    assert_eq!(minutes(QueueState::Works).await, 0);
    stage.let_minutes_pass(5).await;
    assert_eq!(minutes(QueueState::Fails).await, 5);
    assert_eq!(minutes(QueueState::Works).await, 5, "one failure is no outage");
    for _ in 0..5 {
        stage.let_minutes_pass(1).await;
        minutes(QueueState::Fails).await;
    }
    assert_eq!(minutes(QueueState::Fails).await, 10);
    assert_eq!(minutes(QueueState::Works).await, 0);
    stage.let_minutes_pass(11).await;
    assert_eq!(minutes(QueueState::Works).await, 11);
}
