//! The outbox: what has to be sent, and what was sent and got lost.

use crate::stage::{Stage, failure};
use granary_domain::{BatchId, Fence, MigrationId, Priority};
use granary_ledger::handoff::{QueueLane, Unsent};
use granary_ledger::settings::Stage as JourneyStage;
use std::time::Duration;

const RESEND_AFTER: Duration = Duration::from_secs(600);

fn numbers(batches: &[Unsent]) -> Vec<BatchId> {
    batches.iter().map(|batch| batch.batch_id).collect()
}

impl Stage {
    /// Marks batches as sent that are as they were read.
    pub(crate) async fn mark_sent(&self, batches: &[BatchId]) {
        let mut sent = Vec::new();
        for batch in batches {
            let query = format!("SELECT fence, sends FROM batch WHERE id = {batch}");
            let (fence, sends): (u32, u32) = self.database.row(&query).await;
            sent.push(Unsent {
                batch_id: *batch,
                migration_id: MigrationId::new(),
                priority: Priority::NORMAL,
                fence: Fence(fence),
                sends,
            });
        }
        self.ledger.mark_sent(&sent).await.unwrap();
    }
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
    assert_eq!(
        numbers(&stage.ledger.unsent(None, 10).await.unwrap()),
        [first, second]
    );
    assert_eq!(numbers(&stage.ledger.unsent(None, 1).await.unwrap()), [first]);
    stage.mark_sent(&[first]).await;
    stage.mark_sent(&[]).await;
    assert_eq!(numbers(&stage.ledger.unsent(None, 10).await.unwrap()), [second]);
    assert_eq!(stage.ledger.believed_in(QueueLane::Normal).await.unwrap(), 1);
    stage.ledger.mark_unsent(first).await.unwrap();
    assert_eq!(
        numbers(&stage.ledger.unsent(None, 10).await.unwrap()),
        [first, second]
    );
}

#[tokio::test]
async fn the_most_urgent_batch_is_sent_first() {
    let stage = Stage::new().await;
    let (calm, urgent) = (stage.batch(&["m1"]).await, stage.batch(&["m2"]).await);
    stage
        .database
        .sql(&format!("UPDATE batch SET priority = 9 WHERE id = {urgent}"))
        .await;
    assert_eq!(
        numbers(&stage.ledger.unsent(None, 10).await.unwrap()),
        [urgent, calm]
    );
    for (queue, batch) in [(QueueLane::Normal, calm), (QueueLane::Priority, urgent)] {
        assert_eq!(
            numbers(&stage.ledger.unsent(Some(queue), 10).await.unwrap()),
            [batch]
        );
    }
}

#[tokio::test]
async fn a_batch_that_was_claimed_before_it_was_marked_stays_claimed() {
    let stage = Stage::new().await;
    let batch = stage.claimed().await;
    stage.mark_sent(&[batch.id]).await;
    stage.ledger.mark_unsent(batch.id).await.unwrap();
    assert_eq!(stage.status_of(batch.id).await, "in_progress");
    assert_eq!(stage.ledger.believed_in(QueueLane::Normal).await.unwrap(), 0);
}

#[tokio::test]
async fn a_batch_that_was_handed_back_before_it_was_marked_stays_unsent() {
    let stage = Stage::new().await;
    let (quick, calm) = (stage.batch(&["m1"]).await, stage.batch(&["m2"]).await);
    let read = stage.ledger.unsent(None, 10).await.unwrap();
    let claimed = stage.claim(quick, "shuts down").await;
    stage.ledger.hand_back(&claimed, &failure()).await.unwrap();
    stage.ledger.mark_sent(&read).await.unwrap();
    let unsent = stage.ledger.unsent(None, 10).await.unwrap();
    assert_eq!(numbers(&unsent), [quick], "the other one, {calm}, is sent");
    stage.ledger.mark_sent(&unsent).await.unwrap();
    assert!(stage.ledger.unsent(None, 10).await.unwrap().is_empty());
    assert_eq!(stage.ledger.believed_in(QueueLane::Normal).await.unwrap(), 2);
}

#[tokio::test]
async fn a_batch_whose_message_came_too_early_before_it_was_marked_stays_unsent() {
    let stage = Stage::new().await;
    let batch = stage.batch(&["m"]).await;
    let read = stage.ledger.unsent(None, 10).await.unwrap();
    stage.ledger.mark_unsent(batch).await.unwrap();
    stage.ledger.mark_sent(&read).await.unwrap();
    let unsent = stage.ledger.unsent(None, 10).await.unwrap();
    assert_eq!((numbers(&unsent), unsent[0].sends), (vec![batch], 1));
    stage.ledger.mark_sent(&unsent).await.unwrap();
    stage.ledger.mark_unsent(batch).await.unwrap();
    let unsent = stage.ledger.unsent(None, 10).await.unwrap();
    assert_eq!(unsent[0].sends, 2, "marked in time, it was counted already");
}

