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
use crate::web::caller::Caller;
use crate::web::change::{Change, ChangeBody};
use crate::web::fields::{BodyFields, Fields, number_in_path};
use crate::web::problem::{Kind, Problem};
use axum::Extension;
use axum::extract::{Path, State};
use granary_domain::{MigrationId, TimeRange};
use granary_handoff::send_unsent;
use granary_ledger::Ledger;
use granary_ledger::harvest::{Migration, NewMigration};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};
use utoipa::ToSchema;
use uuid::Uuid;

/// Sending what waits goes on for so long; the next tick does the rest.
const SEND_SECS_MAX: u64 = 3;

/// What is to be migrated. Left out altogether: what is pending on record is sent, and the source is harvested up to now.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "what `MigrationRequest::read` takes, for the document")]
pub(crate) struct MigrateBody {
    /// Messages in a batch at most, of the batches that this migration records. Left out: as the deployment has it, or an
    /// operator tuned it.
    #[schema(minimum = 1, maximum = 10_000, examples(500))]
    batch_size: Option<u32>,
    /// `query` is query DSL. `status` `pending` sends the batches on record that wait to be sent, and harvests the source up
    /// to now in a migration of this `batchSize` and `priority`. `status` `processing`, `failed` or `parked` acts on batches
    /// on record and makes no migration. Every other key is a field of the source and what it must equal, a value or a list.
    #[schema(value_type = Option<Object>, examples(json!({"customer": "acme"}), json!({"status": "pending"})))]
    filters: Option<Value>,
    /// How urgent the batches are that this migration records, 0 to 9. From 5 on they take the queue `batches-priority`.
    /// Less urgent pending batches of its range become as urgent, as the harvest reaches them.
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
    /// Batches that were pending and were sent now; `null` where they weren't asked for.
    sent: Option<u64>,
    /// What was done otherwise than asked, for people.
    notes: Vec<String>,
    /// What happens next, for people.
    message: &'static str,
    /// The path under which `GET` tells how far it is.
    status_url: String,
    /// The path under which `POST` or `DELETE` cancels it.
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
    /// Batches that were pending and were sent now; `null` in a dry run, and where they weren't asked for.
    sent: Option<u64>,
    /// Why, for people.
    message: String,
}

type Started = Result<Answer<NoMigration, MigrationStarted>, Problem>;

/// Migrate messages
///
/// The harvester finds it at its next tick, within a minute. A dry run says, day by day, what it would find, and what it
/// would take in bytes, objects, time and money, by what was measured lately. With `filters.status` processing, failed or
/// parked no migration is made: what is due is done to batches in that status.
#[utoipa::path(post, path = "/migrate", request_body = MigrateBody)]
pub(crate) async fn start(
    State(services): State<Arc<Services>>,
    Extension(caller): Extension<Caller>,
    BodyFields(fields): BodyFields,
) -> Result<Answer<NoMigration, MigrationStarted>, Problem> {
    match Status::read(&fields)? {
        Some(status) => {
            let acted = by_status::act(&services, &caller, &fields, status).await?;
            Ok(Answer::ok(NoMigration::Acted(acted)))
        }
        None => start_with(&services, &caller, &fields, None).await,
    }
}

/// Migrate messages in batches of a size
///
/// As `POST /migrate`, with the batch size in the path. Of `filters.status` it takes `pending` only.
#[utoipa::path(
    post,
    path = "/migrate/batch/{id}",
    params(("id" = u32, Path, minimum = 1, maximum = 10_000, description = "Messages in a batch at most.", example = 500)),
    request_body = MigrateBody
)]
pub(crate) async fn start_sized(
    State(services): State<Arc<Services>>,
    Extension(caller): Extension<Caller>,
    Path(size): Path<String>,
    BodyFields(fields): BodyFields,
) -> Result<Answer<NoMigration, MigrationStarted>, Problem> {
    let size = number_in_path("size", &size, 1..=BATCH_SIZE_MAX)?;
    start_with(&services, &caller, &fields, Some(size)).await
}

async fn start_with(
    services: &Services,
    caller: &Caller,
    fields: &Fields,
    size_in_path: Option<u32>,
) -> Started {
    let request = MigrationRequest::read(fields)?;
    let change = Change::read(fields)?;
    let batch_size = one_size(size_in_path, request.batch_size)?;
    let (range, notes) = match request.coverage(services).await? {
        Coverage::Range { range, notes } => (range, notes),
        Coverage::Nothing { message } => {
            return nothing(services, (caller, &change), &request, message).await;
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
        requested_by: caller.to_string(),
    };
    make(services, (caller, &change), &request, (new, range, notes)).await
}

/// There may be batches to send all the same.
async fn nothing(
    services: &Services,
    (caller, change): (&Caller, &Change),
    request: &MigrationRequest,
    message: String,
) -> Started {
    let is_sending = request.sends_pending() && !change.is_dry_run;
    let sent = if is_sending {
        let arguments = change.with_reason(json!({ "pending": true }));
        services
            .record(Done {
                by: caller.clone(),
                action: "migrate.start",
                arguments,
                effect: json!({ "migrationId": null }),
            })
            .await?;
        Some(send_pending(services).await?)
    } else {
        None
    };
    Ok(Answer::ok(NoMigration::Nothing(NothingToMigrate {
        migration: None,
        dry_run: change.is_dry_run,
        sent,
        message,
    })))
}

/// The next tick sends what isn't sent here.
async fn send_pending(services: &Services) -> Result<u64, Problem> {
    let until = Instant::now() + Duration::from_secs(SEND_SECS_MAX);
    let sending = send_unsent(services.ledger().await?, &services.handoff, until).await?;
    Ok(sending.sent)
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
    (caller, change): (&Caller, &Change),
    request: &MigrationRequest,
    (new, range, notes): (NewMigration, TimeRange, Vec<String>),
) -> Started {
    let ledger = services.ledger().await?;
    let arguments = json!({
        "kind": new.kind, "range": range, "batchSize": new.batch_size, "priority": new.priority,
        "filtered": new.filter.is_some(), "reExport": request.re_export, "pending": request.sends_pending(),
    });
    let effect = json!({ "migrationId": new.id });
    services
        .record(Done {
            by: caller.clone(),
            action: "migrate.start",
            arguments: change.with_reason(arguments),
            effect,
        })
        .await?;
    if request.re_export {
        ledger.allow_re_export(new.id, caller.name()).await?;
    }
    ledger.make_migration(&new).await?;
    let sent = if request.sends_pending() {
        Some(send_pending(services).await?)
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
