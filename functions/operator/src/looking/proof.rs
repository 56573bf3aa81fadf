//! `GET /proof`: how far the archive is proven, and whether the source can be deleted without losing anything.
//!
//! The ledger says what was verified and when. The source says whether it has changed since: only where every index is
//! write-blocked, and in the state that the verifications saw, does a proof of some time ago hold now. Nothing is changed here.

use crate::migrating::progress_shown::ShownRange;
use crate::services::Services;
use crate::web::answer::Answer;
use crate::web::fields::{Fields, QueryFields};
use crate::web::problem::Problem;
use axum::extract::State;
use granary_domain::TimeRange;
use granary_ledger::integrity::{AcceptedException, FailingWindow, ProofState};
use granary_ledger::settings::ChangedSetting;
use granary_source::{SourceError, SourceProblem, Survey, WriteBlock};
use jiff::Timestamp;
use serde::Serialize;
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// Indices that are named.
const UNREAD_MAX: usize = 10;
/// Changes of settings that are shown.
const CHANGES_MAX: u32 = 20;

/// Up to when.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "what `look` reads, for the document")]
pub(crate) struct ProofQuery {
    /// The event time up to which messages are to be deleted at the source. Without it: the end of the proof.
    #[param(example = "2026-11-01T00:00:00Z")]
    before: Option<Timestamp>,
}

/// How far the archive is proven.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ShownProof {
    /// All of it in one sentence.
    #[schema(examples(
        "Proven complete through 2026-11-22T10:00:00Z. 240 hours archived, 2 waiting, 0 failing."
    ))]
    pub(crate) line: String,
    /// Every message of the source with an earlier event time is archived, as of `asOf`; `null`: nothing is proven.
    proven_to: Option<Timestamp>,
    /// The same of windows in which no document becomes visible any more.
    final_to: Option<Timestamp>,
    /// When the oldest of the verifications that prove it began.
    as_of: Option<Timestamp>,
    /// Hours of event time that are archived and proven; empty ones aren't counted.
    hours_archived: u64,
    /// Hours of event time that wait for their export or their verification.
    hours_waiting: u64,
    /// Hours of event time whose verification fails.
    hours_failing: u64,
    /// Ranges between windows that were never harvested: the first 100.
    gaps: Vec<ShownRange>,
    /// Windows whose verification fails: the first 100.
    failing: Vec<ShownFailing>,
}

/// A window whose verification fails.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ShownFailing {
    /// Its number.
    window: u64,
    #[serde(flatten)]
    range: ShownRange,
    /// When the verification began that found something missing or wrong; `null`: none came to its end.
    as_of: Option<Timestamp>,
}

/// Whether the source can be deleted.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Proof {
    /// Whether all that the source holds is archived, and can't have changed since that was verified. Only then delete its
    /// indices, and delete them whole.
    safe_to_delete: bool,
    /// The event time that was asked about.
    before: Option<Timestamp>,
    #[serde(flatten)]
    proof: ShownProof,
    /// Documents of the source outside every window before `before`: without an event time, earlier or later. They are lost
    /// with their indices. `null`: nothing is proven, so they weren't counted.
    outside: Option<u64>,
    /// Documents of the source that GRANARY_SOURCE_FILTER leaves out. They are lost with their indices.
    filtered_out: u64,
    /// Exceptions that an operator accepted: so many messages of a kind in an index may be missing.
    accepted_exceptions: Vec<AcceptedHere>,
    /// Indices that the source's name matches and that aren't read: closed, hidden or blocked, or unfit by their mapping. The
    /// first 10.
    unread: Vec<String>,
    /// Indices that take writes: the first 10. The proof holds as of `asOf` for these, and says nothing about now.
    writable: Vec<String>,
    /// Settings of the source and of the archive that were changed, the newest first: the last 20. What was harvested before a
    /// change was harvested with the value before it.
    setting_changes: Vec<SettingChangeOnRecord>,
    /// What to do until `safeToDelete` is true, in this order. Empty where it is.
    todo: Vec<String>,
}

/// A setting that was changed.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SettingChangeOnRecord {
    /// The setting: `index`, `filter`, `metadata_sources`, `elasticsearch_url`, or one that was adopted.
    #[schema(examples("index"))]
    setting: String,
    /// What it was; empty: it wasn't set.
    #[schema(examples("messages-2026"))]
    before: String,
    /// What it has been since.
    #[schema(examples("messages-*"))]
    after: String,
    /// When a harvester first had it, or when it was adopted.
    changed_at: Timestamp,
}

/// An accepted exception.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AcceptedHere {
    /// What kind of exception.
    #[schema(examples("without_id"))]
    kind: &'static str,
    /// The concrete index.
    index: String,
    /// How many messages.
    max: u64,
}

