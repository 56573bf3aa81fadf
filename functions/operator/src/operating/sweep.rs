//! `/sweep`: finding objects that nobody recorded, taking them away, and the sweeps so far.

use crate::operating::operations::{self, LongAnswer, NewestQuery, OperationSummary, Wish};
use crate::services::Services;
use crate::web::answer::Answer;
use crate::web::caller::Caller;
use crate::web::change::{Change, ChangeBody};
use crate::web::fields::{BodyFields, Fields, QueryFields};
use crate::web::problem::Problem;
use axum::Extension;
use axum::extract::State;
use granary_ledger::jobs::Operation;
use granary_operations::Job;
use granary_sweep::SweepArguments;
use serde::Serialize;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;
use utoipa::ToSchema;

const AGE_SECS_MAX: u64 = 30 * 86_400;

/// What is to be swept.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "what `read` takes, for the document")]
pub(crate) struct SweepBody {
    /// Whether what is found is taken away.
    #[schema(default = false)]
    apply: Option<bool>,
    /// Seconds that an object has to be old at least. Nobody may ask for less than the deployment does
    /// (`GRANARY_SWEEP_AGE_SECONDS`), which is what holds where it is left out.
    #[schema(minimum = 3_600, maximum = 2_592_000)]
    older_than: Option<u64>,
    /// Whether objects of batches that the ledger doesn't know count, too. Never right for a ledger that was restored.
    #[schema(default = false)]
    include_unknown: Option<bool>,
    #[serde(flatten)]
    change: ChangeBody,
}

/// The newest sweeps.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SweepList {
    /// The newest first.
    sweeps: Vec<SweepLine>,
    /// How many these are.
    count: usize,
    /// The `cursor` of the next page; `null`: there are no more.
    next_cursor: Option<String>,
}

/// A sweep with its counts; `GET /operations/{id}` has the keys.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SweepLine {
    #[serde(flatten)]
    operation: OperationSummary,
    /// Whether it takes away what it finds.
    apply: bool,
    /// Objects that nobody recorded; `null` before its end.
    orphans: Option<u64>,
    /// Manifests whose object isn't there; `null` before its end.
    manifests: Option<u64>,
    /// Uploads that nobody goes on with; `null` before its end.
    uploads: Option<u64>,
}

/// Find objects that nobody recorded, and take them away
///
/// It only looks, unless `apply` is true. What may be in a worker's hands is left alone.
#[utoipa::path(post, path = "/sweep", request_body = SweepBody)]
pub(crate) async fn start(
    State(services): State<Arc<Services>>,
    Extension(caller): Extension<Caller>,
    BodyFields(fields): BodyFields,
) -> Result<LongAnswer, Problem> {
    let change = Change::read(&fields)?;
    let arguments = read(&fields, &change, services.config.sweep.age_min)?;
    operations::ask(&services, &caller, Wish::Sweep(arguments), change.reason()).await
}

/// The newest sweeps
#[utoipa::path(get, path = "/sweep", params(NewestQuery))]
pub(crate) async fn list(
    State(services): State<Arc<Services>>,
    QueryFields(query): QueryFields,
) -> Result<Answer<SweepList>, Problem> {
    let (sweeps, next_cursor) = operations::list(&services, &query, Job::SWEEP).await?;
    Ok(Answer::ok(SweepList {
        sweeps: sweeps.iter().map(SweepLine::from).collect(),
        count: sweeps.len(),
        next_cursor,
    }))
}

impl From<&Operation> for SweepLine {
    fn from(operation: &Operation) -> Self {
        let result = operation.result.as_ref();
        let count = |pile: &str| result.and_then(|result| result[pile]["count"].as_u64());
        Self {
            operation: operation.into(),
            apply: operation.arguments["apply"].as_bool().unwrap_or(false),
            orphans: count("orphans"),
            manifests: count("manifests"),
            uploads: count("uploads"),
        }
    }
}

/// What is younger than the deployment's age may be in a worker's hands, so nobody may ask for less.
fn read(fields: &Fields, change: &Change, age_min: Duration) -> Result<SweepArguments, Problem> {
    fields.only(&["apply", "olderThan", "includeUnknown", "dryRun", "reason"])?;
    let ages: RangeInclusive<u64> = age_min.as_secs()..=AGE_SECS_MAX;
    let apply = fields.switch("apply")?;
    if apply && change.is_dry_run {
        let detail = "`apply` takes away what is found, and `dryRun` only looks: give one of them.";
        return Err(Problem::invalid("dryRun", detail));
    }
    Ok(SweepArguments {
        apply,
        older_than_secs: fields.number("olderThan", ages)?,
        include_unknown: fields.switch("includeUnknown")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<SweepArguments, Problem> {
        let fields = Fields::of_json(json.as_bytes()).unwrap();
        let change = Change::read(&fields)?;
        super::read(&fields, &change, Duration::from_secs(3_600))
    }

    #[test]
    fn nothing_asked_for_only_looks() {
        assert_eq!(read("").unwrap(), SweepArguments::default());
        assert!(!read("").unwrap().apply);
        assert!(!read(r#"{"dryRun":true}"#).unwrap().apply);
        assert!(read(r#"{"apply":true}"#).unwrap().apply);
    }

    #[test]
    fn what_may_be_in_a_workers_hands_can_not_be_asked_for() {
        for (json, field) in [
            (r#"{"olderThan":3599}"#, "olderThan"),
            (r#"{"olderThan":"soon"}"#, "olderThan"),
            (r#"{"apply":"perhaps"}"#, "apply"),
            (r#"{"dryRun":true,"apply":true}"#, "dryRun"),
        ] {
            assert_eq!(read(json).unwrap_err().field(), Some(field), "{json}");
        }
        assert_eq!(
            read(r#"{"olderThan":3600}"#).unwrap().older_than_secs,
            Some(3_600)
        );
    }
}
