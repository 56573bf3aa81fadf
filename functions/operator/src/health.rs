//! `GET /health`, `/health/live`, `/health/ready`: whether this deployment could do its work now.

use crate::answer::Answer;
use crate::auth::Role;
use crate::problem::{Kind, Problem};
use crate::services::Services;
use axum::Extension;
use axum::extract::State;
use serde_json::{Value, json};
use std::fmt::Display;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// Somebody waits for the answer, and an ill service answers late or never.
const CHECK_SECS_MAX: u64 = 2;

/// One service, looked at.
struct Check {
    service: &'static str,
    took: Duration,
    /// What is wrong with it.
    illness: Option<String>,
}

impl Check {
    /// Waits for a look at a service, but not for long.
    async fn of<E: Display>(service: &'static str, look: impl Future<Output = Result<(), E>>) -> Self {
        let started = Instant::now();
        let illness = match timeout(Duration::from_secs(CHECK_SECS_MAX), look).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some(format!("no answer within {CHECK_SECS_MAX} s")),
        };
        Self {
            service,
            took: started.elapsed(),
            illness,
        }
    }

    fn shown(&self) -> Value {
        json!({
            "service": self.service,
            "status": if self.illness.is_none() { "up" } else { "down" },
            "milliseconds": u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX),
            "reason": self.illness,
        })
    }
}

/// That the process answers. Touches nothing, and needs no token.
pub(crate) async fn live() -> Answer {
    Answer::ok(json!({ "status": "up" }))
}

/// Every service that a message meets on its way, ill or not.
pub(crate) async fn overview(State(services): State<Arc<Services>>, role: Extension<Role>) -> Answer {
    let checks = check_all(&services).await;
    let is_well = checks.iter().all(|check| check.illness.is_none());
    Answer::ok(json!({
        "status": if is_well { "up" } else { "degraded" },
        "services": checks.iter().map(Check::shown).collect::<Vec<_>>(),
        "role": role.as_str(),
        "version": env!("CARGO_PKG_VERSION"),
        "source": services.config.archive.source_name,
    }))
}

/// Whether all of them are well: 200, or 503 with those that aren't.
pub(crate) async fn ready(State(services): State<Arc<Services>>) -> Result<Answer, Problem> {
    let checks = check_all(&services).await;
    let ill: Vec<&Check> = checks.iter().filter(|check| check.illness.is_some()).collect();
    if ill.is_empty() {
        return Ok(Answer::ok(json!({ "status": "ready" })));
    }
    let names: Vec<&str> = ill.iter().map(|check| check.service).collect();
    Err(
        Problem::new(Kind::NotReady, format!("Not well: {}.", names.join(", ")))
            .with("services", ill.iter().map(|check| check.shown()).collect()),
    )
}

async fn check_all(services: &Services) -> Vec<Check> {
    let (ledger, source, archive, queues) = tokio::join!(
        Check::of("ledger", check_ledger(services)),
        Check::of("source", check_source(services)),
        Check::of("archive", services.archive.check()),
        Check::of("queues", check_queues(services)),
    );
    vec![ledger, source, archive, queues]
}

async fn check_ledger(services: &Services) -> Result<(), String> {
    let ledger = services
        .ledger()
        .await
        .map_err(|problem| problem.reason().to_owned())?;
    ledger.ping().await.map_err(|error| error.to_string())
}

async fn check_source(services: &Services) -> Result<(), String> {
    services.source.check().await.map_err(|problems| {
        let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
        texts.join("; ")
    })
}

async fn check_queues(services: &Services) -> Result<(), String> {
    for queues in [Some(&services.handoff), services.dead_letters.as_ref()]
        .into_iter()
        .flatten()
    {
        queues
            .check()
            .await
            .map_err(|error| format!("{error}. {}", error.remedy()))?;
    }
    Ok(())
}
