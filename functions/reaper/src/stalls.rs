//! Alerts about an export that is stalled: one for each cause, and one when it is over.
//!
//! A queue is stalled if and only if something has waited in it for ten minutes, by the database's clock, while none of its
//! batches was claimed. Only then AWS is asked why. A queue that SQS refuses needs a person, so its alert is raised at once;
//! one that doesn't answer, when the queue is stalled. Besides these, a batch of the continuous migration may wait for half
//! an hour behind others, and a pause may last for a day. A long backfill that is being exported raises nothing.
//!
//! Not here: what the platform broke off while it was exported (`deferrals.rs`). Where this step fails, the next tick sees
//! the same.

use crate::reap::{Reaper, Tick};
use granary_domain::Stall;
use granary_handoff::{HandoffError, Lane};
use granary_ledger::handoff::{QueueLane, QueueState};
use granary_ledger::settings::Stage;
use granary_switchboard::{Consumer, Switch};
use std::time::Duration;

const KIND: &str = "export_stalled";
const UNCLAIMED_MAX: Duration = Duration::from_secs(10 * 60);
const CONTINUOUS_WAITS_MAX: Duration = Duration::from_secs(30 * 60);
const PAUSED_MAX: Duration = Duration::from_secs(24 * 3_600);

/// A queue in which something waits and nothing is claimed.
#[derive(Debug, Clone, Copy)]
struct Stalled {
    lane: Lane,
    waited: Duration,
}

/// A cause, and the text of its alert.
type Told = (Stall, String);

/// A cause whose alert is open, and the alert's number.
type Lasting = (String, u64);

/// Causes for which nothing is claimed from a queue.
const OF_A_QUEUE: [Stall; 4] = [
    Stall::QueueFails,
    Stall::TriggerOff,
    Stall::ExporterThrottled,
    Stall::Unclaimed,
];
/// Causes that only Lambda tells apart.
const OF_LAMBDA: [Stall; 3] = [Stall::TriggerOff, Stall::ExporterThrottled, Stall::Unclaimed];

/// What a tick found out.
#[derive(Debug, Default)]
struct Found {
    /// Causes that hold.
    told: Vec<Told>,
    /// Causes that this tick can't tell: an alert about one of them lasts as it is.
    unknown: Vec<Stall>,
}

impl Reaper {
    /// Looks at what waits and what is paused, and writes down what is to be told.
    pub(crate) async fn watch_stalls(&self, tick: &mut Tick) -> anyhow::Result<()> {
        let state = match &tick.queue_error {
            Some(_) => QueueState::Fails,
            None => QueueState::Works,
        };
        let mut stalled = Vec::new();
        for lane in Lane::ALL {
            let waited = self.ledger.observe_waiting(lane.into(), state).await?;
            stalled.extend(waited.map(|waited| Stalled { lane, waited }));
        }
        stalled.retain(|queue| queue.waited >= UNCLAIMED_MAX);
        let lasting = self.ledger.lasting_conditions(KIND).await?;
        let mut found = Found::default();
        let is_silent = tick.queue_error.as_ref().is_some_and(HandoffError::is_platforms);
        if let Some(error) = &tick.queue_error
            && (!stalled.is_empty() || !is_silent)
        {
            let text = format!("{}{error}", waits_in(&stalled));
            found.told.push((Stall::QueueFails, text));
        }
        if is_silent {
            found.unknown.extend(OF_LAMBDA);
        } else if !stalled.is_empty() {
            self.find_why_unclaimed(&stalled, &mut found).await;
        }
        let stand_still = !stalled.is_empty() || tick.queue_error.is_some();
        if !stand_still && !self.stood_still_lately(&lasting).await? {
            found.told.extend(self.backlog().await?);
        } else {
            found.unknown.push(Stall::Backlog);
        }
        found.told.extend(self.long_pauses().await?);
        tick.stalls = found.told.len() as u64;
        self.tell_stalls(found, &lasting).await
    }

    /// Whether a queue stood still within the time that a batch may wait. Batches have waited for that long because of it, and
    /// exporters need time to reach them.
    async fn stood_still_lately(&self, lasting: &[Lasting]) -> anyhow::Result<bool> {
        let ended = self
            .ledger
            .causes_ended_within(KIND, CONTINUOUS_WAITS_MAX)
            .await?;
        let mut causes = lasting.iter().map(|(cause, _)| cause).chain(&ended);
        Ok(causes.any(|cause| OF_A_QUEUE.iter().any(|stall| stall.as_str() == cause)))
    }

    /// Begins what holds and doesn't last yet, and ends what lasted and holds no more.
    async fn tell_stalls(&self, found: Found, lasting: &[Lasting]) -> anyhow::Result<()> {
        let lasts = |stall: Stall| lasting.iter().any(|(cause, _)| cause == stall.as_str());
        let is_known_of_lambda =
            OF_LAMBDA.into_iter().any(lasts) && found.unknown.contains(&Stall::TriggerOff);
        for (cause, text) in &found.told {
            // Why isn't known at this tick, and was at an earlier one.
            if *cause == Stall::Unclaimed && is_known_of_lambda {
                continue;
            }
            let text = format!("{cause}: {text}");
            if self.ledger.begin_condition(KIND, cause.as_str(), &text).await? {
                tracing::warn!("the export is stalled: {text}");
            }
        }
        let told = found.told.iter().map(|(cause, _)| *cause);
        let holding: Vec<&str> = told.chain(found.unknown).map(Stall::as_str).collect();
        self.end_all_but(&holding, (KIND, lasting), "resolved").await
    }

