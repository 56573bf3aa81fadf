//! `POST /migrate` with `filters.status` processing, failed or parked: batches on record are meant, not messages of the
//! source, so no migration is made. What a status can need is done to those that have it. (`pending` means everything
//! that is not archived yet: `migration_request.rs` reads it.)
//!
//! | status | what is done |
//! |---|---|
//! | processing | what dead workers hold is taken back |
//! | failed | what is due is tried again, and what is parked gets its attempts again |
//! | parked | what is parked gets its attempts again |
//!
//! What is on record, or given up, isn't touched this way: exporting anew wants a reason, and has a route of its own.

use crate::migrating::catching_up::numbers;
use crate::migrating::retrying::{BATCHES_PER_REQUEST_MAX, parked_in, retry};
use crate::migrating::round::{self, Round, take_back};
use crate::services::{Done, Services};
use crate::web::caller::Caller;
use crate::web::change::Change;
use crate::web::fields::Fields;
use crate::web::problem::Problem;
use granary_domain::BatchId;
use granary_ledger::export::Retryable;
use granary_ledger::reports::BatchFilter;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

/// The status in the filters that means what isn't archived yet.
pub(crate) const PENDING: &str = "pending";
const FIELD: &str = "filters.status";

/// Batches that are meant by their status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = StatusActedOn)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    /// What dead workers hold.
    Processing,
    /// What failed and is due, and what is parked.
    Failed,
    /// What has no attempt left.
    Parked,
}

/// What was done to batches on record.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ActedByStatus {
    /// Always `null`: none was made.
    #[schema(value_type = Option<Object>)]
    migration: Option<Value>,
    /// Whether it was only foretold: then nothing was changed.
    dry_run: bool,
    /// Which batches were meant.
    status: Status,
    /// Batches that were meant, as many as one request may take.
    found: u64,
    /// Batches that were changed.
    changed: u64,
    /// Their numbers, at most 1,000.
    batches: Vec<u64>,
    /// Whether nothing is left to do.
    is_complete: bool,
    /// What that means, for people.
    message: &'static str,
}

/// What was done to them.
#[derive(Debug, Default)]
struct Acted {
    found: u64,
    changed: u64,
    batches: Vec<BatchId>,
    is_complete: bool,
}

impl Status {
    const ALL: [Self; 3] = [Self::Processing, Self::Failed, Self::Parked];

    fn as_str(self) -> &'static str {
        match self {
            Self::Processing => "processing",
            Self::Failed => "failed",
            Self::Parked => "parked",
        }
    }

    fn what_is_done(self) -> &'static str {
        match self {
            Self::Processing => "What dead workers held is taken back; the reaper tries it again.",
            Self::Failed => {
                "What was due is tried again, and what was parked has its attempts again; the reaper sends it within a minute."
            }
            Self::Parked => "What was parked has its attempts again; the reaper sends it within a minute.",
        }
    }

    /// The status that a body's filters name. `None`: they name none, or `pending`, and a migration is meant.
    pub(crate) fn read(fields: &Fields) -> Result<Option<Self>, Problem> {
        let Some(Value::Object(filters)) = fields.value("filters") else {
            return Ok(None);
        };
        let Some(status) = filters.get("status").filter(|status| !status.is_null()) else {
            return Ok(None);
        };
        if let Some(other) = filters.keys().find(|key| *key != "status") {
            let detail = format!(
                "`{FIELD}` is about batches on record, and `filters.{other}` looks for messages at the source."
            );
            return Err(Problem::invalid(FIELD, detail).remedy("Give one of them."));
        }
        let name = status.as_str().unwrap_or_default();
        match (name, Self::ALL.into_iter().find(|known| known.as_str() == name)) {
            (PENDING, _) => Ok(None),
            (_, Some(known)) => Ok(Some(known)),
            ("success", None) => Err(Problem::invalid(
                FIELD,
                "What is archived is not archived again by a migration.",
            )
            .remedy("POST /migrate/reset-pending has batches exported anew; it wants a reason.")),
            ("cancelled", None) => Err(Problem::invalid(
                FIELD,
                "A cancelled batch has no messages any more: they were released.",
            )
            .remedy("POST /migrate/create-missing-migrations gives a batch to messages that nobody owns.")),
            (_, None) => Err(Problem::invalid(
                FIELD,
                format!("`{FIELD}` is {status}; it must be one of: pending, processing, failed, parked."),
            )),
        }
    }
}

/// Does to batches of a status what they can need.
pub(crate) async fn act(
    services: &Services,
    caller: &Caller,
    fields: &Fields,
    status: Status,
) -> Result<ActedByStatus, Problem> {
    let change = Change::read(fields)?;
    let parked = read_rest(fields, status)?;
    let mut acted = act_on(services, &change.foretold(), &parked, status).await?;
    if !change.is_dry_run {
        let action = "migrate.by_status";
        let arguments = change.with_reason(json!({ "status": status, "from": parked.from, "to": parked.to }));
        let before = json!({ "found": acted.found });
        services.record_begun(caller, action, &arguments, &before).await?;
        acted = act_on(services, &change, &parked, status).await?;
        services
            .record(Done {
                by: caller.clone(),
                action,
                arguments,
                effect: json!({
                    "before": before, "after": { "changed": acted.changed }, "batches": numbers(&acted.batches),
                }),
            })
            .await?;
    }
    Ok(ActedByStatus {
        migration: None,
        dry_run: change.is_dry_run,
        status,
        found: acted.found,
        changed: acted.changed,
        batches: numbers(&acted.batches),
        is_complete: acted.is_complete,
        message: if change.is_dry_run {
            "Nothing was changed."
        } else {
            status.what_is_done()
        },
    })
}

