//! `/seed`: test messages, where they are allowed.

use crate::answer::Answer;
use crate::auth::Role;
use crate::change::{Change, ChangeBody};
use crate::fields::{BodyFields, Fields, number_in_path};
use crate::operations::{self, LongAnswer, OperationAnswer, Told, Wish};
use crate::problem::{Kind, Problem};
use crate::services::{Done, Services};
use axum::Extension;
use axum::extract::{Path, State};
use granary_ledger::{Ledger, SYNTHETIC_JOBS_MAX, SyntheticJobs};
use granary_seeding::SeedingSection;
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use utoipa::ToSchema;

const SOME_DEFAULT: u64 = 100;
const JOBS_DEFAULT: u8 = 10;
const SOME_MAX: u64 = 10_000;
const BULK_MAX: u64 = 1_000_000;
const HOURS_MAX: u32 = 24 * 366;
const SEED_NUMBER_MAX: u64 = i64::MAX.unsigned_abs();
const CONFIRMATION: &str = "yes-clear-all-data";

/// Which test messages.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "what `some` takes, for the document")]
pub(crate) struct SeedSomeBody {
    /// How many.
    #[schema(minimum = 1, maximum = 10_000, default = 100)]
    count: Option<u64>,
    /// The number that all of it is made from: the same number makes the same messages; left out: one of its own.
    #[schema(minimum = 0)]
    seed: Option<u64>,
    /// Over how many hours of event time before now they are spread.
    #[schema(minimum = 1, maximum = 8_784)]
    hours: Option<u32>,
}

/// Which test messages.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "what `bulk` takes, for the document")]
pub(crate) struct SeedBulkBody {
    /// The number that all of it is made from: the same number makes the same messages; left out: one of its own.
    #[schema(minimum = 0)]
    seed: Option<u64>,
    /// Over how many hours of event time before now they are spread.
    #[schema(minimum = 1, maximum = 8_784)]
    hours: Option<u32>,
}

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
    /// The number that all of it is made from: the same number makes the same messages; left out: one of its own.
    #[schema(minimum = 0)]
    seed: Option<u64>,
    /// Over how many hours of event time before now they are spread.
    #[schema(minimum = 1, maximum = 8_784)]
    hours: Option<u32>,
    /// How many made-up migrations, and as many operations.
    #[schema(minimum = 1, maximum = 100, default = 10)]
    jobs: Option<u8>,
    #[serde(flatten)]
    change: ChangeBody,
}

/// That all test data is really to go.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "what `refuse_unless_confirmed` takes, for the document")]
pub(crate) struct SeedClearBody {
    /// `yes-clear-all-data`.
    #[schema(examples("yes-clear-all-data"))]
    confirm: String,
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
    /// It was only foretold: nothing was written.
    dry_run: bool,
    /// How many made-up jobs there would be.
    synthetic: ShownSynthetic,
    /// How many test messages would be written.
    messages: u64,
    /// What that means, for people.
    message: &'static str,
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

/// What there is of test data.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SeedStatistics {
    /// Of test messages.
    stats: ShownSeedStats,
    /// Of made-up jobs.
    synthetic: ShownSynthetic,
}

/// What there is of test messages.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ShownSeedStats {
    /// Test documents that the source has, by index.
    documents: BTreeMap<String, u64>,
    /// Test messages that the ledger has, by their status there.
    ledger: BTreeMap<String, u64>,
}

/// Write some test messages
#[utoipa::path(post, path = "/seed/some-model", request_body = SeedSomeBody)]
pub(crate) async fn some(
    State(services): State<Arc<Services>>,
    Extension(role): Extension<Role>,
    BodyFields(fields): BodyFields,
) -> Result<LongAnswer, Problem> {
    fields.only(&["count", "seed", "hours"])?;
    seeding_section(&services)?;
    let count = fields.number("count", 1..=SOME_MAX)?.unwrap_or(SOME_DEFAULT);
    operations::ask(&services, role, wish(count, &fields)?).await
}

/// Write many test messages
#[utoipa::path(post, path = "/seed/bulk/{count}", request_body = SeedBulkBody, params(
    ("count" = u64, Path, description = "How many.", minimum = 1, maximum = 1_000_000, example = 20),
))]
pub(crate) async fn bulk(
    State(services): State<Arc<Services>>,
    Extension(role): Extension<Role>,
    Path(count): Path<String>,
    BodyFields(fields): BodyFields,
) -> Result<LongAnswer, Problem> {
    fields.only(&["seed", "hours"])?;
    seeding_section(&services)?;
    let count = number_in_path("count", &count, 1..=BULK_MAX)?;
    operations::ask(&services, role, wish(count, &fields)?).await
}

/// Make up finished jobs
///
/// Nobody worked on them: they are for whoever tries the API out.
#[utoipa::path(post, path = "/seed/job-status", request_body = SeedJobsBody)]
pub(crate) async fn job_status(
    State(services): State<Arc<Services>>,
    Extension(role): Extension<Role>,
    BodyFields(fields): BodyFields,
) -> Result<Answer<HistoryMade>, Problem> {
    fields.only(&["count", "dryRun", "reason"])?;
    seeding_section(&services)?;
    let count = fields
        .number("count", 1..=SYNTHETIC_JOBS_MAX)?
        .unwrap_or(JOBS_DEFAULT);
    let change = Change::read(&fields)?;
    let jobs = make_history(&services, role, &change, count).await?;
    Ok(Answer::ok(HistoryMade {
        dry_run: change.is_dry_run,
        synthetic: jobs,
        message: "Jobs of 1970 that are over and have no messages: GET /migrate and GET /operations list them last. \
                  DELETE /seed/clear removes them.",
    }))
}

