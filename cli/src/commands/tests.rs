//! What a pipe gets of the commands that tell people something in sentences: tabs between values, and whole numbers.

use super::{migrate, purge, seed, sweep};
use crate::sheet::{Format, Sheet};
use serde_json::json;

/// Lines of values, of tables, and blank ones between these: nothing is indented, and no number is made for eyes.
fn plain(name: &str, sheet: &Sheet) -> Vec<String> {
    let text = sheet.render(Format::Plain);
    for line in text.lines().filter(|line| !line.is_empty()) {
        assert!(
            line.contains('\t') && !line.starts_with(' '),
            "{name}: {line:?} is a sentence"
        );
        for cell in line.split('\t') {
            assert!(!is_for_eyes(cell), "{name}: {cell:?} in {line:?}");
        }
    }
    text.lines().map(str::to_owned).collect()
}

/// `1,234`, `12.3 MiB`, `25.0 %`, `3 min 5 s`.
fn is_for_eyes(cell: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.chars().all(|char| char.is_ascii_digit());
    let is_grouped = cell.contains(',') && cell.split(',').all(is_number);
    let (number, unit) = cell.rsplit_once(' ').unwrap_or_default();
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "%", "s", "min", "h", "ms"];
    let ends_with_a_number = number.chars().last().is_some_and(|char| char.is_ascii_digit());
    is_grouped || (ends_with_a_number && units.contains(&unit))
}

fn has(name: &str, sheet: &Sheet, expected: &[&str]) {
    let lines = plain(name, sheet);
    for line in expected {
        assert!(
            lines.iter().any(|found| found == line),
            "{name}: {line:?} is not in {lines:#?}"
        );
    }
}

#[test]
fn what_is_made_for_eyes_is_told_apart() {
    for cell in ["1,234", "12.3 MiB", "25.0 %", "1 min 5 s", "812 ms"] {
        assert!(is_for_eyes(cell), "{cell}");
    }
    for cell in [
        "1234",
        "12900000",
        "costs, about",
        "3 of its batches are parked",
        "",
        "2026-11-22T10:00:00Z",
    ] {
        assert!(!is_for_eyes(cell), "{cell}");
    }
}

/// `migrate status`, and what `watch` and `migrate start --wait` end with.
#[test]
fn a_pipe_gets_a_migration_in_values() {
    let answer = json!({
        "migration": {"id": "m", "kind": "backfill", "state": "draining", "from": "2026-03-01T10:00:00Z", "to": null,
            "verdict": null, "requestedBy": "operator"},
        "idsPercentage": 50.0, "percentage": 25.0, "parked": 1_200, "lateness": {"late": 12, "recommendedLagSeconds": 1_080},
        "progress": {"known": 12_000, "success": 3_000, "pending": 9_000, "processing": 0, "failed": 0, "missing": 0,
            "quarantined": 0},
        "pace": {"messagesPerSecond": 10.0, "etaSeconds": 900.0},
        "deferrals": [{"cause": "deadline", "batches": 1_200, "messages": 1_200_000, "windows": 0,
            "since": "2026-03-01T14:02:11.5Z", "nextTry": null, "reason": "the function's time is nearly over"}],
    });
    let sheet = migrate::described(&answer, Format::Plain);
    has(
        "migrate status",
        &sheet,
        &[
            "migration\tm",
            "to\t",
            "messages\t12000",
            "archived\t3000",
            "done with, percent\t25.0",
            "parked batches\t1200",
            "left\t900.0",
            "late\t12",
            "WAITING FOR\tBATCHES\tMESSAGES\tWINDOWS\tSINCE\tNEXT TRY\tREASON",
            "deadline\t1200\t1200000\t0\t2026-03-01T14:02:11.5Z\t\tthe function's time is nearly over",
        ],
    );
}

/// `migrate start --dry-run`.
#[test]
fn a_pipe_gets_a_forecast_in_values() {
    let answer = json!({"range": {"from": "2026-03-01T10:00:00Z", "to": "2026-03-01T14:00:00Z"}, "inSource": 40_000,
        "inLedger": {"known": 20_000, "success": 20_000}, "newAtLeast": 20_000, "batchSize": 10,
        "perDay": [{"day": "2026-03-01", "inSource": 40_000, "inLedger": 20_000, "new": 20_000}],
        "estimate": {"objects": 2_000, "bytesRaw": 38_000, "bytesStored": 8_400, "durationSeconds": 125,
            "cost": {"currency": "USD", "total": 0.5, "storagePerMonth": 0.25}, "notes": ["By the last 500 batches."]}});
    has(
        "migrate start --dry-run",
        &migrate::forecast(&answer, Format::Plain),
        &[
            "in the source\t40000",
            "batches, at most\t4000",
            "bytes, about\t38000",
            "takes, about\t125",
            "currency\tUSD",
            "costs, about\t0.5",
            "a month to keep it\t0.25",
            "note\tBy the last 500 batches.",
            "2026-03-01\t40000\t20000\t20000",
        ],
    );
}

#[test]
fn a_pipe_gets_seeded_messages_in_values() {
    let counts =
        json!({"documents": {"messages": 1_000_000, "status": 20}, "batchesLeft": [], "seed": 4_200});
    has(
        "seed",
        &seed::listed(&counts),
        &[
            "documents, messages\t1000000",
            "documents, status\t20",
            "seed\t4200",
        ],
    );
}

#[test]
fn a_pipe_gets_a_sweep_in_values_with_every_key() {
    let keys: Vec<String> = (0..12)
        .map(|number| format!("a/batch-{number}-g1.ndjson.zst"))
        .collect();
    let report = json!({"apply": false, "olderThanSecs": 3_600, "lookedAt": 2_001, "bytesLookedAt": 4_096,
        "orphans": {"count": 1_200, "bytes": 12_900_000, "keys": keys}, "young": {"count": 0, "bytes": 0, "keys": []}});
    let sheet = sweep::described(&report, Format::Plain);
    has(
        "sweep",
        &sheet,
        &[
            "apply\tfalse",
            "looked at\t2001",
            "bytes looked at\t4096",
            "older than\t3600",
            "PILE\tCOUNT\tBYTES",
            "orphans\t1200\t12900000",
            "young\t0\t0",
            "PILE\tKEY",
            "orphans\ta/batch-11-g1.ndjson.zst",
        ],
    );
}

#[test]
fn a_pipe_gets_a_purge_in_values_with_every_hour_that_stays() {
    let reasons = ["3 of its batches are parked", "it was never verified"];
    let report = json!({"dryRun": true, "hours": 2_000, "messages": 100_000, "batches": 100, "objects": 100,
        "bytesStored": 12_900_000, "refusedHours": 1, "refused": [{"hour": "2026-11-01T00:00:00Z", "reasons": reasons}]});
    has(
        "purge",
        &purge::described(&report, Format::Plain),
        &[
            "dry run\ttrue",
            "hours\t2000",
            "messages\t100000",
            "bytes stored\t12900000",
            "hours refused\t1",
            "REFUSED\tREASONS",
            "2026-11-01T00:00:00Z\t3 of its batches are parked; it was never verified",
        ],
    );
}
