//! Whose ledger it is: recorded once, compared by every function, changed by an operator alone. And the settings that may change.

use crate::stage::Stage;
use granary_domain::{Identity, IdentitySetting, SourceSetting};
use granary_ledger::Ledger;

fn identity(settings: &[(IdentitySetting, &str)]) -> Identity {
    Identity::of(
        settings
            .iter()
            .map(|(setting, value)| (*setting, (*value).to_owned())),
    )
}

/// The settings of these tests' deployment.
fn ours() -> Identity {
    identity(&[
        (IdentitySetting::SourceName, "messages"),
        (IdentitySetting::Bucket, "ours"),
        (IdentitySetting::Prefix, ""),
    ])
}

/// Another deployment: its bucket and its prefix differ.
fn theirs() -> Identity {
    identity(&[
        (IdentitySetting::Prefix, "archive"),
        (IdentitySetting::Bucket, "theirs"),
        (IdentitySetting::SourceName, "messages"),
    ])
}

/// A ledger that is in use, and ours.
async fn in_use() -> Stage {
    let stage = Stage::new().await;
    assert!(stage.ledger.record_identity(&ours()).await.unwrap().is_empty());
    stage.batch(&["m1", "m2", "m3"]).await;
    stage
}

async fn recorded(ledger: &Ledger) -> Vec<(&'static str, String)> {
    let mut recorded: Vec<_> = ledger
        .identity()
        .await
        .unwrap()
        .into_iter()
        .map(|one| (one.setting.as_str(), one.value))
        .collect();
    recorded.sort();
    recorded
}

const OURS: [(&str, &str); 3] = [("bucket", "ours"), ("prefix", ""), ("source_name", "messages")];

