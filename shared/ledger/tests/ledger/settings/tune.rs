//! Live settings: changed, given back, and read by whom they are for.

use crate::stage::{Stage, a_day};
use granary_domain::{MigrationId, MigrationKind, Priority, Setting, Tuning};
use granary_ledger::harvest::NewMigration;
use granary_ledger::settings::SettingChange;
use std::time::Duration;

const LEASE: Duration = Duration::from_secs(90);

fn to(setting: Setting, value: Option<u64>) -> SettingChange {
    SettingChange { setting, value }
}

#[tokio::test]
async fn nothing_is_tuned_until_somebody_does() {
    let stage = Stage::new().await;
    assert_eq!(stage.ledger.tuning().await.unwrap(), Tuning::default());
    assert!(stage.ledger.tuned_settings().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_setting_is_tuned_and_given_back_and_says_who_did_it() {
    let stage = Stage::new().await;
    let changes = [
        to(Setting::MaxAttempts, Some(7)),
        to(Setting::RetryDelayMs, Some(250)),
        to(Setting::HarvestLagSeconds, Some(0)),
    ];
    stage.ledger.tune(&changes, "operator").await.unwrap();
    let tuning = stage.ledger.tuning().await.unwrap();
    assert_eq!(tuning.attempts_max, Some(7));
    assert_eq!(tuning.retry_delay, Some(Duration::from_millis(250)));
    assert_eq!(tuning.harvest_lag, Some(Duration::ZERO));
    assert_eq!(tuning.batch_size, None);
    assert!(tuning.attempts_changed_lately);

    let back = [to(Setting::MaxAttempts, None)];
    stage.ledger.tune(&back, "somebody else").await.unwrap();
    assert_eq!(stage.ledger.tuning().await.unwrap().attempts_max, None);
    let settings = stage.ledger.tuned_settings().await.unwrap();
    let attempts = settings
        .iter()
        .find(|tuned| tuned.setting == Setting::MaxAttempts)
        .unwrap();
    assert_eq!(
        (attempts.value, attempts.changed_by.as_str()),
        (None, "somebody else")
    );
}

#[tokio::test]
async fn a_change_that_is_none_keeps_who_made_it_and_when() {
    let stage = Stage::new().await;
    let change = [to(Setting::BatchSize, Some(10))];
    stage.ledger.tune(&change, "operator").await.unwrap();
    let before = stage.ledger.tuned_settings().await.unwrap();
    stage.ledger.tune(&change, "somebody else").await.unwrap();
    assert_eq!(stage.ledger.tuned_settings().await.unwrap(), before);
    stage
        .database
        .sql("UPDATE control SET changed_at = UTC_TIMESTAMP(6) - INTERVAL 2 DAY")
        .await;
    assert!(!stage.ledger.tuned_settings().await.unwrap()[0].is_recent);
}

#[tokio::test]
async fn what_a_newer_version_wrote_counts_as_not_tuned() {
    let stage = Stage::new().await;
    stage
        .ledger
        .tune(&[to(Setting::MaxAttempts, Some(7))], "operator")
        .await
        .unwrap();
    stage
        .database
        .sql("UPDATE control SET setting = 'many' WHERE name = 'tune.maxAttempts'")
        .await;
    assert_eq!(stage.ledger.tuning().await.unwrap().attempts_max, None);
}

#[tokio::test]
async fn a_tuned_lag_moves_what_counts_as_settled() {
    let stage = Stage::new().await;
    let lag = Duration::from_secs(120);
    let seconds_behind = async || {
        let settled = stage.ledger.settled_up_to(lag).await.unwrap();
        stage
            .ledger
            .now()
            .await
            .unwrap()
            .duration_since(settled)
            .as_secs()
    };
    assert_eq!(seconds_behind().await, 120);
    stage
        .ledger
        .tune(&[to(Setting::HarvestLagSeconds, Some(3_600))], "operator")
        .await
        .unwrap();
    assert_eq!(seconds_behind().await, 3_600);
    stage
        .ledger
        .tune(&[to(Setting::HarvestLagSeconds, None)], "operator")
        .await
        .unwrap();
    assert_eq!(seconds_behind().await, 120);
}

#[tokio::test]
async fn a_tuned_batch_size_holds_for_the_schedules_windows_and_for_nobody_elses() {
    let stage = Stage::new().await;
    stage
        .ledger
        .tune(&[to(Setting::BatchSize, Some(10))], "operator")
        .await
        .unwrap();
    stage.backfill(a_day(), 500).await;
    let asked_for = stage.take_window().await;
    assert_eq!(asked_for.batch_size, 500);
    let continuous = NewMigration {
        id: MigrationId::new(),
        kind: MigrationKind::Continuous,
        priority: Priority::NORMAL,
        batch_size: 1_000,
        filter: None,
        from: a_day().from(),
        to: None,
        requested_by: "schedule".into(),
    };
    stage.ledger.make_migration(&continuous).await.unwrap();
    assert!(stage.ledger.open_window(continuous.id, a_day()).await.unwrap());
    let scheduled = stage.ledger.claim_window("holder", LEASE).await.unwrap().unwrap();
    assert_eq!(scheduled.batch_size, 10);
}
