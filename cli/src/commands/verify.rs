//! `granary verify`: waiting for the verdict, and telling it.

use super::{Listing, Session, confirm, operation};
use crate::cli::Verify;
use crate::ending::Ending;
use crate::progress::Position;
use crate::sheet::{Field, Format, Kind, Sheet, counted};
use crate::show::{self, Column, Tone, bytes, duration, grouped, number, text, toned};
use serde_json::{Map, Value};
use std::time::Duration;

const FINDINGS_SHOWN_MAX: usize = 10;
const IDS_SHOWN_MAX: usize = 5;

const VERIFICATIONS: Listing = Listing {
    member: "verifications",
    fields: &[
        Field("OPERATION", "/operationId", Kind::Text),
        Field("STATE", "/state", Kind::State),
        Field("VERDICT", "/verdict", Kind::State),
        Field("SOURCE", "/counts/source", Kind::Count),
        Field("LEDGER", "/counts/ledger", Kind::Count),
        Field("ARCHIVE", "/counts/archive", Kind::Count),
        Field("ASKED FOR", "/createdAt", Kind::Time),
        Field("OVER", "/finishedAt", Kind::Time),
        Field("BY", "/requestedBy", Kind::Text),
    ],
    nothing: "nothing was verified so far: granary verify",
};

const PLAIN: &[Field] = &[
    Field("verdict", "/verdict", Kind::State),
    Field("from", "/scope/range/from", Kind::Time),
    Field("to", "/scope/range/to", Kind::Time),
    Field("source", "/counts/source", Kind::Count),
    Field("ledger", "/counts/ledger", Kind::Count),
    Field("archive", "/counts/archive", Kind::Count),
    Field("missing", "/counts/missing", Kind::Count),
    Field("open", "/counts/open", Kind::Count),
    Field("drifted", "/counts/drifted", Kind::Count),
    Field("quarantined", "/counts/quarantined", Kind::Count),
];

pub(super) async fn run(session: &Session, options: &Verify) -> anyhow::Result<Ending> {
    if options.list {
        return session.list("/verify", VERIFICATIONS).await;
    }
    if options.repair && !options.dry_run {
        confirm("Have what is missing harvested and exported again?", options.yes)?;
    }
    let first = session.api.post("/verify", &body_of(options)).await?;
    let answer = operation::wait(session, first, ("verifying", position)).await?;
    let report = &answer["operation"]["result"];
    let verdict = Verdict::of(report)?;
    match session.format {
        Format::Json => show::print_json(&answer)?,
        Format::People => show::print(&told(verdict, report))?,
        Format::Plain => show::print(&Sheet::new().values(report, PLAIN).render(session.format))?,
    }
    Ok(verdict.ending())
}

fn body_of(options: &Verify) -> Value {
    let mut body = Map::new();
    let mut put = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            body.insert(name.to_owned(), value.into());
        }
    };
    put("migrationId", options.migration.map(|id| id.to_string()));
    put("from", options.from.map(|from| from.to_string()));
    put("to", options.to.map(|to| to.to_string()));
    put("reason", options.reason.clone());
    body.insert("quick".to_owned(), options.quick.into());
    if options.content {
        body.insert("content".to_owned(), true.into());
    }
    if options.archive_only {
        body.insert("archiveOnly".to_owned(), true.into());
    }
    if options.repair {
        body.insert("repair".to_owned(), true.into());
        body.insert("dryRun".to_owned(), options.dry_run.into());
    }
    Value::Object(body)
}

fn position(progress: &Value) -> Position {
    let account = &progress["account"];
    Position {
        done: number(&progress["percent"]),
        total: Some(100),
        note: format!(
            "{} in {} compared",
            counted(number(&account["counts"]["source"]), "message", "messages"),
            counted(number(&account["hours"]), "hour", "hours")
        ),
    }
}

/// What a verification comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Complete,
    Consistent,
    Incomplete,
    Inconsistent,
    Pending,
    Drifted,
}

impl Verdict {
    fn of(report: &Value) -> anyhow::Result<Self> {
        Ok(match report["verdict"].as_str() {
            Some("COMPLETE") => Self::Complete,
            Some("CONSISTENT") => Self::Consistent,
            Some("INCOMPLETE") => Self::Incomplete,
            Some("INCONSISTENT") => Self::Inconsistent,
            Some("PENDING") => Self::Pending,
            Some("DRIFTED") => Self::Drifted,
            Some(_) | None => anyhow::bail!(
                "the API came to the verdict {}, which this program doesn't know; update it",
                report["verdict"]
            ),
        })
    }

