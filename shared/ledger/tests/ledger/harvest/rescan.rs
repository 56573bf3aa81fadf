//! Re-scans: what came late is found once, in the windows' own order, and how late it was stands in the ledger.

use crate::stage::{LEASE, Stage, a_day, many, seen, seen_at};
use granary_domain::{Hour, Tally, TimeRange, WindowState};
use granary_ledger::export::Fenced;
use granary_ledger::harvest::{
    DueRescan, LeasedWindow, OutsideCounts, RescanRules, Scan, SeenMessage, Window,
};
use granary_ledger::integrity::Difference;
use std::time::Duration;
use uuid::Uuid;

pub(crate) const MINUTE: Duration = Duration::from_secs(60);
const WEEK: Duration = Duration::from_secs(7 * 86_400);

/// A night that began an hour ago at most, and so never between two statements of a test.
pub(crate) async fn rules(stage: &Stage) -> RescanRules {
    let night_hour: u8 = stage.database.row("SELECT HOUR(UTC_TIMESTAMP(6))").await;
    RescanRules {
        after: 15 * MINUTE,
        horizon: WEEK,
        night_hour,
    }
}

/// A window over yesterday's range of the stage that was recorded just now, as if its range had ended just before.
pub(crate) async fn recorded(stage: &Stage, messages: &[SeenMessage]) -> LeasedWindow {
    let mut window = stage.window(1_000).await;
    stage.record(&mut window, messages).await;
    assert_eq!(stage.ledger.finish_window(&window).await.unwrap(), Fenced::Done);
    window.tally = state_of(stage, &window).await.tally;
    window
}

/// Lets a window have been opened so long after the end of its range, and recorded at once; then so much time passes.
pub(crate) async fn let_it_be(stage: &Stage, opened_after: Duration, recorded_ago: Duration) {
    let statement = format!(
        "UPDATE harvest_window SET created_at = range_to + INTERVAL {} SECOND, \
         recorded_at = UTC_TIMESTAMP(6) - INTERVAL {} SECOND",
        opened_after.as_secs(),
        recorded_ago.as_secs()
    );
    stage.database.sql(&statement).await;
}

/// The windows that are to be read again.
pub(crate) async fn due(stage: &Stage) -> Vec<DueRescan> {
    let due = stage.ledger.due_rescans(rules(stage).await, &[], 10);
    due.await.unwrap()
}

pub(crate) async fn take(stage: &Stage) -> Option<LeasedWindow> {
    let due = due(stage).await;
    let holder = Uuid::now_v7().to_string();
    let first = due.first()?;
    stage.ledger.claim_rescan(first, &holder, LEASE).await.unwrap()
}

/// A window that is due, in hand, with its account empty.
pub(crate) async fn begun(stage: &Stage) -> LeasedWindow {
    let mut window = take(stage).await.expect("a window is due to be read again");
    assert_eq!(
        stage.ledger.restart_window(&mut window).await.unwrap(),
        Fenced::Done
    );
    window
}

pub(crate) async fn state_of(stage: &Stage, window: &LeasedWindow) -> Window {
    let windows = stage
        .ledger
        .windows_of(window.migration_id, None, 10)
        .await
        .unwrap();
    windows.into_iter().find(|found| found.id == window.id).unwrap()
}

async fn verify(stage: &Stage, window: &LeasedWindow) {
    let ledger = &stage.ledger;
    ledger
        .record_verdict(window.migration_id, "COMPLETE", window.range)
        .await
        .unwrap();
}

#[tokio::test]
async fn h8_a_window_is_due_a_while_after_it_was_recorded_and_later_each_time() {
    let stage = Stage::new().await;
    recorded(&stage, &many("m", 3)).await;
    for (minutes, is_due) in [
        (14, false),
        (16, true),
        (20, false),
        (59, false),
        (61, true),
        (239, false),
        (241, true),
    ] {
        let_it_be(&stage, MINUTE, minutes * MINUTE).await;
        // What was begun a while ago has become older, too.
        stage
            .database
            .sql(
                "UPDATE window_scan s JOIN harvest_window w ON w.id = s.window_id SET s.started_at = \
                 w.recorded_at + INTERVAL 16 * POW(4, s.scans - 1) MINUTE, w.deep_at = NULL",
            )
            .await;
        let due = take_overlap(&stage).await;
        assert_eq!(due.is_some(), is_due, "after {minutes} minutes");
        if let Some(window) = due {
            assert_eq!((window.scan, window.tally.found), (Scan::Overlap, 3));
            assert_eq!(stage.ledger.finish_window(&window).await.unwrap(), Fenced::Done);
        }
    }
}

