//! An alert as people and machines read it: subject, text and JSON.
//!
//! Pure. Not responsible for sending it (`publisher.rs`).

use granary_domain::{
    Severity, alert_command, alert_headline, alert_remedy, alert_severity, cause_label, resolved_kind,
};
use jiff::Timestamp;
use serde_json::json;

/// SNS takes subjects of less than 100 characters.
const SUBJECT_CHARS_MAX: usize = 99;
/// Of a subject; the whole name is in the text. More would leave no room for what happened.
const SOURCE_CHARS_MAX: usize = 32;
/// What happened, in the text. SNS takes 256 KiB for all forms together; the rest is in the ledger.
const LINES_BYTES_MAX: usize = 16 * 1_024;
/// The alert that no row of the ledger has: one lasts at most, whichever process sends it.
const LEDGER_LOGIN: &str = "ledger_login";

/// Which deployment sends alerts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    /// `local`, `staging` or `production`.
    pub environment: &'static str,
    /// The source's name.
    pub source: String,
    /// Where the operator serves dashboard and runbook, without a slash at the end. `None`: messages have no links.
    pub api_url: Option<String>,
}

/// What happened: one alert of the ledger, or several of one kind and cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// The number of its row in the ledger: the same number twice is the same alert.
    pub number: u64,
    /// The number of the alert that this one resolves.
    pub resolves: Option<u64>,
    /// `parked`, `failure_rate`, `failure_rate_over`, …
    pub kind: String,
    /// `spool`, `source_unavailable`, …
    pub cause: String,
    /// How often it happened so far.
    pub count: u64,
    /// When it happened first.
    pub since: Timestamp,
    /// What happened, a line each, without a message's content or a secret. There may be fewer than `count`.
    pub lines: Vec<String>,
}

/// An alert in the forms that SNS delivers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The alert's number.
    pub number: u64,
    /// The alert's kind.
    pub kind: String,
    /// How urgent it is.
    pub severity: Severity,
    /// One line of at most 99 characters of ASCII.
    pub subject: String,
    /// For mail and chat.
    pub text: String,
    /// For machines: its shape is in `docs/operations.md`.
    pub json: String,
}

impl Sender {
    /// The alert as this deployment sends it.
    pub fn message(&self, alert: &Alert) -> Message {
        let severity = alert_severity(&alert.kind, &alert.cause);
        let summary = summary_of(alert);
        let environment = self.environment.to_uppercase();
        let source: String = self.source.chars().take(SOURCE_CHARS_MAX).collect();
        let text = self.text(alert, severity, &summary);
        Message {
            number: alert.number,
            kind: alert.kind.clone(),
            severity,
            subject: one_line(&format!("[{environment} {source}] {summary}")),
            json: self.json(alert, (severity, &summary), &text),
            text,
        }
    }

    fn text(&self, alert: &Alert, severity: Severity, summary: &str) -> String {
        let mut text = vec![
            format!("{}: {summary}", severity.as_str().to_uppercase()),
            format!(
                "Since {:.0}, {} in {}. Count: {}",
                alert.since, self.source, self.environment, alert.count
            ),
            String::new(),
        ];
        let lines: Vec<String> = alert.lines.iter().map(|line| format!("- {line}")).collect();
        text.push(cut(&lines.join("\n")));
        text.push(String::new());
        text.push(format!("What to do: {}", alert_remedy(&alert.kind, &alert.cause)));
        text.push(format!(
            "Next command: {}",
            alert_command(&alert.kind, &alert.cause)
        ));
        if let Some((dashboard, runbook)) = self.links(alert) {
            text.push(format!("Dashboard: {dashboard}"));
            text.push(format!("Runbook: {runbook}"));
        }
        text.push(String::new());
        text.push(format!(
            "Alert {} of Granary ({}). The same number twice is the same alert.",
            alert.number, alert.kind
        ));
        text.join("\n")
    }

