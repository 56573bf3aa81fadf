//! `granary failures`: what fails, by cause, with what to do; `granary failures retry` once it is done.

use super::{Session, retrying};
use crate::cli::{Failures, FailuresCommand};
use crate::ending::Ending;
use crate::progress::say;
use crate::sheet::{Cell, Field, Format, Kind, Sheet, counted, items};
use crate::show::{Tone, number, text, toned};
use crate::wish::Wish;
use serde_json::Value;

const SAMPLES_SHOWN_MAX: usize = 3;
/// For pipes: a row for each cause.
const CAUSES: &[Field] = &[
    Field("CAUSE", "/cause", Kind::Text),
    Field("KIND", "/kind", Kind::State),
    Field("BATCHES", "/batches", Kind::Count),
    Field("MESSAGES", "/messages", Kind::Count),
    Field("PARKED", "/parked/batches", Kind::Count),
    Field("RETRYING", "/retrying/batches", Kind::Count),
    Field("DEFERRED", "/deferred/batches", Kind::Count),
    Field("FIRST SEEN", "/firstSeen", Kind::Time),
    Field("LAST SEEN", "/lastSeen", Kind::Time),
    Field("NEEDS PEOPLE", "/needsPeople", Kind::Text),
    Field("WHAT TO DO", "/remedy", Kind::Text),
];

pub(super) async fn run(session: &Session, options: Failures) -> anyhow::Result<Ending> {
    match options.command {
        None => list(session, options.cause).await,
        Some(FailuresCommand::List { cause }) => list(session, cause).await,
        Some(FailuresCommand::Retry(options)) => retrying::retry(session, &options).await,
    }
}

async fn list(session: &Session, cause: Option<String>) -> anyhow::Result<Ending> {
    let path = Wish::new().with("cause", cause).of_path("/failures");
    let answer = session.api.get(&path).await?;
    if items(&answer["failures"]).is_empty() {
        say("nothing fails");
    }
    let format = session.format;
    session.show(&answer, |answer| match format {
        Format::Plain => Sheet::new().table(items(&answer["failures"]), CAUSES),
        Format::People | Format::Json => told(answer),
    })
}

/// A paragraph for each cause.
fn told(answer: &Value) -> Sheet {
    items(&answer["failures"])
        .iter()
        .fold(Sheet::new(), |sheet, failure| sheet.line(paragraph(failure)))
}

fn paragraph(failure: &Value) -> String {
    let tone = if failure["needsPeople"] == true {
        Tone::Bad
    } else {
        Tone::Doubtful
    };
    let mut lines = vec![format!(
        "{}  {} of {}{}",
        toned(&text(&failure["cause"]), tone),
        counted(number(&failure["messages"]), "message", "messages"),
        counted(number(&failure["batches"]), "batch", "batches"),
        standing(failure)
    )];
    let when = |name: &str| Cell::of(&failure[name], Kind::Time).to_text();
    lines.push(format!(
        "  first seen {}, last {}{}",
        when("firstSeen"),
        when("lastSeen"),
        match failure["nextTry"].as_str() {
            Some(_) => format!(", tried again {}", when("nextTry")),
            None => String::new(),
        }
    ));
    for sample in items(&failure["samples"]).iter().take(SAMPLES_SHOWN_MAX) {
        lines.push(format!(
            "  batch {}: {}",
            number(&sample["batch"]),
            text(&sample["error"])
        ));
    }
    for sample in items(&failure["messageSamples"]).iter().take(SAMPLES_SHOWN_MAX) {
        lines.push(format!(
            "  message {}: {}",
            text(&sample["messageId"]),
            text(&sample["reason"])
        ));
    }
    lines.push(format!("  → {}", text(&failure["remedy"])));
    if number(&failure["parked"]["batches"]) > 0 || failure["kind"] == "exception" {
        lines.push(format!(
            "  → once it is done: granary failures retry --cause {}",
            text(&failure["cause"])
        ));
    }
    lines.join("\n")
}

/// `: 60 parked, 60 retrying`.
fn standing(failure: &Value) -> String {
    let parts: Vec<String> = ["parked", "retrying", "deferred"]
        .into_iter()
        .filter(|name| number(&failure[*name]["batches"]) > 0)
        .map(|name| format!("{} {name}", number(&failure[name]["batches"])))
        .collect();
    if parts.is_empty() {
        String::new()
    } else {
        format!(": {}", parts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_cause_is_told_with_samples_what_to_do_and_the_line_that_retries_it() {
        let answer = json!({"failures": [
            {"cause": "spool", "kind": "failure", "batches": 120, "messages": 120_000, "parked": {"batches": 60, "messages": 60_000},
             "retrying": {"batches": 60, "messages": 60_000}, "deferred": {"batches": 0, "messages": 0},
             "firstSeen": "2026-11-22T10:00:00.123Z", "lastSeen": "2026-11-22T11:00:00Z", "nextTry": "2026-11-22T11:05:00Z",
             "samples": [{"batch": 19_301, "error": "the disk is full"}], "messageSamples": [], "needsPeople": true,
             "remedy": "Give the exporter a larger disk."},
            {"cause": "missing", "kind": "exception", "batches": 1, "messages": 1, "firstSeen": "2026-11-22T10:00:00Z",
             "lastSeen": "2026-11-22T10:00:00Z", "samples": [], "needsPeople": false, "remedy": "Nothing.",
             "messageSamples": [{"messageId": "m-1", "reason": "gone at the source"}]},
        ]});
        insta::assert_snapshot!(told(&answer).render(Format::People), @r"
        spool  120,000 messages of 120 batches: 60 parked, 60 retrying
          first seen 2026-11-22 10:00:00Z, last 2026-11-22 11:00:00Z, tried again 2026-11-22 11:05:00Z
          batch 19301: the disk is full
          → Give the exporter a larger disk.
          → once it is done: granary failures retry --cause spool

        missing  1 message of 1 batch
          first seen 2026-11-22 10:00:00Z, last 2026-11-22 10:00:00Z
          message m-1: gone at the source
          → Nothing.
          → once it is done: granary failures retry --cause missing
        ");
        let plain = Sheet::new().table(items(&answer["failures"]), CAUSES);
        insta::assert_snapshot!(plain.render(Format::Plain).replace('\t', "|"), @r"
        CAUSE|KIND|BATCHES|MESSAGES|PARKED|RETRYING|DEFERRED|FIRST SEEN|LAST SEEN|NEEDS PEOPLE|WHAT TO DO
        spool|failure|120|120000|60|60|0|2026-11-22T10:00:00.123Z|2026-11-22T11:00:00Z|true|Give the exporter a larger disk.
        missing|exception|1|1||||2026-11-22T10:00:00Z|2026-11-22T10:00:00Z|false|Nothing.
        ");
    }
}
