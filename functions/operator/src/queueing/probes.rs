//! `POST /queue/test-publish`, `/queue/test/publish` and `/queue/test-batch`: probes that go the way of all messages.
//!
//! The exporter writes down that one has arrived, and `GET /queue/monitoring` shows it with the time that it took. A probe
//! asks for no export and changes no batch. One that never arrives is forgotten after a day.

use crate::queueing::queue_name::{HandOffQueue, QueueName};
use crate::services::{Done, Services};
use crate::web::answer::Answer;
use crate::web::auth::Role;
use crate::web::change::{Change, ChangeBody};
use crate::web::fields::{BodyFields, Fields};
use crate::web::problem::Problem;
use axum::Extension;
use axum::extract::State;
use granary_ledger::QueueLane;
use serde::Serialize;
use serde_json::json;
use std::sync::Arc;
use utoipa::ToSchema;
use uuid::Uuid;

const PROBES_DEFAULT: u32 = 10;
const PROBES_MAX: u32 = 100;

/// Where a probe is to be sent.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "what `publish` takes, for the document")]
pub(crate) struct ProbeBody {
    /// To which queue; left out: `batches`.
    queue: Option<HandOffQueue>,
    #[serde(flatten)]
    change: ChangeBody,
}

/// Where probes are to be sent.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "what `publish_batch` takes, for the document")]
pub(crate) struct ProbesBody {
    /// To which queue; left out: `batches`.
    queue: Option<HandOffQueue>,
    /// How many.
    #[schema(minimum = 1, maximum = 100, default = 10)]
    count: Option<u32>,
    #[serde(flatten)]
    change: ChangeBody,
}

/// What became of probes.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ProbesSent {
    /// Whether it was only foretold: then none was sent.
    dry_run: bool,
    /// The queue that they were sent to.
    queue: QueueName,
    /// How many were asked for.
    asked: u32,
    /// How many are in the queue for certain.
    sent: usize,
    /// Those that are.
    probes: Vec<SentProbe>,
    /// Those that aren't known to be.
    failed: Vec<FailedProbe>,
    /// What that means, for people.
    message: &'static str,
}

/// A probe that is on its way.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SentProbe {
    /// Its id, under which `GET /queue/monitoring` shows it.
    probe_id: Uuid,
}

/// A probe that isn't known to be in its queue.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FailedProbe {
    /// Its id.
    probe_id: Uuid,
    /// Why, in SQS's words.
    reason: String,
}

/// Send a probe
///
/// It goes the way of all messages and exports nothing; `GET /queue/monitoring` shows when it comes.
#[utoipa::path(post, path = "/queue/test-publish", request_body = ProbeBody)]
pub(crate) async fn publish(
    State(services): State<Arc<Services>>,
    Extension(role): Extension<Role>,
    BodyFields(fields): BodyFields,
) -> Result<Answer<ProbesSent>, Problem> {
    fields.only(&["queue", "dryRun", "reason"])?;
    send(&services, role, &fields, 1).await
}

/// Send a probe, by another path
///
/// The same as `POST /queue/test-publish`.
#[utoipa::path(post, path = "/queue/test/publish", request_body = ProbeBody)]
pub(crate) async fn publish_too(
    services: State<Arc<Services>>,
    role: Extension<Role>,
    body: BodyFields,
) -> Result<Answer<ProbesSent>, Problem> {
    publish(services, role, body).await
}

/// Send probes
///
/// They go the way of all messages and export nothing; `GET /queue/monitoring` shows when they come.
#[utoipa::path(post, path = "/queue/test-batch", request_body = ProbesBody)]
pub(crate) async fn publish_batch(
    State(services): State<Arc<Services>>,
    Extension(role): Extension<Role>,
    BodyFields(fields): BodyFields,
) -> Result<Answer<ProbesSent>, Problem> {
    fields.only(&["queue", "count", "dryRun", "reason"])?;
    let count = fields.number("count", 1..=PROBES_MAX)?.unwrap_or(PROBES_DEFAULT);
    send(&services, role, &fields, count).await
}

async fn send(
    services: &Services,
    role: Role,
    fields: &Fields,
    count: u32,
) -> Result<Answer<ProbesSent>, Problem> {
    let change = Change::read(fields)?;
    let queue = QueueName::in_fields(fields, &QueueName::HAND_OFF)?.unwrap_or(QueueName::Batches);
    if change.is_dry_run {
        return Ok(answer_of(
            &change,
            (queue, count),
            &[],
            &[],
            "They would be sent, and nothing else.",
        ));
    }
    let probes: Vec<Uuid> = (0..count).map(|_| Uuid::now_v7()).collect();
    services
        .record(Done {
            by: role,
            action: "queue.probe",
            arguments: change.with_reason(json!({ "queue": queue.as_str(), "count": count })),
            effect: json!({ "probes": probes }),
        })
        .await?;
    // Expected first, so that no arrival comes too early to be written down.
    let lane = QueueLane::from(queue.lane());
    services.ledger().await?.expect_probes(lane, &probes).await?;
    let outcome = services.handoff.send_probes(queue.lane(), &probes).await?;
    Ok(answer_of(
        &change,
        (queue, count),
        &outcome.sent,
        &outcome.failed,
        "GET /queue/monitoring shows when they arrive, and how long they took.",
    ))
}

fn answer_of(
    change: &Change,
    (queue, count): (QueueName, u32),
    sent: &[Uuid],
    failed: &[(Uuid, String)],
    message: &'static str,
) -> Answer<ProbesSent> {
    let probes = sent.iter().map(|probe| SentProbe { probe_id: *probe });
    let failed = failed.iter().map(|(probe, reason)| FailedProbe {
        probe_id: *probe,
        reason: reason.clone(),
    });
    Answer::ok(ProbesSent {
        dry_run: change.is_dry_run,
        queue,
        asked: count,
        sent: sent.len(),
        probes: probes.collect(),
        failed: failed.collect(),
        message,
    })
}