/// As if no night had begun since.
async fn take_overlap(stage: &Stage) -> Option<LeasedWindow> {
    let rules = rules(stage).await;
    let night_hour = (rules.night_hour + 1) % 24;
    stage
        .database
        .sql("UPDATE harvest_window SET created_at = GREATEST(created_at, range_to)")
        .await;
    let due = stage
        .ledger
        .due_rescans(RescanRules { night_hour, ..rules }, &[], 10)
        .await
        .unwrap();
    let holder = Uuid::now_v7().to_string();
    stage
        .ledger
        .claim_rescan(due.first()?, &holder, LEASE)
        .await
        .unwrap()
}

#[tokio::test]
async fn h8_what_came_late_is_new_and_everything_else_is_the_windows_own() {
    let stage = Stage::new().await;
    let first = recorded(&stage, &many("m", 5)).await;
    let_it_be(&stage, MINUTE, 20 * MINUTE).await;
    let mut again = begun(&stage).await;
    assert_eq!(
        (again.id, again.bookmark.as_deref(), again.tally),
        (first.id, None, Tally::default())
    );
    let mut page = many("m", 5);
    page.push(seen("late"));
    let tally = stage.record(&mut again, &page).await;
    assert_eq!((tally.found, tally.recorded), (6, 6));
    assert_eq!(stage.ledger.finish_window(&again).await.unwrap(), Fenced::Done);
    assert_eq!(stage.ledger.late_in(again.id).await.unwrap(), 1);

    let window = state_of(&stage, &again).await;
    assert_eq!((window.state, window.tally), (WindowState::Recorded, tally));
    let batches: Vec<u32> = stage
        .database
        .rows("SELECT message_count FROM batch ORDER BY id")
        .await;
    assert_eq!(batches, [6], "the batch of its hour wasn't sent");
    assert!(take(&stage).await.is_none(), "it isn't due any more");
}

#[tokio::test]
async fn h8_lateness_lies_between_the_last_whole_reading_and_now() {
    let stage = Stage::new().await;
    recorded(&stage, &many("m", 4)).await;
    // It was opened two minutes after its end; an hour later nothing new was there, another hour later there is.
    let_it_be(&stage, 2 * MINUTE, 61 * MINUTE).await;
    let counted = take(&stage).await.unwrap();
    assert_eq!(stage.ledger.finish_window(&counted).await.unwrap(), Fenced::Done);
    stage
        .database
        .sql(
            "UPDATE window_scan s JOIN harvest_window w ON w.id = s.window_id \
             SET s.started_at = w.range_to + INTERVAL 1 HOUR, w.deep_at = NULL, \
             w.recorded_at = UTC_TIMESTAMP(6) - INTERVAL 5 HOUR",
        )
        .await;
    let mut again = begun(&stage).await;
    let page = [
        many("m", 4),
        vec![
            seen_at("late", "2026-01-01T23:57:00Z"),
            seen_at("later", "2026-01-01T23:59:00Z"),
        ],
    ]
    .concat();
    stage.record(&mut again, &page).await;
    stage.ledger.finish_window(&again).await.unwrap();

    // What was only counted an hour later proves nothing: only the first reading hasn't seen them.
    let lateness = stage
        .ledger
        .lateness(WEEK, Some(again.migration_id))
        .await
        .unwrap();
    assert_eq!((lateness.windows, lateness.messages, lateness.late), (1, 6, 2));
    assert_eq!(lateness.at_least_seconds, 5 * 60);
    let until_now: u64 = stage
        .database
        .row("SELECT TIMESTAMPDIFF(SECOND, '2026-01-01 23:57:00', UTC_TIMESTAMP(6))")
        .await;
    assert!((until_now - 60..=until_now + 1).contains(&lateness.at_most_seconds));
    assert_eq!(stage.ledger.lateness(WEEK, None).await.unwrap(), lateness);
    stage
        .database
        .sql("UPDATE window_scan SET started_at = started_at - INTERVAL 8 DAY")
        .await;
    assert_eq!(stage.ledger.lateness(WEEK, None).await.unwrap().windows, 0);
}

#[tokio::test]
async fn h8_a_window_is_read_every_night_and_once_more_after_the_horizon() {
    let stage = Stage::new().await;
    let window = recorded(&stage, &many("m", 3)).await;
    let_it_be(&stage, MINUTE, Duration::ZERO).await;
    assert!(
        take(&stage).await.is_none(),
        "not in the night in which it was recorded"
    );
    let_it_be(&stage, MINUTE, 86_400 * Duration::from_secs(1)).await;
    for (nights_after_its_end, is_over) in [(1, false), (6, false), (8, true)] {
        let again = begun(&stage).await;
        assert_eq!((again.id, again.scan), (window.id, Scan::Deep));
        let mut again = again;
        stage.record(&mut again, &many("m", 3)).await;
        stage.ledger.finish_window(&again).await.unwrap();
        assert!(take(&stage).await.is_none(), "once a night");
        let statement = format!(
            "UPDATE window_scan s JOIN harvest_window w ON w.id = s.window_id \
             SET w.deep_at = w.range_to + INTERVAL {nights_after_its_end} DAY"
        );
        stage.database.sql(&statement).await;
        assert_eq!(take(&stage).await.is_none(), is_over, "{nights_after_its_end}");
        stage
            .database
            .sql("UPDATE harvest_window SET state = 'recorded', lease_until = NULL, holder = NULL")
            .await;
    }
}

