//! Ending an attempt: once, and only by whoever holds the batch.

use crate::stage::{ATTEMPTS_MAX, Stage, failure, whole};
use granary_domain::{Generation, MessageId, Outcome};
use granary_ledger::export::{ClaimedBatch, Exception, Fenced, Settlement};
use std::time::Duration;

const DELAY: Duration = Duration::from_secs(60);

/// Everything that a worker can do at the end of an attempt.
async fn every_ending(stage: &Stage, batch: &ClaimedBatch) -> [Fenced; 4] {
    let ledger = &stage.ledger;
    [
        ledger.settle(batch, &whole(batch)).await.unwrap(),
        ledger.fail(batch, &failure(), DELAY, ATTEMPTS_MAX).await.unwrap(),
        ledger.defer(batch, &failure(), DELAY).await.unwrap(),
        ledger.hand_back(batch, &failure()).await.unwrap(),
    ]
}

#[tokio::test]
async fn e11_a_stale_worker_changes_nothing_after_it_was_reaped() {
    let stage = Stage::new().await;
    let stale = stage.claimed().await;
    stage.reap(stale.id).await;
    assert_eq!(every_ending(&stage, &stale).await, [Fenced::Refused; 4]);
    assert_eq!(stage.status_of(stale.id).await, "failed");

    stage.let_delays_end().await;
    stage.ledger.retry_failed().await.unwrap();
    let current = stage.claim(stale.id, "the next").await;
    assert_eq!(every_ending(&stage, &stale).await, [Fenced::Refused; 4]);
    assert_eq!(
        stage.ledger.record_exceptions(&stale, &[]).await.unwrap(),
        Fenced::Refused
    );
    assert_eq!(stage.ledger.next_generation(&stale).await.unwrap(), None);
    assert_eq!(
        stage.ledger.settle(&current, &whole(&current)).await.unwrap(),
        Fenced::Done
    );
}

#[tokio::test]
async fn e10_a_worker_whose_migration_was_cancelled_changes_nothing() {
    let stage = Stage::new().await;
    let batch = stage.claimed().await;
    stage.ledger.cancel_migration(batch.migration_id).await.unwrap();
    stage.ledger.release_cancelled().await.unwrap();
    assert_eq!(every_ending(&stage, &batch).await, [Fenced::Refused; 4]);
    assert_eq!(stage.status_of(batch.id).await, "cancelled");
}

#[tokio::test]
async fn e13_a_settlement_whose_answer_was_lost_is_found_done() {
    let stage = Stage::new().await;
    let batch = stage.claimed().await;
    for _ in 0..2 {
        assert_eq!(
            stage.ledger.settle(&batch, &whole(&batch)).await.unwrap(),
            Fenced::Done
        );
    }
    let (key, sha256, timings): (String, String, String) = stage
        .database
        .row(
            "SELECT object_key, HEX(sha256), timings FROM batch b JOIN attempt a ON a.batch_id = b.id \
             WHERE b.status = 'completed' AND a.outcome = 'completed' AND a.ended_at IS NOT NULL",
        )
        .await;
    assert_eq!(key, whole(&batch).object.unwrap().as_str());
    assert_eq!((sha256, timings), ("07".repeat(32), whole(&batch).timings));
}

#[tokio::test]
async fn the_other_endings_are_found_done_as_well() {
    let stage = Stage::new().await;
    for number in 0..3 {
        let batch = stage.batch(&[&format!("m{number}")]).await;
        let batch = stage.claim(batch, "worker").await;
        for _ in 0..2 {
            let ended = match number {
                0 => stage.ledger.fail(&batch, &failure(), DELAY, ATTEMPTS_MAX).await,
                1 => stage.ledger.defer(&batch, &failure(), DELAY).await,
                _ => stage.ledger.hand_back(&batch, &failure()).await,
            };
            assert_eq!(ended.unwrap(), Fenced::Done);
        }
    }
    let attempts: Vec<u32> = stage
        .database
        .rows("SELECT attempts FROM batch ORDER BY id")
        .await;
    assert_eq!(attempts, [1, 0, 0], "and nothing was counted twice");
}

