//! `/exceptions`: messages that the source shows, the archive does not hold, and an operator accepts.
//!
//! A verification is INCOMPLETE as long as it finds more of a kind, in an index, than is accepted here. `max` 0 accepts none
//! any more. Who accepted what, and why, is written down before it is changed; where that fails, nothing is changed.

use crate::services::{Done, Services};
use crate::web::answer::Answer;
use crate::web::caller::Caller;
use crate::web::change::Change;
use crate::web::fields::{BodyFields, Fields, QueryFields};
use crate::web::problem::Problem;
use axum::Extension;
use axum::extract::State;
use granary_domain::ExceptionKind;
use granary_ledger::integrity::{Acceptance, AcceptedException};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;
use std::sync::Arc;
use utoipa::ToSchema;

const INDEX_BYTES_MAX: usize = 255;

/// Which exceptions are accepted.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "what `Wish::read` takes, for the document")]
pub(crate) struct AcceptBody {
    /// The kind of exception: `without_id`, `quarantined`, `merged_id` or `left_out`.
    #[schema(examples("without_id"))]
    kind: String,
    /// The concrete index, as the verification names it.
    #[schema(max_length = 255, examples("messages-2026.03"))]
    index: String,
    /// Messages that are accepted at most. 0 accepts none any more.
    #[schema(minimum = 0, examples(3))]
    max: u64,
    /// Only say what would change.
    #[schema(default = false)]
    dry_run: Option<bool>,
    /// Why, for the audit.
    #[schema(max_length = 500, examples("test documents without an id"))]
    reason: String,
}

/// What is accepted.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AcceptedList {
    /// By kind and index.
    exceptions: Vec<ShownAcceptance>,
}

/// Exceptions of a kind, in an index, that an operator accepts.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ShownAcceptance {
    /// The kind of exception: `without_id`, `quarantined`, `merged_id` or `left_out`.
    #[schema(examples("without_id"))]
    kind: &'static str,
    /// The concrete index.
    #[schema(examples("messages-2026.03"))]
    index: String,
    /// Messages that are accepted at most.
    #[schema(examples(3))]
    max: u64,
    /// Why.
    reason: String,
    /// When it was accepted last.
    accepted_at: Timestamp,
    /// Who accepted it: the name of a token.
    #[schema(examples("operator"))]
    accepted_by: String,
}

/// What was changed.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AcceptAnswer {
    /// Whether it was a dry run: then nothing was changed.
    dry_run: bool,
    /// Messages of this kind and index that were accepted before; 0: none.
    before: u64,
    /// Messages that are accepted now; in a dry run, that would be.
    after: u64,
    /// All that is accepted now.
    exceptions: Vec<ShownAcceptance>,
    /// When it takes effect.
    message: &'static str,
}

/// Accepted exceptions
///
/// The messages that an operator accepts as not archived, by kind and index. A verification says how many there are.
#[utoipa::path(get, path = "/exceptions")]
pub(crate) async fn list(
    State(services): State<Arc<Services>>,
    QueryFields(query): QueryFields,
) -> Result<Answer<AcceptedList>, Problem> {
    query.only(&[])?;
    let accepted = services.ledger().await?.accepted_exceptions().await?;
    Ok(Answer::ok(AcceptedList {
        exceptions: accepted.into_iter().map(ShownAcceptance::from).collect(),
    }))
}

