//! Harvest windows: which ranges are read, by whom, and from where it goes on.

use crate::db::connect::Doing;
use crate::db::connections::Connection;
use crate::db::error::During;
use crate::db::row::{Columns, at, unreadable, uuid};
use crate::export::Fenced;
use crate::harvest::Scan;
use crate::harvest::left_out::write_left_out;
use crate::harvest::migration::priority_of;
use crate::harvest::rescan::finish_scan;
use crate::integrity::proof::await_proof;
use crate::{Ledger, LedgerError};
use granary_domain::{Fence, MigrationId, Priority, Tally, TimeRange, WindowId, WindowState};
use granary_steps::Step;
use jiff::Timestamp;
use mysql_async::{Row, params};
use serde::Serialize;
use std::time::Duration;

/// A window as it stands.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Window {
    /// Its number.
    pub id: WindowId,
    /// Whose it is.
    pub migration_id: MigrationId,
    /// What it covers.
    pub range: TimeRange,
    /// How far it is.
    pub state: WindowState,
    /// What became of the hits so far.
    pub tally: Tally,
    /// When every hit was accounted for.
    pub recorded_at: Option<Timestamp>,
}

/// A migration's windows, by state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct WindowCounts {
    /// Waiting for a harvester.
    pub open: u64,
    /// Being read.
    pub harvesting: u64,
    /// Accounted for.
    pub recorded: u64,
    /// Compared, and equal.
    pub verified: u64,
    /// Of the recorded and verified ones, those that are being read again.
    pub rescanned: u64,
    /// Hits that the source showed in all of them.
    pub found: u64,
}

impl WindowCounts {
    /// Windows whose first reading isn't over.
    pub fn unfinished(&self) -> u64 {
        self.open + self.harvesting
    }
}

/// A window that a harvester holds: what it needs to go on.
#[derive(Debug, Clone)]
pub struct LeasedWindow {
    /// Its number.
    pub id: WindowId,
    /// Whose it is.
    pub migration_id: MigrationId,
    /// What it covers.
    pub range: TimeRange,
    /// What its messages must match besides.
    pub filter: Option<serde_json::Value>,
    /// Messages in a batch at most.
    pub batch_size: u32,
    /// How urgent its batches are.
    pub priority: Priority,
    /// The harvester's fence.
    pub fence: Fence,
    /// Where an earlier harvester left off; `None`: at its start.
    pub bookmark: Option<String>,
    /// What became of the hits so far.
    pub tally: Tally,
    /// Pages recorded so far, over all harvesters.
    pub pages: u32,
    /// How often it was taken.
    pub attempts: u32,
    /// Which reading it is.
    pub scan: Scan,
    /// The indices that this reading leaves out, by name. On record with its end.
    pub left_out: Vec<String>,
}

/// What somebody tuned holds for the migration that the schedule asks for. Others have the size that they were asked with.
pub(crate) const LEASED: &str = "w.id, w.migration_id, w.range_from, w.range_to, w.fence, w.bookmark, w.pages, w.attempts, \
    w.found, w.recorded, w.adopted, w.owned_elsewhere, w.duplicates, w.without_id, m.source_filter, \
    COALESCE((SELECT CAST(NULLIF(c.setting, '') AS UNSIGNED) FROM control c \
    WHERE c.name = 'tune.batchSize' AND m.kind = 'continuous'), m.batch_size) AS batch_size, m.priority";

/// A window `w` of a migration `m` that was never recorded and that a harvester may take.
const CLAIMABLE: &str = "m.state = 'open' AND m.paused_at IS NULL \
     AND NOT EXISTS (SELECT 1 FROM control WHERE name = 'harvest.paused') AND w.recorded_at IS NULL \
     AND ((w.state = 'open' AND (w.not_before IS NULL OR w.not_before <= UTC_TIMESTAMP(6))) \
       OR (w.state = 'harvesting' AND w.lease_until < UTC_TIMESTAMP(6)))";

const CLAIM_TRIES_MAX: u32 = 16;

impl Ledger {
    /// Opens a migration's next window, from where its windows end so far up to `range.to()`. Says whether this call
    /// did it: another harvester may have been first.
    pub async fn open_window(&self, migration: MigrationId, range: TimeRange) -> Result<bool, LedgerError> {
        self.change(Step::OpenWindow, |doing| {
            self.try_open_window(doing, migration, range)
        })
        .await
    }

