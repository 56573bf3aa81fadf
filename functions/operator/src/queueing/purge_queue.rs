//! `DELETE /queue/purge/{queue}` and `/queue/purge-all`, and their POST twins: emptying queues, and putting back what was
//! in them.
//!
//! A queue that batches wait in: the purge is noted in the ledger, SQS is asked, the queue's batches are put back to
//! unsent. Dying after the note leaves the rest to the reaper, which puts back whatever was sent up to two minutes later as
//! well, since SQS takes a minute and takes along what comes meanwhile; so nothing that was sent between purge and reset
//! is lost, and at worst a message is sent twice (`handoff/purged_queue.rs` in the ledger).
//!
//! A dead-letter queue: its messages are read first and the batches that they name are put back, then SQS is asked. Of a
//! queue with more than can be read, the whole lane is put back, as above. A message that comes to it between the two goes
//! unnoticed, and its batch is sent again when the reaper finds the queue short of it.

use crate::queueing::queue_name::QueueName;
use crate::services::{Done, Services};
use crate::web::answer::Answer;
use crate::web::caller::Caller;
use crate::web::change::{Change, ChangeBody, ReasonBody};
use crate::web::fields::{BodyFields, Fields};
use crate::web::problem::{Kind, Problem};
use axum::Extension;
use axum::extract::{Path, State};
use granary_domain::BatchId;
use granary_handoff::{Handoff, Message};
use granary_ledger::handoff::QueueLane;
use serde::Serialize;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};
use utoipa::ToSchema;

/// Reading and putting back go on for so long while somebody waits; the reaper does the rest.
const WORK_SECS_MAX: u64 = 6;
const ROUNDS_MAX: u32 = 100;
/// What the body has to confirm, where all queues are meant.
const ALL: &str = "purge-all";

/// Empty a queue
///
/// Batches whose messages go are put back to unsent, and sent again by the next ticks. The body may be left out; a dry run
/// is asked for in the query.
#[utoipa::path(delete, path = "/queue/purge/{queue}", request_body = PurgeQueueByDelete, params(
    ("queue" = inline(QueueName), Path, description = "Which queue.", example = "batches"),
))]
pub(crate) async fn purge(
    State(services): State<Arc<Services>>,
    Extension(caller): Extension<Caller>,
    Path(queue): Path<String>,
    BodyFields(fields): BodyFields,
) -> Result<Answer<QueuesPurged>, Problem> {
    purge_named(&services, &caller, &queue, &fields).await
}

/// Empty a queue, by POST
///
/// The same as `DELETE /queue/purge/{queue}`, for clients and proxies that drop the body of a DELETE. It needs a body, be it
/// `{}`, unless the query has `dryRun=true`.
#[utoipa::path(post, path = "/queue/purge/{queue}", request_body = PurgeQueueBody, params(
    ("queue" = inline(QueueName), Path, description = "Which queue.", example = "batches"),
))]
pub(crate) async fn purge_by_post(
    State(services): State<Arc<Services>>,
    Extension(caller): Extension<Caller>,
    Path(queue): Path<String>,
    BodyFields(fields): BodyFields,
) -> Result<Answer<QueuesPurged>, Problem> {
    fields.need_body()?;
    purge_named(&services, &caller, &queue, &fields).await
}

async fn purge_named(
    services: &Services,
    caller: &Caller,
    queue: &str,
    fields: &Fields,
) -> Result<Answer<QueuesPurged>, Problem> {
    let queue = QueueName::read("queue", queue, &QueueName::ALL)?;
    let change = read(fields, queue.as_str(), |text| match text {
        // The path names the queue, and its batches are sent again.
        None => true,
        Some(text) => {
            QueueName::read("confirm", text, &QueueName::ALL).is_ok_and(|confirmed| confirmed == queue)
        }
    })?;
    purge_these(services, caller, &change, &[queue]).await
}

/// Empty all queues
///
/// Batches whose messages go are put back to unsent, and sent again by the next ticks. A dry run is asked for in the query.
#[utoipa::path(delete, path = "/queue/purge-all", request_body = PurgeAllByDelete)]
pub(crate) async fn purge_all(
    State(services): State<Arc<Services>>,
    Extension(caller): Extension<Caller>,
    BodyFields(fields): BodyFields,
) -> Result<Answer<QueuesPurged>, Problem> {
    let change = read(&fields, ALL, |text| text == Some(ALL))?;
    let known = |queue: &QueueName| !queue.is_dead_letters() || services.dead_letters.is_some();
    let queues: Vec<QueueName> = QueueName::ALL.into_iter().filter(known).collect();
    purge_these(&services, &caller, &change, &queues).await
}