fn owned(settings: [(&'static str, &str); 3]) -> [(&'static str, String); 3] {
    settings.map(|(name, value)| (name, value.to_owned()))
}

#[tokio::test]
async fn d5_an_identity_is_recorded_once_and_another_one_differs_by_each_setting() {
    let stage = in_use().await;
    assert_eq!(recorded(&stage.ledger).await, owned(OURS));
    assert!(stage.ledger.mismatches(&ours()).await.unwrap().is_empty());
    let mismatches = stage.ledger.record_identity(&theirs()).await.unwrap();
    let names: Vec<_> = mismatches
        .iter()
        .map(|mismatch| {
            (
                mismatch.recorded.setting,
                mismatch.recorded.value.as_str(),
                mismatch.found.as_str(),
            )
        })
        .collect();
    assert_eq!(
        names,
        [
            (IdentitySetting::Bucket, "ours", "theirs"),
            (IdentitySetting::Prefix, "", "archive"),
        ]
    );
    assert_eq!(stage.ledger.mismatches(&theirs()).await.unwrap(), mismatches);
    assert_eq!(recorded(&stage.ledger).await, owned(OURS), "nothing was recorded");
}

#[tokio::test]
async fn d5_a_setting_that_a_function_is_not_told_is_neither_recorded_nor_compared() {
    let stage = in_use().await;
    let less = identity(&[(IdentitySetting::Bucket, "ours")]);
    assert!(stage.ledger.record_identity(&less).await.unwrap().is_empty());
    assert_eq!(recorded(&stage.ledger).await, owned(OURS));
    let more = identity(&[
        (IdentitySetting::Bucket, "ours"),
        (IdentitySetting::Region, "eu-west-1"),
    ]);
    assert!(stage.ledger.record_identity(&more).await.unwrap().is_empty());
    let moved = identity(&[(IdentitySetting::Region, "eu-west-2")]);
    assert_eq!(stage.ledger.mismatches(&moved).await.unwrap().len(), 1);
}

#[tokio::test]
async fn d5_a_ledger_that_has_given_out_no_batch_number_takes_a_corrected_setting() {
    let stage = Stage::new().await;
    assert!(stage.ledger.record_identity(&theirs()).await.unwrap().is_empty());
    assert!(stage.ledger.mismatches(&ours()).await.unwrap().is_empty());
    assert!(stage.ledger.record_identity(&ours()).await.unwrap().is_empty());
    assert_eq!(recorded(&stage.ledger).await, owned(OURS));
    stage.batch(&["m1"]).await;
    assert_eq!(stage.ledger.record_identity(&theirs()).await.unwrap().len(), 2);
    assert_eq!(recorded(&stage.ledger).await, owned(OURS));
}

#[tokio::test]
async fn d5_deployments_that_start_at_once_are_one_that_owns_the_ledger_and_one_that_does_not() {
    let stage = Stage::new().await;
    stage.batch(&["m1"]).await;
    let another = stage.database.ledger().await;
    let (ours, theirs) = (ours(), theirs());
    let (one, other) = tokio::join!(
        stage.ledger.record_identity(&ours),
        another.record_identity(&theirs)
    );
    let mut differing = [one.unwrap().len(), other.unwrap().len()];
    differing.sort_unstable();
    assert_eq!(differing, [0, 2]);
    let again = [
        stage.ledger.mismatches(&ours).await.unwrap().len(),
        another.mismatches(&theirs).await.unwrap().len(),
    ];
    assert_eq!(again[0] + again[1], 2, "the same one, for good");
}

#[tokio::test]
async fn d5_what_a_function_has_otherwise_is_known_to_all_for_five_minutes() {
    let stage = in_use().await;
    let mismatches = stage.ledger.mismatches(&theirs()).await.unwrap();
    assert!(stage.ledger.noted_mismatches().await.unwrap().is_empty());
    for _ in 0..2 {
        stage.ledger.note_mismatches(&mismatches).await.unwrap();
        assert_eq!(stage.ledger.noted_mismatches().await.unwrap(), mismatches);
    }
    stage
        .database
        .sql("UPDATE deployment_mismatch SET found_at = found_at - INTERVAL 6 MINUTE WHERE name = 'bucket'")
        .await;
    assert_eq!(stage.ledger.noted_mismatches().await.unwrap(), mismatches[1..]);
    // A newer version notes a setting that this one doesn't know.
    stage
        .database
        .sql("UPDATE deployment_mismatch SET name = 'cluster' WHERE name = 'prefix'")
        .await;
    assert!(stage.ledger.noted_mismatches().await.unwrap().is_empty());
}

#[tokio::test]
async fn d5_an_adopted_setting_is_the_ledgers_and_what_was_proven_before_is_verified_again() {
    let stage = in_use().await;
    let mismatches = stage.ledger.mismatches(&theirs()).await.unwrap();
    stage.ledger.note_mismatches(&mismatches).await.unwrap();
    for statement in [
        "INSERT IGNORE INTO window_proof (window_id) SELECT id FROM harvest_window",
        "UPDATE harvest_window SET state = 'verified', verified_at = UTC_TIMESTAMP(6)",
    ] {
        stage.database.sql(statement).await;
    }
    let ledger = &stage.ledger;
    assert!(
        !ledger
            .adopt_setting(IdentitySetting::Bucket, "ours")
            .await
            .unwrap(),
        "it is the ledger's already"
    );
    let verified = "SELECT COUNT(*) FROM harvest_window WHERE state = 'verified'";
    assert_eq!(stage.database.row::<u64>(verified).await, 1);
    assert!(
        ledger
            .adopt_setting(IdentitySetting::Bucket, "theirs")
            .await
            .unwrap()
    );
    assert!(
        !ledger
            .adopt_setting(IdentitySetting::Bucket, "theirs")
            .await
            .unwrap()
    );
    assert_eq!(stage.database.row::<u64>(verified).await, 0);

    let left = ledger.mismatches(&theirs()).await.unwrap();
    assert_eq!(left, mismatches[1..], "one setting at a time");
    assert_eq!(ledger.noted_mismatches().await.unwrap(), left);
    let changed = ledger.changed_settings(10).await.unwrap();
    let changed: Vec<_> = changed
        .iter()
        .map(|one| (one.name.as_str(), one.before.as_str(), one.after.as_str()))
        .collect();
    assert_eq!(changed, [("bucket", "ours", "theirs")]);
    assert_eq!(
        ledger.mismatches(&ours()).await.unwrap().len(),
        1,
        "and the other deployment owns it no more"
    );
}

#[tokio::test]
async fn h12_a_setting_of_the_source_may_change_and_each_change_is_on_record_once() {
    let stage = in_use().await;
    let read = async |index: &str| {
        let settings = [
            (SourceSetting::Index, index.to_owned()),
            (SourceSetting::Filter, String::new()),
        ];
        stage.ledger.record_source_settings(&settings).await.unwrap();
        stage.ledger.changed_settings(10).await.unwrap()
    };
    assert!(
        read("messages").await.is_empty(),
        "the first value changes nothing"
    );
    assert!(read("messages").await.is_empty());
    assert_eq!(read("messages-*").await.len(), 1);
    assert_eq!(read("messages-*").await.len(), 1);
    let changes = read("messages").await;
    let changes: Vec<_> = changes
        .iter()
        .map(|one| (one.name.as_str(), one.before.as_str(), one.after.as_str()))
        .collect();
    assert_eq!(
        changes,
        [
            ("index", "messages-*", "messages"),
            ("index", "messages", "messages-*"),
        ],
        "the newest first"
    );
}

#[tokio::test]
async fn two_harvesters_that_read_different_sources_fill_no_table() {
    let stage = Stage::new().await;
    for number in 0..105 {
        let settings = [(SourceSetting::Index, format!("messages-{number}"))];
        stage.ledger.record_source_settings(&settings).await.unwrap();
    }
    let kept: u64 = stage
        .database
        .row("SELECT COUNT(*) FROM deployment_setting")
        .await;
    assert_eq!(kept, 100);
    let newest = stage.ledger.changed_settings(1).await.unwrap().pop().unwrap();
    assert_eq!(
        (newest.before.as_str(), newest.after.as_str()),
        ("messages-103", "messages-104")
    );
}
