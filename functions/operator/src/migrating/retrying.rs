//! `POST /migrate/retry-failed`: giving parked batches all their attempts again, and exceptions another export
//! (`recalling.rs`).
//!
//! Failed batches with an attempt left are retried without being asked for. What was asked for is done when the answer
//! comes, and asking twice is asking once; the reaper sends the batches at its next tick.

use crate::migrating::recalling::{Asker, Excepted, RecalledExceptions, outcome_in};
use crate::migrating::round::{BATCH_SIZE, batch_size};
use crate::services::{Done, Services};
use crate::web::answer::Answer;
use crate::web::caller::Caller;
use crate::web::change::{Change, ChangeBody};
use crate::web::fields::{BodyFields, Fields};
use crate::web::page::Page;
use crate::web::problem::Problem;
use axum::Extension;
use axum::extract::State;
use granary_domain::{BatchId, BatchStatus, Outcome, TimeRange};
use granary_ledger::Ledger;
use granary_ledger::reports::{BatchFilter, Parked};
use granary_numbering::Numbering;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;
use std::sync::Arc;
use utoipa::ToSchema;
use uuid::Uuid;

pub(crate) const BATCHES_PER_REQUEST_MAX: u32 = 1_000;

/// Parked batches, and what became of them.
#[derive(Debug, Default)]
pub(crate) struct Retried {
    /// Those that were found, as many as a request may take.
    pub(crate) found: Vec<BatchId>,
    /// How many were still parked when they got their attempts.
    pub(crate) retried: u64,
    /// Whether there are more.
    pub(crate) has_more: bool,
}

impl Retried {
    pub(crate) fn numbers(&self) -> Vec<u64> {
        self.found.iter().map(|batch| batch.0).collect()
    }
}

/// Which parked batches and exceptions are to be retried. Nothing said means all of them.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "what `read_filter` takes, for the document")]
pub(crate) struct RetryBody {
    /// Those of this migration.
    migration_id: Option<Uuid>,
    /// Those of this cause, as `GET /failures` names it: a batch's newest error, or `missing` or `quarantined` messages.
    #[schema(examples("spool"))]
    cause: Option<String>,
    /// Those from the hour of event time on in which this instant lies.
    from: Option<Timestamp>,
    /// Those of hours of event time that begin before this instant.
    to: Option<Timestamp>,
    /// How many parked batches at most, and how many batches with exceptions.
    #[schema(minimum = 1, maximum = 1_000, default = 1_000)]
    limit: Option<u32>,
    /// Batches of one round at most, and a request is one round: the smaller of `limit` and this counts, and more than
    /// 1,000 are never taken at once. `hasMore` says whether another round has something to do.
    #[schema(minimum = 1, maximum = 10_000, examples(100))]
    batch_size: Option<u32>,
    #[serde(flatten)]
    change: ChangeBody,
}

/// What became of parked batches and exceptions.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RetriedBatches {
    /// Whether it was a dry run: then nothing was changed.
    dry_run: bool,
    /// Parked batches that were found, as many as `limit` allows.
    found: usize,
    /// Batches that have all their attempts again; the reaper sends them within a minute.
    retried: u64,
    /// The numbers of those that were found.
    batches: Vec<u64>,
    /// Missing and quarantined messages of completed batches: they are recalled into batches of their own.
    exceptions: RecalledExceptions,
    /// Whether there are more.
    has_more: bool,
}

/// Retry parked batches, missing and quarantined messages
///
/// Parked batches get all their attempts again. Missing and quarantined messages leave their completed batches for batches
/// of their own, which wait to be exported. Failed batches with an attempt left are retried without being asked for.
#[utoipa::path(post, path = "/migrate/retry-failed", request_body = RetryBody)]
pub(crate) async fn retry_failed(
    State(services): State<Arc<Services>>,
    Extension(caller): Extension<Caller>,
    BodyFields(fields): BodyFields,
) -> Result<Answer<RetriedBatches>, Problem> {
    fields.only(&[
        "migrationId",
        "cause",
        "from",
        "to",
        "limit",
        BATCH_SIZE,
        "dryRun",
        "reason",
    ])?;
    let change = Change::read(&fields)?;
    let wanted = Wanted::read(&fields)?;
    let limit = read_limit(&fields)?;
    let ledger = services.ledger().await?;
    let (mut retried, mut excepted) = wanted.find(ledger, &change, limit).await?;
    let mut exceptions = excepted.foretold();
    if !change.is_dry_run {
        // Who wants it is written down first: nothing is done that nobody answers for.
        let filter = &wanted.filter;
        let arguments = json!({
            "migrationId": filter.migration, "cause": fields.text("cause")?, "from": filter.from, "to": filter.to,
            "limit": limit,
        });
        let found = retried.found.len();
        services
            .record(Done {
                by: caller.clone(),
                action: "migrate.retry_failed",
                arguments: change.with_reason(arguments),
                effect: json!({
                    "before": { "parked": found, "exceptions": exceptions }, "after": { "pending": found },
                    "batches": retried.numbers(),
                }),
            })
            .await?;
        retried.retried = ledger.unpark(&retried.found).await?;
        let asker = Asker {
            by: caller.to_string(),
            reason: change.reason().map(str::to_owned),
        };
        let numbering = Numbering::new(ledger.clone(), services.archive.clone());
        exceptions = excepted.recall((ledger, &numbering), &asker).await?;
    }
    Ok(Answer::ok(RetriedBatches {
        dry_run: change.is_dry_run,
        found: retried.found.len(),
        retried: retried.retried,
        batches: retried.numbers(),
        exceptions,
        has_more: retried.has_more || excepted.has_more,
    }))
}

