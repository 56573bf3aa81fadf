//! The outbox: what has to be sent, and what was sent and got lost.

use crate::stage::Stage;
use granary_domain::BatchId;
use granary_ledger::{Stage as JourneyStage, Unsent};
use std::time::Duration;

const RESEND_AFTER: Duration = Duration::from_secs(600);

fn numbers(batches: &[Unsent]) -> Vec<BatchId> {
    batches.iter().map(|batch| batch.batch_id).collect()
}

async fn sent_minutes_ago(stage: &Stage, minutes: u32, sends: u32) {
    let statement = format!(
        "UPDATE batch SET enqueued_at = UTC_TIMESTAMP(6) - INTERVAL {minutes} MINUTE, sends = {sends}"
    );
    stage.database.sql(&statement).await;
}

#[tokio::test]
async fn what_is_recorded_is_unsent_until_it_is_marked() {
    let stage = Stage::new().await;
    let (first, second) = (stage.batch(&["m1"]).await, stage.batch(&["m2"]).await);
    assert_eq!(numbers(&stage.ledger.unsent(10).await.unwrap()), [first, second]);
    assert_eq!(numbers(&stage.ledger.unsent(1).await.unwrap()), [first]);
    stage.ledger.mark_sent(&[first]).await.unwrap();
    stage.ledger.mark_sent(&[]).await.unwrap();
    assert_eq!(numbers(&stage.ledger.unsent(10).await.unwrap()), [second]);
    assert_eq!(stage.ledger.believed_queued().await.unwrap().queued, 1);
    stage.ledger.mark_unsent(first).await.unwrap();
    assert_eq!(numbers(&stage.ledger.unsent(10).await.unwrap()), [first, second]);
}

#[tokio::test]
async fn the_most_urgent_batch_is_sent_first() {
    let stage = Stage::new().await;
    let (calm, urgent) = (stage.batch(&["m1"]).await, stage.batch(&["m2"]).await);
    stage
        .database
        .sql(&format!("UPDATE batch SET priority = 9 WHERE id = {urgent}"))
        .await;
    assert_eq!(numbers(&stage.ledger.unsent(10).await.unwrap()), [urgent, calm]);
}

#[tokio::test]
async fn a_batch_that_was_claimed_before_it_was_marked_stays_claimed() {
    let stage = Stage::new().await;
    let batch = stage.claimed().await;
    stage.ledger.mark_sent(&[batch.id]).await.unwrap();
    stage.ledger.mark_unsent(batch.id).await.unwrap();
    assert_eq!(stage.status_of(batch.id).await, "in_progress");
    assert_eq!(stage.ledger.believed_queued().await.unwrap().queued, 0);
}

#[tokio::test]
async fn q3_nothing_is_sent_while_it_is_paused() {
    let stage = Stage::new().await;
    let batch = stage.batch(&["m"]).await;
    let sendable = async || {
        let ledger = &stage.ledger;
        let unsent = ledger.unsent(10).await.unwrap().len();
        let perhaps = ledger.perhaps_lost(RESEND_AFTER, 10).await.unwrap().len();
        (unsent, perhaps, ledger.surely_lost(10).await.unwrap().len())
    };
    stage.ledger.pause(JourneyStage::Export, "test").await.unwrap();
    stage.ledger.pause(JourneyStage::Export, "again").await.unwrap();
    assert_eq!(sendable().await, (0, 0, 0));
    sent_minutes_ago(&stage, 15 * 24 * 60, 1).await;
    assert_eq!(sendable().await, (0, 0, 0));
    stage.ledger.resume(JourneyStage::Export).await.unwrap();
    assert_eq!(sendable().await, (0, 1, 1));
    stage.ledger.mark_unsent(batch).await.unwrap();
    assert_eq!(sendable().await, (1, 0, 0));
    stage
        .database
        .sql("UPDATE migration SET paused_at = UTC_TIMESTAMP(6)")
        .await;
    assert_eq!(sendable().await, (0, 0, 0));
}

#[tokio::test]
async fn q3_a_message_is_perhaps_lost_later_each_time_it_was_sent() {
    let stage = Stage::new().await;
    stage.batch(&["m"]).await;
    let perhaps_lost = async || {
        !stage
            .ledger
            .perhaps_lost(RESEND_AFTER, 10)
            .await
            .unwrap()
            .is_empty()
    };
    for (minutes, sends, lost) in [
        (9, 1, false),
        (11, 1, true),
        (19, 2, false),
        (21, 2, true),
        (39, 3, false),
        (41, 3, true),
        (719, 40, false),
        (721, 40, true),
    ] {
        sent_minutes_ago(&stage, minutes, sends).await;
        assert_eq!(
            perhaps_lost().await,
            lost,
            "sent {sends} times, {minutes} minutes ago"
        );
    }
}

#[tokio::test]
async fn q3_a_message_is_surely_lost_when_the_queue_has_forgotten_it() {
    let stage = Stage::new().await;
    let batch = stage.batch(&["m"]).await;
    sent_minutes_ago(&stage, 14 * 24 * 60 - 1, 40).await;
    assert!(stage.ledger.surely_lost(10).await.unwrap().is_empty());
    sent_minutes_ago(&stage, 14 * 24 * 60 + 1, 40).await;
    assert_eq!(numbers(&stage.ledger.surely_lost(10).await.unwrap()), [batch]);
}
