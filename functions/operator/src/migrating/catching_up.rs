//! Doing now what the next tick would do: `POST /migrate/complete-processing`, `/process-all`, `/fix-stuck-jobs`.
//!
//! The reaper's own steps, in rounds (`round.rs`); what a request leaves, the reaper does at its next tick, within a
//! minute. Each may be repeated at any point, beside a tick as well: what was done already is found done.
//!
//! Where SQS takes nothing, what was to be sent stays unsent, and the answer says so.

use crate::migrating::cancelling::release;
use crate::migrating::progress_shown::Released;
use crate::migrating::round::{BATCH_SIZE, Round, RoundBody, retry, send, take_back};
use crate::services::{Done, Services};
use crate::web::answer::Answer;
use crate::web::caller::Caller;
use crate::web::change::{Change, ChangeBody};
use crate::web::fields::{BodyFields, Fields};
use crate::web::problem::Problem;
use axum::Extension;
use axum::extract::State;
use granary_domain::{BatchId, MigrationId, WindowId};
use granary_ledger::Ledger;
use granary_ledger::export::Retryable;
use granary_ledger::jobs::DueWork;
use serde::Serialize;
use serde_json::json;
use std::sync::Arc;
use utoipa::ToSchema;
use uuid::Uuid;

/// What an answer names.
const NAMED_MAX: u32 = 1_000;
const NOTHING_CHANGED: &str = "Nothing was changed.";
const NOTHING_LEFT: &str = "Nothing is left to do.";
const REAPER_GOES_ON: &str =
    "The reaper goes on with what is left at its next tick. Why something can't be sent is in its log.";
const WINDOWS_PER_REQUEST_MAX: u32 = 1_000;
/// Each takes some milliseconds to be completed.
const MIGRATIONS_PER_REQUEST_MAX: u32 = 50;

/// What became of batches in dead workers' hands.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TakenBack {
    /// Whether it was only foretold: then nothing was changed.
    dry_run: bool,
    /// Batches whose worker's lease is over.
    found: u64,
    /// Batches that were taken back: they failed, and are tried again where an attempt is left.
    taken_back: usize,
    /// Their numbers, or those of the ones that would be; at most 1,000.
    batches: Vec<u64>,
    /// Whether nothing is left to do.
    is_complete: bool,
    /// What that means, for people.
    message: &'static str,
}

/// What became of everything that was due.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ProcessedAll {
    /// Whether it was only foretold: then nothing was changed.
    dry_run: bool,
    /// What was due before.
    found: ShownDue,
    /// What is due afterwards; in a dry run, the same.
    left: ShownDue,
    /// Batches that were sent to their queues.
    sent: u64,
    /// Batches that were taken back from dead workers.
    taken_back: usize,
    /// Failed batches that were given another attempt.
    retried: u64,
    /// Whether nothing is due any more.
    is_complete: bool,
    /// What that means, for people.
    message: &'static str,
}

/// Batches for which something is due, and failed ones for which nothing is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ShownDue {
    /// Pending batches that are to be sent.
    unsent: u64,
    /// Batches that a dead worker holds.
    dead_workers: u64,
    /// Failed batches with an attempt left that is due.
    failed_due: u64,
    /// Failed batches with an attempt left that isn't due yet.
    failed_waiting: u64,
    /// Failed batches without an attempt left: a person has to send them again.
    parked: u64,
}

/// What became of what doesn't match the batches and windows that it stands for.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FixedStuckJobs {
    /// Whether it was only foretold: then nothing was changed.
    dry_run: bool,
    /// What was found.
    found: ShownStuck,
    /// Windows of dead harvesters that are open again.
    windows_handed_back: u64,
    /// Migrations that have nothing left to read, and say so now.
    drained: u64,
    /// Migrations that have nothing left to export, and are completed now.
    completed: usize,
    /// What was released of cancelled migrations.
    released: Released,
    /// Whether nothing is left to do.
    is_complete: bool,
    /// What that means, for people.
    message: &'static str,
}

/// What doesn't match the batches and windows that it stands for.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ShownStuck {
    /// The numbers of windows whose harvester's lease is over, at most 1,000.
    windows: Vec<u64>,
    /// Open migrations that have nothing left to read, at most 1,000.
    to_drain: Vec<Uuid>,
    /// Draining migrations that have nothing left to export, at most 50.
    to_complete: Vec<Uuid>,
    /// Batches of cancelled migrations that are to be released.
    batches_to_release: u64,
}

