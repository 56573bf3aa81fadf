//! `granary sweep`: what nobody recorded, named or taken away.

use super::{Listing, Session, confirm, operation};
use crate::cli::{Sweep, SweepObject};
use crate::ending::Ending;
use crate::progress::Position;
use crate::sheet::{Cell, Field, Format, Kind, Sheet, counted, items};
use crate::show::{self, Column, bytes, duration, grouped, number};
use serde_json::{Value, json};
use std::time::Duration;

const KEYS_SHOWN_MAX: usize = 10;

const SWEEPS: Listing = Listing {
    member: "sweeps",
    fields: &[
        Field("OPERATION", "/operationId", Kind::Text),
        Field("STATE", "/state", Kind::State),
        Field("ASKED FOR", "/createdAt", Kind::Time),
        Field("OVER", "/finishedAt", Kind::Time),
        Field("BY", "/requestedBy", Kind::Text),
        Field("ERROR", "/error", Kind::Text),
    ],
    nothing: "nothing was swept so far",
};

/// For pipes.
const REPORT: &[Field] = &[
    Field("apply", "/apply", Kind::Text),
    Field("looked at", "/lookedAt", Kind::Count),
    Field("bytes looked at", "/bytesLookedAt", Kind::Bytes),
    Field("older than", "/olderThanSecs", Kind::Seconds),
];
const PILES: &[Field] = &[
    Field("PILE", "/pile", Kind::Text),
    Field("COUNT", "/count", Kind::Count),
    Field("BYTES", "/bytes", Kind::Bytes),
];
const KEYS: &[Field] = &[
    Field("PILE", "/pile", Kind::Text),
    Field("KEY", "/key", Kind::Text),
];

/// What is taken away, and what stays: the report's member, and what it is in words.
const TAKEN: [(&str, &str); 3] = [
    ("orphans", "objects that nobody recorded"),
    ("manifests", "manifests of what is no longer on record"),
    ("uploads", "uploads that nobody will complete"),
];
const LEFT: [(&str, &str); 7] = [
    (
        "unproven",
        "hold what no other object holds; adopt or discard them",
    ),
    ("waiting", "hold what waits for its export"),
    ("young", "too young to tell"),
    ("foreign", "not ours by their names"),
    ("unknown", "of batches that the ledger doesn't know"),
    ("ahead", "ahead of their batch's generation"),
    ("refused", "S3 refuses to remove them"),
];

pub(super) async fn run(session: &Session, options: &Sweep) -> anyhow::Result<Ending> {
    if let Some(object) = &options.object {
        return decide(session, object).await;
    }
    if options.list {
        return session.list("/sweep", SWEEPS).await;
    }
    if options.apply {
        confirm("Remove the objects that nobody recorded?", options.yes)?;
    }
    let body = json!({
        "apply": options.apply,
        "olderThan": options.older_than.map(|age| age.as_secs()),
        "includeUnknown": options.include_unknown,
        "reason": options.reason,
    });
    let first = session.api.post("/sweep", &body).await?;
    let position = |progress: &Value| Position {
        done: number(&progress["report"]["lookedAt"]),
        total: None,
        note: "objects and manifests looked at".to_owned(),
    };
    let answer = operation::wait(session, first, ("sweeping", position)).await?;
    session.show(&answer, |answer| {
        described(&answer["operation"]["result"], session.format)
    })
}

const ADOPTED: &[Field] = &[
    Field("object", "/key", Kind::Text),
    Field("dry run", "/dryRun", Kind::Text),
    Field("messages", "/messages", Kind::Count),
    Field("on record elsewhere", "/onRecord", Kind::Count),
    Field("waiting for their export", "/waiting", Kind::Count),
    Field("missing or quarantined", "/excepted", Kind::Count),
    Field("recorded", "/recorded", Kind::Count),
    Field("left", "/left", Kind::Count),
];
const DISCARDED: &[Field] = &[
    Field("object", "/key", Kind::Text),
    Field("dry run", "/dryRun", Kind::Text),
    Field("bytes", "/bytes", Kind::Bytes),
    Field("lost with it", "/loss", Kind::Text),
];

const CONFIRMED: &[Field] = &[
    Field("dry run", "/dryRun", Kind::Text),
    Field("noticed", "/restored/noticedAt", Kind::Time),
    Field("restored", "/restored/text", Kind::Text),
];

/// What becomes of one object.
async fn decide(session: &Session, object: &SweepObject) -> anyhow::Result<Ending> {
    let (path, of, label, fields) = match object {
        SweepObject::ConfirmRestored { dry_run, reason } => {
            let body = json!({"dryRun": dry_run, "reason": reason});
            let answer = session.api.post("/sweep/confirm-restored", &body).await?;
            return session.show(&answer, |answer| Sheet::new().values(answer, CONFIRMED));
        }
        SweepObject::Adopt(of) => ("/sweep/adopt", of, "adopting", ADOPTED),
        SweepObject::Discard(of) => ("/sweep/discard", of, "discarding", DISCARDED),
    };
    if path == "/sweep/discard" && !of.dry_run {
        confirm(&format!("Remove {}, whatever it holds?", of.key), of.yes)?;
    }
    let body = json!({"key": of.key, "dryRun": of.dry_run, "reason": of.reason});
    let first = session.api.post(path, &body).await?;
    let position = |_: &Value| Position {
        done: 0,
        total: None,
        note: of.key.clone(),
    };
    let answer = operation::wait(session, first, (label, position)).await?;
    session.show(&answer, |answer| {
        Sheet::new().values(&answer["operation"]["result"], fields)
    })
}

