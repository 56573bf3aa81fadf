//! Windows over a range are found whatever their length, and no others.

use crate::stage::{Stage, a_day, instant};
use granary_domain::{Hour, MigrationId, TimeRange};
use granary_ledger::integrity::Difference;
use jiff::Timestamp;
use uuid::Uuid;

/// Windows that end and begin around noon: an hour and a microsecond more, days, months, years, and all of time.
const WINDOWS: [(&str, &str); 16] = [
    ("2026-01-01T11:00:00Z", "2026-01-01T12:00:00Z"),
    ("2026-01-01T11:00:00Z", "2026-01-01T12:00:00.000001Z"),
    ("2026-01-01T12:59:59.999999Z", "2026-01-01T14:00:00Z"),
    ("2026-01-01T13:00:00Z", "2026-01-01T14:00:00Z"),
    ("2026-01-01T12:10:00Z", "2026-01-01T12:20:00Z"),
    ("2025-12-31T04:00:00Z", "2026-01-01T12:00:00Z"),
    ("2025-12-31T04:00:00Z", "2026-01-01T12:00:00.000001Z"),
    ("2025-11-19T20:00:00Z", "2026-01-01T12:00:00Z"),
    ("2025-11-19T20:00:00Z", "2026-01-01T12:00:00.000001Z"),
    ("2022-04-07T04:00:00Z", "2026-01-01T12:00:00Z"),
    ("2022-04-07T04:00:00Z", "2026-01-01T12:00:00.000001Z"),
    ("0001-01-01T00:00:00Z", "2026-01-01T12:00:00Z"),
    ("0001-01-01T00:00:00Z", "2026-01-01T12:30:00Z"),
    ("0001-01-01T00:00:00Z", "9999-12-30T22:00:00Z"),
    ("2026-01-01T12:59:00Z", "9999-12-30T22:00:00Z"),
    ("2026-01-01T13:00:00Z", "9999-12-30T22:00:00Z"),
];

fn is_over(hour: TimeRange, (from, to): (&str, &str)) -> bool {
    instant(from) < hour.to() && instant(to) > hour.from()
}

async fn stage_with_windows() -> Stage {
    let stage = Stage::new().await;
    for (from, to) in WINDOWS {
        let range = TimeRange::new(instant(from), instant(to)).unwrap();
        stage.backfill(range, 10).await;
    }
    let verified = "UPDATE harvest_window SET state = 'verified', recorded_at = UTC_TIMESTAMP(6), \
                    verified_at = UTC_TIMESTAMP(6)";
    stage.database.sql(verified).await;
    stage
}

/// The windows that a difference in an hour made be verified no more, by their place in the list.
async fn touched(stage: &Stage, hour: Hour, now: Timestamp) -> Vec<usize> {
    let differs = stage.ledger.record_difference(hour, Difference::Incomplete, now);
    differs.await.unwrap();
    let touched: Vec<u64> = stage
        .database
        .rows("SELECT CAST(ROW_NUMBER() OVER (ORDER BY id) - 1 AS UNSIGNED) * 2 + (state = 'verified') FROM harvest_window ORDER BY id")
        .await;
    let touched = touched.into_iter().filter(|place| place % 2 == 0);
    touched.map(|place| usize::try_from(place / 2).unwrap()).collect()
}

#[tokio::test]
async fn windows_over_an_hour_are_found_whatever_their_length_and_no_others() {
    let stage = stage_with_windows().await;
    let hour = Hour::of(instant("2026-01-01T12:00:00Z"));
    let expected: Vec<usize> = (0..WINDOWS.len())
        .filter(|place| is_over(hour.range(), WINDOWS[*place]))
        .collect();
    assert!(expected.len() > 8, "{expected:?}");
    let now = stage.ledger.now().await.unwrap();
    assert_eq!(touched(&stage, hour, now).await, expected);
}

/// The first hour of time has nothing before it that could be subtracted.
#[tokio::test]
async fn windows_over_the_first_hour_of_time_are_found() {
    let stage = stage_with_windows().await;
    let hour = Hour::of(TimeRange::EVER.from());
    let now = stage.ledger.now().await.unwrap();
    assert_eq!(touched(&stage, hour, now).await, [11, 12, 13]);
}

/// A selection, and what belongs to a cancelled migration, is never due for a re-scan, however young it is.
#[tokio::test]
async fn a_cancelled_migrations_windows_are_read_once() {
    let stage = Stage::new().await;
    let kept = stage.backfill(a_day(), 10).await;
    let cancelled = stage.backfill(a_day(), 10).await;
    assert!(stage.ledger.cancel_migration(cancelled).await.unwrap());
    let settled: Vec<Vec<u8>> = stage
        .database
        .rows("SELECT migration_id FROM harvest_window WHERE read_after IS NULL")
        .await;
    let settled: Vec<MigrationId> = settled
        .iter()
        .map(|bytes| MigrationId(Uuid::from_slice(bytes).unwrap()))
        .collect();
    assert_eq!(settled, [cancelled]);
    assert_ne!(kept, cancelled);
}
