//! `/seed/job-status`, `/seed/all`: finished jobs that nobody worked on, for whoever tries the API out.

use crate::operating::operations::{self, OperationAnswer, Told, Wish};
use crate::seeding::seed::{NOTHING_WRITTEN, SOME_DEFAULT, SOME_MAX, SeedForetold, arguments};
use crate::seeding::seeder::seeding_section;
use crate::services::{Done, Services};
use crate::web::answer::Answer;
use crate::web::caller::Caller;
use crate::web::change::{Change, ChangeBody};
use crate::web::fields::{BodyFields, Fields};
use crate::web::problem::Problem;
use axum::Extension;
use axum::extract::State;
use granary_ledger::test_data::{SYNTHETIC_JOBS_MAX, SyntheticJobs};
use serde::Serialize;
use serde_json::json;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::sync::Arc;
use utoipa::ToSchema;

const JOBS_DEFAULT: u8 = 10;

/// How many jobs.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "what `job_status` takes, for the document")]
pub(crate) struct SeedJobsBody {
    /// How many migrations, and as many operations.
    #[schema(minimum = 1, maximum = 100, default = 10)]
    count: Option<u8>,
    #[serde(flatten)]
    change: ChangeBody,
}

/// Which test messages, and how many jobs.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "what `all` takes, for the document")]
pub(crate) struct SeedAllBody {
    /// How many messages.
    #[schema(minimum = 1, maximum = 10_000, default = 100)]
    count: Option<u64>,
    /// The same, under the name of the older system. Where both are given they have to be equal.
    #[schema(minimum = 1, maximum = 10_000)]
    some_model_count: Option<u64>,
    /// The number that all of it is made from: the same number makes the same messages; left out: one of its own.
    #[schema(minimum = 0)]
    seed: Option<u64>,
    /// Over how many hours of event time before now they are spread.
    #[schema(minimum = 1, maximum = 8_784)]
    hours: Option<u32>,
    /// How many made-up migrations, and as many operations.
    #[schema(minimum = 1, maximum = 100, default = 10)]
    jobs: Option<u8>,
    /// The same, under the name of the older system. Where both are given they have to be equal.
    #[schema(minimum = 1, maximum = 100)]
    job_status_count: Option<u8>,
    #[serde(flatten)]
    change: ChangeBody,
}

/// Jobs that nobody worked on, as they are or would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct ShownSynthetic {
    /// Migrations among them.
    migrations: u64,
    /// Operations among them.
    operations: u64,
}

/// What became of jobs that were to be made up.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HistoryMade {
    /// Whether it was only foretold: then nothing was written.
    dry_run: bool,
    /// How many such jobs there are afterwards.
    synthetic: ShownSynthetic,
    /// What that means, for people.
    message: &'static str,
}

/// What seeding everything would write.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AllForetold {
    #[serde(flatten)]
    messages: SeedForetold,
    /// How many made-up jobs there would be.
    synthetic: ShownSynthetic,
}

/// All of it that was foretold, or has come to its end.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum AllDone {
    /// What it would write.
    Foretold(AllForetold),
    /// What it wrote.
    Seeded(Box<AllSeeded>),
}

/// What seeding everything has written, or goes on writing.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AllSeeded {
    #[serde(flatten)]
    operation: OperationAnswer,
    /// How many made-up jobs there are.
    synthetic: ShownSynthetic,
}

/// Make up finished jobs
///
/// Nobody worked on them: they are for whoever tries the API out.
#[utoipa::path(post, path = "/seed/job-status", request_body = SeedJobsBody)]
pub(crate) async fn job_status(
    State(services): State<Arc<Services>>,
    Extension(caller): Extension<Caller>,
    BodyFields(fields): BodyFields,
) -> Result<Answer<HistoryMade>, Problem> {
    fields.only(&["count", "dryRun", "reason"])?;
    seeding_section(&services)?;
    let count = fields
        .number("count", 1..=SYNTHETIC_JOBS_MAX)?
        .unwrap_or(JOBS_DEFAULT);
    let change = Change::read(&fields)?;
    let jobs = make_history(&services, &caller, &change, count).await?;
    Ok(Answer::ok(HistoryMade {
        dry_run: change.is_dry_run,
        synthetic: jobs,
        message: if change.is_dry_run {
            NOTHING_WRITTEN
        } else {
            "Jobs of 1970 that are over and have no messages: GET /migrate and GET /operations list them last. \
             DELETE /seed/clear removes them."
        },
    }))
}

