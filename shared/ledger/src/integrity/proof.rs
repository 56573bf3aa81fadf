//! Proof: which windows a full verification has proven, and which are due for one. How far the proof reaches is
//! `proof_state.rs`.
//!
//! A window is **proven** if and only if the newest full verification of all of it found nothing missing. It is **final**
//! once one that began after the window had settled (`harvest/rescan.rs`) proved it; it stays final, since no document becomes
//! visible there any more, until one that read the source fails. It is **failing** if the newest verification found something missing or wrong, or if the
//! schedule asked three times in a row without an outcome.
//!
//! Only windows of migrations that read everything count: a filter or a selection proves nothing about an hour as a whole.
//!
//! **When it fails**, nothing was changed. Asked twice, a window waits a little longer for the next scheduled verification.

use crate::db::connect::Doing;
use crate::db::connections::Transaction;
use crate::db::error::During;
use crate::db::row::{Columns, at, unreadable};
use crate::db::shape::List;
use crate::harvest::over::{is_over, range_and};
use crate::harvest::rescan::SETTLED;
use crate::harvest::window::micros;
use crate::integrity::AcceptedException;
use crate::{Ledger, LedgerError};
use granary_domain::{TimeRange, WindowId};
use granary_steps::Step;
use jiff::Timestamp;
use mysql_async::{Row, params};
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
    /// Whether it compared the ledger with the archive, and didn't read the source.
    pub is_of_archive_only: bool,
    /// Whether what it found missing may be of any hour: an index couldn't be read.
    pub is_incomplete_everywhere: bool,
    /// The accepted exceptions that it relies on, as it read them.
    pub accepted: Vec<AcceptedException>,
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
    /// Whether all of them were final once, and nothing came late since: the source may be cleaned up by now.
    pub are_final: bool,
    /// The windows.
    pub windows: Vec<WindowId>,
    /// All of them.
    pub range: TimeRange,
}

/// Windows of one scheduled verification.
const WINDOWS_MAX: u32 = 24;
/// A window without an outcome is asked for again after an hour, two, four, up to a day.
const RETRY_HOURS_MAX: u32 = 24;
const RETRY_DOUBLINGS_MAX: u32 = 5;

/// A window `w` of a migration `m` that counts.
pub(crate) const COUNTS: &str =
    "m.state <> 'cancelled' AND m.kind <> 'selection' AND m.source_filter IS NULL";
pub(crate) const JOINED: &str = "harvest_window w JOIN migration m ON m.id = w.migration_id \
     LEFT JOIN window_scan s ON s.window_id = w.id LEFT JOIN window_proof p ON p.window_id = w.id";
/// Whether nothing became visible late since it was proven.
pub(crate) const IS_PROVEN: &str =
    "(p.proven_at IS NOT NULL AND (s.late_at IS NULL OR s.late_at <= p.proven_at))";
/// Whether it was final once, and nothing became visible late since.
pub(crate) const WAS_FINAL: &str = "(p.final_at IS NOT NULL \
     AND (s.late_at IS NULL OR s.late_at <= GREATEST(p.final_at, COALESCE(p.proven_at, p.final_at))))";

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
        let list = &List::of(windows.iter().map(|window| window.0));
        let statement = &format!(
            "INSERT INTO window_proof (window_id, asked_at, asked) \
             SELECT id, UTC_TIMESTAMP(6), 1 FROM harvest_window WHERE id IN ({list}) \
             ON DUPLICATE KEY UPDATE asked_at = VALUES(asked_at), asked = window_proof.asked + 1"
        );
        self.change(Step::NoteProofAsked, |doing| async move {
            let mut conn = self.conn(doing).await?;
            conn.exec_drop(statement, list.params()).await.during(doing)
        })
        .await
    }
}

/// Each pass begins with the windows that an index finds for it. Final windows are not read; after a year almost all are final.
fn due_query(pass: ProofPass) -> String {
    let (candidates, due) = match pass {
        ProofPass::First => (
            "SELECT window_id FROM window_proof WHERE proven_at IS NULL \
             UNION SELECT window_id FROM window_scan WHERE late_at IS NOT NULL",
            format!("NOT {IS_PROVEN} AND w.recorded_at <= UTC_TIMESTAMP(6) - INTERVAL :after MICROSECOND"),
        ),
        ProofPass::Final => (
            "SELECT window_id FROM window_proof WHERE final_at IS NULL AND proven_at IS NOT NULL",
            format!(
                "{IS_PROVEN} AND p.final_at IS NULL AND {SETTLED} \
                 AND w.range_to <= UTC_TIMESTAMP(6) - INTERVAL :horizon MICROSECOND \
                 AND w.recorded_at <= UTC_TIMESTAMP(6) - INTERVAL :after MICROSECOND"
            ),
        ),
        ProofPass::Rotation => (
            "SELECT window_id FROM window_proof WHERE proven_at <= UTC_TIMESTAMP(6) - INTERVAL :every MICROSECOND",
            format!(
                "{IS_PROVEN} AND p.final_at IS NOT NULL \
                 AND p.proven_at <= UTC_TIMESTAMP(6) - INTERVAL :every MICROSECOND"
            ),
        ),
    };
    format!(
        "SELECT STRAIGHT_JOIN w.id, w.range_from, w.range_to, {WAS_FINAL} AS was_final, \
         COALESCE(p.asked, 0) > 0 AND COALESCE(p.outcome, '') <> 'waiting' AS is_retried \
         FROM ({candidates}) c JOIN {JOINED} \
         WHERE w.id = c.window_id AND w.state IN ('recorded', 'verified') AND {COUNTS} AND {due} \
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
    was_final: bool,
    is_retried: bool,
}

fn candidate_of(mut row: Row) -> Result<Candidate, LedgerError> {
    Ok(Candidate {
        id: WindowId(row.column("id")?),
        range: range_of(&mut row)?,
        was_final: row.column("was_final")?,
        is_retried: row.column("is_retried")?,
    })
}

pub(crate) fn range_of(row: &mut Row) -> Result<TimeRange, LedgerError> {
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
        let is_alike = next.was_final == first.was_final && !next.is_retried && !first.is_retried;
        if !is_alike || next.range.from() > to {
            break;
        }
        windows.push(next.id);
        to = to.max(next.range.to());
    }
    let due = DueProof {
        pass,
        are_final: first.was_final,
        windows,
        range: TimeRange::new(first.range.from(), to).ok()?,
    };
    Some((due, IsRetried(first.is_retried)))
}

