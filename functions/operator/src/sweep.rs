//! `/sweep`: finding objects that nobody recorded, taking them away, and the sweeps so far.

use crate::answer::Answer;
use crate::auth::Role;
use crate::fields::{BodyFields, Fields, QueryFields};
use crate::operations::{self, Wish};
use crate::problem::Problem;
use crate::services::Services;
use axum::Extension;
use axum::extract::State;
use granary_ledger::Operation;
use granary_operations::Job;
use granary_sweep::SweepArguments;
use serde_json::{Value, json};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

const AGE_SECS_MAX: u64 = 30 * 86_400;

/// `POST /sweep`.
pub(crate) async fn start(
    State(services): State<Arc<Services>>,
    Extension(role): Extension<Role>,
    BodyFields(fields): BodyFields,
) -> Result<Answer, Problem> {
    let arguments = read(&fields, services.config.sweep.age_min)?;
    operations::ask(&services, role, Wish::Sweep(arguments)).await
}

/// `GET /sweep`.
pub(crate) async fn list(
    State(services): State<Arc<Services>>,
    QueryFields(query): QueryFields,
) -> Result<Answer, Problem> {
    let sweeps = operations::list(&services, &query, Job::SWEEP).await?;
    Ok(Answer::ok(
        json!({ "sweeps": sweeps.iter().map(summary).collect::<Vec<_>>() }),
    ))
}

/// A sweep with its counts; `GET /operations/{id}` has the keys.
fn summary(operation: &Operation) -> Value {
    let count = |pile: &str| {
        operation
            .result
            .as_ref()
            .map(|result| result[pile]["count"].clone())
    };
    operations::summary(
        operation,
        [
            ("apply", operation.arguments["apply"].clone()),
            ("orphans", json!(count("orphans"))),
            ("manifests", json!(count("manifests"))),
            ("uploads", json!(count("uploads"))),
        ],
    )
}

/// What is younger than the deployment's age may be in a worker's hands, so nobody may ask for less.
fn read(fields: &Fields, age_min: Duration) -> Result<SweepArguments, Problem> {
    fields.only(&["apply", "olderThan", "includeUnknown"])?;
    let ages: RangeInclusive<u64> = age_min.as_secs()..=AGE_SECS_MAX;
    Ok(SweepArguments {
        apply: fields.switch("apply")?,
        older_than_secs: fields.number("olderThan", ages)?,
        include_unknown: fields.switch("includeUnknown")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<SweepArguments, Problem> {
        super::read(
            &Fields::of_json(json.as_bytes()).unwrap(),
            Duration::from_secs(3_600),
        )
    }

    #[test]
    fn nothing_asked_for_only_looks() {
        assert_eq!(read("").unwrap(), SweepArguments::default());
        assert!(!read("").unwrap().apply);
        assert!(read(r#"{"apply":true}"#).unwrap().apply);
    }

    #[test]
    fn what_may_be_in_a_workers_hands_can_not_be_asked_for() {
        for (json, field) in [
            (r#"{"olderThan":3599}"#, "olderThan"),
            (r#"{"olderThan":"soon"}"#, "olderThan"),
            (r#"{"apply":"perhaps"}"#, "apply"),
            (r#"{"dryRun":false}"#, "dryRun"),
        ] {
            assert_eq!(read(json).unwrap_err().field(), Some(field), "{json}");
        }
        assert_eq!(
            read(r#"{"olderThan":3600}"#).unwrap().older_than_secs,
            Some(3_600)
        );
    }
}
