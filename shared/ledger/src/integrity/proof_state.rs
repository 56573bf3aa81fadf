//! How far the proof reaches: its end, what is open before it, and what fails (`proof.rs` says what proven means).
//!
//! Several windows may cover one hour, of one migration after the other: it counts once, as the worst of them. **When it
//! fails**, nothing was changed.

use crate::db::connect::Reader;
use crate::db::row::{Columns, at};
use crate::harvest::over::{is_over, range_and};
use crate::integrity::proof::{COUNTS, IS_PROVEN, JOINED, WAS_FINAL, range_of};
use crate::{Ledger, LedgerError};
use granary_domain::{TimeRange, WindowId};
use jiff::Timestamp;
use mysql_async::{Row, Value, params};

/// How far the proof reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProofState {
    /// Where the first window begins. `None`: there is none.
    pub begins: Option<Timestamp>,
    /// The end of the proof: every window before it is proven, without a gap. `None`: the first window isn't.
    pub proven_to: Option<Timestamp>,
    /// The same of windows that are final.
    pub final_to: Option<Timestamp>,
    /// When the oldest of the verifications that prove it began. `None`: nothing is proven.
    pub as_of: Option<Timestamp>,
    /// Hours of event time with messages whose windows are proven.
    pub hours_proven: u64,
    /// Hours of event time whose windows aren't proven yet.
    pub hours_waiting: u64,
    /// Hours of event time whose windows are failing.
    pub hours_failing: u64,
    /// Ranges between windows that no window covers, the earliest first: 100 at most.
    pub gaps: Vec<TimeRange>,
    /// Windows that are failing, the earliest first: 100 at most.
    pub failing: Vec<FailingWindow>,
    /// The state that the write-blocked source was in when each window was proven. `None`: not the same for all, or not
    /// blocked.
    pub source_at: Option<String>,
}

/// A window whose verification fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailingWindow {
    /// It.
    pub id: WindowId,
    /// Its event times.
    pub range: TimeRange,
    /// When the verification that found something missing or wrong began. `None`: none came to an end.
    pub as_of: Option<Timestamp>,
}

/// Gaps and failing windows that are listed.
const LISTED_MAX: usize = 100;
const OPERATION: &str = "ask how far the proof reaches";
const HOUR_SECS: u64 = 3_600;
const IS_FAILING: &str =
    "(COALESCE(p.outcome, '') = 'failing' OR (COALESCE(p.asked, 0) >= 3 AND p.proven_at IS NULL))";
const ASKED_IN_VAIN_MIN: u32 = 3;
const WINDOWS_PER_PAGE: usize = 10_000;

impl Ledger {
    /// Windows whose verification fails, the earliest first: 100 at most.
    pub async fn failing_windows(&self) -> Result<Vec<FailingWindow>, LedgerError> {
        self.read("list windows whose verification fails", |mut reader| async move {
            failing_of(&mut reader, None).await
        })
        .await
    }

    /// Whether every window over a range was final once, and nothing became visible late since: then the archive alone proves it.
    pub async fn were_final(&self, range: TimeRange) -> Result<bool, LedgerError> {
        self.read("ask whether windows were final", |mut reader| async move {
            let others: Option<u64> = reader
                .first(
                    format!(
                        "SELECT COUNT(*) FROM {JOINED} WHERE {} AND {COUNTS} AND NOT {WAS_FINAL}",
                        is_over()
                    ),
                    range_and(range, []),
                )
                .await?;
            Ok(others == Some(0))
        })
        .await
    }

    /// How far the proof reaches. `before`: only windows that begin before then.
    pub async fn proof_state(&self, before: Option<Timestamp>) -> Result<ProofState, LedgerError> {
        self.read(OPERATION, |mut reader| async move {
            let mut walk = Walk::default();
            let mut after = (TimeRange::EVER.from(), WindowId(0));
            loop {
                let page = page_of(&mut reader, before, after).await?;
                let is_last = page.len() < WINDOWS_PER_PAGE;
                for window in page {
                    after = (window.range.from(), window.id);
                    if window.counts {
                        walk.pass(window);
                    }
                }
                if is_last {
                    break;
                }
            }
            let failing = failing_of(&mut reader, before).await?;
            Ok(walk.end(failing))
        })
        .await
    }
}

/// What is known of a window.
struct WindowInProof {
    id: WindowId,
    /// Whether its migration reads everything, and isn't cancelled.
    counts: bool,
    range: TimeRange,
    /// 3 where it is failing, 2 where it isn't proven, 1 where it is and has messages.
    rank: u8,
    is_proven: bool,
    is_final: bool,
    proven_at: Option<Timestamp>,
    source_at: Option<String>,
}

