//! Closing what has come to its end, counting what is due, and describing the database.

use crate::export::re_export::{completed, parked};
use crate::stage::{ATTEMPTS_MAX, LEASE, Stage, a_day, failure, instant, many, seen, seen_at, whole};
use granary_domain::{BatchId, MigrationId, MigrationState, TimeRange};
use granary_ledger::export::Fenced;
use granary_ledger::jobs::DueWork;
use granary_ledger::reports::Progress;
use jiff::SignedDuration;
use std::time::Duration;

async fn state_of(stage: &Stage, window: u64) -> (String, u32) {
    let query = format!("SELECT state, fence FROM harvest_window WHERE id = {window}");
    stage.database.row(&query).await
}

#[tokio::test]
async fn a_window_is_handed_back_if_its_harvesters_lease_is_over_and_once() {
    let stage = Stage::new().await;
    let window = stage.window(10).await;
    assert_eq!(stage.ledger.windows_of_dead_harvesters(10).await.unwrap(), []);
    assert_eq!(
        stage.ledger.hand_back_windows(&[window.id]).await.unwrap(),
        0,
        "it is held"
    );
    assert_eq!(state_of(&stage, window.id.0).await, ("harvesting".into(), 1));
    stage
        .database
        .sql("UPDATE harvest_window SET lease_until = UTC_TIMESTAMP(6) - INTERVAL 1 SECOND")
        .await;
    assert_eq!(
        stage.ledger.windows_of_dead_harvesters(10).await.unwrap(),
        [window.id]
    );
    assert_eq!(stage.ledger.hand_back_windows(&[window.id]).await.unwrap(), 1);
    assert_eq!(stage.ledger.hand_back_windows(&[window.id]).await.unwrap(), 0);
    assert_eq!(stage.ledger.hand_back_windows(&[]).await.unwrap(), 0);
    assert_eq!(state_of(&stage, window.id.0).await, ("open".into(), 2));
    assert_eq!(
        stage.ledger.finish_window(&window).await.unwrap(),
        Fenced::Refused,
        "the dead harvester is fenced off"
    );
    let again = stage.take_window().await;
    assert_eq!((again.id, again.fence.0), (window.id, 3));
}

#[tokio::test]
async fn a_migration_is_closed_when_nothing_of_it_is_left_to_read_or_to_export() {
    let stage = Stage::new().await;
    let mut window = stage.window(10).await;
    stage.record(&mut window, &[seen("m")]).await;
    assert_eq!(stage.ledger.harvested_migrations().await.unwrap(), []);
    stage.ledger.finish_window(&window).await.unwrap();
    let id = window.migration_id;
    assert_eq!(stage.ledger.harvested_migrations().await.unwrap(), [id]);
    assert_eq!(stage.ledger.drain_harvested_migrations().await.unwrap(), 1);
    assert_eq!(stage.ledger.drained(10).await.unwrap(), [], "a batch is open");
    assert_eq!(stage.ledger.complete_drained(10).await.unwrap(), []);
    let batch = stage.ledger.unsent(None, 1).await.unwrap()[0].batch_id;
    let claimed = stage.claim(batch, "worker").await;
    stage.ledger.settle(&claimed, &whole(&claimed)).await.unwrap();
    assert_eq!(stage.ledger.drained(10).await.unwrap(), [id]);
    assert_eq!(stage.ledger.complete_drained(10).await.unwrap(), [id]);
    assert_eq!(stage.ledger.complete_drained(10).await.unwrap(), []);
    let migration = stage.ledger.migration(id).await.unwrap().unwrap();
    assert_eq!(migration.state, MigrationState::Completed);
}

/// A migration over a part of the day, all of whose messages are recorded; its batch, and itself.
async fn recorded(stage: &Stage, (from, to): (&str, &str), id: &str, time: &str) -> (BatchId, MigrationId) {
    let range = TimeRange::new(instant(from), instant(to)).unwrap();
    let migration = stage.backfill(range, 10).await;
    let mut window = stage.take_window().await;
    stage.record(&mut window, &[seen_at(id, time)]).await;
    stage.ledger.finish_window(&window).await.unwrap();
    let query = format!("SELECT id FROM batch WHERE window_id = {}", window.id);
    let batch = BatchId(stage.database.row(&query).await);
    stage.ledger.drain_harvested_migrations().await.unwrap();
    (batch, migration)
}

async fn export(stage: &Stage, batch: BatchId) {
    let claimed = stage.claim(batch, "worker").await;
    stage.ledger.settle(&claimed, &whole(&claimed)).await.unwrap();
}

#[tokio::test]
async fn one_migration_that_waits_for_people_keeps_none_behind_it_from_being_completed() {
    let stage = Stage::new().await;
    let day = |hour: u32| format!("2026-01-01T{hour:02}:00:00Z");
    let mut migrations = Vec::new();
    for hour in 10..13 {
        let (from, to, id) = (day(hour), day(hour + 1), format!("m{hour}"));
        migrations.push(recorded(&stage, (&from, &to), &id, &from).await);
    }
    let [stuck, first, second] = migrations.try_into().unwrap();
    export(&stage, first.0).await;
    export(&stage, second.0).await;
    assert_eq!(
        stage.ledger.drained(1).await.unwrap(),
        [first.1],
        "the oldest first"
    );
    assert_eq!(
        stage.ledger.complete_drained(10).await.unwrap(),
        [first.1, second.1]
    );
    export(&stage, stuck.0).await;
    assert_eq!(stage.ledger.drained(10).await.unwrap(), [stuck.1]);
}

