//! Long jobs: asked for here, worked on here while somebody waits, and by the reaper's ticks afterwards.
//!
//! What is done within some seconds is answered with its result; anything else with 202 and the address under which
//! `GET /operations/{id}` tells how far it is. A job that was put on record is never lost by what happens after.

use crate::answer::Answer;
use crate::auth::Role;
use crate::fields::Fields;
use crate::problem::{Kind, Problem};
use crate::purge::PurgeWish;
use crate::seed::seeding_section;
use crate::services::{Done, Services};
use axum::extract::{Path, State};
use granary_ledger::{Operation, OperationState};
use granary_operations::{AskError, Budget, Desk, Job, PurgeArguments};
use granary_seeding::{SeedError, Seeder, SeedingTarget};
use granary_sweep::{SweepArguments, Sweeper};
use granary_verify::{Repair, Verifier, VerifyArguments};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// How long somebody is kept waiting. A step that has begun goes on to its end, and API Gateway waits for 30 s.
const WORK_SECS_MAX: u64 = 8;
/// What one step can compare in the time that is left then.
const MESSAGES_PER_STEP_MAX: u64 = 100_000;
const LIST_DEFAULT: u32 = 20;
const LIST_MAX: u32 = 100;

/// What somebody wants done.
pub(crate) enum Wish {
    /// A verdict.
    Verify(VerifyArguments),
    /// No objects that nobody recorded.
    Sweep(SweepArguments),
    /// A smaller ledger.
    Purge(PurgeWish),
    /// Test messages.
    Seed {
        count: u64,
        seed: Option<u64>,
        hours: Option<u32>,
    },
    /// No more test messages.
    Clear,
}

/// Puts a job on record, and works on it for as long as somebody may be kept waiting. Who wanted it is written down first:
/// nothing is ever done that nobody answers for.
pub(crate) async fn ask(services: &Services, role: Role, wish: Wish) -> Result<Answer, Problem> {
    let until = Instant::now() + Duration::from_secs(WORK_SECS_MAX);
    let desk = desk(services).await?;
    let job = job_of(services, role, wish).await?;
    let id = Uuid::now_v7();
    let arguments = job.arguments().map_err(anyhow::Error::from)?;
    let effect = json!({ "operationId": id });
    services
        .record(Done {
            by: role,
            action: action_of(&job),
            arguments,
            effect,
        })
        .await?;
    desk.ask_as(id, &job, role.as_str()).await?;
    let budget = Budget {
        until,
        messages_max: MESSAGES_PER_STEP_MAX,
    };
    if let Err(error) = work_on(desk, id, budget).await {
        tracing::warn!("the job {id} is left to the reaper: {error:#}");
    }
    answer_of(operation(services, id).await?)
}

/// On a thread of its own: the compiler can't prove that the desk's futures may move between threads.
async fn work_on(desk: Desk, id: Uuid, budget: Budget) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Handle::current();
    tokio::task::spawn_blocking(move || runtime.block_on(desk.advance(Some(id), &budget))).await??;
    Ok(())
}

/// `GET /operations/{id}`.
pub(crate) async fn status(
    State(services): State<Arc<Services>>,
    Path(id): Path<String>,
) -> Result<Answer, Problem> {
    let id = id
        .parse()
        .map_err(|_| Problem::invalid("id", format!("{id:?} is not the uuid of an operation.")))?;
    Ok(Answer::ok(
        json!({ "operation": operation(&services, id).await? }),
    ))
}

/// The newest operations of a kind, up to the `limit` that is asked for.
pub(crate) async fn list(services: &Services, query: &Fields, kind: &str) -> Result<Vec<Operation>, Problem> {
    query.only(&["limit"])?;
    let limit = query.number("limit", 1..=LIST_MAX)?.unwrap_or(LIST_DEFAULT);
    Ok(services.ledger().await?.operations(kind, limit).await?)
}

/// What a list shows of an operation, with members that only its kind has; `GET /operations/{id}` has the rest.
pub(crate) fn summary<const N: usize>(operation: &Operation, members: [(&str, Value); N]) -> Value {
    let mut shown = json!({
        "operationId": operation.id,
        "statusUrl": format!("/operations/{}", operation.id),
        "state": operation.state,
        "error": operation.error,
        "requestedBy": operation.requested_by,
        "createdAt": operation.created_at,
        "finishedAt": operation.finished_at,
    });
    for (name, value) in members {
        shown[name] = value;
    }
    shown
}

