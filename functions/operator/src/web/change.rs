//! What all changes have in common: they can be foretold, and whoever wants them may say why.

use crate::web::fields::Fields;
use crate::web::problem::Problem;
use serde_json::Value;
use utoipa::ToSchema;

const REASON_CHARS_MAX: usize = 500;

/// Why something is asked for.
#[derive(ToSchema)]
#[expect(dead_code, reason = "what `reason` reads, for the document")]
pub(crate) struct ReasonBody {
    /// Why, for the audit.
    #[schema(max_length = 500, examples("the index is rebuilt"))]
    reason: Option<String>,
}

/// How a change is asked for.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "what `Change::read` takes, for the document")]
pub(crate) struct ChangeBody {
    /// Only say what it would do.
    #[schema(default = false)]
    dry_run: Option<bool>,
    /// Why, for the audit.
    #[schema(max_length = 500, examples("the index is rebuilt"))]
    reason: Option<String>,
}

/// How a change is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    /// Only say what it would do.
    pub(crate) is_dry_run: bool,
    reason: Option<String>,
}

impl Change {
    /// Reads `dryRun` and `reason`.
    pub(crate) fn read(fields: &Fields) -> Result<Self, Problem> {
        Ok(Self {
            is_dry_run: fields.switch("dryRun")?,
            reason: reason(fields)?.map(str::to_owned),
        })
    }

    /// The same, only foretold.
    pub(crate) fn foretold(&self) -> Self {
        Self {
            is_dry_run: true,
            ..self.clone()
        }
    }

    /// Why, where somebody said so.
    pub(crate) fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// Refuses a change without a reason, unless it is a dry run. `why` says what the reason is about.
    pub(crate) fn require_reason(&self, why: &str) -> Result<(), Problem> {
        if self.reason.is_some() || self.is_dry_run {
            return Ok(());
        }
        let detail = format!("`reason` is missing: {why}, for the audit.");
        Err(Problem::invalid("reason", detail))
    }

    /// The arguments for the audit, an object, with the reason where one was given.
    pub(crate) fn with_reason(&self, mut arguments: Value) -> Value {
        if let Some(reason) = &self.reason {
            arguments["reason"] = reason.as_str().into();
        }
        arguments
    }
}

/// Reads `reason`; an empty one is none.
pub(crate) fn reason(fields: &Fields) -> Result<Option<&str>, Problem> {
    let reason = fields
        .text("reason")?
        .map(str::trim)
        .filter(|text| !text.is_empty());
    match reason {
        Some(reason) if reason.chars().count() > REASON_CHARS_MAX => Err(Problem::invalid(
            "reason",
            format!("`reason` is longer than {REASON_CHARS_MAX} characters."),
        )),
        reason => Ok(reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(json: &str) -> Result<Change, Problem> {
        Change::read(&Fields::of_json(json.as_bytes()).unwrap())
    }

    #[test]
    fn a_reason_goes_to_the_audit_and_an_empty_one_is_none() {
        let change = read(r#"{"reason":" the index is rebuilt "}"#).unwrap();
        assert_eq!(
            change.with_reason(json!({"queue": "batches"})),
            json!({"queue": "batches", "reason": "the index is rebuilt"})
        );
        assert_eq!(
            read(r#"{"reason":" "}"#).unwrap().with_reason(json!({})),
            json!({})
        );
        let long = format!(r#"{{"reason":"{}"}}"#, "x".repeat(501));
        assert_eq!(read(&long).unwrap_err().field(), Some("reason"));
    }
}
