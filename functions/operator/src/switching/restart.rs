//! `POST /queue/consumers/restart`: off, wait until nobody is at work, on.
//!
//! A restart is on record before anything is switched, so that one that breaks off goes on instead of leaving the
//! consumers off: with the next look at it (`GET /operations/{id}`, `/queue/consumers/status`, `/queue/monitoring`), from
//! whatever AWS and the ledger show then. Nothing but its phase is remembered, and the phase is written down before it is
//! acted on. The reaper may not switch consumers and so doesn't work on it; it tells people of one that lasts too long.
//!
//! One slice at a time, by lease, which outlives the operator's longest request: nobody switches under a lease that
//! is somebody else's. Not responsible for switching (`granary-switchboard`).

use crate::operating::operations::{self, OperationAnswer, OperationSummary};
use crate::services::{Done, Services};
use crate::switching::consumers::{self, ShownConsumer, Trigger};
use crate::web::answer::Answer;
use crate::web::caller::Caller;
use crate::web::change::{Change, ChangeBody};
use crate::web::fields::BodyFields;
use crate::web::problem::{Kind, Problem};
use axum::Extension;
use axum::extract::State;
use granary_ledger::Ledger;
use granary_ledger::export::Fenced;
use granary_ledger::jobs::{CONSUMERS_RESTART, NewOperation, Operation, OperationFilter, OperationSlice};
use granary_switchboard::{Standing, Switch, SwitchError};
use serde::Serialize;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};
use utoipa::ToSchema;
use uuid::Uuid;

/// What people are told who don't see its end at once.
const WAITS: &str =
    "The consumers are off until nobody is at work any more. Each look at statusUrl goes on with it.";
/// How long whoever asks for a restart is kept waiting.
const ASKED_SECS_MAX: u64 = 7;
/// How long whoever only looks is.
const LOOKED_AT_SECS_MAX: u64 = 2;
/// Longer than a request of the operator may take.
const LEASE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(500);
/// More are never under way but by a race: who asks for a second one gets the first.
const UNDER_WAY_MAX: u32 = 5;

/// What a restart does now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// It switches off, and waits until nobody is at work.
    Off,
    /// It switches on.
    On,
}

/// What a restart does next.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Move {
    /// Set these consumers' switches.
    Set(Vec<String>, Switch),
    /// AWS is still switching, or somebody is at work.
    Wait,
    /// Nobody is at work any more.
    TurnOn,
    /// They are on.
    Finish,
}

impl Phase {
    fn of(progress: Option<&Value>) -> Self {
        match progress.and_then(|progress| progress["turnsOn"].as_bool()) {
            Some(true) => Self::On,
            Some(false) | None => Self::Off,
        }
    }

    /// From what AWS and the ledger show.
    fn next(self, triggers: &[Trigger], in_flight: u64) -> Move {
        let wanted = match self {
            Self::Off => Switch::Off,
            Self::On => Switch::On,
        };
        let opposite = match wanted {
            Switch::On => Standing::Off,
            Switch::Off => Standing::On,
        };
        let to_set = triggers.iter().map(|trigger| &trigger.consumer);
        let to_set: Vec<String> = to_set
            .filter(|consumer| consumer.standing == opposite)
            .map(|consumer| consumer.id.clone())
            .collect();
        let is_changing = triggers
            .iter()
            .any(|trigger| trigger.consumer.standing.is_changing());
        match self {
            Self::Off | Self::On if !to_set.is_empty() => Move::Set(to_set, wanted),
            Self::Off if is_changing || in_flight > 0 => Move::Wait,
            Self::On if is_changing => Move::Wait,
            Self::Off => Move::TurnOn,
            Self::On => Move::Finish,
        }
    }
}

/// A restart of the consumers that is under way.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RestartUnderWay {
    #[serde(flatten)]
    pub(crate) operation: OperationSummary,
    /// `off`: the consumers are being switched off; `idle`: they are off, and somebody is still at work; `on`: they are
    /// being switched on; `null`: it hasn't begun.
    #[schema(examples("idle"))]
    phase: Option<String>,
}

