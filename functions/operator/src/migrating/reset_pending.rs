//! `POST /migrate/reset-pending`: having batches pending again.
//!
//! Where the body names batches, they are re-exported: those that are on record, or parked. A long job. The old objects stay
//! on record until the new ones are; a batch whose object holds messages that the source no longer has is named and left
//! alone. It needs a reason, which is kept with each object that is replaced.
//!
//! Without a body, what failed, is parked or is stuck becomes pending (`resetting.rs`). Nothing on record is touched.

use crate::migrating::resetting::{self, BatchesReset};
use crate::operating::operations::{self, OperationAnswer, Wish};
use crate::services::Services;
use crate::web::answer::Answer;
use crate::web::caller::Caller;
use crate::web::change::Change;
use crate::web::fields::{BodyFields, Fields};
use crate::web::problem::Problem;
use axum::Extension;
use axum::extract::State;
use granary_domain::{BatchId, TimeRange};
use granary_ledger::export::ReExportSelection;
use granary_operations::ReExportArguments;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;
use utoipa::ToSchema;
use uuid::Uuid;

/// Where one of them is given, the body is about batches that are to be exported anew.
const SELECTING: [&str; 5] = ["batchIds", "migrationId", "from", "to", "limit"];
const FIELDS: [&str; 7] = [
    "batchIds",
    "migrationId",
    "from",
    "to",
    "limit",
    "reason",
    "dryRun",
];
const BATCHES_DEFAULT: u32 = 1_000;
const BATCHES_MAX: u32 = 10_000;
const BATCH_IDS_MAX: usize = 1_000;

/// Which batches are to be exported anew, said in exactly one way, and why. Where none of `batchIds`, `migrationId`, `from`,
/// `to` and `limit` is given, failed, parked and stuck batches become pending, and nothing on record is touched.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "what `read` takes, for the document")]
pub(crate) struct ResetBody {
    /// These, by their numbers.
    #[schema(min_items = 1, max_items = 1_000, examples(json!([7, 8])))]
    batch_ids: Option<Vec<u64>>,
    /// Those that this migration recorded.
    migration_id: Option<Uuid>,
    /// Those from the hour of event time on in which this instant lies; with `to`.
    from: Option<Timestamp>,
    /// Those of hours of event time that begin before this instant; with `from`.
    to: Option<Timestamp>,
    /// How many batches at most.
    #[schema(minimum = 1, maximum = 10_000, default = 1_000)]
    limit: Option<u32>,
    /// Only say what it would do.
    #[schema(default = false)]
    dry_run: Option<bool>,
    /// Why, for the audit. Re-exporting needs one, and keeps it with each object that is replaced.
    #[schema(max_length = 500, examples("the mapping was wrong"))]
    reason: Option<String>,
}

/// What became of batches that were to be pending.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum Reset {
    /// No batch was named: what failed, was parked or was stuck.
    Pending(BatchesReset),
    /// The batches that were named are re-exported.
    ReExport(Box<OperationAnswer>),
}

/// Make batches pending
///
/// Without a body: failed and parked batches, and those that a dead worker holds, become pending, and the reaper sends them
/// within a minute. Archived batches stay as they are.
///
/// With `batchIds`, `migrationId`, or `from` and `to`, and with a `reason`: batches that are archived, or parked, are
/// exported anew. The old objects stay on record until the new ones are; a batch whose object holds messages that the
/// source no longer has is named and left alone. Its result: `dryRun`, `reason`, `batches`, `messages`,
/// `bytesStored`, `asked`, `underWay`, `changed`, `wouldLose` (batches, each with the messages that it would lose),
/// `wouldLoseBatches`, `skipped`, `hasMore`.
#[utoipa::path(
    post,
    path = "/migrate/reset-pending",
    request_body = ResetBody,
    responses((status = 404, description = "No such migration."))
)]
pub(crate) async fn start(
    State(services): State<Arc<Services>>,
    Extension(caller): Extension<Caller>,
    BodyFields(fields): BodyFields,
) -> Result<Answer<Reset, OperationAnswer>, Problem> {
    fields.only(&FIELDS)?;
    if SELECTING.iter().all(|name| fields.value(name).is_none()) {
        let reset = resetting::reset(&services, &caller, &Change::read(&fields)?).await?;
        return Ok(Answer::ok(Reset::Pending(reset)));
    }
    let arguments = read(&fields, &caller)?;
    if let ReExportSelection::Migration(id) = &arguments.selection {
        crate::migrating::migrate::migration(services.ledger().await?, *id).await?;
    }
    let told = operations::begin(&services, &caller, Wish::ReExport(arguments), None).await?;
    Ok(told.answer(|operation| Reset::ReExport(Box::new(operation))))
}

