//! `GET /queue/monitoring`: what the queues hold, who is at work, how much is settled, what waits, and whether probes arrive.
//!
//! All of it is read as it stands, but for one thing: a restart of the consumers goes on with each look.

use crate::queueing::queue::QueueDepths;
use crate::queueing::queue_name::QueueName;
use crate::services::Services;
use crate::switching::restart::{self, RestartUnderWay};
use crate::web::answer::Answer;
use crate::web::problem::Problem;
use axum::extract::State;
use granary_ledger::handoff::{Probe, QueueLane};
use granary_ledger::reports::{OldestUnsent, SettledMinute};
use jiff::Timestamp;
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;
use utoipa::ToSchema;
use uuid::Uuid;

const MINUTES: u32 = 60;
/// So that two people who send as many as they may see all of theirs.
const PROBES_SHOWN: u32 = 200;
/// A probe that was sent longer ago should have arrived.
const PROBE_OVERDUE_AFTER: Duration = Duration::from_secs(60);

/// What goes on at the queues.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Monitoring {
    /// What the queues hold, by SQS's count.
    queues: QueueDepths,
    /// Attempts at exporting a batch that are being made.
    attempts: AttemptsInFlight,
    /// What was exported in the last hour.
    rates: Rates,
    /// The batch that has been waiting longest to be sent; `null`: none waits.
    oldest_unsent: Option<UnsentBatch>,
    /// The 200 probes that were sent last, the newest first.
    probes: Vec<ShownProbe>,
    /// A restart of the consumers that is under way; `null`: none is.
    restart: Option<RestartUnderWay>,
}

/// Attempts at exporting a batch that are being made, by their leases.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AttemptsInFlight {
    /// Those whose lease lasts.
    in_flight: u64,
    /// Those whose lease is over: their workers are dead.
    overdue: u64,
    /// When the oldest of them all began; `null`: there is none.
    oldest_since: Option<Timestamp>,
}

/// What was exported in the last minutes of the ledger's clock, the current one included.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Rates {
    /// How many minutes.
    #[schema(examples(60))]
    minutes: usize,
    /// Batches that were completed in them.
    batches: u64,
    /// Messages in those.
    messages: u64,
    /// Batches a minute on average, with one decimal.
    batches_per_minute: f64,
    /// Messages a minute on average, with one decimal.
    messages_per_minute: f64,
    /// Each minute, the oldest first, those without anything included.
    per_minute: Vec<RatedMinute>,
}

/// What was exported in one minute.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RatedMinute {
    /// Its beginning.
    at: Timestamp,
    /// Batches that were completed in it.
    batches: u64,
    /// Messages in those.
    messages: u64,
}

/// A batch that waits to be sent to its queue.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UnsentBatch {
    /// Its number.
    batch_id: u64,
    /// Since when it could have been sent.
    since: Timestamp,
    /// How long that is, in seconds.
    age_seconds: u64,
}

/// A probe that was sent.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ShownProbe {
    /// Its id.
    probe_id: Uuid,
    /// The queue that it was sent to.
    queue: QueueName,
    /// Whether it has come.
    status: ProbeStatus,
    /// When it was sent.
    sent_at: Timestamp,
    /// When an exporter had it in hand for the first time; `null`: it hasn't come.
    received_at: Option<Timestamp>,
    /// From its sending to its arrival, in milliseconds; `null`: it hasn't come.
    round_trip_ms: Option<u64>,
    /// Which exporter had it: the ids of its request and of the message.
    worker: Option<String>,
}

/// Whether a probe has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ProbeStatus {
    /// An exporter had it in hand.
    Arrived,
    /// It was sent within the last minute.
    UnderWay,
    /// It should have come.
    Overdue,
}

/// What goes on at the queues
///
/// What they hold, who is at work, how much was exported, what waits, and whether probes arrive. A restart of the consumers
/// that is under way goes on with this look.
#[utoipa::path(get, path = "/queue/monitoring")]
pub(crate) async fn monitoring(State(services): State<Arc<Services>>) -> Result<Answer<Monitoring>, Problem> {
    let ledger = services.ledger().await?;
    if services.consumers.is_some() {
        restart::push_all(&services).await;
    }
    let depth = services.handoff.depth().await?;
    let dead_letters = match &services.dead_letters {
        Some(queues) => Some(queues.depth().await?),
        None => None,
    };
    let in_flight = ledger.in_flight().await?;
    let minutes = ledger.settled_by_minute(MINUTES).await?;
    let oldest = ledger.oldest_unsent().await?;
    let probes = ledger.probes(PROBES_SHOWN).await?;
    Ok(Answer::ok(Monitoring {
        queues: QueueDepths::of(depth, dead_letters),
        attempts: AttemptsInFlight {
            in_flight: in_flight.in_flight,
            overdue: in_flight.overdue,
            oldest_since: in_flight.oldest_since,
        },
        rates: Rates::of(&minutes),
        oldest_unsent: oldest.map(UnsentBatch::from),
        probes: probes.iter().map(ShownProbe::from).collect(),
        restart: restart::under_way(&services).await?,
    }))
}

