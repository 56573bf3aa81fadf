//! Re-scans: windows that were recorded are read again, for documents that became visible late.
//!
//! A re-scan is the window's own reading once more: claimed, fenced, leased and paged like the first one. What the
//! window recorded before counts as its own; what is new becomes new batches of it, or joins one that wasn't sent. While it lasts the window is `open` or
//! `harvesting` and keeps its `recorded_at`: that tells it from a window whose first reading isn't over, and nobody
//! waits for it. An *overlap* re-scan soon after the first reading may stop at a count that equals what was found; a
//! *deep* one at night reads every id, since what was deleted can hide what came.
//!
//! A window that has left out an index (`left_out.rs`) is due for a deep one as soon as the index can be read.
//!
//! A window is **settled** once it was read as a whole, by its first reading or a deep one, that began later than the
//! horizon after its end: then it is read no more. What a re-scan finds and what it means is `lateness.rs`.
//!
//! Not responsible for when a re-scan is worth its time (the harvester takes what is new first). A harvester that dies
//! in the middle leaves a window whose lease runs out; the next one goes on from the bookmark.

use crate::db::connect::Doing;
use crate::db::connections::Transaction;
use crate::db::error::During;
use crate::db::row::{Columns, at};
use crate::harvest::LeasedWindow;
use crate::harvest::left_out::{CAN_BE_READ, names};
use crate::harvest::window::{LEASED, leased_of, micros};
use crate::{Ledger, LedgerError};
use granary_domain::{Fence, WindowId};
use granary_steps::Step;
use jiff::Timestamp;
use mysql_async::{Row, params};
use std::time::Duration;

/// Which reading of a window it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scan {
    /// The one that records it.
    First,
    /// One of those soon after it. It may stop at a count that is as before.
    Overlap,
    /// One of those at night: every id.
    Deep,
}

impl Scan {
    fn name(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Overlap => "overlap",
            Self::Deep => "deep",
        }
    }

    fn named(name: &str) -> Self {
        match name {
            "overlap" => Self::Overlap,
            "deep" => Self::Deep,
            _ => Self::First,
        }
    }

    /// Whether the window was recorded before.
    pub fn is_again(self) -> bool {
        self != Self::First
    }
}

/// When windows are read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RescanRules {
    /// How long after its first reading a window is first looked at again.
    pub after: Duration,
    /// How long after its end a window isn't settled.
    pub horizon: Duration,
    /// When the night begins: an hour, in UTC.
    pub night_hour: u8,
}

/// A window that is to be read again.
#[derive(Debug, Clone)]
pub struct DueRescan {
    window: LeasedWindow,
    /// Whether it goes on with a re-scan that somebody began.
    is_under_way: bool,
    late_before: u64,
}

impl DueRescan {
    /// The window's number.
    pub fn id(&self) -> WindowId {
        self.window.id
    }

    /// How many messages earlier re-scans of it have found.
    pub fn late_before(&self) -> u64 {
        self.late_before
    }
}

/// Overlap re-scans are due so many times `after` after the first reading.
const OVERLAP_STEPS: [u32; 4] = [1, 4, 16, 64];

/// A window `w` that is read no more: `:horizon` in microseconds. Only what is settled may be purged. A selection asked for what
/// there was then, and is never read again.
pub(crate) const SETTLED: &str = "(w.read_after IS NULL OR w.read_after >= :horizon)";

/// The numbers of all windows that may be due, each found by an index: those that wait for a reading or are being read, those that
/// have not settled, and those that have left out an index. Settled windows are not read; after a year almost all are settled.
const CANDIDATES: &str = "(SELECT id FROM harvest_window WHERE state IN ('open', 'harvesting') \
     UNION SELECT id FROM harvest_window WHERE read_after < :horizon \
     UNION SELECT window_id FROM window_left_out)";

/// The beginning of the last night that has begun.
const LAST_NIGHT: &str =
    "CAST(DATE(UTC_TIMESTAMP(6) - INTERVAL :night HOUR) AS DATETIME) + INTERVAL :night HOUR";

impl Ledger {
    /// Windows that are to be read again: those under way, then those soon after their first reading, then
    /// those that wait since night; the youngest first. `left_out`: the indices that can't be read now. A window that has left out
    /// another one is due as well, however old it is.
    pub async fn due_rescans(
        &self,
        rules: RescanRules,
        left_out: &[String],
        limit: u32,
    ) -> Result<Vec<DueRescan>, LedgerError> {
        let query = due_query(limit);
        let query = &query;
        self.read("list windows to read again", |mut reader| async move {
            let times = OVERLAP_STEPS.map(|times| micros(rules.after * times));
            let rows: Vec<Row> = reader
                .rows(
                    query,
                    params! {
                        "horizon" => micros(rules.horizon), "night" => rules.night_hour,
                        "left_out" => names(left_out), "step0" => times[0], "step1" => times[1], "step2" => times[2], "step3" => times[3],
                    },
                )
                .await?;
            rows.into_iter().map(due_of).collect()
        })
        .await
    }

