//! The names of a batch's status that clients of this API know. The ledger has names of its own for some of them.

use crate::web::fields::Fields;
use crate::web::problem::Problem;
use granary_domain::BatchStatus;
use granary_ledger::reports::Parked;

/// What a status is called here.
pub(crate) fn name_of(status: BatchStatus) -> &'static str {
    match status {
        BatchStatus::Pending => "pending",
        BatchStatus::InProgress => "processing",
        BatchStatus::Completed => "success",
        BatchStatus::Failed => "failed",
        BatchStatus::Cancelled => "cancelled",
    }
}

/// A status that is asked for by name. *parked* is failed without an attempt left.
pub(crate) fn read_status(fields: &Fields, field: &str) -> Result<Option<(BatchStatus, Parked)>, Problem> {
    let Some(text) = fields.text(field)? else {
        return Ok(None);
    };
    if text == "parked" {
        return Ok(Some((BatchStatus::Failed, Parked::Only)));
    }
    match BatchStatus::ALL
        .into_iter()
        .find(|status| name_of(*status) == text)
    {
        Some(status) => Ok(Some((status, Parked::OrNot))),
        None => Err(unknown(field, text)),
    }
}

/// Says which names there are.
fn unknown(field: &str, text: &str) -> Problem {
    let names: Vec<&str> = BatchStatus::ALL.into_iter().map(name_of).collect();
    let names = names.join(", ");
    Problem::invalid(
        field,
        format!("`{field}` is {text:?}; it must be one of: {names}, parked."),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_is_found_under_the_name_that_it_is_shown_by() {
        for status in BatchStatus::ALL {
            let fields = Fields::of_json(format!(r#"{{"status":"{}"}}"#, name_of(status)).as_bytes());
            let read = read_status(&fields.unwrap(), "status").unwrap();
            assert_eq!(read, Some((status, Parked::OrNot)));
        }
    }

    #[test]
    fn parked_is_failed_without_an_attempt_left_and_nonsense_is_refused_with_the_names() {
        let read = |json: &str| read_status(&Fields::of_json(json.as_bytes()).unwrap(), "status");
        assert_eq!(
            read(r#"{"status":"parked"}"#).unwrap(),
            Some((BatchStatus::Failed, Parked::Only))
        );
        assert_eq!(read("").unwrap(), None);
        let problem = read(r#"{"status":"completed"}"#).unwrap_err();
        assert_eq!(problem.field(), Some("status"));
        assert!(
            problem.detail().contains("success, failed, cancelled, parked"),
            "{}",
            problem.detail()
        );
    }
}
