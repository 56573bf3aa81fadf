//! The schema: made once, by a deployment, looked at by every program, and true to its own rules.

use crate::reserved_words::RESERVED_WORDS;
use crate::stage::{Database, Stage, seen};
use granary_ledger::db::{RIGHTS_NEEDED, needed_schema};
use granary_ledger::{Ledger, LedgerError, Remedy};
use mysql_async::prelude::Queryable;
use std::collections::BTreeSet;
use uuid::Uuid;

/// How many there are.
fn migrations() -> usize {
    let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations")).unwrap();
    files.count()
}

#[tokio::test]
async fn an_empty_database_becomes_a_ledger() {
    let database = Database::empty().await;
    let ledger = database.ledger().await;
    let applied: usize = database.row("SELECT COUNT(*) FROM refinery_schema_history").await;
    assert_eq!(applied, migrations(), "each migration once");
    let newest: u32 = database
        .row("SELECT MAX(version) FROM refinery_schema_history")
        .await;
    assert_eq!(ledger.schema_version().await.unwrap(), newest);
    assert!(ledger.batches_by_status().await.unwrap().is_empty());
}

#[tokio::test]
async fn d3_programs_that_migrate_at_once_apply_each_migration_once() {
    let database = Database::empty().await;
    let [one, another, third] = [(); 3].map(|()| Ledger::new(&database.settings(2)).unwrap());
    let (one, another, third) = tokio::join!(
        one.migrate_schema(),
        another.migrate_schema(),
        third.migrate_schema()
    );
    let changes = [one, another, third].map(Result::unwrap);
    assert!(
        changes.iter().all(|change| change.to == needed_schema()),
        "{changes:?}"
    );
    let made = changes.iter().filter(|change| change.from == 0).count();
    assert_eq!(made, 1, "the others had to wait, and found it done: {changes:?}");
    let applied: usize = database.row("SELECT COUNT(*) FROM refinery_schema_history").await;
    assert_eq!(applied, migrations());
}

#[tokio::test]
async fn d3_a_program_with_one_connection_can_migrate() {
    let database = Database::empty().await;
    let ledger = Ledger::new(&database.settings(1)).unwrap();
    let migrated = tokio::time::timeout(std::time::Duration::from_secs(60), ledger.migrate_schema()).await;
    migrated.expect("migrating doesn't wait for itself").unwrap();
    ledger.ready().await.unwrap();
}

/// MySQL's longest name; its locks have none that is longer.
#[tokio::test]
async fn d3_a_database_with_the_longest_name_becomes_a_ledger() {
    let name = format!("granary_test_{}", Uuid::now_v7().simple());
    let database = Database::named(&format!("{name:_<64}")).await;
    let ledger = database.ledger().await;
    assert!(ledger.schema_version().await.unwrap() > 0);
}

/// As a migration is about to be applied, and another connection has one of its tables to itself.
#[tokio::test]
async fn d3_the_lock_is_held_by_the_connection_that_runs_the_statement() {
    let database = Database::empty().await;
    let ledger = database.ledger().await;
    database.sql("DELETE FROM refinery_schema_history").await;
    let mut alone = database.held("LOCK TABLES control WRITE").await;
    let (migrated, ()) = tokio::join!(ledger.migrate_schema(), async {
        let at_work = database.until_a_connection_waits().await;
        let lock = "SELECT IS_USED_LOCK(CONCAT('granary_schema.', RIGHT(DATABASE(), 49)))";
        let holder: Option<u64> = database.row(lock).await;
        assert_eq!(holder, Some(at_work));
        alone.query_drop("UNLOCK TABLES").await.unwrap();
    });
    migrated.unwrap();
    alone.disconnect().await.unwrap();
    let left = ledger.schema().await.unwrap();
    assert!(!left.is_being_changed && left.pending.is_empty(), "{left:?}");
}

/// What `doctor` asks for is what a ledger needs to be made and used.
#[tokio::test]
async fn the_rights_that_are_asked_for_are_enough() {
    let database = Database::empty().await;
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
    let ledger = granary_test_database::deployed(&settings).await;
    assert!(ledger.batches_by_status().await.unwrap().is_empty());
    assert_eq!(ledger.missing_rights().await.unwrap(), [""; 0]);
    ledger.disconnect();
    conn.query_drop(format!("DROP USER '{user}'@'%'")).await.unwrap();
    conn.disconnect().await.unwrap();
}

