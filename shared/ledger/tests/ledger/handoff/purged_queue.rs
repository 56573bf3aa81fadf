//! What a purge of a queue takes with it is sent again, whatever happens in between.

use crate::stage::Stage;
use granary_domain::BatchId;
use granary_ledger::handoff::{PurgeNote, QueueLane};

/// A batch of the normal lane and one of the priority lane, both taken for sent.
async fn two_sent_batches(stage: &Stage) -> (BatchId, BatchId) {
    let (normal, urgent) = (stage.batch(&["m1"]).await, stage.batch(&["m2"]).await);
    stage
        .database
        .sql(&format!("UPDATE batch SET priority = 5 WHERE id = {urgent}"))
        .await;
    stage.mark_sent(&[normal, urgent]).await;
    (normal, urgent)
}

async fn unsent(stage: &Stage) -> Vec<BatchId> {
    let unsent = stage.ledger.unsent(None, 10).await.unwrap();
    unsent.iter().map(|unsent| unsent.batch_id).collect()
}

async fn note(stage: &Stage, queue: QueueLane) -> PurgeNote {
    stage.ledger.note_purge(queue, "test").await.unwrap();
    noted(stage, queue).await.expect("it is noted")
}

async fn noted(stage: &Stage, queue: QueueLane) -> Option<PurgeNote> {
    let notes = stage.ledger.noted_purges().await.unwrap();
    notes.into_iter().find(|note| note.queue == queue)
}

async fn let_minutes_pass(stage: &Stage, minutes: u32) {
    stage
        .database
        .sql(&format!(
            "UPDATE control SET changed_at = changed_at - INTERVAL {minutes} MINUTE WHERE name LIKE 'purge.%'"
        ))
        .await;
}

#[tokio::test]
async fn a_purged_queues_batches_are_unsent_and_the_other_queues_are_not() {
    let stage = Stage::new().await;
    let (normal, urgent) = two_sent_batches(&stage).await;
    assert_eq!(stage.ledger.believed_in(QueueLane::Normal).await.unwrap(), 1);
    let of_normal = note(&stage, QueueLane::Normal).await;
    assert_eq!(stage.ledger.put_back(&of_normal).await.unwrap(), 1);
    assert_eq!(
        stage.ledger.put_back(&of_normal).await.unwrap(),
        0,
        "twice is once"
    );
    assert_eq!(unsent(&stage).await, [normal]);
    assert_eq!(stage.ledger.believed_in(QueueLane::Normal).await.unwrap(), 0);
    assert_eq!(stage.ledger.believed_in(QueueLane::Priority).await.unwrap(), 1);
    let of_priority = note(&stage, QueueLane::Priority).await;
    assert_eq!(stage.ledger.put_back(&of_priority).await.unwrap(), 1);
    assert_eq!(unsent(&stage).await, [urgent, normal]);
}

#[tokio::test]
async fn what_is_sent_while_a_queue_is_purged_is_put_back_and_what_is_sent_later_is_not() {
    let stage = Stage::new().await;
    let (meanwhile, later) = (stage.batch(&["m1"]).await, stage.batch(&["m2"]).await);
    let note = note(&stage, QueueLane::Normal).await;
    stage.mark_sent(&[meanwhile, later]).await;
    for (batch, seconds) in [(meanwhile, 100), (later, 140)] {
        stage
            .database
            .sql(&format!(
                "UPDATE batch SET enqueued_at = (SELECT changed_at FROM control WHERE name = 'purge.batches') \
                 + INTERVAL {seconds} SECOND WHERE id = {batch}"
            ))
            .await;
    }
    assert_eq!(stage.ledger.put_back(&note).await.unwrap(), 1);
    assert_eq!(unsent(&stage).await, [meanwhile]);
}

#[tokio::test]
async fn a_batch_in_a_workers_hands_is_not_put_back() {
    let stage = Stage::new().await;
    let claimed = stage.claimed().await;
    stage.mark_sent(&[claimed.id]).await;
    let note = note(&stage, QueueLane::Normal).await;
    assert_eq!(stage.ledger.put_back(&note).await.unwrap(), 0);
    assert_eq!(stage.ledger.put_back_batches(&[claimed.id]).await.unwrap(), 0);
    assert_eq!(stage.status_of(claimed.id).await, "in_progress");
}

#[tokio::test]
async fn a_note_is_settled_after_two_minutes_and_forgotten_only_if_it_is_still_the_one() {
    let stage = Stage::new().await;
    let first = note(&stage, QueueLane::Normal).await;
    assert!(!first.is_settled);
    let_minutes_pass(&stage, 3).await;
    let first = noted(&stage, QueueLane::Normal).await.unwrap();
    assert!(first.is_settled);
    let second = note(&stage, QueueLane::Normal).await;
    assert!(!second.is_settled, "the queue is purged again");
    stage.ledger.forget_purge(&first).await.unwrap();
    assert_eq!(noted(&stage, QueueLane::Normal).await, Some(second));
    for _ in 0..2 {
        stage.ledger.forget_purge(&second).await.unwrap();
    }
    assert_eq!(stage.ledger.noted_purges().await.unwrap(), []);
}

#[tokio::test]
async fn batches_that_dead_letters_name_are_put_back_alone() {
    let stage = Stage::new().await;
    let (normal, urgent) = two_sent_batches(&stage).await;
    stage.ledger.put_back_batches(&[]).await.unwrap();
    let unknown = BatchId(1_000_000);
    assert_eq!(
        stage.ledger.put_back_batches(&[urgent, unknown]).await.unwrap(),
        1
    );
    assert_eq!(unsent(&stage).await, [urgent]);
    assert_eq!(stage.ledger.believed_in(QueueLane::Normal).await.unwrap(), 1);
    assert_eq!(stage.status_of(normal).await, "pending");
}
