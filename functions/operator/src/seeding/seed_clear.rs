//! `DELETE /seed/clear` and its POST twin: all test data goes, with what became of it.

use crate::operating::operations::{self, OperationAnswer, Wish};
use crate::seeding::seed::{SeedStatistics, statistics};
use crate::seeding::seeder::seeding_section;
use crate::services::Services;
use crate::web::answer::Answer;
use crate::web::caller::Caller;
use crate::web::change::{Change, ChangeBody, ReasonBody};
use crate::web::fields::{BodyFields, Fields};
use crate::web::problem::{Kind, Problem};
use axum::Extension;
use axum::extract::State;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

const CONFIRMATION: &str = "yes-clear-all-data";

/// That all test data is really to go.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "what `refuse_unless_confirmed` takes, for the document")]
pub(crate) struct SeedClearBody {
    /// `yes-clear-all-data`; it may be left out of a dry run alone.
    #[schema(examples("yes-clear-all-data"))]
    confirm: Option<String>,
    #[serde(flatten)]
    change: ChangeBody,
}

/// The same, where `dryRun` is in the query.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "what `refuse_unless_confirmed` takes, for the document")]
pub(crate) struct SeedClearByDelete {
    /// `yes-clear-all-data`; it may be left out of a dry run alone.
    #[schema(examples("yes-clear-all-data"))]
    confirm: Option<String>,
    #[serde(flatten)]
    reason: ReasonBody,
}

/// What clearing would delete.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ClearForetold {
    /// It was only foretold: nothing was deleted.
    dry_run: bool,
    #[serde(flatten)]
    statistics: SeedStatistics,
    /// What that means, for people.
    message: &'static str,
}

/// A clearing that was foretold, or has come to its end.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum Cleared {
    /// What it would delete.
    Foretold(ClearForetold),
    /// What it deleted.
    Cleared(Box<OperationAnswer>),
}

/// Delete all test data
///
/// Every test message goes, with what became of it, and every made-up job. A dry run is asked for in the query.
#[utoipa::path(delete, path = "/seed/clear", request_body = SeedClearByDelete)]
pub(crate) async fn clear(
    State(services): State<Arc<Services>>,
    Extension(caller): Extension<Caller>,
    BodyFields(fields): BodyFields,
) -> Result<Answer<Cleared, OperationAnswer>, Problem> {
    fields.only(&["confirm", "dryRun", "reason"])?;
    fields.text("confirm")?;
    seeding_section(&services)?;
    let change = Change::read(&fields)?;
    if change.is_dry_run {
        return Ok(Answer::ok(Cleared::Foretold(ClearForetold {
            dry_run: true,
            statistics: statistics(&services).await?,
            message: "Nothing was deleted. A batch that holds other messages too stays as it is.",
        })));
    }
    refuse_unless_confirmed(&fields)?;
    let told = operations::begin(&services, &caller, Wish::Clear, change.reason()).await?;
    Ok(told.answer(|operation| Cleared::Cleared(Box::new(operation))))
}

/// Delete all test data, by POST
///
/// The same as `DELETE /seed/clear`, for clients and proxies that drop the body of a DELETE.
#[utoipa::path(post, path = "/seed/clear", request_body = SeedClearBody)]
pub(crate) async fn clear_by_post(
    services: State<Arc<Services>>,
    caller: Extension<Caller>,
    body: BodyFields,
) -> Result<Answer<Cleared, OperationAnswer>, Problem> {
    clear(services, caller, body).await
}

fn refuse_unless_confirmed(fields: &Fields) -> Result<(), Problem> {
    if fields.value("confirm").is_some_and(|given| given == CONFIRMATION) {
        return Ok(());
    }
    let detail = format!(
        "Clearing deletes every test message with what became of it. The body must be {{\"confirm\":\"{CONFIRMATION}\"}}."
    );
    Err(Problem::new(Kind::NotConfirmed, detail).with("field", "confirm".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clearing_wants_its_words_exactly() {
        let confirmed =
            |json: &str| refuse_unless_confirmed(&Fields::of_json(json.as_bytes()).unwrap()).is_ok();
        assert!(confirmed(r#"{"confirm":"yes-clear-all-data"}"#));
        for json in [
            "",
            r#"{"confirm":true}"#,
            r#"{"confirm":"yes"}"#,
            r#"{"confirm":"YES-CLEAR-ALL-DATA"}"#,
        ] {
            assert!(!confirmed(json), "{json}");
        }
    }
}