    fn json(&self, alert: &Alert, (severity, summary): (Severity, &str), text: &str) -> String {
        let links = self.links(alert);
        let event = match (&alert.resolves, alert.kind.as_str()) {
            (Some(_), _) => "resolved",
            (None, "test") => "test",
            (None, _) => "triggered",
        };
        let dedup = match resolved_kind(&alert.kind).unwrap_or(&alert.kind) {
            LEDGER_LOGIN => LEDGER_LOGIN.to_owned(),
            _ => alert.resolves.unwrap_or(alert.number).to_string(),
        };
        json!({
            "version": 1,
            "event": event,
            "dedupKey": format!("granary/{}/{}/{dedup}", self.environment, self.source),
            "severity": severity.as_str(),
            "environment": self.environment,
            "source": self.source,
            "number": alert.number,
            "kind": alert.kind,
            "cause": alert.cause,
            "summary": summary,
            "since": alert.since,
            "count": alert.count,
            "details": alert.lines,
            "remedy": alert_remedy(&alert.kind, &alert.cause),
            "nextCommand": alert_command(&alert.kind, &alert.cause),
            "links": links.map(|(dashboard, runbook)| json!({ "dashboard": dashboard, "runbook": runbook })),
            "text": text,
        })
        .to_string()
    }

    /// The pages of dashboard and runbook about this alert.
    fn links(&self, alert: &Alert) -> Option<(String, String)> {
        let api = self.api_url.as_deref()?;
        let Alert { kind, cause, .. } = alert;
        let page = match resolved_kind(kind).unwrap_or(kind) {
            "parked" | "deferred" | "exceptions" => format!("failures?cause={cause}"),
            _ => "alerts".to_owned(),
        };
        Some((
            format!("{api}/dashboard/#/{page}"),
            format!("{api}/runbook#alert-{kind}"),
        ))
    }
}

/// What happened, in a line: `3 batches parked: temp directory full`.
fn summary_of(alert: &Alert) -> String {
    let (kind, count) = (alert.kind.as_str(), alert.count);
    let batches = if count == 1 { "batch" } else { "batches" };
    let what = match kind {
        "parked" => format!("{count} {batches} parked"),
        "exceptions" => format!("{count} {batches} completed without some messages"),
        _ if alert.resolves.is_some() => {
            format!(
                "Resolved: {}",
                alert_headline(resolved_kind(kind).unwrap_or(kind))
            )
        }
        _ if count > 1 => format!("{} ({count} times)", alert_headline(kind)),
        _ => alert_headline(kind).to_owned(),
    };
    let is_its_own_cause = alert.cause.is_empty() || resolved_kind(kind).unwrap_or(kind) == alert.cause;
    if is_its_own_cause {
        what
    } else {
        format!("{what}: {}", cause_label(&alert.cause))
    }
}

fn cut(text: &str) -> String {
    let end = text.floor_char_boundary(LINES_BYTES_MAX);
    let cut = if end < text.len() { "…" } else { "" };
    format!("{}{cut}", &text[..end])
}

