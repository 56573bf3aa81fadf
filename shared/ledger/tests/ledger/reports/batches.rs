//! Batches as people look at them: which ones a filter means, what a row says, and the log of its attempts.

use crate::export::re_export::{completed, parked};
use crate::stage::{ATTEMPTS_MAX, Stage, failure, instant, object_of, seen_at, whole};
use granary_domain::{BatchId, BatchStatus, Cause, MigrationKind, TimeRange};
use granary_ledger::harvest::MigrationFilter;
use granary_ledger::reports::{BatchFilter, Parked};
use std::time::Duration;

async fn listed(stage: &Stage, filter: BatchFilter) -> Vec<BatchId> {
    let batches = stage.ledger.batches(&filter, None, 100).await.unwrap();
    batches.iter().map(|batch| batch.id).collect()
}

fn in_status(status: BatchStatus) -> BatchFilter {
    BatchFilter {
        status: Some(status),
        ..BatchFilter::default()
    }
}

#[tokio::test]
async fn batches_are_listed_with_the_newest_first_and_go_on_below_a_number() {
    let stage = Stage::new().await;
    let mut all = Vec::new();
    for id in ["a", "b", "c"] {
        all.push(stage.batch(&[id]).await);
    }
    let newest_first: Vec<BatchId> = all.iter().rev().copied().collect();
    assert_eq!(listed(&stage, BatchFilter::default()).await, newest_first);
    let page = stage
        .ledger
        .batches(&BatchFilter::default(), Some(all[2]), 1)
        .await
        .unwrap();
    assert_eq!(page.iter().map(|batch| batch.id).collect::<Vec<_>>(), [all[1]]);
    let numbers = stage
        .ledger
        .batch_numbers(&BatchFilter::default(), all[0], 10)
        .await
        .unwrap();
    assert_eq!(numbers, all[1..], "in their order, from above the first");
}

#[tokio::test]
async fn a_filter_means_what_all_of_it_says() {
    let stage = Stage::new().await;
    let parked = parked(&stage, &["p"]).await;
    let failed = stage.batch(&["f"]).await;
    let claimed = stage.claim(failed, "worker").await;
    let delay = Duration::from_secs(60);
    stage
        .ledger
        .fail(&claimed, &failure(), delay, ATTEMPTS_MAX)
        .await
        .unwrap();
    let pending = stage.batch(&["w"]).await;

    assert_eq!(listed(&stage, in_status(BatchStatus::Pending)).await, [pending]);
    assert_eq!(
        listed(&stage, in_status(BatchStatus::Failed)).await,
        [failed, parked]
    );
    let without_attempts = BatchFilter {
        parked: Parked::Only,
        ..BatchFilter::default()
    };
    assert_eq!(listed(&stage, without_attempts).await, [parked]);
    let of_cause = |cause| BatchFilter {
        cause: Some(cause),
        ..BatchFilter::default()
    };
    assert_eq!(listed(&stage, of_cause(Cause::Spool)).await, [failed, parked]);
    assert_eq!(listed(&stage, of_cause(Cause::Deadline)).await, []);
    let row = stage.ledger.batch(failed).await.unwrap().unwrap();
    let of_migration = BatchFilter {
        migration: Some(row.migration_id),
        kind: Some(MigrationKind::Backfill),
        ..BatchFilter::default()
    };
    assert_eq!(listed(&stage, of_migration).await, [failed]);
    let of_kind = BatchFilter {
        kind: Some(MigrationKind::Continuous),
        ..BatchFilter::default()
    };
    assert_eq!(listed(&stage, of_kind).await, []);
}

#[tokio::test]
async fn hours_are_meant_from_the_one_on_that_an_instant_lies_in() {
    let stage = Stage::new().await;
    let mut window = stage.window(10).await;
    let messages = [
        seen_at("nine", "2026-01-01T09:59:59Z"),
        seen_at("ten", "2026-01-01T10:00:00Z"),
        seen_at("eleven", "2026-01-01T11:30:00Z"),
    ];
    stage.record(&mut window, &messages).await;
    let hours = async |from: &str, to: &str| {
        let filter = BatchFilter {
            from: Some(instant(from)),
            to: Some(instant(to)),
            ..BatchFilter::default()
        };
        let batches = stage.ledger.batches(&filter, None, 10).await.unwrap();
        let hours = batches.iter().map(|batch| batch.hour.hour_of_day());
        hours.collect::<Vec<_>>()
    };
    assert_eq!(
        hours("2026-01-01T10:30:00Z", "2026-01-01T11:30:00Z").await,
        ["11", "10"]
    );
    assert_eq!(
        hours("2026-01-01T09:00:00Z", "2026-01-01T10:00:00Z").await,
        ["09"]
    );
}