/// Empty all queues, by POST
///
/// The same as `DELETE /queue/purge-all`, for clients and proxies that drop the body of a DELETE.
#[utoipa::path(post, path = "/queue/purge-all", request_body = PurgeAllBody)]
pub(crate) async fn purge_all_by_post(
    services: State<Arc<Services>>,
    caller: Extension<Caller>,
    body: BodyFields,
) -> Result<Answer<QueuesPurged>, Problem> {
    purge_all(services, caller, body).await
}

/// What it would do may be asked without a confirmation.
fn read(
    fields: &Fields,
    words: &str,
    is_confirmed: impl FnOnce(Option<&str>) -> bool,
) -> Result<Change, Problem> {
    fields.only(&["confirm", "dryRun", "reason"])?;
    let change = Change::read(fields)?;
    if is_confirmed(fields.text("confirm")?) || change.is_dry_run {
        return Ok(change);
    }
    let detail =
        format!("Purging deletes every message of the queue. The body must be {{\"confirm\":\"{words}\"}}.");
    Err(Problem::new(Kind::NotConfirmed, detail)
        .remedy("With ?dryRun=true it says what it would delete, and needs no confirmation.")
        .with("field", "confirm".into()))
}

/// Which queue is to be emptied, once more.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "what `read` takes, for the document")]
pub(crate) struct PurgeQueueBody {
    /// The queue's name, as in the path; another one is refused.
    #[schema(examples("batches"))]
    confirm: Option<String>,
    #[serde(flatten)]
    change: ChangeBody,
}

/// The same, where `dryRun` is in the query.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "what `read` takes, for the document")]
pub(crate) struct PurgeQueueByDelete {
    /// The queue's name, as in the path; another one is refused.
    #[schema(examples("batches"))]
    confirm: Option<String>,
    #[serde(flatten)]
    reason: ReasonBody,
}

/// That all queues are really to be emptied.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "what `read` takes, for the document")]
pub(crate) struct PurgeAllBody {
    /// `purge-all`. A dry run needs none.
    #[schema(examples("purge-all"))]
    confirm: Option<String>,
    #[serde(flatten)]
    change: ChangeBody,
}

/// The same, where `dryRun` is in the query.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "what `read` takes, for the document")]
pub(crate) struct PurgeAllByDelete {
    /// `purge-all`. A dry run needs none.
    #[schema(examples("purge-all"))]
    confirm: Option<String>,
    #[serde(flatten)]
    reason: ReasonBody,
}

/// What became of queues that were to be emptied.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct QueuesPurged {
    /// Whether it was only foretold: then nothing was deleted.
    dry_run: bool,
    /// Each queue.
    purged: Vec<PurgedQueue>,
    /// Batches that are sent again by the next ticks, of all queues; in a dry run, that would be.
    batches_put_back: u64,
    /// Whether all batches are put back that went. Where not, the reaper goes on with it.
    is_complete: bool,
    /// What that means, for people.
    message: &'static str,
}

/// What became of one queue.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PurgedQueue {
    /// Which.
    queue: QueueName,
    /// About how many messages it held.
    held: u64,
    /// Batches of it that are sent again by the next ticks. In a dry run: that would be; of a dead-letter queue, at most.
    batches_put_back: u64,
}

/// What became of one queue.
struct Purged {
    queue: QueueName,
    held: u64,
    batches_put_back: u64,
    is_complete: bool,
}

async fn purge_these(
    services: &Services,
    caller: &Caller,
    change: &Change,
    queues: &[QueueName],
) -> Result<Answer<QueuesPurged>, Problem> {
    let mut held = Vec::with_capacity(queues.len());
    for queue in queues {
        held.push((
            *queue,
            queue.handoff(services)?.depth_of(queue.lane()).await?.held(),
        ));
    }
    let mut purged = Vec::with_capacity(queues.len());
    if change.is_dry_run {
        for (queue, held) in held {
            purged.push(foretold(services, queue, held).await?);
        }
    } else {
        services.record(audit(caller, change, &held)).await?;
        let until = Instant::now() + Duration::from_secs(WORK_SECS_MAX);
        for (queue, held) in held {
            purged.push(purge_one(services, caller, (queue, held), until).await?);
        }
    }
    let is_complete = purged.iter().all(|purged| purged.is_complete);
    let shown = |purged: &Purged| PurgedQueue {
        queue: purged.queue,
        held: purged.held,
        batches_put_back: purged.batches_put_back,
    };
    Ok(Answer::ok(QueuesPurged {
        dry_run: change.is_dry_run,
        purged: purged.iter().map(shown).collect(),
        batches_put_back: purged.iter().map(|purged| purged.batches_put_back).sum(),
        is_complete,
        message: if change.is_dry_run {
            "Nothing was deleted. Of a dead-letter queue, up to so many batches would be put back as it holds messages."
        } else if is_complete {
            "SQS takes up to a minute. Batches whose messages went are sent again by the next ticks."
        } else {
            "SQS takes up to a minute. The reaper goes on putting batches back; they are sent again by the next ticks."
        },
    }))
}

