//! Closing what has come to its end without its row saying so: migrations that have nothing left to read, or nothing
//! left to export, and windows whose harvester died.
//!
//! A migration is closed by what stands in batches and windows now, never by what somebody counted. A window goes back
//! to whoever claims it next; one that is being read again keeps what it recorded.
//!
//! **When it fails**, what was closed before stays closed, and the next call finds the rest. Done twice is done once:
//! each change names the state that it leaves.

use crate::db::connect::{Doing, Reader};
use crate::db::error::During;
use crate::db::row::{Columns, Utc, at, uuid};
use crate::db::shape::List;
use crate::harvest::migration::HAS_NOTHING_LEFT_TO_READ;
use crate::harvest::span::{IS_IN, TOUCHING, WITHIN, span};
use crate::harvest::window::range_of;
use crate::{Ledger, LedgerError};
use granary_domain::{Hour, MigrationId, TimeRange, WindowId};
use granary_steps::Step;
use mysql_async::Row;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

const MIGRATIONS_MAX: u32 = 1_000;
/// For the hours that ranges cut in two, of one call.
const CUT_HOURS_TIME_MAX: Duration = Duration::from_secs(5);

impl Ledger {
    /// Completes up to `limit` draining migrations none of whose messages are open, whoever owns them, the oldest first. Says
    /// which ones.
    pub async fn complete_drained(&self, limit: u32) -> Result<Vec<MigrationId>, LedgerError> {
        let mut completed = Vec::new();
        for migration in self.drained(limit).await? {
            if self.complete_migration(migration).await? {
                completed.push(migration);
            }
        }
        Ok(completed)
    }

    /// Up to `limit` draining migrations that could be completed, the oldest first.
    pub async fn drained(&self, limit: u32) -> Result<Vec<MigrationId>, LedgerError> {
        self.read("list migrations that are exported", |mut reader| async move {
            let until = Instant::now() + CUT_HOURS_TIME_MAX;
            let draining = draining(&mut reader).await?;
            let mut drained = Vec::new();
            if draining.is_empty() {
                return Ok(drained);
            }
            let open = open_hours(&mut reader).await?;
            for (id, range) in draining {
                if drained.len() >= limit as usize {
                    break;
                }
                if !is_open(&mut reader, range, &open, until).await? {
                    drained.push(id);
                }
            }
            Ok(drained)
        })
        .await
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

/// All of them: one that waits for people must not keep the ones behind it from being looked at.
async fn draining(reader: &mut Reader) -> Result<Vec<(MigrationId, TimeRange)>, LedgerError> {
    let rows: Vec<Row> = reader
        .rows(
            "SELECT id, range_from, range_to FROM migration WHERE state = 'draining' AND range_to IS NOT NULL \
             ORDER BY created_at, id",
            (),
        )
        .await?;
    rows.into_iter()
        .map(|mut row| Ok((row.migration_id("id")?, range_of(&mut row)?)))
        .collect()
}

/// The hours that have a batch which isn't done with.
async fn open_hours(reader: &mut Reader) -> Result<BTreeSet<Hour>, LedgerError> {
    let hours: Vec<Utc> = reader
        .rows(
            "SELECT DISTINCT hour_start FROM batch FORCE INDEX (batch_open_hour) \
             WHERE status IN ('pending', 'in_progress', 'failed')",
            (),
        )
        .await?;
    Ok(hours.into_iter().map(|Utc(start)| Hour::of(start)).collect())
}

/// Whether a message of a range is open. A batch of an hour that lies in it as a whole is; one of an hour that it cuts in two
/// is asked for its messages. What there is no time to ask counts as open.
async fn is_open(
    reader: &mut Reader,
    range: TimeRange,
    open: &BTreeSet<Hour>,
    until: Instant,
) -> Result<bool, LedgerError> {
    let touched = open
        .range(Hour::of(range.from())..)
        .take_while(|hour| hour.start() < range.to());
    let mut cut = Vec::new();
    for hour in touched {
        match hour.range().intersection(&range) {
            Some(part) if part != hour.range() => cut.push((*hour, part)),
            Some(_) => return Ok(true),
            None => {}
        }
    }
    for (hour, part) in cut {
        if has_open_message(reader, hour, part, until).await? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A batch that lies in the part as a whole has one; of those that reach over its edge, which are few, the messages are asked.
async fn has_open_message(
    reader: &mut Reader,
    hour: Hour,
    part: TimeRange,
    until: Instant,
) -> Result<bool, LedgerError> {
    if Instant::now() >= until {
        return Ok(true);
    }
    let query = format!(
        "SELECT 1 FROM batch b FORCE INDEX (batch_open_hour) \
         WHERE b.status IN ('pending', 'in_progress', 'failed') AND b.hour_start = :hour AND {TOUCHING} \
         AND ({WITHIN} OR EXISTS (SELECT 1 FROM message m WHERE m.batch_id = b.id AND {IS_IN})) LIMIT 1"
    );
    let found: Option<u8> = reader
        .first(query, span(part, [("hour", at(hour.start()))]))
        .await?;
    Ok(found.is_some())
}
