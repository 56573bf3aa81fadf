//! Recording what a harvest left out: each message once, in an account that adds up.

use crate::stage::{LEASE, Stage, a_day, instant, many, seen};
use granary_domain::{Hour, MigrationId, Priority, TimeRange};
use granary_ledger::integrity::{FoundAgain, RepairMigration};

fn repair(batch_size: u32) -> RepairMigration {
    RepairMigration {
        id: MigrationId::new(),
        range: a_day(),
        batch_size,
        priority: Priority::NORMAL,
        requested_by: "verify --repair".to_owned(),
    }
}

fn noon() -> TimeRange {
    Hour::of(instant("2026-01-01T12:00:00Z")).range()
}

fn recorded(messages: u64) -> FoundAgain {
    FoundAgain::Recorded { messages }
}

/// Found, recorded, adopted, owned elsewhere.
async fn account_of(stage: &Stage, repair: &RepairMigration) -> (u64, u64, u64, u64) {
    let hex = repair.id.0.simple();
    let query = format!(
        "SELECT found, recorded, adopted, owned_elsewhere FROM harvest_window WHERE migration_id = UNHEX('{hex}')"
    );
    stage.database.row(&query).await
}

#[tokio::test]
async fn h14_messages_that_were_left_out_are_recorded_once_however_often_it_is_tried() {
    let stage = Stage::new().await;
    let repair = repair(2);
    let messages = many("m", 5);
    for _ in 0..3 {
        let found = stage
            .ledger
            .record_found(&repair, noon(), &messages)
            .await
            .unwrap();
        assert_eq!(found, recorded(5));
    }
    assert_eq!(account_of(&stage, &repair).await, (5, 5, 0, 0));
    let batches: Vec<u32> = stage
        .database
        .rows("SELECT message_count FROM batch ORDER BY id")
        .await;
    assert_eq!(batches, [2, 2, 1]);
    assert_eq!(
        stage.ledger.unsent(None, 10).await.unwrap().len(),
        3,
        "they wait to be sent"
    );
    let more = stage
        .ledger
        .record_found(&repair, noon(), &many("n", 2))
        .await
        .unwrap();
    assert_eq!(
        (more, account_of(&stage, &repair).await),
        (recorded(2), (7, 7, 0, 0))
    );
    let migration = stage.ledger.migration(repair.id).await.unwrap().unwrap();
    assert_eq!(
        migration.state.as_str(),
        "draining",
        "there is nothing to harvest for it"
    );
    assert!(
        stage
            .ledger
            .claim_window("harvester", LEASE)
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn h17_what_somebody_owns_is_left_to_him_and_what_nobody_owns_is_adopted() {
    let stage = Stage::new().await;
    stage.batch(&["owned"]).await;
    let released = stage.batch(&["released"]).await;
    let claimed = stage.claim(released, "worker").await;
    stage.ledger.cancel_migration(claimed.migration_id).await.unwrap();
    stage.ledger.release_cancelled().await.unwrap();
    let stray = stage.batch(&["stray"]).await;
    stage
        .database
        .sql(&format!("DELETE FROM batch WHERE id = {stray}"))
        .await;

    let repair = repair(10);
    let messages = ["owned", "released", "stray", "new"].map(seen);
    let found = stage
        .ledger
        .record_found(&repair, noon(), &messages)
        .await
        .unwrap();
    assert_eq!(
        (found, account_of(&stage, &repair).await),
        (recorded(3), (4, 1, 2, 1))
    );
    let owners: Vec<Option<u64>> = stage
        .database
        .rows("SELECT DISTINCT batch_id FROM message WHERE message_id <> 'owned'")
        .await;
    assert_eq!(owners.len(), 1, "one batch has them all: {owners:?}");
}

#[tokio::test]
async fn a_cancelled_repair_and_a_window_that_is_read_again_take_nothing() {
    let stage = Stage::new().await;
    let repair = repair(10);
    stage
        .ledger
        .record_found(&repair, noon(), &many("m", 1))
        .await
        .unwrap();
    stage
        .database
        .sql("UPDATE harvest_window SET state = 'open', recorded_at = NULL")
        .await;
    let refused = stage
        .ledger
        .record_found(&repair, noon(), &many("n", 1))
        .await
        .unwrap();
    assert_eq!(refused, FoundAgain::Refused);
    stage
        .database
        .sql("UPDATE harvest_window SET state = 'recorded', recorded_at = created_at")
        .await;
    stage.ledger.cancel_migration(repair.id).await.unwrap();
    let refused = stage
        .ledger
        .record_found(&repair, noon(), &many("n", 1))
        .await
        .unwrap();
    assert_eq!(refused, FoundAgain::Refused);
    let messages: u64 = stage.database.row("SELECT COUNT(*) FROM message").await;
    assert_eq!(messages, 1);
}
