//! `POST /migrate/create-missing-migrations`: giving a batch to messages that the ledger knows and that nobody owns.
//!
//! A long job where they are many. A cancellation leaves such messages behind; messages that the ledger doesn't know at
//! all are found by a migration, or by a verification with repair.

use crate::config::BATCH_SIZE_MAX;
use crate::operating::operations::{self, LongAnswer, Wish};
use crate::services::Services;
use crate::web::caller::Caller;
use crate::web::change::{Change, ChangeBody};
use crate::web::fields::{BodyFields, Fields};
use crate::web::problem::Problem;
use axum::Extension;
use axum::extract::State;
use granary_domain::TimeRange;
use granary_operations::AdoptArguments;
use jiff::Timestamp;
use std::sync::Arc;
use utoipa::ToSchema;

const MESSAGES_DEFAULT: u64 = 100_000;
const MESSAGES_MAX: u64 = 1_000_000;

/// Which messages that nobody owns are to be given to a batch. Nothing said means all of them, up to the limit.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "what `read` takes, for the document")]
pub(crate) struct CreateMissingBody {
    /// Those of event times from this instant on.
    from: Option<Timestamp>,
    /// Those of event times before this instant.
    to: Option<Timestamp>,
    /// Messages in a batch at most. Left out: as the deployment has it, or an operator tuned it.
    #[schema(minimum = 1, maximum = 10_000, examples(500))]
    batch_size: Option<u32>,
    /// How many messages at most.
    #[schema(minimum = 1, maximum = 1_000_000, default = 100_000)]
    limit: Option<u64>,
    #[serde(flatten)]
    change: ChangeBody,
}

/// Give a batch to messages that nobody owns
///
/// A cancellation leaves such messages behind. Its result: `dryRun`, `migrationId`, `found`, `adopted` and `left` (messages),
/// `perDay` (messages found by day), `hasMore`.
#[utoipa::path(post, path = "/migrate/create-missing-migrations", request_body = CreateMissingBody)]
pub(crate) async fn start(
    State(services): State<Arc<Services>>,
    Extension(caller): Extension<Caller>,
    BodyFields(fields): BodyFields,
) -> Result<LongAnswer, Problem> {
    let mut arguments = read(&fields, &caller, services.config.harvest.batch_size)?;
    if fields.value("batchSize").is_none() {
        arguments.batch_size = services.harvest().await?.batch_size;
    }
    operations::ask(&services, &caller, Wish::Adopt(arguments), None).await
}

fn read(fields: &Fields, caller: &Caller, batch_size_default: u32) -> Result<AdoptArguments, Problem> {
    fields.only(&["from", "to", "batchSize", "limit", "dryRun", "reason"])?;
    let change = Change::read(fields)?;
    let (from, to) = (fields.instant("from")?, fields.instant("to")?);
    if let (Some(from), Some(to)) = (from, to) {
        TimeRange::new(from, to).map_err(|error| Problem::invalid("from", format!("{error}.")))?;
    }
    Ok(AdoptArguments {
        from,
        to,
        batch_size: fields
            .number("batchSize", 1..=BATCH_SIZE_MAX)?
            .unwrap_or(batch_size_default),
        limit: fields
            .number("limit", 1..=MESSAGES_MAX)?
            .unwrap_or(MESSAGES_DEFAULT),
        dry_run: change.is_dry_run,
        reason: change.reason().map(str::to_owned),
        requested_by: caller.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<AdoptArguments, Problem> {
        super::read(
            &Fields::of_json(json.as_bytes()).unwrap(),
            &Caller::of_a_test(),
            500,
        )
    }

    #[test]
    fn nothing_asked_for_means_whatever_nobody_owns_up_to_a_bound() {
        let arguments = read("").unwrap();
        assert_eq!((arguments.from, arguments.to), (None, None));
        assert_eq!((arguments.batch_size, arguments.limit), (500, MESSAGES_DEFAULT));
        assert!(!arguments.dry_run);
    }

    #[test]
    fn what_cannot_be_meant_is_refused_by_name() {
        for (json, field) in [
            (r#"{"limit":0}"#, "limit"),
            (r#"{"limit":1000001}"#, "limit"),
            (r#"{"batchSize":10001}"#, "batchSize"),
            (r#"{"to":"2026-11-22"}"#, "to"),
            (
                r#"{"from":"2026-11-22T06:00:00Z","to":"2026-11-22T06:00:00Z"}"#,
                "from",
            ),
            (r#"{"migrationId":"x"}"#, "migrationId"),
        ] {
            assert_eq!(read(json).unwrap_err().field(), Some(field), "{json}");
        }
    }
}