#[tokio::test]
async fn h8_a_range_that_was_old_when_it_was_first_read_is_not_read_again() {
    let stage = Stage::new().await;
    recorded(&stage, &many("m", 3)).await;
    let_it_be(&stage, WEEK, 86_400 * Duration::from_secs(1)).await;
    assert!(take(&stage).await.is_none());
    let_it_be(&stage, WEEK - MINUTE, 86_400 * Duration::from_secs(1)).await;
    stage
        .database
        .sql("UPDATE migration SET kind = 'selection'")
        .await;
    assert!(take(&stage).await.is_none(), "neither is what somebody selected");
    stage.database.sql("UPDATE migration SET kind = 'backfill'").await;
    assert!(take(&stage).await.is_some());
}

#[tokio::test]
async fn h8_a_verified_window_stays_so_unless_something_new_is_found() {
    let stage = Stage::new().await;
    let window = recorded(&stage, &many("m", 3)).await;
    verify(&stage, &window).await;
    let_it_be(&stage, MINUTE, 20 * MINUTE).await;
    let mut again = begun(&stage).await;
    stage.record(&mut again, &many("m", 3)).await;
    stage.ledger.finish_window(&again).await.unwrap();
    assert_eq!(state_of(&stage, &window).await.state, WindowState::Verified);

    let_it_be(&stage, MINUTE, 61 * MINUTE).await;
    stage
        .database
        .sql(
            "UPDATE window_scan s JOIN harvest_window w ON w.id = s.window_id \
             SET s.started_at = UTC_TIMESTAMP(6) - INTERVAL 40 MINUTE, w.deep_at = NULL",
        )
        .await;
    let mut again = begun(&stage).await;
    stage.record(&mut again, &many("m", 4)).await;
    stage.ledger.finish_window(&again).await.unwrap();
    assert_eq!(state_of(&stage, &window).await.state, WindowState::Recorded);
}

/// The window was verified when it was listed, and isn't any more when it is claimed.
#[tokio::test]
async fn h8_a_window_that_was_found_incomplete_before_its_claim_is_not_verified_by_its_re_scan() {
    let stage = Stage::new().await;
    let window = recorded(&stage, &many("m", 3)).await;
    verify(&stage, &window).await;
    let_it_be(&stage, MINUTE, 20 * MINUTE).await;
    let due = due(&stage).await;
    stage
        .ledger
        .record_difference(
            Hour::of(window.range.from()),
            Difference::Incomplete,
            stage.ledger.now().await.unwrap(),
        )
        .await
        .unwrap();
    let mut again = stage
        .ledger
        .claim_rescan(&due[0], "a harvester", LEASE)
        .await
        .unwrap()
        .unwrap();
    stage.ledger.restart_window(&mut again).await.unwrap();
    stage.record(&mut again, &many("m", 3)).await;
    stage.ledger.finish_window(&again).await.unwrap();
    assert_eq!(state_of(&stage, &window).await.state, WindowState::Recorded);
}

#[tokio::test]
async fn h8_nobody_waits_for_a_window_that_is_read_again() {
    let stage = Stage::new().await;
    let window = recorded(&stage, &many("m", 3)).await;
    let_it_be(&stage, MINUTE, 20 * MINUTE).await;
    let again = begun(&stage).await;
    let counts = stage.ledger.window_counts(window.migration_id).await.unwrap();
    assert_eq!(
        (counts.unfinished(), counts.recorded, counts.rescanned),
        (0, 1, 1)
    );
    assert_eq!(stage.ledger.drain_harvested_migrations().await.unwrap(), 1);
    stage
        .ledger
        .release_window(&again, Duration::ZERO, None)
        .await
        .unwrap();
    assert!(
        stage.ledger.claim_window("front", LEASE).await.unwrap().is_none(),
        "what is to be read for the first time isn't mixed up with it"
    );
    assert!(
        stage
            .ledger
            .complete_migration(window.migration_id)
            .await
            .unwrap()
    );
    let mut again = take(&stage)
        .await
        .expect("a completed migration's window goes on");
    stage.record(&mut again, &many("m", 4)).await;
    stage.ledger.finish_window(&again).await.unwrap();
    assert_eq!(state_of(&stage, &window).await.state, WindowState::Recorded);
    let unsent = stage.ledger.unsent(None, 10).await.unwrap();
    assert_eq!(unsent.len(), 1, "what came late is in the batch of its hour");
}

