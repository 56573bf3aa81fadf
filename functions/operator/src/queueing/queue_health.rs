//! `GET /queue/health` and `/queue/consumers/health`: whether batches could go their way now, and if not, why.
//!
//! Each check stands alone and has its time: what can't be asked is `down`, and the others are told all the same. The answer
//! is always 200; `GET /health/ready` is what a load balancer asks.

use crate::looking::health::OverallHealth;
use crate::queueing::queue_name::QueueName;
use crate::services::Services;
use crate::switching::consumers::{self, ConsumersStanding, Trigger};
use crate::switching::restart;
use crate::web::answer::Answer;
use crate::web::problem::Problem;
use axum::extract::State;
use granary_ledger::settings::Stage;
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use utoipa::ToSchema;

/// Somebody waits for the answer, and an ill service answers late or never.
const CHECK_SECS_MAX: u64 = 3;
/// The ticks send every minute.
const UNSENT_SECS_MAX: u64 = 300;

/// How the queues or the consumers are.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct QueueHealth {
    /// `up`: each check is `up`, or `unknown`.
    status: OverallHealth,
    /// What was looked at.
    checks: Vec<HealthCheck>,
}

/// One thing that was looked at.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HealthCheck {
    /// What: of the queues `queues`, `deadLetters`, `triggers`, `export`, `outbox`; of the consumers `triggers`, `export`,
    /// `restart`, `leases`.
    #[schema(examples("deadLetters"))]
    check: &'static str,
    /// What the look came to.
    status: CheckStatus,
    /// Why it isn't `up`, and what to do; `null` where it is.
    reason: Option<String>,
}

/// What a look came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum CheckStatus {
    /// It is well.
    Up,
    /// It works, and somebody should look at it.
    Degraded,
    /// It doesn't work, or doesn't answer.
    Down,
    /// This deployment doesn't say where it is.
    Unknown,
}

/// What a look came to, and why where it isn't well.
pub(crate) enum Finding {
    Well,
    /// It works, and somebody should look at it.
    Worrying(String),
    /// This deployment doesn't say where it is.
    Unknown(String),
}

/// Whether batches could go their way now
///
/// Each check stands alone; the answer is always 200.
#[utoipa::path(get, path = "/queue/health")]
pub(crate) async fn of_queues(State(services): State<Arc<Services>>) -> Answer<QueueHealth> {
    let (queues, dead_letters, triggers, export, outbox) = tokio::join!(
        check("queues", queues_answer(&services)),
        check("deadLetters", dead_letters(&services)),
        check("triggers", triggers(&services)),
        check("export", export(&services)),
        check("outbox", outbox(&services)),
    );
    answer_of(vec![queues, dead_letters, triggers, export, outbox])
}

/// Whether batches are taken from the queues now
///
/// Each check stands alone; the answer is always 200.
#[utoipa::path(get, path = "/queue/consumers/health")]
pub(crate) async fn of_consumers(State(services): State<Arc<Services>>) -> Answer<QueueHealth> {
    let (triggers, export, restart, leases) = tokio::join!(
        check("triggers", triggers(&services)),
        check("export", export(&services)),
        check("restart", no_restart(&services)),
        check("leases", leases(&services)),
    );
    answer_of(vec![triggers, export, restart, leases])
}

fn answer_of(checks: Vec<HealthCheck>) -> Answer<QueueHealth> {
    let is_well = |check: &HealthCheck| matches!(check.status, CheckStatus::Up | CheckStatus::Unknown);
    let status = if checks.iter().all(is_well) {
        OverallHealth::Up
    } else {
        OverallHealth::Degraded
    };
    Answer::ok(QueueHealth { status, checks })
}

async fn check(name: &'static str, look: impl Future<Output = Result<Finding, Problem>>) -> HealthCheck {
    let (status, reason) = match timeout(Duration::from_secs(CHECK_SECS_MAX), look).await {
        Ok(Ok(Finding::Well)) => (CheckStatus::Up, None),
        Ok(Ok(Finding::Worrying(reason))) => (CheckStatus::Degraded, Some(reason)),
        Ok(Ok(Finding::Unknown(reason))) => (CheckStatus::Unknown, Some(reason)),
        Ok(Err(problem)) => (CheckStatus::Down, Some(problem.reason().to_owned())),
        Err(_) => (
            CheckStatus::Down,
            Some(format!("no answer within {CHECK_SECS_MAX} s")),
        ),
    };
    HealthCheck {
        check: name,
        status,
        reason,
    }
}

async fn queues_answer(services: &Services) -> Result<Finding, Problem> {
    services.handoff.check().await?;
    Ok(Finding::Well)
}