#[tokio::test]
async fn a_batch_says_what_became_of_it_and_its_attempts_say_how() {
    let stage = Stage::new().await;
    let id = stage.batch(&["m1", "m2", "m3"]).await;
    assert!(stage.ledger.batch(BatchId(4_711)).await.unwrap().is_none());
    let untried = stage.ledger.batch(id).await.unwrap().unwrap();
    assert_eq!(
        (
            untried.status,
            untried.messages,
            untried.processing,
            &untried.object
        ),
        (BatchStatus::Pending, 3, None, &None)
    );
    let first = stage.claim(id, "one").await;
    let delay = Duration::ZERO;
    stage
        .ledger
        .fail(&first, &failure(), delay, ATTEMPTS_MAX)
        .await
        .unwrap();
    stage.ledger.retry_failed().await.unwrap();
    let second = stage.claim(id, "another").await;
    let held = stage.ledger.batch(id).await.unwrap().unwrap();
    assert_eq!(held.holder.as_deref(), Some("another"));
    assert!(held.processing.is_some(), "of the attempt in flight");
    stage.ledger.settle(&second, &whole(&second)).await.unwrap();
    stage
        .database
        .sql("UPDATE attempt SET started_at = ended_at - INTERVAL 1500000 MICROSECOND WHERE number = 2")
        .await;

    let done = stage.ledger.batch(id).await.unwrap().unwrap();
    let object = done.object.unwrap();
    assert_eq!(object.key, object_of(&second));
    assert_eq!(object.sha256.as_deref(), Some("07".repeat(32).as_str()));
    assert_eq!((object.bytes_raw, object.bytes_stored), (300, 100));
    assert_eq!(
        (done.status, done.exported, done.error_code, done.kind),
        (BatchStatus::Completed, Some(3), None, MigrationKind::Backfill)
    );
    assert_eq!(done.processing, Some(Duration::from_millis(1_500)));

    let attempts = stage.ledger.attempts_of(id, 10).await.unwrap();
    let told: Vec<_> = attempts
        .iter()
        .map(|attempt| {
            (
                attempt.number,
                attempt.worker.as_str(),
                attempt.outcome.as_deref(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [(2, "another", Some("completed")), (1, "one", Some("failed"))]
    );
    assert_eq!(attempts[0].timings, Some(serde_json::json!({"read": 1})));
    assert_eq!(attempts[0].took, Duration::from_millis(1_500));
    assert_eq!(attempts[1].error_code.as_deref(), Some("spool"));
    assert_eq!(stage.ledger.attempts_of(id, 1).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_batch_that_an_operator_sent_again_says_when_and_how_often() {
    let stage = Stage::new().await;
    let id = parked(&stage, &["p"]).await;
    let before = stage.ledger.batch(id).await.unwrap().unwrap();
    assert_eq!((before.retry_count, before.retried_at), (0, None));
    assert!(before.parked_at.is_some());
    assert_eq!(stage.ledger.unpark(&[id]).await.unwrap(), 1);
    let after = stage.ledger.batch(id).await.unwrap().unwrap();
    assert_eq!((after.retry_count, after.parked_at), (1, None));
    let retried_at = after.retried_at.unwrap();
    assert_eq!(stage.ledger.unpark(&[id]).await.unwrap(), 0);
    let again = stage.ledger.batch(id).await.unwrap().unwrap();
    assert_eq!(
        (again.retry_count, again.retried_at),
        (1, Some(retried_at)),
        "asked twice is asked once"
    );
}

#[tokio::test]
async fn a_completed_batch_is_measured_by_its_newest_export() {
    let stage = Stage::new().await;
    assert_eq!(stage.ledger.measured_exports(10).await.unwrap(), []);
    completed(&stage).await;
    let measured = stage.ledger.measured_exports(10).await.unwrap();
    assert_eq!(measured.len(), 1);
    assert_eq!(
        (
            measured[0].exported,
            measured[0].bytes_raw,
            measured[0].bytes_stored
        ),
        (3, 300, 100)
    );
    assert!(measured[0].started_at <= measured[0].ended_at);
    stage
        .database
        .sql("UPDATE attempt SET started_at = started_at - INTERVAL 31 DAY, ended_at = ended_at - INTERVAL 31 DAY")
        .await;
    assert_eq!(
        stage.ledger.measured_exports(10).await.unwrap(),
        [],
        "long ago says nothing of today"
    );
}

#[tokio::test]
async fn migrations_are_found_by_the_event_times_that_they_cover() {
    let stage = Stage::new().await;
    let range = |from: &str, to: &str| TimeRange::new(instant(from), instant(to)).unwrap();
    let (nine, ten, eleven) = (
        "2026-11-22T09:00:00Z",
        "2026-11-22T10:00:00Z",
        "2026-11-22T11:00:00Z",
    );
    let early = stage.backfill(range(nine, ten), 10).await;
    let late = stage.backfill(range(ten, eleven), 10).await;
    let found = async |from: Option<&str>, to: Option<&str>| {
        let filter = MigrationFilter {
            from: from.map(instant),
            to: to.map(instant),
            limit: 10,
            ..MigrationFilter::default()
        };
        let found = stage.ledger.migrations(filter).await.unwrap();
        found.iter().map(|migration| migration.id).collect::<Vec<_>>()
    };
    assert_eq!(found(None, None).await, [late, early]);
    assert_eq!(
        found(Some(ten), None).await,
        [late],
        "one that ends there is over"
    );
    assert_eq!(
        found(None, Some(ten)).await,
        [early],
        "one that begins there comes later"
    );
    assert_eq!(
        found(Some("2026-11-22T09:59:00Z"), Some("2026-11-22T10:01:00Z")).await,
        [late, early]
    );
    stage.database.sql("UPDATE migration SET range_to = NULL").await;
    assert_eq!(
        found(Some(eleven), None).await,
        [late, early],
        "without an end they cover what comes"
    );
}
