//! `GET /failures`: what went wrong, by cause, with samples and what to do about it.
//!
//! A cause has batches that failed (parked ones wait for people, others are tried again), batches that the platform broke
//! off (tried again without end), ranges whose ids can't be read, or messages that are in no object. What to do is what the
//! alerts say. Nothing is changed here: `POST /migrate/retry-failed` takes a cause, `missing` and `quarantined` included.

use crate::migrating::status_name::name_of;
use crate::services::Services;
use crate::web::answer::Answer;
use crate::web::fields::QueryFields;
use crate::web::problem::Problem;
use axum::extract::State;
use granary_domain::{Cause, Fault, Outcome};
use granary_ledger::export::Deferral;
use granary_ledger::reports::{Counted, ExceptionGroup, ExceptionSample, FailedGroup, FailureSample};
use granary_ledger::{Ledger, LedgerError};
use jiff::Timestamp;
use serde::Serialize;
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

const SAMPLES_PER_CAUSE: u32 = 5;
const MESSAGES_PER_OUTCOME: u32 = 10;
/// The ledger's column for causes holds no more.
const CAUSE_BYTES_MAX: usize = 32;

/// Which failures.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "what `list` reads, for the document")]
pub(crate) struct FailureQuery {
    /// Only what is wrong for this cause.
    #[param(max_length = 32, example = "spool")]
    cause: Option<String>,
}

/// What is wrong now.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FailureList {
    /// One for each cause, what waits for people first, then the newest.
    failures: Vec<ShownFailure>,
    /// All causes together, whichever was asked for.
    totals: FailureTotals,
}

/// What is wrong for one cause.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ShownFailure {
    /// The cause, or what became of messages: `missing`, `quarantined`. `POST /migrate/retry-failed` takes a cause.
    #[schema(examples("spool"))]
    cause: String,
    /// Whose fault it is.
    kind: FailureKind,
    /// Batches that it is about.
    batches: u64,
    /// Messages that it is about.
    messages: u64,
    /// Windows whose ids can't be read, and migrations whose next window can't be opened.
    windows: u64,
    /// Without an attempt left: these wait for people.
    parked: ShownCount,
    /// Failed, and tried again by themselves.
    retrying: ShownCount,
    /// Broken off by the platform: tried again by themselves, no attempt is used up.
    deferred: ShownCount,
    /// When the oldest of all that began.
    first_seen: Timestamp,
    /// When the newest of it did.
    last_seen: Timestamp,
    /// When the first of them is tried again; it may be past. `null`: nothing is, by itself.
    next_try: Option<Timestamp>,
    /// The newest batches, 5 at most.
    samples: Vec<FailedBatch>,
    /// The newest messages that are in no object, 10 at most.
    message_samples: Vec<ExceptedMessage>,
    /// Whether something waits that nobody but people can send on.
    needs_people: bool,
    /// What people can do about it.
    remedy: &'static str,
}

/// Whose fault it is, and so who does something about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum FailureKind {
    /// A batch's own: its attempts count.
    Failure,
    /// The platform's: its attempts don't.
    Deferral,
    /// A message's: its batch is completed without it.
    Exception,
}

/// Batches, and the messages in them.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ShownCount {
    /// Batches.
    batches: u64,
    /// Messages in them.
    messages: u64,
}

/// A batch that failed, or was deferred.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FailedBatch {
    /// Its number.
    batch: u64,
    /// The path under which it is told in full.
    batch_url: String,
    /// Where it stands: `pending`, `processing` or `failed`.
    #[schema(examples("failed"))]
    status: &'static str,
    /// Whether no attempt is left.
    parked: bool,
    /// Attempts begun since it last became fresh.
    attempts: u32,
    /// Messages in it.
    messages: u32,
    /// The first instant of the hour of all its messages.
    hour: Timestamp,
    /// What its newest attempt met, for people.
    error: Option<String>,
    /// When that attempt began.
    seen_at: Timestamp,
}

