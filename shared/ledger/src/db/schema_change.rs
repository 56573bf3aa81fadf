//! How the schema is changed: migrations, numbered files that are applied once each, under a lock.
//!
//! The lock is held by the very connection that runs the statements. A server continues a statement whose client has died, and
//! the lock stays as long, so no second program begins beside it. Forward only, one DDL statement each (MySQL commits
//! DDL by itself) that does no harm when it is repeated: a program may die between the statement and its version's record.
//!
//! Not here: when it is done (`functions/migrator`), and whether a program may run on what there is (`schema.rs`).

use crate::db::connect::Doing;
use crate::db::connections::Connection;
use crate::db::error::During;
use crate::db::limits::NO_STATEMENT_LIMIT;
use crate::{Ledger, LedgerError};
use granary_steps::Step;
use std::time::Instant;

#[allow(unreachable_pub, missing_docs, reason = "what the macro generates")]
mod embedded {
    refinery::embed_migrations!("migrations");
}

const LOCK_WAIT_SECS_MAX: u32 = 20;
/// 64 characters at most, as MySQL wants it. Databases whose names end alike wait for each other, which does no harm.
pub(crate) const LOCK_NAME: &str = "CONCAT('granary_schema.', RIGHT(DATABASE(), 49))";
const OLDEST_PROGRAM: &str = "-- oldest program: ";

/// As refinery makes it, and the oldest program that may run on the schema.
const MAKE_HISTORY: &str = "CREATE TABLE IF NOT EXISTS refinery_schema_history \
     (version INT PRIMARY KEY, name VARCHAR(255), applied_on VARCHAR(255), checksum VARCHAR(255), \
     oldest_program INT UNSIGNED NULL COMMENT 'programs whose newest migration is older may not run on it')";
const APPLIED_NOW: &str = "DATE_FORMAT(UTC_TIMESTAMP(6), '%Y-%m-%dT%H:%i:%s.%fZ')";

/// From which version to which the schema was changed. Both are the same where there was nothing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SchemaChange {
    /// The newest migration before; 0 in an empty database.
    pub from: u32,
    /// The newest migration now.
    pub to: u32,
}

/// A migration of this program.
#[derive(Debug, Clone)]
pub(crate) struct SchemaMigration {
    pub(crate) version: u32,
    pub(crate) name: String,
    checksum: String,
    sql: String,
    /// Programs whose newest migration is older may not run on the schema from here on. `None`: it names none, and a test fails.
    oldest_program: Option<u32>,
}

/// All of them, the oldest first.
pub(crate) fn schema_changes() -> Vec<SchemaMigration> {
    let runner = embedded::migrations::runner();
    let files = runner.get_migrations().iter().map(|file| {
        let sql = file.sql().unwrap_or_default();
        SchemaMigration {
            version: u32::try_from(file.version()).unwrap_or(0),
            name: file.name().to_owned(),
            checksum: file.checksum().to_string(),
            sql: sql.to_owned(),
            oldest_program: oldest_program_of(sql),
        }
    });
    let mut changes: Vec<SchemaMigration> = files.collect();
    changes.sort_by_key(|change| change.version);
    changes
}

/// The oldest program that a migration's first line names.
fn oldest_program_of(sql: &str) -> Option<u32> {
    let first = sql.lines().next()?;
    first.strip_prefix(OLDEST_PROGRAM)?.trim().parse().ok()
}

impl Ledger {
    /// Applies the migrations that the ledger lacks. One program does it, while others wait, and give up after 20 s. A
    /// statement takes as long as it needs: a caller that stops waiting leaves the server to end it, under the lock.
    pub async fn migrate_schema(&self) -> Result<SchemaChange, LedgerError> {
        // Tables that were never released are refused before anything is touched.
        self.schema().await?;
        self.change(Step::MigrateSchema, |doing| self.try_migrate_schema(doing))
            .await
    }

