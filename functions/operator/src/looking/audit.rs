//! `GET /audit`: what operators did, by which request, and why.
//!
//! Nothing is changed here; each route that changes something writes its own entry (`Services::record`).

use crate::services::Services;
use crate::web::answer::Answer;
use crate::web::fields::QueryFields;
use crate::web::page::{Page, PageQuery};
use crate::web::problem::Problem;
use axum::extract::State;
use granary_ledger::settings::{AuditEntry, AuditFilter};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// The ledger's column for actions holds no more, and nothing but ASCII.
const ACTION_BYTES_MAX: usize = 64;

/// Which entries.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "what `list` reads, for the document")]
pub(crate) struct AuditQuery {
    /// Only what the token of this name did.
    #[param(example = "ada")]
    who: Option<String>,
    /// Only this action.
    #[param(max_length = 64, example = "tune")]
    action: Option<String>,
    /// Only from then on.
    #[param(example = "2026-11-22T06:00:00Z")]
    from: Option<Timestamp>,
    /// Only before then.
    #[param(example = "2026-11-23T06:00:00Z")]
    to: Option<Timestamp>,
}

/// What operators did, the newest first.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AuditList {
    /// As many as were asked for, at most.
    entries: Vec<ShownEntry>,
    /// How many these are.
    count: usize,
    /// The `cursor` of the next page; `null`: there are no more.
    next_cursor: Option<String>,
}

/// Something that an operator did.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ShownEntry {
    /// Its number: later ones are higher.
    id: u64,
    /// When.
    at: Timestamp,
    /// Who: the name of a token. Older entries have its role.
    #[schema(examples("ada"))]
    who: String,
    /// The address of the client, where it is known. Older entries have none.
    #[schema(examples("203.0.113.7"))]
    address: Option<String>,
    /// What.
    #[schema(examples("tune"))]
    action: String,
    /// With which arguments, in the route's own words.
    arguments: Value,
    /// What it changed, mostly `before` and `after`; `null`: nothing was told.
    effect: Option<Value>,
    /// The request it was done by, as in its answer. Older entries have none.
    request_id: Option<String>,
    /// Why, where that was said.
    reason: Option<String>,
}

/// Who changed what, by which request, and why
#[utoipa::path(get, path = "/audit", params(AuditQuery, PageQuery))]
pub(crate) async fn list(
    State(services): State<Arc<Services>>,
    QueryFields(query): QueryFields,
) -> Result<Answer<AuditList>, Problem> {
    query.only(&["who", "action", "from", "to", "cursor", "limit"])?;
    let page = Page::read(&query)?;
    let filter = AuditFilter {
        who: query.text("who")?.map(str::to_owned),
        action: query.text("action")?.map(action).transpose()?,
        from: query.instant("from")?,
        to: query.instant("to")?,
        before: query.number("cursor", 1..=u64::MAX)?,
        limit: page.rows_to_read(),
    };
    let mut entries = services.ledger().await?.audit_entries(&filter).await?;
    let next = page.cut(&mut entries).map(|last| last.id.to_string());
    Ok(Answer::ok(AuditList {
        count: entries.len(),
        entries: entries.into_iter().map(ShownEntry::from).collect(),
        next_cursor: next,
    }))
}

impl From<AuditEntry> for ShownEntry {
    fn from(entry: AuditEntry) -> Self {
        Self {
            id: entry.id,
            at: entry.at,
            who: entry.who,
            address: entry.address,
            action: entry.action,
            arguments: entry.arguments,
            effect: entry.effect,
            request_id: entry.request_id,
            reason: entry.reason,
        }
    }
}

fn action(name: &str) -> Result<String, Problem> {
    if name.is_ascii() && name.len() <= ACTION_BYTES_MAX {
        return Ok(name.to_owned());
    }
    let detail =
        format!("`action` is {name:?}; it must be the name of an action, such as \"migrate.start\".");
    Err(Problem::invalid("action", detail))
}
