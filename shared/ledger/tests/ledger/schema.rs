//! The schema: made once, by whoever comes first, and true to its own rules.

use crate::reserved_words::RESERVED_WORDS;
use crate::stage::{Database, Stage, seen};
use granary_ledger::{Ledger, LedgerError, RIGHTS_NEEDED};
use mysql_async::prelude::Queryable;
use std::collections::BTreeSet;
use uuid::Uuid;

#[tokio::test]
async fn an_empty_database_becomes_a_ledger() {
    let database = Database::empty().await;
    let ledger = database.ledger().await;
    let applied: usize = database.row("SELECT COUNT(*) FROM refinery_schema_history").await;
    let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations")).unwrap();
    assert_eq!(applied, files.count(), "each migration once");
    let newest: u32 = database
        .row("SELECT MAX(version) FROM refinery_schema_history")
        .await;
    assert_eq!(ledger.schema_version().await.unwrap(), newest);
    assert!(ledger.batches_by_status().await.unwrap().is_empty());
}

#[tokio::test]
async fn d3_programs_that_migrate_at_once_wait_for_each_other() {
    let database = Database::empty().await;
    let (one, another, third) = tokio::join!(database.ledger(), database.ledger(), database.ledger());
    let version = one.schema_version().await.unwrap();
    assert!(version > 0);
    assert_eq!(another.schema_version().await.unwrap(), version);
    assert_eq!(third.schema_version().await.unwrap(), version);
}

#[tokio::test]
async fn d3_a_program_with_one_connection_can_migrate() {
    let database = Database::empty().await;
    let settings = database.settings(1);
    let connecting = Ledger::connect(&settings);
    let connected = tokio::time::timeout(std::time::Duration::from_secs(60), connecting).await;
    let ledger = connected.expect("migrating doesn't wait for itself").unwrap();
    ledger.ping().await.unwrap();
}

/// MySQL's longest name; its locks have none that is longer.
#[tokio::test]
async fn d3_a_database_with_the_longest_name_becomes_a_ledger() {
    let name = format!("granary_test_{}", Uuid::now_v7().simple());
    let database = Database::named(&format!("{name:_<64}")).await;
    let ledger = database.ledger().await;
    assert!(ledger.schema_version().await.unwrap() > 0);
}

/// What `doctor` asks for is what a ledger needs to be made and used.
#[tokio::test]
async fn the_rights_that_are_asked_for_are_enough() {
    let database = Database::new().await;
    let user = format!("granary{}", &Uuid::now_v7().simple().to_string()[20..]);
    let admin = std::env::var("LEDGER_ADMIN_URL").expect("LEDGER_ADMIN_URL is in .local/env");
    let mut conn = mysql_async::Conn::from_url(format!("{admin}?prefer_socket=false"))
        .await
        .unwrap();
    conn.query_drop(format!("CREATE USER '{user}'@'%' IDENTIFIED BY 'of-a-test'"))
        .await
        .unwrap();
    let rights = RIGHTS_NEEDED.join(", ");
    conn.query_drop(format!("GRANT {rights} ON {}.* TO '{user}'@'%'", database.name()))
        .await
        .unwrap();
    let mut settings = database.settings(2);
    let url = database.url();
    let (_, server) = url.rsplit_once('@').unwrap();
    settings.url = format!("mysql://{user}:of-a-test@{server}").into();
    let ledger = Ledger::connect(&settings).await.unwrap();
    assert!(ledger.batches_by_status().await.unwrap().is_empty());
    assert_eq!(ledger.missing_rights().await.unwrap(), [""; 0]);
    ledger.disconnect();
    conn.query_drop(format!("DROP USER '{user}'@'%'")).await.unwrap();
    conn.disconnect().await.unwrap();
}

#[tokio::test]
async fn d3_a_newer_schema_is_refused() {
    let stage = Stage::new().await;
    let known = stage.ledger.schema_version().await.unwrap();
    stage
        .database
        .sql(&format!(
            "UPDATE refinery_schema_history SET version = {} WHERE version = {known}",
            known + 1
        ))
        .await;
    let refused = Ledger::connect(&stage.database.settings(2)).await.unwrap_err();
    assert!(matches!(refused, LedgerError::SchemaNewer { found, .. } if found == known + 1));
    assert!(!refused.is_platforms(), "it is for a person to repair");
}