/// The next windows, by the instant at which they begin.
async fn page_of(
    reader: &mut Reader,
    before: Option<Timestamp>,
    (from, id): (Timestamp, WindowId),
) -> Result<Vec<WindowInProof>, LedgerError> {
    let query = format!(
        "SELECT w.id, w.range_from, w.range_to, {COUNTS} AS counts, CASE WHEN {IS_FAILING} THEN 3 \
         WHEN NOT {IS_PROVEN} AND (w.found > 0 OR w.recorded_at IS NULL) THEN 2 \
         WHEN w.found > 0 THEN 1 ELSE 0 END AS worst, {IS_PROVEN} AS is_proven, \
         {IS_PROVEN} AND p.final_at IS NOT NULL AS is_final, p.proven_at, p.source_at FROM \
         (SELECT id, migration_id, range_from, range_to, found, recorded_at \
          FROM harvest_window FORCE INDEX (harvest_window_time) \
          WHERE range_from >= :after AND (range_from > :after OR id > :id) AND range_from < :before \
          ORDER BY range_from, id LIMIT {WINDOWS_PER_PAGE}) w JOIN migration m ON m.id = w.migration_id \
         LEFT JOIN window_scan s ON s.window_id = w.id LEFT JOIN window_proof p ON p.window_id = w.id \
         ORDER BY w.range_from, w.id"
    );
    let before = before.unwrap_or(TimeRange::EVER.to());
    let params = params! { "after" => at(from), "id" => id.0, "before" => at(before) };
    let rows: Vec<Row> = reader.rows(query, params).await?;
    rows.into_iter()
        .map(|mut row| {
            Ok(WindowInProof {
                id: WindowId(row.column("id")?),
                counts: row.column("counts")?,
                range: range_of(&mut row)?,
                rank: row.column("worst")?,
                is_proven: row.column("is_proven")?,
                is_final: row.column("is_final")?,
                proven_at: row.instant_or_null("proven_at")?,
                source_at: row.column("source_at")?,
            })
        })
        .collect()
}

/// All windows in order of time, one after the other. MAX() OVER a growing frame would take quadratic time on both servers: a
/// minute or more for 10,000 windows.
#[derive(Default)]
struct Walk {
    begins: Option<Timestamp>,
    covered_to: Option<Timestamp>,
    /// How far the windows of a rank and of worse ones reach, and what they cover in seconds; each instant counts once.
    of_rank: [(Option<Timestamp>, u64); 3],
    unproven: Option<Timestamp>,
    unsettled: Option<Timestamp>,
    as_of: Option<Timestamp>,
    gaps: Vec<TimeRange>,
    /// The one state of the source that all windows saw; `None` once two of them differ.
    source_at: Option<Option<String>>,
    sources_differ: bool,
}

impl Walk {
    fn pass(&mut self, window: WindowInProof) {
        let (from, to) = (window.range.from(), window.range.to());
        let gap = self
            .covered_to
            .and_then(|covered| TimeRange::new(covered, from).ok());
        if self.gaps.len() < LISTED_MAX {
            self.gaps.extend(gap);
        }
        self.begins.get_or_insert(from);
        self.covered_to = self.covered_to.max(Some(to));
        for (covered_to, seconds) in self.of_rank.iter_mut().take(usize::from(window.rank)) {
            let begins = covered_to.map_or(from, |covered| covered.max(from));
            let added = TimeRange::new(begins, to)
                .map_or(0, |added| added.to().duration_since(added.from()).as_secs());
            *seconds += added.unsigned_abs();
            *covered_to = (*covered_to).max(Some(to));
        }
        if !window.is_proven {
            self.unproven.get_or_insert(from);
        }
        if !window.is_final {
            self.unsettled.get_or_insert(from);
        }
        self.as_of = [self.as_of, window.proven_at].into_iter().flatten().min();
        let seen = self.source_at.get_or_insert_with(|| window.source_at.clone());
        self.sources_differ |= *seen != window.source_at;
    }

    fn end(self, failing: Vec<FailingWindow>) -> ProofState {
        let gap = self.gaps.first().map(TimeRange::from);
        let end = |open: Option<Timestamp>| {
            let end = [open, gap, self.covered_to].into_iter().flatten().min();
            end.filter(|end| self.begins.is_some_and(|begins| *end > begins))
        };
        let [all, open, failed] = self.of_rank.map(|(_, seconds)| seconds);
        ProofState {
            begins: self.begins,
            proven_to: end(self.unproven),
            final_to: end(self.unsettled),
            as_of: self.as_of,
            hours_proven: all.saturating_sub(open).div_ceil(HOUR_SECS),
            hours_waiting: open.saturating_sub(failed).div_ceil(HOUR_SECS),
            hours_failing: failed.div_ceil(HOUR_SECS),
            gaps: self.gaps,
            failing,
            source_at: self.source_at.flatten().filter(|_| !self.sources_differ),
        }
    }
}

async fn failing_of(
    reader: &mut Reader,
    before: Option<Timestamp>,
) -> Result<Vec<FailingWindow>, LedgerError> {
    let rows: Vec<Row> = reader
        .rows(
            format!(
                "SELECT w.id, w.range_from, w.range_to, IF(p.outcome = 'failing', p.as_of, NULL) AS as_of \
                 FROM (SELECT window_id FROM window_proof WHERE outcome = 'failing' \
                  UNION SELECT window_id FROM window_proof WHERE asked >= {ASKED_IN_VAIN_MIN}) f \
                 STRAIGHT_JOIN window_proof p ON p.window_id = f.window_id JOIN harvest_window w ON w.id = p.window_id \
                 JOIN migration m ON m.id = w.migration_id WHERE {COUNTS} AND {IS_FAILING} \
                 AND (:before IS NULL OR w.range_from < :before) ORDER BY w.range_from, w.id LIMIT {LISTED_MAX}"
            ),
            params! { "before" => before.map_or(Value::NULL, at) },
        )
        .await?;
    rows.into_iter()
        .map(|mut row| {
            Ok(FailingWindow {
                id: WindowId(row.column("id")?),
                range: range_of(&mut row)?,
                as_of: row.instant_or_null("as_of")?,
            })
        })
        .collect()
}
