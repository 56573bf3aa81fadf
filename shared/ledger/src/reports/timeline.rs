//! Windows along the time line, with what became of their batches: for people who look on.
//!
//! A window stands at the instant at which it begins. Its batches are counted as they are now: what was purged is counted
//! no more (the seal says so), and what a window found but somebody else owns is counted there. **When it fails**, nothing was
//! changed.

use crate::db::connect::Reader;
use crate::db::row::{Columns, at, unreadable, uuid};
use crate::db::shape::List;
use crate::harvest::window::tally_of;
use crate::integrity::Difference;
use crate::integrity::differing::differing_hours_of;
use crate::{Ledger, LedgerError};
use granary_domain::{
    BatchStatus, Hour, MigrationId, MigrationKind, MigrationState, Tally, TimeRange, WindowId, WindowState,
};
use jiff::Timestamp;
use mysql_async::{Row, Value, params};
use std::collections::{BTreeMap, BTreeSet};

/// Which windows to list.
#[derive(Debug, Clone, Copy, Default)]
pub struct TimelineFilter {
    /// Only those that begin from then on.
    pub from: Option<Timestamp>,
    /// Only those that begin before then.
    pub to: Option<Timestamp>,
    /// Only those of this migration.
    pub migration: Option<MigrationId>,
    /// Only those before this one (the list is newest first): the cursor.
    pub before: Option<(Timestamp, WindowId)>,
    /// How many at most.
    pub limit: u32,
}

/// A window, and how things stand with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowOnTimeline {
    /// Its number.
    pub id: WindowId,
    /// Whose it is.
    pub migration_id: MigrationId,
    /// Why that one exists.
    pub kind: MigrationKind,
    /// How far that one is.
    pub migration_state: MigrationState,
    /// What it covers.
    pub range: TimeRange,
    /// How far its reading is.
    pub state: WindowState,
    /// What became of the hits.
    pub tally: Tally,
    /// Messages that only a re-scan has seen.
    pub late: u64,
    /// What its last reading broke off with.
    pub error: Option<String>,
    /// When it was opened.
    pub created_at: Timestamp,
    /// When every hit of it was accounted for.
    pub recorded_at: Option<Timestamp>,
    /// When the last full verification of it that was COMPLETE began.
    pub verified_at: Option<Timestamp>,
    /// Whether it was opened more than an hour ago, by the database's clock.
    pub is_old: bool,
    /// Whether rows of some of its hours were purged.
    pub is_purged: bool,
    /// What the newest full verification of its hours found, where it found something.
    pub difference: Option<Difference>,
    /// Indices that its newest reading left out, by name: the first 100.
    pub left_out: Vec<LeftOutOfWindow>,
    /// What became of its batches.
    pub batches: BatchesOfWindow,
}

/// An index that a window lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOutOfWindow {
    /// Its name.
    pub index: String,
    /// Whether an operator accepts that.
    pub is_accepted: bool,
}

/// What became of a window's batches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BatchesOfWindow {
    /// All that have a row, cancelled ones included.
    pub all: u64,
    /// Waiting for a worker.
    pub pending: u64,
    /// In a worker's hands.
    pub processing: u64,
    /// Completed.
    pub completed: u64,
    /// Failed, parked ones included.
    pub failed: u64,
    /// Without an attempt left.
    pub parked: u64,
    /// Given up.
    pub cancelled: u64,
    /// Messages of those that are pending, in work or failed.
    pub open_messages: u64,
    /// Messages in the objects of completed ones.
    pub exported: u64,
    /// Messages that were gone at the source.
    pub missing: u64,
    /// Messages that can't be exported.
    pub quarantined: u64,
}

/// Of one page.
const LEFT_OUT_MAX: u32 = 10_000;
/// Of one window.
const LEFT_OUT_OF_WINDOW_MAX: usize = 100;
/// Of one page: more than two years of them.
const PURGED_HOURS_MAX: u32 = 20_000;

impl BatchesOfWindow {
    /// Whether some are to be exported yet.
    pub fn are_open(&self) -> bool {
        self.pending + self.processing + self.failed > 0
    }
}

