//! Reaping and retrying: nothing stays in dead hands, and nothing is tried for ever.

use crate::stage::{ATTEMPTS_MAX, BACKOFF, Stage, failure, object_of, whole};
use granary_domain::BatchId;
use granary_ledger::export::{AtMost, Fenced, Retryable};
use std::time::Duration;

#[tokio::test]
async fn e9_a_batch_whose_lease_is_over_is_taken_back() {
    let stage = Stage::new().await;
    let batch = stage.claimed().await;
    assert!(
        stage
            .ledger
            .reap_dead(BACKOFF, ATTEMPTS_MAX)
            .await
            .unwrap()
            .batches
            .is_empty()
    );
    stage.reap(batch.id).await;
    let row: (String, u32, u32, Option<String>, String) = stage
        .database
        .row("SELECT status, fence, attempts, holder, error_code FROM batch")
        .await;
    assert_eq!(row, ("failed".into(), 2, 1, None, "worker_died".into()));
    let attempt: (u32, String, bool) = stage
        .database
        .row("SELECT number, outcome, ended_at IS NOT NULL FROM attempt")
        .await;
    assert_eq!(attempt, (1, "reaped".into(), true));
    assert!(
        stage
            .ledger
            .reap_dead(BACKOFF, ATTEMPTS_MAX)
            .await
            .unwrap()
            .batches
            .is_empty()
    );
}

#[tokio::test]
async fn two_reapers_at_once_take_each_batch_back_once() {
    let stage = Stage::new().await;
    for number in 0..10 {
        let batch = stage.batch(&[&format!("m{number}")]).await;
        stage.claim(batch, "worker").await;
        stage.let_lease_end(batch).await;
    }
    let other = stage.database.ledger().await;
    let (one, another) = tokio::join!(
        stage.ledger.reap_dead(BACKOFF, ATTEMPTS_MAX),
        other.reap_dead(BACKOFF, ATTEMPTS_MAX)
    );
    assert_eq!(one.unwrap().batches.len() + another.unwrap().batches.len(), 10);
    let fences: Vec<u32> = stage.database.rows("SELECT DISTINCT fence FROM batch").await;
    assert_eq!(fences, [2]);
}

#[tokio::test]
async fn a_reaped_batch_waits_no_longer_than_its_backoff() {
    let stage = Stage::new().await;
    let batch = stage.claimed().await;
    stage.reap(batch.id).await;
    let micros: i64 = stage
        .database
        .row("SELECT TIMESTAMPDIFF(MICROSECOND, UTC_TIMESTAMP(6), not_before) FROM batch")
        .await;
    assert!(micros <= 5_000_000, "{micros}");
}

#[tokio::test]
async fn a_failed_batch_is_retried_when_it_is_due_and_not_before() {
    let stage = Stage::new().await;
    let sent = stage.batch(&["m"]).await;
    stage.mark_sent(&[sent]).await;
    let batch = stage.claim(sent, "the first").await;
    stage
        .ledger
        .fail(&batch, &failure(), Duration::from_secs(60), ATTEMPTS_MAX)
        .await
        .unwrap();
    assert_eq!(stage.ledger.retry_failed().await.unwrap(), 0);
    stage.let_delays_end().await;
    assert_eq!(stage.ledger.retry_failed().await.unwrap(), 1);
    assert_eq!(stage.ledger.unsent(None, 10).await.unwrap()[0].batch_id, batch.id);
    assert_eq!(stage.claim(batch.id, "the next").await.attempts, 2);
}

#[tokio::test]
async fn a_smaller_number_is_taken_back_and_retried_and_a_delay_may_be_cut_short() {
    let stage = Stage::new().await;
    for id in ["a", "b", "c"] {
        let batch = stage.batch(&[id]).await;
        stage.mark_sent(&[batch]).await;
        stage.claim(batch, id).await;
        stage.let_lease_end(batch).await;
    }
    for left in [2, 1, 0] {
        let reaped = stage.ledger.reap_some(BACKOFF, ATTEMPTS_MAX, AtMost(1)).await;
        assert_eq!(reaped.unwrap().batches.len(), 1);
        let dead = stage.ledger.due_work().await.unwrap().dead_workers;
        assert_eq!(dead, left);
    }
    let hour = "UPDATE batch SET not_before = UTC_TIMESTAMP(6) + INTERVAL 1 HOUR";
    stage.database.sql(hour).await;
    let retry = async |which| stage.ledger.retry_some(which, AtMost(2)).await.unwrap();
    assert_eq!(retry(Retryable::Due).await, 0, "none is due");
    assert_eq!((retry(Retryable::All).await, retry(Retryable::All).await), (2, 1));
    assert_eq!(stage.ledger.unsent(None, 10).await.unwrap().len(), 3);
}

