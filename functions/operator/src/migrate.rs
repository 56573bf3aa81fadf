//! `/migrate`: asking for migrations, watching them, and giving them up.
//!
//! A migration is a row that the harvester finds at its next tick; nothing is harvested or exported here.

use crate::answer::Answer;
use crate::auth::Role;
use crate::fields::{BodyFields, QueryFields};
use crate::migration_request::{Coverage, MigrationRequest, of_source};
use crate::problem::{Kind, Problem};
use crate::services::{Done, Services};
use crate::source;
use axum::Extension;
use axum::extract::{Path, State};
use granary_domain::{MigrationId, MigrationKind, MigrationState, TimeRange};
use granary_ledger::{Cancelled, Ledger, Migration, MigrationFilter, NewMigration, Progress};
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};

const LIST_DEFAULT: u32 = 50;
const LIST_MAX: u32 = 500;
/// Releasing goes on for so long while somebody waits; the reaper does the rest.
const RELEASE_SECS_MAX: u64 = 8;

/// `POST /migrate`.
pub(crate) async fn start(
    State(services): State<Arc<Services>>,
    Extension(role): Extension<Role>,
    BodyFields(fields): BodyFields,
) -> Result<Answer, Problem> {
    let request = MigrationRequest::read(&fields)?;
    match request.coverage(&services).await? {
        Coverage::Nothing { message } => Ok(Answer::ok(json!({
            "migration": null, "dryRun": request.dry_run, "message": message,
        }))),
        Coverage::Range { range, notes } if request.dry_run => {
            foretell(&services, &request, range, notes).await
        }
        Coverage::Range { range, notes } => make(&services, role, &request, (range, notes)).await,
    }
}

async fn make(
    services: &Services,
    role: Role,
    request: &MigrationRequest,
    (range, notes): (TimeRange, Vec<String>),
) -> Result<Answer, Problem> {
    let new = NewMigration {
        id: MigrationId::new(),
        kind: request.kind(),
        priority: request.priority,
        batch_size: request.batch_size.unwrap_or(services.config.harvest.batch_size),
        filter: request.filter.clone(),
        from: range.from(),
        to: Some(range.to()),
        requested_by: role.to_string(),
    };
    let ledger = services.ledger().await?;
    if request.re_export {
        ledger.allow_re_export(new.id, role.as_str()).await?;
    }
    ledger.make_migration(&new).await?;
    let arguments = json!({
        "kind": new.kind, "range": range, "batchSize": new.batch_size, "priority": new.priority,
        "filtered": new.filter.is_some(), "reExport": request.re_export,
    });
    let effect = json!({ "migrationId": new.id });
    services
        .record(Done {
            by: role,
            action: "migrate.start",
            arguments,
            effect,
        })
        .await?;
    Ok(Answer::accepted(json!({
        "migration": migration(ledger, new.id).await?,
        "migrationId": new.id,
        "range": range,
        "notes": notes,
        "message": "The harvester begins with it within a minute.",
        "statusUrl": format!("/migrate/status/{}", new.id),
        "cancelUrl": format!("/migrate/cancel/{}", new.id),
    })))
}

/// What a migration would find: nothing is written.
async fn foretell(
    services: &Services,
    request: &MigrationRequest,
    range: TimeRange,
    notes: Vec<String>,
) -> Result<Answer, Problem> {
    let pit = services.source.open_pit().await?;
    let counted = services
        .source
        .count(&pit, range, request.filter.as_ref())
        .await
        .map_err(of_source);
    services.source.close_pit(pit).await?;
    let in_source = counted?;
    let progress = services.ledger().await?.progress_of(range).await?;
    let batch_size = request.batch_size.unwrap_or(services.config.harvest.batch_size);
    let message = match request.kind() {
        MigrationKind::Selection => {
            "Nothing was written. The ledger's counts are of the whole range, whatever the filters."
        }
        MigrationKind::Backfill | MigrationKind::Continuous => "Nothing was written.",
    };
    Ok(Answer::ok(json!({
        "dryRun": true,
        "migration": null,
        "kind": request.kind(),
        "range": range,
        "batchSize": batch_size,
        "priority": request.priority,
        "inSource": in_source,
        "inLedger": progress,
        "newAtLeast": in_source.saturating_sub(progress.known),
        "notes": notes,
        "message": message,
    })))
}

/// `GET /migrate`.
pub(crate) async fn list(
    State(services): State<Arc<Services>>,
    QueryFields(query): QueryFields,
) -> Result<Answer, Problem> {
    query.only(&["status", "jobType", "kind", "limit", "cursor"])?;
    let kind: Option<MigrationKind> = query.parsed("kind")?;
    let limit = query.number("limit", 1..=LIST_MAX)?.unwrap_or(LIST_DEFAULT);
    let filter = MigrationFilter {
        state: query.parsed::<MigrationState>("status")?,
        kind: kind.or(query.parsed("jobType")?),
        before: query.parsed("cursor")?,
        limit: limit + 1,
    };
    let mut migrations = services.ledger().await?.migrations(filter).await?;
    let has_more = migrations.len() > limit as usize;
    migrations.truncate(limit as usize);
    let next = migrations
        .last()
        .filter(|_| has_more)
        .map(|last| last.id.0.simple().to_string());
    Ok(Answer::ok(
        json!({ "migrations": migrations, "count": migrations.len(), "nextCursor": next }),
    ))
}