#[tokio::test]
async fn an_hour_that_a_range_cuts_in_two_is_looked_at_by_message() {
    let stage = Stage::new().await;
    let noon = "2026-01-01T12:00:00Z";
    let (half, end) = ("2026-01-01T12:30:00Z", "2026-01-01T13:00:00Z");
    let (early, before) = recorded(&stage, (noon, half), "early", "2026-01-01T12:10:00Z").await;
    let (late, after) = recorded(&stage, (half, end), "late", "2026-01-01T12:45:00Z").await;
    assert_eq!(stage.ledger.drained(10).await.unwrap(), []);
    export(&stage, early).await;
    assert_eq!(
        stage.ledger.complete_drained(10).await.unwrap(),
        [before],
        "the hour's open batch has none of its messages"
    );
    export(&stage, late).await;
    assert_eq!(stage.ledger.complete_drained(10).await.unwrap(), [after]);
}

#[tokio::test]
async fn what_a_cancellation_would_release_is_what_it_leaves_to_be_released() {
    let stage = Stage::new().await;
    let mut window = stage.window(10).await;
    stage.record(&mut window, &many("m", 25)).await;
    let id = window.migration_id;
    assert_eq!(stage.ledger.releasable_of(id).await.unwrap(), (3, 25));
    assert_eq!(stage.ledger.batches_to_release().await.unwrap(), 0);
    stage.ledger.cancel_migration(id).await.unwrap();
    assert_eq!(stage.ledger.batches_to_release().await.unwrap(), 3);
    while stage.ledger.release_cancelled().await.unwrap().is_some() {}
    assert_eq!(stage.ledger.batches_to_release().await.unwrap(), 0);
    assert_eq!(stage.ledger.releasable_of(id).await.unwrap(), (0, 0));
}

#[tokio::test]
async fn what_is_due_is_told_apart_from_what_waits_and_what_people_must_send() {
    let stage = Stage::new().await;
    assert_eq!(stage.ledger.due_work().await.unwrap(), DueWork::default());
    parked(&stage, &["parked"]).await;
    for (id, delay) in [("due", Duration::ZERO), ("waiting", Duration::from_secs(600))] {
        let batch = stage.batch(&[id]).await;
        let batch = stage.claim(batch, "worker").await;
        let failed = stage.ledger.fail(&batch, &failure(), delay, ATTEMPTS_MAX).await;
        assert_eq!(failed.unwrap(), Fenced::Done);
    }
    let dead = stage.batch(&["dead"]).await;
    stage.claim(dead, "worker").await;
    stage.let_lease_end(dead).await;
    let held = stage.batch(&["held"]).await;
    stage.claim(held, "worker").await;
    stage.batch(&["unsent"]).await;
    let sent = stage.batch(&["sent"]).await;
    stage.mark_sent(&[sent]).await;
    let due = DueWork {
        unsent: 1,
        dead_workers: 1,
        failed_due: 1,
        failed_waiting: 1,
        parked: 1,
    };
    assert_eq!(stage.ledger.due_work().await.unwrap(), due);
    assert_eq!(stage.ledger.dead_batches(10).await.unwrap(), [dead]);
    stage
        .ledger
        .pause(granary_ledger::settings::Stage::Export, "test")
        .await
        .unwrap();
    assert_eq!(
        stage.ledger.due_work().await.unwrap().unsent,
        0,
        "nothing is sent while it is paused"
    );
}

#[tokio::test]
async fn all_messages_are_counted_whatever_their_time() {
    let stage = Stage::new().await;
    assert_eq!(stage.ledger.progress_of_all().await.unwrap(), Progress::default());
    completed(&stage).await;
    stage.batch(&["w1", "w2"]).await;
    let all = stage.ledger.progress_of_all().await.unwrap();
    assert_eq!((all.known, all.success, all.pending), (5, 3, 2));
    assert_eq!(all, stage.ledger.progress_of(a_day()).await.unwrap());
}

#[tokio::test]
async fn rights_that_the_user_has_are_not_missing() {
    let stage = Stage::new().await;
    assert_eq!(stage.ledger.missing_rights().await.unwrap(), [""; 0]);
}

#[tokio::test]
async fn the_database_names_its_tables_and_its_clock() {
    let stage = Stage::new().await;
    let info = stage.ledger.database_info().await.unwrap();
    assert!(
        info.server_version
            .starts_with(|char: char| char.is_ascii_digit())
    );
    let names: Vec<&str> = info.tables.iter().map(|table| table.table.as_str()).collect();
    for table in ["batch", "message", "migration", "harvest_window", "attempt"] {
        assert!(names.contains(&table), "{names:?}");
    }
    assert!(
        !names.contains(&"message_status"),
        "a view has no rows of its own"
    );
    let now = stage.ledger.now().await.unwrap();
    assert!(info.now <= now && now.duration_since(info.now).as_secs() < LEASE.as_secs() as i64);
}

#[tokio::test]
async fn the_pace_in_a_range_counts_what_was_settled_of_it_lately() {
    let stage = Stage::new().await;
    completed(&stage).await;
    let pace = stage.ledger.pace_of(a_day(), 60).await.unwrap();
    assert_eq!(
        pace.minutes
            .iter()
            .map(|minute| (minute.batches, minute.messages))
            .collect::<Vec<_>>(),
        [(1, 3)]
    );
    assert!(pace.minutes[0].at <= pace.now);
    let tomorrow = TimeRange::new(a_day().to(), a_day().to() + SignedDuration::from_hours(1)).unwrap();
    assert_eq!(stage.ledger.pace_of(tomorrow, 60).await.unwrap().minutes, []);
    stage
        .database
        .sql("UPDATE batch SET settled_at = settled_at - INTERVAL 61 MINUTE")
        .await;
    assert_eq!(stage.ledger.pace_of(a_day(), 60).await.unwrap().minutes, []);
}
