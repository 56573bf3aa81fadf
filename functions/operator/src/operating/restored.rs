//! `POST /sweep/confirm-restored`: an operator knows that the ledger was restored from a backup or emptied.
//!
//! Until then nothing is swept. Numbering needs no confirmation: it continues above whatever was ever given out.

use crate::services::{Done, Services};
use crate::web::answer::Answer;
use crate::web::caller::Caller;
use crate::web::change::{Change, ChangeBody};
use crate::web::fields::BodyFields;
use crate::web::problem::Problem;
use axum::Extension;
use axum::extract::State;
use granary_ledger::db::RestoredLedger;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;
use std::sync::Arc;
use utoipa::ToSchema;

/// That the ledger was restored, and nobody has confirmed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ShownRestored {
    /// When it was noticed.
    noticed_at: Timestamp,
    /// What was noticed, for people.
    text: String,
}

/// What came of a confirmation.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Confirmed {
    /// Whether it was only foretold: then nothing was changed.
    dry_run: bool,
    /// What was confirmed; `null`: the ledger isn't a restored one, or somebody confirmed it before.
    restored: Option<ShownRestored>,
}

impl From<RestoredLedger> for ShownRestored {
    fn from(restored: RestoredLedger) -> Self {
        Self {
            noticed_at: restored.noticed_at,
            text: restored.text,
        }
    }
}

/// Confirm that the ledger was restored
///
/// Sweeps go on from then on. Verify, and adopt what the ledger lost, before: what fails the sweep's proof stays either way.
#[utoipa::path(post, path = "/sweep/confirm-restored", request_body = ChangeBody)]
pub(crate) async fn confirm(
    State(services): State<Arc<Services>>,
    Extension(caller): Extension<Caller>,
    BodyFields(fields): BodyFields,
) -> Result<Answer<Confirmed>, Problem> {
    fields.only(&["dryRun", "reason"])?;
    let change = Change::read(&fields)?;
    change.require_reason("from which backup the ledger was restored")?;
    let ledger = services.ledger().await?;
    let restored = ledger.restored().await?.map(ShownRestored::from);
    if !change.is_dry_run && restored.is_some() {
        services
            .record(Done {
                by: caller.clone(),
                action: "sweep.confirm_restored",
                arguments: change.with_reason(json!({})),
                effect: json!({ "restored": restored }),
            })
            .await?;
        ledger.confirm_restored().await?;
    }
    Ok(Answer::ok(Confirmed {
        dry_run: change.is_dry_run,
        restored,
    }))
}