/// A subject that SNS takes whatever was written: an alert isn't lost for a dash. SNS wants a letter, a digit or
/// punctuation first, no line break, and ASCII.
fn one_line(subject: &str) -> String {
    let ascii = |char: char| match char {
        ' '..='~' => char,
        char if char.is_whitespace() || char.is_control() => ' ',
        '–' | '—' => '-',
        '“' | '”' | '„' => '"',
        '‘' | '’' => '\'',
        _ => '?',
    };
    let line: String = subject
        .trim()
        .chars()
        .map(ascii)
        .take(SUBJECT_CHARS_MAX)
        .collect();
    line.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use granary_domain::{ALERT_HEADLINES, Cause, Stall};
    use serde_json::Value;
    use std::collections::BTreeSet;

    fn sender() -> Sender {
        Sender {
            environment: "production",
            source: "messages".to_owned(),
            api_url: Some("https://granary.example.com".to_owned()),
        }
    }

    fn alert(kind: &str, cause: &str) -> Alert {
        Alert {
            number: 42,
            resolves: resolved_kind(kind).map(|_| 41),
            kind: kind.to_owned(),
            cause: cause.to_owned(),
            count: 1,
            since: "2026-11-22T10:00:00.5Z".parse().unwrap(),
            lines: vec!["[42] what the function wrote".to_owned()],
        }
    }

    #[test]
    fn a_storm_fits_a_pager() {
        let storm = Alert {
            count: 3,
            ..alert("parked", "spool")
        };
        let message = sender().message(&storm);
        insta::assert_snapshot!(message.subject, @"[PRODUCTION messages] 3 batches parked: temp directory full");
        insta::assert_snapshot!("parked_text", message.text);
        let json: Value = serde_json::from_str(&message.json).unwrap();
        insta::assert_snapshot!("parked_json", serde_json::to_string_pretty(&json).unwrap());
    }

    /// Each kind, with the causes that change its text.
    fn every() -> Vec<(&'static str, &'static str)> {
        let parked = Cause::NAMES.iter().map(|cause| ("parked", *cause));
        let deferred = Cause::NAMES.iter().map(|cause| ("deferred", *cause));
        let stalled = Stall::NAMES.iter().map(|cause| ("export_stalled", *cause));
        let with_causes = parked.chain(deferred).chain(stalled);
        let problems = ["refused", "left_out", "reported"].map(|cause| ("source_problem", cause));
        let exceptions = ["missing", "quarantined"].map(|cause| ("exceptions", cause));
        let mut every: Vec<_> = with_causes.chain(problems).chain(exceptions).collect();
        every.push(("invariant", "parked_is_told"));
        every.push(("ledger_login", ""));
        every.push(("ledger_login_over", ""));
        let covered: BTreeSet<&str> = every.iter().map(|(kind, _)| *kind).collect();
        let kinds = ALERT_HEADLINES.iter().map(|(kind, _)| *kind);
        let rest = kinds.filter(|kind| !covered.contains(kind));
        every.extend(rest.map(|kind| (kind, resolved_kind(kind).unwrap_or(kind))));
        every
    }

    #[test]
    fn every_text_is_a_snapshot() {
        let texts: Vec<String> = every()
            .into_iter()
            .map(|(kind, cause)| {
                let message = sender().message(&alert(kind, cause));
                format!("Subject: {}\n\n{}", message.subject, message.text)
            })
            .collect();
        insta::assert_snapshot!("every_text", texts.join("\n\n========\n\n"));
    }

    #[test]
    fn what_resolves_an_alert_has_its_key() {
        let key = |alert: &Alert| {
            let json: Value = serde_json::from_str(&sender().message(alert).json).unwrap();
            (json["dedupKey"].clone(), json["event"].clone())
        };
        let begun = Alert {
            number: 41,
            ..alert("deferred", "source_unavailable")
        };
        let over = alert("deferred_over", "source_unavailable");
        assert_eq!(key(&begun).0, key(&over).0);
        assert_eq!(
            (key(&begun).1, key(&over).1),
            (json!("triggered"), json!("resolved"))
        );
    }

    #[test]
    fn without_an_api_a_message_has_no_links() {
        let nowhere = Sender {
            api_url: None,
            ..sender()
        };
        let message = nowhere.message(&alert("parked", "spool"));
        assert!(!message.text.contains("https://"), "{}", message.text);
        assert!(message.json.contains(r#""links":null"#), "{}", message.json);
    }

    #[test]
    fn a_subject_is_one_line_of_ascii_that_sns_takes() {
        assert_eq!(
            one_line("3 batches parked – “mapping”\nsee below"),
            "3 batches parked - \"mapping\" see below"
        );
        assert_eq!(one_line(&"ü".repeat(300)), "?".repeat(99));
    }

    #[test]
    fn a_text_that_is_too_long_loses_what_happened_and_keeps_what_to_do() {
        let long = Alert {
            lines: vec!["ü".repeat(1_000); 20],
            ..alert("unproven_object", "unproven_object")
        };
        let message = sender().message(&long);
        assert!(message.text.len() < 18_000, "{}", message.text.len());
        let rest: Vec<&str> = message.text.rsplit("ü…\n").take(1).collect();
        for part in ["What to do: ", "Next command: ", "Runbook: ", "Alert 42 "] {
            assert!(rest[0].contains(part), "{part} in {}", rest[0]);
        }
    }

    #[test]
    fn a_long_name_of_a_source_leaves_room_for_what_happened() {
        let long = Sender {
            source: "m".repeat(63),
            ..sender()
        };
        let subject = long.message(&alert("parked", "spool")).subject;
        assert!(
            subject.ends_with("] 1 batch parked: temp directory full"),
            "{subject}"
        );
    }

    #[test]
    fn every_process_sends_a_refused_login_of_the_ledger_with_one_key() {
        let key = |kind, number| {
            let alert = Alert {
                number,
                ..alert(kind, "")
            };
            let json: Value = serde_json::from_str(&sender().message(&alert).json).unwrap();
            json["dedupKey"].clone()
        };
        assert_eq!(
            key("ledger_login", 1_790_000_000),
            "granary/production/messages/ledger_login"
        );
        assert_eq!(key("ledger_login_over", 7), key("ledger_login", 9));
    }
}
