//! `POST /migrate/bulk`: messages that somebody names by their ids.
//!
//! A long job where they are many. Those that the ledger doesn't know are recorded as the source shows them; those that
//! are on record are left alone, unless it is said that their batches are to be exported anew.

use crate::config::BATCH_SIZE_MAX;
use crate::operating::operations::{self, LongAnswer, Wish};
use crate::services::Services;
use crate::web::caller::Caller;
use crate::web::change::{Change, ChangeBody};
use crate::web::fields::{BodyFields, Fields};
use crate::web::problem::Problem;
use axum::Extension;
use axum::extract::State;
use granary_domain::{MessageId, Priority};
use granary_operations::{BulkArguments, KnownMessages};
use serde_json::Value;
use std::collections::HashSet;
use std::sync::Arc;
use utoipa::ToSchema;

const IDS_MAX: usize = 1_000;

/// Which messages.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "what `read` takes, for the document")]
pub(crate) struct BulkBody {
    /// Their ids; each is meant once.
    #[schema(min_items = 1, max_items = 1_000, examples(json!(["a-1", "a-2"])))]
    ids: Vec<GivenId>,
    /// Whether batches of messages that are archived are exported anew.
    #[schema(default = false)]
    reexport: Option<bool>,
    /// The same, spelled otherwise.
    #[schema(default = false)]
    re_export: Option<bool>,
    /// Messages in a batch at most. Left out: as the deployment has it, or an operator tuned it.
    #[schema(minimum = 1, maximum = 10_000, examples(500))]
    batch_size: Option<u32>,
    /// How urgent it is. From 5 on its batches take the priority queue.
    #[schema(minimum = 0, maximum = 9, default = 0)]
    priority: Option<u8>,
    #[serde(flatten)]
    change: ChangeBody,
}

/// A message's id, as it may come.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "what `ids` reads, for the document")]
pub(crate) enum GivenId {
    /// As it is.
    Text(String),
    /// One that is a whole number.
    Number(i64),
}

/// Migrate messages that are named by their ids
///
/// Those that the ledger doesn't know are recorded as the source shows them; those that it knows are left alone, unless
/// `reexport` is said. Its result: `dryRun`, `asked`, `notFound`, `notSettled`, `known` (each with its standing),
/// `migrationId`, `recorded`, `left`, `reExport`.
#[utoipa::path(post, path = "/migrate/bulk", request_body = BulkBody)]
pub(crate) async fn start(
    State(services): State<Arc<Services>>,
    Extension(caller): Extension<Caller>,
    BodyFields(fields): BodyFields,
) -> Result<LongAnswer, Problem> {
    let mut arguments = read(&fields, &caller, services.config.harvest.batch_size)?;
    if fields.value("batchSize").is_none() {
        arguments.batch_size = services.harvest().await?.batch_size;
    }
    operations::ask(&services, &caller, Wish::Bulk(arguments), None).await
}

fn read(fields: &Fields, caller: &Caller, batch_size_default: u32) -> Result<BulkArguments, Problem> {
    fields.only(&[
        "ids",
        "reexport",
        "reExport",
        "batchSize",
        "priority",
        "dryRun",
        "reason",
    ])?;
    let change = Change::read(fields)?;
    let is_again = fields.switch("reexport")? || fields.switch("reExport")?;
    let priority = fields.number("priority", 0..=9_u8)?.map(Priority::try_from);
    Ok(BulkArguments {
        ids: ids(fields)?,
        known: if is_again {
            KnownMessages::ReExport
        } else {
            KnownMessages::Leave
        },
        batch_size: fields
            .number("batchSize", 1..=BATCH_SIZE_MAX)?
            .unwrap_or(batch_size_default),
        priority: priority
            .transpose()
            .map_err(|why| Problem::invalid("priority", why))?
            .unwrap_or(Priority::NORMAL),
        dry_run: change.is_dry_run,
        reason: change.reason().map(str::to_owned),
        requested_by: caller.to_string(),
    })
}

/// Each id once, in the order in which they were given.
fn ids(fields: &Fields) -> Result<Vec<MessageId>, Problem> {
    let refuse = |detail: String| Problem::invalid("ids", detail);
    let Some(Value::Array(values)) = fields.value("ids") else {
        return Err(refuse(format!(
            "`ids` must be a list of 1 to {IDS_MAX} ids of messages, such as [\"a-1\", \"a-2\"]."
        )));
    };
    let mut ids = Vec::with_capacity(values.len().min(IDS_MAX));
    let mut seen = HashSet::new();
    for (place, value) in values.iter().enumerate() {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) if number.is_i64() => number.to_string(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                return Err(refuse(format!("`ids[{place}]` is {value}; it must be a text.")));
            }
        };
        let id = MessageId::try_from(text)
            .map_err(|error| refuse(format!("`ids[{place}]` can't be used: {error}.")))?;
        if seen.insert(id.clone()) {
            ids.push(id);
        }
    }
    if (1..=IDS_MAX).contains(&ids.len()) {
        return Ok(ids);
    }
    Err(refuse(format!(
        "`ids` has {} different ids; it must have 1 to {IDS_MAX}.",
        ids.len()
    ))
    .remedy("Ask for more of them in further requests, or for a range with POST /migrate."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<BulkArguments, Problem> {
        super::read(
            &Fields::of_json(json.as_bytes()).unwrap(),
            &Caller::of_a_test(),
            500,
        )
    }

    #[test]
    fn each_id_is_meant_once_and_known_ones_only_where_that_is_said() {
        let arguments = read(r#"{"ids":["b","a","b",7]}"#).unwrap();
        let ids: Vec<&str> = arguments.ids.iter().map(MessageId::as_str).collect();
        assert_eq!(ids, ["b", "a", "7"]);
        assert_eq!(
            (arguments.known, arguments.batch_size),
            (KnownMessages::Leave, 500)
        );
        for spelled in ["reexport", "reExport"] {
            let arguments = read(&format!(r#"{{"ids":["a"],"{spelled}":true}}"#)).unwrap();
            assert_eq!(arguments.known, KnownMessages::ReExport);
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused_by_name() {
        for (json, field) in [
            ("{}", "ids"),
            (r#"{"ids":[]}"#, "ids"),
            (r#"{"ids":"a"}"#, "ids"),
            (r#"{"ids":[""]}"#, "ids"),
            (r#"{"ids":[null]}"#, "ids"),
            (r#"{"ids":[1.5]}"#, "ids"),
            (r#"{"ids":["a"],"batchSize":0}"#, "batchSize"),
            (r#"{"ids":["a"],"priority":10}"#, "priority"),
            (r#"{"id":["a"]}"#, "id"),
        ] {
            assert_eq!(read(json).unwrap_err().field(), Some(field), "{json}");
        }
        let many: Vec<String> = (0..=IDS_MAX).map(|number| number.to_string()).collect();
        let json = serde_json::json!({ "ids": many }).to_string();
        assert!(read(&json).unwrap_err().detail().contains("1001 different"));
    }
}