/// A restart that was foretold, or has come to its end.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum RestartDone {
    /// What it would do.
    Foretold(RestartForetold),
    /// What it did.
    Restarted(Box<OperationAnswer>),
}

/// What a restart would do.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RestartForetold {
    /// It was only foretold: nothing was switched.
    dry_run: bool,
    /// The consumers as they stand.
    consumers: Vec<ShownConsumer>,
    /// Attempts at exporting a batch that would be waited for.
    attempts_in_flight: u64,
    /// What that means, for people.
    message: &'static str,
}

/// Restart the consumers
///
/// They are switched off, and on again once nobody is at work any more. Where that takes longer, the answer is 202, and each look
/// at the operation goes on with it. Asked for again while one is under way, it is the same one.
#[utoipa::path(post, path = "/queue/consumers/restart", request_body = ChangeBody)]
pub(crate) async fn restart(
    State(services): State<Arc<Services>>,
    Extension(caller): Extension<Caller>,
    BodyFields(fields): BodyFields,
) -> Result<Answer<RestartDone, OperationAnswer>, Problem> {
    fields.only(&["dryRun", "reason"])?;
    let change = Change::read(&fields)?;
    let before = consumers::look(&services).await?;
    let ledger = services.ledger().await?;
    if change.is_dry_run {
        return Ok(Answer::ok(RestartDone::Foretold(RestartForetold {
            dry_run: true,
            consumers: before.iter().map(ShownConsumer::from).collect(),
            attempts_in_flight: ledger.in_flight().await?.in_flight,
            message: "They would be switched off, and on again once nobody is at work any more.",
        })));
    }
    let under_way = unfinished(ledger).await?.first().map(|restart| restart.id);
    let id = under_way.unwrap_or_else(Uuid::now_v7);
    // Who wanted it is written down first, also where it is under way.
    services
        .record(Done {
            by: caller.clone(),
            action: "consumers.restart",
            arguments: change.with_reason(json!({})),
            effect: json!({ "operationId": id, "before": consumers::status_of(&before), "after": "running" }),
        })
        .await?;
    if under_way.is_none() {
        let operation = NewOperation {
            id,
            kind: CONSUMERS_RESTART.to_owned(),
            arguments: change.with_reason(json!({})),
            requested_by: caller.to_string(),
        };
        ledger.make_operation(&operation).await?;
    }
    advance(
        &services,
        id,
        Instant::now() + Duration::from_secs(ASKED_SECS_MAX),
    )
    .await
    .map_err(|problem| problem.with("operationId", id.to_string().into()))?;
    let restarted = operations::operation(&services, id).await?;
    let told = operations::told(restarted, WAITS)?;
    Ok(told.answer(|operation| RestartDone::Restarted(Box::new(operation))))
}

/// Goes on with an operation where it is a restart that isn't over. Says whether it is.
pub(crate) async fn push(services: &Services, operation: &Operation) -> bool {
    if operation.kind != CONSUMERS_RESTART || operation.state.is_over() {
        return false;
    }
    let until = Instant::now() + Duration::from_secs(LOOKED_AT_SECS_MAX);
    if let Err(problem) = advance(services, operation.id, until).await {
        // Whoever looks at it sees that it isn't over; the next look tries again.
        tracing::warn!(operation = %operation.id, "a restart could not go on: {}", problem.reason());
    }
    true
}

/// Goes on with every restart that isn't over.
pub(crate) async fn push_all(services: &Services) {
    let Ok(ledger) = services.ledger().await else {
        return;
    };
    for restart in unfinished(ledger).await.into_iter().flatten() {
        push(services, &restart).await;
    }
}

