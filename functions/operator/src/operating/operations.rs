//! Long jobs: asked for here, worked on here while somebody waits, and by the reaper's ticks afterwards.
//!
//! What is done within some seconds is answered with its result; anything else with 202 and the address under which
//! `GET /operations/{id}` tells how far it is. A job that was put on record is never lost by what happens after.

use crate::operating::operations_list;
use crate::operating::purge::PurgeWish;
use crate::seeding::seeder::seeder;
use crate::services::{Done, Services};
use crate::switching::restart;
use crate::web::answer::Answer;
use crate::web::caller::Caller;
use crate::web::fields::Fields;
use crate::web::page::Page;
use crate::web::problem::{Kind, Problem};
use axum::extract::{Path, State};
use granary_ledger::jobs::{Operation, OperationState};
use granary_operations::{
    AdoptArguments, AdoptObjectArguments, AskError, Budget, BulkArguments, Desk, Job, PurgeArguments,
    ReExportArguments,
};
use granary_seeding::SeedArguments;
use granary_sweep::{DiscardArguments, SweepArguments, Sweeper};
use granary_verify::{RebuildArguments, Repair, Verifier, VerifyArguments, Visibility};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

/// How long somebody is kept waiting. A step that has begun goes on to its end, and API Gateway waits for 30 s.
const WORK_SECS_MAX: u64 = 8;
/// What one step can compare in the time that is left then.
const MESSAGES_PER_STEP_MAX: u64 = 100_000;
/// A page of the audit may have 500 entries, and an id 512 bytes.
const IDS_IN_AUDIT_MAX: usize = 20;
const LIST_DEFAULT: u32 = 20;
const LIST_MAX: u32 = 100;

/// What people are told who don't see its end at once.
const GOES_ON: &str = "This takes longer; the reaper goes on with it, a slice a minute.";

/// How far an operation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ShownState {
    /// Nobody works on it at the moment.
    Waiting,
    /// Somebody does.
    Running,
    /// It has a result.
    Succeeded,
    /// It was given up, and the error says why.
    Failed,
    /// An operator cancelled it.
    Cancelled,
}

/// A long job that somebody asked for.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ShownOperation {
    /// Its id.
    id: Uuid,
    /// Which job.
    #[schema(examples("verify"))]
    kind: String,
    /// How far it is.
    state: ShownState,
    /// What exactly was asked for.
    arguments: Value,
    /// How far it is, in the job's own words; `null` before it has begun and once it is over.
    progress: Option<Value>,
    /// What it came to, in the job's own words; `null` before its end.
    result: Option<Value>,
    /// Why it failed, or why its last slice did.
    error: Option<String>,
    /// Who asked: the name of a token.
    #[schema(examples("operator"))]
    requested_by: String,
    /// When it was asked for.
    created_at: Timestamp,
    /// When it last moved.
    updated_at: Timestamp,
    /// When it ended.
    finished_at: Option<Timestamp>,
}

/// What a list shows of an operation; `GET /operations/{id}` has the rest.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OperationSummary {
    /// Its id.
    pub(crate) operation_id: Uuid,
    /// The path under which it is told in full.
    pub(crate) status_url: String,
    /// How far it is.
    state: ShownState,
    /// Why it failed, or why its last slice did.
    error: Option<String>,
    /// Who asked: the name of a token.
    #[schema(examples("operator"))]
    requested_by: String,
    /// When it was asked for.
    pub(crate) created_at: Timestamp,
    /// When it ended.
    finished_at: Option<Timestamp>,
}

/// What became of a long job that was asked for: 200 with its result, or 202 while it goes on.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OperationAnswer {
    /// The job's id.
    operation_id: Uuid,
    /// The path under which `GET` tells how far it is.
    status_url: String,
    /// What it came to, in the job's own words; only where it has come to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Value>,
    /// The job as it stands.
    operation: ShownOperation,
    /// What happens next, for people; only where it goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'static str>,
}

/// The answer to whoever asks for a long job.
pub(crate) type LongAnswer = Answer<OperationAnswer, OperationAnswer>;