    /// Takes a window that is to be read again. `None`: somebody else did, or it isn't any more. `holder` is unique to
    /// the caller, so that a repeated call finds the window it took already.
    pub async fn claim_rescan(
        &self,
        due: &DueRescan,
        holder: &str,
        lease: Duration,
    ) -> Result<Option<LeasedWindow>, LedgerError> {
        let won = self
            .change(Step::ClaimRescan, |doing| {
                self.try_claim_rescan(doing, due, holder, lease)
            })
            .await?;
        Ok(won.then(|| due.window.clone()))
    }

    /// How many messages re-scans of a window have found.
    pub async fn late_in(&self, window: WindowId) -> Result<u64, LedgerError> {
        self.read("count a window's late messages", |mut reader| async move {
            let late: Option<u64> = reader
                .first(
                    "SELECT late_count FROM window_scan WHERE window_id = ?",
                    (window.0,),
                )
                .await?;
            Ok(late.unwrap_or(0))
        })
        .await
    }

    async fn try_claim_rescan(
        &self,
        doing: Doing,
        due: &DueRescan,
        holder: &str,
        lease: Duration,
    ) -> Result<bool, LedgerError> {
        let window = &due.window;
        let mut transaction = self.begin(doing).await?;
        // A verification may have found a difference since the look: what the window is now decides.
        let is_verified: Option<bool> = transaction
            .exec_first(
                "SELECT state = 'verified' FROM harvest_window WHERE id = ? FOR UPDATE",
                (window.id.0,),
            )
            .await
            .during(doing)?;
        transaction
            .exec_drop(
                "UPDATE harvest_window w JOIN migration m ON m.id = w.migration_id SET w.state = 'harvesting', \
                 w.fence = :fence, w.attempts = w.attempts + 1, w.holder = :holder, \
                 w.lease_until = UTC_TIMESTAMP(6) + INTERVAL :lease MICROSECOND, w.not_before = NULL \
                 WHERE w.id = :id AND w.fence = :fence - 1 AND w.recorded_at IS NOT NULL \
                 AND (w.state <> 'harvesting' OR w.lease_until < UTC_TIMESTAMP(6)) \
                 AND (w.not_before IS NULL OR w.not_before <= UTC_TIMESTAMP(6)) \
                 AND m.state <> 'cancelled' AND m.paused_at IS NULL \
                 AND NOT EXISTS (SELECT 1 FROM control WHERE name = 'harvest.paused')",
                params! {
                    "fence" => window.fence.0, "holder" => holder, "lease" => micros(lease), "id" => window.id.0,
                },
            )
            .await
            .during(doing)?;
        if transaction.affected_rows() == 0 {
            let mine: Option<u8> = transaction
                .exec_first(
                    "SELECT 1 FROM harvest_window WHERE id = ? AND fence = ? AND holder = ? AND state = 'harvesting'",
                    (window.id.0, window.fence.0, holder),
                )
                .await
                .during(doing)?;
            transaction.rollback().await.during(doing)?;
            return Ok(mine.is_some());
        }
        if !due.is_under_way {
            begin_scan(&mut transaction, doing, window, is_verified == Some(true)).await?;
        }
        transaction.commit().await.during(doing)?;
        Ok(true)
    }
}

/// Every overlap step that has passed since an unsettled window was read last makes it due, and so does a night. By name an
/// overlap re-scan comes behind a deep one: in descending order it is taken first, since it is soon done.
fn due_query(limit: u32) -> String {
    let steps: Vec<String> = (0..OVERLAP_STEPS.len())
        .map(|step| {
            let due = format!("w.recorded_at + INTERVAL :step{step} MICROSECOND");
            format!("({due} <= UTC_TIMESTAMP(6) AND COALESCE(s.started_at, w.recorded_at) < {due})")
        })
        .collect();
    let overlap = format!("(NOT {SETTLED} AND ({}))", steps.join(" OR "));
    let deep = format!("(NOT {SETTLED} AND COALESCE(w.deep_at, w.recorded_at) < {LAST_NIGHT})");
    let deep = format!("({deep} OR {CAN_BE_READ})");
    let kind = format!(
        "CASE WHEN w.state IN ('open', 'harvesting') THEN s.kind WHEN {deep} THEN 'deep' ELSE 'overlap' END"
    );
    format!(
        "SELECT {LEASED}, {kind} AS scan, w.state IN ('open', 'harvesting') AS is_under_way, \
         COALESCE(s.late_count, 0) AS late_before \
         FROM {CANDIDATES} c STRAIGHT_JOIN harvest_window w ON w.id = c.id JOIN migration m ON m.id = w.migration_id \
         LEFT JOIN window_scan s ON s.window_id = w.id WHERE w.recorded_at IS NOT NULL AND m.kind <> 'selection' AND m.state <> 'cancelled' AND m.paused_at IS NULL \
         AND NOT EXISTS (SELECT 1 FROM control WHERE name = 'harvest.paused') \
         AND (w.not_before IS NULL OR w.not_before <= UTC_TIMESTAMP(6)) \
         AND (w.state = 'open' OR (w.state = 'harvesting' AND w.lease_until < UTC_TIMESTAMP(6)) \
          OR (w.state IN ('recorded', 'verified') AND ({overlap} OR {deep}))) \
         ORDER BY is_under_way DESC, scan DESC, w.range_from DESC LIMIT {limit}"
    )
}