pub(crate) async fn dead_letters(services: &Services) -> Result<Finding, Problem> {
    let Some(queues) = &services.dead_letters else {
        return Ok(Finding::Unknown(
            "GRANARY_DLQ_URL and GRANARY_PRIORITY_DLQ_URL are not set".to_owned(),
        ));
    };
    let depth = queues.depth().await?;
    let counts = QueueName::DEAD
        .into_iter()
        .zip([depth.normal.held(), depth.priority.held()]);
    let filled: Vec<String> = counts
        .filter(|(_, held)| *held > 0)
        .map(|(queue, held)| format!("{held} in {}", queue.as_str()))
        .collect();
    if filled.is_empty() {
        return Ok(Finding::Well);
    }
    Ok(Finding::Worrying(format!(
        "{}: not understood, or the ledger was away five times; POST /queue/retry-dlq moves them back",
        filled.join(", ")
    )))
}

pub(crate) async fn triggers(services: &Services) -> Result<Finding, Problem> {
    if services.consumers.is_none() {
        return Ok(Finding::Unknown(
            "GRANARY_EXPORTER_FUNCTION is not set".to_owned(),
        ));
    }
    let triggers = consumers::look(services).await?;
    let expected = QueueName::HAND_OFF.len();
    if triggers.len() < expected {
        return Ok(Finding::Worrying(format!(
            "only {} of {expected} queues trigger exporters",
            triggers.len()
        )));
    }
    Ok(match consumers::status_of(&triggers) {
        ConsumersStanding::Running => Finding::Well,
        ConsumersStanding::Stopped | ConsumersStanding::Partly | ConsumersStanding::Changing => {
            Finding::Worrying(told(&triggers))
        }
    })
}

fn told(triggers: &[Trigger]) -> String {
    let states: Vec<String> = triggers
        .iter()
        .map(|trigger| format!("{} is {}", trigger.queue.as_str(), trigger.consumer.state))
        .collect();
    format!(
        "{}; POST /queue/consumers/start switches them on",
        states.join(", ")
    )
}

async fn export(services: &Services) -> Result<Finding, Problem> {
    let pause = services.ledger().await?.pause_of(Stage::Export).await?;
    Ok(pause.map_or(Finding::Well, |pause| {
        Finding::Worrying(format!(
            "paused by {} since {}; POST /resume ends it",
            pause.by, pause.since
        ))
    }))
}

pub(crate) async fn outbox(services: &Services) -> Result<Finding, Problem> {
    let oldest = services.ledger().await?.oldest_unsent().await?;
    Ok(match oldest {
        Some(oldest) if oldest.age.as_secs() > UNSENT_SECS_MAX => Finding::Worrying(format!(
            "batch {} waits to be sent since {}: see whether the schedules run and the export isn't paused",
            oldest.batch_id, oldest.since
        )),
        Some(_) | None => Finding::Well,
    })
}

async fn no_restart(services: &Services) -> Result<Finding, Problem> {
    let under_way = restart::under_way(services).await?;
    Ok(under_way.map_or(Finding::Well, |restart| {
        Finding::Worrying(format!(
            "a restart is under way since {}: GET {} goes on with it",
            restart.operation.created_at, restart.operation.status_url
        ))
    }))
}

pub(crate) async fn leases(services: &Services) -> Result<Finding, Problem> {
    let in_flight = services.ledger().await?.in_flight().await?;
    if in_flight.overdue == 0 {
        return Ok(Finding::Well);
    }
    Ok(Finding::Worrying(format!(
        "{} attempts have lost their worker; the reaper takes their batches back within a minute",
        in_flight.overdue
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::switching::consumers::tests::trigger;
    use granary_switchboard::Standing;

    #[tokio::test]
    async fn what_is_not_configured_is_not_ill_and_what_can_not_be_asked_is() {
        let unknown = check("deadLetters", async { Ok(Finding::Unknown("not set".into())) }).await;
        let well = check("queues", async { Ok(Finding::Well) }).await;
        let down = check("export", async {
            Err(Problem::new(
                crate::web::problem::Kind::Unavailable,
                "The ledger is down.",
            ))
        })
        .await;
        assert_eq!(
            (unknown.status, well.status),
            (CheckStatus::Unknown, CheckStatus::Up)
        );
        assert_eq!(
            (down.status, down.reason.as_deref()),
            (CheckStatus::Down, Some("The ledger is down."))
        );
    }

    #[test]
    fn triggers_that_are_off_are_told_with_the_way_to_switch_them_on() {
        let mut off = trigger(QueueName::Batches, Standing::Off);
        off.consumer.state = "Disabled".into();
        let told = told(&[off]);
        assert!(
            told.contains("batches is Disabled") && told.contains("/queue/consumers/start"),
            "{told}"
        );
    }
}
