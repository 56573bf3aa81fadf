//! Long jobs: asked for here, worked on here while somebody waits, and by the reaper's ticks afterwards.
//!
//! `GET /operations/{id}` tells how far one is.

use crate::answer::Answer;
use crate::auth::Role;
use crate::problem::{Kind, Problem};
use crate::services::{Done, Services};
use axum::extract::{Path, State};
use granary_ledger::{NewOperation, Operation, OperationState};
use serde_json::json;
use std::sync::Arc;
use uuid::Uuid;

/// `GET /operations/{id}`.
pub(crate) async fn status(
    State(services): State<Arc<Services>>,
    Path(id): Path<String>,
) -> Result<Answer, Problem> {
    let id: Uuid = id
        .parse()
        .map_err(|_| Problem::invalid("id", format!("{id:?} is not the uuid of an operation.")))?;
    let operation = services.ledger().await?.operation(id).await?;
    let operation = operation.ok_or_else(|| Problem::new(Kind::NotFound, format!("There is no operation {id}.")))?;
    Ok(Answer::ok(json!({ "operation": operation })))
}
