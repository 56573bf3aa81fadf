//! `/queue/consumers`: the triggers by which the queues start exporters, shown and switched. `restart.rs` has the restart.
//!
//! While they are off nothing is exported and nothing is lost: batches wait in their queues, and what the queues forget
//! the ledger sends again. Starting and stopping end a restart that is under way, so that it doesn't switch on later what
//! somebody switched off. Consumers that weren't meant are switched on then, as the restart would have done.

use crate::queueing::queue_name::{HandOffQueue, QueueName};
use crate::services::{Done, Services};
use crate::switching::restart::{self, RestartUnderWay};
use crate::web::answer::Answer;
use crate::web::caller::Caller;
use crate::web::change::{Change, ChangeBody};
use crate::web::fields::{BodyFields, Fields};
use crate::web::problem::{Kind, Problem};
use axum::Extension;
use axum::extract::State;
use granary_switchboard::{Consumer, Consumers, Standing, Switch};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, json};
use std::sync::Arc;
use utoipa::ToSchema;
use uuid::Uuid;

/// A consumer of one of our queues.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trigger {
    pub(crate) queue: QueueName,
    pub(crate) consumer: Consumer,
}

/// Which consumers are to be switched.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "what `switch` takes, for the document")]
pub(crate) struct ConsumersBody {
    /// The queue whose consumer is meant; left out: both.
    queue: Option<HandOffQueue>,
    #[serde(flatten)]
    change: ChangeBody,
}

/// How the consumers stand.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ConsumersStatus {
    /// One word for all of them.
    status: ConsumersStanding,
    /// One for each queue that batches wait in.
    consumers: Vec<ShownConsumer>,
    /// Attempts at exporting a batch that are being made, by their leases.
    attempts_in_flight: u64,
    /// A restart that is under way; `null`: none is.
    restart: Option<RestartUnderWay>,
}

/// One word for how all consumers stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ConsumersStanding {
    /// All are on.
    Running,
    /// All are off.
    Stopped,
    /// Some are on.
    Partly,
    /// AWS is switching at least one of them.
    Changing,
}

/// A trigger by which a queue starts exporters: Lambda's event source mapping.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ShownConsumer {
    /// Lambda's id of it.
    id: String,
    /// The queue that it takes from.
    queue: QueueName,
    /// Lambda's word for how it stands.
    #[schema(examples("Enabled"))]
    state: String,
    /// Whether it is on, or about to be.
    enabled: bool,
    /// Messages that one exporter is handed at once.
    batch_size: Option<i32>,
    /// Exporters that it runs at once at most.
    maximum_concurrency: Option<i32>,
    /// When somebody changed it last, to the second.
    modified_at: Option<Timestamp>,
    /// What Lambda says of the last time that it took something.
    last_result: Option<String>,
}

/// What became of the consumers.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ConsumersSwitched {
    /// Whether it was only foretold: then nothing was switched.
    dry_run: bool,
    /// One word for all, afterwards; in a dry run, as it would be.
    status: ConsumersStanding,
    /// All as they stand afterwards; in a dry run, as they would.
    consumers: Vec<SwitchedConsumer>,
    /// The ids of restarts that ended with this. Consumers that weren't meant come on then.
    restarts_ended: Vec<Uuid>,
    /// What that means, for people.
    message: &'static str,
}

/// A consumer after a change.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SwitchedConsumer {
    #[serde(flatten)]
    consumer: ShownConsumer,
    /// Whether it was on before, or about to be.
    was_enabled: Option<bool>,
}

/// How the consumers stand, by another path
///
/// The same as `GET /queue/consumers/status`.
#[utoipa::path(get, path = "/queue/consumer-status", responses((status = 409, description = "There are none.")))]
pub(crate) async fn status_too(services: State<Arc<Services>>) -> Result<Answer<ConsumersStatus>, Problem> {
    status(services).await
}

/// How the consumers stand
///
/// They are read from Lambda each time. A restart that is under way goes on with this look.
#[utoipa::path(get, path = "/queue/consumers/status", responses((status = 409, description = "There are none.")))]
pub(crate) async fn status(
    State(services): State<Arc<Services>>,
) -> Result<Answer<ConsumersStatus>, Problem> {
    switchboard(&services)?;
    restart::push_all(&services).await;
    let triggers = look(&services).await?;
    let in_flight = services.ledger().await?.in_flight().await?;
    Ok(Answer::ok(ConsumersStatus {
        status: status_of(&triggers),
        consumers: triggers.iter().map(ShownConsumer::from).collect(),
        attempts_in_flight: in_flight.in_flight,
        restart: restart::under_way(&services).await?,
    }))
}

/// Switch consumers on
///
/// The queues start exporters then. It ends a restart that is under way.
#[utoipa::path(post, path = "/queue/consumers/start", request_body = ConsumersBody)]
pub(crate) async fn start(
    State(services): State<Arc<Services>>,
    Extension(caller): Extension<Caller>,
    BodyFields(fields): BodyFields,
) -> Result<Answer<ConsumersSwitched>, Problem> {
    switch(&services, &caller, &fields, Switch::On).await
}

