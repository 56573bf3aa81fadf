//! `POST /queue/test-publish`, `/queue/test/publish` and `/queue/test-batch`: probes that go the way of all messages.
//!
//! The exporter writes down that one has arrived, and `GET /queue/monitoring` shows it with the time that it took. A probe
//! asks for no export and changes no batch. One that never arrives is forgotten after a day.

use crate::queueing::queue_name::{HandOffQueue, QueueName};
use crate::services::{Done, Services};
use crate::web::answer::Answer;
use crate::web::caller::Caller;
use crate::web::change::{Change, ChangeBody};
use crate::web::fields::{BodyFields, Fields};
use crate::web::problem::Problem;
use axum::Extension;
use axum::extract::State;
use granary_domain::Priority;
use granary_handoff::{Lane, Message};
use granary_ledger::handoff::QueueLane;
use serde::Serialize;
use serde_json::{Value, json};
use std::sync::Arc;
use utoipa::ToSchema;
use uuid::Uuid;

const PROBES_DEFAULT: u32 = 10;
const PROBES_MAX: u32 = 100;
const ROUTING_KEY_CHARS_MAX: usize = 255;

/// Where a probe is to be sent, and what it carries.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "what `publish` takes, for the document")]
pub(crate) struct ProbeBody {
    /// To which queue. Left out: the one that `routingKey` names, else that of `priority`, else `batches`.
    queue: Option<HandOffQueue>,
    /// What the probe carries through the queue: a text or an object of at most 800 bytes of JSON. It is in the audit as
    /// well; the exporter doesn't read it.
    message: Option<GivenMessage>,
    /// 0 to 9. From 5 on the probe takes the queue `batches-priority`, as a batch of this priority does.
    #[schema(minimum = 0, maximum = 9)]
    priority: Option<u8>,
    /// The name of the queue, as `queue` has it. Any other key names no queue here: then the priority decides, and `notes`
    /// says so.
    #[schema(max_length = 255, examples("batches-priority"))]
    routing_key: Option<String>,
    #[serde(flatten)]
    change: ChangeBody,
}

/// What a probe carries.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "what `Sending::read` takes, for the document")]
pub(crate) enum GivenMessage {
    /// A text.
    Text(String),
    /// An object.
    #[schema(value_type = Object)]
    Object(Value),
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
    /// What was understood otherwise than asked, for people.
    notes: Vec<String>,
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
    Extension(caller): Extension<Caller>,
    BodyFields(fields): BodyFields,
) -> Result<Answer<ProbesSent>, Problem> {
    fields.only(&["queue", "message", "priority", "routingKey", "dryRun", "reason"])?;
    send(&services, &caller, &fields, 1).await
}

/// Send a probe, by another path
///
/// The same as `POST /queue/test-publish`.
#[utoipa::path(post, path = "/queue/test/publish", request_body = ProbeBody)]
pub(crate) async fn publish_too(
    services: State<Arc<Services>>,
    caller: Extension<Caller>,
    body: BodyFields,
) -> Result<Answer<ProbesSent>, Problem> {
    publish(services, caller, body).await
}

/// Send probes
///
/// They go the way of all messages and export nothing; `GET /queue/monitoring` shows when they come.
#[utoipa::path(post, path = "/queue/test-batch", request_body = ProbesBody)]
pub(crate) async fn publish_batch(
    State(services): State<Arc<Services>>,
    Extension(caller): Extension<Caller>,
    BodyFields(fields): BodyFields,
) -> Result<Answer<ProbesSent>, Problem> {
    fields.only(&["queue", "count", "dryRun", "reason"])?;
    let count = fields.number("count", 1..=PROBES_MAX)?.unwrap_or(PROBES_DEFAULT);
    send(&services, &caller, &fields, count).await
}

async fn send(
    services: &Services,
    caller: &Caller,
    fields: &Fields,
    count: u32,
) -> Result<Answer<ProbesSent>, Problem> {
    let change = Change::read(fields)?;
    let sending = Sending::read(fields, count)?;
    if change.is_dry_run {
        let message = "They would be sent, and nothing else.";
        return Ok(sending.answer(&change, (&[], &[]), message));
    }
    let probes: Vec<Uuid> = (0..count).map(|_| Uuid::now_v7()).collect();
    services
        .record(Done {
            by: caller.clone(),
            action: "queue.probe",
            arguments: change.with_reason(sending.arguments(fields)),
            effect: json!({ "probes": probes }),
        })
        .await?;
    // Expected first, so that no arrival comes too early to be written down.
    let lane = sending.queue.lane();
    let expected = QueueLane::from(lane);
    services.ledger().await?.expect_probes(expected, &probes).await?;
    let outcome = services
        .handoff
        .send_probes(lane, &probes, sending.message.as_ref())
        .await?;
    let message = "GET /queue/monitoring shows when they arrive, and how long they took.";
    Ok(sending.answer(&change, (&outcome.sent, &outcome.failed), message))
}

/// How many probes go where, and with what.
#[derive(Debug)]
struct Sending {
    queue: QueueName,
    count: u32,
    message: Option<Value>,
    notes: Vec<String>,
}

impl Sending {
    fn read(fields: &Fields, count: u32) -> Result<Self, Problem> {
        let mut notes = Vec::new();
        Ok(Self {
            queue: queue_of(fields, &mut notes)?,
            count,
            message: message_of(fields)?,
            notes,
        })
    }

    /// For the audit.
    fn arguments(&self, fields: &Fields) -> Value {
        let mut arguments = json!({ "queue": self.queue.as_str(), "count": self.count });
        for name in ["message", "priority", "routingKey"] {
            if let Some(value) = fields.value(name) {
                arguments[name] = value.clone();
            }
        }
        arguments
    }

