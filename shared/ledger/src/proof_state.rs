//! How far the proof reaches: its end, what is open before it, and what fails (`proof.rs` says what proven means).
//!
//! Several windows may cover one hour, of one migration after the other: it counts once, as the worst of them. **When it
//! fails**, nothing was changed.

use crate::connect::Reader;
use crate::over::{is_over, range_and};
use crate::proof::{COUNTS, IS_PROVEN, JOINED, WAS_FINAL, range_of};
use crate::row::{Columns, at};
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
const LISTED_MAX: u32 = 100;
const OPERATION: &str = "ask how far the proof reaches";
const HOUR_SECS: u64 = 3_600;
const IS_FAILING: &str =
    "(COALESCE(p.outcome, '') = 'failing' OR (COALESCE(p.asked, 0) >= 3 AND p.proven_at IS NULL))";

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
            let gaps = gaps_of(&mut reader, before).await?;
            let failing = failing_of(&mut reader, before).await?;
            let hours = hours_of(&mut reader, before).await?;
            let ends = ends_of(&mut reader, before, (gaps.first(), hours)).await?;
            Ok(ProofState {
                gaps,
                failing,
                ..ends
            })
        })
        .await
    }
}

/// Hours of event time by what is known of their windows.
struct Hours {
    proven: u64,
    waiting: u64,
    failing: u64,
}

/// Each instant counts once: what a window adds to those before it that are as bad or worse.
async fn hours_of(reader: &mut Reader, before: Option<Timestamp>) -> Result<Hours, LedgerError> {
    let worst = format!(
        "CASE WHEN {IS_FAILING} THEN 3 \
         WHEN NOT {IS_PROVEN} AND (w.found > 0 OR w.recorded_at IS NULL) THEN 2 \
         WHEN w.found > 0 THEN 1 ELSE 0 END"
    );
    let covered = |rank: u8| {
        format!(
            "MAX(IF(worst >= {rank}, range_to, NULL)) OVER (ORDER BY range_from, id \
             ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS covered_{rank}"
        )
    };
    let seconds = |rank: u8| {
        format!(
            "CAST(COALESCE(SUM(IF(worst >= {rank}, GREATEST(0, TIMESTAMPDIFF(SECOND, \
             GREATEST(range_from, COALESCE(covered_{rank}, range_from)), range_to)), 0)), 0) AS UNSIGNED) AS secs_{rank}"
        )
    };
    let row: Option<Row> = reader
        .first(
            format!(
                "SELECT {}, {}, {} FROM (SELECT range_from, range_to, worst, {}, {}, {} FROM \
                 (SELECT w.id, w.range_from, w.range_to, {worst} AS worst FROM {JOINED} \
                  WHERE {COUNTS} AND (:before IS NULL OR w.range_from < :before)) ranked) covered",
                seconds(1),
                seconds(2),
                seconds(3),
                covered(1),
                covered(2),
                covered(3),
            ),
            params! { "before" => before.map_or(Value::NULL, at) },
        )
        .await?;
    let mut row = row.ok_or_else(|| LedgerError::inconsistent(OPERATION, "no answer"))?;
    let (all, open, failing): (u64, u64, u64) = (
        row.column("secs_1")?,
        row.column("secs_2")?,
        row.column("secs_3")?,
    );
    Ok(Hours {
        proven: all.saturating_sub(open).div_ceil(HOUR_SECS),
        waiting: open.saturating_sub(failing).div_ceil(HOUR_SECS),
        failing: failing.div_ceil(HOUR_SECS),
    })
}

async fn gaps_of(reader: &mut Reader, before: Option<Timestamp>) -> Result<Vec<TimeRange>, LedgerError> {
    let rows: Vec<Row> = reader
        .rows(
            format!(
                "SELECT covered_to AS range_from, range_from AS range_to FROM \
                 (SELECT w.range_from, MAX(w.range_to) OVER (ORDER BY w.range_from, w.id \
                  ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS covered_to \
                  FROM harvest_window w JOIN migration m ON m.id = w.migration_id \
                  WHERE {COUNTS} AND (:before IS NULL OR w.range_from < :before)) covered \
                 WHERE range_from > covered_to ORDER BY range_from LIMIT {LISTED_MAX}"
            ),
            params! { "before" => before.map_or(Value::NULL, at) },
        )
        .await?;
    rows.into_iter().map(|mut row| range_of(&mut row)).collect()
}

async fn failing_of(
    reader: &mut Reader,
    before: Option<Timestamp>,
) -> Result<Vec<FailingWindow>, LedgerError> {
    let rows: Vec<Row> = reader
        .rows(
            format!(
                "SELECT w.id, w.range_from, w.range_to, IF(p.outcome = 'failing', p.as_of, NULL) AS as_of \
                 FROM window_proof p JOIN harvest_window w ON w.id = p.window_id \
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

/// Where the proof ends, without gaps and failing windows themselves.
async fn ends_of(
    reader: &mut Reader,
    before: Option<Timestamp>,
    (gap, hours): (Option<&TimeRange>, Hours),
) -> Result<ProofState, LedgerError> {
    let row: Option<Row> = reader
        .first(
            format!(
                "SELECT MIN(w.range_from) AS first, MAX(w.range_to) AS last, \
                 MIN(IF({IS_PROVEN}, NULL, w.range_from)) AS unproven, \
                 MIN(IF({IS_PROVEN} AND p.final_at IS NOT NULL, NULL, w.range_from)) AS unsettled, \
                 MIN(p.proven_at) AS as_of, COUNT(DISTINCT COALESCE(p.source_at, '')) AS states, \
                 MAX(p.source_at) AS source_at FROM {JOINED} \
                 WHERE {COUNTS} AND (:before IS NULL OR w.range_from < :before)"
            ),
            params! { "before" => before.map_or(Value::NULL, at) },
        )
        .await?;
    let mut row = row.ok_or_else(|| LedgerError::inconsistent(OPERATION, "no answer"))?;
    let (first, last) = (row.instant_or_null("first")?, row.instant_or_null("last")?);
    let gap = gap.map(|gap| gap.from());
    let end = |open: Option<Timestamp>| {
        let end = [open, gap, last].into_iter().flatten().min();
        end.filter(|end| first.is_some_and(|first| *end > first))
    };
    let is_one_state = row.column::<u64>("states")? == 1;
    let (unproven, unsettled) = (
        row.instant_or_null("unproven")?,
        row.instant_or_null("unsettled")?,
    );
    Ok(ProofState {
        begins: first,
        proven_to: end(unproven),
        final_to: end(unsettled),
        as_of: row.instant_or_null("as_of")?,
        hours_proven: hours.proven,
        hours_waiting: hours.waiting,
        hours_failing: hours.failing,
        gaps: Vec::new(),
        failing: Vec::new(),
        source_at: row
            .column::<Option<String>>("source_at")?
            .filter(|_| is_one_state),
    })
}