/// What is to be told of a long job.
pub(crate) enum Told {
    /// It has come to its end.
    Done(OperationAnswer),
    /// It goes on.
    Later(OperationAnswer),
}

impl Told {
    /// The answer that says so, with whatever `done` is said at its end.
    pub(crate) fn answer<Done: Serialize>(
        self,
        done: impl FnOnce(OperationAnswer) -> Done,
    ) -> Answer<Done, OperationAnswer> {
        match self {
            Self::Done(operation) => Answer::ok(done(operation)),
            Self::Later(operation) => Answer::accepted(operation),
        }
    }
}

/// A long job as it stands.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OperationStatus {
    /// The job.
    operation: ShownOperation,
}

/// What somebody wants done.
pub(crate) enum Wish {
    /// A verdict.
    Verify(VerifyArguments),
    /// No objects that nobody recorded.
    Sweep(SweepArguments),
    /// A smaller ledger.
    Purge(PurgeWish),
    /// Batches exported anew.
    ReExport(ReExportArguments),
    /// Messages that somebody names.
    Bulk(BulkArguments),
    /// An owner for messages that nobody owns.
    Adopt(AdoptArguments),
    /// What only one object holds, on record.
    AdoptObject(AdoptObjectArguments),
    /// One object less, whatever it holds.
    DiscardObject(DiscardArguments),
    /// A ledger made from the archive.
    Rebuild(RebuildArguments),
    /// Test messages.
    Seed(SeedArguments),
    /// No more test messages.
    Clear,
}

/// Puts a job on record, and works on it for as long as somebody may be kept waiting. Who wanted it is written down first:
/// nothing is ever done that nobody answers for. `reason` is why, of a job that doesn't have it among its arguments.
pub(crate) async fn ask(
    services: &Services,
    caller: &Caller,
    wish: Wish,
    reason: Option<&str>,
) -> Result<LongAnswer, Problem> {
    let told = begin(services, caller, wish, reason).await?;
    Ok(told.answer(|operation| operation))
}

/// The same, for whoever answers in words of his own.
pub(crate) async fn begin(
    services: &Services,
    caller: &Caller,
    wish: Wish,
    reason: Option<&str>,
) -> Result<Told, Problem> {
    let until = Instant::now() + Duration::from_secs(WORK_SECS_MAX);
    let desk = desk(services).await?;
    let job = job_of(services, caller, wish).await?;
    let id = Uuid::now_v7();
    let arguments = for_audit(job.arguments().map_err(anyhow::Error::from)?, reason);
    let effect = json!({ "operationId": id });
    services
        .record(Done {
            by: caller.clone(),
            action: action_of(&job),
            arguments,
            effect,
        })
        .await?;
    desk.ask_as(id, &job, caller.name()).await?;
    let budget = Budget {
        until,
        messages_max: MESSAGES_PER_STEP_MAX,
    };
    // What deletes is the reaper's alone: the function that faces the Internet may not.
    if !job.deletes_objects()
        && let Err(error) = work_on(desk, id, budget).await
    {
        tracing::warn!("the job {id} is left to the reaper: {error:#}");
    }
    told(operation(services, id).await?, GOES_ON)
}

/// Arguments as the audit has them, with the reason: the first of many ids, and how many there are. The operation has them
/// all.
fn for_audit(mut arguments: Value, reason: Option<&str>) -> Value {
    if let Some(reason) = reason {
        arguments["reason"] = reason.into();
    }
    if let Some(Value::Array(ids)) = arguments.get_mut("ids")
        && ids.len() > IDS_IN_AUDIT_MAX
    {
        let asked = ids.len();
        ids.truncate(IDS_IN_AUDIT_MAX);
        arguments["asked"] = asked.into();
    }
    arguments
}

/// On a thread of its own: the compiler can't prove that the desk's futures may move between threads.
async fn work_on(desk: Desk, id: Uuid, budget: Budget) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Handle::current();
    tokio::task::spawn_blocking(move || runtime.block_on(desk.advance(Some(id), &budget))).await??;
    Ok(())
}

