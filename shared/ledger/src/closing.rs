//! Closing what has come to its end without its row saying so: migrations that have nothing left to read, or nothing
//! left to export, and windows whose harvester died.
//!
//! A migration is closed by what stands in batches and windows now, never by what somebody counted. A window goes back
//! to whoever claims it next; one that is being read again keeps what it recorded.
//!
//! **When it fails**, what was closed before stays closed, and the next call finds the rest. Done twice is done once:
//! each change names the state that it leaves.

use crate::connect::Doing;
use crate::error::During;
use crate::migration::HAS_NOTHING_LEFT_TO_READ;
use crate::row::{Columns, uuid};
use crate::shape::List;
use crate::{Ledger, LedgerError, Migration, MigrationFilter};
use granary_domain::{MigrationId, MigrationState, TimeRange, WindowId};
use granary_steps::Step;
use mysql_async::Row;

const MIGRATIONS_MAX: u32 = 1_000;

impl Ledger {
    /// Completes draining migrations none of whose messages are open, whoever owns them. It looks at `limit` of them at
    /// most, and says which ones it completed.
    pub async fn complete_drained(&self, limit: u32) -> Result<Vec<MigrationId>, LedgerError> {
        let mut completed = Vec::new();
        for migration in self.draining(limit).await? {
            if self.has_nothing_open(&migration).await? && self.complete_migration(migration.id).await? {
                completed.push(migration.id);
            }
        }
        Ok(completed)
    }

    /// Which draining migrations could be completed, of `limit` that are looked at.
    pub async fn drained(&self, limit: u32) -> Result<Vec<MigrationId>, LedgerError> {
        let mut drained = Vec::new();
        for migration in self.draining(limit).await? {
            if self.has_nothing_open(&migration).await? {
                drained.push(migration.id);
            }
        }
        Ok(drained)
    }

    async fn draining(&self, limit: u32) -> Result<Vec<Migration>, LedgerError> {
        let draining = MigrationFilter {
            state: Some(MigrationState::Draining),
            limit,
            ..MigrationFilter::default()
        };
        self.migrations(draining).await
    }

    async fn has_nothing_open(&self, migration: &Migration) -> Result<bool, LedgerError> {
        let range = migration
            .to
            .and_then(|to| TimeRange::new(migration.from, to).ok());
        match range {
            Some(range) => Ok(self.progress_of(range).await?.open() == 0),
            None => Ok(false),
        }
    }

    /// Open migrations whose whole range is in windows, all of them recorded: they could be draining. At most 1,000.
    pub async fn harvested_migrations(&self) -> Result<Vec<MigrationId>, LedgerError> {
        let query = &format!(
            "SELECT m.id FROM migration m WHERE {HAS_NOTHING_LEFT_TO_READ} ORDER BY m.id LIMIT {MIGRATIONS_MAX}"
        );
        self.read("list migrations that are harvested", |mut reader| async move {
            let rows: Vec<Row> = reader.rows(query, ()).await?;
            rows.into_iter().map(|mut row| row.migration_id("id")).collect()
        })
        .await
    }

    /// Batches of cancelled migrations that are still to be released.
    pub async fn batches_to_release(&self) -> Result<u64, LedgerError> {
        self.read("count what is to be released", |mut reader| async move {
            let batches: Option<u64> = reader
                .first(
                    "SELECT COUNT(*) FROM migration m JOIN batch b ON b.migration_id = m.id \
                     WHERE m.state = 'cancelled' AND b.status IN ('pending', 'in_progress', 'failed') \
                     AND b.settled_at IS NULL",
                    (),
                )
                .await?;
            Ok(batches.unwrap_or(0))
        })
        .await
    }

    /// What a cancellation of a migration would release: batches, and messages in them.
    pub async fn releasable_of(&self, migration: MigrationId) -> Result<(u64, u64), LedgerError> {
        self.read("count what would be released", |mut reader| async move {
            let counts: Option<(u64, u64)> = reader
                .first(
                    "SELECT COUNT(*), CAST(COALESCE(SUM(message_count), 0) AS UNSIGNED) FROM batch \
                     WHERE migration_id = ? AND status IN ('pending', 'in_progress', 'failed') AND settled_at IS NULL",
                    (uuid(migration),),
                )
                .await?;
            Ok(counts.unwrap_or_default())
        })
        .await
    }

    /// Windows that a harvester holds whose lease is over.
    pub async fn windows_of_dead_harvesters(&self, limit: u32) -> Result<Vec<WindowId>, LedgerError> {
        self.read("list what dead harvesters hold", |mut reader| async move {
            let ids: Vec<u64> = reader
                .rows(
                    "SELECT id FROM harvest_window WHERE state = 'harvesting' AND lease_until < UTC_TIMESTAMP(6) \
                     ORDER BY id LIMIT ?",
                    (limit,),
                )
                .await?;
            Ok(ids.into_iter().map(WindowId).collect())
        })
        .await
    }

    /// Hands windows back whose harvester's lease is over, by the database's clock: they are open, and due at once. Their
    /// harvesters' fences are stale from here on. Says how many.
    pub async fn hand_back_windows(&self, windows: &[WindowId]) -> Result<u64, LedgerError> {
        if windows.is_empty() {
            return Ok(0);
        }
        self.change(Step::HandBackWindows, |doing| {
            self.try_hand_back_windows(doing, windows)
        })
        .await
    }

    async fn try_hand_back_windows(&self, doing: Doing, windows: &[WindowId]) -> Result<u64, LedgerError> {
        let list = List::of(windows.iter().map(|window| window.0));
        let statement = format!(
            "UPDATE harvest_window SET state = 'open', fence = fence + 1, holder = NULL, lease_until = NULL, \
             not_before = NULL WHERE state = 'harvesting' AND lease_until < UTC_TIMESTAMP(6) AND id IN ({list})"
        );
        let mut conn = self.conn(doing).await?;
        conn.exec_drop(statement, list.params()).await.during(doing)?;
        Ok(conn.affected_rows())
    }
}