/// `GET /migrate/status/{id}`.
pub(crate) async fn status(
    State(services): State<Arc<Services>>,
    Path(id): Path<String>,
) -> Result<Answer, Problem> {
    let id = migration_id(&id)?;
    let ledger = services.ledger().await?;
    let migration = migration(ledger, id).await?;
    let windows = ledger.window_counts(id).await?;
    let lateness = ledger.lateness(source::LATENESS_OVER, Some(id)).await?;
    // A continuous migration has no end: it is as far as its windows are.
    let end = migration.to.unwrap_or(migration.harvested_to);
    let progress = match TimeRange::new(migration.from, end) {
        Ok(range) => ledger.progress_of(range).await?,
        Err(_) => Progress::default(),
    };
    let deferrals = ledger
        .deferrals_of(id, TimeRange::new(migration.from, end).ok())
        .await?;
    let is_read = windows.unfinished() == 0 && migration.harvested_to >= end;
    Ok(Answer::ok(json!({
        "migration": migration,
        "progress": progress,
        "open": progress.open(),
        "percentage": percentage(&progress, is_read),
        "idsPercentage": ids_percentage(&migration, is_read),
        "windows": windows,
        "deferrals": deferrals,
        "lateness": source::shown(lateness, services.config.harvest.lag),
        // All ids are on record, and no message of the range waits for anything.
        "nothingOpen": migration.finished_at.is_some() || (is_read && progress.open() == 0),
    })))
}

/// `DELETE /migrate/cancel/{id}`.
pub(crate) async fn cancel(
    State(services): State<Arc<Services>>,
    Extension(role): Extension<Role>,
    Path(id): Path<String>,
) -> Result<Answer, Problem> {
    let id = migration_id(&id)?;
    let ledger = services.ledger().await?;
    let before = migration(ledger, id).await?;
    refuse_to_cancel(&before)?;
    let was_open = ledger.cancel_migration(id).await?;
    let (released, is_complete) = release(ledger).await?;
    let effect = json!({ "wasOpen": was_open, "batches": released.batches, "messages": released.messages });
    let arguments = json!({ "migrationId": id });
    services
        .record(Done {
            by: role,
            action: "migrate.cancel",
            arguments,
            effect,
        })
        .await?;
    Ok(Answer::ok(json!({
        "migration": migration(ledger, id).await?,
        "released": {
            "batches": released.batches,
            "messages": released.messages,
            "windowsReadAgain": released.windows_reopened,
        },
        "isComplete": is_complete,
        "message": if is_complete {
            "The migration is cancelled. What was exported stays in the archive; everything else was released."
        } else {
            "The migration is cancelled. The reaper goes on releasing its messages."
        },
    })))
}

/// One that is cancelled already may be cancelled again: the release goes on from where it was.
fn refuse_to_cancel(migration: &Migration) -> Result<(), Problem> {
    let id = migration.id;
    match (migration.kind, migration.state) {
        (MigrationKind::Continuous, _) => Err(Problem::new(
            Kind::NotPossible,
            format!("Migration {id} is the continuous one, which has no end and can't be cancelled."),
        )
        .remedy("To stop the harvest, disable the schedules of the deployment (ScheduleState=DISABLED).")),
        (_, MigrationState::Completed) => Err(Problem::new(
            Kind::NotPossible,
            format!("Migration {id} is completed: every message of its range is in the archive."),
        )
        .remedy("There is nothing left to cancel.")),
        (_, MigrationState::Open | MigrationState::Draining | MigrationState::Cancelled) => Ok(()),
    }
}

/// Releases what cancelled migrations held, for as long as somebody may be kept waiting. Says whether that was all.
async fn release(ledger: &Ledger) -> Result<(Cancelled, bool), Problem> {
    let started = Instant::now();
    let mut released = Cancelled::default();
    while let Some(step) = ledger.release_cancelled().await? {
        released += step;
        if started.elapsed() >= Duration::from_secs(RELEASE_SECS_MAX) {
            return Ok((released, false));
        }
    }
    Ok((released, true))
}

pub(crate) async fn migration(ledger: &Ledger, id: MigrationId) -> Result<Migration, Problem> {
    let migration = ledger.migration(id).await?;
    migration.ok_or_else(|| {
        Problem::new(Kind::NotFound, format!("There is no migration {id}."))
            .remedy("GET /migrate lists the migrations.")
    })
}

/// An id in a path: a migration's uuid. Batches have numbers, and can't be asked for yet.
fn migration_id(text: &str) -> Result<MigrationId, Problem> {
    if text.parse::<u64>().is_ok() {
        return Err(Problem::new(
            Kind::NotFound,
            format!("{text} is the number of a batch; this route knows migrations only, by their uuid."),
        )
        .remedy("GET /migrate lists the migrations, GET /queue/stats counts the batches."));
    }
    text.parse()
        .map_err(|_| Problem::invalid("id", format!("{text:?} is not the uuid of a migration.")))
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
        assert!(migration_id("0197a1b2-0000-7000-8000-000000000000").is_ok());
        assert!(
            migration_id("42")
                .unwrap_err()
                .detail()
                .contains("number of a batch")
        );
        assert_eq!(migration_id("x").unwrap_err().field(), Some("id"));
    }
}
