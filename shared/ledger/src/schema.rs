//! The schema: numbered migrations, applied once, under a lock.
//!
//! Forward only, one DDL statement each (MySQL commits DDL by itself) that does no harm when it is repeated: a program
//! may die between the statement and its version's record. A program that meets a newer schema refuses
//! to start; one that meets an older one brings it up to date, while others wait, and give up after 20 s as in an outage.

use crate::connect::Doing;
use crate::error::During;
use crate::{Ledger, LedgerError};
use granary_steps::Step;
use mysql_async::{Pool, prelude::Queryable};

#[allow(unreachable_pub, missing_docs, reason = "what the macro generates")]
mod embedded {
    refinery::embed_migrations!("migrations");
}

const LOCK_WAIT_SECS_MAX: u32 = 20;
/// 64 characters at most, as MySQL wants it. Databases whose names end alike wait for each other, which does no harm.
const LOCK_NAME: &str = "CONCAT('granary_schema.', RIGHT(DATABASE(), 49))";
const NO_SUCH_TABLE: u16 = 1146;

impl Ledger {
    pub(crate) async fn bring_schema_up_to_date(&self) -> Result<(), LedgerError> {
        let known = known_version();
        match self.schema_version().await? {
            found if found == known => Ok(()),
            found if found > known => Err(LedgerError::SchemaNewer { found, known }),
            _ => self.migrate_schema(known).await,
        }
    }

    /// The newest migration that the database has; 0 for an empty database.
    pub async fn schema_version(&self) -> Result<u32, LedgerError> {
        let version = self
            .read("read its schema's version", |mut reader| async move {
                reader
                    .first::<Option<u32>>("SELECT MAX(version) FROM refinery_schema_history", ())
                    .await
            })
            .await;
        match version {
            Ok(version) => Ok(version.flatten().unwrap_or(0)),
            Err(LedgerError::Database {
                source: mysql_async::Error::Server(error),
                ..
            }) if error.code == NO_SUCH_TABLE => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// refinery takes no lock, so two functions that start at once would race: a named lock lets one pass. It is held on
    /// the very connection that changes the schema, so it ends with the change, and not before.
    async fn migrate_schema(&self, wanted: u32) -> Result<(), LedgerError> {
        self.change(Step::MigrateSchema, |doing| {
            self.try_migrate_schema(doing, wanted)
        })
        .await?;
        tracing::info!(version = wanted, "the ledger's schema is up to date");
        Ok(())
    }

    async fn try_migrate_schema(&self, doing: Doing, wanted: u32) -> Result<(), LedgerError> {
        let mut one = self.migrator(doing)?;
        let outcome = match take_lock(&one, doing).await {
            Ok(()) => {
                let run = embedded::migrations::runner().run_async(&mut one).await;
                run.map(drop).map_err(|source| LedgerError::Schema {
                    wanted,
                    source: Box::new(source),
                })
            }
            Err(error) => Err(error),
        };
        // With its only connection the lock is gone.
        one.disconnect().await.during(doing).and(outcome)
    }
}

async fn take_lock(one: &Pool, doing: Doing) -> Result<(), LedgerError> {
    let mut conn = one.get_conn().await.during(doing)?;
    let taken: Option<Option<u8>> = conn
        .exec_first(format!("SELECT GET_LOCK({LOCK_NAME}, ?)"), (LOCK_WAIT_SECS_MAX,))
        .await
        .during(doing)?;
    match taken.flatten() {
        Some(1) => Ok(()),
        _ => Err(LedgerError::BeingMigrated),
    }
}

fn known_version() -> u32 {
    let runner = embedded::migrations::runner();
    runner
        .get_migrations()
        .iter()
        .map(|migration| u32::try_from(migration.version()).unwrap_or(0))
        .max()
        .unwrap_or(0)
}
