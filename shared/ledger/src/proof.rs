//! Proof: which windows a full verification has proven, which are due for one, and how far the proof reaches.
//!
//! A window is **proven** if and only if the newest full verification of all of it found nothing missing. It is **final**
//! once one that began after the window had settled (`rescan.rs`) proved it; it stays final, since no document becomes
//! visible there any more. It is **failing** if the newest verification found something missing or wrong, or if the
//! schedule asked three times in a row without an outcome.
//!
//! Only windows of migrations that read everything count: a filter or a selection proves nothing about an hour as a whole.
//!
//! **When it fails**, nothing was changed. Asked twice, a window waits a little longer for the next scheduled verification.

use crate::connect::{Doing, Reader};
use crate::error::During;
use crate::rescan::SETTLED;
use crate::row::{Columns, at, placeholders, unreadable};
use crate::window::micros;
use crate::{Ledger, LedgerError};
use granary_domain::{TimeRange, WindowId};
use granary_steps::Step;
use jiff::Timestamp;
use mysql_async::{Params, Row, Transaction, Value, params, prelude::Queryable};
use std::time::Duration;

/// What a full verification of a window says about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProofOutcome {
    /// Nothing is missing, and the archive is what the ledger says.
    Proven,
    /// Nothing is lost, but some messages wait for their export.
    Waiting,
    /// Something is missing or wrong.
    Failing,
}

impl ProofOutcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Proven => "proven",
            Self::Waiting => "waiting",
            Self::Failing => "failing",
        }
    }
}

/// A full verification of everything in a range that has come to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verification {
    /// What was verified.
    pub range: TimeRange,
    /// When it began, by the database's clock: what was settled later it may not have seen.
    pub as_of: Timestamp,
    /// How long after its end a window isn't settled.
    pub horizon: Duration,
    /// The state of the source when it began, where every index of it was write-blocked.
    pub source_at: Option<String>,
}

/// When windows are verified by schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProofRules {
    /// How long after it was recorded a window is verified for the first time.
    pub after: Duration,
    /// How long after its end a window isn't settled.
    pub horizon: Duration,
    /// How long after its last proof a final window is verified again. `None`: never.
    pub every: Option<Duration>,
}

/// Why a window is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProofPass {
    /// It isn't proven.
    First,
    /// It has settled since it was proven.
    Final,
    /// Its last proof is long ago.
    Rotation,
}

/// Windows that are to be verified together: one after the other without a gap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueProof {
    /// Why.
    pub pass: ProofPass,
    /// The windows.
    pub windows: Vec<WindowId>,
    /// All of them.
    pub range: TimeRange,
}

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

/// Windows of one scheduled verification.
const WINDOWS_MAX: u32 = 24;
/// Gaps and failing windows that are listed.
const LISTED_MAX: u32 = 100;
/// A window without an outcome is asked for again after an hour, two, four, up to a day.
const RETRY_HOURS_MAX: u32 = 24;
const RETRY_DOUBLINGS_MAX: u32 = 5;

/// A window `w` of a migration `m` that counts.
const COUNTS: &str = "m.state <> 'cancelled' AND m.kind <> 'selection' AND m.source_filter IS NULL";
const JOINED: &str = "harvest_window w JOIN migration m ON m.id = w.migration_id \
     LEFT JOIN window_scan s ON s.window_id = w.id LEFT JOIN window_proof p ON p.window_id = w.id";
/// Whether nothing became visible late since it was proven.
const IS_PROVEN: &str = "(p.proven_at IS NOT NULL AND (s.late_at IS NULL OR s.late_at <= p.proven_at))";
const IS_FAILING: &str =
    "(COALESCE(p.outcome, '') = 'failing' OR (COALESCE(p.asked, 0) >= 3 AND p.proven_at IS NULL))";