    fn ending(self) -> Ending {
        match self {
            Self::Complete | Self::Consistent => Ending::Done,
            Self::Incomplete | Self::Inconsistent => Ending::Incomplete,
            Self::Pending => Ending::Pending,
            Self::Drifted => Ending::Drifted,
        }
    }

    fn tone(self) -> Tone {
        match self {
            Self::Complete | Self::Consistent => Tone::Good,
            Self::Pending | Self::Drifted => Tone::Doubtful,
            Self::Incomplete | Self::Inconsistent => Tone::Bad,
        }
    }

    fn sentence(self) -> &'static str {
        match self {
            Self::Complete => "The source, the ledger and the archive hold the same messages, each once.",
            Self::Consistent => "The counts agree. Without --quick, every object is read back.",
            Self::Incomplete => "The source shows messages that can't be read from the archive.",
            Self::Pending => "Nothing is missing. Some messages are recorded and not exported yet.",
            Self::Inconsistent => "The counts don't agree. Without --quick, the messages are named.",
            Self::Drifted => "Nothing is missing. The archive has messages that the source no longer shows.",
        }
    }
}

fn told(verdict: Verdict, report: &Value) -> String {
    let mut parts = vec![heading(verdict, report), three_places(report), effort(report)];
    parts.extend(content(report));
    parts.extend(odd_counts(report));
    parts.extend(outside(report));
    parts.extend(exceptions(report));
    parts.extend(findings(report));
    parts.extend(repairs(report));
    parts.join("\n\n")
}

fn heading(verdict: Verdict, report: &Value) -> String {
    let named = match number(&report["acceptedExceptions"]) {
        0 => text(&report["verdict"]),
        accepted => format!(
            "{}, {}",
            text(&report["verdict"]),
            counted(accepted, "accepted exception", "accepted exceptions")
        ),
    };
    let (word, scope) = (toned(&named, verdict.tone()), &report["scope"]);
    let range = format!(
        "{} to {}",
        text(&scope["range"]["from"]),
        text(&scope["range"]["to"])
    );
    let migration = match scope["migration"].as_str() {
        Some(id) => format!("\n{:14}migration {id}", ""),
        None => String::new(),
    };
    format!(
        "{word}  {}\n\n  event times {range}{migration}",
        verdict.sentence()
    )
}

/// The three sets that are compared. A quick verification has no digests.
fn three_places(report: &Value) -> String {
    let row = |place: &str| {
        let digest = text(&report["digests"][place]);
        let sum = digest
            .split_once('-')
            .map(|(_, sum)| sum.to_owned())
            .unwrap_or_default();
        let sum = if report["scope"]["quick"] == true {
            String::new()
        } else {
            sum
        };
        vec![
            format!(" {place}"),
            grouped(number(&report["counts"][place])),
            sum,
        ]
    };
    let columns = [
        Column::Text(" "),
        Column::Number("MESSAGES"),
        Column::Text("DIGEST OF THEIR IDS"),
    ];
    show::table(&columns, ["source", "ledger", "archive"].map(row).to_vec())
}

fn effort(report: &Value) -> String {
    let count = |name: &str, one: &str, many: &str| counted(number(&report[name]), one, many);
    format!(
        "  {}, {}, {} read back ({}), {} of work",
        count("hours", "hour", "hours"),
        count("batchesChecked", "batch", "batches"),
        count("objectsChecked", "object", "objects"),
        bytes(number(&report["bytesRead"])),
        duration(Duration::from_millis(number(&report["workedMs"])))
    )
}

/// Messages whose content was compared with the source. A quick verification compares none.
fn content(report: &Value) -> Option<String> {
    let parts = [
        ("equal", "equal"),
        ("different", "different"),
        ("updated", "updated since"),
        ("gone", "gone at the source"),
        ("notCompared", "not compared"),
    ];
    non_zero(&report["content"], &parts).map(|counts| format!("  content: {counts}"))
}

/// Documents that no window covers, as far as there are any. They don't change the verdict.
fn outside(report: &Value) -> Option<String> {
    let parts = [
        ("withoutTime", "without an event time that can be read"),
        ("beforeFirstWindow", "before the first window"),
        ("inFuture", "in the future"),
    ];
    non_zero(&report["outside"], &parts)
        .map(|counts| format!("  outside of every window, and not archived: {counts}"))
}