fn read(fields: &Fields, caller: &Caller) -> Result<ReExportArguments, Problem> {
    let change = Change::read(fields)?;
    let Some(reason) = change.reason() else {
        return Err(Problem::invalid(
            "reason",
            "`reason` is missing: why these batches are exported again.",
        )
        .remedy("It is kept with each object that is replaced, and in the audit."));
    };
    Ok(ReExportArguments {
        selection: selection(fields)?,
        limit: fields
            .number("limit", 1..=BATCHES_MAX)?
            .unwrap_or(BATCHES_DEFAULT),
        dry_run: change.is_dry_run,
        reason: reason.to_owned(),
        requested_by: caller.to_string(),
    })
}

/// Exactly one way of saying which batches: nobody means all of them by saying nothing.
fn selection(fields: &Fields) -> Result<ReExportSelection, Problem> {
    let batches = batch_ids(fields)?;
    let migration = fields.parsed("migrationId")?;
    let (from, to) = (fields.instant("from")?, fields.instant("to")?);
    match (batches, migration, from, to) {
        (Some(batches), None, None, None) => Ok(ReExportSelection::Batches(batches)),
        (None, Some(migration), None, None) => Ok(ReExportSelection::Migration(migration)),
        (None, None, Some(from), Some(to)) => TimeRange::new(from, to)
            .map(ReExportSelection::Hours)
            .map_err(|error| Problem::invalid("from", format!("{error}."))),
        (None, None, Some(_), None) => Err(Problem::invalid("to", "`to` is missing beside `from`.")),
        (None, None, None, Some(_)) => Err(Problem::invalid("from", "`from` is missing beside `to`.")),
        (None, None, None, None) => Err(which("Which batches are meant is missing.")),
        _ => Err(which("Which batches are meant was said in more than one way.")),
    }
}

fn which(detail: &str) -> Problem {
    Problem::invalid("batchIds", detail)
        .remedy("Give one of these: `batchIds`, `migrationId`, or `from` and `to` (hours of event time).")
}

fn batch_ids(fields: &Fields) -> Result<Option<Vec<BatchId>>, Problem> {
    let Some(value) = fields.value("batchIds") else {
        return Ok(None);
    };
    let refuse = || {
        Problem::invalid(
            "batchIds",
            format!("`batchIds` must be a list of 1 to {BATCH_IDS_MAX} numbers of batches, such as [7, 8]."),
        )
    };
    let Value::Array(values) = value else {
        return Err(refuse());
    };
    let numbers: Option<BTreeSet<u64>> = values.iter().map(number).collect();
    match numbers {
        Some(numbers) if (1..=BATCH_IDS_MAX).contains(&numbers.len()) => {
            Ok(Some(numbers.into_iter().map(BatchId).collect()))
        }
        Some(_) | None => Err(refuse()),
    }
}

/// A number, also as text.
fn number(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<ReExportArguments, Problem> {
        super::read(&Fields::of_json(json.as_bytes()).unwrap(), &Caller::of_a_test())
    }

    #[test]
    fn batches_are_named_in_exactly_one_way_and_with_a_reason() {
        let arguments = read(r#"{"batchIds":[9,"7",9],"reason":"the mapping was wrong"}"#).unwrap();
        assert_eq!(
            arguments.selection,
            ReExportSelection::Batches(vec![BatchId(7), BatchId(9)])
        );
        assert_eq!((arguments.limit, arguments.dry_run), (BATCHES_DEFAULT, false));
        let hours =
            r#"{"from":"2026-11-22T06:00:00Z","to":"2026-11-22T08:00:00Z","reason":"r","dryRun":true}"#;
        assert!(matches!(
            read(hours).unwrap().selection,
            ReExportSelection::Hours(_)
        ));
    }

    #[test]
    fn what_cannot_be_meant_is_refused_by_name() {
        for (json, field) in [
            (r#"{"batchIds":[7]}"#, "reason"),
            (r#"{"batchIds":[7],"reason":" "}"#, "reason"),
            (r#"{"reason":"r","limit":5}"#, "batchIds"),
            (r#"{"reason":"r","batchIds":[]}"#, "batchIds"),
            (r#"{"reason":"r","batchIds":["x"]}"#, "batchIds"),
            (r#"{"reason":"r","batchIds":7}"#, "batchIds"),
            (
                r#"{"reason":"r","batchIds":[7],"from":"2026-11-22T06:00:00Z"}"#,
                "batchIds",
            ),
            (r#"{"reason":"r","from":"2026-11-22T06:00:00Z"}"#, "to"),
            (r#"{"reason":"r","to":"2026-11-22T06:00:00Z"}"#, "from"),
            (r#"{"reason":"r","migrationId":"42"}"#, "migrationId"),
            (r#"{"reason":"r","batchIds":[7],"limit":0}"#, "limit"),
        ] {
            assert_eq!(read(json).unwrap_err().field(), Some(field), "{json}");
        }
        let many: Vec<u64> = (1..=1_001).collect();
        let json = serde_json::json!({"batchIds": many, "reason": "r"}).to_string();
        assert_eq!(read(&json).unwrap_err().field(), Some("batchIds"));
    }
}