impl Ledger {
    /// The earliest windows that are due for a scheduled verification. One that was asked for without an outcome is alone, so
    /// that it doesn't keep others from being proven. A window with open batches waits for them.
    pub async fn due_proof(&self, rules: &ProofRules) -> Result<Option<DueProof>, LedgerError> {
        let mut retried = None;
        let rotation = rules.every.map(|_| ProofPass::Rotation);
        for pass in [ProofPass::First, ProofPass::Final].into_iter().chain(rotation) {
            match self.due_in(pass, rules).await? {
                Some((due, IsRetried(false))) => return Ok(Some(due)),
                Some((due, IsRetried(true))) => retried = retried.or(Some(due)),
                None => {}
            }
        }
        Ok(retried)
    }

    async fn due_in(
        &self,
        pass: ProofPass,
        rules: &ProofRules,
    ) -> Result<Option<(DueProof, IsRetried)>, LedgerError> {
        let query = due_query(pass);
        let query = &query;
        let due = self
            .read("list windows to verify", |mut reader| async move {
                let params = params! {
                    "after" => micros(rules.after), "horizon" => micros(rules.horizon),
                    "every" => rules.every.map(micros),
                };
                let rows: Vec<Row> = reader.rows(query, params).await?;
                rows.into_iter().map(candidate_of).collect::<Result<Vec<_>, _>>()
            })
            .await?;
        Ok(together(pass, &due))
    }

    /// Writes down that the schedule asks for a verification of these windows.
    pub async fn note_proof_asked(&self, windows: &[WindowId]) -> Result<(), LedgerError> {
        if windows.is_empty() {
            return Ok(());
        }
        let statement = format!(
            "INSERT INTO window_proof (window_id, asked_at, asked) \
             SELECT id, UTC_TIMESTAMP(6), 1 FROM harvest_window WHERE id IN ({}) \
             ON DUPLICATE KEY UPDATE asked_at = VALUES(asked_at), asked = window_proof.asked + 1",
            placeholders(windows.len())
        );
        let statement = &statement;
        self.change(Step::NoteProofAsked, |doing| async move {
            let ids = windows.iter().map(|window| Value::from(window.0)).collect();
            let mut conn = self.conn(doing).await?;
            conn.exec_drop(statement, Params::Positional(ids))
                .await
                .during(doing)
        })
        .await
    }

    /// Windows whose verification fails, the earliest first: 100 at most.
    pub async fn failing_windows(&self) -> Result<Vec<FailingWindow>, LedgerError> {
        self.read("list windows whose verification fails", |mut reader| async move {
            failing_of(&mut reader, None).await
        })
        .await
    }

    /// How far the proof reaches. `before`: only windows that begin before then.
    pub async fn proof_state(&self, before: Option<Timestamp>) -> Result<ProofState, LedgerError> {
        self.read("ask how far the proof reaches", |mut reader| async move {
            let gaps = gaps_of(&mut reader, before).await?;
            let failing = failing_of(&mut reader, before).await?;
            let ends = ends_of(&mut reader, before, gaps.first()).await?;
            Ok(ProofState {
                gaps,
                failing,
                ..ends
            })
        })
        .await
    }
}

fn due_query(pass: ProofPass) -> String {
    let due = match pass {
        ProofPass::First => {
            format!("NOT {IS_PROVEN} AND w.recorded_at <= UTC_TIMESTAMP(6) - INTERVAL :after MICROSECOND")
        }
        ProofPass::Final => format!(
            "{IS_PROVEN} AND p.final_at IS NULL AND {SETTLED} \
             AND w.range_to <= UTC_TIMESTAMP(6) - INTERVAL :horizon MICROSECOND \
             AND w.recorded_at <= UTC_TIMESTAMP(6) - INTERVAL :after MICROSECOND"
        ),
        ProofPass::Rotation => format!(
            "{IS_PROVEN} AND p.final_at IS NOT NULL \
             AND p.proven_at <= UTC_TIMESTAMP(6) - INTERVAL :every MICROSECOND"
        ),
    };
    format!(
        "SELECT w.id, w.range_from, w.range_to, \
         COALESCE(p.asked, 0) > 0 AND COALESCE(p.outcome, '') <> 'waiting' AS is_retried FROM {JOINED} \
         WHERE w.state IN ('recorded', 'verified') AND {COUNTS} AND {due} \
         AND NOT EXISTS (SELECT 1 FROM batch b WHERE b.window_id = w.id \
          AND b.status IN ('pending', 'in_progress', 'failed')) \
         AND (COALESCE(p.asked, 0) = 0 OR p.asked_at IS NULL OR p.asked_at <= UTC_TIMESTAMP(6) - INTERVAL \
          LEAST({RETRY_HOURS_MAX}, 1 << LEAST(p.asked - 1, {RETRY_DOUBLINGS_MAX})) HOUR) \
         ORDER BY is_retried, w.range_from, w.id LIMIT {WINDOWS_MAX}"
    )
}

