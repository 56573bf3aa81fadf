//! `/sweep/adopt` and `/sweep/discard`: what a person decides about one object that no batch has on record.

use crate::operating::operations::{self, LongAnswer, Wish};
use crate::services::Services;
use crate::web::caller::Caller;
use crate::web::change::{Change, ChangeBody};
use crate::web::fields::{BodyFields, Fields};
use crate::web::problem::{Kind, Problem};
use axum::Extension;
use axum::extract::State;
use granary_domain::{ObjectKey, Place};
use granary_operations::AdoptObjectArguments;
use granary_sweep::DiscardArguments;
use std::sync::Arc;
use utoipa::ToSchema;

const KEY_BYTES_MAX: usize = 1_024;

/// Which object, and how it is asked for.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "what `read` takes, for the document")]
pub(crate) struct SweepObjectBody {
    /// The key of a data object, as a sweep names it.
    #[schema(examples("archive/source=messages/dt=2026-11-22/hour=06/batch-7-g1.ndjson.zst"))]
    key: String,
    #[serde(flatten)]
    change: ChangeBody,
}

/// Put on record what only one object holds
///
/// Messages of the object that the ledger doesn't know, or that nobody owns, are recorded in a batch of their own; the exporter
/// copies their lines. Afterwards the object holds nothing that isn't on record, and a sweep removes it.
#[utoipa::path(post, path = "/sweep/adopt", request_body = SweepObjectBody)]
pub(crate) async fn adopt(
    State(services): State<Arc<Services>>,
    Extension(caller): Extension<Caller>,
    BodyFields(fields): BodyFields,
) -> Result<LongAnswer, Problem> {
    let (key, change) = read(&fields)?;
    etag_of(&services, &key).await?;
    let arguments = AdoptObjectArguments {
        key,
        batch_size: services.harvest().await?.batch_size,
        dry_run: change.is_dry_run,
        reason: change.reason().map(str::to_owned),
        requested_by: caller.to_string(),
    };
    operations::ask(&services, &caller, Wish::AdoptObject(arguments), None).await
}

/// Remove one object, whatever it holds
///
/// Only what no batch has on record. The dry run says what is lost with it. It needs a reason, and removes the very object
/// that stands at the key now; the reaper does it within a minute.
#[utoipa::path(post, path = "/sweep/discard", request_body = SweepObjectBody)]
pub(crate) async fn discard(
    State(services): State<Arc<Services>>,
    Extension(caller): Extension<Caller>,
    BodyFields(fields): BodyFields,
) -> Result<LongAnswer, Problem> {
    let (key, change) = read(&fields)?;
    let reason = match change.reason() {
        Some(reason) => reason.to_owned(),
        None if change.is_dry_run => String::new(),
        None => {
            let detail = "`reason` is missing: what is discarded can't be had back, so the audit keeps why.";
            return Err(Problem::invalid("reason", detail));
        }
    };
    let etag = etag_of(&services, &key).await?;
    let arguments = DiscardArguments {
        key,
        etag,
        dry_run: change.is_dry_run,
        reason,
        requested_by: caller.to_string(),
    };
    operations::ask(&services, &caller, Wish::DiscardObject(arguments), None).await
}

/// The version of the data object that stands at a key now.
async fn etag_of(services: &Services, key: &ObjectKey) -> Result<Option<String>, Problem> {
    let place = services.archive.layout().place_of(key);
    if !matches!(place, Some(Place::Object { .. })) {
        let detail = format!("{key} is not the key of a data object of this archive.");
        return Err(Problem::invalid("key", detail));
    }
    match services.archive.listed(key).await.map_err(anyhow::Error::from)? {
        Some(object) => Ok(object.etag),
        None => Err(Problem::new(Kind::NotFound, format!("Nothing stands at {key}."))
            .remedy("Take the key from the report of a sweep; perhaps it was removed meanwhile.")),
    }
}

fn read(fields: &Fields) -> Result<(ObjectKey, Change), Problem> {
    fields.only(&["key", "dryRun", "reason"])?;
    let change = Change::read(fields)?;
    let key = fields.text("key")?.map(str::trim).unwrap_or_default();
    if key.is_empty() || key.len() > KEY_BYTES_MAX {
        let detail = "`key` is the key of a data object, as the report of a sweep names it.";
        return Err(Problem::invalid("key", detail));
    }
    Ok((ObjectKey::from_record(key.to_owned()), change))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<(ObjectKey, Change), Problem> {
        super::read(&Fields::of_json(json.as_bytes()).unwrap())
    }

    #[test]
    fn an_object_is_named_by_its_key() {
        let (key, change) = read(r#"{"key":" a/batch-1-g1.ndjson ","dryRun":true}"#).unwrap();
        assert_eq!((key.as_str(), change.is_dry_run), ("a/batch-1-g1.ndjson", true));
        for (json, field) in [
            ("{}", "key"),
            (r#"{"key":""}"#, "key"),
            (r#"{"key":7}"#, "key"),
            (r#"{"keys":[]}"#, "keys"),
        ] {
            assert_eq!(read(json).unwrap_err().field(), Some(field), "{json}");
        }
    }
}