/// Switch consumers off
///
/// Exporters at work go on to the end; batches wait in the queues. It ends a restart that is under way.
#[utoipa::path(post, path = "/queue/consumers/stop", request_body = ConsumersBody)]
pub(crate) async fn stop(
    State(services): State<Arc<Services>>,
    Extension(caller): Extension<Caller>,
    BodyFields(fields): BodyFields,
) -> Result<Answer<ConsumersSwitched>, Problem> {
    switch(&services, &caller, &fields, Switch::Off).await
}

async fn switch(
    services: &Services,
    caller: &Caller,
    fields: &Fields,
    to: Switch,
) -> Result<Answer<ConsumersSwitched>, Problem> {
    fields.only(&["queue", "dryRun", "reason"])?;
    let change = Change::read(fields)?;
    let queue = QueueName::in_fields(fields, &QueueName::HAND_OFF)?;
    let wish = Wish { queue, to };
    let before = look(services).await?;
    let ended: Vec<Uuid>;
    let after: Vec<Trigger> = if change.is_dry_run {
        ended = restart::ids_under_way(services).await?;
        wish.aims(&before, &ended)
            .iter()
            .map(|(trigger, aim)| aim.map_or_else(|| (*trigger).clone(), |to| trigger.as_if(to)))
            .collect()
    } else {
        let taken = restart::take_over(services).await?;
        ended = taken.iter().map(|slice| slice.id).collect();
        let aims = wish.aims(&before, &ended);
        if let Err(problem) = set(services, wish.audit(caller, &change, &aims, &ended), &aims).await {
            restart::give_back(services, &taken).await;
            return Err(problem);
        }
        restart::end(services, &taken, to).await?;
        look(services).await?
    };
    let with_before = |trigger: &Trigger| {
        let was = before.iter().find(|was| was.consumer.id == trigger.consumer.id);
        SwitchedConsumer {
            consumer: trigger.into(),
            was_enabled: was.map(|was| was.consumer.standing.is_or_becomes(Switch::On)),
        }
    };
    Ok(Answer::ok(ConsumersSwitched {
        dry_run: change.is_dry_run,
        status: status_of(&after),
        consumers: after.iter().map(with_before).collect(),
        restarts_ended: ended,
        message: match (change.is_dry_run, to) {
            (true, _) => "Nothing was switched.",
            (false, Switch::On) => "AWS takes up to a minute to switch. What waits is exported then.",
            (false, Switch::Off) => {
                "AWS takes up to a minute to switch. Exporters at work go on to the end; batches wait in the queues."
            }
        },
    }))
}

/// Switches as it is meant. Who wanted it is written down first.
async fn set(services: &Services, audit: Done, aims: &[(&Trigger, Option<Switch>)]) -> Result<(), Problem> {
    services.record(audit).await?;
    for (trigger, aim) in aims {
        if let Some(to) = aim {
            switchboard(services)?.switch(&trigger.consumer.id, *to).await?;
        }
    }
    Ok(())
}

/// What somebody wants of the consumers: of one queue's, or of all.
#[derive(Debug, Clone, Copy)]
struct Wish {
    queue: Option<QueueName>,
    to: Switch,
}

impl Wish {
    /// What each consumer is to be set to; `None`: it isn't meant. Where restarts end with it that would have switched
    /// all consumers on, those that aren't meant are switched on as well.
    fn aims<'a>(self, triggers: &'a [Trigger], ended: &[Uuid]) -> Vec<(&'a Trigger, Option<Switch>)> {
        let aim = |trigger: &'a Trigger| {
            let is_meant = self.queue.is_none_or(|queue| queue == trigger.queue);
            let of_restart = (!ended.is_empty()).then_some(Switch::On);
            (trigger, if is_meant { Some(self.to) } else { of_restart })
        };
        triggers.iter().map(aim).collect()
    }

    fn audit(
        self,
        caller: &Caller,
        change: &Change,
        aims: &[(&Trigger, Option<Switch>)],
        ended: &[Uuid],
    ) -> Done {
        let (mut before, mut after) = (Map::new(), Map::new());
        for (trigger, aim) in aims {
            let Some(to) = aim else { continue };
            let queue = trigger.queue.as_str().to_owned();
            let was_on = trigger.consumer.standing.is_or_becomes(Switch::On);
            before.insert(queue.clone(), was_on.into());
            after.insert(queue, to.is_on().into());
        }
        let meant = self
            .queue
            .map_or_else(|| QueueName::HAND_OFF.to_vec(), |queue| vec![queue]);
        let names: Vec<&str> = meant.iter().map(|queue| queue.as_str()).collect();
        Done {
            by: caller.clone(),
            action: match self.to {
                Switch::On => "consumers.start",
                Switch::Off => "consumers.stop",
            },
            arguments: change.with_reason(json!({ "queues": names })),
            effect: json!({ "before": before, "after": after, "restartsEnded": ended }),
        }
    }
}

