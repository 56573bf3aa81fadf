//! Faults of the platform: what they break off is repeated as a whole, and nothing is doubled (D1).

use crate::stage::{Stage, many, record_page, seen};
use granary_domain::{IdDigest, Tally};
use granary_ledger::export::{Claim, Fenced};
use granary_ledger::harvest::Recorded;
use granary_test_database::processlist;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, OptsBuilder};
use secrecy::ExposeSecret;

/// A connection that holds locks until it is let go.
async fn someone_else(stage: &Stage) -> Conn {
    let url = &stage.database.settings(1).url.current().0.url;
    let opts = OptsBuilder::from_opts(Opts::from_url(url.expose_secret()).unwrap()).prefer_socket(false);
    Conn::new(opts).await.unwrap()
}

/// Inserts the row of a message into a batch that no ledger has.
fn inserted_row(id: &str) -> String {
    let (high, low) = IdDigest::halves(id.as_bytes());
    format!(
        "INSERT IGNORE INTO message (message_id, index_id, event_time, batch_id, hash_high, hash_low) \
         VALUES ('{id}', 1, '2026-01-01', 4000000000, {high}, {low})"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d1_a_transaction_that_loses_a_deadlock_is_repeated() {
    let stage = Stage::new().await;
    let window = stage.window(1_000).await;
    let mut other = someone_else(&stage).await;
    other.query_drop("START TRANSACTION").await.unwrap();
    // More rows than the ledger's transaction: InnoDB rolls the smaller one back.
    let rows: Vec<String> = (0..2_000)
        .map(|number| format!("('o{number}', 1, '2026-01-01', 4000000000, 0, {number})"))
        .collect();
    let statement = format!(
        "INSERT INTO message (message_id, index_id, event_time, batch_id, hash_high, hash_low) VALUES {}",
        rows.join(",")
    );
    other.query_drop(statement).await.unwrap();
    other.query_drop(inserted_row("z")).await.unwrap();

    let ledger = stage.ledger.clone();
    let held = window.clone();
    // The rows go in by their hashes: the first is new.
    assert!(IdDigest::hash(b"n") < IdDigest::hash(b"z"));
    let page = vec![seen("n"), seen("z")];
    let recording = tokio::spawn(async move { record_page(&ledger, &held, &page).await });
    stage.database.until_a_connection_waits().await;
    // The ledger holds the new row `n` and waits for `z`; now we wait for `n`.
    other.query_drop(inserted_row("n")).await.unwrap();
    other.query_drop("ROLLBACK").await.unwrap();

    let tally = Tally {
        found: 2,
        recorded: 2,
        ..Tally::default()
    };
    assert_eq!(recording.await.unwrap(), Recorded::Done { tally, batches: 1 });
    other.disconnect().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d1_a_page_whose_connection_is_killed_is_recorded_once() {
    let stage = Stage::new().await;
    stage.batch(&["known"]).await;
    let window = stage.window(100).await;
    let mut other = someone_else(&stage).await;
    other.query_drop("START TRANSACTION").await.unwrap();
    other.query_drop(inserted_row("a000500")).await.unwrap();

    let ledger = stage.ledger.clone();
    let held = window.clone();
    let mut page = many("a", 1_000);
    page.push(seen("known"));
    let recording = tokio::spawn(async move { record_page(&ledger, &held, &page).await });
    for _ in 0..2 {
        let waiting = stage.database.until_a_connection_waits().await;
        stage.database.sql(&format!("KILL CONNECTION {waiting}")).await;
    }
    other.query_drop("ROLLBACK").await.unwrap();

    let tally = Tally {
        found: 1_001,
        recorded: 1_000,
        owned_elsewhere: 1,
        ..Tally::default()
    };
    assert_eq!(recording.await.unwrap(), Recorded::Done { tally, batches: 10 });
    let (batches, messages): (u64, u64) = stage
        .database
        .row("SELECT (SELECT COUNT(*) FROM batch), (SELECT COUNT(*) FROM message)")
        .await;
    assert_eq!((batches, messages), (11, 1_001));
    other.disconnect().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d1_a_claim_whose_connection_is_killed_takes_the_batch_once() {
    let stage = Stage::new().await;
    let batch = stage.batch(&["m"]).await;
    let mut other = someone_else(&stage).await;
    other.query_drop("START TRANSACTION").await.unwrap();
    other.query_drop("SELECT * FROM batch FOR UPDATE").await.unwrap();
    let ledger = stage.ledger.clone();
    let claiming = tokio::spawn(async move { ledger.claim(batch, "worker", crate::stage::LEASE).await });
    let waiting = stage.database.until_a_connection_waits().await;
    stage.database.sql(&format!("KILL CONNECTION {waiting}")).await;
    other.query_drop("ROLLBACK").await.unwrap();
    let Claim::Won(claimed) = claiming.await.unwrap().unwrap() else {
        panic!("nobody else wants it");
    };
    assert_eq!((claimed.fence.0, claimed.attempts), (1, 1));
    other.disconnect().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d1_a_window_is_taken_once_by_a_harvester_whose_connection_is_killed() {
    let stage = Stage::new().await;
    stage.backfill(crate::stage::a_day(), 100).await;
    let mut other = someone_else(&stage).await;
    other.query_drop("START TRANSACTION").await.unwrap();
    other
        .query_drop("SELECT * FROM harvest_window FOR UPDATE")
        .await
        .unwrap();
    let ledger = stage.ledger.clone();
    let claiming = tokio::spawn(async move { ledger.claim_window("harvester", crate::stage::LEASE).await });
    let waiting = stage.database.until_a_connection_waits().await;
    stage.database.sql(&format!("KILL CONNECTION {waiting}")).await;
    other.query_drop("ROLLBACK").await.unwrap();
    let window = claiming.await.unwrap().unwrap().unwrap();
    assert_eq!((window.fence.0, window.attempts), (1, 1));
    other.disconnect().await.unwrap();
}

#[tokio::test]
async fn d1_a_pool_whose_idle_connections_were_killed_goes_on() {
    let stage = Stage::new().await;
    let batch = stage.claimed().await;
    let query = format!(
        "SELECT id FROM {} WHERE db = '{}' AND id <> CONNECTION_ID()",
        processlist(),
        stage.database.name()
    );
    let connections: Vec<u64> = stage.database.rows(&query).await;
    assert!(!connections.is_empty());
    for id in connections {
        stage
            .database
            .try_sql(&format!("KILL CONNECTION {id}"), ())
            .await
            .ok();
    }
    let renewed = stage
        .ledger
        .renew_lease(batch.id, batch.fence, crate::stage::LEASE)
        .await;
    assert_eq!(renewed.unwrap(), Fenced::Done);
    assert_eq!(stage.ledger.messages_of(batch.id).await.unwrap().len(), 3);
}

#[tokio::test]
async fn d1_a_ledger_that_is_not_there_is_the_platforms_fault() {
    let settings = granary_ledger::LedgerSettings {
        url: "mysql://granary:secret@127.0.0.1:9/granary".to_owned().into(),
        connections_max: 2,
    };
    let refused = granary_ledger::Ledger::connect(&settings).await.unwrap_err();
    assert!(refused.is_platforms());
    assert!(!refused.to_string().contains("secret"));
}