#[tokio::test]
async fn h11_of_two_harvesters_one_takes_the_window_to_read_it_again() {
    let stage = Stage::new().await;
    recorded(&stage, &many("m", 3)).await;
    let_it_be(&stage, MINUTE, 20 * MINUTE).await;
    let due = due(&stage).await;
    let other = stage.database.ledger().await;
    let (one, another) = tokio::join!(
        stage.ledger.claim_rescan(&due[0], "one", LEASE),
        other.claim_rescan(&due[0], "another", LEASE)
    );
    let (one, another) = (one.unwrap(), another.unwrap());
    assert!(one.is_some() ^ another.is_some());
    let (winner, window) = match one {
        Some(window) => ("one", window),
        None => ("another", another.unwrap()),
    };
    let again = stage.ledger.claim_rescan(&due[0], winner, LEASE).await.unwrap();
    assert_eq!(
        again.map(|again| again.fence),
        Some(window.fence),
        "a lost answer"
    );
    assert!(take(&stage).await.is_none());
}

#[tokio::test]
async fn h14_a_re_scan_whose_harvester_died_goes_on_from_its_bookmark() {
    let stage = Stage::new().await;
    let window = recorded(&stage, &many("m", 3)).await;
    let_it_be(&stage, MINUTE, 20 * MINUTE).await;
    let mut dead = begun(&stage).await;
    let tally = stage
        .record(&mut dead, &[many("m", 2), vec![seen("late")]].concat())
        .await;
    assert!(take(&stage).await.is_none(), "as long as its lease lasts");
    stage
        .database
        .sql("UPDATE harvest_window SET lease_until = UTC_TIMESTAMP(6) - INTERVAL 1 SECOND")
        .await;
    let mut next = take(&stage).await.unwrap();
    assert_eq!((next.id, next.scan, next.tally), (window.id, dead.scan, tally));
    assert!(next.bookmark.is_some());
    assert_eq!(stage.ledger.finish_window(&dead).await.unwrap(), Fenced::Refused);
    let tally = stage.record(&mut next, &[seen("m000002")]).await;
    assert_eq!((tally.found, tally.recorded), (4, 4));
    stage.ledger.finish_window(&next).await.unwrap();
    assert_eq!(stage.ledger.late_in(window.id).await.unwrap(), 1);
    assert_eq!(state_of(&stage, &window).await.tally, tally);
}

#[tokio::test]
async fn h8_the_youngest_windows_come_first_and_a_pause_keeps_all_of_them() {
    let stage = Stage::new().await;
    let day = a_day();
    let noon = day.from() + Duration::from_secs(43_200);
    for range in [
        TimeRange::new(day.from(), noon).unwrap(),
        TimeRange::new(noon, day.to()).unwrap(),
    ] {
        stage.backfill(range, 1_000).await;
        let window = stage.take_window().await;
        stage.ledger.finish_window(&window).await.unwrap();
    }
    let_it_be(&stage, MINUTE, 20 * MINUTE).await;
    let rules = rules(&stage).await;
    let due = stage.ledger.due_rescans(rules, &[], 10).await.unwrap();
    let newest: u64 = stage.database.row("SELECT MAX(id) FROM harvest_window").await;
    assert_eq!((due.len(), due[0].id().0), (2, newest));
    assert_eq!(stage.ledger.due_rescans(rules, &[], 1).await.unwrap().len(), 1);
    stage
        .ledger
        .pause(granary_ledger::settings::Stage::Harvest, "test")
        .await
        .unwrap();
    assert!(stage.ledger.due_rescans(rules, &[], 10).await.unwrap().is_empty());
    stage
        .ledger
        .resume(granary_ledger::settings::Stage::Harvest)
        .await
        .unwrap();
    stage
        .database
        .sql("UPDATE migration SET paused_at = UTC_TIMESTAMP(6)")
        .await;
    assert!(stage.ledger.due_rescans(rules, &[], 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn h9_what_was_counted_last_is_on_record_with_its_time() {
    let stage = Stage::new().await;
    let ledger = &stage.ledger;
    assert!(ledger.outside().await.unwrap().is_none());
    assert!(ledger.is_count_older(MINUTE).await.unwrap());
    for without_time in [5, 3] {
        let counts = OutsideCounts {
            without_time,
            malformed: 1,
            before_first_window: 7,
            in_future: 2,
        };
        ledger.record_outside(counts).await.unwrap();
        assert_eq!(ledger.outside().await.unwrap().unwrap().0, counts);
    }
    assert!(!ledger.is_count_older(MINUTE).await.unwrap());
    stage
        .database
        .sql("UPDATE measurement SET measured_at = measured_at - INTERVAL 2 MINUTE")
        .await;
    assert!(ledger.is_count_older(MINUTE).await.unwrap());
}
