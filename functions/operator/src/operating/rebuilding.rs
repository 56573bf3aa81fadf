//! `POST /ledger/rebuild`: a lost ledger is made from the archive.
//!
//! A long job. It is refused here, and again at each of its steps, while harvest or export may work beside it, and where the
//! ledger was in use. A dry run is never refused: its report says what would refuse it.

use crate::operating::operations::{self, LongAnswer, Wish};
use crate::services::Services;
use crate::web::caller::Caller;
use crate::web::change::{Change, ChangeBody};
use crate::web::fields::BodyFields;
use crate::web::problem::{Kind, Problem};
use axum::Extension;
use axum::extract::State;
use granary_ledger::integrity::RebuildObstacle;
use granary_verify::RebuildArguments;
use std::sync::Arc;

/// Rebuild a lost ledger from the archive
///
/// Each batch whose manifest and object agree goes on record as completed, with the messages of its object. The ledger must be
/// empty, with a migrated schema, and harvest and export must be paused. Its result: `batches`, `messages`, `exceptions`,
/// `from`, `to`, `leftOut`, `contradicting`, `contradictions`, `older` and `withoutBatch`. Settings, accepted exceptions, sealed
/// hours and the audit are not in the archive. It needs a reason.
#[utoipa::path(post, path = "/ledger/rebuild", request_body = ChangeBody)]
pub(crate) async fn start(
    State(services): State<Arc<Services>>,
    Extension(caller): Extension<Caller>,
    BodyFields(fields): BodyFields,
) -> Result<LongAnswer, Problem> {
    fields.only(&["dryRun", "reason"])?;
    let change = Change::read(&fields)?;
    change.require_reason("why the ledger is rebuilt")?;
    if !change.is_dry_run
        && let Some(obstacle) = services.ledger().await?.rebuild_obstacle().await?
    {
        return Err(refusal(obstacle));
    }
    let arguments = RebuildArguments {
        dry_run: change.is_dry_run,
        batch_size: services.harvest().await?.batch_size,
        reason: change.reason().map(str::to_owned),
        requested_by: caller.to_string(),
    };
    operations::ask(&services, &caller, Wish::Rebuild(arguments), None).await
}

fn refusal(obstacle: RebuildObstacle) -> Problem {
    let remedy = match obstacle {
        RebuildObstacle::HarvestRuns | RebuildObstacle::ExportRuns => {
            "Pause both stages (granary pause harvest, granary pause export), and resume them after the rebuild."
        }
        RebuildObstacle::NotEmpty => {
            "A ledger that was restored from a backup needs no rebuild: see Restore in the runbook. Else use a new database, \
             and migrate its schema (granary schema migrate)."
        }
    };
    Problem::new(
        Kind::NotPossible,
        format!("The ledger can't be rebuilt now: {obstacle}."),
    )
    .remedy(remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_to_do_first() {
        for (obstacle, remedy) in [
            (RebuildObstacle::HarvestRuns, "granary pause harvest"),
            (RebuildObstacle::ExportRuns, "granary pause export"),
            (RebuildObstacle::NotEmpty, "a new database"),
        ] {
            let said = format!("{:?}", refusal(obstacle));
            assert!(said.contains(remedy), "{said}");
        }
    }
}
