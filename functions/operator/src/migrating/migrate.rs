//! `POST /migrate`: asking for migrations.
//!
//! A migration is a row that the harvester finds at its next tick; nothing is harvested or exported here. What it is asked
//! for is `migration_request.rs`'s, and what a dry run says `foretelling.rs`'s.

use crate::config::BATCH_SIZE_MAX;
use crate::migrating::by_status::{self, ActedByStatus, Status};
use crate::migrating::foretelling::{ForetoldMigration, foretell};
use crate::migrating::migration_request::{Coverage, MigrationRequest};
use crate::migrating::progress_shown::{ShownMigration, ShownRange};
use crate::services::{Done, Services};
use crate::web::answer::Answer;
use crate::web::auth::Role;
use crate::web::change::{Change, ChangeBody};
use crate::web::fields::{BodyFields, Fields, number_in_path};
use crate::web::problem::{Kind, Problem};
use axum::Extension;
use axum::extract::{Path, State};
use granary_domain::{MigrationId, TimeRange};
use granary_handoff::send_unsent;
use granary_ledger::{Ledger, Migration, NewMigration};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};
use utoipa::ToSchema;
use uuid::Uuid;

/// Sending what waits goes on for so long; the next tick does the rest.
const SEND_SECS_MAX: u64 = 3;

/// What is to be migrated. All of it may be left out: then everything that is pending is meant, and the source up to now.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "what `MigrationRequest::read` takes, for the document")]
pub(crate) struct MigrateBody {
    /// Messages in a batch at most. Left out: as the deployment has it, or an operator tuned it.
    #[schema(minimum = 1, maximum = 10_000, examples(500))]
    batch_size: Option<u32>,
    /// `query` is query DSL; `status` (pending, processing, failed or parked) acts on batches on record and makes no
    /// migration; every other key is a field of the source and what it must equal, a value or a list.
    #[schema(value_type = Option<Object>, examples(json!({"customer": "acme"})))]
    filters: Option<Value>,
    /// How urgent it is. From 5 on its batches take the priority queue.
    #[schema(minimum = 0, maximum = 9, default = 0)]
    priority: Option<u8>,
    /// The first instant of event time. Left out: the hour of the source's first message.
    from: Option<Timestamp>,
    /// The first instant behind it. Left out, or too young: as far as messages have settled at the source.
    to: Option<Timestamp>,
    /// Whether hours that are sealed are exported again.
    #[schema(default = false)]
    re_export: Option<bool>,
    #[serde(flatten)]
    change: ChangeBody,
}

/// A migration was made.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MigrationStarted {
    /// The migration.
    migration: ShownMigration,
    /// Its id.
    migration_id: Uuid,
    /// The event times that it covers.
    range: ShownRange,
    /// Batches that waited already and were sent now, where everything was asked for; `null` where it wasn't.
    sent: Option<u64>,
    /// What was done otherwise than asked, for people.
    notes: Vec<String>,
    /// What happens next, for people.
    message: &'static str,
    /// The path under which `GET` tells how far it is.
    status_url: String,
    /// The path under which `DELETE` gives it up.
    cancel_url: String,
}

/// Why no migration was made.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "outcome", rename_all = "camelCase")]
pub(crate) enum NoMigration {
    /// There is nothing to migrate.
    Nothing(NothingToMigrate),
    /// It was a dry run.
    Foretold(Box<ForetoldMigration>),
    /// Batches on record were meant.
    Acted(ActedByStatus),
}

/// There is nothing to migrate.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NothingToMigrate {
    /// Always `null`.
    #[schema(value_type = Option<Object>)]
    migration: Option<Value>,
    /// Whether it was a dry run.
    dry_run: bool,
    /// Why, for people.
    message: String,
}

type Started = Result<Answer<NoMigration, MigrationStarted>, Problem>;

/// Migrate messages
///
/// The harvester finds it at its next tick, within a minute. A dry run says, day by day, what it would find, and what it
/// would take in bytes, objects, time and money, by what was measured lately. With `filters.status` no migration is made:
/// what is due is done to batches in that status.
#[utoipa::path(post, path = "/migrate", request_body = MigrateBody)]
pub(crate) async fn start(
    State(services): State<Arc<Services>>,
    Extension(role): Extension<Role>,
    BodyFields(fields): BodyFields,
) -> Result<Answer<NoMigration, MigrationStarted>, Problem> {
    match Status::read(&fields)? {
        Some(status) => {
            let acted = by_status::act(&services, role, &fields, status).await?;
            Ok(Answer::ok(NoMigration::Acted(acted)))
        }
        None => start_with(&services, role, &fields, None).await,
    }
}