#[tokio::test]
async fn a_batch_is_marked_once_though_two_sent_it() {
    let stage = Stage::new().await;
    stage.batch(&["m"]).await;
    let read = stage.ledger.unsent(None, 10).await.unwrap();
    stage.ledger.mark_sent(&read).await.unwrap();
    stage.ledger.mark_sent(&read).await.unwrap();
    assert_eq!(stage.database.row::<u32>("SELECT sends FROM batch").await, 1);
}

#[tokio::test]
async fn q3_nothing_is_sent_while_it_is_paused() {
    let stage = Stage::new().await;
    let batch = stage.batch(&["m"]).await;
    let sendable = async || {
        let ledger = &stage.ledger;
        let unsent = ledger.unsent(None, 10).await.unwrap().len();
        let perhaps = ledger
            .perhaps_lost(QueueLane::Normal, RESEND_AFTER, 10)
            .await
            .unwrap()
            .len();
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
            .perhaps_lost(QueueLane::Normal, RESEND_AFTER, 10)
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

/// A batch that was deferred often is resent as soon as any other.
#[tokio::test]
async fn q3_a_claim_starts_the_count_of_sends_again() {
    let stage = Stage::new().await;
    let batch = stage.batch(&["m"]).await;
    stage.mark_sent(&[batch]).await;
    let claimed = stage.claim(batch, "shuts down").await;
    stage.ledger.hand_back(&claimed, &failure()).await.unwrap();
    stage.mark_sent(&[batch]).await;
    assert_eq!(stage.database.row::<u32>("SELECT sends FROM batch").await, 1);
}

/// The queue is idle since the first observation in a row, and a gap between two observations starts it again.
#[tokio::test]
async fn q3_batches_are_hidden_only_after_two_minutes_of_observations_without_a_visible_message() {
    let stage = Stage::new().await;
    let batch = stage.batch(&["m"]).await;
    sent_minutes_ago(&stage, 5, 1).await;
    let (ledger, queue) = (&stage.ledger, QueueLane::Normal);
    let hidden = async || numbers(&ledger.perhaps_hidden(queue, 10).await.unwrap());
    let pass = async |minutes: u32, of: &str| {
        let statement =
            format!("UPDATE control SET {of} = {of} - INTERVAL {minutes} MINUTE WHERE name LIKE 'idle.%'");
        stage.database.sql(&statement).await;
    };
    assert_eq!(hidden().await, [], "nobody has looked");
    ledger.observe_queue(queue, 0).await.unwrap();
    pass(1, "changed_at").await;
    ledger.observe_queue(queue, 0).await.unwrap();
    assert_eq!(hidden().await, [], "one minute");
    pass(1, "changed_at").await;
    assert_eq!(hidden().await, [batch]);
    assert_eq!(
        ledger
            .perhaps_hidden(QueueLane::Priority, 10)
            .await
            .unwrap()
            .len(),
        0
    );
    sent_minutes_ago(&stage, 3, 2).await;
    assert_eq!(hidden().await, [], "sent twice: after four minutes");
    sent_minutes_ago(&stage, 5, 2).await;

    pass(3, "setting").await;
    ledger.observe_queue(queue, 0).await.unwrap();
    assert_eq!(hidden().await, [], "nobody has looked for three minutes");
    pass(2, "changed_at").await;
    assert_eq!(hidden().await, [batch]);
    ledger.observe_queue(queue, 1).await.unwrap();
    assert_eq!(hidden().await, [], "a message is visible");
}

#[tokio::test]
async fn q3_each_queue_has_its_own_lost_messages() {
    let stage = Stage::new().await;
    let (calm, urgent) = (stage.batch(&["m1"]).await, stage.batch(&["m2"]).await);
    stage
        .database
        .sql(&format!("UPDATE batch SET priority = 9 WHERE id = {urgent}"))
        .await;
    sent_minutes_ago(&stage, 11, 1).await;
    for (queue, batch) in [(QueueLane::Normal, calm), (QueueLane::Priority, urgent)] {
        let lost = stage.ledger.perhaps_lost(queue, RESEND_AFTER, 1).await.unwrap();
        assert_eq!(numbers(&lost), [batch]);
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
