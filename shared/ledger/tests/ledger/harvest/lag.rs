//! How far behind the continuous migration is.

use crate::stage::Stage;
use granary_domain::{MigrationId, MigrationKind, Priority, TimeRange};
use granary_ledger::harvest::NewMigration;
use jiff::SignedDuration;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3_600);

/// A continuous migration that began two hours ago, by the database's clock.
async fn continuous(stage: &Stage) -> NewMigration {
    let migration = NewMigration {
        id: MigrationId::new(),
        kind: MigrationKind::Continuous,
        priority: Priority::NORMAL,
        batch_size: 100,
        filter: None,
        from: stage.ledger.now().await.unwrap() - SignedDuration::from_hours(2),
        to: None,
        requested_by: "schedule".to_owned(),
    };
    stage.ledger.make_migration(&migration).await.unwrap();
    migration
}

#[tokio::test]
async fn nothing_is_measured_where_there_is_nothing_to_measure() {
    let stage = Stage::new().await;
    let lag = stage.ledger.lag().await.unwrap();
    assert_eq!((lag.archive, lag.proven, lag.oldest_pending), (None, None, None));
    assert_eq!(lag.parked, 0);
    continuous(&stage).await;
    let lag = stage.ledger.lag().await.unwrap();
    assert_eq!((lag.archive, lag.proven, lag.oldest_pending), (None, None, None));
    assert!((1..=100).contains(&lag.connections_percent), "{lag:?}");
}

#[tokio::test]
async fn a_window_that_is_not_recorded_holds_the_archive_back() {
    let stage = Stage::new().await;
    let migration = continuous(&stage).await;
    let range = TimeRange::new(migration.from, migration.from + SignedDuration::from_hours(1)).unwrap();
    stage.ledger.open_window(migration.id, range).await.unwrap();
    let behind = stage.ledger.lag().await.unwrap().archive.unwrap();
    assert!(behind >= 2 * HOUR && behind < 3 * HOUR, "{behind:?}");

    stage
        .database
        .sql("UPDATE harvest_window SET state = 'recorded', recorded_at = UTC_TIMESTAMP(6)")
        .await;
    let lag = stage.ledger.lag().await.unwrap();
    let (archive, proven) = (lag.archive.unwrap(), lag.proven.unwrap());
    assert!(archive >= HOUR && archive < 2 * HOUR, "{archive:?}");
    assert!(proven >= 2 * HOUR && proven < 3 * HOUR, "{proven:?}");
}
