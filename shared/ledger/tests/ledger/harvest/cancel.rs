//! Cancelling: what only the cancelled migration had asked for is released, and nothing is lost to the others.

use crate::stage::{Stage, many, seen, whole};
use granary_domain::{MigrationState, Tally, WindowState};
use granary_ledger::export::Fenced;
use granary_ledger::harvest::Cancelled;

async fn release_all(stage: &Stage) -> Cancelled {
    let mut all = Cancelled::default();
    while let Some(step) = stage.ledger.release_cancelled().await.unwrap() {
        all += step;
    }
    all
}

#[tokio::test]
async fn a_cancelled_migration_releases_its_messages_and_keeps_what_is_completed() {
    let stage = Stage::new().await;
    let mut window = stage.window(2).await;
    stage.record(&mut window, &many("m", 100)).await;
    let first = stage.ledger.unsent(None, 1).await.unwrap()[0].batch_id;
    let claimed = stage.claim(first, "worker").await;
    stage.ledger.settle(&claimed, &whole(&claimed)).await.unwrap();

    assert!(stage.ledger.cancel_migration(window.migration_id).await.unwrap());
    assert!(!stage.ledger.cancel_migration(window.migration_id).await.unwrap());
    let cancelled = release_all(&stage).await;
    assert_eq!((cancelled.batches, cancelled.messages), (49, 98));
    let (messages, owned): (u64, u64) = stage
        .database
        .row("SELECT COUNT(*), COUNT(batch_id) FROM message_status")
        .await;
    assert_eq!((messages, owned), (100, 2));
    assert_eq!(stage.status_of(first).await, "completed");
    let migration = stage
        .ledger
        .migration(window.migration_id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(migration.state, MigrationState::Cancelled);
}

#[tokio::test]
async fn a_harvester_at_work_for_a_cancelled_migration_is_fenced_off() {
    let stage = Stage::new().await;
    let mut window = stage.window(2).await;
    stage.record(&mut window, &many("m", 10)).await;
    stage.ledger.cancel_migration(window.migration_id).await.unwrap();
    assert_eq!(
        stage.ledger.finish_window(&window).await.unwrap(),
        Fenced::Refused
    );
    assert!(
        stage
            .ledger
            .claim_window("next", crate::stage::LEASE)
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn the_continuous_migration_cannot_be_cancelled() {
    let stage = Stage::new().await;
    let window = stage.window(2).await;
    stage
        .database
        .sql("UPDATE migration SET kind = 'continuous'")
        .await;
    assert!(!stage.ledger.cancel_migration(window.migration_id).await.unwrap());
    assert_eq!(stage.ledger.finish_window(&window).await.unwrap(), Fenced::Done);
}

#[tokio::test]
async fn the_attempt_of_a_worker_whose_batch_was_cancelled_is_closed() {
    let stage = Stage::new().await;
    let batch = stage.claimed().await;
    stage.ledger.cancel_migration(batch.migration_id).await.unwrap();
    release_all(&stage).await;
    let outcome: String = stage
        .database
        .row("SELECT outcome FROM attempt WHERE ended_at IS NOT NULL")
        .await;
    assert_eq!(outcome, "cancelled");
}

#[tokio::test]
async fn h17_a_finished_window_that_relied_on_the_cancelled_one_is_read_again() {
    let stage = Stage::new().await;
    let mut cancelled = stage.window(1_000).await;
    stage.record(&mut cancelled, &many("m", 10)).await;
    let mut relying = stage.window(1_000).await;
    let tally = stage.record(&mut relying, &many("m", 15)).await;
    assert_eq!((tally.recorded, tally.owned_elsewhere), (5, 10));
    stage.ledger.finish_window(&relying).await.unwrap();
    stage.ledger.finish_window(&cancelled).await.unwrap();
    assert_eq!(stage.ledger.drain_harvested_migrations().await.unwrap(), 2);

    stage
        .ledger
        .cancel_migration(cancelled.migration_id)
        .await
        .unwrap();
    assert_eq!(release_all(&stage).await.windows_reopened, 1);
    let migration = stage
        .ledger
        .migration(relying.migration_id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(migration.state, MigrationState::Open, "it isn't done any more");

    let mut again = stage.take_window().await;
    assert_eq!(
        (again.id, again.bookmark.as_deref(), again.tally),
        (relying.id, None, Tally::default())
    );
    let tally = stage.record(&mut again, &many("m", 15)).await;
    assert_eq!((tally.recorded, tally.adopted, tally.owned_elsewhere), (5, 10, 0));
    stage.ledger.finish_window(&again).await.unwrap();
    let unowned: u64 = stage
        .database
        .row("SELECT COUNT(*) FROM message_status WHERE status = 'released'")
        .await;
    assert_eq!(unowned, 0);
}

#[tokio::test]
async fn h17_a_window_that_is_being_read_is_read_again_when_it_is_finished() {
    let stage = Stage::new().await;
    let mut cancelled = stage.window(1_000).await;
    stage.record(&mut cancelled, &many("m", 10)).await;
    let mut relying = stage.window(1_000).await;
    stage.record(&mut relying, &many("m", 10)).await;
    stage
        .ledger
        .cancel_migration(cancelled.migration_id)
        .await
        .unwrap();
    assert_eq!(release_all(&stage).await.windows_reopened, 1);

    stage.record(&mut relying, &[seen("another")]).await;
    assert_eq!(stage.ledger.finish_window(&relying).await.unwrap(), Fenced::Done);
    let windows = stage
        .ledger
        .windows_of(relying.migration_id, None, 10)
        .await
        .unwrap();
    assert_eq!(windows[0].state, WindowState::Open);
    let mut again = stage.take_window().await;
    let mut page = many("m", 10);
    page.push(seen("another"));
    let tally = stage.record(&mut again, &page).await;
    assert_eq!(
        tally,
        Tally {
            found: 11,
            recorded: 1,
            adopted: 10,
            ..Tally::default()
        }
    );
    stage.ledger.finish_window(&again).await.unwrap();
    let windows = stage
        .ledger
        .windows_of(relying.migration_id, None, 10)
        .await
        .unwrap();
    assert_eq!(windows[0].state, WindowState::Recorded);
}

/// Cancelling, recording and exporting at once: in the end every message is owned by somebody who is at work on it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h17_a_cancellation_in_the_middle_of_another_harvest_loses_nothing() {
    let stage = Stage::new().await;
    let mut cancelled = stage.window(7).await;
    stage.record(&mut cancelled, &many("m", 1_000)).await;
    let mut relying = stage.window(50).await;
    let ids = many("m", 1_000);
    let harvest = async {
        for page in ids.chunks(40) {
            stage.record(&mut relying, page).await;
        }
        stage.ledger.finish_window(&relying).await.unwrap();
    };
    let cancel = async {
        stage
            .ledger
            .cancel_migration(cancelled.migration_id)
            .await
            .unwrap();
        release_all(&stage).await;
    };
    tokio::join!(harvest, cancel);
    if let Some(mut again) = stage
        .ledger
        .claim_window("again", crate::stage::LEASE)
        .await
        .unwrap()
    {
        for page in ids.chunks(40) {
            stage.record(&mut again, page).await;
        }
        stage.ledger.finish_window(&again).await.unwrap();
    }
    let (messages, owned): (u64, u64) = stage
        .database
        .row(
            "SELECT COUNT(*), COUNT(b.id) FROM message m LEFT JOIN batch b ON b.id = m.batch_id \
             AND b.status = 'pending'",
        )
        .await;
    assert_eq!((messages, owned), (1_000, 1_000));
    assert!(
        stage
            .ledger
            .claim_window("done", crate::stage::LEASE)
            .await
            .unwrap()
            .is_none()
    );
}
