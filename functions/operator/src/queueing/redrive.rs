//! `POST /queue/retry-dlq`: what came to the dead-letter queues goes back to the queues that it came from.
//!
//! SQS does it by itself where it can, at the rate that is asked for. Elsewhere it is done here one by one, for some seconds:
//! then the answer says how much is left, and the next request goes on. Dying in between moves a message twice, which is
//! harmless, and never none.

use crate::queueing::queue_name::{DeadLetterQueue, QueueName};
use crate::services::{Done, Services};
use crate::web::answer::Answer;
use crate::web::caller::Caller;
use crate::web::change::{Change, ChangeBody};
use crate::web::fields::BodyFields;
use crate::web::problem::Problem;
use axum::Extension;
use axum::extract::State;
use granary_handoff::{Handoff, MoveStart, MoveTask};
use serde::Serialize;
use serde_json::{Value, json};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, Instant};
use utoipa::ToSchema;

/// Moving one by one goes on for so long while somebody waits.
const WORK_SECS_MAX: u64 = 6;
const PER_SECOND_DEFAULT: u32 = 100;
/// What SQS takes.
const PER_SECOND: RangeInclusive<u32> = 1..=500;

/// Which dead letters are to be moved.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "what `redrive` takes, for the document")]
pub(crate) struct RedriveBody {
    /// The queue that they are in; left out: both.
    queue: Option<DeadLetterQueue>,
    /// Messages that are moved in a second at most.
    #[schema(minimum = 1, maximum = 500, default = 100)]
    rate_per_second: Option<u32>,
    #[serde(flatten)]
    change: ChangeBody,
}

/// What became of dead letters.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeadLettersMoved {
    /// Whether it was only foretold: then nothing was moved.
    dry_run: bool,
    /// About how many messages the queues held.
    found: u64,
    /// How many are in the queues again that they came from; `null`: SQS moves and counts them by itself.
    moved: Option<u64>,
    /// Whether nothing is left. Where not, asking again goes on with it.
    is_complete: bool,
    /// Each dead-letter queue.
    queues: Vec<RedrivenQueue>,
    /// What that means, for people.
    message: &'static str,
}

/// What became of one dead-letter queue.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RedrivenQueue {
    /// Which.
    queue: QueueName,
    /// Where its messages go.
    to: QueueName,
    /// About how many it held.
    found: u64,
    /// How many of them were moved; `null`: SQS counts by itself.
    moved: Option<u64>,
    /// About how many it holds now; `null`: SQS is at it.
    left: Option<u64>,
    /// How they were moved; `null`: they weren't.
    method: Option<RedriveMethod>,
    /// How far SQS is; only where it moves them by itself.
    task: Option<ShownMoveTask>,
    /// Why the first of those that are left is, in SQS's words.
    failure: Option<String>,
}

/// How dead letters are moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) enum RedriveMethod {
    /// SQS does it by itself.
    #[serde(rename = "move task")]
    MoveTask,
    /// One by one, as long as somebody waits.
    #[serde(rename = "one by one")]
    OneByOne,
}

/// What SQS tells of moving by itself.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ShownMoveTask {
    /// SQS's word for how far it is.
    #[schema(examples("RUNNING"))]
    status: String,
    /// About how many were moved.
    moved: u64,
    /// About how many there were; `null`: it hasn't begun.
    to_move: Option<u64>,
    /// Why it failed.
    reason: Option<String>,
}

/// What became of one dead-letter queue.
struct Redriven {
    queue: QueueName,
    found: u64,
    outcome: Outcome,
}

enum Outcome {
    /// Nothing was moved: nothing was there, or it was only asked what would be.
    Nothing,
    /// SQS moves it.
    ByTask(Option<MoveTask>),
    OneByOne {
        moved: u64,
        left: u64,
        failure: Option<String>,
    },
}

/// Move dead letters back to the queues that they came from
///
/// SQS does it by itself where it can; elsewhere they are moved one by one for some seconds, and asking again goes on with it.
/// It is always safe: the ledger knows whether a batch is due.
#[utoipa::path(post, path = "/queue/retry-dlq", request_body = RedriveBody)]
pub(crate) async fn redrive(
    State(services): State<Arc<Services>>,
    Extension(caller): Extension<Caller>,
    BodyFields(fields): BodyFields,
) -> Result<Answer<DeadLettersMoved>, Problem> {
    fields.only(&["queue", "ratePerSecond", "dryRun", "reason"])?;
    let change = Change::read(&fields)?;
    let per_second = fields
        .number("ratePerSecond", PER_SECOND)?
        .unwrap_or(PER_SECOND_DEFAULT);
    let queues = match QueueName::in_fields(&fields, &QueueName::DEAD)? {
        Some(queue) => vec![queue],
        None => QueueName::DEAD.to_vec(),
    };
    let mut found = Vec::with_capacity(queues.len());
    for queue in queues {
        let depth = queue.handoff(&services)?.depth_of(queue.lane()).await?;
        found.push((queue, depth.held()));
    }
    let mut redriven = Vec::with_capacity(found.len());
    if !change.is_dry_run {
        services.record(audit(&caller, &change, &found)).await?;
    }
    let until = Instant::now() + Duration::from_secs(WORK_SECS_MAX);
    for (queue, found) in found {
        let outcome = if change.is_dry_run || found == 0 {
            Outcome::Nothing
        } else {
            move_back(&services, queue, per_second, until).await?
        };
        redriven.push(Redriven {
            queue,
            found,
            outcome,
        });
    }
    Ok(answer_of(&change, &redriven))
}

