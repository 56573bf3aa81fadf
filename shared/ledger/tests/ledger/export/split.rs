//! Splitting: a batch that was too large for two attempts becomes two, and each message has one owner all the while.

use crate::stage::{Stage, object_of, whole};
use granary_domain::{BatchId, Cause, Failure, Fence, Generation, MessageId};
use granary_ledger::export::{ClaimedBatch, Fenced};
use granary_ledger::handoff::QueueLane;
use granary_ledger::integrity::Bounds;
use std::time::Duration;

const DELAY: Duration = Duration::from_secs(30);

fn too_large(cause: Cause) -> Failure {
    Failure {
        cause,
        text: "the disk is full".to_owned(),
    }
}

/// One attempt that the batch is too large for.
async fn give_back(stage: &Stage, batch: BatchId, cause: Cause) -> ClaimedBatch {
    stage.let_delays_end().await;
    let claimed = stage.claim(batch, "worker").await;
    let ended = stage
        .ledger
        .defer_too_large(&claimed, &too_large(cause), DELAY, &object_of(&claimed))
        .await;
    assert_eq!(ended.unwrap(), Fenced::Done);
    claimed
}

async fn ids_of(stage: &Stage, batch: u64) -> Vec<String> {
    let query = format!(
        "SELECT CONVERT(message_id USING utf8mb4) FROM message WHERE batch_id = {batch} ORDER BY message_id"
    );
    stage.database.rows(&query).await
}

/// Number, status, attempts, generation, messages, deferrals, whether it is due.
type Row = (u64, String, u32, u32, u32, u32, bool);

async fn batches(stage: &Stage) -> Vec<Row> {
    let query = "SELECT id, status, attempts, generation, message_count, deferrals, \
         COALESCE(not_before <= UTC_TIMESTAMP(6), TRUE) FROM batch ORDER BY id";
    stage.database.rows(query).await
}

async fn assert_nothing_is_violated(stage: &Stage) {
    let bounds = Bounds {
        attempts_max: None,
        untold_max: Duration::ZERO,
    };
    let slice = stage.ledger.slice_after(BatchId(0), 100).await.unwrap().unwrap();
    assert_eq!(stage.ledger.violations_in(&slice, &bounds).await.unwrap(), []);
}