impl Ledger {
    /// Windows by the instant at which they begin, the newest first.
    pub async fn timeline(&self, filter: &TimelineFilter) -> Result<Vec<WindowOnTimeline>, LedgerError> {
        self.read("list windows along the time line", |mut reader| async move {
            let before = filter.before;
            // Either index has the order that is asked for, so that a page is all that is read.
            let index = filter.migration.map_or("harvest_window_time", |_| "harvest_window_range");
            let rows: Vec<Row> = reader
                .rows(
                    format!(
                        "SELECT w.id, w.migration_id, m.kind, m.state AS migration_state, w.range_from, w.range_to, w.state, \
                         w.found, w.recorded, w.adopted, w.owned_elsewhere, w.duplicates, w.without_id, w.error_text, \
                         w.created_at, w.recorded_at, w.verified_at, COALESCE(s.late_count, 0) AS late, \
                         w.created_at < UTC_TIMESTAMP(6) - INTERVAL 1 HOUR AS is_old FROM \
                         (SELECT * FROM harvest_window FORCE INDEX ({index}) \
                          WHERE range_from <= :before AND (range_from < :before OR id < :id) \
                          AND (:from IS NULL OR range_from >= :from) AND (:to IS NULL OR range_from < :to) \
                          AND (:migration IS NULL OR migration_id = :migration) \
                          ORDER BY range_from DESC, id DESC LIMIT :limit) w JOIN migration m ON m.id = w.migration_id \
                         LEFT JOIN window_scan s ON s.window_id = w.id ORDER BY w.range_from DESC, w.id DESC"
                    ),
                    params! {
                        "before" => before.map_or_else(the_last_instant, |(begins, _)| at(begins)),
                        "id" => before.map_or(u64::MAX, |(_, id)| id.0),
                        "from" => filter.from.map_or(Value::NULL, at), "to" => filter.to.map_or(Value::NULL, at),
                        "migration" => filter.migration.map_or(Value::NULL, uuid), "limit" => filter.limit,
                    },
                )
                .await?;
            let mut windows = rows.into_iter().map(window_of).collect::<Result<Vec<_>, _>>()?;
            let batches = batches_of(&mut reader, &windows).await?;
            let mut left_out = left_out_of(&mut reader, &windows).await?;
            let Some(range) = range_of(&windows) else {
                return Ok(windows);
            };
            let purged = purged_hours_of(&mut reader, range).await?;
            let differing = differing_hours_of(&mut reader, range).await?;
            for window in &mut windows {
                let hours = Hour::of(window.range.from()).start()..window.range.to();
                window.is_purged = purged.range(hours.clone()).next().is_some();
                window.difference = differing.range(hours).map(|(_, difference)| *difference).max();
                window.batches = batches.get(&window.id.0).copied().unwrap_or_default();
                window.left_out = left_out.remove(&window.id.0).unwrap_or_default();
            }
            Ok(windows)
        })
        .await
    }
}

/// The end of what a DATETIME can hold.
fn the_last_instant() -> Value {
    Value::Date(9_999, 12, 31, 23, 59, 59, 999_999)
}

async fn batches_of(
    reader: &mut Reader,
    windows: &[WindowOnTimeline],
) -> Result<BTreeMap<u64, BatchesOfWindow>, LedgerError> {
    let mut counted: BTreeMap<u64, BatchesOfWindow> = BTreeMap::new();
    if windows.is_empty() {
        return Ok(counted);
    }
    let list = List::of(windows.iter().map(|window| window.id.0));
    let query = format!(
        "SELECT window_id, status, COUNT(*) AS batches, CAST(SUM(message_count) AS UNSIGNED) AS messages, \
         CAST(SUM(parked_at IS NOT NULL) AS UNSIGNED) AS parked, \
         CAST(COALESCE(SUM(exported), 0) AS UNSIGNED) AS exported, \
         CAST(COALESCE(SUM(missing), 0) AS UNSIGNED) AS missing, \
         CAST(COALESCE(SUM(quarantined), 0) AS UNSIGNED) AS quarantined \
         FROM batch WHERE window_id IN ({list}) GROUP BY window_id, status"
    );
    let rows: Vec<Row> = reader.rows(query, list.params()).await?;
    for mut row in rows {
        let window: u64 = row.column("window_id")?;
        add(counted.entry(window).or_default(), row)?;
    }
    Ok(counted)
}