/// A long job
///
/// A restart of the consumers goes on with this look.
#[utoipa::path(get, path = "/operations/{id}", params(
    ("id" = Uuid, Path, description = "The job's id, as the answer to its request has it.",
     example = "01935e7a-3c00-7000-8000-000000000001"),
))]
pub(crate) async fn status(
    State(services): State<Arc<Services>>,
    Path(id): Path<String>,
) -> Result<Answer<OperationStatus>, Problem> {
    let id = id
        .parse()
        .map_err(|_| Problem::invalid("id", format!("{id:?} is not the uuid of an operation.")))?;
    let mut found = operation(&services, id).await?;
    // Nobody else goes on with a restart of the consumers.
    if restart::push(&services, &found).await {
        found = operation(&services, id).await?;
    }
    Ok(Answer::ok(OperationStatus {
        operation: found.into(),
    }))
}

/// Which of the operations of a kind.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "what `list` reads, for the document")]
pub(crate) struct NewestQuery {
    /// Only in this state.
    #[param(inline)]
    state: Option<ShownState>,
    /// Only those that were asked for from then on.
    #[param(example = "2026-11-22T00:00:00Z")]
    from: Option<Timestamp>,
    /// Only those that were asked for before then.
    #[param(example = "2026-11-23T00:00:00Z")]
    to: Option<Timestamp>,
    /// How many at most.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<u32>,
    /// The `nextCursor` of the page before.
    cursor: Option<String>,
}

/// The newest operations of a kind, up to the `limit` that is asked for, and the cursor of the next page.
pub(crate) async fn list(
    services: &Services,
    query: &Fields,
    kind: &str,
) -> Result<(Vec<Operation>, Option<String>), Problem> {
    query.only(&["state", "from", "to", "limit", "cursor"])?;
    let page = Page::of(query.number("limit", 1..=LIST_MAX)?.unwrap_or(LIST_DEFAULT));
    let filter = operations_list::filter(query, Some(kind.to_owned()), page)?;
    let mut operations = services.ledger().await?.operations(&filter).await?;
    let next = page
        .cut(&mut operations)
        .map(|last| operations_list::cursor_of(last.id));
    Ok((operations, next))
}

impl From<OperationState> for ShownState {
    fn from(state: OperationState) -> Self {
        match state {
            OperationState::Waiting => Self::Waiting,
            OperationState::Running => Self::Running,
            OperationState::Succeeded => Self::Succeeded,
            OperationState::Failed => Self::Failed,
            OperationState::Cancelled => Self::Cancelled,
        }
    }
}

impl From<Operation> for ShownOperation {
    fn from(operation: Operation) -> Self {
        Self {
            id: operation.id,
            kind: operation.kind,
            state: operation.state.into(),
            arguments: operation.arguments,
            progress: operation.progress,
            result: operation.result,
            error: operation.error,
            requested_by: operation.requested_by,
            created_at: operation.created_at,
            updated_at: operation.updated_at,
            finished_at: operation.finished_at,
        }
    }
}

impl From<&Operation> for OperationSummary {
    fn from(operation: &Operation) -> Self {
        Self {
            operation_id: operation.id,
            status_url: status_url(operation.id),
            state: operation.state.into(),
            error: operation.error.clone(),
            requested_by: operation.requested_by.clone(),
            created_at: operation.created_at,
            finished_at: operation.finished_at,
        }
    }
}

/// Where it is told in full.
pub(crate) fn status_url(id: Uuid) -> String {
    format!("/operations/{id}")
}

pub(crate) async fn operation(services: &Services, id: Uuid) -> Result<Operation, Problem> {
    let operation = services.ledger().await?.operation(id).await?;
    let mut operation =
        operation.ok_or_else(|| Problem::new(Kind::NotFound, format!("There is no operation {id}.")))?;
    if operation.state.is_over() {
        // The result says it all, once more.
        operation.progress = None;
    }
    Ok(operation)
}

