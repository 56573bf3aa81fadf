//! Re-scans beside cancellations: what is released is adopted by whoever met it, and a cancelled migration reads nothing again.

use crate::harvest::rescan::{MINUTE, begun, due, let_it_be, recorded, state_of, take};
use crate::stage::{LEASE, Stage, many};
use granary_domain::{MigrationState, WindowState};
use granary_ledger::export::Fenced;
use granary_ledger::harvest::{Scan, SeenMessage};
use std::time::Duration;

#[tokio::test]
async fn h17_messages_that_are_released_while_their_window_is_read_again_are_adopted() {
    let stage = Stage::new().await;
    let mut cancelled = stage.window(1_000).await;
    stage.record(&mut cancelled, &many("m", 10)).await;
    stage.ledger.finish_window(&cancelled).await.unwrap();
    let relying = recorded(&stage, &many("m", 12)).await;
    assert_eq!(relying.tally.owned_elsewhere, 10);
    stage.ledger.drain_harvested_migrations().await.unwrap();
    let_it_be(&stage, MINUTE, 20 * MINUTE).await;
    stage
        .database
        .sql(&format!(
            "UPDATE harvest_window SET recorded_at = UTC_TIMESTAMP(6) WHERE id = {}",
            cancelled.id
        ))
        .await;
    let again = begun(&stage).await;
    assert_eq!(again.id, relying.id);

    let ledger = &stage.ledger;
    stage.give_up(cancelled.migration_id).await;
    let migration = ledger.migration(relying.migration_id).await.unwrap().unwrap();
    assert_eq!(
        migration.state,
        MigrationState::Open,
        "it relied on what was released"
    );
    let counts = ledger.window_counts(relying.migration_id).await.unwrap();
    assert_eq!(
        (counts.unfinished(), counts.rescanned),
        (1, 0),
        "it is no re-scan any more"
    );

    // The reader doesn't know, and ends; the window is read from its start.
    assert_eq!(ledger.finish_window(&again).await.unwrap(), Fenced::Done);
    let mut anew = stage.take_window().await;
    assert_eq!((anew.id, anew.scan), (relying.id, Scan::First));
    let tally = stage.record(&mut anew, &many("m", 12)).await;
    assert_eq!((tally.found, tally.recorded, tally.adopted), (12, 2, 10));
    ledger.finish_window(&anew).await.unwrap();
    assert_eq!(
        ledger.late_in(relying.id).await.unwrap(),
        0,
        "none of them came late"
    );
    assert_eq!(state_of(&stage, &relying).await.state, WindowState::Recorded);
}

#[tokio::test]
async fn h17_what_a_completed_migration_met_at_a_re_scan_and_was_released_is_read_the_next_night() {
    let stage = Stage::new().await;
    let mut cancelled = stage.window(1_000).await;
    let window = recorded(&stage, &many("m", 3)).await;
    let_it_be(&stage, MINUTE, 86_400 * Duration::from_secs(1)).await;
    stage.record(&mut cancelled, &many("late", 2)).await;
    let mut again = begun(&stage).await;
    assert_eq!((again.id, again.scan), (window.id, Scan::Deep));
    let both: Vec<SeenMessage> = many("late", 2).into_iter().chain(many("m", 3)).collect();
    assert_eq!(stage.record(&mut again, &both).await.owned_elsewhere, 2);
    stage.ledger.finish_window(&again).await.unwrap();
    assert!(take(&stage).await.is_none(), "once a night");

    stage
        .database
        .sql(&format!(
            "UPDATE migration SET state = 'completed', finished_at = UTC_TIMESTAMP(6) WHERE id = UNHEX('{}')",
            window.migration_id.0.simple()
        ))
        .await;
    stage.give_up(cancelled.migration_id).await;
    let mut anew = begun(&stage).await;
    assert_eq!((anew.id, anew.scan), (window.id, Scan::Deep));
    assert_eq!(stage.record(&mut anew, &both).await.adopted, 2);
    stage.ledger.finish_window(&anew).await.unwrap();
    assert!(take(&stage).await.is_none());
}

#[tokio::test]
async fn h17_a_cancelled_migrations_windows_are_not_read_again() {
    let stage = Stage::new().await;
    let window = recorded(&stage, &many("m", 3)).await;
    let_it_be(&stage, MINUTE, 20 * MINUTE).await;
    let due = due(&stage).await;
    assert_eq!(due.len(), 1);
    assert_eq!(due[0].id(), window.id);
    stage.ledger.cancel_migration(window.migration_id).await.unwrap();
    assert!(
        stage
            .ledger
            .claim_rescan(&due[0], "late", LEASE)
            .await
            .unwrap()
            .is_none()
    );
    assert!(take(&stage).await.is_none());
}
