//! `GET /health`, `/health/live`, `/health/ready`: whether this deployment could do its work now.

use crate::services::Services;
use crate::web::answer::Answer;
use crate::web::caller::Caller;
use crate::web::problem::{Kind, Problem};
use axum::Extension;
use axum::extract::State;
use granary_environment::Transport;
use serde::Serialize;
use serde_json::json;
use std::fmt::Display;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::timeout;
use utoipa::ToSchema;

/// Somebody waits for the answer, and an ill service answers late or never.
const CHECK_SECS_MAX: u64 = 2;

/// That every service is well.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Ready {
    /// Always `ready`.
    #[schema(examples("ready"))]
    status: &'static str,
}

/// How the services are.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HealthOverview {
    /// Whether all of them are well.
    status: OverallHealth,
    /// Each service that a message meets on its way.
    services: Vec<ServiceHealth>,
    /// What this token may do: `viewer` or `operator`.
    #[schema(examples("operator"))]
    role: &'static str,
    /// The name of this token.
    #[schema(examples("ada"))]
    name: String,
    /// Granary's version.
    #[schema(examples("0.1.0"))]
    version: &'static str,
    /// The source's name.
    #[schema(examples("messages"))]
    source: String,
}

/// Whether all services are well.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OverallHealth {
    /// All are.
    Up,
    /// At least one is not.
    Degraded,
}

/// How a service is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ServiceHealth {
    /// Which: `ledger`, `source`, `archive`, `queues`.
    #[schema(examples("ledger"))]
    service: &'static str,
    /// Whether it answers as it should.
    status: ServiceStatus,
    /// How long its answer took, in milliseconds.
    milliseconds: u64,
    /// What is wrong with it; `null`: nothing.
    reason: Option<String>,
    /// How connections to it are protected: `tls`, `local` (not encrypted, on this machine), or `plain` (not encrypted);
    /// `null`: AWS's own client decides.
    #[schema(examples("tls"))]
    connection: Option<&'static str>,
}

/// Whether a service answers as it should.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ServiceStatus {
    /// It does.
    Up,
    /// It doesn't.
    Down,
}

/// One service, looked at.
struct Check {
    service: &'static str,
    took: Duration,
    /// What is wrong with it.
    illness: Option<String>,
    /// `None`: AWS's own client decides.
    transport: Option<Transport>,
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
            transport: None,
        }
    }

    fn by(self, transport: Transport) -> Self {
        Self {
            transport: Some(transport),
            ..self
        }
    }

    fn shown(&self) -> ServiceHealth {
        ServiceHealth {
            service: self.service,
            status: match self.illness {
                None => ServiceStatus::Up,
                Some(_) => ServiceStatus::Down,
            },
            milliseconds: u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX),
            reason: self.illness.clone(),
            connection: self.transport.map(Transport::as_str),
        }
    }
}

/// Whether the process answers
///
/// Touches nothing.
#[utoipa::path(get, path = "/health/live")]
pub(crate) async fn live() -> Answer<Live> {
    Answer::ok(Live { status: "up" })
}

/// The process answers.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Live {
    #[schema(example = "up")]
    status: &'static str,
}

/// How the services are
///
/// Every service that a message meets on its way, ill or not; the answer is always 200.
#[utoipa::path(get, path = "/health")]
pub(crate) async fn overview(
    State(services): State<Arc<Services>>,
    caller: Extension<Caller>,
) -> Answer<HealthOverview> {
    let checks = check_all(&services).await;
    let is_well = checks.iter().all(|check| check.illness.is_none());
    Answer::ok(HealthOverview {
        status: if is_well {
            OverallHealth::Up
        } else {
            OverallHealth::Degraded
        },
        services: checks.iter().map(Check::shown).collect(),
        role: caller.role().as_str(),
        name: caller.name().to_owned(),
        version: env!("CARGO_PKG_VERSION"),
        source: services.config.archive.source_name.to_string(),
    })
}

/// Whether everything is well
///
/// 200, or 503 with the services that are ill; each has two seconds to answer.
#[utoipa::path(get, path = "/health/ready")]
pub(crate) async fn ready(State(services): State<Arc<Services>>) -> Result<Answer<Ready>, Problem> {
    let checks = check_all(&services).await;
    let ill: Vec<&Check> = checks.iter().filter(|check| check.illness.is_some()).collect();
    if ill.is_empty() {
        return Ok(Answer::ok(Ready { status: "ready" }));
    }
    let names: Vec<&str> = ill.iter().map(|check| check.service).collect();
    Err(
        Problem::new(Kind::NotReady, format!("Not well: {}.", names.join(", "))).with(
            "services",
            json!(ill.iter().map(|check| check.shown()).collect::<Vec<_>>()),
        ),
    )
}

async fn check_all(services: &Services) -> Vec<Check> {
    let (ledger, source, archive, queues) = tokio::join!(
        Check::of("ledger", check_ledger(services)),
        Check::of("source", check_source(services)),
        Check::of("archive", services.archive.check()),
        Check::of("queues", check_queues(services)),
    );
    vec![
        ledger.by(services.ledger_transport()),
        source.by(services.source_transport()),
        archive,
        queues,
    ]
}

async fn check_ledger(services: &Services) -> Result<(), String> {
    let ledger = services
        .ledger()
        .await
        .map_err(|problem| problem.reason().to_owned())?;
    ledger.ping().await.map_err(|error| error.to_string())
}

async fn check_source(services: &Services) -> Result<(), String> {
    let survey = services.source.survey().await;
    let refused: Vec<String> = survey.refusals().iter().map(ToString::to_string).collect();
    match refused.is_empty() {
        true => Ok(()),
        false => Err(refused.join("; ")),
    }
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
