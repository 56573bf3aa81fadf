//! `/verify`: asking for a verdict, and the verdicts so far.

use crate::operating::operations::{self, LongAnswer, NewestQuery, OperationSummary, Wish};
use crate::services::Services;
use crate::web::answer::Answer;
use crate::web::caller::Caller;
use crate::web::change::{ReasonBody, reason};
use crate::web::fields::{BodyFields, Fields, QueryFields};
use crate::web::problem::{Kind, Problem};
use axum::Extension;
use axum::extract::State;
use granary_domain::TimeRange;
use granary_ledger::jobs::Operation;
use granary_operations::Job;
use granary_verify::{Repair, VerifyArguments, VerifyError};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use std::sync::Arc;
use utoipa::ToSchema;
use uuid::Uuid;

/// What is to be verified.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "what `read` takes, for the document")]
pub(crate) struct VerifyBody {
    /// The migration whose range is meant; left out: everything that is on record, or `from` and `to`.
    migration_id: Option<Uuid>,
    /// From this instant of event time on.
    from: Option<Timestamp>,
    /// Up to this instant of event time, without it.
    to: Option<Timestamp>,
    /// Only count, and look at manifests.
    #[schema(default = false)]
    quick: Option<bool>,
    /// Compare the content of every message with the source, not of some of each object. Not together with `quick`.
    #[schema(default = false)]
    content: Option<bool>,
    /// Compare the ledger with the archive, and don't read the source. Not together with `quick`, `content` or `repair`.
    #[schema(default = false)]
    archive_only: Option<bool>,
    /// Have exported what is missing. Not together with `quick`.
    #[schema(default = false)]
    repair: Option<bool>,
    /// With `repair`: only say what it would do. Without it nothing is changed anyway.
    #[schema(default = false)]
    dry_run: Option<bool>,
    #[serde(flatten)]
    reason: ReasonBody,
}

/// The newest verifications.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct VerifyList {
    /// The newest first.
    verifications: Vec<VerifyLine>,
    /// How many these are.
    count: usize,
    /// The `cursor` of the next page; `null`: there are no more.
    next_cursor: Option<String>,
}

/// A verification without its findings, which may be many; `GET /operations/{id}` has them.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct VerifyLine {
    #[serde(flatten)]
    operation: OperationSummary,
    /// `COMPLETE`, `DRIFTED`, `PENDING` or `INCOMPLETE`; of a quick one `CONSISTENT` or `INCONSISTENT`; `null` before its end.
    #[schema(examples("COMPLETE"))]
    verdict: Option<String>,
    /// What was verified: a migration's range, or a range of event time; `null` before its end.
    scope: Option<Value>,
    /// Messages at the source, in the ledger and in the archive, and what was looked at; `null` before its end.
    counts: Option<Value>,
}

/// Verify that nothing is lost
///
/// A range of the source is compared with the ledger and the archive, id by id; with `repair`, what is missing is exported.
#[utoipa::path(post, path = "/verify", request_body = VerifyBody, responses((status = 404, description = "No such migration.")))]
pub(crate) async fn start(
    State(services): State<Arc<Services>>,
    Extension(caller): Extension<Caller>,
    BodyFields(fields): BodyFields,
) -> Result<LongAnswer, Problem> {
    let (arguments, reason) = (read(&fields)?, reason(&fields)?);
    refuse_the_future(&arguments, services.horizon().await?)?;
    if let Some(id) = arguments.migration {
        crate::migrating::migrate::migration(services.ledger().await?, id).await?;
    }
    let verifier = operations::verifier(&services).await?;
    verifier.refuse_empty(&arguments).await.map_err(refused)?;
    operations::ask(&services, &caller, Wish::Verify(arguments), reason).await
}

/// The newest verifications
#[utoipa::path(get, path = "/verify", params(NewestQuery))]
pub(crate) async fn list(
    State(services): State<Arc<Services>>,
    QueryFields(query): QueryFields,
) -> Result<Answer<VerifyList>, Problem> {
    let (verifications, next_cursor) = operations::list(&services, &query, Job::VERIFY).await?;
    Ok(Answer::ok(VerifyList {
        verifications: verifications.iter().map(VerifyLine::from).collect(),
        count: verifications.len(),
        next_cursor,
    }))
}

impl From<&Operation> for VerifyLine {
    fn from(operation: &Operation) -> Self {
        let of_result = |member: &str| operation.result.as_ref().map(|result| result[member].clone());
        let verdict = of_result("verdict");
        Self {
            operation: operation.into(),
            verdict: verdict.and_then(|verdict| verdict.as_str().map(str::to_owned)),
            scope: of_result("scope"),
            counts: of_result("counts"),
        }
    }
}

fn read(fields: &Fields) -> Result<VerifyArguments, Problem> {
    fields.only(&[
        "migrationId",
        "from",
        "to",
        "quick",
        "content",
        "archiveOnly",
        "repair",
        "dryRun",
        "reason",
    ])?;
    let arguments = VerifyArguments {
        migration: fields.parsed("migrationId")?,
        from: fields.instant("from")?,
        to: fields.instant("to")?,
        quick: fields.switch("quick")?,
        content: fields.switch("content")?,
        archive_only: fields.switch("archiveOnly")?,
        repair: repair(fields)?,
    };
    if arguments.quick && arguments.repair != Repair::Off {
        let detail = "A quick verification counts: it names nothing that could be repaired.";
        return Err(Problem::invalid("repair", detail));
    }
    if arguments.quick && arguments.content {
        let detail = "A quick verification counts: it reads no content.";
        return Err(Problem::invalid("content", detail));
    }
    if arguments.archive_only && (arguments.quick || arguments.content || arguments.repair != Repair::Off) {
        let detail = "Without the source no content is compared and nothing is repaired, and `quick` counts what it shows.";
        return Err(Problem::invalid("archiveOnly", detail));
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
        // Without a repair nothing is changed anyway.
        (false, _) => Ok(Repair::Off),
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

fn refused(error: VerifyError) -> Problem {
    match error {
        VerifyError::Ledger(error) => error.into(),
        VerifyError::Source(error) => error.into(),
        VerifyError::EmptyRange(_) => Problem::invalid("from", format!("{error}.")),
        VerifyError::UnknownMigration(_) => Problem::new(Kind::NotFound, format!("{error}.")),
        VerifyError::Archive(_) | VerifyError::NoNumbers | VerifyError::ShortScan { .. } => {
            anyhow::Error::from(error).into()
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
        assert_eq!(repair(r#"{"dryRun":true}"#), Repair::Off);
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
            (r#"{"repair":true,"quick":true}"#, "repair"),
            (r#"{"content":true,"quick":true}"#, "content"),
            (r#"{"repair":"perhaps"}"#, "repair"),
            (r#"{"archiveOnly":true,"repair":true}"#, "archiveOnly"),
            (r#"{"archiveOnly":true,"content":true}"#, "archiveOnly"),
        ] {
            assert_eq!(read(json).unwrap_err().field(), Some(field), "{json}");
        }
    }
}