#[tokio::test]
async fn e14_a_batch_that_is_too_large_twice_is_split_in_two_and_no_attempt_counts() {
    for causes in [[Cause::Spool, Cause::Spool], [Cause::Deadline, Cause::Spool]] {
        let stage = Stage::new().await;
        let batch = stage.batch(&["a", "b", "c", "d", "e"]).await;
        if causes[0] == Cause::Deadline {
            let continuous =
                "UPDATE migration SET kind = 'continuous', only_one = 'continuous', range_to = NULL";
            stage.database.sql(continuous).await;
        }
        give_back(&stage, batch, causes[0]).await;
        let pending = || "pending".to_owned();
        assert_eq!(batches(&stage).await, [(batch.0, pending(), 0, 1, 5, 1, false)]);
        give_back(&stage, batch, causes[1]).await;
        let now = batches(&stage).await;
        let other = now[1].0;
        assert_eq!(
            now,
            [
                (batch.0, pending(), 0, 2, 3, 0, true),
                (other, pending(), 0, 1, 2, 0, true)
            ]
        );
        let (kept, moved) = (ids_of(&stage, batch.0).await, ids_of(&stage, other).await);
        assert_eq!((kept.len(), moved.len()), (3, 2));
        let mut all = [kept, moved].concat();
        all.sort_unstable();
        assert_eq!(all, ["a", "b", "c", "d", "e"]);
        assert_eq!(
            stage.ledger.unsent(None, 10).await.unwrap().len(),
            2,
            "both are sent at once"
        );
        assert_eq!(stage.ledger.believed_in(QueueLane::Normal).await.unwrap(), 0);

        let log: Vec<String> = stage
            .database
            .rows("SELECT error_text FROM attempt ORDER BY number")
            .await;
        assert_eq!(
            log,
            [
                "the disk is full".to_owned(),
                format!("the disk is full; the batch is split: its last 2 messages are batch {other}")
            ]
        );
        let effect: String = stage
            .database
            .row("SELECT effect FROM audit WHERE action = 'batch.split'")
            .await;
        assert_eq!(effect, format!(r#"{{"batch":{other},"messages":2}}"#));
        let alike: u64 = stage
            .database
            .row("SELECT COUNT(DISTINCT migration_id, window_id, hour_start, priority) FROM batch")
            .await;
        assert_eq!(alike, 1, "of the same migration, window, hour and priority");
        assert_nothing_is_violated(&stage).await;
    }
}

/// The answer of the commit may be lost.
#[tokio::test]
async fn a_split_that_is_asked_for_twice_is_done_once_and_a_stale_worker_splits_nothing() {
    let stage = Stage::new().await;
    let batch = stage.batch(&["a", "b", "c", "d"]).await;
    let first = give_back(&stage, batch, Cause::Spool).await;
    let second = give_back(&stage, batch, Cause::Spool).await;
    for (worker, ended) in [(&first, Fenced::Done), (&second, Fenced::Done)] {
        let again = stage
            .ledger
            .defer_too_large(worker, &too_large(Cause::Spool), DELAY, &object_of(worker))
            .await;
        assert_eq!(again.unwrap(), ended, "it ended so");
    }
    let stale = ClaimedBatch {
        fence: Fence(9),
        ..second
    };
    let refused = stage
        .ledger
        .defer_too_large(&stale, &too_large(Cause::Spool), DELAY, &object_of(&stale))
        .await;
    assert_eq!(refused.unwrap(), Fenced::Refused);
    assert_eq!(batches(&stage).await.len(), 2);
}

/// So neither has the key under which a worker of the whole batch may still write.
#[tokio::test]
async fn the_halves_are_split_further_and_never_have_the_key_of_the_whole() {
    let stage = Stage::new().await;
    let batch = stage.batch(&["a", "b", "c", "d"]).await;
    for _ in 0..2 {
        give_back(&stage, batch, Cause::Deadline).await;
    }
    for _ in 0..2 {
        give_back(&stage, batch, Cause::Deadline).await;
    }
    let superseded: Vec<(u32, String)> = stage
        .database
        .rows("SELECT generation, object_key FROM superseded_object ORDER BY generation")
        .await;
    assert_eq!(
        superseded.len(),
        2,
        "what was written of the whole goes only with proof"
    );
    let now = batches(&stage).await;
    let shapes: Vec<(u32, u32)> = now.iter().map(|row| (row.3, row.4)).collect();
    assert_eq!(shapes, [(3, 1), (1, 2), (1, 1)]);
    for (id, ..) in now {
        let claimed = stage.claim(BatchId(id), "worker").await;
        assert!(BatchId(id) != batch || claimed.generation > Generation(1));
        stage.ledger.settle(&claimed, &whole(&claimed)).await.unwrap();
    }
    assert_nothing_is_violated(&stage).await;
}

#[tokio::test]
async fn e14_a_batch_of_one_message_is_never_split_but_deferred() {
    let stage = Stage::new().await;
    let batch = stage.batch(&["a"]).await;
    for deferrals in 1..=4 {
        give_back(&stage, batch, Cause::Spool).await;
        assert_eq!(
            batches(&stage).await,
            [(batch.0, "pending".to_owned(), 0, 1, 1, deferrals, false)]
        );
    }
    let deferrals = stage.ledger.deferrals().await.unwrap();
    assert_eq!((deferrals[0].cause, deferrals[0].batches), (Cause::Spool, 1));
}

/// An outage says nothing about the size of a batch.
#[tokio::test]
async fn e12_deferrals_for_another_cause_split_nothing() {
    let stage = Stage::new().await;
    let batch = stage.batch(&["a", "b"]).await;
    for _ in 0..3 {
        stage.let_delays_end().await;
        let claimed = stage.claim(batch, "worker").await;
        let outage = too_large(Cause::SourceUnavailable);
        stage.ledger.defer(&claimed, &outage, DELAY).await.unwrap();
    }
    give_back(&stage, batch, Cause::Deadline).await;
    assert_eq!(batches(&stage).await.len(), 1);
}

/// What it has behind it counts in its generation alone.
#[tokio::test]
async fn e8_a_batch_that_is_fetched_one_by_one_keeps_its_messages_when_its_time_is_over() {
    let stage = Stage::new().await;
    let batch = stage.batch(&["a", "b"]).await;
    for _ in 0..3 {
        stage.let_delays_end().await;
        let claimed = stage.claim(batch, "worker").await;
        let in_hand: MessageId = "b".to_owned().try_into().unwrap();
        stage.ledger.suspect(&claimed, &in_hand).await.unwrap();
        stage
            .ledger
            .defer_too_large(&claimed, &too_large(Cause::Deadline), DELAY, &object_of(&claimed))
            .await
            .unwrap();
    }
    assert_eq!(batches(&stage).await.len(), 1);
    give_back(&stage, batch, Cause::Spool).await;
    assert_eq!(
        batches(&stage).await.len(),
        2,
        "the disk has no room for it, however it is fetched"
    );
}

/// Its old object holds all of its messages until the new one is on record.
#[tokio::test]
async fn e11_a_batch_with_an_object_on_record_is_not_split() {
    let stage = Stage::new().await;
    let batch = crate::export::re_export::completed(&stage).await;
    stage
        .database
        .sql("UPDATE batch SET status = 'pending', generation = 2, enqueued_at = NULL")
        .await;
    for _ in 0..3 {
        give_back(&stage, batch.id, Cause::Spool).await;
    }
    assert_eq!(batches(&stage).await.len(), 1);
}