/// Take back what dead workers hold
///
/// Batches whose lease is over, by the database's clock: `batchSize` of them at most, those first that are over for the
/// longest time. The reaper does it at each tick.
#[utoipa::path(post, path = "/migrate/complete-processing", request_body = RoundBody)]
pub(crate) async fn complete_processing(
    State(services): State<Arc<Services>>,
    Extension(caller): Extension<Caller>,
    BodyFields(fields): BodyFields,
) -> Result<Answer<TakenBack>, Problem> {
    fields.only(&[BATCH_SIZE, "dryRun", "reason"])?;
    let (change, round) = (Change::read(&fields)?, Round::read(&fields)?);
    let ledger = services.ledger().await?;
    let found = ledger.due_work().await?.dead_workers;
    if change.is_dry_run {
        let batches = ledger.dead_batches(NAMED_MAX).await?;
        return Ok(Answer::ok(TakenBack {
            dry_run: true,
            found,
            taken_back: 0,
            batches: numbers(&batches),
            is_complete: found == 0,
            message: NOTHING_CHANGED,
        }));
    }
    let (action, arguments) = ("migrate.complete_processing", arguments_of(&change, &fields));
    services
        .record_begun(&caller, action, &arguments, &json!({ "deadWorkers": found }))
        .await?;
    let batches = take_back(&services, round).await?;
    let is_complete = ledger.due_work().await?.dead_workers == 0;
    services
        .record(Done {
            by: caller.clone(),
            action,
            arguments,
            effect: json!({
                "before": { "deadWorkers": found }, "after": { "takenBack": batches.len() }, "batches": numbers(&batches),
            }),
        })
        .await?;
    Ok(Answer::ok(TakenBack {
        dry_run: false,
        found,
        taken_back: batches.len(),
        batches: numbers(&batches),
        is_complete,
        message: if is_complete { NOTHING_LEFT } else { REAPER_GOES_ON },
    }))
}

/// Do everything that is due now
///
/// Sends what is pending, takes back what dead workers hold, retries what failed and is due, and sends that too. With
/// `batchSize` it does so to that many batches of each at most. The reaper does it at each tick.
#[utoipa::path(post, path = "/migrate/process-all", request_body = RoundBody)]
pub(crate) async fn process_all(
    State(services): State<Arc<Services>>,
    Extension(caller): Extension<Caller>,
    BodyFields(fields): BodyFields,
) -> Result<Answer<ProcessedAll>, Problem> {
    fields.only(&[BATCH_SIZE, "dryRun", "reason"])?;
    let (change, round) = (Change::read(&fields)?, Round::read(&fields)?);
    let ledger = services.ledger().await?;
    let found = ledger.due_work().await?;
    if change.is_dry_run {
        return Ok(Answer::ok(ProcessedAll {
            dry_run: true,
            found: found.into(),
            left: found.into(),
            sent: 0,
            taken_back: 0,
            retried: 0,
            is_complete: is_nothing_due(&found),
            message: NOTHING_CHANGED,
        }));
    }
    let (action, arguments) = ("migrate.process_all", arguments_of(&change, &fields));
    services.record_begun(&caller, action, &arguments, &found).await?;
    let mut sent = send(&services, round).await?;
    let taken_back = take_back(&services, round).await?;
    let retried = retry(&services, Retryable::Due, round).await?;
    sent += send(&services, round.after(sent)).await?;
    let left = ledger.due_work().await?;
    services
        .record(Done {
            by: caller.clone(),
            action,
            arguments,
            effect: json!({
                "before": found, "after": left, "sent": sent, "takenBack": taken_back.len(), "retried": retried,
            }),
        })
        .await?;
    let is_complete = is_nothing_due(&left);
    Ok(Answer::ok(ProcessedAll {
        dry_run: false,
        found: found.into(),
        left: left.into(),
        sent,
        taken_back: taken_back.len(),
        retried,
        is_complete,
        message: if is_complete { NOTHING_LEFT } else { REAPER_GOES_ON },
    }))
}

impl From<DueWork> for ShownDue {
    fn from(due: DueWork) -> Self {
        Self {
            unsent: due.unsent,
            dead_workers: due.dead_workers,
            failed_due: due.failed_due,
            failed_waiting: due.failed_waiting,
            parked: due.parked,
        }
    }
}

/// What doesn't match the batches and windows that it stands for.
struct Stuck {
    windows: Vec<WindowId>,
    harvested: Vec<MigrationId>,
    drained: Vec<MigrationId>,
    batches_to_release: u64,
}

