//! A synthetic history of jobs never looks like something that was archived, and goes without a trace.

use crate::stage::{Stage, a_day, whole};
use granary_domain::{Hour, MigrationState, TimeRange};
use granary_ledger::harvest::MigrationFilter;
use granary_ledger::reports::Progress;
use granary_ledger::test_data::{SYNTHETIC_REQUESTER, SyntheticJobs};

fn jobs(count: u64) -> SyntheticJobs {
    SyntheticJobs {
        migrations: count,
        operations: count,
    }
}

#[tokio::test]
async fn making_it_twice_is_making_it_once_and_clearing_takes_all_of_it_and_nothing_else() {
    let stage = Stage::new().await;
    let real = stage.backfill(a_day(), 10).await;
    stage.ledger.make_history(4).await.unwrap();
    stage.ledger.make_history(6).await.unwrap();
    stage.ledger.make_history(6).await.unwrap();
    assert_eq!(stage.ledger.history().await.unwrap(), jobs(6));
    assert_eq!(stage.ledger.forget_history().await.unwrap(), 12);
    assert_eq!(stage.ledger.forget_history().await.unwrap(), 0);
    assert_eq!(stage.ledger.history().await.unwrap(), jobs(0));
    let left = stage
        .ledger
        .migrations(MigrationFilter {
            limit: 10,
            ..MigrationFilter::default()
        })
        .await
        .unwrap();
    assert_eq!(
        left.iter().map(|migration| migration.id).collect::<Vec<_>>(),
        [real]
    );
}

#[tokio::test]
async fn it_is_over_from_the_start_and_marked_in_every_list() {
    let stage = Stage::new().await;
    let real = stage.backfill(a_day(), 10).await;
    stage.ledger.make_history(3).await.unwrap();
    let all = MigrationFilter {
        limit: 10,
        ..MigrationFilter::default()
    };
    let listed = stage.ledger.migrations(all).await.unwrap();
    assert_eq!(listed[0].id, real, "real ones come first");
    for synthetic in &listed[1..] {
        assert_eq!(synthetic.requested_by, SYNTHETIC_REQUESTER);
        assert!(matches!(
            synthetic.state,
            MigrationState::Completed | MigrationState::Cancelled
        ));
        assert_eq!(
            (synthetic.harvested_to, &synthetic.verdict),
            (synthetic.from, &None)
        );
        assert!(synthetic.finished_at.is_some());
    }
    assert!(
        stage
            .ledger
            .claim_operation(None, std::time::Duration::from_secs(90))
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn no_count_harvest_release_or_purge_ever_meets_it() {
    let stage = Stage::new().await;
    let claimed = stage.claimed().await;
    stage.ledger.settle(&claimed, &whole(&claimed)).await.unwrap();
    let ever = TimeRange::new("1960-01-01T00:00:00Z".parse().unwrap(), a_day().to()).unwrap();
    let before = (
        stage.ledger.progress_of(ever).await.unwrap(),
        stage.ledger.batches_by_status().await.unwrap(),
        stage.ledger.first_hour_of(ever).await.unwrap(),
        stage.ledger.next_hour_to_purge(ever).await.unwrap(),
    );
    assert_eq!(
        before.0,
        Progress {
            known: 3,
            success: 3,
            ..Progress::default()
        }
    );
    stage.ledger.make_history(100).await.unwrap();
    let after = (
        stage.ledger.progress_of(ever).await.unwrap(),
        stage.ledger.batches_by_status().await.unwrap(),
        stage.ledger.first_hour_of(ever).await.unwrap(),
        stage.ledger.next_hour_to_purge(ever).await.unwrap(),
    );
    assert_eq!(before, after);
    assert!(
        stage
            .ledger
            .migrations_to_harvest()
            .await
            .unwrap()
            .iter()
            .all(|migration| migration.requested_by == "test")
    );
    assert_eq!(stage.ledger.release_cancelled().await.unwrap(), None);
    assert_eq!(
        stage.ledger.drain_harvested_migrations().await.unwrap(),
        1,
        "the real one alone"
    );
    let rows: u64 = stage
        .database
        .row(
            "SELECT (SELECT COUNT(*) FROM harvest_window w JOIN migration m ON m.id = w.migration_id \
              WHERE m.requested_by = 'granary_seed') + (SELECT COUNT(*) FROM batch b JOIN migration m \
              ON m.id = b.migration_id WHERE m.requested_by = 'granary_seed')",
        )
        .await;
    assert_eq!(rows, 0);
    assert_eq!(after.2, Some(Hour::of("2026-01-01T12:00:00Z".parse().unwrap())));
}