/// Whether the source can be deleted
///
/// True only where every window before `before` is final, nothing lies outside, and no index could have changed since the
/// windows were verified.
#[utoipa::path(get, path = "/proof", params(ProofQuery))]
pub(crate) async fn look(
    State(services): State<Arc<Services>>,
    QueryFields(query): QueryFields,
) -> Result<Answer<Proof>, Problem> {
    let asked = read(&query)?;
    let ledger = services.ledger().await?;
    let (state, accepted, changes) = tokio::try_join!(
        ledger.proof_state(asked),
        ledger.accepted_exceptions(),
        ledger.changed_settings(CHANGES_MAX),
    )?;
    let before = asked.or(state.proven_to);
    let survey = services.source.surveyed().await?;
    let blocked = match services.source.write_blocked_state().await {
        Err(error) if error.is_platforms() => return Err(error.into()),
        blocked => blocked.map(|blocked| with_left_out(blocked, &survey)),
    };
    let range = state
        .begins
        .zip(before)
        .and_then(|(first, before)| TimeRange::new(first, before).ok());
    let outside = match range {
        Some(range) => Some(services.source.count_outside(range).await?.documents()),
        None => None,
    };
    let filtered_out = services.source.count_filtered_out().await?;
    let lost = Lost {
        outside: outside.unwrap_or(0),
        filtered_out,
        has_accepted: !accepted.is_empty(),
        filtered_aliases: filtered_aliases(&survey),
    };
    let todo = todo(&state, before, &lost, &blocked);
    let (writable, unread) = blocked
        .map(|blocked| (blocked.writable, blocked.unread))
        .unwrap_or_default();
    Ok(Answer::ok(Proof {
        safe_to_delete: todo.is_empty(),
        before,
        proof: shown(&state),
        outside,
        filtered_out,
        accepted_exceptions: accepted.into_iter().map(AcceptedHere::from).collect(),
        setting_changes: changes.into_iter().map(SettingChangeOnRecord::from).collect(),
        unread,
        writable,
        todo,
    }))
}

impl From<AcceptedException> for AcceptedHere {
    fn from(accepted: AcceptedException) -> Self {
        Self {
            kind: accepted.kind.as_str(),
            index: accepted.index,
            max: accepted.max,
        }
    }
}

impl From<ChangedSetting> for SettingChangeOnRecord {
    fn from(changed: ChangedSetting) -> Self {
        Self {
            setting: changed.name,
            before: changed.before,
            after: changed.after,
            changed_at: changed.changed_at,
        }
    }
}

/// The indices that a survey leaves out aren't read either.
fn with_left_out(mut blocked: WriteBlock, survey: &Survey) -> WriteBlock {
    blocked.unread.extend_from_slice(survey.left_out_names());
    blocked.unread.sort();
    blocked.unread.dedup();
    blocked.unread.truncate(UNREAD_MAX);
    blocked
}

/// What is not archived, and would be lost with its indices.
#[derive(Default)]
struct Lost {
    outside: u64,
    filtered_out: u64,
    has_accepted: bool,
    filtered_aliases: Vec<String>,
}

impl Lost {
    /// What to do about each, in this order.
    fn todo(&self) -> Vec<String> {
        let mut todo = Vec::new();
        if self.outside > 0 {
            todo.push(format!(
                "Archive or move the {} documents outside these windows first: they have no event time that can be read, or \
                 an earlier or a later one. They are lost with their indices.",
                self.outside
            ));
        }
        if self.filtered_out > 0 {
            todo.push(format!(
                "Move the {} documents that GRANARY_SOURCE_FILTER leaves out: they are lost with their indices.",
                self.filtered_out
            ));
        }
        if !self.filtered_aliases.is_empty() {
            todo.push(format!(
                "Name indices in place of the aliases with a filter or a routing: {}. What these leave out is not archived, and is \
                 lost with the indices.",
                self.filtered_aliases.join(", ")
            ));
        }
        if self.has_accepted {
            todo.push(
                "Correct or move the messages behind the accepted exceptions, then withdraw these (granary exceptions accept \
                 --max 0): such messages are not archived, and are lost with their indices."
                    .to_owned(),
            );
        }
        todo
    }
}

fn filtered_aliases(survey: &Survey) -> Vec<String> {
    let mut filtered = Vec::new();
    for problem in survey.problems() {
        if let SourceProblem::FilteredAlias { aliases } = problem {
            filtered.extend_from_slice(aliases);
        }
    }
    filtered
}

fn read(query: &Fields) -> Result<Option<Timestamp>, Problem> {
    query.only(&["before"])?;
    query.instant("before")
}

/// How far the archive is proven.
pub(crate) fn shown(state: &ProofState) -> ShownProof {
    let failing = |window: &FailingWindow| ShownFailing {
        window: window.id.0,
        range: window.range.into(),
        as_of: window.as_of,
    };
    ShownProof {
        line: line(state),
        proven_to: state.proven_to,
        final_to: state.final_to,
        as_of: state.as_of,
        hours_archived: state.hours_proven,
        hours_waiting: state.hours_waiting,
        hours_failing: state.hours_failing,
        gaps: state.gaps.iter().map(|gap| (*gap).into()).collect(),
        failing: state.failing.iter().map(failing).collect(),
    }
}