/// What is to be retried.
struct Wanted {
    /// Parked batches; exceptions are meant within the same migration and hours.
    filter: BatchFilter,
    which: Which,
}

/// Of parked batches and exceptions.
enum Which {
    /// Both.
    Both,
    /// Parked batches: the filter names their cause.
    Parked,
    /// Messages of one outcome.
    Excepted(Outcome),
}

impl Wanted {
    fn read(fields: &Fields) -> Result<Self, Problem> {
        let outcome = outcome_in(fields)?;
        let filter = match outcome {
            Some(_) => BatchFilter {
                migration: fields.parsed("migrationId")?,
                ..parked_in(fields)?
            },
            None => read_filter(fields)?,
        };
        let which = match (outcome, filter.cause) {
            (Some(outcome), _) => Which::Excepted(outcome),
            (None, Some(_)) => Which::Parked,
            (None, None) => Which::Both,
        };
        Ok(Self { filter, which })
    }

    /// Looks for both; nothing is changed.
    async fn find(
        &self,
        ledger: &Ledger,
        change: &Change,
        limit: u32,
    ) -> Result<(Retried, Excepted), Problem> {
        let parked = match self.which {
            Which::Excepted(_) => Retried::default(),
            Which::Both | Which::Parked => retry(ledger, &change.foretold(), &self.filter, limit).await?,
        };
        let excepted = match self.which {
            Which::Parked => Excepted::default(),
            Which::Both => Excepted::find(ledger, None, &self.filter, limit).await?,
            Which::Excepted(outcome) => Excepted::find(ledger, Some(outcome), &self.filter, limit).await?,
        };
        Ok((parked, excepted))
    }
}

fn read_limit(fields: &Fields) -> Result<u32, Problem> {
    let limit = fields.number("limit", 1..=BATCHES_PER_REQUEST_MAX)?;
    let most = limit.unwrap_or(BATCHES_PER_REQUEST_MAX);
    Ok(batch_size(fields)?.unwrap_or(most).min(most))
}

/// Gives parked batches their attempts again, or only finds them.
pub(crate) async fn retry(
    ledger: &Ledger,
    change: &Change,
    filter: &BatchFilter,
    limit: u32,
) -> Result<Retried, Problem> {
    let page = Page::of(limit);
    let mut found = ledger
        .batch_numbers(filter, BatchId(0), page.rows_to_read())
        .await?;
    let has_more = page.cut(&mut found).is_some();
    let retried = if change.is_dry_run {
        0
    } else {
        ledger.unpark(&found).await?
    };
    Ok(Retried {
        found,
        retried,
        has_more,
    })
}

fn read_filter(fields: &Fields) -> Result<BatchFilter, Problem> {
    let filter = BatchFilter {
        migration: fields.parsed("migrationId")?,
        cause: fields.parsed("cause")?,
        ..parked_in(fields)?
    };
    Ok(filter)
}

/// The parked batches of the hours that are meant.
pub(crate) fn parked_in(fields: &Fields) -> Result<BatchFilter, Problem> {
    let (from, to) = (fields.instant("from")?, fields.instant("to")?);
    if let (Some(from), Some(to)) = (from, to) {
        TimeRange::new(from, to).map_err(|error| Problem::invalid("from", format!("{error}.")))?;
    }
    Ok(BatchFilter {
        from,
        to,
        ..all_parked()
    })
}

/// Every parked batch.
pub(crate) fn all_parked() -> BatchFilter {
    BatchFilter {
        status: Some(BatchStatus::Failed),
        parked: Parked::Only,
        ..BatchFilter::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use granary_domain::Cause;

    fn read(json: &str) -> Result<BatchFilter, Problem> {
        read_filter(&Fields::of_json(json.as_bytes()).unwrap())
    }

    #[test]
    fn nothing_asked_for_means_every_parked_batch() {
        let filter = read("").unwrap();
        assert_eq!(
            (filter.status, filter.parked),
            (Some(BatchStatus::Failed), Parked::Only)
        );
        assert_eq!((filter.migration, filter.cause, filter.from), (None, None, None));
    }

    #[test]
    fn the_smaller_bound_of_a_request_counts() {
        let limit = |json: &str| read_limit(&Fields::of_json(json.as_bytes()).unwrap());
        for (json, expected) in [
            ("", BATCHES_PER_REQUEST_MAX),
            (r#"{"batchSize":2}"#, 2),
            (r#"{"batchSize":5000}"#, BATCHES_PER_REQUEST_MAX),
            (r#"{"batchSize":7,"limit":5}"#, 5),
        ] {
            assert_eq!(limit(json).unwrap(), expected, "{json}");
        }
        assert_eq!(limit(r#"{"batchSize":0}"#).unwrap_err().field(), Some(BATCH_SIZE));
    }

    #[test]
    fn a_group_of_failures_is_named_by_its_cause() {
        assert_eq!(
            read(r#"{"cause":"archive_refused"}"#).unwrap().cause,
            Some(Cause::ArchiveRefused)
        );
        let problem = read(r#"{"cause":"the disk is full"}"#).unwrap_err();
        assert_eq!(problem.field(), Some("cause"));
        assert!(problem.detail().contains("spool"), "{}", problem.detail());
        assert_eq!(
            read(r#"{"migrationId":"42"}"#).unwrap_err().field(),
            Some("migrationId")
        );
    }
}
