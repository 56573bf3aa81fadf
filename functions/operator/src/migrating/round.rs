//! How much one request does of what is due: rounds until nothing is left or its time is over, or one round of `batchSize`
//! batches.
//!
//! The steps are the reaper's own, by the ledger's own functions, and each may be repeated at any point, beside a tick as
//! well. What a request leaves, the reaper does at its next tick, within a minute. Where SQS takes nothing, what was to be
//! sent stays unsent.

use crate::config::BATCH_SIZE_MAX;
use crate::services::Services;
use crate::web::fields::Fields;
use crate::web::problem::Problem;
use granary_domain::BatchId;
use granary_handoff::send_some;
use granary_ledger::export::{AtMost, Retryable};
use std::time::{Duration, Instant};
use utoipa::ToSchema;

/// How long a request does rounds. A step that has begun goes on to its end.
const WORK_SECS_MAX: u64 = 6;
pub(crate) const BATCH_SIZE: &str = "batchSize";

/// How a round is asked for.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(
    dead_code,
    reason = "what `Round::read` and `Change::read` take, for the document"
)]
pub(crate) struct RoundBody {
    /// Batches that one round sends, takes back or retries at most, each. The request does one round then, and the
    /// reaper does the rest within a minute. Left out: rounds until nothing is left or 6 seconds are over.
    #[schema(minimum = 1, maximum = 10_000, examples(100))]
    batch_size: Option<u32>,
    #[serde(flatten)]
    change: crate::web::change::ChangeBody,
}

/// What is left of a request's rounds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Round {
    until: Instant,
    batches_max: u32,
}

impl Round {
    /// One round of `batchSize`, where a body has it.
    pub(crate) fn read(fields: &Fields) -> Result<Self, Problem> {
        Ok(Self {
            batches_max: batch_size(fields)?.unwrap_or(u32::MAX),
            ..Self::until_nothing_is_left()
        })
    }

    /// Rounds until nothing is left or the time is over.
    pub(crate) fn until_nothing_is_left() -> Self {
        Self {
            until: Instant::now() + Duration::from_secs(WORK_SECS_MAX),
            batches_max: u32::MAX,
        }
    }

    /// When the time is over.
    pub(crate) fn until(&self) -> Instant {
        self.until
    }

    /// The same round after so many batches.
    pub(crate) fn after(self, batches: u64) -> Self {
        let done = u32::try_from(batches).unwrap_or(u32::MAX);
        Self {
            batches_max: self.batches_max.saturating_sub(done),
            ..self
        }
    }

    fn is_over(&self) -> bool {
        self.batches_max == 0 || Instant::now() >= self.until
    }
}

/// The `batchSize` that bounds a round.
pub(crate) fn batch_size(fields: &Fields) -> Result<Option<u32>, Problem> {
    fields.number(BATCH_SIZE, 1..=BATCH_SIZE_MAX)
}

/// Sends what is pending, due and not sent. Says how many batches.
pub(crate) async fn send(services: &Services, round: Round) -> Result<u64, Problem> {
    let ledger = services.ledger().await?;
    let sending = send_some(ledger, &services.handoff, round.until, round.batches_max).await?;
    Ok(sending.sent)
}

/// Takes back what dead workers hold. Says which batches.
pub(crate) async fn take_back(services: &Services, mut round: Round) -> Result<Vec<BatchId>, Problem> {
    let ledger = services.ledger().await?;
    let retry = services.config.retry.tuned(&ledger.tuning().await?);
    let mut batches = Vec::new();
    while !round.is_over() {
        let at_most = AtMost(round.batches_max);
        let reaped = ledger
            .reap_some(retry.backoff, retry.attempts_max, at_most)
            .await?;
        if reaped.batches.is_empty() {
            break;
        }
        round = round.after(reaped.batches.len() as u64);
        batches.extend(reaped.batches);
    }
    Ok(batches)
}

/// Gives failed batches another attempt, which they have left. Says how many.
pub(crate) async fn retry(services: &Services, which: Retryable, mut round: Round) -> Result<u64, Problem> {
    let ledger = services.ledger().await?;
    let mut total = 0;
    while !round.is_over() {
        let retried = ledger.retry_some(which, AtMost(round.batches_max)).await?;
        if retried == 0 {
            break;
        }
        round = round.after(retried);
        total += retried;
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Round, Problem> {
        Round::read(&Fields::of_json(json.as_bytes()).unwrap())
    }

    #[test]
    fn a_batch_size_bounds_a_round_and_without_one_nothing_but_time_does() {
        let round = read(r#"{"batchSize":"3"}"#).unwrap();
        assert_eq!(round.batches_max, 3);
        assert!(!round.after(2).is_over() && round.after(3).is_over() && round.after(9).is_over());
        assert_eq!(read("").unwrap().batches_max, u32::MAX);
        for json in [r#"{"batchSize":0}"#, r#"{"batchSize":10001}"#] {
            assert_eq!(read(json).unwrap_err().field(), Some(BATCH_SIZE), "{json}");
        }
    }
}
