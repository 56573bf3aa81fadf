//! What an alert's kind means to the person who is paged: its severity, a short name of its cause, and the command to run next.
//!
//! A kind that this version doesn't know was written by a newer one. It is a warning.

/// How urgent an alert is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Wake up: something isn't archived, or may be lost, until a person acts.
    Critical,
    /// Look at it within a working day.
    Warning,
    /// Nothing to do.
    Info,
}

impl Severity {
    /// `critical`, `warning` or `info`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }
}

/// The suffix of a kind that resolves another one.
const RESOLVES: &str = "_over";

/// The kind that an alert of this kind resolves, if it resolves one.
pub fn resolved_kind(kind: &str) -> Option<&str> {
    kind.strip_suffix(RESOLVES)
}

/// How urgent an alert of a kind is, for a cause.
pub fn alert_severity(kind: &str, cause: &str) -> Severity {
    match kind {
        "test" => Severity::Info,
        _ if resolved_kind(kind).is_some() => Severity::Info,
        "parked" | "failure_rate" | "export_stalled" | "deferred" | "invariant" | "archive_conflict"
        | "ledger_restored" | "ledger_identity" | "unproven" | "consumers_off" | "ledger_login" => {
            Severity::Critical
        }
        "source_problem" if cause == "refused" => Severity::Critical,
        _ => Severity::Warning,
    }
}

/// A cause as a pager shows it: `temp directory full`, `source unavailable`.
pub fn cause_label(cause: &str) -> String {
    match cause {
        "spool" => "temp directory full".to_owned(),
        "temp_dir" => "temp directory unusable".to_owned(),
        "deadline" => "out of time".to_owned(),
        "source_login" => "source refuses the login".to_owned(),
        other => other.replace('_', " "),
    }
}

/// The command that shows more about an alert of a kind, for a cause.
pub fn alert_command(kind: &str, cause: &str) -> String {
    let kind = resolved_kind(kind).unwrap_or(kind);
    match kind {
        "parked" | "deferred" | "exceptions" => format!("granary failures --cause {cause}"),
        "failure_rate" | "archive_conflict" => "granary failures".to_owned(),
        "unproven" => "granary verify --list".to_owned(),
        "export_stalled" | "source_problem" | "ledger_login" | "ledger_restored" | "ledger_identity"
        | "unreadable_message" => "granary doctor".to_owned(),
        "consumers_off" => "granary queue consumers status".to_owned(),
        "unproven_object" => "granary sweep --list".to_owned(),
        "documents_late" | "documents_without_time" | "documents_in_future" | "documents_too_early" => {
            "granary status".to_owned()
        }
        _ => format!("granary alerts --kind {kind}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_that_resolves_another_is_no_page() {
        assert_eq!(alert_severity("parked", "spool"), Severity::Critical);
        assert_eq!(alert_severity("parked_over", "spool"), Severity::Info);
        assert_eq!(alert_severity("source_problem", "reported"), Severity::Warning);
        assert_eq!(alert_severity("a kind of a newer version", ""), Severity::Warning);
    }

    #[test]
    fn a_cause_reads_like_words() {
        assert_eq!(cause_label("spool"), "temp directory full");
        assert_eq!(cause_label("source_unavailable"), "source unavailable");
    }

    #[test]
    fn the_command_of_a_resolved_alert_is_that_of_its_beginning() {
        assert_eq!(
            alert_command("parked_over", "spool"),
            "granary failures --cause spool"
        );
        assert_eq!(alert_command("invariant", "x"), "granary alerts --kind invariant");
    }
}
