//! `/queue/workers`: attempts in flight by their lease, and how attempts ended since a moment that people may set.

use crate::services::{Done, Services};
use crate::web::answer::Answer;
use crate::web::caller::Caller;
use crate::web::change::{Change, ChangeBody};
use crate::web::fields::{BodyFields, QueryFields};
use crate::web::page::{Page, PageQuery};
use crate::web::problem::Problem;
use axum::Extension;
use axum::extract::State;
use granary_domain::BatchId;
use granary_ledger::reports::{AttemptCounter, AttemptInFlight};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use utoipa::ToSchema;

/// Who is at work.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WorkerStats {
    /// Attempts that are being made, by the numbers of their batches.
    workers: Vec<ShownWorker>,
    /// How many these are.
    count: usize,
    /// The `cursor` of the next page; `null`: there are no more.
    next_cursor: Option<String>,
    /// Attempts in all whose lease lasts.
    in_flight: u64,
    /// Attempts in all whose lease is over: their workers are dead.
    overdue: u64,
    /// How attempts ended since the counter was reset.
    counter: ShownCounter,
}

/// An attempt at exporting a batch that is being made.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ShownWorker {
    /// Who makes it: the ids of the exporter's request and of the message.
    worker: String,
    /// The batch's number.
    batch_id: u64,
    /// The how-manieth attempt it is, from 1 on.
    attempt: u32,
    /// Its number in the batch's log.
    fence: u32,
    /// Messages in the batch.
    messages: u32,
    /// When it began.
    since: Timestamp,
    /// Until when its worker need not be heard of.
    lease_until: Timestamp,
    /// Whether that is over: the worker is dead, and the reaper takes the batch back.
    is_overdue: bool,
}

/// How attempts ended since a moment: the last 24 hours where nobody reset the counter, and 30 days at most.
// The names of the outcomes are the ledger's.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct ShownCounter {
    /// The moment.
    since: Timestamp,
    /// Who set it: the name of a token; `null`: it was never set.
    #[serde(rename = "resetBy")]
    reset_by: Option<String>,
    /// Attempts that archived their batch.
    completed: u64,
    /// Attempts that failed.
    failed: u64,
    /// Attempts that were put off, since a service was away.
    deferred: u64,
    /// Attempts that gave their batch back unfinished, since their time was over.
    handed_back: u64,
    /// Attempts whose worker died.
    reaped: u64,
    /// Attempts whose batch was cancelled meanwhile.
    cancelled: u64,
    /// All of these.
    total: u64,
}

/// What became of the counter of attempts.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CounterReset {
    /// Whether it was only foretold: then nothing was reset.
    dry_run: bool,
    /// As it was before.
    before: ShownCounter,
    /// As it is afterwards; in a dry run, as it would be.
    counter: ShownCounter,
}

/// Who is at work, and how attempts ended
#[utoipa::path(get, path = "/queue/workers/stats", params(PageQuery))]
pub(crate) async fn stats(
    State(services): State<Arc<Services>>,
    QueryFields(query): QueryFields,
) -> Result<Answer<WorkerStats>, Problem> {
    query.only(&["limit", "cursor"])?;
    let page = Page::read(&query)?;
    let after = BatchId(query.number("cursor", 0..=u64::MAX)?.unwrap_or(0));
    let ledger = services.ledger().await?;
    let mut workers = ledger.attempts_in_flight(after, page.rows_to_read()).await?;
    let next = page.cut(&mut workers).map(|last| last.batch_id.to_string());
    let in_flight = ledger.in_flight().await?;
    let counter = ledger.attempt_counter().await?;
    Ok(Answer::ok(WorkerStats {
        count: workers.len(),
        workers: workers.into_iter().map(ShownWorker::from).collect(),
        next_cursor: next,
        in_flight: in_flight.in_flight,
        overdue: in_flight.overdue,
        counter: ShownCounter::of(&counter),
    }))
}

/// Count attempts anew
///
/// Nothing is forgotten: the counter counts from now on.
#[utoipa::path(post, path = "/queue/workers/reset-counter", request_body = ChangeBody)]
pub(crate) async fn reset_counter(
    State(services): State<Arc<Services>>,
    Extension(caller): Extension<Caller>,
    BodyFields(fields): BodyFields,
) -> Result<Answer<CounterReset>, Problem> {
    fields.only(&["dryRun", "reason"])?;
    let change = Change::read(&fields)?;
    let ledger = services.ledger().await?;
    let before = ShownCounter::of(&ledger.attempt_counter().await?);
    let foretold = ShownCounter::of(&AttemptCounter {
        since: ledger.now().await?,
        reset_by: Some(caller.to_string()),
        outcomes: BTreeMap::new(),
    });
    let counter = if change.is_dry_run {
        foretold
    } else {
        services
            .record(Done {
                by: caller.clone(),
                action: "workers.reset_counter",
                arguments: change.with_reason(json!({})),
                effect: json!({ "before": before, "after": foretold }),
            })
            .await?;
        ledger.reset_attempt_counter(caller.name()).await?;
        ShownCounter::of(&ledger.attempt_counter().await?)
    };
    Ok(Answer::ok(CounterReset {
        dry_run: change.is_dry_run,
        before,
        counter,
    }))
}

impl ShownCounter {
    /// Every outcome is there, also one that no attempt had.
    fn of(counter: &AttemptCounter) -> Self {
        let ended = |outcome: &str| counter.outcomes.get(outcome).copied().unwrap_or(0);
        Self {
            since: counter.since,
            reset_by: counter.reset_by.clone(),
            completed: ended("completed"),
            failed: ended("failed"),
            deferred: ended("deferred"),
            handed_back: ended("handed_back"),
            reaped: ended("reaped"),
            cancelled: ended("cancelled"),
            total: counter.outcomes.values().sum(),
        }
    }
}

impl From<AttemptInFlight> for ShownWorker {
    fn from(attempt: AttemptInFlight) -> Self {
        Self {
            worker: attempt.worker,
            batch_id: attempt.batch_id.0,
            attempt: attempt.attempt,
            fence: attempt.fence.0,
            messages: attempt.messages,
            since: attempt.since,
            lease_until: attempt.lease_until,
            is_overdue: attempt.is_overdue,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_that_no_attempt_had_is_a_zero_and_not_absent() {
        let counter = AttemptCounter {
            since: "2026-11-22T06:00:00Z".parse().unwrap(),
            reset_by: None,
            outcomes: BTreeMap::from([("completed".to_owned(), 7), ("reaped".to_owned(), 1)]),
        };
        let shown = ShownCounter::of(&counter);
        assert_eq!((shown.total, shown.completed), (8, 7));
        assert_eq!((shown.failed, shown.reset_by), (0, None));
    }
}