/// The restart that is under way, as lists show it.
pub(crate) async fn under_way(services: &Services) -> Result<Option<RestartUnderWay>, Problem> {
    let restarts = unfinished(services.ledger().await?).await?;
    Ok(restarts.first().map(|restart| {
        let progress = restart.progress.as_ref();
        let phase = progress.and_then(|progress| progress["phase"].as_str());
        RestartUnderWay {
            operation: restart.into(),
            phase: phase.map(str::to_owned),
        }
    }))
}

/// The ids of the restarts that are under way.
pub(crate) async fn ids_under_way(services: &Services) -> Result<Vec<Uuid>, Problem> {
    let restarts = unfinished(services.ledger().await?).await?;
    Ok(restarts.iter().map(|restart| restart.id).collect())
}

/// Takes every restart that is under way into one's own hands, since somebody wants the consumers otherwise: nobody goes
/// on with it meanwhile. Whoever dies with it leaves it to the next look, once the lease is over.
pub(crate) async fn take_over(services: &Services) -> Result<Vec<OperationSlice>, Problem> {
    let mut taken = Vec::new();
    for id in ids_under_way(services).await? {
        match take_one(services, id).await {
            Ok(slice) => taken.extend(slice),
            Err(problem) => {
                give_back(services, &taken).await;
                return Err(problem);
            }
        }
    }
    Ok(taken)
}

/// `None`: it came to its end meanwhile.
async fn take_one(services: &Services, id: Uuid) -> Result<Option<OperationSlice>, Problem> {
    let claimed = services.ledger().await?.claim_operation(Some(id), LEASE).await?;
    if claimed.is_some() || operations::operation(services, id).await?.state.is_over() {
        return Ok(claimed);
    }
    let detail = format!("A restart of the consumers is in somebody's hands at this moment ({id}).");
    Err(Problem::new(Kind::NotPossible, detail)
        .remedy("Ask again in some seconds, after a minute at the most.")
        .with("operationId", id.to_string().into()))
}

/// Ends restarts that were taken over.
pub(crate) async fn end(services: &Services, taken: &[OperationSlice], by: Switch) -> Result<(), Problem> {
    let result = json!({ "endedBy": if by.is_on() { "start" } else { "stop" } });
    for slice in taken {
        services.ledger().await?.finish_operation(slice, &result).await?;
    }
    Ok(())
}

/// Leaves restarts that were taken over to the next look.
pub(crate) async fn give_back(services: &Services, taken: &[OperationSlice]) {
    for slice in taken {
        let given_back = match services.ledger().await {
            Ok(ledger) => ledger.release_operation(slice).await.map_err(Problem::from),
            Err(problem) => Err(problem),
        };
        if let Err(problem) = given_back {
            tracing::warn!(
                "the restart {} is free again only when its lease is over: {}",
                slice.id,
                problem.reason()
            );
        }
    }
}

async fn unfinished(ledger: &Ledger) -> Result<Vec<Operation>, Problem> {
    let mut restarts = ledger
        .operations(&OperationFilter::newest(CONSUMERS_RESTART, UNDER_WAY_MAX))
        .await?;
    restarts.retain(|restart| !restart.state.is_over());
    Ok(restarts)
}

/// Works on a restart that nobody else has in hand, until it is over or the time is. Where it can't go on it stays
/// unfinished, whatever the reason: the consumers may be off.
async fn advance(services: &Services, id: Uuid, until: Instant) -> Result<(), Problem> {
    let ledger = services.ledger().await?;
    let Some(slice) = ledger.claim_operation(Some(id), LEASE).await? else {
        return Ok(());
    };
    let worked = work_on(services, &slice, until).await;
    match &worked {
        Ok(Some(result)) => ledger.finish_operation(&slice, result).await?,
        Ok(None) | Err(_) => ledger.release_operation(&slice).await?,
    };
    worked.map(drop)
}

