//! `GET /alerts`: what people were told, or are about to be, and what to do about it.
//!
//! The texts are those that go out by SNS. Nothing is changed here: an alert ends when what it is about does.

use crate::services::Services;
use crate::web::answer::Answer;
use crate::web::fields::QueryFields;
use crate::web::page::{Page, PageQuery};
use crate::web::problem::Problem;
use axum::extract::State;
use granary_domain::{alert_headline, alert_remedy};
use granary_ledger::jobs::{AlertEntry, AlertFilter};
use jiff::Timestamp;
use serde::Serialize;
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// The ledger's column for kinds holds no more, and nothing but ASCII.
const KIND_BYTES_MAX: usize = 32;

/// Which alerts.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "what `list` reads, for the document")]
pub(crate) struct AlertQuery {
    /// What kind of trouble they are about.
    #[param(max_length = 32, example = "parked")]
    kind: Option<String>,
    /// Only those whose trouble lasts (`true`), or is over (`false`).
    open: Option<bool>,
    /// Only those that were written down from then on.
    #[param(example = "2026-11-22T00:00:00Z")]
    from: Option<Timestamp>,
    /// Only those that were written down before then.
    #[param(example = "2026-11-23T00:00:00Z")]
    to: Option<Timestamp>,
}

/// Alerts, the newest first.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AlertList {
    /// As many as were asked for, at most.
    alerts: Vec<ShownAlert>,
    /// How many these are.
    count: usize,
    /// The `cursor` of the next page; `null`: there are no more.
    next_cursor: Option<String>,
}

/// Something that people were told, or are about to be.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ShownAlert {
    /// Its number: later ones are higher.
    id: u64,
    /// What kind of trouble it is about.
    #[schema(examples("parked"))]
    kind: String,
    /// Its first line, for people.
    #[schema(examples("batches are parked"))]
    headline: String,
    /// What it is about: a batch with generation and retries, the time at which a condition began, a message of the queue.
    #[schema(examples("7.1.0"))]
    subject: String,
    /// The cause; where there is none, the kind once more.
    #[schema(examples("spool"))]
    cause: String,
    /// What happened, for people. Never a message's contents.
    text: String,
    /// When it was written down.
    created_at: Timestamp,
    /// How often it has happened so far.
    #[schema(minimum = 1, examples(3))]
    occurrences: u32,
    /// When it happened last; `null`: it happened once.
    last_at: Option<Timestamp>,
    /// When people were told; `null`: the reaper's next tick tells them.
    published_at: Option<Timestamp>,
    /// When a condition that lasts was over.
    over_at: Option<Timestamp>,
    /// Whether what it is about still lasts.
    open: bool,
    /// What people can do about it.
    remedy: String,
}

/// What people were told, the newest first
#[utoipa::path(get, path = "/alerts", params(AlertQuery, PageQuery))]
pub(crate) async fn list(
    State(services): State<Arc<Services>>,
    QueryFields(query): QueryFields,
) -> Result<Answer<AlertList>, Problem> {
    query.only(&["kind", "open", "from", "to", "cursor", "limit"])?;
    let page = Page::read(&query)?;
    let open = match query.value("open") {
        Some(_) => Some(query.switch("open")?),
        None => None,
    };
    let filter = AlertFilter {
        kind: query.text("kind")?.map(kind).transpose()?,
        open,
        from: query.instant("from")?,
        to: query.instant("to")?,
        before: query.number("cursor", 1..=u64::MAX)?,
        limit: page.rows_to_read(),
    };
    let mut alerts = services.ledger().await?.alerts(&filter).await?;
    let next = page.cut(&mut alerts).map(|last| last.id.to_string());
    Ok(Answer::ok(AlertList {
        alerts: alerts.iter().map(shown).collect(),
        count: alerts.len(),
        next_cursor: next,
    }))
}

/// An alert as the API shows it everywhere.
pub(crate) fn shown(alert: &AlertEntry) -> ShownAlert {
    ShownAlert {
        id: alert.id,
        kind: alert.kind.clone(),
        headline: alert_headline(&alert.kind).to_owned(),
        subject: alert.subject.clone(),
        cause: alert.cause.clone(),
        text: alert.text.clone(),
        created_at: alert.created_at,
        occurrences: alert.occurrences,
        last_at: alert.last_at,
        published_at: alert.published_at,
        over_at: alert.over_at,
        open: alert.is_open,
        remedy: alert_remedy(&alert.kind, &alert.cause),
    }
}

fn kind(name: &str) -> Result<String, Problem> {
    if name.is_ascii() && name.len() <= KIND_BYTES_MAX {
        return Ok(name.to_owned());
    }
    let detail = format!("`kind` is {name:?}; it must be the name of a kind of alerts, such as \"parked\".");
    Err(Problem::invalid("kind", detail))
}