async fn operation(services: &Services, id: Uuid) -> Result<Operation, Problem> {
    let operation = services.ledger().await?.operation(id).await?;
    let mut operation =
        operation.ok_or_else(|| Problem::new(Kind::NotFound, format!("There is no operation {id}.")))?;
    if operation.state.is_over() {
        // The result says it all, once more.
        operation.progress = None;
    }
    Ok(operation)
}

fn answer_of(operation: Operation) -> Result<Answer, Problem> {
    let id = operation.id;
    let status_url = format!("/operations/{id}");
    match operation.state {
        OperationState::Succeeded => Ok(Answer::ok(json!({
            "operationId": id, "statusUrl": status_url, "result": operation.result, "operation": operation,
        }))),
        OperationState::Waiting | OperationState::Running => Ok(Answer::accepted(json!({
            "operationId": id, "statusUrl": status_url, "operation": operation,
            "message": "This takes longer; the reaper goes on with it, a slice a minute.",
        }))),
        OperationState::Failed => {
            let error = operation
                .error
                .as_deref()
                .unwrap_or("it ended without saying why");
            Err(
                Problem::new(Kind::OperationFailed, format!("The operation failed: {error}."))
                    .with("operationId", id.to_string().into())
                    .with("statusUrl", status_url.into()),
            )
        }
    }
}

/// The names under which the audit has them.
fn action_of(job: &Job) -> &'static str {
    match job {
        Job::Verify(arguments) if arguments.repair == Repair::On => "verify.repair",
        Job::Verify(_) => "verify.start",
        Job::Sweep(_) => "sweep.start",
        Job::Purge(_) => "purge.start",
        Job::Seed(_) => "seed.write",
        Job::Clear => "seed.clear",
    }
}

async fn job_of(services: &Services, role: Role, wish: Wish) -> Result<Job, Problem> {
    match wish {
        Wish::Verify(arguments) => Ok(Job::Verify(arguments)),
        Wish::Sweep(arguments) => Ok(Job::Sweep(arguments)),
        Wish::Purge(wish) => Ok(Job::Purge(PurgeArguments {
            before: wish.before,
            dry_run: wish.dry_run,
            horizon_secs: services.config.rescan.horizon.as_secs(),
            requested_by: role.to_string(),
        })),
        Wish::Seed { count, seed, hours } => Ok(Job::Seed(
            seeder(services).await?.arguments(count, seed, hours).await?,
        )),
        Wish::Clear => Ok(Job::Clear),
    }
}

async fn desk(services: &Services) -> Result<Desk, Problem> {
    let ledger = services.ledger().await?.clone();
    let verifier = Verifier::new(
        ledger.clone(),
        services.source.clone(),
        services.archive.clone(),
        services.config.harvest.lag,
    );
    // A target that can't be seeded keeps nobody from verifying.
    let seeder = seeder(services).await.ok();
    let sweeper = Sweeper::new(ledger.clone(), services.archive.clone(), services.config.sweep);
    Ok(Desk::new(ledger, verifier, seeder).with_sweeper(sweeper))
}

/// What writes test messages, where that is allowed.
pub(crate) async fn seeder(services: &Services) -> Result<Seeder, Problem> {
    let config = &services.config;
    let section = seeding_section(services)?.clone();
    let target = SeedingTarget::of(&config.source, &config.metadata, &config.harvest);
    let ledger = services.ledger().await?.clone();
    Ok(Seeder::new(section, target, ledger, services.archive.clone())?)
}

impl From<SeedError> for Problem {
    fn from(error: SeedError) -> Self {
        match error {
            SeedError::Ledger(error) => error.into(),
            SeedError::Source(error) => error.into(),
            SeedError::NotOneIndex { .. } => Self::new(Kind::NotPossible, format!("{error}.")),
            SeedError::OutOfRange { .. } => Self::new(Kind::InvalidParameter, format!("{error}.")),
            SeedError::Archive(_) | SeedError::NotTaken { .. } | SeedError::Text(_) => {
                anyhow::Error::from(error).into()
            }
        }
    }
}

impl From<AskError> for Problem {
    fn from(error: AskError) -> Self {
        match error {
            AskError::Ledger(error) => error.into(),
            AskError::SeedingOff => Self::new(Kind::SeedingNotAllowed, format!("{error}.")),
            AskError::Unwritable(_) => anyhow::Error::from(error).into(),
        }
    }
}
