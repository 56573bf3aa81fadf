//! `GET /operations`: long jobs of any kind, the newest first.
//!
//! What one of them came to is in `GET /operations/{id}`. Nothing is changed here.

use crate::operating::operations::{ShownState, status_url};
use crate::services::Services;
use crate::web::answer::Answer;
use crate::web::fields::{Fields, QueryFields};
use crate::web::page::{Page, PageQuery};
use crate::web::problem::Problem;
use axum::extract::State;
use granary_ledger::jobs::{OperationBrief, OperationFilter, OperationState};
use jiff::Timestamp;
use serde::Serialize;
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

/// The ledger's column for kinds holds no more, and nothing but ASCII.
const KIND_BYTES_MAX: usize = 32;

/// Which operations.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "what `list` reads, for the document")]
pub(crate) struct OperationQuery {
    /// Only of this kind.
    #[param(max_length = 32, example = "verify")]
    kind: Option<String>,
    /// Only in this state.
    #[param(inline)]
    state: Option<ShownState>,
    /// Only those that were asked for from then on.
    #[param(example = "2026-11-22T00:00:00Z")]
    from: Option<Timestamp>,
    /// Only those that were asked for before then.
    #[param(example = "2026-11-23T00:00:00Z")]
    to: Option<Timestamp>,
}

/// Long jobs, the newest first.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OperationList {
    /// As many as were asked for, at most.
    operations: Vec<OperationLine>,
    /// How many these are.
    count: usize,
    /// The `cursor` of the next page; `null`: there are no more.
    next_cursor: Option<String>,
}

/// What the list of all kinds shows of an operation.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OperationLine {
    /// Its id.
    operation_id: Uuid,
    /// The path under which it is told in full.
    status_url: String,
    /// Which job.
    #[schema(examples("verify"))]
    kind: String,
    /// How far it is.
    state: ShownState,
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

/// Long jobs of any kind, the newest first
///
/// What one of them came to is in `GET /operations/{id}`.
#[utoipa::path(get, path = "/operations", params(OperationQuery, PageQuery))]
pub(crate) async fn list(
    State(services): State<Arc<Services>>,
    QueryFields(query): QueryFields,
) -> Result<Answer<OperationList>, Problem> {
    query.only(&["kind", "state", "from", "to", "cursor", "limit"])?;
    let page = Page::read(&query)?;
    let filter = filter(&query, query.text("kind")?.map(kind).transpose()?, page)?;
    let mut operations = services.ledger().await?.operations_by(&filter).await?;
    let next = page.cut(&mut operations).map(|last| cursor_of(last.id));
    Ok(Answer::ok(OperationList {
        operations: operations.iter().map(shown).collect(),
        count: operations.len(),
        next_cursor: next,
    }))
}

/// Which operations a query means, of a kind or of any.
pub(crate) fn filter(query: &Fields, kind: Option<String>, page: Page) -> Result<OperationFilter, Problem> {
    Ok(OperationFilter {
        kind,
        states: state(query)?.into_iter().collect(),
        from: query.instant("from")?,
        to: query.instant("to")?,
        before: query.parsed("cursor")?,
        limit: page.rows_to_read(),
    })
}

/// The cursor behind an operation.
pub(crate) fn cursor_of(last: Uuid) -> String {
    last.simple().to_string()
}

/// What a list shows of an operation.
pub(crate) fn shown(operation: &OperationBrief) -> OperationLine {
    OperationLine {
        operation_id: operation.id,
        status_url: status_url(operation.id),
        kind: operation.kind.clone(),
        state: operation.state.into(),
        error: operation.error.clone(),
        requested_by: operation.requested_by.clone(),
        created_at: operation.created_at,
        updated_at: operation.updated_at,
        finished_at: operation.finished_at,
    }
}

fn kind(name: &str) -> Result<String, Problem> {
    if name.is_ascii() && name.len() <= KIND_BYTES_MAX {
        return Ok(name.to_owned());
    }
    let detail =
        format!("`kind` is {name:?}; it must be the name of a kind of operations, such as \"verify\".");
    Err(Problem::invalid("kind", detail))
}

fn state(query: &Fields) -> Result<Option<OperationState>, Problem> {
    let Some(name) = query.text("state")? else {
        return Ok(None);
    };
    let state = OperationState::parse(name).ok_or_else(|| {
        Problem::invalid(
            "state",
            format!("`state` is {name:?}; it must be one of: waiting, running, succeeded, failed."),
        )
    })?;
    Ok(Some(state))
}