fn due_of(mut row: Row) -> Result<DueRescan, LedgerError> {
    let scan: String = row.column("scan")?;
    let is_under_way = row.column("is_under_way")?;
    let late_before = row.column("late_before")?;
    let mut window = leased_of(row)?;
    window.scan = Scan::named(&scan);
    window.fence = Fence(window.fence.0 + 1);
    window.attempts += 1;
    Ok(DueRescan {
        window,
        is_under_way,
        late_before,
    })
}

async fn begin_scan(
    transaction: &mut Transaction,
    doing: Doing,
    window: &LeasedWindow,
    was_verified: bool,
) -> Result<(), LedgerError> {
    transaction
        .exec_drop(
            "INSERT INTO window_scan (window_id, kind, started_at, first_page, first_ordinal, was_verified) \
             SELECT w.id, :kind, UTC_TIMESTAMP(6), w.pages, w.batches, :was_verified FROM harvest_window w \
             WHERE w.id = :id ON DUPLICATE KEY UPDATE kind = VALUES(kind), started_at = VALUES(started_at), \
             first_page = VALUES(first_page), first_ordinal = VALUES(first_ordinal), \
             was_verified = VALUES(was_verified)",
            params! {
                "kind" => window.scan.name(), "was_verified" => was_verified, "id" => window.id.0,
            },
        )
        .await
        .during(doing)
}

/// Counts new messages of a re-scan as late, by their event times. How late: not visible when the last whole reading began,
/// visible now. Both bounds are widest for the earliest of them. Where that reading left out an index, nothing tells how late
/// they came.
pub(crate) async fn note_late(
    transaction: &mut Transaction,
    window: &LeasedWindow,
    times: impl Iterator<Item = Timestamp> + Clone,
) -> Result<(), LedgerError> {
    let operation = Step::RecordPage.operation();
    let late = times.clone().count();
    let Some(earliest) = times.min() else {
        return Ok(());
    };
    transaction
        .exec_drop(
            "UPDATE window_scan s JOIN harvest_window w ON w.id = s.window_id \
             LEFT JOIN (SELECT DISTINCT window_id FROM window_left_out WHERE window_id = :id) l \
             ON l.window_id = s.window_id SET \
             s.late_secs_low = GREATEST(s.late_secs_low, IF(l.window_id IS NULL, \
              GREATEST(0, TIMESTAMPDIFF(SECOND, :earliest, COALESCE(s.read_at, w.created_at))), 0)), \
             s.late_secs = GREATEST(s.late_secs, IF(l.window_id IS NULL, \
              GREATEST(0, TIMESTAMPDIFF(SECOND, :earliest, UTC_TIMESTAMP(6))) + 1, 0)), \
             s.late_count = s.late_count + :late, s.late_at = UTC_TIMESTAMP(6) WHERE s.window_id = :id",
            params! { "earliest" => at(earliest), "late" => late, "id" => window.id.0 },
        )
        .await
        .during(operation)
}

/// The end of a re-scan, in the transaction that has made its window recorded. A window that was verified is so again
/// where nothing new was found. One that was opened again instead is no re-scan any more.
pub(crate) async fn finish_scan(
    transaction: &mut Transaction,
    window: &LeasedWindow,
    doing: Doing,
) -> Result<(), LedgerError> {
    transaction
        .exec_drop(
            "UPDATE window_scan s JOIN harvest_window w ON w.id = s.window_id SET s.scans = s.scans + 1, \
             s.read_at = IF(w.pages > s.first_page, s.started_at, s.read_at), \
             w.deep_at = IF(s.kind = 'deep', s.started_at, w.deep_at) \
             WHERE s.window_id = ? AND w.state = 'recorded'",
            (window.id.0,),
        )
        .await
        .during(doing)?;
    transaction
        .exec_drop(
            "UPDATE harvest_window w JOIN window_scan s ON s.window_id = w.id SET w.state = 'verified' \
             WHERE w.id = ? AND w.state = 'recorded' AND s.was_verified \
             AND (s.late_at IS NULL OR s.late_at < s.started_at) AND NOT EXISTS \
             (SELECT 1 FROM batch b WHERE b.window_id = w.id AND b.window_ordinal >= s.first_ordinal \
              AND b.status <> 'cancelled')",
            (window.id.0,),
        )
        .await
        .during(doing)
}