struct Candidate {
    id: WindowId,
    range: TimeRange,
    is_retried: bool,
}

fn candidate_of(mut row: Row) -> Result<Candidate, LedgerError> {
    Ok(Candidate {
        id: WindowId(row.column("id")?),
        range: range_of(&mut row)?,
        is_retried: row.column("is_retried")?,
    })
}

fn range_of(row: &mut Row) -> Result<TimeRange, LedgerError> {
    let range = TimeRange::new(row.instant("range_from")?, row.instant("range_to")?);
    range.map_err(|error| unreadable("range_from", &error))
}

/// Whether a window was asked for before, without an outcome: it comes after all others.
struct IsRetried(bool);

/// The first window, and those after it that follow without a gap.
fn together(pass: ProofPass, due: &[Candidate]) -> Option<(DueProof, IsRetried)> {
    let first = due.first()?;
    let (mut windows, mut to) = (vec![first.id], first.range.to());
    for next in due.iter().skip(1) {
        if first.is_retried || next.is_retried || next.range.from() > to {
            break;
        }
        windows.push(next.id);
        to = to.max(next.range.to());
    }
    let range = TimeRange::new(first.range.from(), to).ok()?;
    Some((DueProof { pass, windows, range }, IsRetried(first.is_retried)))
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

/// What there is up to the first gap, without gaps and failing windows themselves.
async fn ends_of(
    reader: &mut Reader,
    before: Option<Timestamp>,
    gap: Option<&TimeRange>,
) -> Result<ProofState, LedgerError> {
    let hours = |of: &str| {
        format!(
            "CAST(CEIL(COALESCE(SUM(IF({of}, TIMESTAMPDIFF(SECOND, w.range_from, w.range_to), 0)), 0) / 3600) AS UNSIGNED)"
        )
    };
    let (proven, waiting) = (
        hours(&format!("w.found > 0 AND {IS_PROVEN}")),
        hours(&format!(
            "(w.found > 0 OR w.recorded_at IS NULL) AND NOT {IS_PROVEN} AND NOT {IS_FAILING}"
        )),
    );
    let failing = hours(IS_FAILING);
    let row: Option<Row> = reader
        .first(
            format!(
                "SELECT MIN(w.range_from) AS first, MAX(w.range_to) AS last, \
                 MIN(IF({IS_PROVEN}, NULL, w.range_from)) AS unproven, \
                 MIN(IF({IS_PROVEN} AND p.final_at IS NOT NULL, NULL, w.range_from)) AS unsettled, \
                 MIN(p.proven_at) AS as_of, COUNT(DISTINCT COALESCE(p.source_at, '')) AS states, \
                 MAX(p.source_at) AS source_at, {proven} AS hours_proven, {waiting} AS hours_waiting, \
                 {failing} AS hours_failing FROM {JOINED} \
                 WHERE {COUNTS} AND (:before IS NULL OR w.range_from < :before)"
            ),
            params! { "before" => before.map_or(Value::NULL, at) },
        )
        .await?;
    let mut row =
        row.ok_or_else(|| LedgerError::inconsistent("ask how far the proof reaches", "no answer"))?;
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
        hours_proven: row.column("hours_proven")?,
        hours_waiting: row.column("hours_waiting")?,
        hours_failing: row.column("hours_failing")?,
        gaps: Vec::new(),
        failing: Vec::new(),
        source_at: row
            .column::<Option<String>>("source_at")?
            .filter(|_| is_one_state),
    })
}