/// A window that was recorded waits for its proof, if it counts: from now on it has a row.
pub(crate) async fn await_proof(
    transaction: &mut Transaction,
    doing: Doing,
    window: WindowId,
) -> Result<(), LedgerError> {
    transaction
        .exec_drop(
            format!(
                "INSERT INTO window_proof (window_id) SELECT w.id FROM harvest_window w \
                 JOIN migration m ON m.id = w.migration_id WHERE w.id = ? AND w.recorded_at IS NOT NULL AND {COUNTS} \
                 ON DUPLICATE KEY UPDATE window_id = VALUES(window_id)"
            ),
            (window.0,),
        )
        .await
        .during(doing)
}

/// The windows in a range are proven, unless a verification that began later says otherwise.
pub(crate) async fn write_proven(
    transaction: &mut Transaction,
    doing: Doing,
    note: &Verification,
) -> Result<(), LedgerError> {
    transaction
        .exec_drop(
            format!(
                "INSERT INTO window_proof (window_id, outcome, as_of, proven_at, final_at, source_at, accepted) \
                 SELECT w.id, 'proven', :as_of, :as_of, IF({SETTLED} \
                 AND w.range_to <= :as_of - INTERVAL :horizon MICROSECOND, :as_of, NULL), :source, :accepted \
                 FROM harvest_window w JOIN migration m ON m.id = w.migration_id \
                 WHERE w.state IN ('recorded', 'verified') AND m.state <> 'cancelled' AND w.recorded_at <= :as_of \
                 AND w.range_from >= :from AND w.range_from < :to AND w.range_to <= :to \
                 ON DUPLICATE KEY UPDATE outcome = IF({IS_OLDER}, VALUES(outcome), outcome), \
                 proven_at = IF({IS_OLDER}, VALUES(proven_at), proven_at), \
                 source_at = IF({IS_OLDER} AND NOT :archive_only, VALUES(source_at), source_at), \
                 accepted = IF({IS_OLDER} AND NOT :archive_only, VALUES(accepted), accepted), \
                 asked = IF({IS_OLDER}, 0, asked), \
                 final_at = COALESCE(final_at, VALUES(final_at)), \
                 as_of = GREATEST(COALESCE(as_of, VALUES(as_of)), VALUES(as_of))"
            ),
            params! {
                "as_of" => at(note.as_of), "horizon" => micros(note.horizon), "source" => note.source_at.as_deref(),
                "archive_only" => note.is_of_archive_only, "accepted" => !note.accepted.is_empty(),
                "from" => at(note.range.from()), "to" => at(note.range.to()),
            },
        )
        .await
        .during(doing)
}

/// The windows in a range wait for exports, or are failing where an hour of theirs differs.
pub(crate) async fn write_unproven(
    transaction: &mut Transaction,
    doing: Doing,
    note: &Verification,
    outcome: ProofOutcome,
) -> Result<(), LedgerError> {
    let concerned = match outcome {
        ProofOutcome::Failing if !note.is_incomplete_everywhere => {
            "AND EXISTS (SELECT 1 FROM differing_hour d WHERE d.verdict = 'INCOMPLETE' AND d.found_at >= :as_of \
             AND d.hour_start < w.range_to AND d.hour_start + INTERVAL 1 HOUR > w.range_from)"
        }
        ProofOutcome::Failing | ProofOutcome::Waiting | ProofOutcome::Proven => "",
    };
    transaction
        .exec_drop(
            format!(
                "INSERT INTO window_proof (window_id, outcome, as_of) SELECT w.id, :outcome, :as_of \
                 FROM harvest_window w WHERE {} {concerned} \
                 ON DUPLICATE KEY UPDATE outcome = IF({IS_OLDER}, VALUES(outcome), outcome), \
                 proven_at = IF({IS_OLDER} AND VALUES(outcome) = 'failing', NULL, proven_at), \
                 final_at = IF({IS_OLDER} AND VALUES(outcome) = 'failing' AND NOT :archive_only, NULL, final_at), \
                 asked = IF({IS_OLDER} AND VALUES(outcome) = 'waiting', 1, asked), \
                 as_of = GREATEST(COALESCE(as_of, VALUES(as_of)), VALUES(as_of))",
                is_over()
            ),
            range_and(
                note.range,
                [
                    ("outcome", outcome.as_str().into()),
                    ("as_of", at(note.as_of)),
                    ("archive_only", note.is_of_archive_only.into()),
                ],
            ),
        )
        .await
        .during(doing)
}

/// Whether what a row says is older than what is written now.
const IS_OLDER: &str = "(window_proof.as_of IS NULL OR window_proof.as_of <= VALUES(as_of))";
