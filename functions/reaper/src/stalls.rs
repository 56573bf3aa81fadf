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
use granary_handoff::Lane;
use granary_ledger::{QueueLane, QueueState, Stage};
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

/// What a cause is told with.
type Told = (Stall, String);

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
        let mut told = Vec::new();
        match &tick.queue_error {
            Some(error) if !stalled.is_empty() || !error.is_platforms() => {
                told.push((Stall::QueueFails, format!("{}{error}", waits_in(&stalled))));
            }
            Some(_) | None if !stalled.is_empty() => told.push(self.why_unclaimed(&stalled).await),
            Some(_) | None => told.extend(self.backlog().await?),
        }
        told.extend(self.long_pause().await?);
        tick.stalls = told.len() as u64;
        self.tell_stalls(&told).await
    }

    async fn tell_stalls(&self, told: &[Told]) -> anyhow::Result<()> {
        for (cause, text) in told {
            let text = format!("{cause}: {text}");
            if self.ledger.begin_condition(KIND, cause.as_str(), &text).await? {
                tracing::warn!("the export is stalled: {text}");
            }
        }
        for (cause, alert) in self.ledger.lasting_conditions(KIND).await? {
            if told.iter().all(|(lasting, _)| lasting.as_str() != cause) {
                let text = format!("{cause}: this is no longer so (see alert {alert})");
                self.ledger.end_condition(KIND, &cause, &text).await?;
            }
        }
        Ok(())
    }

    /// What Lambda says of the triggers of these queues and of the exporter. Where it says nothing, people look themselves.
    async fn why_unclaimed(&self, stalled: &[Stalled]) -> Told {
        let waits = waits_in(stalled);
        let Some(consumers) = &self.consumers else {
            let text = format!("{waits}why isn't known, since GRANARY_EXPORTER_FUNCTION is not set");
            return (Stall::Unclaimed, text);
        };
        let triggers = match consumers.look().await {
            Ok(triggers) => triggers,
            Err(error) => {
                return (
                    Stall::Unclaimed,
                    format!("{waits}the triggers can't be read: {error}"),
                );
            }
        };
        let of_queue = |queue: &Stalled| {
            let mut triggers = triggers.iter();
            triggers.find(|trigger| self.handoff.lane_of(&trigger.source_arn) == Some(queue.lane))
        };
        let off: Vec<String> = stalled
            .iter()
            .filter_map(|queue| state_if_off(queue, of_queue(queue)))
            .collect();
        if !off.is_empty() {
            return (Stall::TriggerOff, format!("{waits}{}", off.join("; ")));
        }
        match consumers.reserved_concurrency().await {
            Ok(Some(0)) => (
                Stall::ExporterThrottled,
                format!("{waits}the exporter's reserved concurrency is 0"),
            ),
            Ok(_) => (Stall::Unclaimed, format!("{waits}the triggers are on")),
            Err(error) => (
                Stall::Unclaimed,
                format!("{waits}the triggers are on; the exporter's concurrency can't be read: {error}"),
            ),
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

    async fn long_pause(&self) -> anyhow::Result<Option<Told>> {
        let mut pauses = Vec::new();
        for (stage, name) in [(Stage::Harvest, "harvest"), (Stage::Export, "export")] {
            let Some(pause) = self.ledger.pause_of(stage).await? else {
                continue;
            };
            let lasts = self.ledger.now().await?.duration_since(pause.since);
            if lasts.unsigned_abs() >= PAUSED_MAX {
                let (since, by) = (pause.since, pause.by);
                let reason = pause.reason.unwrap_or_else(|| "no reason given".to_owned());
                pauses.push(format!("the {name} is paused since {since:.0} by {by}: {reason}"));
            }
        }
        Ok((!pauses.is_empty()).then(|| (Stall::Paused, pauses.join("; "))))
    }
}

/// `batches wait in batches (12 minutes) and none of them is claimed: `.
fn waits_in(stalled: &[Stalled]) -> String {
    if stalled.is_empty() {
        return String::new();
    }
    let queues = stalled.iter().map(|queue| {
        let (name, minutes) = (name_of(queue.lane), queue.waited.as_secs() / 60);
        format!("{name} ({minutes} minutes)")
    });
    let queues: Vec<String> = queues.collect();
    format!(
        "batches wait in {} and none of them is claimed: ",
        queues.join(" and ")
    )
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
            "batches wait in batches (12 minutes) and batches-priority (12 minutes) and none of them is claimed: "
        );
        assert_eq!(waits_in(&[]), "");
    }
}