impl Trigger {
    /// What it would be once it is switched.
    fn as_if(&self, to: Switch) -> Self {
        let mut trigger = self.clone();
        if !trigger.consumer.standing.is_or_becomes(to) {
            let (standing, state) = match to {
                Switch::On => (Standing::TurningOn, "Enabling"),
                Switch::Off => (Standing::TurningOff, "Disabling"),
            };
            trigger.consumer.standing = standing;
            trigger.consumer.state = state.to_owned();
        }
        trigger
    }
}

/// The switches of the consumers, where this deployment has any.
pub(crate) fn switchboard(services: &Services) -> Result<&Consumers, Problem> {
    services.consumers.as_ref().ok_or_else(|| {
        Problem::new(
            Kind::NotPossible,
            "This deployment has no consumers that the operator knows of.",
        )
        .remedy(
            "Set GRANARY_EXPORTER_FUNCTION of the operator to the exporter's name, as template.yaml does.",
        )
    })
}

/// The consumers of our queues as they stand. What the exporter takes from besides is none of ours.
pub(crate) async fn look(services: &Services) -> Result<Vec<Trigger>, Problem> {
    let consumers = switchboard(services)?.look().await?;
    let ours = consumers.into_iter().filter_map(|consumer| {
        let lane = services.handoff.lane_of(&consumer.source_arn)?;
        Some(Trigger {
            queue: QueueName::of_lane(lane),
            consumer,
        })
    });
    let ours: Vec<Trigger> = ours.collect();
    if ours.is_empty() {
        return Err(Problem::new(
            Kind::NotPossible,
            "No queue of this deployment triggers its exporter.",
        )
        .remedy("Check GRANARY_EXPORTER_FUNCTION of the operator, and whether the deployment is complete."));
    }
    Ok(ours)
}

/// One word for all of them.
pub(crate) fn status_of(triggers: &[Trigger]) -> ConsumersStanding {
    let standings = || triggers.iter().map(|trigger| trigger.consumer.standing);
    if standings().any(Standing::is_changing) {
        ConsumersStanding::Changing
    } else if standings().all(|standing| standing == Standing::On) {
        ConsumersStanding::Running
    } else if standings().all(|standing| standing == Standing::Off) {
        ConsumersStanding::Stopped
    } else {
        ConsumersStanding::Partly
    }
}

impl From<&Trigger> for ShownConsumer {
    fn from(Trigger { queue, consumer }: &Trigger) -> Self {
        Self {
            id: consumer.id.clone(),
            queue: *queue,
            state: consumer.state.clone(),
            enabled: consumer.standing.is_or_becomes(Switch::On),
            batch_size: consumer.batch_size,
            maximum_concurrency: consumer.concurrency_max,
            modified_at: consumer.modified_at,
            last_result: consumer.last_result.clone(),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn trigger(queue: QueueName, standing: Standing) -> Trigger {
        Trigger {
            queue,
            consumer: Consumer {
                id: format!("id-{}", queue.as_str()),
                source_arn: String::new(),
                state: String::new(),
                standing,
                batch_size: Some(1),
                concurrency_max: Some(4),
                modified_at: None,
                last_result: None,
            },
        }
    }

    #[test]
    fn one_word_says_how_both_stand() {
        let status = |normal, priority| {
            status_of(&[
                trigger(QueueName::Batches, normal),
                trigger(QueueName::BatchesPriority, priority),
            ])
        };
        assert_eq!(status(Standing::On, Standing::On), ConsumersStanding::Running);
        assert_eq!(status(Standing::On, Standing::Off), ConsumersStanding::Partly);
        assert_eq!(status(Standing::Off, Standing::Off), ConsumersStanding::Stopped);
        assert_eq!(
            status(Standing::TurningOff, Standing::Off),
            ConsumersStanding::Changing
        );
    }

    #[test]
    fn where_a_restart_ends_with_it_the_others_come_on_as_it_would_have_had_them() {
        let triggers = [
            trigger(QueueName::Batches, Standing::Off),
            trigger(QueueName::BatchesPriority, Standing::Off),
        ];
        let aims = |to, ended: &[Uuid]| {
            let queue = Some(QueueName::Batches);
            let aims = Wish { queue, to }.aims(&triggers, ended);
            aims.into_iter().map(|(_, aim)| aim).collect::<Vec<_>>()
        };
        assert_eq!(aims(Switch::On, &[]), [Some(Switch::On), None]);
        assert_eq!(
            aims(Switch::Off, &[Uuid::nil()]),
            [Some(Switch::Off), Some(Switch::On)]
        );
    }

    #[test]
    fn a_dry_run_shows_what_would_be_on_its_way() {
        let on = trigger(QueueName::Batches, Standing::On);
        assert_eq!(on.as_if(Switch::Off).consumer.standing, Standing::TurningOff);
        assert_eq!(on.as_if(Switch::On), on);
    }
}
