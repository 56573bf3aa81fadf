//! `/seed/some-model`, `/seed/bulk`, `/seed/stats`: test messages, where they are allowed.

use crate::migrating::round::{BATCH_SIZE, batch_size};
use crate::operating::operations::{self, OperationAnswer, Wish};
use crate::seeding::seed_jobs::ShownSynthetic;
use crate::seeding::seeder::{seeder, seeding_section};
use crate::services::Services;
use crate::web::answer::Answer;
use crate::web::caller::Caller;
use crate::web::change::{Change, ChangeBody};
use crate::web::fields::{BodyFields, Fields, number_in_path};
use crate::web::problem::Problem;
use axum::Extension;
use axum::extract::{Path, State};
use granary_seeding::SeedArguments;
use jiff::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use utoipa::ToSchema;

pub(super) const SOME_DEFAULT: u64 = 100;
pub(super) const SOME_MAX: u64 = 10_000;
const BULK_MAX: u64 = 1_000_000;
const HOURS_MAX: u32 = 24 * 366;
const SEED_NUMBER_MAX: u64 = i64::MAX.unsigned_abs();
pub(super) const NOTHING_WRITTEN: &str = "Nothing was written.";

/// Which test messages.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "what `some` takes, for the document")]
pub(crate) struct SeedSomeBody {
    /// How many.
    #[schema(minimum = 1, maximum = 10_000, default = 100)]
    count: Option<u64>,
    /// Messages in one bulk request to Elasticsearch at most. Left out: as many as fit into 5 MiB.
    #[schema(minimum = 1, maximum = 10_000, examples(50))]
    batch_size: Option<u32>,
    /// The number that all of it is made from: the same number makes the same messages; left out: one of its own.
    #[schema(minimum = 0)]
    seed: Option<u64>,
    /// Over how many hours of event time before now they are spread.
    #[schema(minimum = 1, maximum = 8_784)]
    hours: Option<u32>,
    #[serde(flatten)]
    change: ChangeBody,
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
    #[serde(flatten)]
    change: ChangeBody,
}

/// What seeding would write.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SeedForetold {
    /// It was only foretold: nothing was written.
    dry_run: bool,
    /// How many test messages would be written.
    messages: u64,
    /// The number that all of it would be made from: said again, the same messages are written.
    seed: u64,
    /// Their event times would end before it.
    before: Timestamp,
    /// Over how many hours of event time they would be spread.
    hours: u32,
    /// What that means, for people.
    message: &'static str,
}

impl SeedForetold {
    pub(super) fn of(arguments: &SeedArguments) -> Self {
        Self {
            dry_run: true,
            messages: arguments.count,
            seed: arguments.seed,
            before: arguments.base,
            hours: arguments.hours,
            message: NOTHING_WRITTEN,
        }
    }
}

/// Seeding that was foretold, or has come to its end.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum Seeded {
    /// What it would write.
    Foretold(SeedForetold),
    /// What it wrote.
    Seeded(Box<OperationAnswer>),
}

/// The answer to whoever asks for test messages.
pub(crate) type SeedAnswer = Answer<Seeded, OperationAnswer>;

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
    Extension(caller): Extension<Caller>,
    BodyFields(fields): BodyFields,
) -> Result<SeedAnswer, Problem> {
    fields.only(&["count", BATCH_SIZE, "seed", "hours", "dryRun", "reason"])?;
    seeding_section(&services)?;
    let count = fields.number("count", 1..=SOME_MAX)?.unwrap_or(SOME_DEFAULT);
    write(&services, &caller, count, &fields).await
}

/// Write many test messages
#[utoipa::path(post, path = "/seed/bulk/{count}", request_body = SeedBulkBody, params(
    ("count" = u64, Path, description = "How many.", minimum = 1, maximum = 1_000_000, example = 20),
))]
pub(crate) async fn bulk(
    State(services): State<Arc<Services>>,
    Extension(caller): Extension<Caller>,
    Path(count): Path<String>,
    BodyFields(fields): BodyFields,
) -> Result<SeedAnswer, Problem> {
    fields.only(&["seed", "hours", "dryRun", "reason"])?;
    seeding_section(&services)?;
    let count = number_in_path("count", &count, 1..=BULK_MAX)?;
    write(&services, &caller, count, &fields).await
}

async fn write(
    services: &Services,
    caller: &Caller,
    count: u64,
    fields: &Fields,
) -> Result<SeedAnswer, Problem> {
    let change = Change::read(fields)?;
    let arguments = arguments(services, count, fields).await?;
    if change.is_dry_run {
        return Ok(Answer::ok(Seeded::Foretold(SeedForetold::of(&arguments))));
    }
    let told = operations::begin(services, caller, Wish::Seed(arguments), change.reason()).await?;
    Ok(told.answer(|operation| Seeded::Seeded(Box::new(operation))))
}

/// What there is of test data
#[utoipa::path(get, path = "/seed/stats")]
pub(crate) async fn stats(State(services): State<Arc<Services>>) -> Result<Answer<SeedStatistics>, Problem> {
    statistics(&services).await.map(Answer::ok)
}

/// What there is of test data at the moment.
pub(super) async fn statistics(services: &Services) -> Result<SeedStatistics, Problem> {
    let stats = seeder(services).await?.stats().await?;
    let history = services.ledger().await?.history().await?;
    Ok(SeedStatistics {
        stats: ShownSeedStats {
            documents: stats.documents,
            ledger: stats.ledger,
        },
        synthetic: history.into(),
    })
}

/// Exactly what is to be written; a target that can't be seeded is refused.
pub(super) async fn arguments(
    services: &Services,
    count: u64,
    fields: &Fields,
) -> Result<SeedArguments, Problem> {
    let seed = fields.number("seed", 0..=SEED_NUMBER_MAX)?;
    let hours = fields.number("hours", 1..=HOURS_MAX)?;
    let batch_size = batch_size(fields)?;
    let arguments = seeder(services).await?.arguments(count, seed, hours).await?;
    Ok(SeedArguments {
        batch_size,
        ..arguments
    })
}