async fn left_out_of(
    reader: &mut Reader,
    windows: &[WindowOnTimeline],
) -> Result<BTreeMap<u64, Vec<LeftOutOfWindow>>, LedgerError> {
    let mut left_out: BTreeMap<u64, Vec<LeftOutOfWindow>> = BTreeMap::new();
    if windows.is_empty() {
        return Ok(left_out);
    }
    let list = List::of(windows.iter().map(|window| window.id.0));
    let query = format!(
        "SELECT l.window_id, CONVERT(l.index_name USING utf8mb4) AS index_name, a.kind IS NOT NULL AS is_accepted \
         FROM window_left_out l LEFT JOIN accepted_exception a ON a.kind = 'left_out' AND a.index_name = l.index_name \
         WHERE l.window_id IN ({list}) ORDER BY l.window_id, l.index_name LIMIT {LEFT_OUT_MAX}"
    );
    let rows: Vec<Row> = reader.rows(query, list.params()).await?;
    for mut row in rows {
        let of_window = left_out.entry(row.column("window_id")?).or_default();
        if of_window.len() < LEFT_OUT_OF_WINDOW_MAX {
            of_window.push(LeftOutOfWindow {
                index: row.column("index_name")?,
                is_accepted: row.column("is_accepted")?,
            });
        }
    }
    Ok(left_out)
}

/// From the first of their instants to the last.
fn range_of(windows: &[WindowOnTimeline]) -> Option<TimeRange> {
    let first = windows.iter().map(|window| window.range.from()).min()?;
    let last = windows.iter().map(|window| window.range.to()).max()?;
    TimeRange::new(first, last).ok()
}

/// The hours of a range whose rows were purged.
async fn purged_hours_of(reader: &mut Reader, range: TimeRange) -> Result<BTreeSet<Timestamp>, LedgerError> {
    let rows: Vec<Row> = reader
        .rows(
            "SELECT range_from FROM sealed_range WHERE range_from >= ? AND range_from < ? AND purged_at IS NOT NULL \
             ORDER BY range_from DESC LIMIT ?",
            (at(Hour::of(range.from()).start()), at(range.to()), PURGED_HOURS_MAX),
        )
        .await?;
    rows.into_iter()
        .map(|mut row| row.instant("range_from"))
        .collect()
}

fn add(window: &mut BatchesOfWindow, mut row: Row) -> Result<(), LedgerError> {
    let (batches, messages): (u64, u64) = (row.column("batches")?, row.column("messages")?);
    let status: BatchStatus = row.parsed("status")?;
    window.all += batches;
    match status {
        BatchStatus::Pending => window.pending += batches,
        BatchStatus::InProgress => window.processing += batches,
        BatchStatus::Failed => {
            window.failed += batches;
            window.parked += row.column::<u64>("parked")?;
        }
        BatchStatus::Completed => {
            window.completed += batches;
            window.exported += row.column::<u64>("exported")?;
            window.missing += row.column::<u64>("missing")?;
            window.quarantined += row.column::<u64>("quarantined")?;
        }
        BatchStatus::Cancelled => window.cancelled += batches,
    }
    let is_open = matches!(
        status,
        BatchStatus::Pending | BatchStatus::InProgress | BatchStatus::Failed
    );
    if is_open {
        window.open_messages += messages;
    }
    Ok(())
}

fn window_of(mut row: Row) -> Result<WindowOnTimeline, LedgerError> {
    let range = TimeRange::new(row.instant("range_from")?, row.instant("range_to")?);
    Ok(WindowOnTimeline {
        id: WindowId(row.column("id")?),
        migration_id: row.migration_id("migration_id")?,
        kind: row.parsed("kind")?,
        migration_state: row.parsed("migration_state")?,
        range: range.map_err(|error| unreadable("range_from", &error))?,
        state: row.parsed("state")?,
        tally: tally_of(&mut row)?,
        late: row.column("late")?,
        error: row.column("error_text")?,
        created_at: row.instant("created_at")?,
        recorded_at: row.instant_or_null("recorded_at")?,
        verified_at: row.instant_or_null("verified_at")?,
        is_old: row.column("is_old")?,
        is_purged: false,
        difference: None,
        left_out: Vec::new(),
        batches: BatchesOfWindow::default(),
    })
}