#[tokio::test]
async fn d3_an_older_schema_is_refused_with_what_to_do_and_left_as_it_is() {
    let database = Database::empty().await;
    let refused = Ledger::connect(&database.settings(2)).await.unwrap_err();
    let needed = needed_schema();
    assert_eq!(
        refused.to_string(),
        format!(
            "the ledger has schema 0, this version needs {needed}: run `granary schema migrate`, or deploy the stack"
        )
    );
    assert_eq!(refused.remedy(), Remedy::Migrate);
    assert!(
        refused.is_platforms(),
        "work waits for the deployment, and costs nothing"
    );
    let tables: u64 = database
        .row("SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE()")
        .await;
    assert_eq!(tables, 0, "a program only looks");

    let ledger = Ledger::new(&database.settings(2)).unwrap();
    let seen = ledger.schema().await.unwrap();
    assert_eq!((seen.found, seen.pending.len()), (0, migrations()));
    ledger.migrate_schema().await.unwrap();
    ledger.ready().await.unwrap();
}

/// A migration that this program doesn't know, and the oldest program that it allows.
async fn newer(database: &Database, oldest_program: &str) -> u32 {
    let found = needed_schema() + 1;
    database
        .sql(&format!(
            "INSERT INTO refinery_schema_history (version, name, applied_on, checksum, oldest_program) \
             VALUES ({found}, 'of_tomorrow', '2027-01-01T00:00:00Z', '1', {oldest_program})"
        ))
        .await;
    found
}

#[tokio::test]
async fn d3_a_newer_schema_that_allows_this_version_is_used() {
    let stage = Stage::new().await;
    let found = newer(&stage.database, &needed_schema().to_string()).await;
    let ledger = Ledger::connect(&stage.database.settings(2)).await.unwrap();
    assert_eq!(ledger.schema_version().await.unwrap(), found);
    assert!(ledger.batches_by_status().await.unwrap().is_empty());
    let unchanged = ledger.migrate_schema().await.unwrap();
    assert_eq!((unchanged.from, unchanged.to), (found, found));
}

#[tokio::test]
async fn d3_a_newer_schema_that_does_not_allow_this_version_or_says_nothing_is_refused() {
    let needed = needed_schema();
    for oldest_program in [(needed + 1).to_string(), "NULL".to_owned()] {
        let stage = Stage::new().await;
        let found = newer(&stage.database, &oldest_program).await;
        let refused = Ledger::connect(&stage.database.settings(2)).await.unwrap_err();
        assert_eq!(
            refused.to_string(),
            format!(
                "the ledger has schema {found}, which only versions with schema {found} or later may use; this one has \
                 {needed}: deploy a newer version"
            )
        );
        assert_eq!(refused.remedy(), Remedy::Migrate);
    }
}

#[tokio::test]
async fn d3_a_database_that_another_migration_was_applied_to_is_left_as_it_is() {
    let stage = Stage::new().await;
    stage
        .database
        .sql("UPDATE refinery_schema_history SET checksum = '1' WHERE version = 1")
        .await;
    let refused = stage.ledger.migrate_schema().await.unwrap_err();
    assert!(
        matches!(refused, LedgerError::SchemaDiffers { version: 1 }),
        "{refused}"
    );
    assert!(!refused.is_platforms(), "it is for a person to repair");
}

/// As the first of them left it: without a column for the oldest program.
#[tokio::test]
async fn d3_a_ledger_of_an_unreleased_version_is_left_as_it_is_and_has_to_be_recreated() {
    let database = Database::empty().await;
    for statement in [
        "CREATE TABLE refinery_schema_history \
         (version INT PRIMARY KEY, name VARCHAR(255), applied_on VARCHAR(255), checksum VARCHAR(255))",
        "INSERT INTO refinery_schema_history VALUES (1, 'of_old', '2026-11-01T00:00:00Z', '1'), \
         (28, 'message_hash', '2026-11-01T00:00:00Z', '2')",
    ] {
        database.sql(statement).await;
    }
    let ledger = Ledger::new(&database.settings(2)).unwrap();
    for refused in [
        ledger.ready().await.unwrap_err(),
        ledger.schema().await.unwrap_err(),
        ledger.migrate_schema().await.unwrap_err(),
    ] {
        assert_eq!(
            refused.to_string(),
            "the ledger was made by an unreleased version, whose migration 1 is another one than this version's: recreate it, \
             in an empty database"
        );
        assert_eq!(refused.remedy(), Remedy::Refuse);
        assert!(!refused.is_platforms(), "it is for a person to repair");
    }
    let tables: u64 = database
        .row("SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE()")
        .await;
    assert_eq!(tables, 1);
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
