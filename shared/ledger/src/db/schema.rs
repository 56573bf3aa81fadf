//! The schema: which version the ledger has, and whether this program may run on it.
//!
//! A program only looks; what changes the schema is [`Ledger::migrate_schema`] (`schema_change.rs`), a step of the deployment. A
//! program that meets an older schema fails and says what to do. One that meets a newer schema goes on where every migration that it
//! doesn't know allows it: each names the oldest program that may run on it, by the newest migration which that program has. Tables
//! whose migrations have other names than this program's were made before the first release: nothing brings them up to date.

use crate::db::connect::Reader;
use crate::db::schema_change::{LOCK_NAME, SchemaMigration, schema_changes};
use crate::{Ledger, LedgerError};
use std::collections::BTreeMap;

const NO_SUCH_TABLE: u16 = 1146;

/// The ledger's schema, beside what this program needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema {
    /// The newest migration that was applied; 0 in an empty database.
    pub found: u32,
    /// The newest migration that this program has.
    pub needed: u32,
    /// The oldest program that may run on it, by the newest migration which that program has. `None`: it has no tables.
    pub oldest_program: Option<u32>,
    /// What this program has and the ledger lacks, the oldest first.
    pub pending: Vec<PendingMigration>,
    /// Whether some program changes it at this moment.
    pub is_being_changed: bool,
}

/// A migration of this program that wasn't applied yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingMigration {
    /// Its number.
    pub version: u32,
    /// What it is about, as its file is named.
    pub name: String,
}

impl Schema {
    /// Why this program may not run on it.
    pub fn objection(&self) -> Option<LedgerError> {
        let Self { found, needed, .. } = *self;
        if found < needed {
            return Some(LedgerError::SchemaOlder { found, needed });
        }
        let oldest = self.oldest_program.filter(|oldest| *oldest > needed);
        oldest.map(|oldest| LedgerError::SchemaNewer {
            found,
            known: needed,
            oldest,
        })
    }
}

/// The newest migration that this program has: it needs a schema with all of them.
pub fn needed_schema() -> u32 {
    let changes = schema_changes();
    changes.last().map_or(0, |newest| newest.version)
}

impl Ledger {
    /// Whether this program may run on the ledger's schema. Nothing is changed.
    pub(crate) async fn check_schema(&self) -> Result<(), LedgerError> {
        let needed = needed_schema();
        let applied = self.read("read its schema", |mut reader| async move {
            applied(&mut reader).await
        });
        if newest(&applied.await?) == needed {
            return Ok(());
        }
        let schema = self.schema().await?;
        if let Some(objection) = schema.objection() {
            return Err(objection);
        }
        tracing::info!(
            found = schema.found,
            known = needed,
            "the ledger's schema is newer, and allows this version"
        );
        Ok(())
    }

    /// The newest migration that the database has; 0 for an empty database.
    pub async fn schema_version(&self) -> Result<u32, LedgerError> {
        self.read("read its schema's version", |mut reader| async move {
            let query = "SELECT MAX(version) FROM refinery_schema_history";
            let version = reader.first::<Option<u32>>(query, ()).await;
            Ok(unless_empty(version)?.flatten().flatten().unwrap_or(0))
        })
        .await
    }

    /// The schema as it is, whatever this program thinks of it.
    pub async fn schema(&self) -> Result<Schema, LedgerError> {
        self.read("look at its schema", |mut reader| async move {
            let applied = applied(&mut reader).await?;
            let (found, needed) = (newest(&applied), needed_schema());
            let held: Option<Option<u64>> = reader
                .first(format!("SELECT IS_USED_LOCK({LOCK_NAME})"), ())
                .await?;
            let pending = schema_changes()
                .into_iter()
                .filter(|change| !applied.contains_key(&change.version));
            Ok(Schema {
                found,
                needed,
                oldest_program: oldest_program(&mut reader, needed).await?,
                pending: pending
                    .map(|change| PendingMigration {
                        version: change.version,
                        name: change.name,
                    })
                    .collect(),
                is_being_changed: held.flatten().is_some(),
            })
        })
        .await
    }
}

/// The names of the migrations that were applied, by their numbers. Those that this program knows have the same names here, or were
/// never released. Checksums are compared where the schema is changed: a corrected comment in a file must stop no function.
async fn applied(reader: &mut Reader) -> Result<BTreeMap<u32, String>, LedgerError> {
    let query = "SELECT version, COALESCE(name, '') FROM refinery_schema_history";
    let applied = unless_empty(reader.rows::<(u32, String)>(query, ()).await)?.unwrap_or_default();
    let applied = BTreeMap::from_iter(applied);
    let is_another = |known: &SchemaMigration| {
        applied
            .get(&known.version)
            .is_some_and(|name| *name != known.name)
    };
    match schema_changes().into_iter().find(is_another) {
        None => Ok(applied),
        Some(SchemaMigration { version, .. }) => Err(LedgerError::SchemaUnreleased { version }),
    }
}

fn newest(applied: &BTreeMap<u32, String>) -> u32 {
    applied.keys().next_back().copied().unwrap_or(0)
}

/// Of all migrations that name one. A migration that this program doesn't know and that names none allows no program but
/// those that know it.
async fn oldest_program(reader: &mut Reader, needed: u32) -> Result<Option<u32>, LedgerError> {
    let query =
        "SELECT MAX(COALESCE(oldest_program, IF(version > ?, version, NULL))) FROM refinery_schema_history";
    let oldest = reader.first::<Option<u32>>(query, (needed,)).await;
    Ok(unless_empty(oldest)?.flatten().flatten())
}

/// `None`: the database has no tables yet.
fn unless_empty<T>(answer: Result<T, LedgerError>) -> Result<Option<T>, LedgerError> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(LedgerError::Database {
            source: mysql_async::Error::Server(error),
            ..
        }) if error.code == NO_SUCH_TABLE => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(found: u32, needed: u32, oldest_program: Option<u32>) -> Schema {
        Schema {
            found,
            needed,
            oldest_program,
            pending: Vec::new(),
            is_being_changed: false,
        }
    }

    #[test]
    fn a_program_runs_on_its_own_schema_and_on_a_newer_one_that_allows_it() {
        for runs in [
            schema(48, 48, Some(48)),
            schema(50, 48, Some(48)),
            schema(50, 48, Some(45)),
        ] {
            assert!(runs.objection().is_none(), "{runs:?}");
        }
    }

    #[test]
    fn an_objection_names_both_versions_and_what_to_do() {
        let said = |schema: Schema| schema.objection().map(|error| error.to_string());
        let older = "the ledger has schema 44, this version needs 45: run `granary schema migrate`, or deploy the stack";
        assert_eq!(said(schema(44, 45, None)).as_deref(), Some(older));
        let newer = "the ledger has schema 51, which only versions with schema 50 or later may use; this one has 48: deploy a \
                     newer version";
        assert_eq!(said(schema(51, 48, Some(50))).as_deref(), Some(newer));
    }
}