/// The sentence that API, command line and dashboard show.
fn line(state: &ProofState) -> String {
    let through = state.proven_to.map_or_else(
        || "Nothing is proven yet.".to_owned(),
        |to| format!("Proven complete through {to}."),
    );
    let hours = if state.hours_proven == 1 { "hour" } else { "hours" };
    let gaps = match state.gaps.len() {
        0 => String::new(),
        1 => " 1 gap was never harvested.".to_owned(),
        more => format!(" {more} gaps were never harvested."),
    };
    format!(
        "{through} {} {hours} archived, {} waiting, {} failing.{gaps}",
        state.hours_proven, state.hours_waiting, state.hours_failing
    )
}

/// Everything that keeps the source from being deleted, in the order in which a person mends it.
fn todo(
    state: &ProofState,
    before: Option<Timestamp>,
    lost: &Lost,
    blocked: &Result<WriteBlock, SourceError>,
) -> Vec<String> {
    let mut todo = Vec::new();
    if !state.failing.is_empty() {
        todo.push("Repair the failing windows: granary verify --from … --to … --repair.".to_owned());
    }
    if let Some(gap) = state.gaps.first() {
        todo.push(format!(
            "Harvest what no window covers: granary migrate start --from {} --to {}.",
            gap.from(),
            gap.to()
        ));
    }
    if before.is_none() || state.final_to < before {
        todo.push(
            "Wait until every window before then is final: verified once more after documents stop becoming visible \
             (GRANARY_RESCAN_DAYS)."
                .to_owned(),
        );
    }
    todo.extend(lost.todo());
    match blocked {
        Err(error) => todo.push(format!(
            "Let the user of GRANARY_ES_SECRET_ARN read settings and statistics of the source's indices, and refresh them (privileges \
             monitor and maintenance): \
             {error}."
        )),
        Ok(WriteBlock { unread, .. }) if !unread.is_empty() => todo.push(format!(
            "Repair the indices that aren't read (granary doctor says how), or narrow GRANARY_SOURCE_INDEX: {}.",
            unread.join(", ")
        )),
        Ok(WriteBlock {
            state: None, writable, ..
        }) => todo.push(format!(
            "Set index.blocks.write on {}, verify again, then delete the index.",
            if writable.is_empty() {
                "every index of the source".to_owned()
            } else {
                writable.join(", ")
            }
        )),
        Ok(WriteBlock { state: now, .. }) if *now != state.source_at => todo.push(
            "Verify again (granary verify): the source changed, or wasn't write-blocked, since some windows were verified."
                .to_owned(),
        ),
        Ok(WriteBlock { .. }) => {}
    }
    todo
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(gaps: usize) -> ProofState {
        let gap = TimeRange::new(
            "2026-03-01T10:00:00Z".parse().unwrap(),
            "2026-03-01T11:00:00Z".parse().unwrap(),
        )
        .unwrap();
        ProofState {
            begins: Some("2026-03-01T09:00:00Z".parse().unwrap()),
            proven_to: Some("2026-03-01T10:00:00Z".parse().unwrap()),
            final_to: Some("2026-03-01T10:00:00Z".parse().unwrap()),
            as_of: Some("2026-03-02T10:00:00Z".parse().unwrap()),
            hours_proven: 1,
            hours_waiting: 2,
            hours_failing: 0,
            gaps: vec![gap; gaps],
            failing: Vec::new(),
            source_at: Some("a".to_owned()),
        }
    }

    #[test]
    fn the_sentence_names_the_end_of_the_proof_and_what_is_open() {
        assert_eq!(
            line(&state(0)),
            "Proven complete through 2026-03-01T10:00:00Z. 1 hour archived, 2 waiting, 0 failing."
        );
        let nothing = ProofState {
            proven_to: None,
            hours_proven: 0,
            ..state(2)
        };
        assert_eq!(
            line(&nothing),
            "Nothing is proven yet. 0 hours archived, 2 waiting, 0 failing. 2 gaps were never harvested."
        );
    }

    #[test]
    fn nothing_is_safe_to_delete_unless_the_source_is_blocked_in_the_state_that_was_verified() {
        let before = Some("2026-03-01T10:00:00Z".parse().unwrap());
        let blocked = |state: Option<&str>| {
            Ok(WriteBlock {
                state: state.map(str::to_owned),
                ..WriteBlock::default()
            })
        };
        let lost = |outside| Lost {
            outside,
            ..Lost::default()
        };
        assert_eq!(todo(&state(0), before, &lost(0), &blocked(Some("a"))), [""; 0]);
        assert_eq!(todo(&state(0), before, &lost(0), &blocked(Some("b"))).len(), 1);
        assert_eq!(todo(&state(0), before, &lost(0), &blocked(None)).len(), 1);
        assert_eq!(todo(&state(1), before, &lost(3), &blocked(None)).len(), 3);
        let later = Some("2026-03-01T11:00:00Z".parse().unwrap());
        assert_eq!(todo(&state(0), later, &lost(0), &blocked(Some("a"))).len(), 1);
    }
}