pub(super) fn described(report: &Value, format: Format) -> Sheet {
    match format {
        Format::Plain => plain(report),
        Format::People | Format::Json => Sheet::new().line(told(report)),
    }
}

/// Every pile, also where nothing is on it, and all keys that the API tells.
fn plain(report: &Value) -> Sheet {
    let names = TAKEN.iter().chain(&LEFT).map(|(name, _)| *name);
    let pile = |name: &'static str| {
        let (count, bytes) = (&report[name]["count"], &report[name]["bytes"]);
        vec![
            Cell::text(name),
            Cell::of(count, Kind::Count),
            Cell::of(bytes, Kind::Bytes),
        ]
    };
    let keys = |name: &'static str| {
        let keys = items(&report[name]["keys"]).iter();
        keys.map(move |key| vec![Cell::text(name), Cell::of(key, Kind::Text)])
    };
    Sheet::new()
        .values(report, REPORT)
        .rows(PILES, names.clone().map(pile).collect())
        .rows(KEYS, names.flat_map(keys).collect())
}

fn told(report: &Value) -> String {
    let verb = if report["apply"] == true {
        "removed"
    } else {
        "would be removed"
    };
    let taken = TAKEN.into_iter().map(|(name, what)| (name, what, verb));
    let left = LEFT.into_iter().map(|(name, what)| (name, what, "stay"));
    let piles = taken.chain(left);
    let mut parts = vec![format!(
        "  {} looked at ({}), older than {}",
        counted(
            number(&report["lookedAt"]),
            "object or manifest",
            "objects and manifests"
        ),
        bytes(number(&report["bytesLookedAt"])),
        duration(Duration::from_secs(number(&report["olderThanSecs"])))
    )];
    let found: Vec<_> = piles
        .filter(|(name, ..)| number(&report[*name]["count"]) > 0)
        .collect();
    if found.is_empty() {
        parts.push("  Everything in the archive is on record, or in the making.".to_owned());
        return parts.join("\n\n");
    }
    let columns = [
        Column::Number("COUNT"),
        Column::Number("BYTES"),
        Column::Text("WHAT"),
        Column::Text(""),
    ];
    let rows = found.iter().map(|(name, what, fate)| {
        let pile = &report[*name];
        vec![
            grouped(number(&pile["count"])),
            bytes(number(&pile["bytes"])),
            (*what).to_owned(),
            (*fate).to_owned(),
        ]
    });
    parts.push(show::table(&columns, rows.collect()));
    parts.extend(found.iter().map(|(name, what, _)| keys(what, &report[*name])));
    if report["apply"] != true && found.iter().any(|(_, _, fate)| *fate == verb) {
        parts.push("  Nothing was removed. With --apply it is.".to_owned());
    }
    parts.join("\n\n")
}

fn keys(what: &str, pile: &Value) -> String {
    let keys = items(&pile["keys"]);
    let shown = keys.iter().take(KEYS_SHOWN_MAX).filter_map(Value::as_str);
    let mut lines = vec![format!("  {what}:")];
    lines.extend(shown.map(|key| format!("    {key}")));
    let unshown = number(&pile["count"]).saturating_sub(keys.len().min(KEYS_SHOWN_MAX) as u64);
    if unshown > 0 {
        lines.push(format!("    and {} more", grouped(unshown)));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(apply: bool) -> Value {
        json!({
            "apply": apply, "olderThanSecs": 3_600, "lookedAt": 2_001, "bytesLookedAt": 4_096,
            "orphans": {"count": 12, "bytes": 2_048, "keys": ["a/batch-1-g1.ndjson.zst", "a/batch-2-g1.ndjson.zst"]},
            "foreign": {"count": 1, "bytes": 5, "keys": ["a/notes.txt"]},
            "young": {"count": 0, "bytes": 0, "keys": []},
        })
    }

    #[test]
    fn a_dry_run_says_what_would_be_removed_and_how() {
        let text = told(&report(false));
        for part in [
            "2,001 objects and manifests looked at (4.0 KiB), older than 1 h 0 min",
            "objects that nobody recorded  would be removed",
            "a/batch-1-g1.ndjson.zst",
            "and 10 more",
            "not ours by their names       stay",
            "a/notes.txt",
            "With --apply it is.",
        ] {
            assert!(text.contains(part), "{part:?} is not in:\n{text}");
        }
        assert!(!text.contains("too young"), "{text}");
    }

    #[test]
    fn what_was_removed_is_said_to_be() {
        let text = told(&report(true));
        assert!(text.contains("objects that nobody recorded  removed"), "{text}");
        assert!(!text.contains("--apply"), "{text}");
        let nothing = told(&json!({"apply": true, "lookedAt": 7}));
        assert!(
            nothing.contains("Everything in the archive is on record"),
            "{nothing}"
        );
    }
}