    async fn try_open_window(
        &self,
        doing: Doing,
        migration: MigrationId,
        range: TimeRange,
    ) -> Result<bool, LedgerError> {
        let mut transaction = self.begin(doing).await?;
        transaction
            .exec_drop(
                "UPDATE migration SET harvested_to = ? WHERE id = ? AND harvested_to = ? AND state = 'open'",
                (at(range.to()), uuid(migration), at(range.from())),
            )
            .await
            .during(doing)?;
        if transaction.affected_rows() == 0 {
            transaction.rollback().await.during(doing)?;
            return Ok(false);
        }
        transaction
            .exec_drop(
                "INSERT INTO harvest_window (migration_id, range_from, range_to, state, created_at) \
                 VALUES (?, ?, ?, 'open', UTC_TIMESTAMP(6))",
                (uuid(migration), at(range.from()), at(range.to())),
            )
            .await
            .during(doing)?;
        transaction.commit().await.during(doing)?;
        Ok(true)
    }

    /// Takes the most urgent window that was never recorded and that nobody holds: open and due, or left by a harvester whose lease is over.
    /// `holder` is unique to the call's caller, so that a repeated call finds the window it took already.
    pub async fn claim_window(
        &self,
        holder: &str,
        lease: Duration,
    ) -> Result<Option<LeasedWindow>, LedgerError> {
        for _ in 0..CLAIM_TRIES_MAX {
            let candidate = self.window_to_claim().await?;
            let Some(window) = candidate else { return Ok(None) };
            if self
                .change(Step::ClaimWindow, |doing| {
                    self.try_claim_window(doing, &window, holder, lease)
                })
                .await?
            {
                return Ok(Some(window));
            }
        }
        Ok(None)
    }

    async fn window_to_claim(&self) -> Result<Option<LeasedWindow>, LedgerError> {
        let query = &format!(
            "SELECT {LEASED} FROM harvest_window w JOIN migration m ON m.id = w.migration_id \
             WHERE {CLAIMABLE} ORDER BY m.priority DESC, w.range_from LIMIT 1"
        );
        let row: Option<Row> = self
            .read("look for a window", |mut reader| async move {
                reader.first(query, ()).await
            })
            .await?;
        let Some(mut window) = row.map(leased_of).transpose()? else {
            return Ok(None);
        };
        window.fence = Fence(window.fence.0 + 1);
        window.attempts += 1;
        Ok(Some(window))
    }

    async fn try_claim_window(
        &self,
        doing: Doing,
        window: &LeasedWindow,
        holder: &str,
        lease: Duration,
    ) -> Result<bool, LedgerError> {
        // What was seen may not hold any more: another harvester has renewed its lease, an operator has paused or cancelled.
        let statement = format!(
            "UPDATE harvest_window w JOIN migration m ON m.id = w.migration_id SET w.state = 'harvesting', \
             w.fence = :fence, w.attempts = w.attempts + 1, w.holder = :holder, \
             w.lease_until = UTC_TIMESTAMP(6) + INTERVAL :lease MICROSECOND, w.not_before = NULL \
             WHERE w.id = :id AND w.fence = :fence - 1 AND {CLAIMABLE}"
        );
        let mut conn = self.conn(doing).await?;
        conn.exec_drop(
            statement,
            params! {
                "fence" => window.fence.0, "holder" => holder, "lease" => micros(lease), "id" => window.id.0,
            },
        )
        .await
        .during(doing)?;
        if conn.affected_rows() > 0 {
            return Ok(true);
        }
        let mine: Option<u8> = conn
            .exec_first(
                "SELECT 1 FROM harvest_window WHERE id = ? AND fence = ? AND holder = ? AND state = 'harvesting'",
                (window.id.0, window.fence.0, holder),
            )
            .await
            .during(doing)?;
        Ok(mine.is_some())
    }

    /// Renews a harvester's lease of its window: the heartbeat. Refused: the window is another harvester's now.
    pub async fn renew_window(
        &self,
        window: WindowId,
        fence: Fence,
        lease: Duration,
    ) -> Result<Fenced, LedgerError> {
        self.change(Step::RenewWindow, |doing| async move {
            let mut conn = self.conn(doing).await?;
            conn.exec_drop(
                "UPDATE harvest_window SET lease_until = UTC_TIMESTAMP(6) + INTERVAL ? MICROSECOND \
                 WHERE id = ? AND fence = ? AND state = 'harvesting'",
                (micros(lease), window.0, fence.0),
            )
            .await
            .during(doing)?;
            Ok(Fenced::by(conn.affected_rows()))
        })
        .await
    }

    /// Ends the harvest of a window: every hit is accounted for. Where messages were released behind the bookmark
    /// meanwhile, the window is opened again instead, from its start.
    pub async fn finish_window(&self, window: &LeasedWindow) -> Result<Fenced, LedgerError> {
        self.change(Step::FinishWindow, |doing| self.try_finish_window(doing, window))
            .await
    }