/// A message that is in no object.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ExceptedMessage {
    /// Its id; `GET /messages/{id}/trace` tells its life.
    message_id: String,
    /// The number of the batch that owns it.
    batch: u64,
    /// Its event time.
    event_time: Timestamp,
    /// Why it isn't in the object. Never its contents.
    reason: String,
}

/// What is wrong, counted.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FailureTotals {
    /// Batches without an attempt left.
    parked_batches: u64,
    /// Batches that failed and are tried again by themselves.
    retrying_batches: u64,
    /// Batches that the platform broke off.
    deferred_batches: u64,
    /// Messages that were gone at the source.
    missing_messages: u64,
    /// Messages that can't be exported.
    quarantined_messages: u64,
}

/// Everything that is wrong now, by cause, and what to do about it
///
/// What waits for people comes first.
#[utoipa::path(get, path = "/failures", params(FailureQuery))]
pub(crate) async fn list(
    State(services): State<Arc<Services>>,
    QueryFields(query): QueryFields,
) -> Result<Answer<FailureList>, Problem> {
    query.only(&["cause"])?;
    let wanted = query.text("cause")?;
    if let Some(cause) = wanted.filter(|cause| cause.len() > CAUSE_BYTES_MAX) {
        let detail = format!("`cause` is {cause:?}; GET /failures lists the causes that there are.");
        return Err(Problem::invalid("cause", detail));
    }
    let found = Found::look(services.ledger().await?).await?;
    let mut groups = found.groups();
    groups.retain(|group| wanted.is_none_or(|cause| cause == group.cause));
    groups.sort_by_key(|group| (!group.needs_people(), std::cmp::Reverse(group.last_seen)));
    Ok(Answer::ok(FailureList {
        failures: groups.iter().map(|group| group.shown(&found)).collect(),
        totals: found.totals(),
    }))
}

/// What the ledger says is wrong.
struct Found {
    failed: Vec<FailedGroup>,
    deferred: Vec<Deferral>,
    samples: Vec<FailureSample>,
    exceptions: Vec<ExceptionGroup>,
    quarantined: Vec<ExceptionSample>,
    missing: Vec<ExceptionSample>,
}

impl Found {
    async fn look(ledger: &Ledger) -> Result<Self, LedgerError> {
        let (failed, deferred, samples, exceptions, quarantined, missing) = tokio::try_join!(
            ledger.failed_by_cause(),
            ledger.deferrals(),
            ledger.failure_samples(SAMPLES_PER_CAUSE),
            ledger.exceptions(),
            ledger.exception_samples(Outcome::Quarantined, MESSAGES_PER_OUTCOME),
            ledger.exception_samples(Outcome::Missing, MESSAGES_PER_OUTCOME),
        )?;
        Ok(Self {
            failed,
            deferred,
            samples,
            exceptions,
            quarantined,
            missing,
        })
    }

    /// One group for each cause, and one for each outcome that messages have.
    fn groups(&self) -> Vec<Group> {
        let mut groups: Vec<Group> = self.failed.iter().map(Group::of_failed).collect();
        for deferral in &self.deferred {
            let cause = deferral.cause.as_str();
            match groups.iter_mut().find(|group| group.cause == cause) {
                Some(group) => group.add(deferral),
                None => groups.push(Group::of_deferral(deferral)),
            }
        }
        let exceptions = self.exceptions.iter().filter(|group| group.messages > 0);
        groups.extend(exceptions.filter_map(Group::of_exceptions));
        groups
    }

    fn totals(&self) -> FailureTotals {
        let sum = |number: fn(&FailedGroup) -> u64| self.failed.iter().map(number).sum::<u64>();
        let messages = |outcome: Outcome| {
            let of_outcome = self.exceptions.iter().filter(|group| group.outcome == outcome);
            of_outcome.map(|group| group.messages).sum::<u64>()
        };
        FailureTotals {
            parked_batches: sum(|group| group.parked.batches),
            retrying_batches: sum(|group| group.retrying.batches),
            deferred_batches: self.deferred.iter().map(|deferral| deferral.batches).sum(),
            missing_messages: messages(Outcome::Missing),
            quarantined_messages: messages(Outcome::Quarantined),
        }
    }
}