#[tokio::test]
async fn e15_a_batch_without_any_document_settles_without_an_object() {
    let stage = Stage::new().await;
    let batch = stage.claimed().await;
    let nothing = Settlement {
        object: None,
        sha256: None,
        bytes_raw: 0,
        bytes_stored: 0,
        exported: 0,
        missing: 2,
        quarantined: 1,
        timings: "{}".into(),
    };
    assert_eq!(stage.ledger.settle(&batch, &nothing).await.unwrap(), Fenced::Done);
    assert_eq!(stage.status_of(batch.id).await, "completed");
}

#[tokio::test]
async fn a_settlement_that_does_not_add_up_is_an_error_and_the_batch_stays_held() {
    let stage = Stage::new().await;
    let batch = stage.claimed().await;
    let short = Settlement {
        exported: 2,
        ..whole(&batch)
    };
    let without_key = Settlement {
        object: None,
        ..whole(&batch)
    };
    let without_sum = Settlement {
        sha256: None,
        ..whole(&batch)
    };
    for settlement in [short, without_key, without_sum] {
        let refused = stage.ledger.settle(&batch, &settlement).await.unwrap_err();
        assert!(!refused.is_platforms());
        assert_eq!(stage.status_of(batch.id).await, "in_progress");
    }
}

#[tokio::test]
async fn a_deferred_batch_burns_no_attempt_and_waits() {
    let stage = Stage::new().await;
    let batch = stage.claimed().await;
    stage.mark_sent(&[batch.id]).await;
    stage.ledger.defer(&batch, &failure(), DELAY).await.unwrap();
    assert!(
        stage.ledger.unsent(None, 10).await.unwrap().is_empty(),
        "it isn't due"
    );
    stage.let_delays_end().await;
    assert_eq!(stage.ledger.unsent(None, 10).await.unwrap()[0].batch_id, batch.id);
    let again = stage.claim(batch.id, "the next").await;
    assert_eq!((again.attempts, again.deferrals), (1, 1));
    stage.ledger.settle(&again, &whole(&again)).await.unwrap();
    let (deferrals, since): (u32, Option<String>) = stage
        .database
        .row("SELECT deferrals, CAST(deferred_since AS CHAR) FROM batch")
        .await;
    assert_eq!((deferrals, since), (0, None));
}

#[tokio::test]
async fn e9_a_batch_that_was_handed_back_is_sent_again_at_once() {
    let stage = Stage::new().await;
    let batch = stage.claimed().await;
    stage.ledger.hand_back(&batch, &failure()).await.unwrap();
    assert_eq!(stage.ledger.unsent(None, 10).await.unwrap()[0].batch_id, batch.id);
    assert_eq!(stage.claim(batch.id, "the next").await.attempts, 1);
}

#[tokio::test]
async fn exceptions_replace_what_an_earlier_attempt_found() {
    let stage = Stage::new().await;
    let batch = stage.claimed().await;
    let exception = |id: &str, outcome, reason: &str| Exception {
        message_id: MessageId::try_from(id.to_owned()).unwrap(),
        outcome,
        reason: reason.into(),
    };
    let first = [
        exception("m1", Outcome::Missing, "gone"),
        exception("m2", Outcome::Quarantined, "too large"),
    ];
    let second = [
        exception("m3", Outcome::Missing, &"long 🚚".repeat(200)),
        exception("other", Outcome::Missing, ""),
    ];
    for _ in 0..2 {
        assert_eq!(
            stage.ledger.record_exceptions(&batch, &first).await.unwrap(),
            Fenced::Done
        );
    }
    stage.ledger.record_exceptions(&batch, &second).await.unwrap();
    let found: Vec<_> = stage
        .ledger
        .messages_of(batch.id)
        .await
        .unwrap()
        .into_iter()
        .map(|message| {
            message
                .exception
                .map(|(outcome, reason)| (outcome, reason.chars().count()))
        })
        .collect();
    assert_eq!(found, [None, None, Some((Outcome::Missing, 500))]);
}

#[tokio::test]
async fn e13_the_next_generation_is_the_same_when_it_is_asked_for_twice() {
    let stage = Stage::new().await;
    let batch = stage.claimed().await;
    for _ in 0..2 {
        assert_eq!(
            stage.ledger.next_generation(&batch).await.unwrap(),
            Some(Generation(2))
        );
    }
    stage.reap(batch.id).await;
    assert_eq!(stage.ledger.next_generation(&batch).await.unwrap(), None);
}