    async fn try_finish_window(&self, doing: Doing, window: &LeasedWindow) -> Result<Fenced, LedgerError> {
        let mut transaction = self.begin(doing).await?;
        // MySQL assigns from left to right: `rescan` is read by the others before it is cleared.
        transaction
            .exec_drop(
                "UPDATE harvest_window SET state = IF(rescan, 'open', 'recorded'), \
                 recorded_at = IF(rescan, NULL, COALESCE(recorded_at, UTC_TIMESTAMP(6))), found = IF(rescan, 0, found), \
                 recorded = IF(rescan, 0, recorded), adopted = IF(rescan, 0, adopted), \
                 owned_elsewhere = IF(rescan, 0, owned_elsewhere), duplicates = IF(rescan, 0, duplicates), \
                 without_id = IF(rescan, 0, without_id), bookmark = NULL, holder = NULL, \
                 lease_until = NULL, error_text = NULL, rescan = FALSE \
                 WHERE id = ? AND fence = ? AND state = 'harvesting'",
                (window.id.0, window.fence.0),
            )
            .await
            .during(doing)?;
        if transaction.affected_rows() == 0 {
            let finished: Option<u8> = transaction
                .exec_first(
                    "SELECT 1 FROM harvest_window WHERE id = ? AND fence = ? AND state <> 'harvesting'",
                    (window.id.0, window.fence.0),
                )
                .await
                .during(doing)?;
            transaction.rollback().await.during(doing)?;
            return Ok(if finished.is_some() {
                Fenced::Done
            } else {
                Fenced::Refused
            });
        }
        if window.priority > Priority::NORMAL {
            lift_batches(&mut transaction, doing, window).await?;
        }
        if window.scan.is_again() {
            finish_scan(&mut transaction, window, doing).await?;
        }
        await_proof(&mut transaction, doing, window.id).await?;
        write_left_out(&mut transaction, window, doing).await?;
        transaction.commit().await.during(doing)?;
        Ok(Fenced::Done)
    }

    /// Hands a window back before its end. What was recorded stays; the next harvester goes on from the bookmark.
    pub async fn release_window(
        &self,
        window: &LeasedWindow,
        not_before: Duration,
        reason: Option<&str>,
    ) -> Result<Fenced, LedgerError> {
        self.change(Step::ReleaseWindow, |doing| async move {
            let mut conn = self.conn(doing).await?;
            conn.exec_drop(
                "UPDATE harvest_window SET state = 'open', holder = NULL, lease_until = NULL, error_text = :reason, \
                 not_before = UTC_TIMESTAMP(6) + INTERVAL :delay MICROSECOND \
                 WHERE id = :id AND fence = :fence AND state = 'harvesting'",
                params! {
                    "reason" => reason.map(crate::export::settle::shortened), "delay" => micros(not_before),
                    "id" => window.id.0, "fence" => window.fence.0,
                },
            )
            .await
            .during(doing)?;
            Ok(Fenced::by(conn.affected_rows()))
        })
        .await
    }

    /// Starts the reading of a held window from the beginning, with an empty account.
    pub async fn restart_window(&self, window: &mut LeasedWindow) -> Result<Fenced, LedgerError> {
        let before = &*window;
        let fenced = self
            .change(Step::RestartWindow, |doing| async move {
                let mut conn = self.conn(doing).await?;
                conn.exec_drop(
                    "UPDATE harvest_window SET bookmark = NULL, found = 0, recorded = 0, adopted = 0, \
                 owned_elsewhere = 0, duplicates = 0, without_id = 0, rescan = FALSE, pages = ? + 1 \
                 WHERE id = ? AND fence = ? AND state = 'harvesting'",
                    (before.pages, before.id.0, before.fence.0),
                )
                .await
                .during(doing)?;
                let held: Option<u8> = conn
                    .exec_first(
                        "SELECT 1 FROM harvest_window WHERE id = ? AND fence = ? AND state = 'harvesting'",
                        (before.id.0, before.fence.0),
                    )
                    .await
                    .during(doing)?;
                Ok(if held.is_some() {
                    Fenced::Done
                } else {
                    Fenced::Refused
                })
            })
            .await?;
        if fenced == Fenced::Done {
            window.pages += 1;
            window.bookmark = None;
            window.tally = Tally::default();
        }
        Ok(fenced)
    }