/// Write test messages, and make up finished jobs
#[utoipa::path(post, path = "/seed/all", request_body = SeedAllBody)]
pub(crate) async fn all(
    State(services): State<Arc<Services>>,
    Extension(caller): Extension<Caller>,
    BodyFields(fields): BodyFields,
) -> Result<Answer<AllDone, AllSeeded>, Problem> {
    fields.only(&[
        "count",
        "someModelCount",
        "seed",
        "hours",
        "jobs",
        "jobStatusCount",
        "dryRun",
        "reason",
    ])?;
    seeding_section(&services)?;
    let count = one_of(&fields, ["count", "someModelCount"], 1..=SOME_MAX)?.unwrap_or(SOME_DEFAULT);
    let jobs = one_of(&fields, ["jobs", "jobStatusCount"], 1..=SYNTHETIC_JOBS_MAX)?.unwrap_or(JOBS_DEFAULT);
    let change = Change::read(&fields)?;
    let arguments = arguments(&services, count, &fields).await?;
    let jobs = make_history(&services, &caller, &change, jobs).await?;
    if change.is_dry_run {
        return Ok(Answer::ok(AllDone::Foretold(AllForetold {
            messages: SeedForetold::of(&arguments),
            synthetic: jobs,
        })));
    }
    let with_jobs = |operation| AllSeeded {
        operation,
        synthetic: jobs,
    };
    let told = operations::begin(&services, &caller, Wish::Seed(arguments), change.reason()).await?;
    Ok(match told {
        Told::Done(operation) => Answer::ok(AllDone::Seeded(Box::new(with_jobs(operation)))),
        Told::Later(operation) => Answer::accepted(with_jobs(operation)),
    })
}

/// A number that has two names.
fn one_of<N>(fields: &Fields, names: [&str; 2], range: RangeInclusive<N>) -> Result<Option<N>, Problem>
where
    N: FromStr + PartialOrd + Display + Clone,
{
    let [name, other] = names;
    match (fields.number(name, range.clone())?, fields.number(other, range)?) {
        (Some(one), Some(another)) if one != another => Err(Problem::invalid(
            other,
            format!("`{other}` is {another}, and `{name}` is {one}: both mean the same number."),
        )),
        (one, another) => Ok(one.or(another)),
    }
}

/// Who wanted it is written down first, like any other job.
async fn make_history(
    services: &Services,
    caller: &Caller,
    change: &Change,
    count: u8,
) -> Result<ShownSynthetic, Problem> {
    let ledger = services.ledger().await?;
    let before = ledger.history().await?;
    let after = SyntheticJobs {
        migrations: before.migrations.max(count.into()),
        operations: before.operations.max(count.into()),
    };
    if !change.is_dry_run {
        services
            .record(Done {
                by: caller.clone(),
                action: "seed.history",
                arguments: change.with_reason(json!({ "count": count })),
                effect: json!({ "before": ShownSynthetic::from(before), "after": ShownSynthetic::from(after) }),
            })
            .await?;
        ledger.make_history(count).await?;
    }
    Ok(after.into())
}

impl From<SyntheticJobs> for ShownSynthetic {
    fn from(jobs: SyntheticJobs) -> Self {
        Self {
            migrations: jobs.migrations,
            operations: jobs.operations,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_goes_by_either_of_its_names_and_not_by_two_of_different_value() {
        let read = |json: &str| {
            let fields = Fields::of_json(json.as_bytes()).unwrap();
            one_of(&fields, ["jobs", "jobStatusCount"], 1..=100_u8)
        };
        assert_eq!(read(r#"{"jobs":3}"#).unwrap(), Some(3));
        assert_eq!(read(r#"{"jobStatusCount":3}"#).unwrap(), Some(3));
        assert_eq!(read(r#"{"jobs":3,"jobStatusCount":"3"}"#).unwrap(), Some(3));
        assert_eq!(read("{}").unwrap(), None);
        for json in [r#"{"jobs":3,"jobStatusCount":4}"#, r#"{"jobStatusCount":0}"#] {
            assert_eq!(read(json).unwrap_err().field(), Some("jobStatusCount"), "{json}");
        }
    }
}
