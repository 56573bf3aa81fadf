//! `GET /migrate`, `GET /migrate/status/{id}`: migrations, and how far one of them is.
//!
//! From the ledger alone, by batch rows and windows, never by messages. Nothing is changed here.

use crate::looking::source::{self, ShownLateness};
use crate::migrating::jobs::{self, BatchBrief};
use crate::migrating::migrate::migration;
use crate::migrating::migration_request::range_of;
use crate::migrating::pace::{self, ShownPace};
use crate::migrating::progress_shown::{
    ShownKind, ShownMigration, ShownMigrationState, ShownProgress, ShownWindowCounts,
};
use crate::queueing::queue::ShownDeferral;
use crate::services::Services;
use crate::web::answer::Answer;
use crate::web::fields::QueryFields;
use crate::web::page::{Page, PageQuery};
use crate::web::problem::Problem;
use axum::extract::{Path, State};
use granary_domain::{BatchId, MigrationId, MigrationKind, MigrationState, TimeRange};
use granary_ledger::harvest::{Migration, MigrationFilter};
use granary_ledger::reports::{ParkedCount, Progress};
use jiff::Timestamp;
use serde::Serialize;
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// Which migrations.
#[derive(IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
#[expect(dead_code, reason = "what `list` reads, for the document")]
pub(crate) struct MigrationQuery {
    /// How far they are.
    #[param(inline)]
    status: Option<ShownMigrationState>,
    /// Why they exist.
    #[param(inline)]
    job_type: Option<ShownKind>,
    /// The same, under another name.
    #[param(inline)]
    kind: Option<ShownKind>,
    /// Only those whose range of event time reaches beyond this instant.
    from: Option<Timestamp>,
    /// Only those whose range of event time begins before this instant.
    to: Option<Timestamp>,
}

/// Migrations, the newest first.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MigrationList {
    /// As many as were asked for, at most.
    migrations: Vec<ShownMigration>,
    /// How many these are.
    count: usize,
    /// The `cursor` of the next page; `null`: there are no more.
    next_cursor: Option<String>,
}

/// How a migration stands, or a batch, by its number.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum JobStatus {
    /// A migration.
    Migration(Box<MigrationStatus>),
    /// A batch.
    Batch(Box<BatchBrief>),
}

/// How far a migration is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MigrationStatus {
    /// The migration.
    migration: ShownMigration,
    /// The messages of its range that are on record, whoever owns them.
    progress: ShownProgress,
    /// Messages of them that aren't done with.
    open: u64,
    /// Batches of the hours of its range without an attempt left: these wait for people.
    parked: u64,
    /// Messages in them.
    parked_messages: u64,
    /// How much of what is known is done with, in percent, rounded down.
    #[schema(minimum = 0, maximum = 100, examples(99.9))]
    percentage: f64,
    /// How much of its range has its ids on record, in percent of time.
    #[schema(minimum = 0, maximum = 100, examples(99.9))]
    ids_percentage: f64,
    /// How fast it goes; `null`: nothing of it is harvested yet.
    pace: Option<ShownPace>,
    /// Its windows, by state.
    windows: ShownWindowCounts,
    /// What of it waits because a service is away, by cause.
    deferrals: Vec<ShownDeferral>,
    /// How late documents came into its windows.
    lateness: ShownLateness,
    /// Whether all ids are on record, and no message of its range waits for anything.
    nothing_open: bool,
}

/// Migrations, the newest first
#[utoipa::path(get, path = "/migrate", params(MigrationQuery, PageQuery))]
pub(crate) async fn list(
    State(services): State<Arc<Services>>,
    QueryFields(query): QueryFields,
) -> Result<Answer<MigrationList>, Problem> {
    query.only(&["status", "jobType", "kind", "from", "to", "limit", "cursor"])?;
    let kind: Option<MigrationKind> = query.parsed("kind")?;
    let (from, to) = (query.instant("from")?, query.instant("to")?);
    if let (Some(from), Some(to)) = (from, to) {
        range_of(from, to)?;
    }
    let page = Page::read(&query)?;
    let filter = MigrationFilter {
        state: query.parsed::<MigrationState>("status")?,
        kind: kind.or(query.parsed("jobType")?),
        from,
        to,
        before: query.parsed("cursor")?,
        limit: page.rows_to_read(),
    };
    let mut migrations = services.ledger().await?.migrations(filter).await?;
    let next_cursor = page
        .cut(&mut migrations)
        .map(|last| last.id.0.simple().to_string());
    Ok(Answer::ok(MigrationList {
        count: migrations.len(),
        migrations: migrations.into_iter().map(ShownMigration::from).collect(),
        next_cursor,
    }))
}