/// Write test messages, and make up finished jobs
#[utoipa::path(post, path = "/seed/all", request_body = SeedAllBody)]
pub(crate) async fn all(
    State(services): State<Arc<Services>>,
    Extension(role): Extension<Role>,
    BodyFields(fields): BodyFields,
) -> Result<Answer<AllDone, AllSeeded>, Problem> {
    fields.only(&["count", "seed", "hours", "jobs", "dryRun", "reason"])?;
    seeding_section(&services)?;
    let count = fields.number("count", 1..=SOME_MAX)?.unwrap_or(SOME_DEFAULT);
    let jobs = fields
        .number("jobs", 1..=SYNTHETIC_JOBS_MAX)?
        .unwrap_or(JOBS_DEFAULT);
    let (wish, change) = (wish(count, &fields)?, Change::read(&fields)?);
    let jobs = make_history(&services, role, &change, jobs).await?;
    if change.is_dry_run {
        return Ok(Answer::ok(AllDone::Foretold(AllForetold {
            dry_run: true,
            synthetic: jobs,
            messages: count,
            message: "Nothing was written.",
        })));
    }
    let with_jobs = |operation| AllSeeded {
        operation,
        synthetic: jobs,
    };
    Ok(match operations::begin(&services, role, wish).await? {
        Told::Done(operation) => Answer::ok(AllDone::Seeded(Box::new(with_jobs(operation)))),
        Told::Later(operation) => Answer::accepted(with_jobs(operation)),
    })
}

/// Who wanted it is written down first, like any other job.
async fn make_history(
    services: &Services,
    role: Role,
    change: &Change,
    count: u8,
) -> Result<ShownSynthetic, Problem> {
    let ledger: &Ledger = services.ledger().await?;
    let before = ledger.history().await?;
    let after = SyntheticJobs {
        migrations: before.migrations.max(count.into()),
        operations: before.operations.max(count.into()),
    };
    if !change.is_dry_run {
        services
            .record(Done {
                by: role,
                action: "seed.history",
                arguments: change.with_reason(json!({ "count": count })),
                effect: json!({ "before": shown(before), "after": shown(after) }),
            })
            .await?;
        ledger.make_history(count).await?;
    }
    Ok(shown(after))
}

fn shown(jobs: SyntheticJobs) -> ShownSynthetic {
    ShownSynthetic {
        migrations: jobs.migrations,
        operations: jobs.operations,
    }
}

/// What there is of test data
#[utoipa::path(get, path = "/seed/stats")]
pub(crate) async fn stats(State(services): State<Arc<Services>>) -> Result<Answer<SeedStatistics>, Problem> {
    let stats = operations::seeder(&services).await?.stats().await?;
    let history = services.ledger().await?.history().await?;
    Ok(Answer::ok(SeedStatistics {
        stats: ShownSeedStats {
            documents: stats.documents,
            ledger: stats.ledger,
        },
        synthetic: shown(history),
    }))
}

/// Delete all test data
///
/// Every test message goes, with what became of it, and every made-up job.
#[utoipa::path(delete, path = "/seed/clear", request_body = SeedClearBody)]
pub(crate) async fn clear(
    State(services): State<Arc<Services>>,
    Extension(role): Extension<Role>,
    BodyFields(fields): BodyFields,
) -> Result<LongAnswer, Problem> {
    fields.only(&["confirm"])?;
    seeding_section(&services)?;
    refuse_unless_confirmed(&fields)?;
    operations::ask(&services, role, Wish::Clear).await
}

fn wish(count: u64, fields: &Fields) -> Result<Wish, Problem> {
    Ok(Wish::Seed {
        count,
        seed: fields.number("seed", 0..=SEED_NUMBER_MAX)?,
        hours: fields.number("hours", 1..=HOURS_MAX)?,
    })
}

/// What a deployment without test data answers to whoever wants some.
fn not_allowed() -> Problem {
    Problem::new(
        Kind::SeedingNotAllowed,
        "Test messages are not allowed at this deployment.",
    )
    .remedy(
        "Set GRANARY_ALLOW_SEEDING=true and GRANARY_SEED_ES_URL of the operator. Production refuses both.",
    )
}

/// The permission to write test messages, if this deployment has it.
pub(crate) fn seeding_section(services: &Services) -> Result<&SeedingSection, Problem> {
    services.config.seeding.as_ref().ok_or_else(not_allowed)
}

fn refuse_unless_confirmed(fields: &Fields) -> Result<(), Problem> {
    if fields.value("confirm").is_some_and(|given| given == CONFIRMATION) {
        return Ok(());
    }
    let detail = format!(
        "Clearing deletes every test message with what became of it. The body must be {{\"confirm\":\"{CONFIRMATION}\"}}."
    );
    Err(Problem::new(Kind::NotConfirmed, detail).with("field", "confirm".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clearing_wants_its_words_exactly() {
        let confirmed =
            |json: &str| refuse_unless_confirmed(&Fields::of_json(json.as_bytes()).unwrap()).is_ok();
        assert!(confirmed(r#"{"confirm":"yes-clear-all-data"}"#));
        for json in [
            "",
            r#"{"confirm":true}"#,
            r#"{"confirm":"yes"}"#,
            r#"{"confirm":"YES-CLEAR-ALL-DATA"}"#,
        ] {
            assert!(!confirmed(json), "{json}");
        }
    }
}