    /// What Lambda says of the triggers of these queues and of the exporter.
    async fn find_why_unclaimed(&self, stalled: &[Stalled], found: &mut Found) {
        let waits = waits_in(stalled);
        match self.why_unclaimed(stalled).await {
            Ok((cause, text)) => found.told.push((cause, format!("{waits}{text}"))),
            Err(reason) => {
                found.told.push((Stall::Unclaimed, format!("{waits}{reason}")));
                found.unknown.extend(OF_LAMBDA);
            }
        }
    }

    /// `Err`: why Lambda doesn't tell.
    async fn why_unclaimed(&self, stalled: &[Stalled]) -> Result<Told, String> {
        let Some(consumers) = &self.consumers else {
            return Err("the cause is unknown, since GRANARY_EXPORTER_FUNCTION is not set".to_owned());
        };
        let triggers = consumers
            .look()
            .await
            .map_err(|error| format!("the triggers can't be read: {error}"))?;
        let of_queue = |queue: &Stalled| {
            let mut triggers = triggers.iter();
            triggers.find(|trigger| self.handoff.lane_of(&trigger.source_arn) == Some(queue.lane))
        };
        let off: Vec<String> = stalled
            .iter()
            .filter_map(|queue| state_if_off(queue, of_queue(queue)))
            .collect();
        if !off.is_empty() {
            return Ok((Stall::TriggerOff, off.join("; ")));
        }
        match consumers.reserved_concurrency().await {
            Ok(Some(0)) => Ok((
                Stall::ExporterThrottled,
                "the exporter's reserved concurrency is 0".to_owned(),
            )),
            Ok(_) => Ok((Stall::Unclaimed, "the triggers are enabled".to_owned())),
            Err(error) => Err(format!(
                "the triggers are enabled; the exporter's concurrency can't be read: {error}"
            )),
        }
    }

    async fn backlog(&self) -> anyhow::Result<Option<Told>> {
        let waits = self.ledger.continuous_waits(CONTINUOUS_WAITS_MAX).await?;
        Ok(waits.map(|wait| {
            let text = format!(
                "batch {batch} of the continuous migration has waited since {since:.0} ({minutes} minutes), while others are \
                 exported",
                batch = wait.batch_id,
                since = wait.since,
                minutes = wait.waited.as_secs() / 60
            );
            (Stall::Backlog, text)
        }))
    }

    async fn long_pauses(&self) -> anyhow::Result<Vec<Told>> {
        let mut pauses = Vec::new();
        for (stage, name, cause) in [
            (Stage::Harvest, "harvest", Stall::HarvestPaused),
            (Stage::Export, "export", Stall::ExportPaused),
        ] {
            let Some(pause) = self.ledger.pause_of(stage).await? else {
                continue;
            };
            let lasts = self.ledger.now().await?.duration_since(pause.since);
            if lasts.unsigned_abs() >= PAUSED_MAX {
                let (since, by) = (pause.since, pause.by);
                let reason = pause.reason.unwrap_or_else(|| "no reason given".to_owned());
                let text = format!("the {name} has been paused since {since:.0} by {by}: {reason}");
                pauses.push((cause, text));
            }
        }
        Ok(pauses)
    }
}

/// `no batch was claimed from batches for 12 minutes: `.
fn waits_in(stalled: &[Stalled]) -> String {
    if stalled.is_empty() {
        return String::new();
    }
    let queues = stalled.iter().map(|queue| {
        let (name, minutes) = (name_of(queue.lane), queue.waited.as_secs() / 60);
        format!("{name} for {minutes} minutes")
    });
    let queues: Vec<String> = queues.collect();
    format!("no batch was claimed from {}: ", queues.join(", "))
}

fn name_of(lane: Lane) -> &'static str {
    QueueLane::from(lane).as_str()
}

/// How a queue's trigger stands, if it starts no exporters and isn't about to.
fn state_if_off(queue: &Stalled, trigger: Option<&Consumer>) -> Option<String> {
    let name = name_of(queue.lane);
    match trigger {
        None => Some(format!("{name} has no trigger")),
        Some(trigger) if trigger.standing.is_or_becomes(Switch::On) => None,
        Some(trigger) => Some(format!("the trigger of {name} is {}", trigger.state)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_names_each_queue_and_how_long_it_has_waited() {
        let stalled = Lane::ALL.map(|lane| Stalled {
            lane,
            waited: Duration::from_secs(725),
        });
        assert_eq!(
            waits_in(&stalled),
            "no batch was claimed from batches for 12 minutes, batches-priority for 12 minutes: "
        );
        assert_eq!(waits_in(&[]), "");
    }
}