/// Claims and loses a batch until no attempt is left; `dies`: by dying, else by failing.
async fn use_up_attempts(stage: &Stage, batch: BatchId, ends: Ends) {
    for attempt in 1..=ATTEMPTS_MAX {
        let claimed = stage.claim(batch, &format!("worker {attempt}")).await;
        match ends {
            Ends::Dying => stage.reap(batch).await,
            Ends::Failing => {
                let ended = stage
                    .ledger
                    .fail(&claimed, &failure(), Duration::ZERO, ATTEMPTS_MAX)
                    .await;
                ended.unwrap();
            }
        }
        stage.let_delays_end().await;
        stage.ledger.retry_failed().await.unwrap();
    }
}

#[derive(Clone, Copy)]
enum Ends {
    Dying,
    Failing,
}

#[tokio::test]
async fn a2_a_batch_without_an_attempt_left_is_parked_and_alerted_once() {
    for ends in [Ends::Dying, Ends::Failing] {
        let stage = Stage::new().await;
        let batch = stage.batch(&["m"]).await;
        use_up_attempts(&stage, batch, ends).await;
        let row: (String, bool, u32) = stage
            .database
            .row("SELECT status, parked_at IS NOT NULL, attempts FROM batch")
            .await;
        assert_eq!(row, ("failed".into(), true, ATTEMPTS_MAX));
        assert!(stage.ledger.unsent(None, 10).await.unwrap().is_empty());
        let alerts = stage.ledger.unpublished_alerts(10).await.unwrap();
        assert_eq!(alerts.len(), 1);
        assert_eq!(alerts[0].kind, "parked");
        assert!(
            alerts[0].text.contains(&format!("batch {batch}")),
            "{}",
            alerts[0].text
        );
    }
}

/// Many at once: each is counted with its parking.
#[tokio::test]
async fn a2_two_reapers_at_once_write_one_alert_that_counts_each_batch_that_they_park() {
    let stage = Stage::new().await;
    for number in 0..5 {
        let batch = stage.batch(&[&format!("m{number}")]).await;
        stage.claim(batch, "dies").await;
        stage.let_lease_end(batch).await;
    }
    let other = stage.database.ledger().await;
    let (one, another) = tokio::join!(stage.ledger.reap_dead(BACKOFF, 1), other.reap_dead(BACKOFF, 1));
    assert_eq!(one.unwrap().batches.len() + another.unwrap().batches.len(), 5);
    let alerts = stage.ledger.unpublished_alerts(10).await.unwrap();
    assert_eq!((alerts.len(), alerts[0].occurrences), (1, 5));
}

/// Somebody took the row of an attempt away: its batch goes on all the same.
#[tokio::test]
async fn h14_a_batch_whose_attempt_has_no_row_is_settled_failed_deferred_and_taken_back() {
    let stage = Stage::new().await;
    let ledger = &stage.ledger;
    let ids = ["settled", "failed", "deferred", "split", "dead"];
    let mut claimed = Vec::new();
    for id in ids {
        let batch = stage.batch(&[id]).await;
        claimed.push(stage.claim(batch, "worker").await);
    }
    stage.let_lease_end(claimed[4].id).await;
    stage.database.sql("DELETE FROM attempt").await;

    let (failure, delay) = (failure(), Duration::ZERO);
    let settled = ledger.settle(&claimed[0], &whole(&claimed[0])).await.unwrap();
    let failed = ledger.fail(&claimed[1], &failure, delay, 1).await.unwrap();
    let deferred = ledger.defer(&claimed[2], &failure, delay).await.unwrap();
    let object = object_of(&claimed[3]);
    let too_large = ledger
        .defer_too_large(&claimed[3], &failure, delay, &object)
        .await;
    assert_eq!([settled, failed, deferred, too_large.unwrap()], [Fenced::Done; 4]);
    let reaped = ledger.reap_dead(BACKOFF, ATTEMPTS_MAX).await.unwrap();
    assert_eq!(reaped.batches, [claimed[4].id]);
    assert_eq!(ledger.reap_dead(BACKOFF, ATTEMPTS_MAX).await.unwrap().batches, []);
    let statuses: Vec<String> = stage.database.rows("SELECT status FROM batch ORDER BY id").await;
    assert_eq!(statuses, ["completed", "failed", "pending", "pending", "failed"]);
}