impl Stuck {
    async fn find(ledger: &Ledger) -> Result<Self, Problem> {
        Ok(Self {
            windows: ledger.windows_of_dead_harvesters(WINDOWS_PER_REQUEST_MAX).await?,
            harvested: ledger.harvested_migrations().await?,
            drained: ledger.drained(MIGRATIONS_PER_REQUEST_MAX).await?,
            batches_to_release: ledger.batches_to_release().await?,
        })
    }

    fn is_empty(&self) -> bool {
        self.windows.is_empty()
            && self.harvested.is_empty()
            && self.drained.is_empty()
            && self.batches_to_release == 0
    }

    fn shown(&self) -> ShownStuck {
        let uuids = |migrations: &[MigrationId]| migrations.iter().map(|migration| migration.0).collect();
        ShownStuck {
            windows: self.windows.iter().map(|window| window.0).collect(),
            to_drain: uuids(&self.harvested),
            to_complete: uuids(&self.drained),
            batches_to_release: self.batches_to_release,
        }
    }
}

/// Close what is stuck
///
/// Hands back the windows of dead harvesters, closes migrations that have nothing left, and releases what cancelled ones
/// still hold. The ticks do it too.
#[utoipa::path(post, path = "/migrate/fix-stuck-jobs", request_body = ChangeBody)]
pub(crate) async fn fix_stuck_jobs(
    State(services): State<Arc<Services>>,
    Extension(caller): Extension<Caller>,
    BodyFields(fields): BodyFields,
) -> Result<Answer<FixedStuckJobs>, Problem> {
    fields.only(&["dryRun", "reason"])?;
    let change = Change::read(&fields)?;
    let ledger = services.ledger().await?;
    let until = Round::until_nothing_is_left().until();
    let stuck = Stuck::find(ledger).await?;
    if change.is_dry_run {
        return Ok(Answer::ok(FixedStuckJobs {
            dry_run: true,
            found: stuck.shown(),
            windows_handed_back: 0,
            drained: 0,
            completed: 0,
            released: Released::default(),
            is_complete: stuck.is_empty(),
            message: NOTHING_CHANGED,
        }));
    }
    let (action, arguments) = ("migrate.fix_stuck_jobs", change.with_reason(json!({})));
    services
        .record_begun(&caller, action, &arguments, &stuck.shown())
        .await?;
    let windows_handed_back = ledger.hand_back_windows(&stuck.windows).await?;
    let drained = ledger.drain_harvested_migrations().await?;
    let completed = ledger.complete_drained(MIGRATIONS_PER_REQUEST_MAX).await?;
    let (released, _) = release(ledger, until).await?;
    let left = Stuck::find(ledger).await?;
    services
        .record(Done {
            by: caller.clone(),
            action,
            arguments,
            effect: json!({ "before": stuck.shown(), "after": left.shown() }),
        })
        .await?;
    Ok(Answer::ok(FixedStuckJobs {
        dry_run: false,
        found: stuck.shown(),
        windows_handed_back,
        drained,
        completed: completed.len(),
        released: released.into(),
        is_complete: left.is_empty(),
        message: if left.is_empty() {
            NOTHING_LEFT
        } else {
            REAPER_GOES_ON
        },
    }))
}

/// What the audit says of a round.
fn arguments_of(change: &Change, fields: &Fields) -> serde_json::Value {
    let batch_size = fields.value(BATCH_SIZE);
    change.with_reason(batch_size.map_or_else(|| json!({}), |size| json!({ BATCH_SIZE: size })))
}

/// Failed batches that wait, and parked ones, aren't due.
fn is_nothing_due(due: &DueWork) -> bool {
    due.unsent + due.dead_workers + due.failed_due == 0
}

/// As many as an answer names.
pub(crate) fn numbers(batches: &[BatchId]) -> Vec<u64> {
    batches
        .iter()
        .take(NAMED_MAX as usize)
        .map(|batch| batch.0)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_or_is_parked_is_not_due() {
        let waiting = DueWork {
            failed_waiting: 3,
            parked: 2,
            ..DueWork::default()
        };
        assert!(is_nothing_due(&waiting));
        for due in [
            DueWork { unsent: 1, ..waiting },
            DueWork {
                dead_workers: 1,
                ..waiting
            },
            DueWork {
                failed_due: 1,
                ..waiting
            },
        ] {
            assert!(!is_nothing_due(&due), "{due:?}");
        }
    }
}