    fn answer(
        self,
        change: &Change,
        (sent, failed): (&[Uuid], &[(Uuid, String)]),
        message: &'static str,
    ) -> Answer<ProbesSent> {
        let probes = sent.iter().map(|probe| SentProbe { probe_id: *probe });
        let failed = failed.iter().map(|(probe, reason)| FailedProbe {
            probe_id: *probe,
            reason: reason.clone(),
        });
        Answer::ok(ProbesSent {
            dry_run: change.is_dry_run,
            queue: self.queue,
            asked: self.count,
            sent: sent.len(),
            probes: probes.collect(),
            failed: failed.collect(),
            notes: self.notes,
            message,
        })
    }
}

/// The queue that is named counts, then that of the priority.
fn queue_of(fields: &Fields, notes: &mut Vec<String>) -> Result<QueueName, Problem> {
    let queue = QueueName::in_fields(fields, &QueueName::HAND_OFF)?;
    let key = routing_key(fields)?;
    let by_key = key.and_then(|key| QueueName::read("routingKey", key, &QueueName::HAND_OFF).ok());
    let priority = fields.number("priority", 0..=9_u8)?.map(Priority::try_from);
    let priority = priority
        .transpose()
        .map_err(|why| Problem::invalid("priority", why))?;
    let by_priority = priority.map(|priority| QueueName::of_lane(Lane::from(priority)));
    match (queue, by_key) {
        (Some(queue), Some(other)) if queue != other => {
            let detail = format!(
                "`routingKey` names {}, and `queue` {}.",
                other.as_str(),
                queue.as_str()
            );
            return Err(Problem::invalid("routingKey", detail).remedy("Give one of them."));
        }
        _ => {}
    }
    let named = queue.or(by_key);
    let chosen = named.or(by_priority).unwrap_or(QueueName::Batches);
    if let (Some(key), None) = (key, by_key) {
        notes.push(format!(
            "`routingKey` {key:?} names no queue of this deployment: the probe takes {}.",
            chosen.as_str()
        ));
    }
    if by_priority.is_some_and(|queue| queue != chosen) {
        notes.push(format!(
            "The queue was named, so `priority` doesn't choose it: the probe takes {}.",
            chosen.as_str()
        ));
    }
    Ok(chosen)
}

fn routing_key(fields: &Fields) -> Result<Option<&str>, Problem> {
    let key = fields.text("routingKey")?;
    if key.is_some_and(|key| key.chars().count() > ROUTING_KEY_CHARS_MAX) {
        let detail = format!("`routingKey` is longer than {ROUTING_KEY_CHARS_MAX} characters.");
        return Err(Problem::invalid("routingKey", detail));
    }
    Ok(key)
}

fn message_of(fields: &Fields) -> Result<Option<Value>, Problem> {
    let Some(message) = fields.value("message") else {
        return Ok(None);
    };
    if !message.is_string() && !message.is_object() {
        return Err(Problem::invalid(
            "message",
            "`message` must be a text or an object.",
        ));
    }
    let bytes = message.to_string().len();
    if bytes > Message::PROBE_MESSAGE_BYTES_MAX {
        let detail = format!(
            "`message` has {bytes} bytes of JSON; a probe carries at most {}.",
            Message::PROBE_MESSAGE_BYTES_MAX
        );
        return Err(Problem::invalid("message", detail));
    }
    Ok(Some(message.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Sending, Problem> {
        Sending::read(&Fields::of_json(json.as_bytes()).unwrap(), 1)
    }

    #[test]
    fn a_probe_takes_the_queue_that_is_named_or_that_of_its_priority() {
        for (json, queue, notes) in [
            ("", QueueName::Batches, 0),
            (r#"{"priority":5}"#, QueueName::BatchesPriority, 0),
            (r#"{"priority":"4","message":"m"}"#, QueueName::Batches, 0),
            (
                r#"{"routingKey":"batchesPriority"}"#,
                QueueName::BatchesPriority,
                0,
            ),
            (
                r#"{"routingKey":"migration.test","priority":7}"#,
                QueueName::BatchesPriority,
                1,
            ),
            (r#"{"routingKey":"migration.test"}"#, QueueName::Batches, 1),
            (r#"{"routingKey":"batches","priority":7}"#, QueueName::Batches, 1),
            (
                r#"{"routingKey":"batches","queue":"batches"}"#,
                QueueName::Batches,
                0,
            ),
        ] {
            let sending = read(json).unwrap();
            assert_eq!(
                (sending.queue, sending.notes.len()),
                (queue, notes),
                "{json}: {:?}",
                sending.notes
            );
        }
    }

    #[test]
    fn what_a_probe_cannot_mean_or_carry_is_refused_by_name() {
        for (json, field) in [
            (
                r#"{"routingKey":"batches","queue":"batches-priority"}"#,
                "routingKey",
            ),
            (r#"{"routingKey":7}"#, "routingKey"),
            (r#"{"priority":10}"#, "priority"),
            (r#"{"message":7}"#, "message"),
            (r#"{"message":["m"]}"#, "message"),
        ] {
            assert_eq!(read(json).unwrap_err().field(), Some(field), "{json}");
        }
        let long = json!({ "message": "x".repeat(800) }).to_string();
        assert_eq!(read(&long).unwrap_err().field(), Some("message"));
        let long = json!({ "routingKey": "x".repeat(256) }).to_string();
        assert_eq!(read(&long).unwrap_err().field(), Some("routingKey"));
        assert_eq!(
            read(r#"{"message":{"a":1}}"#).unwrap().message,
            Some(json!({"a": 1}))
        );
    }
}
