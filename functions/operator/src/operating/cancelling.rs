//! `DELETE /operations/{id}` and its POST twin: cancelling a long job.
//!
//! What the job has done stays done, and every step of a job leaves things in order. A step in hand ends; no
//! other begins. **When it fails**, the job goes on.

use crate::operating::operations::{ShownOperation, operation};
use crate::services::{Done, Services};
use crate::web::answer::Answer;
use crate::web::caller::Caller;
use crate::web::change::{Change, ChangeBody, ReasonBody};
use crate::web::fields::{BodyFields, Fields};
use crate::web::problem::{Kind, Problem};
use axum::Extension;
use axum::extract::{Path, State};
use granary_ledger::export::Fenced;
use granary_ledger::jobs::{CONSUMERS_RESTART, Operation, OperationState};
use serde::Serialize;
use serde_json::json;
use std::sync::Arc;
use utoipa::ToSchema;
use uuid::Uuid;

/// A long job was cancelled, or would be.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OperationCancelled {
    /// Whether nothing was changed.
    dry_run: bool,
    /// The job as it stands.
    operation: ShownOperation,
    /// What that means, for people.
    message: &'static str,
}

/// Cancel a long job
///
/// What it has done stays done. Cancelled twice is cancelled once. The body may be left out; a dry run is asked for in the
/// query.
#[utoipa::path(
    delete,
    path = "/operations/{id}",
    params(("id" = Uuid, Path, description = "The job's id.", example = "01935e7a-3c00-7000-8000-000000000001")),
    request_body = ReasonBody
)]
pub(crate) async fn cancel(
    State(services): State<Arc<Services>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    BodyFields(fields): BodyFields,
) -> Result<Answer<OperationCancelled>, Problem> {
    cancel_it(&services, &caller, &id, &fields).await
}

/// Cancel a long job, by POST
///
/// The same as `DELETE /operations/{id}`, for clients and proxies that drop the body of a DELETE. It needs a body, be it
/// `{}`, unless the query has `dryRun=true`.
#[utoipa::path(
    post,
    path = "/operations/{id}",
    params(("id" = Uuid, Path, description = "The job's id.", example = "01935e7a-3c00-7000-8000-000000000001")),
    request_body = ChangeBody
)]
pub(crate) async fn cancel_by_post(
    State(services): State<Arc<Services>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    BodyFields(fields): BodyFields,
) -> Result<Answer<OperationCancelled>, Problem> {
    fields.need_body()?;
    cancel_it(&services, &caller, &id, &fields).await
}

async fn cancel_it(
    services: &Services,
    caller: &Caller,
    id: &str,
    fields: &Fields,
) -> Result<Answer<OperationCancelled>, Problem> {
    let id: Uuid = id
        .parse()
        .map_err(|_| Problem::invalid("id", format!("{id:?} is not the uuid of an operation.")))?;
    fields.only(&["dryRun", "reason"])?;
    let change = Change::read(fields)?;
    let before = operation(services, id).await?;
    refuse_to_cancel(&before)?;
    if change.is_dry_run {
        return Ok(Answer::ok(OperationCancelled {
            dry_run: true,
            operation: before.into(),
            message: "Nothing was changed. What the job has done would stay done.",
        }));
    }
    // The audit comes first: nothing is cancelled that has no entry there.
    let effect =
        json!({ "before": { "state": before.state }, "after": { "state": OperationState::Cancelled } });
    services
        .record(Done {
            by: caller.clone(),
            action: "operations.cancel",
            arguments: change.with_reason(json!({ "operationId": id })),
            effect,
        })
        .await?;
    if services.ledger().await?.cancel_operation(id).await? == Fenced::Refused {
        // It may have ended meanwhile.
        refuse_to_cancel(&operation(services, id).await?)?;
    }
    Ok(Answer::ok(OperationCancelled {
        dry_run: false,
        operation: operation(services, id).await?.into(),
        message: "The job is cancelled. What it has done stays done.",
    }))
}

fn refuse_to_cancel(operation: &Operation) -> Result<(), Problem> {
    let id = operation.id;
    match operation.state {
        _ if operation.kind == CONSUMERS_RESTART => Err(Problem::new(
            Kind::NotPossible,
            format!(
                "Operation {id} is a restart of the consumers, which must end with consumers that are on."
            ),
        )
        .remedy("GET /operations/{id} makes it go on. POST /queue/consumers/stop turns the consumers off.")),
        OperationState::Succeeded | OperationState::Failed => Err(Problem::new(
            Kind::NotPossible,
            format!("Operation {id} is over: it has {}.", operation.state.as_str()),
        )
        .remedy("There is nothing left to cancel.")),
        OperationState::Waiting | OperationState::Running | OperationState::Cancelled => Ok(()),
    }
}
