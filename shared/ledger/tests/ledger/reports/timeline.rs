//! Windows along the time line, with what became of their batches.

use crate::stage::{Stage, a_day, failure, instant, seen_at, verification, whole};
use granary_domain::{BatchId, Hour, TimeRange, WindowState};
use granary_ledger::integrity::{Difference, ProofOutcome};
use granary_ledger::reports::{TimelineFilter, WindowOnTimeline};
use jiff::SignedDuration;
use std::time::Duration;

/// A migration with a window for each of the first hours of the day.
async fn hours(stage: &Stage, hours: i64) -> granary_domain::MigrationId {
    let hour = |number| a_day().from() + SignedDuration::from_hours(number);
    let migration = stage
        .backfill(TimeRange::new(hour(0), hour(1)).unwrap(), 10)
        .await;
    stage
        .database
        .sql("UPDATE migration SET range_to = '2026-01-02'")
        .await;
    for number in 1..hours {
        let range = TimeRange::new(hour(number), hour(number + 1)).unwrap();
        assert!(stage.ledger.open_window(migration, range).await.unwrap());
    }
    migration
}

fn newest(limit: u32) -> TimelineFilter {
    TimelineFilter {
        limit,
        ..TimelineFilter::default()
    }
}

fn begins(windows: &[WindowOnTimeline]) -> Vec<i8> {
    let hour = |window: &WindowOnTimeline| window.range.from().to_zoned(jiff::tz::TimeZone::UTC).hour();
    windows.iter().map(hour).collect()
}

#[tokio::test]
async fn windows_come_newest_first_page_by_page_and_within_the_range_asked_for() {
    let stage = Stage::new().await;
    let migration = hours(&stage, 5).await;
    let windows = stage.ledger.timeline(&newest(2)).await.unwrap();
    assert_eq!(begins(&windows), [4, 3]);
    let last = windows.last().unwrap();
    let page = TimelineFilter {
        before: Some((last.range.from(), last.id)),
        ..newest(2)
    };
    assert_eq!(begins(&stage.ledger.timeline(&page).await.unwrap()), [2, 1]);
    let within = TimelineFilter {
        from: Some(instant("2026-01-01T01:00:00Z")),
        to: Some(instant("2026-01-01T03:00:00Z")),
        migration: Some(migration),
        ..newest(10)
    };
    assert_eq!(begins(&stage.ledger.timeline(&within).await.unwrap()), [2, 1]);
    let of_nobody = TimelineFilter {
        migration: Some(granary_domain::MigrationId::new()),
        ..newest(10)
    };
    assert!(stage.ledger.timeline(&of_nobody).await.unwrap().is_empty());
}

#[tokio::test]
async fn windows_of_two_migrations_that_begin_together_are_both_on_a_page_or_the_next() {
    let stage = Stage::new().await;
    stage.backfill(a_day(), 10).await;
    stage.backfill(a_day(), 10).await;
    let first = stage.ledger.timeline(&newest(1)).await.unwrap().remove(0);
    let page = TimelineFilter {
        before: Some((first.range.from(), first.id)),
        ..newest(1)
    };
    let second = stage.ledger.timeline(&page).await.unwrap().remove(0);
    assert_ne!(first.id, second.id);
    assert_eq!(first.range, second.range);
}

#[tokio::test]
async fn a_window_counts_its_batches_as_they_are_now() {
    let stage = Stage::new().await;
    let mut window = stage.window(2).await;
    let messages: Vec<_> = (0..8)
        .map(|number| seen_at(&format!("m{number}"), "2026-01-01T12:00:00Z"))
        .collect();
    stage.record(&mut window, &messages).await;
    stage.ledger.finish_window(&window).await.unwrap();
    let batches: Vec<u64> = stage.database.rows("SELECT id FROM batch ORDER BY id").await;
    assert_eq!(batches.len(), 4);
    let claimed = stage.claim(BatchId(batches[0]), "worker").await;
    stage.ledger.settle(&claimed, &whole(&claimed)).await.unwrap();
    let claimed = stage.claim(BatchId(batches[1]), "worker").await;
    stage
        .ledger
        .fail(&claimed, &failure(), Duration::ZERO, 1)
        .await
        .unwrap();
    stage.claim(BatchId(batches[2]), "worker").await;
    let window = stage.ledger.timeline(&newest(1)).await.unwrap().remove(0);
    let counted = window.batches;
    assert_eq!((counted.all, counted.pending, counted.processing), (4, 1, 1));
    assert_eq!((counted.completed, counted.failed, counted.parked), (1, 1, 1));
    assert_eq!((counted.open_messages, counted.exported), (6, 2));
    assert_eq!(
        (window.state, window.tally.found, window.is_old),
        (WindowState::Recorded, 8, false)
    );
    assert!(counted.are_open() && !window.is_purged);
    let parked = stage.ledger.parked_in(a_day()).await.unwrap();
    assert_eq!((parked.batches, parked.messages), (1, 2));
    stage
        .database
        .sql("UPDATE harvest_window SET created_at = UTC_TIMESTAMP(6) - INTERVAL 61 MINUTE")
        .await;
    assert!(stage.ledger.timeline(&newest(1)).await.unwrap()[0].is_old);
}