/// Migrate messages in batches of a size
///
/// As `POST /migrate`, with the batch size in the path, and without `filters.status`.
#[utoipa::path(
    post,
    path = "/migrate/batch/{id}",
    params(("id" = u32, Path, minimum = 1, maximum = 10_000, description = "Messages in a batch at most.", example = 500)),
    request_body = MigrateBody
)]
pub(crate) async fn start_sized(
    State(services): State<Arc<Services>>,
    Extension(role): Extension<Role>,
    Path(size): Path<String>,
    BodyFields(fields): BodyFields,
) -> Result<Answer<NoMigration, MigrationStarted>, Problem> {
    let size = number_in_path("size", &size, 1..=BATCH_SIZE_MAX)?;
    start_with(&services, role, &fields, Some(size)).await
}

async fn start_with(services: &Services, role: Role, fields: &Fields, size_in_path: Option<u32>) -> Started {
    let request = MigrationRequest::read(fields)?;
    let change = Change::read(fields)?;
    let batch_size = one_size(size_in_path, request.batch_size)?;
    let (range, notes) = match request.coverage(services).await? {
        Coverage::Range { range, notes } => (range, notes),
        Coverage::Nothing { message } => {
            return Ok(Answer::ok(NoMigration::Nothing(NothingToMigrate {
                migration: None,
                dry_run: change.is_dry_run,
                message,
            })));
        }
    };
    let batch_size = match batch_size {
        Some(size) => size,
        None => services.harvest().await?.batch_size,
    };
    if change.is_dry_run {
        let foretold = foretell(services, &request, batch_size, (range, notes)).await?;
        return Ok(Answer::ok(NoMigration::Foretold(Box::new(foretold))));
    }
    let new = NewMigration {
        id: MigrationId::new(),
        kind: request.kind(),
        priority: request.priority,
        batch_size,
        filter: request.filter.clone(),
        from: range.from(),
        to: Some(range.to()),
        requested_by: role.to_string(),
    };
    make(services, (role, &change), &request, (new, range, notes)).await
}

/// The size that the path names and the one that the body names, if they don't contradict each other.
fn one_size(in_path: Option<u32>, in_body: Option<u32>) -> Result<Option<u32>, Problem> {
    match (in_path, in_body) {
        (Some(path), Some(body)) if path != body => Err(Problem::invalid(
            "batchSize",
            format!("`batchSize` is {body} in the body and {path} in the path."),
        )),
        _ => Ok(in_path.or(in_body)),
    }
}

/// Who wants it is written down first: no migration is made that nobody answers for.
async fn make(
    services: &Services,
    (role, change): (Role, &Change),
    request: &MigrationRequest,
    (new, range, notes): (NewMigration, TimeRange, Vec<String>),
) -> Started {
    let ledger = services.ledger().await?;
    let arguments = json!({
        "kind": new.kind, "range": range, "batchSize": new.batch_size, "priority": new.priority,
        "filtered": new.filter.is_some(), "reExport": request.re_export,
    });
    let effect = json!({ "migrationId": new.id });
    services
        .record(Done {
            by: role,
            action: "migrate.start",
            arguments: change.with_reason(arguments),
            effect,
        })
        .await?;
    if request.re_export {
        ledger.allow_re_export(new.id, role.as_str()).await?;
    }
    ledger.make_migration(&new).await?;
    // What waits already is meant as well, where everything is. The next tick sends what isn't sent here.
    let sent = if request.is_everything() {
        let until = Instant::now() + Duration::from_secs(SEND_SECS_MAX);
        Some(send_unsent(ledger, &services.handoff, until).await?)
    } else {
        None
    };
    Ok(Answer::accepted(MigrationStarted {
        migration: migration(ledger, new.id).await?.into(),
        migration_id: new.id.0,
        range: range.into(),
        sent,
        notes,
        message: "The harvester begins with it within a minute.",
        status_url: format!("/migrate/status/{}", new.id),
        cancel_url: format!("/migrate/cancel/{}", new.id),
    }))
}

pub(crate) async fn migration(ledger: &Ledger, id: MigrationId) -> Result<Migration, Problem> {
    let migration = ledger.migration(id).await?;
    migration.ok_or_else(|| {
        Problem::new(Kind::NotFound, format!("There is no migration {id}."))
            .remedy("GET /migrate lists the migrations.")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_in_the_path_and_another_in_the_body_contradict_each_other() {
        assert_eq!(one_size(Some(5), Some(5)).unwrap(), Some(5));
        assert_eq!(one_size(None, Some(5)).unwrap(), Some(5));
        assert_eq!(one_size(Some(5), None).unwrap(), Some(5));
        assert_eq!(one_size(Some(5), Some(6)).unwrap_err().field(), Some("batchSize"));
    }
}
