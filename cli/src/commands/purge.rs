//! `granary purge`: the rows of hours that have come to their end, taken out of the ledger.

use super::{Session, confirm, operation};
use crate::cli::Purge;
use crate::ending::Ending;
use crate::progress::Position;
use crate::sheet::{Cell, Field, Format, Kind, Sheet, counted, items};
use crate::show::{bytes, grouped, number, text};
use serde_json::{Value, json};

const REFUSED_SHOWN_MAX: usize = 10;

/// For pipes.
const REPORT: &[Field] = &[
    Field("dry run", "/dryRun", Kind::Text),
    Field("hours", "/hours", Kind::Count),
    Field("messages", "/messages", Kind::Count),
    Field("batches", "/batches", Kind::Count),
    Field("objects", "/objects", Kind::Count),
    Field("bytes stored", "/bytesStored", Kind::Bytes),
    Field("hours refused", "/refusedHours", Kind::Count),
];
const REFUSED: &[Field] = &[
    Field("REFUSED", "/hour", Kind::Time),
    Field("REASONS", "/reasons", Kind::Text),
];

pub(super) async fn run(session: &Session, options: &Purge) -> anyhow::Result<Ending> {
    if options.apply {
        confirm(
            &format!("Take all hours before {} out of the ledger?", options.before),
            options.yes,
        )?;
    }
    let body = json!({
        "before": options.before.to_string(),
        "dryRun": !options.apply,
        "reason": options.reason,
    });
    let first = session.api.post("/purge", &body).await?;
    let position = |progress: &Value| Position {
        done: number(&progress["report"]["rowsRemoved"]),
        total: None,
        note: "messages taken out of the ledger".to_owned(),
    };
    let answer = operation::wait(session, first, ("purging", position)).await?;
    session.show(&answer, |answer| {
        described(&answer["operation"]["result"], session.format)
    })
}

pub(super) fn described(report: &Value, format: Format) -> Sheet {
    match format {
        Format::Plain => plain(report),
        Format::People | Format::Json => Sheet::new().line(told(report)),
    }
}

/// All hours that the API tells.
fn plain(report: &Value) -> Sheet {
    let row = |refused: &Value| {
        vec![
            Cell::of(&refused["hour"], Kind::Time),
            Cell::text(reasons(refused)),
        ]
    };
    let rows = items(&report["refused"]).iter().map(row).collect();
    Sheet::new().values(report, REPORT).rows(REFUSED, rows)
}

fn told(report: &Value) -> String {
    let is_dry = report["dryRun"] == true;
    let (one, many) = if is_dry {
        ("hour would be sealed", "hours would be sealed")
    } else {
        ("hour was sealed", "hours were sealed")
    };
    let mut parts = vec![format!(
        "  {}: {} in {}. The archive keeps {} of {}.",
        counted(number(&report["hours"]), one, many),
        counted(number(&report["messages"]), "message", "messages"),
        counted(number(&report["batches"]), "batch", "batches"),
        counted(number(&report["objects"]), "object", "objects"),
        bytes(number(&report["bytesStored"])),
    )];
    let refused = number(&report["refusedHours"]);
    if refused > 0 {
        let hours = items(&report["refused"]);
        let mut lines = vec![format!(
            "  {} in the ledger:",
            counted(refused, "hour stays", "hours stay")
        )];
        lines.extend(hours.iter().take(REFUSED_SHOWN_MAX).map(line));
        let unshown = refused.saturating_sub(hours.len().min(REFUSED_SHOWN_MAX) as u64);
        if unshown > 0 {
            lines.push(format!("    and {} more", grouped(unshown)));
        }
        parts.push(lines.join("\n"));
    }
    if is_dry && number(&report["hours"]) > 0 {
        parts.push("  Nothing was changed. With --apply it is.".to_owned());
    }
    parts.join("\n\n")
}

fn line(refused: &Value) -> String {
    format!("    {}  {}", text(&refused["hour"]), reasons(refused))
}

fn reasons(refused: &Value) -> String {
    let reasons = items(&refused["reasons"]).iter().filter_map(Value::as_str);
    reasons.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dry_run_says_what_would_be_sealed_and_what_stays_and_why() {
        let report = json!({
            "dryRun": true, "hours": 2, "messages": 100_000, "batches": 100, "objects": 100, "bytesStored": 2_048,
            "refusedHours": 12,
            "refused": [{"hour": "2026-11-01T00:00:00Z", "reasons": ["3 of its batches are parked"]}],
        });
        let told = told(&report);
        for part in [
            "2 hours would be sealed: 100,000 messages in 100 batches. The archive keeps 100 objects of 2.0 KiB.",
            "12 hours stay in the ledger",
            "2026-11-01T00:00:00Z  3 of its batches are parked",
            "and 11 more",
            "With --apply it is.",
        ] {
            assert!(told.contains(part), "{part:?} is not in:\n{told}");
        }
    }

    #[test]
    fn one_of_each_is_no_more_than_one() {
        let report = json!({
            "dryRun": false, "hours": 1, "messages": 1, "batches": 1, "objects": 1, "bytesStored": 2_048, "refusedHours": 1,
            "refused": [{"hour": "2026-11-01T00:00:00Z", "reasons": ["it was never verified"]}],
        });
        assert_eq!(
            told(&report),
            "  1 hour was sealed: 1 message in 1 batch. The archive keeps 1 object of 2.0 KiB.\n\n  \
             1 hour stays in the ledger:\n    2026-11-01T00:00:00Z  it was never verified"
        );
    }
}