/// How far a migration is, or how a batch stands
#[utoipa::path(
    get,
    path = "/migrate/status/{id}",
    params(("id" = String, Path, description = "A migration's uuid or a batch's number.", example = "7"))
)]
pub(crate) async fn status(
    State(services): State<Arc<Services>>,
    Path(id): Path<String>,
) -> Result<Answer<JobStatus>, Problem> {
    let status = match Named::read(&id)? {
        Named::Migration(id) => JobStatus::Migration(Box::new(status_of(&services, id).await?)),
        Named::Batch(batch) => JobStatus::Batch(Box::new(jobs::status_of(&services, batch).await?)),
    };
    Ok(Answer::ok(status))
}

async fn status_of(services: &Services, id: MigrationId) -> Result<MigrationStatus, Problem> {
    let ledger = services.ledger().await?;
    let migration = migration(ledger, id).await?;
    let windows = ledger.window_counts(id).await?;
    let lateness = ledger.lateness(source::LATENESS_OVER, Some(id)).await?;
    // A continuous migration has no end: it is as far as its windows are.
    let end = migration.to.unwrap_or(migration.harvested_to);
    let range = TimeRange::new(migration.from, end).ok();
    let (progress, parked, pace) = match range {
        Some(range) => (
            ledger.progress_of(range).await?,
            ledger.parked_in(range).await?,
            Some(ledger.pace_of(range, pace::SHOWN_MINUTES).await?),
        ),
        None => (Progress::default(), ParkedCount::default(), None),
    };
    let deferrals = ledger.deferrals_of(id, range).await?;
    let is_read = windows.unfinished() == 0 && migration.harvested_to >= end;
    Ok(MigrationStatus {
        open: progress.open(),
        parked: parked.batches,
        parked_messages: parked.messages,
        percentage: percentage(&progress, is_read),
        ids_percentage: ids_percentage(&migration, is_read),
        pace: pace.map(|pace| pace::shown(&pace, progress.open().saturating_sub(parked.messages))),
        windows: windows.into(),
        deferrals: deferrals.iter().map(ShownDeferral::from).collect(),
        lateness: source::shown(lateness, services.harvest().await?.lag),
        nothing_open: migration.state == MigrationState::Cancelled || (is_read && progress.open() == 0),
        progress: progress.into(),
        migration: migration.into(),
    })
}

/// What an id in a path names.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Named {
    Migration(MigrationId),
    Batch(BatchId),
}

impl Named {
    /// A migration has a uuid, a batch a number.
    pub(crate) fn read(text: &str) -> Result<Self, Problem> {
        if let Ok(batch) = text.parse() {
            return Ok(Self::Batch(batch));
        }
        text.parse().map(Self::Migration).map_err(|_| {
            Problem::invalid(
                "id",
                format!("{text:?} is neither the uuid of a migration nor the number of a batch."),
            )
        })
    }
}

/// How much of what is known is done with, in percent.
fn percentage(progress: &Progress, is_read: bool) -> f64 {
    match progress.known {
        0 if is_read => 100.0,
        known => share(known.saturating_sub(progress.open()), known),
    }
}

/// How much of the range has its ids on record, by time.
fn ids_percentage(migration: &Migration, is_read: bool) -> f64 {
    let seconds_since_start = |instant: jiff::Timestamp| {
        u64::try_from(instant.as_second() - migration.from.as_second()).unwrap_or(0)
    };
    match migration.to {
        _ if is_read => 100.0,
        Some(to) => share(
            seconds_since_start(migration.harvested_to),
            seconds_since_start(to),
        )
        .min(99.9),
        None => 99.9,
    }
}

/// In percent, rounded down: 100 means all.
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        return 0.0;
    }
    (part as f64 / whole as f64 * 1_000.0).floor() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentage_is_100_only_where_nothing_is_left() {
        assert_eq!(share(99_999, 100_000), 99.9);
        assert_eq!(share(100_000, 100_000), 100.0);
        assert_eq!(share(0, 0), 0.0);
    }

    #[test]
    fn a_batch_number_is_told_apart_from_a_uuid_and_from_nonsense() {
        let uuid = Named::read("0197a1b2-0000-7000-8000-000000000000").unwrap();
        assert!(matches!(uuid, Named::Migration(_)));
        assert_eq!(Named::read("42").unwrap(), Named::Batch(BatchId(42)));
        for nonsense in ["x", "-1", "4.2", ""] {
            assert_eq!(
                Named::read(nonsense).unwrap_err().field(),
                Some("id"),
                "{nonsense}"
            );
        }
    }
}
