//! `GET /migrate/jobs`, `GET /migrate/batch/{id}`: batches, which clients of this API know as jobs, and their attempts.
//!
//! Read from batch rows alone; message ids and contents don't stand there.

use crate::migrating::batch_shown::{ShownAttempt, ShownBatch, ShownBatchStatus, url_of};
use crate::migrating::progress_shown::ShownKind;
use crate::migrating::status_name::read_status;
use crate::services::Services;
use crate::web::answer::Answer;
use crate::web::fields::{Fields, QueryFields, number_in_path};
use crate::web::page::{Page, PageQuery};
use crate::web::problem::{Kind, Problem};
use axum::extract::{Path, State};
use granary_domain::{BatchId, TimeRange};
use granary_ledger::Ledger;
use granary_ledger::reports::{BatchFilter, BatchRow};
use jiff::Timestamp;
use serde::Serialize;
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

const ATTEMPTS_SHOWN_MAX: u32 = 200;

/// Which batches.
#[derive(IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
#[expect(dead_code, reason = "what `read_filter` reads, for the document")]
pub(crate) struct JobQuery {
    /// Where they stand.
    #[param(inline)]
    status: Option<StatusAskedFor>,
    /// Why their migrations exist.
    #[param(inline)]
    job_type: Option<ShownKind>,
    /// The migration that owns them.
    parent_job_id: Option<Uuid>,
    /// From the hour of event time on in which this instant lies.
    from: Option<Timestamp>,
    /// Of hours of event time that begin before this instant.
    to: Option<Timestamp>,
    /// The cause of their newest error, as `GET /failures` names it.
    #[param(example = "spool")]
    cause: Option<String>,
}

/// Where batches stand that are asked for.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "what `read_status` reads, for the document")]
pub(crate) enum StatusAskedFor {
    /// They wait for a worker.
    Pending,
    /// A worker has them in hand.
    Processing,
    /// Their objects are on record.
    Success,
    /// Their last attempts failed.
    Failed,
    /// They were given up.
    Cancelled,
    /// They failed, and no attempt is left.
    Parked,
}

/// Batches, the newest number first.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct JobList {
    /// As many as were asked for, at most.
    jobs: Vec<ShownBatch>,
    /// How many these are.
    count: usize,
    /// The `cursor` of the next page; `null`: there are no more.
    next_cursor: Option<String>,
}

/// A batch with its attempts.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BatchInFull {
    /// The batch.
    batch: ShownBatch,
    /// Its attempts, the newest first, 200 at most.
    attempts: Vec<ShownAttempt>,
    /// Whether it has more attempts than these.
    has_more_attempts: bool,
}

/// How a batch stands, where its number is asked for like a migration's id.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BatchBrief {
    /// The batch.
    batch: ShownBatch,
    /// Where it stands.
    status: ShownBatchStatus,
    /// The path under which it is told with its attempts.
    #[schema(examples("/migrate/batch/7"))]
    batch_url: String,
}

/// Batches by what they have in common, the newest first
///
/// Clients of this API know batches as jobs, and the migration that owns one as its parent.
#[utoipa::path(get, path = "/migrate/jobs", params(JobQuery, PageQuery))]
pub(crate) async fn list(
    State(services): State<Arc<Services>>,
    QueryFields(query): QueryFields,
) -> Result<Answer<JobList>, Problem> {
    query.only(&[
        "status",
        "jobType",
        "parentJobId",
        "from",
        "to",
        "cause",
        "limit",
        "cursor",
    ])?;
    let filter = read_filter(&query)?;
    let page = Page::read(&query)?;
    let before = query.number("cursor", 1..=u64::MAX)?.map(BatchId);
    let mut jobs = services
        .ledger()
        .await?
        .batches(&filter, before, page.rows_to_read())
        .await?;
    let next_cursor = page.cut(&mut jobs).map(|last| last.id.0.to_string());
    Ok(Answer::ok(JobList {
        count: jobs.len(),
        jobs: jobs.iter().map(ShownBatch::from).collect(),
        next_cursor,
    }))
}