/// The result, where it came to its end.
async fn work_on(
    services: &Services,
    slice: &OperationSlice,
    until: Instant,
) -> Result<Option<Value>, Problem> {
    let ledger = services.ledger().await?;
    let switches = consumers::switchboard(services)?;
    let mut phase = Phase::of(slice.progress.as_ref());
    loop {
        let triggers = consumers::look(services).await?;
        let in_flight = ledger.in_flight().await?.in_flight;
        let next = phase.next(&triggers, in_flight);
        if next == Move::TurnOn {
            phase = Phase::On;
        }
        let progress = progress_of(phase, &triggers, in_flight);
        if ledger.save_progress(slice, &progress, LEASE).await? == Fenced::Refused {
            return Ok(None);
        }
        match next {
            Move::Set(ids, to) => {
                for id in ids {
                    match switches.switch(&id, to).await {
                        // It will have come somewhere by the next look.
                        Ok(()) | Err(SwitchError::BeingChanged { .. }) => {}
                        Err(error) => return Err(error.into()),
                    }
                }
            }
            Move::TurnOn => continue,
            Move::Wait => {}
            Move::Finish => {
                let consumers: Vec<ShownConsumer> = triggers.iter().map(ShownConsumer::from).collect();
                return Ok(Some(json!({ "consumers": consumers })));
            }
        }
        if Instant::now() + POLL >= until {
            return Ok(None);
        }
        tokio::time::sleep(POLL).await;
    }
}

/// For people, and for the next slice.
fn progress_of(phase: Phase, triggers: &[Trigger], in_flight: u64) -> Value {
    let is_off = |trigger: &Trigger| trigger.consumer.standing == Standing::Off;
    let name = match phase {
        Phase::Off if triggers.iter().all(is_off) => "idle",
        Phase::Off => "off",
        Phase::On => "on",
    };
    json!({
        "phase": name,
        "turnsOn": phase == Phase::On,
        "attemptsInFlight": in_flight,
        "consumers": triggers.iter().map(ShownConsumer::from).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queueing::queue_name::QueueName;
    use crate::switching::consumers::tests::trigger;

    fn both(normal: Standing, priority: Standing) -> [Trigger; 2] {
        [
            trigger(QueueName::Batches, normal),
            trigger(QueueName::BatchesPriority, priority),
        ]
    }

    #[test]
    fn nothing_is_switched_on_before_both_are_off_and_nobody_is_at_work() {
        use Standing::{Off, On, TurningOff};
        let next = |triggers: [Trigger; 2], in_flight| Phase::Off.next(&triggers, in_flight);
        let batches = vec!["id-batches".to_owned()];
        assert_eq!(next(both(On, Off), 0), Move::Set(batches, Switch::Off));
        assert_eq!(next(both(TurningOff, Off), 0), Move::Wait);
        assert_eq!(next(both(Off, Off), 1), Move::Wait);
        assert_eq!(next(both(Off, Off), 0), Move::TurnOn);
    }

    #[test]
    fn a_restart_is_over_when_both_are_on_whoever_is_at_work_by_then() {
        use Standing::{Off, On, TurningOff, TurningOn};
        let next = |triggers: [Trigger; 2]| Phase::On.next(&triggers, 3);
        let priority = vec!["id-batches-priority".to_owned()];
        assert_eq!(next(both(On, Off)), Move::Set(priority, Switch::On));
        assert_eq!(next(both(On, TurningOn)), Move::Wait);
        assert_eq!(next(both(TurningOff, On)), Move::Wait);
        assert_eq!(next(both(On, On)), Move::Finish);
    }

    #[test]
    fn a_restart_that_broke_off_goes_on_in_its_phase() {
        let triggers = both(Standing::Off, Standing::Off);
        for phase in [Phase::Off, Phase::On] {
            assert_eq!(Phase::of(Some(&progress_of(phase, &triggers, 0))), phase);
        }
        assert_eq!(Phase::of(None), Phase::Off);
        assert_eq!(progress_of(Phase::Off, &triggers, 2)["phase"], "idle");
    }
}
