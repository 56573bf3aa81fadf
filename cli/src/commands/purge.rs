//! `granary purge`: the rows of hours that have come to their end, taken out of the ledger.

use super::{Session, confirm, operation};
use crate::cli::Purge;
use crate::ending::Ending;
use crate::progress::Position;
use crate::sheet::Format;
use crate::show::{self, bytes, grouped, number, text};
use serde_json::{Value, json};

const REFUSED_SHOWN_MAX: usize = 10;

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
    match session.format {
        Format::Json => show::print_json(&answer)?,
        Format::People | Format::Plain => show::print(&told(&answer["operation"]["result"]))?,
    }
    Ok(Ending::Done)
}

fn told(report: &Value) -> String {
    let is_dry = report["dryRun"] == true;
    let verb = if is_dry { "would be sealed" } else { "were sealed" };
    let mut parts = vec![format!(
        "  {} hours {verb}: {} messages in {} batches. Their {} objects ({}) stay.",
        grouped(number(&report["hours"])),
        grouped(number(&report["messages"])),
        grouped(number(&report["batches"])),
        grouped(number(&report["objects"])),
        bytes(number(&report["bytesStored"])),
    )];
    let refused = number(&report["refusedHours"]);
    if refused > 0 {
        let hours = report["refused"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        let mut lines = vec![format!("  {} hours stay in the ledger:", grouped(refused))];
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
    let reasons = refused["reasons"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let reasons: Vec<&str> = reasons.iter().filter_map(Value::as_str).collect();
    format!("    {}  {}", text(&refused["hour"]), reasons.join("; "))
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
            "2 hours would be sealed: 100,000 messages in 100 batches",
            "12 hours stay in the ledger",
            "2026-11-01T00:00:00Z  3 of its batches are parked",
            "and 11 more",
            "With --apply it is.",
        ] {
            assert!(told.contains(part), "{part:?} is not in:\n{told}");
        }
    }
}