    /// A migration's windows, counted.
    pub async fn window_counts(&self, migration: MigrationId) -> Result<WindowCounts, LedgerError> {
        self.read("count windows", |mut reader| async move {
            let rows: Vec<Row> = reader
                .rows(
                    "SELECT state, recorded_at IS NOT NULL AND state IN ('open', 'harvesting') AS is_again, \
                     COUNT(*) AS windows, CAST(SUM(found) AS UNSIGNED) AS found \
                     FROM harvest_window WHERE migration_id = ? GROUP BY state, is_again",
                    (uuid(migration),),
                )
                .await?;
            let mut counts = WindowCounts::default();
            for mut row in rows {
                let (windows, is_again): (u64, bool) = (row.column("windows")?, row.column("is_again")?);
                let count = match row.parsed("state")? {
                    WindowState::Open | WindowState::Harvesting if is_again => {
                        counts.rescanned += windows;
                        &mut counts.recorded
                    }
                    WindowState::Open => &mut counts.open,
                    WindowState::Harvesting => &mut counts.harvesting,
                    WindowState::Recorded => &mut counts.recorded,
                    WindowState::Verified => &mut counts.verified,
                };
                *count += windows;
                counts.found += row.column::<u64>("found")?;
            }
            Ok(counts)
        })
        .await
    }

    /// A migration's windows, in order of time, from `after` on.
    pub async fn windows_of(
        &self,
        migration: MigrationId,
        after: Option<Timestamp>,
        limit: u32,
    ) -> Result<Vec<Window>, LedgerError> {
        self.read("list windows", |mut reader| async move {
            let rows: Vec<Row> = reader
                .rows(
                    "SELECT id, migration_id, range_from, range_to, state, found, recorded, adopted, owned_elsewhere, \
                     duplicates, without_id, recorded_at FROM harvest_window \
                     WHERE migration_id = :migration AND (:after IS NULL OR range_from > :after) \
                     ORDER BY range_from LIMIT :limit",
                    params! {
                        "migration" => uuid(migration),
                        "after" => after.map_or(mysql_async::Value::NULL, at),
                        "limit" => limit,
                    },
                )
                .await?;
            rows.into_iter().map(window_of).collect()
        })
        .await
    }
}

/// Another window's batches that hold messages of this one's range become as urgent as this one.
async fn lift_batches(conn: &mut Connection, doing: Doing, window: &LeasedWindow) -> Result<(), LedgerError> {
    conn.exec_drop(
        "UPDATE batch SET priority = :priority, enqueued_at = NULL \
         WHERE hour_start > :from - INTERVAL 1 HOUR AND hour_start < :to AND status = 'pending' AND priority < :priority",
        params! {
            "priority" => u8::from(window.priority), "from" => at(window.range.from()), "to" => at(window.range.to()),
        },
    )
    .await
    .during(doing)
}

pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

pub(crate) fn leased_of(mut row: Row) -> Result<LeasedWindow, LedgerError> {
    let filter: Option<String> = row.column("source_filter")?;
    let filter = filter.map(|text| serde_json::from_str(&text)).transpose();
    Ok(LeasedWindow {
        id: WindowId(row.column("id")?),
        migration_id: row.migration_id("migration_id")?,
        range: range_of(&mut row)?,
        filter: filter.map_err(|error| unreadable("source_filter", &error))?,
        batch_size: row.column("batch_size")?,
        priority: priority_of(&mut row)?,
        fence: Fence(row.column("fence")?),
        bookmark: row.column("bookmark")?,
        tally: tally_of(&mut row)?,
        pages: row.column("pages")?,
        attempts: row.column("attempts")?,
        scan: Scan::First,
        left_out: Vec::new(),
    })
}

fn window_of(mut row: Row) -> Result<Window, LedgerError> {
    Ok(Window {
        id: WindowId(row.column("id")?),
        migration_id: row.migration_id("migration_id")?,
        range: range_of(&mut row)?,
        state: row.parsed("state")?,
        tally: tally_of(&mut row)?,
        recorded_at: row.instant_or_null("recorded_at")?,
    })
}

pub(crate) fn range_of(row: &mut Row) -> Result<TimeRange, LedgerError> {
    TimeRange::new(row.instant("range_from")?, row.instant("range_to")?)
        .map_err(|error| unreadable("range_from", &error))
}

pub(crate) fn tally_of(row: &mut Row) -> Result<Tally, LedgerError> {
    Ok(Tally {
        found: row.column("found")?,
        recorded: row.column("recorded")?,
        adopted: row.column("adopted")?,
        owned_elsewhere: row.column("owned_elsewhere")?,
        duplicate: row.column("duplicates")?,
        without_id: row.column("without_id")?,
    })
}