#[tokio::test]
async fn d3_a_migration_that_died_before_it_was_written_down_is_repeated() {
    let stage = Stage::new().await;
    let known = stage.ledger.schema_version().await.unwrap();
    for version in (1..=known).rev() {
        stage
            .database
            .sql(&format!(
                "DELETE FROM refinery_schema_history WHERE version >= {version}"
            ))
            .await;
        let again = stage.database.ledger().await;
        assert_eq!(again.schema_version().await.unwrap(), known);
    }
}

#[tokio::test]
async fn no_identifier_is_a_reserved_word() {
    let stage = Stage::new().await;
    let name = stage.database.name();
    let query = format!(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = '{name}' \
         UNION SELECT column_name FROM information_schema.columns WHERE table_schema = '{name}' \
         UNION SELECT index_name FROM information_schema.statistics \
               WHERE table_schema = '{name}' AND index_name <> 'PRIMARY' \
         UNION SELECT constraint_name FROM information_schema.table_constraints \
               WHERE table_schema = '{name}' AND constraint_name <> 'PRIMARY'"
    );
    let identifiers: Vec<String> = stage.database.rows(&query).await;
    assert!(identifiers.len() > 50, "{identifiers:?}");
    let reserved: BTreeSet<&str> = RESERVED_WORDS.split_whitespace().collect();
    let taken: Vec<_> = identifiers
        .iter()
        .filter(|identifier| reserved.contains(identifier.to_uppercase().as_str()))
        .collect();
    assert!(taken.is_empty(), "{taken:?}");
}

#[tokio::test]
async fn check_constraints_refuse_rows_that_contradict_themselves() {
    let stage = Stage::new().await;
    let batch = stage.batch(&["m1", "m2", "m3"]).await;
    let whole = "settled_at = UTC_TIMESTAMP(6), exported = 3, missing = 0, quarantined = 0";
    let object = "object_key = 'k', sha256 = REPEAT('x', 32), bytes_raw = 1, bytes_stored = 1";
    let refused = [
        format!("status = 'completed', {whole}"),
        format!("status = 'completed', {object}"),
        format!("status = 'completed', {whole}, {object}, exported = 2"),
        format!("status = 'completed', {whole}, {object}, exported = NULL"),
        format!("status = 'completed', {whole}, {object}, sha256 = NULL"),
        format!("status = 'completed', {whole}, {object}, exported = 0, missing = 3"),
        "status = 'in_progress', holder = 'w'".into(),
        "status = 'in_progress', holder = 'w', lease_until = UTC_TIMESTAMP(6), fence = 1".into(),
        "status = 'failed'".into(),
        "parked_at = UTC_TIMESTAMP(6)".into(),
        "status = 'done'".into(),
        "generation = 0".into(),
    ];
    for changes in refused {
        let statement = format!("UPDATE batch SET {changes} WHERE id = {batch}");
        let outcome = stage.database.try_sql(&statement, ()).await;
        assert!(outcome.is_err(), "accepted: {changes}");
    }
    stage
        .database
        .sql(&format!(
            "UPDATE batch SET status = 'completed', {whole}, {object} WHERE id = {batch}"
        ))
        .await;
}

#[tokio::test]
async fn check_constraints_hold_windows_messages_attempts_and_operations_too() {
    let stage = Stage::new().await;
    let mut window = stage.window(1_000).await;
    stage.record(&mut window, &[seen("m")]).await;
    let refused = [
        "UPDATE harvest_window SET found = found + 1",
        "UPDATE harvest_window SET range_to = range_from",
        "UPDATE harvest_window SET lease_until = NULL",
        "UPDATE harvest_window SET state = 'recorded'",
        "UPDATE migration SET state = 'completed'",
        "UPDATE migration SET range_to = range_from",
        "UPDATE migration SET priority = 10",
        "UPDATE message SET outcome = 'lost'",
        "INSERT INTO attempt (batch_id, number, generation, worker, started_at, outcome) \
         VALUES (1, 1, 1, 'w', UTC_TIMESTAMP(6), 'completed')",
        "INSERT INTO operation (id, kind, state, arguments, requested_by, created_at, updated_at, finished_at) \
         VALUES (REPEAT('x', 16), 'k', 'succeeded', '{}', 'w', UTC_TIMESTAMP(6), UTC_TIMESTAMP(6), UTC_TIMESTAMP(6))",
    ];
    for statement in refused {
        assert!(
            stage.database.try_sql(statement, ()).await.is_err(),
            "accepted: {statement}"
        );
    }
}