async fn act_on(
    services: &Services,
    change: &Change,
    parked: &BatchFilter,
    status: Status,
) -> Result<Acted, Problem> {
    match status {
        Status::Processing => take(services, change).await,
        Status::Failed | Status::Parked => try_again(services, change, parked, status).await,
    }
}

/// Which hours are meant, as far as that can be said of the status.
fn read_rest(fields: &Fields, status: Status) -> Result<BatchFilter, Problem> {
    fields.only(&["filters", "from", "to", "dryRun", "reason"])?;
    let filter = parked_in(fields)?;
    let has_range = filter.from.is_some() || filter.to.is_some();
    if has_range && !matches!(status, Status::Failed | Status::Parked) {
        let field = if filter.from.is_some() { "from" } else { "to" };
        let detail = format!(
            "`{field}` can't be given with `{FIELD}` {:?}: what is due is done wherever it lies.",
            status.as_str()
        );
        return Err(Problem::invalid(field, detail));
    }
    Ok(filter)
}

async fn take(services: &Services, change: &Change) -> Result<Acted, Problem> {
    let ledger = services.ledger().await?;
    let found = ledger.due_work().await?.dead_workers;
    if change.is_dry_run {
        return Ok(Acted {
            found,
            batches: ledger.dead_batches(BATCHES_PER_REQUEST_MAX).await?,
            is_complete: found == 0,
            ..Acted::default()
        });
    }
    let batches = take_back(services, Round::until_nothing_is_left()).await?;
    Ok(Acted {
        found,
        changed: batches.len() as u64,
        batches,
        is_complete: ledger.due_work().await?.dead_workers == 0,
    })
}

/// Failed batches that have an attempt left are meant only where no hours are named: what is due is due everywhere.
async fn try_again(
    services: &Services,
    change: &Change,
    parked: &BatchFilter,
    status: Status,
) -> Result<Acted, Problem> {
    let ledger = services.ledger().await?;
    let is_everywhere = parked.from.is_none() && parked.to.is_none();
    let (mut found, mut changed, mut left) = (0, 0, 0);
    if status == Status::Failed && is_everywhere {
        found = ledger.due_work().await?.failed_due;
        if !change.is_dry_run {
            changed = round::retry(services, Retryable::Due, Round::until_nothing_is_left()).await?;
            left = ledger.due_work().await?.failed_due;
        }
    }
    let retried = retry(ledger, change, parked, BATCHES_PER_REQUEST_MAX).await?;
    found += retried.found.len() as u64;
    changed += retried.retried;
    let is_done = left == 0 && !retried.has_more;
    Ok(Acted {
        found,
        changed,
        batches: retried.found,
        is_complete: if change.is_dry_run { found == 0 } else { is_done },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Option<Status>, Problem> {
        Status::read(&Fields::of_json(json.as_bytes()).unwrap())
    }

    #[test]
    fn only_a_status_in_the_filters_means_batches_on_record() {
        assert_eq!(read("").unwrap(), None);
        assert_eq!(read(r#"{"filters":{"status":"pending"}}"#).unwrap(), None);
        assert_eq!(read(r#"{"filters":{"customer":"acme"}}"#).unwrap(), None);
        assert_eq!(read(r#"{"filters":[]}"#).unwrap(), None);
        assert_eq!(
            read(r#"{"filters":{"status":"parked"}}"#).unwrap(),
            Some(Status::Parked)
        );
    }

    #[test]
    fn what_a_status_cannot_mean_is_refused_with_the_route_that_can() {
        for (json, word) in [
            (r#"{"filters":{"status":"success"}}"#, "archived"),
            (r#"{"filters":{"status":"cancelled"}}"#, "released"),
            (r#"{"filters":{"status":"lost"}}"#, "pending, processing"),
            (r#"{"filters":{"status":7}}"#, "pending, processing"),
            (r#"{"filters":{"status":"failed","customer":"acme"}}"#, "customer"),
            (
                r#"{"filters":{"status":"pending","customer":"acme"}}"#,
                "customer",
            ),
        ] {
            let problem = read(json).unwrap_err();
            assert_eq!(problem.field(), Some(FIELD), "{json}");
            assert!(problem.detail().contains(word), "{}", problem.detail());
        }
    }

    #[test]
    fn hours_are_for_what_a_person_has_to_send_again() {
        let rest = |json: &str, status| read_rest(&Fields::of_json(json.as_bytes()).unwrap(), status);
        let hours = r#"{"from":"2026-11-22T06:00:00Z"}"#;
        assert!(rest(hours, Status::Parked).unwrap().from.is_some());
        assert_eq!(rest(hours, Status::Processing).unwrap_err().field(), Some("from"));
        assert_eq!(
            rest(r#"{"batchSize":5}"#, Status::Parked).unwrap_err().field(),
            Some("batchSize")
        );
    }
}