/// Whose fault it is, and of an exception which one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Nature {
    Failure,
    Deferral,
    Exception(Outcome),
}

impl Nature {
    fn kind(self) -> FailureKind {
        match self {
            Self::Failure => FailureKind::Failure,
            Self::Deferral => FailureKind::Deferral,
            Self::Exception(_) => FailureKind::Exception,
        }
    }
}

/// What is wrong for one cause.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Group {
    cause: String,
    nature: Nature,
    parked: Counted,
    retrying: Counted,
    deferred: Counted,
    excepted: Counted,
    windows: u64,
    first_seen: Timestamp,
    last_seen: Timestamp,
    next_try: Option<Timestamp>,
}

impl Group {
    fn new(cause: &str, nature: Nature, (first_seen, last_seen): (Timestamp, Timestamp)) -> Self {
        Self {
            cause: cause.to_owned(),
            nature,
            parked: Counted::default(),
            retrying: Counted::default(),
            deferred: Counted::default(),
            excepted: Counted::default(),
            windows: 0,
            first_seen,
            last_seen,
            next_try: None,
        }
    }

    fn of_failed(failed: &FailedGroup) -> Self {
        let seen = (failed.first_seen, failed.last_seen);
        Self {
            parked: failed.parked,
            retrying: failed.retrying,
            next_try: failed.next_try,
            ..Self::new(&failed.cause, Nature::Failure, seen)
        }
    }

    fn of_deferral(deferral: &Deferral) -> Self {
        let cause = deferral.cause.as_str();
        let mut group = Self::new(cause, Nature::Deferral, (deferral.since, deferral.since));
        group.add(deferral);
        group
    }

    fn of_exceptions(exceptions: &ExceptionGroup) -> Option<Self> {
        let seen = exceptions.first_seen.zip(exceptions.last_seen)?;
        let nature = Nature::Exception(exceptions.outcome);
        Some(Self {
            excepted: Counted {
                batches: exceptions.batches,
                messages: exceptions.messages,
            },
            ..Self::new(exceptions.outcome.as_str(), nature, seen)
        })
    }

    fn add(&mut self, deferral: &Deferral) {
        self.deferred.batches += deferral.batches;
        self.deferred.messages += deferral.messages;
        self.windows += deferral.windows;
        self.first_seen = self.first_seen.min(deferral.since);
        self.last_seen = self.last_seen.max(deferral.since);
        self.next_try = self.next_try.into_iter().chain(deferral.next_try).min();
    }

    /// Whether something waits that nobody but people can send on.
    fn needs_people(&self) -> bool {
        match self.nature {
            Nature::Failure => self.parked.batches > 0,
            Nature::Deferral => {
                let cause = self.cause.parse::<Cause>();
                self.parked.batches > 0 || cause.is_ok_and(|cause| cause.fault() == Fault::Refusal)
            }
            Nature::Exception(outcome) => outcome == Outcome::Quarantined,
        }
    }

    fn remedy(&self) -> &'static str {
        match self.nature {
            Nature::Failure | Nature::Deferral => Cause::remedy_of(&self.cause),
            Nature::Exception(outcome) => outcome.remedy(),
        }
    }

    fn shown(&self, found: &Found) -> ShownFailure {
        let all = [self.parked, self.retrying, self.deferred, self.excepted];
        let batches: Vec<&FailureSample> = match self.nature {
            Nature::Failure | Nature::Deferral => {
                let of_cause = found.samples.iter().filter(|sample| sample.cause == self.cause);
                of_cause.take(SAMPLES_PER_CAUSE as usize).collect()
            }
            Nature::Exception(_) => Vec::new(),
        };
        let messages: &[ExceptionSample] = match self.nature {
            Nature::Exception(Outcome::Quarantined) => &found.quarantined,
            Nature::Exception(Outcome::Missing) => &found.missing,
            Nature::Failure | Nature::Deferral => &[],
        };
        let newest = batches.iter().map(|sample| sample.seen_at).max();
        ShownFailure {
            cause: self.cause.clone(),
            kind: self.nature.kind(),
            batches: all.iter().map(|counted| counted.batches).sum(),
            messages: all.iter().map(|counted| counted.messages).sum(),
            windows: self.windows,
            parked: self.parked.into(),
            retrying: self.retrying.into(),
            deferred: self.deferred.into(),
            first_seen: self.first_seen,
            last_seen: newest.map_or(self.last_seen, |newest| newest.max(self.last_seen)),
            next_try: self.next_try,
            samples: batches.into_iter().map(FailedBatch::from).collect(),
            message_samples: messages.iter().map(ExceptedMessage::from).collect(),
            needs_people: self.needs_people(),
            remedy: self.remedy(),
        }
    }
}

