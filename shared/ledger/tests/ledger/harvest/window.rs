//! Windows: opened once, held by one harvester, and resumable by the next.

use crate::stage::{LEASE, Stage, a_day, many, record_page, seen_at};
use granary_domain::{MigrationState, Tally, TimeRange, WindowState};
use granary_ledger::export::Fenced;
use granary_ledger::harvest::{LeasedWindow, Recorded};
use mysql_async::prelude::Queryable;
use std::time::Duration;

#[tokio::test]
async fn h11_of_two_harvesters_one_opens_the_window() {
    let stage = Stage::new().await;
    let migration = stage.backfill(a_day(), 1_000).await;
    stage.database.sql("DELETE FROM harvest_window").await;
    stage
        .database
        .sql("UPDATE migration SET harvested_to = range_from")
        .await;
    let (ledger, other) = (&stage.ledger, stage.database.ledger().await);
    let (one, another) = tokio::join!(
        ledger.open_window(migration, a_day()),
        other.open_window(migration, a_day())
    );
    assert!(one.unwrap() ^ another.unwrap());
    assert_eq!(ledger.windows_of(migration, None, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_window_that_leaves_a_gap_or_overlaps_is_not_opened() {
    let stage = Stage::new().await;
    let migration = stage.backfill(a_day(), 1_000).await;
    let hour = Duration::from_secs(3_600);
    for from in [a_day().from() + hour, a_day().to() + hour] {
        let range = TimeRange::new(from, from + hour).unwrap();
        assert!(!stage.ledger.open_window(migration, range).await.unwrap());
    }
}

#[tokio::test]
async fn h11_of_two_harvesters_one_takes_the_window() {
    let stage = Stage::new().await;
    stage.backfill(a_day(), 1_000).await;
    let other = stage.database.ledger().await;
    let (one, another) = tokio::join!(
        stage.ledger.claim_window("one", LEASE),
        other.claim_window("another", LEASE)
    );
    assert!(one.unwrap().is_some() ^ another.unwrap().is_some());
}

#[tokio::test]
async fn h14_the_next_harvester_goes_on_where_a_dead_one_left_off() {
    let stage = Stage::new().await;
    let mut first = stage.window(1_000).await;
    let tally = stage.record(&mut first, &many("m", 10)).await;
    stage
        .database
        .sql("UPDATE harvest_window SET lease_until = UTC_TIMESTAMP(6) - INTERVAL 1 SECOND")
        .await;
    let mut second = stage.take_window().await;
    assert_eq!(
        (second.id, second.bookmark.as_deref(), second.pages, second.tally),
        (first.id, Some("page 1"), 1, tally)
    );
    assert_eq!(
        record_page(&stage.ledger, &first, &many("n", 10)).await,
        Recorded::Refused
    );
    assert_eq!(stage.ledger.finish_window(&first).await.unwrap(), Fenced::Refused);
    assert_eq!(
        stage
            .ledger
            .release_window(&first, Duration::ZERO, None)
            .await
            .unwrap(),
        Fenced::Refused
    );
    assert_eq!(stage.record(&mut second, &many("n", 10)).await.found, 20);
    assert_eq!(stage.ledger.finish_window(&second).await.unwrap(), Fenced::Done);
}

#[tokio::test]
async fn a_released_window_waits_and_keeps_its_bookmark() {
    let stage = Stage::new().await;
    let mut window = stage.window(1_000).await;
    stage.record(&mut window, &many("m", 10)).await;
    let released = stage
        .ledger
        .release_window(&window, LEASE, Some("the source is busy"))
        .await;
    assert_eq!(released.unwrap(), Fenced::Done);
    assert!(
        stage.ledger.claim_window("next", LEASE).await.unwrap().is_none(),
        "it isn't due"
    );
    stage
        .database
        .sql("UPDATE harvest_window SET not_before = UTC_TIMESTAMP(6)")
        .await;
    let next = stage.take_window().await;
    assert_eq!((next.bookmark.as_deref(), next.pages), (Some("page 1"), 1));
}

#[tokio::test]
async fn the_most_urgent_window_is_taken_first_and_none_of_a_paused_migration() {
    let stage = Stage::new().await;
    let calm = stage.backfill(a_day(), 1_000).await;
    let urgent = stage.urgent_backfill(a_day(), 1_000, 7).await;
    let paused = stage.urgent_backfill(a_day(), 1_000, 9).await;
    let statement = format!(
        "UPDATE migration SET paused_at = UTC_TIMESTAMP(6) WHERE id = UNHEX('{}')",
        paused.0.simple()
    );
    stage.database.sql(&statement).await;
    assert_eq!(stage.take_window().await.migration_id, urgent);
    assert_eq!(stage.take_window().await.migration_id, calm);
    assert!(stage.ledger.claim_window("third", LEASE).await.unwrap().is_none());
}

#[tokio::test]
async fn finishing_twice_is_finishing_once() {
    let stage = Stage::new().await;
    let mut window = stage.window(1_000).await;
    stage.record(&mut window, &many("m", 10)).await;
    for _ in 0..2 {
        assert_eq!(stage.ledger.finish_window(&window).await.unwrap(), Fenced::Done);
    }
    let windows = stage
        .ledger
        .windows_of(window.migration_id, None, 10)
        .await
        .unwrap();
    assert_eq!(
        (windows[0].state, windows[0].tally.found),
        (WindowState::Recorded, 10)
    );
}

#[tokio::test]
async fn a_harvested_migration_drains() {
    let stage = Stage::new().await;
    let window = stage.window(1_000).await;
    assert_eq!(
        stage.ledger.drain_harvested_migrations().await.unwrap(),
        0,
        "a window is being read"
    );
    stage.ledger.finish_window(&window).await.unwrap();
    assert_eq!(stage.ledger.drain_harvested_migrations().await.unwrap(), 1);
    let migration = stage
        .ledger
        .migration(window.migration_id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(migration.state, MigrationState::Draining);
}

/// A point in time that was lost: the window is read again from its start, and what it recorded stays its own.
#[tokio::test]
async fn h4_a_window_that_is_read_again_counts_its_own_messages_once() {
    let stage = Stage::new().await;
    let mut window = stage.window(1_000).await;
    stage.record(&mut window, &many("m", 10)).await;
    stage.ledger.restart_window(&mut window).await.unwrap();
    stage.ledger.restart_window(&mut window).await.unwrap();
    let tally = stage.record(&mut window, &many("m", 12)).await;
    assert_eq!(
        tally,
        Tally {
            found: 12,
            recorded: 12,
            ..Tally::default()
        }
    );
    let batches: Vec<u32> = stage
        .database
        .rows("SELECT message_count FROM batch ORDER BY id")
        .await;
    assert_eq!(batches, [10, 2]);
}

#[tokio::test]
async fn an_urgent_window_lifts_the_batches_that_own_its_messages() {
    let stage = Stage::new().await;
    let batch = stage.batch(&["m"]).await;
    stage.mark_sent(&[batch]).await;
    stage.urgent_backfill(a_day(), 1_000, 7).await;
    let mut urgent = stage.take_window().await;
    let tally = stage
        .record(&mut urgent, &[seen_at("m", "2026-01-01T12:00:00Z")])
        .await;
    assert_eq!(tally.owned_elsewhere, 1);
    stage.ledger.finish_window(&urgent).await.unwrap();
    let unsent = stage.ledger.unsent(None, 10).await.unwrap();
    assert_eq!((unsent[0].batch_id, u8::from(unsent[0].priority)), (batch, 7));
}

/// Between a harvester's look at a window and its claim, somebody changes a row that the look has read.
async fn claim_meanwhile(stage: &Stage, change: &str) -> Option<LeasedWindow> {
    let mut somebody = stage.database.held(change).await;
    let ledger = stage.ledger.clone();
    let claiming = tokio::spawn(async move { ledger.claim_window("late", LEASE).await });
    stage.database.until_a_connection_waits().await;
    somebody.query_drop("COMMIT").await.unwrap();
    somebody.disconnect().await.unwrap();
    claiming.await.unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h11_a_window_whose_harvester_renews_between_look_and_claim_stays_its() {
    let stage = Stage::new().await;
    let window = stage.window(1_000).await;
    stage
        .database
        .sql("UPDATE harvest_window SET lease_until = UTC_TIMESTAMP(6) - INTERVAL 1 SECOND")
        .await;
    let renewal = "UPDATE harvest_window SET lease_until = UTC_TIMESTAMP(6) + INTERVAL 90 SECOND";
    assert!(claim_meanwhile(&stage, renewal).await.is_none());
    assert_eq!(stage.ledger.finish_window(&window).await.unwrap(), Fenced::Done);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h11_a_window_that_is_paused_or_cancelled_between_look_and_claim_is_left_alone() {
    for change in [
        "UPDATE migration SET paused_at = UTC_TIMESTAMP(6)",
        "UPDATE migration SET state = 'cancelled', finished_at = UTC_TIMESTAMP(6)",
    ] {
        let stage = Stage::new().await;
        stage.backfill(a_day(), 1_000).await;
        assert!(claim_meanwhile(&stage, change).await.is_none(), "{change}");
    }
}

#[tokio::test]
async fn h11_a_heartbeat_keeps_a_window_and_is_refused_when_another_has_it() {
    let stage = Stage::new().await;
    let window = stage.window(1_000).await;
    let renew = async || {
        stage
            .ledger
            .renew_window(window.id, window.fence, LEASE)
            .await
            .unwrap()
    };
    let lapse = "UPDATE harvest_window SET lease_until = UTC_TIMESTAMP(6) - INTERVAL 1 SECOND";
    stage.database.sql(lapse).await;
    assert_eq!(renew().await, Fenced::Done);
    assert!(stage.ledger.claim_window("next", LEASE).await.unwrap().is_none());
    stage.database.sql(lapse).await;
    stage.take_window().await;
    assert_eq!(renew().await, Fenced::Refused);
}