/// The counts that aren't 0, each with its meaning, in one line.
fn non_zero(counts: &Value, parts: &[(&str, &str)]) -> Option<String> {
    let parts: Vec<String> = parts
        .iter()
        .filter(|(name, _)| number(&counts[*name]) > 0)
        .map(|(name, meaning)| format!("{} {meaning}", grouped(number(&counts[*name]))))
        .collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// Messages that aren't where one would look for them, as far as there are any.
fn odd_counts(report: &Value) -> Option<String> {
    let counts = &report["counts"];
    let lines: Vec<(&str, String)> = [
        ("missing", "missing from the archive"),
        ("open", "not yet exported"),
        ("released", "owned by no batch"),
        ("quarantined", "can't be exported"),
        ("unreadable", "in objects that can't be read"),
        ("withoutId", "without a usable id"),
        ("merged", "with the id of another document"),
        ("drifted", "no longer at the source"),
        ("elsewhere", "on record under another event time"),
        ("tombstones", "gone at the source before they could be exported"),
    ]
    .into_iter()
    .filter(|(name, _)| number(&counts[*name]) > 0)
    .map(|(name, meaning)| (meaning, grouped(number(&counts[name]))))
    .collect();
    (!lines.is_empty()).then(|| show::pairs(&lines))
}

/// Messages that aren't archived and that an operator accepts, or may.
fn exceptions(report: &Value) -> Option<String> {
    let found = report["exceptions"]
        .as_array()
        .filter(|found| !found.is_empty())?;
    let mut lines = vec!["  Exceptions".to_owned()];
    for one in found.iter().take(FINDINGS_SHOWN_MAX) {
        let (kind, index, messages) = (text(&one["kind"]), text(&one["index"]), number(&one["messages"]));
        let next = if one["accepted"] == true {
            "accepted".to_owned()
        } else {
            format!(
                "not accepted\n      granary exceptions accept --kind {kind} --index {index} --max {messages} --reason TEXT"
            )
        };
        let kind = kind.replace('_', " ");
        lines.push(format!("  - {kind} in {index}: {}, {next}", grouped(messages)));
    }
    let unshown = found.len().saturating_sub(FINDINGS_SHOWN_MAX) as u64;
    if unshown > 0 {
        lines.push(format!("  and {} more; --json has them", grouped(unshown)));
    }
    Some(lines.join("\n"))
}

fn findings(report: &Value) -> Option<String> {
    let findings = report["findings"]
        .as_array()
        .filter(|findings| !findings.is_empty())?;
    let total: u64 = report["findingsByKind"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(_, count)| number(count))
        .sum();
    let mut lines = vec![format!("  Findings: {}", grouped(total))];
    lines.extend(findings.iter().take(FINDINGS_SHOWN_MAX).map(finding));
    let unshown = total.saturating_sub(findings.len().min(FINDINGS_SHOWN_MAX) as u64);
    if unshown > 0 {
        lines.push(format!("  and {} more; --json has them", grouped(unshown)));
    }
    Some(lines.join("\n"))
}

/// What was done about the findings, or would be. The verdict is about what was found before.
fn repairs(report: &Value) -> Option<String> {
    let heading = match report["scope"]["repair"].as_str() {
        Some("on") => "Repair",
        Some("dry_run") => "Repair: a dry run, nothing was done",
        Some(_) | None => return None,
    };
    let repairs = &report["repairs"];
    let lines: Vec<(&str, String)> = [
        ("harvested", "messages harvested again"),
        ("reExported", "batches exported again"),
        ("underWay", "batches that are being exported again already"),
        ("leftMessages", "messages left to another run"),
        ("leftBatches", "batches left to another run"),
    ]
    .into_iter()
    .filter(|(name, _)| number(&repairs[*name]) > 0)
    .map(|(name, meaning)| (meaning, grouped(number(&repairs[name]))))
    .collect();
    let told = if lines.is_empty() {
        "  There was nothing to repair.".to_owned()
    } else {
        show::pairs(&lines)
    };
    let next = match heading {
        "Repair" if !lines.is_empty() => "\n  Verify again once it is exported: granary verify",
        _ => "",
    };
    Some(format!("  {heading}\n{told}{next}"))
}

fn finding(finding: &Value) -> String {
    let place = match (finding["key"].as_str(), finding["batch"].as_u64()) {
        (Some(key), _) => format!("\n      {key}"),
        (None, Some(batch)) => format!("\n      batch {batch}"),
        (None, None) => String::new(),
    };
    let ids: Vec<&str> = finding["sampleIds"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .take(IDS_SHOWN_MAX)
        .collect();
    let ids = if ids.is_empty() {
        String::new()
    } else {
        format!("\n      such as {}", ids.join(", "))
    };
    let kind = text(&finding["kind"]).replace('_', " ");
    let remedy = match finding["remedy"].as_str() {
        Some("harvest") => "\n      to be harvested again",
        Some("re_export") => "\n      to be exported again",
        Some("under_way") => "\n      is being exported again already",
        Some("later") => "\n      left to another run",
        Some(_) | None => "",
    };
    format!(
        "  - {}  {kind}: {}{place}{ids}{remedy}",
        text(&finding["hour"]),
        text(&finding["text"])
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn report(verdict: &str) -> Value {
        json!({
            "verdict": verdict,
            "scope": {"migration": null, "quick": false,
                "range": {"from": "2026-11-21T05:00:00Z", "to": "2026-11-22T06:00:00Z"}},
            "hours": 25, "batchesChecked": 40, "objectsChecked": 40, "bytesRead": 12_900_000, "workedMs": 4_200,
            "counts": {"source": 20_000, "ledger": 20_000, "archive": 19_998, "missing": 2},
            "digests": {"source": "20000-00ff", "ledger": "20000-00ff", "archive": "19998-00aa"},
            "findingsByKind": {"object_missing": 12},
            "findings": [{"kind": "object_missing", "hour": "2026-11-22T05:00:00Z", "batch": 7, "messages": 2,
                "key": "a/b.ndjson.zst", "text": "the object isn't there", "sampleIds": ["m1", "m2"]}],
        })
    }

    #[test]
    fn a_verdict_decides_the_exit_code() {
        let code = |name| Verdict::of(&report(name)).map(|verdict| verdict.ending().exit_code());
        let verdicts = [
            "COMPLETE",
            "CONSISTENT",
            "INCOMPLETE",
            "INCONSISTENT",
            "DRIFTED",
            "PENDING",
        ];
        assert_eq!(verdicts.map(|name| code(name).unwrap()), [0, 0, 3, 3, 4, 6]);
        assert!(code("SPLENDID").is_err());
    }

    #[test]
    fn a_repair_is_told_with_what_it_left_and_what_comes_next() {
        let mut report = report("INCOMPLETE");
        assert_eq!(repairs(&report), None, "nobody asked for it");
        report["scope"]["repair"] = json!("on");
        report["repairs"] = json!({"harvested": 1_200, "reExported": 1, "leftBatches": 3});
        report["findings"][0]["remedy"] = json!("re_export");
        let text = told(Verdict::Incomplete, &report);
        for part in [
            "  Repair\n",
            "messages harvested again     1,200",
            "batches exported again       1",
            "batches left to another run  3",
            "to be exported again",
            "Verify again once it is exported",
        ] {
            assert!(text.contains(part), "{part:?} is not in:\n{text}");
        }
        report["scope"]["repair"] = json!("dry_run");
        assert!(told(Verdict::Incomplete, &report).contains("a dry run, nothing was done"));
        report["repairs"] = json!({});
        assert!(told(Verdict::Complete, &report).contains("There was nothing to repair"));
    }

    #[test]
    fn exceptions_are_told_with_the_command_that_accepts_them() {
        let mut complete = report("COMPLETE");
        complete["acceptedExceptions"] = json!(3);
        complete["exceptions"] = json!([
            {"kind": "merged_id", "index": "q-1", "messages": 3, "accepted": true},
            {"kind": "without_id", "index": "q-2", "messages": 1, "accepted": false},
        ]);
        complete["outside"] =
            json!({"withoutTime": 2, "malformed": 1, "beforeFirstWindow": 0, "inFuture": 1_000});
        let text = told(Verdict::Complete, &complete);
        for part in [
            "not archived: 2 without an event time that can be read, 1,000 in the future",
            "COMPLETE, 3 accepted exceptions  The source",
            "merged id in q-1: 3, accepted\n",
            "without id in q-2: 1, not accepted",
            "granary exceptions accept --kind without_id --index q-2 --max 1 --reason TEXT",
        ] {
            assert!(text.contains(part), "{part:?} is not in:\n{text}");
        }
    }

    #[test]
    fn a_report_says_what_where_and_how_much() {
        let text = told(Verdict::Incomplete, &report("INCOMPLETE"));
        for part in [
            "INCOMPLETE  The source shows messages",
            "2026-11-21T05:00:00Z to 2026-11-22T06:00:00Z",
            "19,998  00aa",
            "40 objects read back (12.3 MiB), 4 s of work",
            "missing from the archive  2",
            "object missing: the object isn't there",
            "such as m1, m2",
            "and 11 more",
        ] {
            assert!(text.contains(part), "{part:?} is not in:\n{text}");
        }
    }
}