    async fn try_migrate_schema(&self, doing: Doing) -> Result<SchemaChange, LedgerError> {
        // With this connection the lock goes.
        let mut conn = self.conn(doing).await?.closed_when_dropped();
        take_lock(&mut conn, doing).await?;
        conn.query_drop(NO_STATEMENT_LIMIT).await.during(doing)?;
        conn.query_drop(MAKE_HISTORY).await.during(doing)?;
        let applied: Vec<(u32, String)> = conn
            .exec("SELECT version, checksum FROM refinery_schema_history", ())
            .await
            .during(doing)?;
        let from = applied.iter().map(|(version, _)| *version).max().unwrap_or(0);
        let mut to = from;
        for migration in schema_changes() {
            match applied.iter().find(|(version, _)| *version == migration.version) {
                Some((_, checksum)) if *checksum == migration.checksum => {}
                Some(_) => {
                    let version = migration.version;
                    return Err(LedgerError::SchemaDiffers { version });
                }
                None => {
                    apply(&mut conn, doing, &migration).await?;
                    to = to.max(migration.version);
                }
            }
        }
        tracing::info!(from, to, "the ledger's schema is up to date");
        Ok(SchemaChange { from, to })
    }
}

async fn take_lock(conn: &mut Connection, doing: Doing) -> Result<(), LedgerError> {
    let taken: Option<Option<u8>> = conn
        .exec_first(format!("SELECT GET_LOCK({LOCK_NAME}, ?)"), (LOCK_WAIT_SECS_MAX,))
        .await
        .during(doing)?;
    match taken.flatten() {
        Some(1) => Ok(()),
        _ => Err(LedgerError::BeingMigrated),
    }
}

async fn apply(conn: &mut Connection, doing: Doing, migration: &SchemaMigration) -> Result<(), LedgerError> {
    let begun = Instant::now();
    let version = migration.version;
    match conn.query_drop(&migration.sql).await.during(doing) {
        Ok(()) => {}
        Err(LedgerError::Database { source, .. }) => {
            return Err(LedgerError::Schema { version, source });
        }
        Err(error) => return Err(error),
    }
    write_down(conn, migration).await.during(doing)?;
    let millis = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(version, name = migration.name, millis, "a migration was applied");
    Ok(())
}

async fn write_down(conn: &mut Connection, migration: &SchemaMigration) -> Result<(), mysql_async::Error> {
    let SchemaMigration {
        version,
        name,
        checksum,
        oldest_program,
        ..
    } = migration;
    let statement = format!(
        "INSERT INTO refinery_schema_history (version, name, applied_on, checksum, oldest_program) \
         VALUES (?, ?, {APPLIED_NOW}, ?, ?)"
    );
    let values = (*version, name.as_str(), checksum.as_str(), *oldest_program);
    conn.exec_drop(statement, values).await
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The algorithm of its statement, as its second line names it.
    const ALGORITHM: &str = "-- algorithm: ";

    #[test]
    fn every_migration_names_the_oldest_program_that_may_run_on_it() {
        for migration in schema_changes() {
            let SchemaMigration {
                version,
                oldest_program,
                ..
            } = migration;
            let oldest = oldest_program
                .unwrap_or_else(|| panic!("V{version} has no line `{OLDEST_PROGRAM}NUMBER` at its head"));
            assert!(oldest <= version, "V{version}: {oldest}");
        }
    }

    /// MySQL takes no `LOCK` beside `INSTANT`. A new table holds nothing that another program waits for.
    #[test]
    fn every_migration_names_an_algorithm_that_lets_everybody_write_meanwhile_and_its_statement_demands_it() {
        for SchemaMigration { version, sql, .. } in schema_changes() {
            let named = sql.lines().nth(1).and_then(|line| line.strip_prefix(ALGORITHM));
            let demanded = match named {
                Some("INSTANT") => "ALGORITHM=INSTANT",
                Some("INPLACE") => "ALGORITHM=INPLACE, LOCK=NONE",
                Some("NEW TABLE") => "CREATE TABLE IF NOT EXISTS ",
                other => panic!("V{version}: `{ALGORITHM}INSTANT`, `INPLACE` or `NEW TABLE`, not {other:?}"),
            };
            assert!(sql.contains(demanded), "V{version} lacks: {demanded}");
            let alters = sql.matches("ALTER TABLE").count();
            assert_eq!(alters > 0, demanded.starts_with("ALGORITHM"), "V{version}");
        }
    }
}
