//! `POST /migrate/reset-pending` without a body: batches that failed, are parked or are stuck become pending.
//!
//! What dead workers hold is taken back first, then failed batches are retried before their delay is over, and parked ones
//! get all their attempts again. Completed and cancelled batches are never touched, and neither is one whose worker holds
//! its lease. Asking twice is asking once; the reaper sends what is pending at its next tick.

use crate::migrating::catching_up::numbers;
use crate::migrating::retrying::{BATCHES_PER_REQUEST_MAX, all_parked};
use crate::migrating::round::{self, Round, take_back};
use crate::services::{Done, Services};
use crate::web::caller::Caller;
use crate::web::change::Change;
use crate::web::problem::Problem;
use granary_domain::BatchId;
use granary_ledger::Ledger;
use granary_ledger::export::Retryable;
use granary_ledger::jobs::DueWork;
use serde::Serialize;
use serde_json::json;
use std::time::Instant;
use utoipa::ToSchema;

const ACTION: &str = "migrate.reset_failed";

/// What became of batches that failed, were parked or were stuck.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BatchesReset {
    /// `true` for a dry run: nothing was changed.
    dry_run: bool,
    /// Batches that were found.
    found: ShownReset,
    /// Batches that a dead worker held and that are pending now, or parked before that.
    taken_back: usize,
    /// Failed batches with an attempt left that are pending now.
    retried: u64,
    /// Parked batches that are pending now, with all their attempts.
    unparked: u64,
    /// The numbers of those that were parked, or of those that would be unparked; at most 1,000.
    batches: Vec<u64>,
    /// Whether nothing failed, parked or stuck is left. Where not, ask again.
    is_complete: bool,
    /// What that means, for people.
    message: &'static str,
}

/// Batches that can become pending.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ShownReset {
    /// Held by a worker whose lease is over.
    stuck: u64,
    /// Failed, with an attempt left.
    failed: u64,
    /// Failed, without an attempt left.
    parked: u64,
}

impl ShownReset {
    fn is_empty(self) -> bool {
        self.stuck + self.failed + self.parked == 0
    }
}

impl From<DueWork> for ShownReset {
    fn from(due: DueWork) -> Self {
        Self {
            stuck: due.dead_workers,
            failed: due.failed_due + due.failed_waiting,
            parked: due.parked,
        }
    }
}

/// Makes them pending, or says which would be.
pub(crate) async fn reset(
    services: &Services,
    caller: &Caller,
    change: &Change,
) -> Result<BatchesReset, Problem> {
    let ledger = services.ledger().await?;
    let found = ShownReset::from(ledger.due_work().await?);
    if change.is_dry_run {
        return Ok(BatchesReset {
            dry_run: true,
            found,
            taken_back: 0,
            retried: 0,
            unparked: 0,
            batches: numbers(&parked_batches(ledger).await?),
            is_complete: found.is_empty(),
            message: "Nothing was changed.",
        });
    }
    let arguments = change.with_reason(json!({}));
    services.record_begun(caller, ACTION, &arguments, &found).await?;
    let round = Round::until_nothing_is_left();
    let taken_back = take_back(services, round).await?.len();
    let retried = round::retry(services, Retryable::All, round).await?;
    let (batches, unparked) = unpark(ledger, round.until()).await?;
    let left = ShownReset::from(ledger.due_work().await?);
    services
        .record(Done {
            by: caller.clone(),
            action: ACTION,
            arguments,
            effect: json!({
                "before": found, "after": left, "takenBack": taken_back, "retried": retried, "unparked": unparked,
                "batches": numbers(&batches),
            }),
        })
        .await?;
    Ok(BatchesReset {
        dry_run: false,
        found,
        taken_back,
        retried,
        unparked,
        batches: numbers(&batches),
        is_complete: left.is_empty(),
        message: "These batches are pending; the reaper sends them within a minute.",
    })
}

async fn parked_batches(ledger: &Ledger) -> Result<Vec<BatchId>, Problem> {
    Ok(ledger
        .batch_numbers(&all_parked(), BatchId(0), BATCHES_PER_REQUEST_MAX)
        .await?)
}

/// Gives parked batches all their attempts again. Says which, and how many were still parked then.
async fn unpark(ledger: &Ledger, until: Instant) -> Result<(Vec<BatchId>, u64), Problem> {
    let (mut batches, mut unparked) = (Vec::new(), 0);
    while Instant::now() < until {
        let parked = parked_batches(ledger).await?;
        if parked.is_empty() {
            break;
        }
        unparked += ledger.unpark(&parked).await?;
        batches.extend(parked);
    }
    Ok((batches, unparked))
}
