//! `/purge`: taking the rows of hours that have come to their end out of the ledger.

use crate::operating::operations::{self, LongAnswer, Wish};
use crate::services::Services;
use crate::web::caller::Caller;
use crate::web::change::{ReasonBody, reason};
use crate::web::fields::{BodyFields, Fields};
use crate::web::problem::{Kind, Problem};
use axum::Extension;
use axum::extract::State;
use granary_domain::TimeRange;
use granary_ledger::integrity::SealedRange;
use jiff::Timestamp;
use std::sync::Arc;
use utoipa::ToSchema;

/// Sealed hours that a refusal names.
const SEALED_NAMED_MAX: u32 = 100;

/// What is to be purged.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "what `read` takes, for the document")]
pub(crate) struct PurgeBody {
    /// The instant up to which hours of event time may be purged.
    #[schema(examples("2026-11-01T00:00:00Z"))]
    before: Timestamp,
    /// Only say what it would do. Nothing is purged unless it is `false`.
    #[schema(default = true)]
    dry_run: Option<bool>,
    #[serde(flatten)]
    reason: ReasonBody,
}

/// What somebody wants purged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PurgeWish {
    pub(crate) before: Timestamp,
    pub(crate) dry_run: bool,
}

/// Take old rows out of the ledger
///
/// Hours that have come to their end are sealed, and the rows of their messages go; the archive isn't touched. It only looks,
/// unless `dryRun` is false.
#[utoipa::path(post, path = "/purge", request_body = PurgeBody)]
pub(crate) async fn start(
    State(services): State<Arc<Services>>,
    Extension(caller): Extension<Caller>,
    BodyFields(fields): BodyFields,
) -> Result<LongAnswer, Problem> {
    let (wish, reason) = (read(&fields)?, reason(&fields)?);
    let now = services.ledger().await?.now().await?;
    let newest = now - services.config.rescan.horizon;
    if wish.before > newest {
        let detail = format!(
            "`before` is {}, but messages that came late are looked for until {newest} at the moment (GRANARY_RESCAN_DAYS).",
            wish.before
        );
        return Err(Problem::invalid("before", detail).remedy("Give an earlier `before`."));
    }
    operations::ask(&services, &caller, Wish::Purge(wish), reason).await
}

fn read(fields: &Fields) -> Result<PurgeWish, Problem> {
    fields.only(&["before", "dryRun", "reason"])?;
    let before = fields.instant("before")?.ok_or_else(|| {
        Problem::invalid(
            "before",
            "`before` is missing: the instant up to which hours of event time may be purged, such as \
             \"2026-11-01T00:00:00Z\".",
        )
    })?;
    Ok(PurgeWish {
        before,
        dry_run: fields.value("dryRun").is_none() || fields.switch("dryRun")?,
    })
}

/// Refuses what would export sealed hours a second time.
pub(crate) async fn refuse_sealed(services: &Services, range: TimeRange) -> Result<(), Problem> {
    let sealed = services
        .ledger()
        .await?
        .sealed_ranges(range, SEALED_NAMED_MAX)
        .await?;
    match (sealed.first(), sealed.last()) {
        (Some(first), Some(last)) => Err(refusal(range, first, last)),
        _ => Ok(()),
    }
}

fn refusal(range: TimeRange, first: &SealedRange, last: &SealedRange) -> Problem {
    let (from, to) = (first.range.from(), last.range.to());
    let detail = format!(
        "The range {range} overlaps hours that are sealed, from {from} to {to}: their messages are archived, and their \
         rows were purged, so they would all be exported a second time."
    );
    Problem::new(Kind::NotPossible, detail)
        .remedy(
            "Leave these hours out. With \"reExport\": true (granary migrate start --re-export) they are exported again, \
             beside the objects that are there; \"filters\" can name the messages that it is about.",
        )
        .with("sealedFrom", from.to_string().into())
        .with("sealedTo", to.to_string().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<PurgeWish, Problem> {
        super::read(&Fields::of_json(json.as_bytes()).unwrap())
    }

    #[test]
    fn nothing_is_purged_unless_it_is_said_twice() {
        let wish = read(r#"{"before":"2026-11-01T00:00:00Z"}"#).unwrap();
        assert!(wish.dry_run);
        assert!(
            !read(r#"{"before":"2026-11-01T00:00:00Z","dryRun":false}"#)
                .unwrap()
                .dry_run
        );
        assert_eq!(read("{}").unwrap_err().field(), Some("before"));
        assert_eq!(
            read(r#"{"before":"2026-11-01T00:00:00"}"#).unwrap_err().field(),
            Some("before")
        );
        assert_eq!(
            read(r#"{"before":"2026-11-01T00:00:00Z","apply":true}"#)
                .unwrap_err()
                .field(),
            Some("apply")
        );
    }
}