fn audit(caller: &Caller, change: &Change, found: &[(QueueName, u64)]) -> Done {
    let names: Vec<&str> = found.iter().map(|(queue, _)| queue.as_str()).collect();
    let before: Vec<Value> = found
        .iter()
        .map(|(queue, held)| json!({ "queue": queue.as_str(), "held": held }))
        .collect();
    Done {
        by: caller.clone(),
        action: "queue.redrive",
        arguments: change.with_reason(json!({ "queues": names })),
        effect: json!({ "before": before }),
    }
}

/// By SQS where it offers that, else one by one.
async fn move_back(
    services: &Services,
    queue: QueueName,
    per_second: u32,
    until: Instant,
) -> Result<Outcome, Problem> {
    let dead_letters = queue.handoff(services)?;
    match dead_letters.start_moving(queue.lane(), per_second).await? {
        MoveStart::Begun | MoveStart::UnderWay => {
            Ok(Outcome::ByTask(dead_letters.move_task(queue.lane()).await?))
        }
        MoveStart::NotOffered => {
            move_one_by_one((dead_letters, &services.handoff), queue, per_second, until).await
        }
    }
}

async fn move_one_by_one(
    (from, to): (&Handoff, &Handoff),
    queue: QueueName,
    per_second: u32,
    until: Instant,
) -> Result<Outcome, Problem> {
    let started = Instant::now();
    let (mut moved, mut failure): (u64, Option<String>) = (0, None);
    while Instant::now() < until {
        let round = from.move_some(to, queue.lane()).await?;
        if round.received == 0 {
            break;
        }
        moved += round.moved;
        failure = round.failure;
        if failure.is_some() {
            break;
        }
        let due = started + Duration::from_secs_f64(moved as f64 / f64::from(per_second));
        tokio::time::sleep_until(due.min(until).into()).await;
    }
    let left = from.depth_of(queue.lane()).await?.held();
    Ok(Outcome::OneByOne { moved, left, failure })
}

fn answer_of(change: &Change, redriven: &[Redriven]) -> Answer<DeadLettersMoved> {
    let is_complete = redriven.iter().all(Redriven::is_complete);
    let moved: Option<u64> = redriven.iter().map(Redriven::moved).sum();
    let message = if change.is_dry_run {
        "They would go back to the queues that they came from."
    } else if moved.is_none() {
        "SQS moves them by itself; ask again to see how far it is."
    } else if is_complete {
        "What nobody can read comes back here; everything else is claimed, or acknowledged if its batch isn't due."
    } else {
        "Not everything was moved, or somebody else has some of it in hand. Ask again."
    };
    Answer::ok(DeadLettersMoved {
        dry_run: change.is_dry_run,
        found: redriven.iter().map(|redriven| redriven.found).sum(),
        moved,
        is_complete,
        queues: redriven.iter().map(Redriven::shown).collect(),
        message,
    })
}

impl Redriven {
    /// `None`: SQS counts.
    fn moved(&self) -> Option<u64> {
        match &self.outcome {
            Outcome::Nothing => Some(0),
            Outcome::ByTask(_) => None,
            Outcome::OneByOne { moved, .. } => Some(*moved),
        }
    }

    fn is_complete(&self) -> bool {
        match &self.outcome {
            Outcome::Nothing => true,
            Outcome::ByTask(_) => false,
            Outcome::OneByOne { left, .. } => *left == 0,
        }
    }

    fn shown(&self) -> RedrivenQueue {
        let shown = RedrivenQueue {
            queue: self.queue,
            to: QueueName::of_lane(self.queue.lane()),
            found: self.found,
            moved: self.moved(),
            left: Some(self.found),
            method: None,
            task: None,
            failure: None,
        };
        match &self.outcome {
            Outcome::Nothing => shown,
            Outcome::ByTask(task) => RedrivenQueue {
                method: Some(RedriveMethod::MoveTask),
                left: None,
                task: task.as_ref().map(ShownMoveTask::from),
                ..shown
            },
            Outcome::OneByOne { left, failure, .. } => RedrivenQueue {
                method: Some(RedriveMethod::OneByOne),
                left: Some(*left),
                failure: failure.clone(),
                ..shown
            },
        }
    }
}

impl From<&MoveTask> for ShownMoveTask {
    fn from(task: &MoveTask) -> Self {
        Self {
            status: task.status.clone(),
            moved: task.moved,
            to_move: task.to_move,
            reason: task.reason.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redriven(queue: QueueName, outcome: Outcome) -> Redriven {
        Redriven {
            queue,
            found: 3,
            outcome,
        }
    }

    #[test]
    fn what_sqs_moves_by_itself_is_not_counted_as_moved() {
        let by_task = redriven(QueueName::DeadLetters, Outcome::ByTask(None));
        let one_by_one = Outcome::OneByOne {
            moved: 3,
            left: 0,
            failure: None,
        };
        let moved = redriven(QueueName::DeadLettersPriority, one_by_one);
        assert_eq!(json!(moved.shown())["method"], "one by one");
        assert_eq!(moved.shown().to, QueueName::BatchesPriority);
        assert!(moved.is_complete() && !by_task.is_complete());
        let sum: Option<u64> = [&by_task, &moved].into_iter().map(Redriven::moved).sum();
        assert_eq!(sum, None);
        assert_eq!(by_task.shown().moved, None);
    }
}