fn audit(caller: &Caller, change: &Change, held: &[(QueueName, u64)]) -> Done {
    let names: Vec<&str> = held.iter().map(|(queue, _)| queue.as_str()).collect();
    let before: Vec<Value> = held
        .iter()
        .map(|(queue, held)| json!({ "queue": queue.as_str(), "held": held }))
        .collect();
    Done {
        by: caller.clone(),
        action: "queue.purge",
        arguments: change.with_reason(json!({ "queues": names })),
        effect: json!({ "before": before, "after": { "held": 0 } }),
    }
}

/// What a purge would put back: of a dead-letter queue, that would take reading it.
async fn foretold(services: &Services, queue: QueueName, held: u64) -> Result<Purged, Problem> {
    let batches_put_back = if queue.is_dead_letters() {
        held
    } else {
        let lane = QueueLane::from(queue.lane());
        services.ledger().await?.believed_in(lane).await?
    };
    Ok(Purged {
        queue,
        held,
        batches_put_back,
        is_complete: true,
    })
}

async fn purge_one(
    services: &Services,
    caller: &Caller,
    (queue, held): (QueueName, u64),
    until: Instant,
) -> Result<Purged, Problem> {
    let handoff = queue.handoff(services)?;
    let mut purged = Purged {
        queue,
        held,
        batches_put_back: 0,
        is_complete: true,
    };
    let is_read_to_its_end = if queue.is_dead_letters() {
        put_back_named(services, handoff, &mut purged, until).await?
    } else {
        false
    };
    let lane = QueueLane::from(queue.lane());
    if !is_read_to_its_end {
        services.ledger().await?.note_purge(lane, caller.name()).await?;
    }
    handoff.purge(queue.lane()).await?;
    if !is_read_to_its_end {
        put_back_lane(services, lane, &mut purged, until).await?;
    }
    Ok(purged)
}

/// Puts the batches back that a dead-letter queue's messages name. Says whether all messages were read.
async fn put_back_named(
    services: &Services,
    handoff: &Handoff,
    purged: &mut Purged,
    until: Instant,
) -> Result<bool, Problem> {
    let ledger = services.ledger().await?;
    let mut read = 0;
    for _ in 0..ROUNDS_MAX {
        if Instant::now() >= until {
            return Ok(false);
        }
        let bodies = handoff.look_into(purged.queue.lane()).await?;
        if bodies.is_empty() {
            // What somebody else has in hand isn't shown.
            return Ok(read >= purged.held);
        }
        read += bodies.len() as u64;
        let named: Vec<BatchId> = bodies.iter().filter_map(|body| batch_of(body)).collect();
        purged.batches_put_back += ledger.put_back_batches(&named).await?;
    }
    Ok(false)
}

/// A body that nobody understands names none, nor does a probe.
fn batch_of(body: &str) -> Option<BatchId> {
    match Message::parse(body) {
        Ok(Message::Batch(message)) => Some(message.batch_id),
        Ok(Message::Probe(_)) | Err(_) => None,
    }
}

/// Puts back what waited in a queue, by the ledger's account. What there is no time for is left to the reaper.
async fn put_back_lane(
    services: &Services,
    lane: QueueLane,
    purged: &mut Purged,
    until: Instant,
) -> Result<(), Problem> {
    let ledger = services.ledger().await?;
    let notes = ledger.noted_purges().await?;
    let Some(note) = notes.iter().find(|note| note.queue == lane) else {
        // The reaper has made it good meanwhile.
        return Ok(());
    };
    loop {
        let batches = ledger.put_back(note).await?;
        purged.batches_put_back += batches;
        if batches == 0 {
            return Ok(());
        }
        if Instant::now() >= until {
            purged.is_complete = false;
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn confirmed(json: &str) -> Result<Change, Problem> {
        read(&Fields::of_json(json.as_bytes()).unwrap(), ALL, |text| {
            text == Some(ALL)
        })
    }

    #[test]
    fn purging_wants_the_name_exactly_and_a_dry_run_wants_none() {
        assert!(!confirmed(r#"{"confirm":"purge-all"}"#).unwrap().is_dry_run);
        assert!(confirmed(r#"{"dryRun":true}"#).unwrap().is_dry_run);
        for json in ["", r#"{"confirm":"all"}"#, r#"{"confirm":"Purge-all"}"#] {
            assert_eq!(confirmed(json).unwrap_err().field(), Some("confirm"), "{json}");
        }
    }

    #[test]
    fn a_body_names_a_batch_or_none() {
        let named = r#"{"v":1,"batch_id":7,"migration_id":"01935e7a-3c00-7000-8000-000000000001"}"#;
        assert_eq!(batch_of(named), Some(BatchId(7)));
        assert_eq!(
            batch_of(r#"{"v":1,"probe":"01935e7a-3c00-7000-8000-000000000001"}"#),
            None
        );
        assert_eq!(batch_of("nonsense"), None);
    }
}