#[tokio::test]
async fn a_difference_stands_until_a_later_verification_finds_none() {
    let stage = Stage::new().await;
    hours(&stage, 3).await;
    let hour = |number| Hour::of(a_day().from() + SignedDuration::from_hours(number));
    let first = stage.ledger.now().await.unwrap();
    let (second, third) = (
        first + SignedDuration::from_secs(1),
        first + SignedDuration::from_secs(2),
    );
    let ledger = &stage.ledger;
    let differences = async || {
        let windows = ledger.timeline(&newest(10)).await.unwrap();
        let of = |window: WindowOnTimeline| window.difference;
        windows.into_iter().map(of).collect::<Vec<_>>()
    };
    let record = async |number, difference, as_of| {
        ledger
            .record_difference(hour(number), difference, as_of)
            .await
            .unwrap();
    };
    record(0, Difference::Incomplete, first).await;
    record(2, Difference::Drifted, second).await;
    // The worse of what one verification found in an hour, and nothing older.
    record(2, Difference::Incomplete, second).await;
    record(2, Difference::Drifted, second).await;
    record(2, Difference::Drifted, first).await;
    let (incomplete, drifted) = (Some(Difference::Incomplete), Some(Difference::Drifted));
    assert_eq!(differences().await, [incomplete, None, incomplete]);

    ledger
        .keep_differences(&verification(a_day(), second), ProofOutcome::Failing)
        .await
        .unwrap();
    assert_eq!(differences().await, [incomplete, None, None]);
    record(2, Difference::Drifted, third).await;
    assert_eq!(differences().await, [drifted, None, None], "a newer one decides");

    let part = TimeRange::new(a_day().from(), hour(2).start() + SignedDuration::from_mins(30)).unwrap();
    ledger.mark_verified(&verification(part, third)).await.unwrap();
    assert_eq!(
        differences().await,
        [drifted, None, None],
        "half of an hour says nothing of it"
    );
    ledger
        .mark_verified(&verification(a_day(), second))
        .await
        .unwrap();
    assert_eq!(
        differences().await,
        [drifted, None, None],
        "an older one says nothing"
    );
    ledger.mark_verified(&verification(a_day(), third)).await.unwrap();
    assert_eq!(differences().await, [None, None, None]);
}

#[tokio::test]
async fn a_window_in_which_something_is_missing_is_verified_no_more() {
    let stage = Stage::new().await;
    let window = stage.window(2).await;
    stage.ledger.finish_window(&window).await.unwrap();
    let before = stage.ledger.now().await.unwrap();
    assert_eq!(
        stage
            .ledger
            .mark_verified(&verification(a_day(), before))
            .await
            .unwrap(),
        1
    );
    let now = before + SignedDuration::from_secs(1);
    let noon = Hour::of(instant("2026-01-01T12:00:00Z"));
    let state = async || stage.ledger.timeline(&newest(1)).await.unwrap()[0].state;

    stage
        .ledger
        .record_difference(noon, Difference::Drifted, now)
        .await
        .unwrap();
    assert_eq!(
        state().await,
        WindowState::Verified,
        "what the source deleted is archived"
    );
    let earlier = before - SignedDuration::from_secs(1);
    stage
        .ledger
        .record_difference(noon, Difference::Incomplete, earlier)
        .await
        .unwrap();
    assert_eq!(state().await, WindowState::Verified, "it was verified since");
    stage
        .ledger
        .record_difference(noon, Difference::Incomplete, now)
        .await
        .unwrap();
    assert_eq!(state().await, WindowState::Recorded);
}
