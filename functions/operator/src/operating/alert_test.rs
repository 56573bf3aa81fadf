//! `POST /alerts/test`: an alert that says nothing but that alerts arrive.
//!
//! It is written to the ledger like every other one, and the reaper publishes it: so it tests the whole way, and the operator needs
//! no right to publish.

use crate::services::{Done, Services};
use crate::web::answer::Answer;
use crate::web::caller::Caller;
use crate::web::change::{Change, ChangeBody};
use crate::web::fields::BodyFields;
use crate::web::problem::Problem;
use axum::Extension;
use axum::extract::State;
use serde::Serialize;
use serde_json::json;
use std::sync::Arc;
use utoipa::ToSchema;
use uuid::Uuid;

const KIND: &str = "test";

/// A test alert.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AlertTest {
    /// `true`: nothing was written.
    dry_run: bool,
    /// What the alert says.
    text: String,
    /// Its subject in `GET /alerts?kind=test`, whose `publishedAt` says when the topic took it; `null` in a dry run.
    subject: Option<Uuid>,
}

/// Send a test alert
///
/// The reaper publishes it within a minute, to everyone who is subscribed to the topic.
#[utoipa::path(post, path = "/alerts/test", request_body = ChangeBody)]
pub(crate) async fn send(
    State(services): State<Arc<Services>>,
    Extension(caller): Extension<Caller>,
    BodyFields(fields): BodyFields,
) -> Result<Answer<AlertTest>, Problem> {
    fields.only(&["dryRun", "reason"])?;
    let change = Change::read(&fields)?;
    let why = change
        .reason()
        .map(|reason| format!(": {reason}"))
        .unwrap_or_default();
    let text = format!("a test, requested by {}{why}", caller.name());
    let subject = (!change.is_dry_run).then(Uuid::now_v7);
    if let Some(subject) = subject {
        let ledger = services.ledger().await?;
        services
            .record(Done {
                by: caller,
                action: "alerts.test",
                arguments: change.with_reason(json!({})),
                effect: json!({ "subject": subject }),
            })
            .await?;
        ledger
            .raise_alert(KIND, &subject.to_string(), KIND, &text)
            .await?;
    }
    Ok(Answer::ok(AlertTest {
        dry_run: change.is_dry_run,
        text,
        subject,
    }))
}
