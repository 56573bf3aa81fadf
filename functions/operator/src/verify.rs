//! `/verify`: asking for a verdict, and the verdicts so far.

use crate::answer::Answer;
use crate::auth::Role;
use crate::fields::{BodyFields, Fields, QueryFields};
use crate::operations::{self, Wish};
use crate::problem::Problem;
use crate::services::Services;
use axum::Extension;
use axum::extract::State;
use granary_domain::TimeRange;
use granary_ledger::Operation;
use granary_operations::Job;
use granary_verify::VerifyArguments;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::sync::Arc;

const LIST_DEFAULT: u32 = 20;
const LIST_MAX: u32 = 100;

/// `POST /verify`.
pub(crate) async fn start(
    State(services): State<Arc<Services>>,
    Extension(role): Extension<Role>,
    BodyFields(fields): BodyFields,
) -> Result<Answer, Problem> {
    let arguments = read(&fields)?;
    refuse_the_future(&arguments, services.horizon())?;
    if let Some(id) = arguments.migration {
        crate::migrate::migration(services.ledger().await?, id).await?;
    }
    operations::ask(&services, role, Wish::Verify(arguments)).await
}

/// `GET /verify`.
pub(crate) async fn list(
    State(services): State<Arc<Services>>,
    QueryFields(query): QueryFields,
) -> Result<Answer, Problem> {
    query.only(&["limit"])?;
    let limit = query.number("limit", 1..=LIST_MAX)?.unwrap_or(LIST_DEFAULT);
    let verifications = services.ledger().await?.operations(Job::VERIFY, limit).await?;
    Ok(Answer::ok(
        json!({ "verifications": verifications.iter().map(summary).collect::<Vec<_>>() }),
    ))
}

/// A verification without its findings, which may be many; `GET /operations/{id}` has them.
fn summary(operation: &Operation) -> Value {
    let of_result = |member: &str| operation.result.as_ref().map(|result| result[member].clone());
    json!({
        "operationId": operation.id,
        "statusUrl": format!("/operations/{}", operation.id),
        "state": operation.state,
        "verdict": of_result("verdict"),
        "scope": of_result("scope"),
        "counts": of_result("counts"),
        "error": operation.error,
        "requestedBy": operation.requested_by,
        "createdAt": operation.created_at,
        "finishedAt": operation.finished_at,
    })
}

fn read(fields: &Fields) -> Result<VerifyArguments, Problem> {
    fields.only(&["migrationId", "from", "to", "quick"])?;
    let arguments = VerifyArguments {
        migration: fields.parsed("migrationId")?,
        from: fields.instant("from")?,
        to: fields.instant("to")?,
        quick: fields.switch("quick")?,
    };
    if let (Some(from), Some(to)) = (arguments.from, arguments.to) {
        TimeRange::new(from, to).map_err(|error| Problem::invalid("from", format!("{error}.")))?;
    }
    Ok(arguments)
}

/// What is younger than the horizon has not settled at the source, and proves nothing.
fn refuse_the_future(arguments: &VerifyArguments, horizon: Timestamp) -> Result<(), Problem> {
    match arguments.from.filter(|from| *from >= horizon) {
        None => Ok(()),
        Some(from) => {
            let detail =
                format!("`from` is {from}, but only messages before {horizon} have settled at the source.");
            Err(Problem::invalid("from", detail))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<VerifyArguments, Problem> {
        super::read(&Fields::of_json(json.as_bytes()).unwrap())
    }

    #[test]
    fn nothing_asked_for_verifies_everything_in_full() {
        assert_eq!(read("").unwrap(), VerifyArguments::default());
        assert!(read(r#"{"quick":"true"}"#).unwrap().quick);
    }

    #[test]
    fn what_cannot_be_meant_is_refused_by_name() {
        for (json, field) in [
            (r#"{"migrationId":"42"}"#, "migrationId"),
            (r#"{"from":"2026-11-22T06:00:00"}"#, "from"),
            (
                r#"{"from":"2026-11-22T06:00:00Z","to":"2026-11-22T05:00:00Z"}"#,
                "from",
            ),
            (r#"{"migration":"42"}"#, "migration"),
        ] {
            assert_eq!(read(json).unwrap_err().field(), Some(field), "{json}");
        }
    }
}
