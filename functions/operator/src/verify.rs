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
use granary_verify::{Repair, VerifyArguments};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::sync::Arc;

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
    let verifications = operations::list(&services, &query, Job::VERIFY).await?;
    Ok(Answer::ok(
        json!({ "verifications": verifications.iter().map(summary).collect::<Vec<_>>() }),
    ))
}

/// A verification without its findings, which may be many; `GET /operations/{id}` has them.
fn summary(operation: &Operation) -> Value {
    let of_result = |member: &str| operation.result.as_ref().map(|result| result[member].clone());
    operations::summary(
        operation,
        ["verdict", "scope", "counts"].map(|name| (name, json!(of_result(name)))),
    )
}

fn read(fields: &Fields) -> Result<VerifyArguments, Problem> {
    fields.only(&["migrationId", "from", "to", "quick", "repair", "dryRun"])?;
    let arguments = VerifyArguments {
        migration: fields.parsed("migrationId")?,
        from: fields.instant("from")?,
        to: fields.instant("to")?,
        quick: fields.switch("quick")?,
        repair: repair(fields)?,
    };
    if arguments.quick && arguments.repair != Repair::Off {
        let detail = "A quick verification counts: it names nothing that could be repaired.";
        return Err(Problem::invalid("repair", detail));
    }
    if let (Some(from), Some(to)) = (arguments.from, arguments.to) {
        TimeRange::new(from, to).map_err(|error| Problem::invalid("from", format!("{error}.")))?;
    }
    Ok(arguments)
}

fn repair(fields: &Fields) -> Result<Repair, Problem> {
    match (fields.switch("repair")?, fields.switch("dryRun")?) {
        (true, true) => Ok(Repair::DryRun),
        (true, false) => Ok(Repair::On),
        (false, false) => Ok(Repair::Off),
        (false, true) => {
            let detail = "A verification changes nothing anyway; `dryRun` says what `repair` would do.";
            Err(Problem::invalid("dryRun", detail))
        }
    }
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
    fn a_repair_is_asked_for_in_so_many_words() {
        let repair = |json| read(json).unwrap().repair;
        assert_eq!(repair(r#"{"repair":true}"#), Repair::On);
        assert_eq!(repair(r#"{"repair":true,"dryRun":true}"#), Repair::DryRun);
        assert_eq!(repair(r#"{"repair":false}"#), Repair::Off);
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
            (r#"{"dryRun":true}"#, "dryRun"),
            (r#"{"repair":true,"quick":true}"#, "repair"),
            (r#"{"repair":"perhaps"}"#, "repair"),
        ] {
            assert_eq!(read(json).unwrap_err().field(), Some(field), "{json}");
        }
    }
}
