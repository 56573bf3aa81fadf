//! `DELETE /migrate/cancel/{id}` and its POST twin: giving a migration up.
//!
//! What was exported stays in the archive; everything else that only this migration had asked for is released, here for as
//! long as somebody may be kept waiting, and by the reaper's ticks afterwards.

use crate::migrating::migrate::migration;
use crate::migrating::migrations::Named;
use crate::migrating::progress_shown::{Released, ShownMigration};
use crate::services::{Done, Services};
use crate::web::answer::Answer;
use crate::web::caller::Caller;
use crate::web::change::{Change, ChangeBody, ReasonBody};
use crate::web::fields::{BodyFields, Fields};
use crate::web::problem::{Kind, Problem};
use axum::Extension;
use axum::extract::{Path, State};
use granary_domain::{BatchId, MigrationKind, MigrationState};
use granary_ledger::Ledger;
use granary_ledger::harvest::{Cancelled, Migration};
use serde::Serialize;
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};
use utoipa::ToSchema;

/// Releasing goes on for so long while somebody waits; the reaper does the rest.
const RELEASE_SECS_MAX: u64 = 7;

/// A migration was given up, or would be.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MigrationCancelled {
    /// Whether it was only foretold: then nothing was changed.
    dry_run: bool,
    /// The migration as it stands.
    migration: ShownMigration,
    /// What was released by this request; in a dry run, what would be.
    released: Released,
    /// Whether that is all. Where it isn't, the reaper goes on.
    is_complete: bool,
    /// What that means, for people.
    message: &'static str,
}

/// Give a migration up
///
/// What was exported stays in the archive; everything else is released, and may be asked for again. Cancelled twice is
/// cancelled once. The body may be left out; a dry run is asked for in the query.
#[utoipa::path(
    delete,
    path = "/migrate/cancel/{id}",
    params(("id" = String, Path, description = "A migration's uuid.", example = "0197a1b2-0000-7000-8000-000000000000")),
    request_body = ReasonBody
)]
pub(crate) async fn cancel(
    State(services): State<Arc<Services>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    BodyFields(fields): BodyFields,
) -> Result<Answer<MigrationCancelled>, Problem> {
    cancel_it(&services, &caller, &id, &fields).await
}

/// Give a migration up, by POST
///
/// The same as `DELETE /migrate/cancel/{id}`, for clients and proxies that drop the body of a DELETE. It needs a body, be it
/// `{}`, unless the query has `dryRun=true`.
#[utoipa::path(
    post,
    path = "/migrate/cancel/{id}",
    params(("id" = String, Path, description = "A migration's uuid.", example = "0197a1b2-0000-7000-8000-000000000000")),
    request_body = ChangeBody
)]
pub(crate) async fn cancel_by_post(
    State(services): State<Arc<Services>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    BodyFields(fields): BodyFields,
) -> Result<Answer<MigrationCancelled>, Problem> {
    fields.need_body()?;
    cancel_it(&services, &caller, &id, &fields).await
}

async fn cancel_it(
    services: &Services,
    caller: &Caller,
    id: &str,
    fields: &Fields,
) -> Result<Answer<MigrationCancelled>, Problem> {
    let id = match Named::read(id)? {
        Named::Migration(id) => id,
        Named::Batch(batch) => return Err(refuse_batch(batch)),
    };
    fields.only(&["dryRun", "reason"])?;
    let change = Change::read(fields)?;
    let ledger = services.ledger().await?;
    let before = migration(ledger, id).await?;
    refuse_to_cancel(&before)?;
    let (batches, messages) = ledger.releasable_of(id).await?;
    if change.is_dry_run {
        return Ok(Answer::ok(foretold(before, (batches, messages))));
    }
    // Who wants it is written down first: nothing is given up that nobody answers for.
    let effect = json!({
        "before": { "state": before.state }, "after": { "state": MigrationState::Cancelled },
        "batches": batches, "messages": messages,
    });
    let arguments = change.with_reason(json!({ "migrationId": id }));
    services
        .record(Done {
            by: caller.clone(),
            action: "migrate.cancel",
            arguments,
            effect,
        })
        .await?;
    if !ledger.cancel_migration(id).await? {
        // It may have been completed meanwhile.
        refuse_to_cancel(&migration(ledger, id).await?)?;
    }
    let until = Instant::now() + Duration::from_secs(RELEASE_SECS_MAX);
    let (released, is_complete) = release(ledger, until).await?;
    Ok(Answer::ok(MigrationCancelled {
        dry_run: false,
        migration: migration(ledger, id).await?.into(),
        released: released.into(),
        is_complete,
        message: if is_complete {
            "The migration is cancelled. What was exported stays in the archive; everything else was released."
        } else {
            "The migration is cancelled. The reaper goes on releasing its messages."
        },
    }))
}

fn foretold(migration: Migration, (batches, messages): (u64, u64)) -> MigrationCancelled {
    MigrationCancelled {
        dry_run: true,
        migration: migration.into(),
        released: Released {
            batches,
            messages,
            windows_read_again: None,
        },
        is_complete: false,
        message: "Nothing was changed. What is exported would stay in the archive; everything else would be released.",
    }
}

/// One that is cancelled already may be cancelled again: the release goes on from where it was.
fn refuse_to_cancel(migration: &Migration) -> Result<(), Problem> {
    let id = migration.id;
    match (migration.kind, migration.state) {
        (MigrationKind::Continuous, _) => Err(Problem::new(
            Kind::NotPossible,
            format!("Migration {id} is the continuous one, which has no end and can't be cancelled."),
        )
        .remedy("POST /pause with {\"stage\":\"harvest\"} has it wait; POST /migrate/scheduler/stop stops all ticks.")),
        (_, MigrationState::Completed) => Err(Problem::new(
            Kind::NotPossible,
            format!("Migration {id} is completed: every message of its range is in the archive."),
        )
        .remedy("There is nothing left to cancel.")),
        (_, MigrationState::Open | MigrationState::Draining | MigrationState::Cancelled) => Ok(()),
    }
}

/// Releases what cancelled migrations held, for as long as somebody may be kept waiting. Says whether that was all.
pub(crate) async fn release(ledger: &Ledger, until: Instant) -> Result<(Cancelled, bool), Problem> {
    let mut released = Cancelled::default();
    while let Some(step) = ledger.release_cancelled().await? {
        released += step;
        if Instant::now() >= until {
            return Ok((released, false));
        }
    }
    Ok((released, true))
}

fn refuse_batch(batch: BatchId) -> Problem {
    Problem::new(
        Kind::NotPossible,
        format!("{batch} is the number of a batch, and batches aren't cancelled one by one."),
    )
    .remedy("Cancel the migration that it belongs to; GET /migrate/batch/{id} names it.")
}