impl Rates {
    fn of(minutes: &[SettledMinute]) -> Self {
        let batches: u64 = minutes.iter().map(|minute| minute.batches).sum();
        let messages: u64 = minutes.iter().map(|minute| minute.messages).sum();
        let rated = |minute: &SettledMinute| RatedMinute {
            at: minute.at,
            batches: minute.batches,
            messages: minute.messages,
        };
        Self {
            minutes: minutes.len(),
            batches,
            messages,
            batches_per_minute: per(batches, minutes.len()),
            messages_per_minute: per(messages, minutes.len()),
            per_minute: minutes.iter().map(rated).collect(),
        }
    }
}

/// With one decimal.
fn per(count: u64, minutes: usize) -> f64 {
    if minutes == 0 {
        return 0.0;
    }
    (count as f64 / minutes as f64 * 10.0).round() / 10.0
}

impl From<OldestUnsent> for UnsentBatch {
    fn from(oldest: OldestUnsent) -> Self {
        Self {
            batch_id: oldest.batch_id.0,
            since: oldest.since,
            age_seconds: oldest.age.as_secs(),
        }
    }
}

impl From<&Probe> for ShownProbe {
    fn from(probe: &Probe) -> Self {
        let millis = u64::try_from(probe.elapsed.as_millis()).unwrap_or(u64::MAX);
        Self {
            probe_id: probe.id,
            queue: match probe.queue {
                QueueLane::Normal => QueueName::Batches,
                QueueLane::Priority => QueueName::BatchesPriority,
            },
            status: ProbeStatus::of(probe),
            sent_at: probe.sent_at,
            received_at: probe.received_at,
            round_trip_ms: probe.received_at.map(|_| millis),
            worker: probe.worker.clone(),
        }
    }
}

impl ProbeStatus {
    fn of(probe: &Probe) -> Self {
        if probe.received_at.is_some() {
            Self::Arrived
        } else if probe.elapsed > PROBE_OVERDUE_AFTER {
            Self::Overdue
        } else {
            Self::UnderWay
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn sent(elapsed_secs: u64, received: Option<&str>) -> Probe {
        Probe {
            id: Uuid::nil(),
            queue: QueueLane::Priority,
            sent_at: "2026-11-22T06:00:00Z".parse().unwrap(),
            received_at: received.map(|text| text.parse().unwrap()),
            worker: received.map(|_| "worker".to_owned()),
            elapsed: Duration::from_secs(elapsed_secs),
        }
    }

    #[test]
    fn a_probe_has_a_time_only_once_it_has_arrived() {
        let shown = |elapsed_secs, received| ShownProbe::from(&sent(elapsed_secs, received));
        let arrived = json!(shown(2, Some("2026-11-22T06:00:02Z")));
        assert_eq!(
            (&arrived["status"], &arrived["roundTripMs"], &arrived["queue"]),
            (&json!("arrived"), &json!(2_000), &json!("batches-priority"))
        );
        assert_eq!(json!(shown(59, None))["status"], "under-way");
        let overdue = shown(61, None);
        assert_eq!(
            (overdue.status, overdue.round_trip_ms),
            (ProbeStatus::Overdue, None)
        );
    }

    #[test]
    fn a_rate_counts_the_minutes_without_anything_too() {
        let minute = |batches, messages| SettledMinute {
            at: "2026-11-22T06:00:00Z".parse().unwrap(),
            batches,
            messages,
        };
        let rates = Rates::of(&[minute(0, 0), minute(3, 2_900), minute(0, 0), minute(2, 2_000)]);
        assert_eq!((rates.batches, rates.messages), (5, 4_900));
        assert_eq!(
            (rates.batches_per_minute, rates.messages_per_minute),
            (1.3, 1_225.0)
        );
    }
}