impl From<Counted> for ShownCount {
    fn from(counted: Counted) -> Self {
        Self {
            batches: counted.batches,
            messages: counted.messages,
        }
    }
}

impl From<&FailureSample> for FailedBatch {
    fn from(sample: &FailureSample) -> Self {
        Self {
            batch: sample.batch.0,
            batch_url: format!("/migrate/batch/{}", sample.batch),
            status: name_of(sample.status),
            parked: sample.is_parked,
            attempts: sample.attempts,
            messages: sample.messages,
            hour: sample.hour.start(),
            error: sample.error.clone(),
            seen_at: sample.seen_at,
        }
    }
}

impl From<&ExceptionSample> for ExceptedMessage {
    fn from(sample: &ExceptionSample) -> Self {
        Self {
            message_id: sample.message.to_string(),
            batch: sample.batch.0,
            event_time: sample.event_time,
            reason: sample.reason.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instant(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn failed(cause: &str, parked: u64, retrying: u64) -> FailedGroup {
        let counted = |batches| Counted {
            batches,
            messages: batches * 10,
        };
        FailedGroup {
            cause: cause.to_owned(),
            parked: counted(parked),
            retrying: counted(retrying),
            first_seen: instant("2026-11-22T10:00:00Z"),
            last_seen: instant("2026-11-22T11:00:00Z"),
            next_try: None,
        }
    }

    fn found(failed: Vec<FailedGroup>, deferred: Vec<Deferral>) -> Found {
        Found {
            failed,
            deferred,
            samples: Vec::new(),
            exceptions: vec![ExceptionGroup {
                outcome: Outcome::Quarantined,
                batches: 1,
                messages: 2,
                first_seen: Some(instant("2026-11-22T09:00:00Z")),
                last_seen: Some(instant("2026-11-22T09:00:00Z")),
            }],
            quarantined: Vec::new(),
            missing: Vec::new(),
        }
    }

    #[test]
    fn one_cause_is_one_group_whether_its_batches_failed_or_wait() {
        let deferral = Deferral {
            cause: Cause::Spool,
            batches: 3,
            messages: 30,
            windows: 1,
            since: instant("2026-11-22T09:30:00Z"),
            waited: std::time::Duration::ZERO,
            next_try: Some(instant("2026-11-22T12:00:00Z")),
            reason: "the disk is full".into(),
        };
        let found = found(vec![failed("spool", 1, 2)], vec![deferral]);
        let groups = found.groups();
        let shown: Vec<ShownFailure> = groups.iter().map(|group| group.shown(&found)).collect();
        assert_eq!(shown.len(), 2);
        assert_eq!((shown[0].batches, shown[0].messages), (6, 60));
        assert_eq!(shown[0].first_seen, instant("2026-11-22T09:30:00Z"));
        assert_eq!(shown[0].kind, FailureKind::Failure);
        assert_eq!(shown[0].remedy, Cause::Spool.remedy());
        assert_eq!((shown[1].cause.as_str(), shown[1].messages), ("quarantined", 2));
        assert_eq!(found.totals().deferred_batches, 3);
    }

    #[test]
    fn what_waits_for_people_is_told_from_what_goes_on_by_itself() {
        let found = found(
            vec![failed("spool", 1, 0), failed("archive_refused", 0, 1)],
            Vec::new(),
        );
        let needs: Vec<bool> = found.groups().iter().map(Group::needs_people).collect();
        assert_eq!(needs, [true, false, true]);
    }
}