/// The windows in a range are proven, unless a verification that began later says otherwise.
pub(crate) async fn write_proven(
    transaction: &mut Transaction<'_>,
    doing: Doing,
    note: &Verification,
) -> Result<(), LedgerError> {
    transaction
        .exec_drop(
            format!(
                "INSERT INTO window_proof (window_id, outcome, as_of, proven_at, final_at, source_at) \
                 SELECT w.id, 'proven', :as_of, :as_of, IF({SETTLED} \
                 AND w.range_to <= :as_of - INTERVAL :horizon MICROSECOND, :as_of, NULL), :source \
                 FROM harvest_window w JOIN migration m ON m.id = w.migration_id \
                 LEFT JOIN window_scan s ON s.window_id = w.id \
                 WHERE w.state IN ('recorded', 'verified') AND m.state <> 'cancelled' AND w.recorded_at <= :as_of \
                 AND w.range_from >= :from AND w.range_to <= :to \
                 ON DUPLICATE KEY UPDATE outcome = IF({IS_OLDER}, VALUES(outcome), outcome), \
                 proven_at = IF({IS_OLDER}, VALUES(proven_at), proven_at), \
                 source_at = IF({IS_OLDER}, VALUES(source_at), source_at), \
                 asked = IF({IS_OLDER}, 0, asked), \
                 final_at = COALESCE(final_at, VALUES(final_at)), \
                 as_of = GREATEST(COALESCE(as_of, VALUES(as_of)), VALUES(as_of))"
            ),
            params! {
                "as_of" => at(note.as_of), "horizon" => micros(note.horizon), "source" => note.source_at.as_deref(),
                "from" => at(note.range.from()), "to" => at(note.range.to()),
            },
        )
        .await
        .during(doing)
}

/// The windows in a range wait for exports, or are failing where an hour of theirs differs.
pub(crate) async fn write_unproven(
    transaction: &mut Transaction<'_>,
    doing: Doing,
    note: &Verification,
    outcome: ProofOutcome,
) -> Result<(), LedgerError> {
    let concerned = match outcome {
        ProofOutcome::Failing => {
            "AND EXISTS (SELECT 1 FROM differing_hour d WHERE d.verdict = 'INCOMPLETE' AND d.found_at >= :as_of \
             AND d.hour_start < w.range_to AND d.hour_start + INTERVAL 1 HOUR > w.range_from)"
        }
        ProofOutcome::Waiting | ProofOutcome::Proven => "",
    };
    transaction
        .exec_drop(
            format!(
                "INSERT INTO window_proof (window_id, outcome, as_of) SELECT w.id, :outcome, :as_of \
                 FROM harvest_window w WHERE w.range_from < :to AND w.range_to > :from {concerned} \
                 ON DUPLICATE KEY UPDATE outcome = IF({IS_OLDER}, VALUES(outcome), outcome), \
                 proven_at = IF({IS_OLDER} AND VALUES(outcome) = 'failing', NULL, proven_at), \
                 asked = IF({IS_OLDER} AND VALUES(outcome) = 'waiting', 1, asked), \
                 as_of = GREATEST(COALESCE(as_of, VALUES(as_of)), VALUES(as_of))"
            ),
            params! {
                "outcome" => outcome.as_str(), "as_of" => at(note.as_of),
                "from" => at(note.range.from()), "to" => at(note.range.to()),
            },
        )
        .await
        .during(doing)
}

/// Whether what a row says is older than what is written now.
const IS_OLDER: &str = "(window_proof.as_of IS NULL OR window_proof.as_of <= VALUES(as_of))";