/// A batch with its attempts
#[utoipa::path(
    get,
    path = "/migrate/batch/{id}",
    params(("id" = u64, Path, minimum = 1, description = "A batch's number.", example = 7))
)]
pub(crate) async fn status(
    State(services): State<Arc<Services>>,
    Path(id): Path<String>,
) -> Result<Answer<BatchInFull>, Problem> {
    let id = BatchId(number_in_path("id", &id, 1..=u64::MAX)?);
    let ledger = services.ledger().await?;
    let batch = batch(ledger, id).await?;
    let page = Page::of(ATTEMPTS_SHOWN_MAX);
    let mut attempts = ledger.attempts_of(id, page.rows_to_read()).await?;
    let has_more_attempts = page.cut(&mut attempts).is_some();
    Ok(Answer::ok(BatchInFull {
        batch: ShownBatch::from(&batch),
        attempts: attempts.iter().map(ShownAttempt::from).collect(),
        has_more_attempts,
    }))
}

/// `GET /migrate/status/{id}` of a batch.
pub(crate) async fn status_of(services: &Services, id: BatchId) -> Result<BatchBrief, Problem> {
    let batch = batch(services.ledger().await?, id).await?;
    Ok(BatchBrief {
        batch: ShownBatch::from(&batch),
        status: batch.status.into(),
        batch_url: url_of(&batch),
    })
}

async fn batch(ledger: &Ledger, id: BatchId) -> Result<BatchRow, Problem> {
    ledger.batch(id).await?.ok_or_else(|| {
        Problem::new(Kind::NotFound, format!("There is no batch {id}."))
            .remedy("GET /migrate/jobs lists the batches. Those of purged hours are gone from the ledger.")
    })
}

fn read_filter(query: &Fields) -> Result<BatchFilter, Problem> {
    let (status, parked) = read_status(query, "status")?.unzip();
    let (from, to) = (query.instant("from")?, query.instant("to")?);
    if let (Some(from), Some(to)) = (from, to) {
        TimeRange::new(from, to).map_err(|error| Problem::invalid("from", format!("{error}.")))?;
    }
    Ok(BatchFilter {
        status,
        parked: parked.unwrap_or_default(),
        kind: query.parsed("jobType")?,
        migration: query.parsed("parentJobId")?,
        from,
        to,
        cause: query.parsed("cause")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use granary_domain::{BatchStatus, Cause, MigrationKind};
    use granary_ledger::reports::Parked;

    fn read(json: &str) -> Result<BatchFilter, Problem> {
        read_filter(&Fields::of_json(json.as_bytes()).unwrap())
    }

    #[test]
    fn filters_are_read_under_the_names_of_this_api() {
        let filter = read(r#"{"status":"processing","jobType":"backfill","cause":"spool"}"#).unwrap();
        assert_eq!(
            (filter.status, filter.parked, filter.kind, filter.cause),
            (
                Some(BatchStatus::InProgress),
                Parked::OrNot,
                Some(MigrationKind::Backfill),
                Some(Cause::Spool)
            )
        );
        let parked = read(r#"{"status":"parked"}"#).unwrap();
        assert_eq!(
            (parked.status, parked.parked),
            (Some(BatchStatus::Failed), Parked::Only)
        );
        assert_eq!(read("").unwrap(), BatchFilter::default());
    }

    #[test]
    fn filters_that_cannot_be_meant_are_refused_by_name() {
        for (json, field) in [
            (r#"{"status":"done"}"#, "status"),
            (r#"{"jobType":"all"}"#, "jobType"),
            (r#"{"parentJobId":"42"}"#, "parentJobId"),
            (r#"{"cause":"bad luck"}"#, "cause"),
            (r#"{"from":"2026-11-22T06:00:00"}"#, "from"),
            (
                r#"{"from":"2026-11-22T06:00:00Z","to":"2026-11-22T05:00:00Z"}"#,
                "from",
            ),
        ] {
            assert_eq!(read(json).unwrap_err().field(), Some(field), "{json}");
        }
    }
}