/// Accept exceptions
///
/// Verifications are COMPLETE with up to `max` messages of this kind in this index. One more makes them INCOMPLETE again.
#[utoipa::path(post, path = "/exceptions/accept", request_body = AcceptBody)]
pub(crate) async fn accept(
    State(services): State<Arc<Services>>,
    Extension(caller): Extension<Caller>,
    BodyFields(fields): BodyFields,
) -> Result<Answer<AcceptAnswer>, Problem> {
    let wish = Wish::read(&fields)?;
    let ledger = services.ledger().await?;
    let accepted = ledger.accepted_exceptions().await?;
    let before = accepted
        .iter()
        .find(|one| one.kind == wish.kind && one.index == wish.index)
        .map_or(0, |one| one.max);
    if !wish.change.is_dry_run {
        let named = json!({ "kind": wish.kind, "index": wish.index, "max": wish.max });
        services
            .record(Done {
                by: caller.clone(),
                action: "exceptions.accept",
                arguments: wish.change.with_reason(named),
                effect: json!({ "before": before, "after": wish.max }),
            })
            .await?;
        let acceptance = Acceptance {
            kind: wish.kind,
            index: &wish.index,
            max: wish.max,
            reason: wish.change.reason().unwrap_or_default(),
        };
        ledger.accept_exceptions(&acceptance, caller.name()).await?;
    }
    let now = ledger.accepted_exceptions().await?;
    Ok(Answer::ok(AcceptAnswer {
        dry_run: wish.change.is_dry_run,
        before,
        after: wish.max,
        exceptions: now.into_iter().map(ShownAcceptance::from).collect(),
        message: if wish.change.is_dry_run {
            "Nothing was changed."
        } else {
            "It applies to verifications from their next step on."
        },
    }))
}

impl From<AcceptedException> for ShownAcceptance {
    fn from(accepted: AcceptedException) -> Self {
        Self {
            kind: accepted.kind.as_str(),
            index: accepted.index,
            max: accepted.max,
            reason: accepted.reason,
            accepted_at: accepted.accepted_at,
            accepted_by: accepted.accepted_by,
        }
    }
}

/// What is to be accepted.
#[derive(Debug)]
struct Wish {
    kind: ExceptionKind,
    index: String,
    max: u64,
    change: Change,
}

impl Wish {
    fn read(fields: &Fields) -> Result<Self, Problem> {
        fields.only(&["kind", "index", "max", "dryRun", "reason"])?;
        let missing = |name: &str| Problem::invalid(name, format!("`{name}` is missing."));
        let wish = Self {
            kind: fields.parsed("kind")?.ok_or_else(|| missing("kind"))?,
            index: fields.text("index")?.ok_or_else(|| missing("index"))?.to_owned(),
            max: fields
                .number("max", 0..=u64::from(u32::MAX))?
                .ok_or_else(|| missing("max"))?,
            change: Change::read(fields)?,
        };
        let is_concrete =
            (1..=INDEX_BYTES_MAX).contains(&wish.index.len()) && !wish.index.contains(['*', ',', ' ', '(']);
        if !is_concrete {
            let detail =
                "`index` must be one concrete index, as the verification names it: no pattern and no list.";
            return Err(Problem::invalid("index", detail));
        }
        wish.change
            .require_reason("why these messages need not be archived")?;
        Ok(wish)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Wish, Problem> {
        Wish::read(&Fields::of_json(json.as_bytes()).unwrap())
    }

    #[test]
    fn a_concrete_index_and_a_reason_are_needed() {
        let wish = read(r#"{"kind":"merged_id","index":"q-1","max":0,"reason":"no longer"}"#).unwrap();
        assert_eq!((wish.kind, wish.max), (ExceptionKind::MergedId, 0));
        assert!(read(r#"{"kind":"merged_id","index":"q-1","max":2,"dryRun":true}"#).is_ok());
        for (json, field) in [
            (r#"{"index":"q-1","max":1,"reason":"x"}"#, "kind"),
            (r#"{"kind":"merged","index":"q-1","max":1,"reason":"x"}"#, "kind"),
            (r#"{"kind":"merged_id","max":1,"reason":"x"}"#, "index"),
            (
                r#"{"kind":"merged_id","index":"q-*","max":1,"reason":"x"}"#,
                "index",
            ),
            (r#"{"kind":"merged_id","index":"q-1","reason":"x"}"#, "max"),
            (r#"{"kind":"merged_id","index":"q-1","max":1}"#, "reason"),
        ] {
            assert_eq!(read(json).unwrap_err().field(), Some(field), "{json}");
        }
    }
}