/// `goes_on` is what people are told while it hasn't come to its end.
pub(crate) fn told(operation: Operation, goes_on: &'static str) -> Result<Told, Problem> {
    let id = operation.id;
    let status_url = status_url(id);
    match operation.state {
        OperationState::Succeeded => Ok(Told::Done(OperationAnswer {
            operation_id: id,
            status_url,
            result: operation.result.clone(),
            operation: operation.into(),
            message: None,
        })),
        OperationState::Waiting | OperationState::Running => Ok(Told::Later(OperationAnswer {
            operation_id: id,
            status_url,
            result: None,
            operation: operation.into(),
            message: Some(goes_on),
        })),
        OperationState::Cancelled => Err(Problem::new(
            Kind::OperationFailed,
            format!("Operation {id} was cancelled by an operator."),
        )
        .with("operationId", id.to_string().into())
        .with("statusUrl", status_url.into())),
        OperationState::Failed => {
            let error = operation
                .error
                .as_deref()
                .unwrap_or("it ended without saying why");
            // A decision about one object ends so for the object's sake: it is young, changed, or on record.
            let kind = match operation.kind.as_str() {
                Job::ADOPT_OBJECT | Job::DISCARD_OBJECT => Kind::NotPossible,
                _ => Kind::OperationFailed,
            };
            Err(Problem::new(kind, format!("The operation failed: {error}."))
                .with("operationId", id.to_string().into())
                .with("statusUrl", status_url.into()))
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
        Job::ReExport(_) => "migrate.reset_pending",
        Job::Bulk(_) => "migrate.bulk",
        Job::Adopt(_) => "migrate.create_missing",
        Job::AdoptObject(_) => "sweep.adopt",
        Job::DiscardObject(_) => "sweep.discard",
        Job::Rebuild(_) => "ledger.rebuild",
        Job::Seed(_) => "seed.write",
        Job::Clear => "seed.clear",
    }
}

async fn job_of(services: &Services, caller: &Caller, wish: Wish) -> Result<Job, Problem> {
    match wish {
        Wish::Verify(arguments) => Ok(Job::Verify(arguments)),
        Wish::Sweep(arguments) => Ok(Job::Sweep(arguments)),
        Wish::Purge(wish) => Ok(Job::Purge(PurgeArguments {
            before: wish.before,
            dry_run: wish.dry_run,
            horizon_secs: services.config.rescan.horizon.as_secs(),
            requested_by: caller.to_string(),
        })),
        Wish::ReExport(arguments) => Ok(Job::ReExport(arguments)),
        Wish::Bulk(arguments) => Ok(Job::Bulk(arguments)),
        Wish::Adopt(arguments) => Ok(Job::Adopt(arguments)),
        Wish::AdoptObject(arguments) => Ok(Job::AdoptObject(arguments)),
        Wish::DiscardObject(arguments) => Ok(Job::DiscardObject(arguments)),
        Wish::Rebuild(arguments) => Ok(Job::Rebuild(arguments)),
        Wish::Seed(arguments) => Ok(Job::Seed(arguments)),
        Wish::Clear => seeder(services).await.map(|_| Job::Clear),
    }
}

pub(crate) async fn verifier(services: &Services) -> Result<Verifier, Problem> {
    let ledger = services.ledger().await?.clone();
    let (source, archive) = (services.source.clone(), services.archive.clone());
    Ok(Verifier::new(
        ledger,
        source,
        archive,
        Visibility {
            lag: services.config.harvest.lag,
            horizon: services.config.rescan.horizon,
        },
    )
    .with(services.config.verify))
}

async fn desk(services: &Services) -> Result<Desk, Problem> {
    let ledger = services.ledger().await?.clone();
    let verifier = verifier(services).await?;
    // A target that can't be seeded keeps nobody from verifying.
    let seeder = seeder(services).await.ok();
    let sweeper = Sweeper::new(ledger.clone(), services.archive.clone(), services.config.sweep);
    Ok(Desk::new(ledger, verifier, seeder).with_sweeper(sweeper))
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
