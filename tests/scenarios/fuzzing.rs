//! The API under requests of all kinds: Schemathesis reads the served document, sends what it allows and what it forbids, and
//! holds every answer against it: no failure of the API, no status, media type, header or body that isn't documented, nothing
//! taken that the document refuses, nobody let in without a token.
//!
//! It may do what it likes: the stage is its own. `make fuzz` takes a quarter of an hour for it; what it says here can be had again
//! with its seed.

use crate::stage::{Document, OPERATOR_TOKEN, Stage};
use serde_json::Value;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

const FROM: &str = "2026-03-01T10:00:00Z";
const TO: &str = "2026-03-01T12:00:00Z";

/// How long it goes on, and how many requests that must have been at least.
const SECONDS: (&str, u64) = ("FUZZ_SECONDS", 90);
const CASES_MIN: (&str, u64) = ("FUZZ_CASES_MIN", 300);
/// Where to begin; a run names it.
const SEED: (&str, u64) = ("FUZZ_SEED", 1);
/// What it takes to start, to shrink what it found and to report.
const BESIDES: Duration = Duration::from_secs(300);

/// What a body that is well formed means may still be refused (`from` after `to`, a message that isn't there), and ids are
/// the ledger's to give: all other checks hold.
const CHECKS_LEFT_OUT: &str = "positive_data_acceptance,use_after_free,ensure_resource_availability,object_level_authorization,missing_required_header";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_of_any_kind_makes_the_api_fail_or_answer_otherwise_than_documented() {
    let stage = Stage::new("fuzz").await;
    stage.index_messages(&Document::many(40, 10..12)).await;
    stage.backfill(FROM, TO).await;
    stage.run_until_quiet().await;
    // Everything that may be off is on, so that each route comes to its answer.
    let switches = stage.switches().await.settings();
    let elasticsearch = stage.indices.url.to_string();
    let seeding = [
        ("GRANARY_ALLOW_SEEDING", "true"),
        ("GRANARY_SEED_ES_URL", elasticsearch.as_str()),
    ];
    let switches = switches.iter().map(|(name, value)| (*name, value.as_str()));
    let settings: Vec<(&str, &str)> = switches.chain(seeding).collect();
    let api = stage.listen(&settings).await;
    let report = fuzz(&api.url).await;
    let found = &report["failures"];
    assert_eq!(
        found,
        &Value::Array(Vec::new()),
        "what Schemathesis said stands above"
    );
    assert_eq!(report["errors"], Value::Array(Vec::new()), "{report:#}");
    assert_eq!(
        report["operations"]["tested"], report["operations"]["total"],
        "{report:#}"
    );
    let cases = report["test_cases"]["generated"].as_u64().unwrap();
    assert!(cases >= told(CASES_MIN), "{cases} requests only");
    stage.finish_broken().await;
}

/// What Schemathesis reports of the API at an address.
async fn fuzz(url: &str) -> Value {
    let program = std::env::var("SCHEMATHESIS").expect("`. .local/env` says where Schemathesis is");
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report.json");
    let seconds = told(SECONDS);
    let running = Command::new(program)
        .args(["run", &format!("{url}/openapi.json")])
        .args(["--header", &format!("Authorization: Bearer {OPERATOR_TOKEN}")])
        .args(["--exclude-checks", CHECKS_LEFT_OUT])
        .args(["--max-time", &seconds.to_string()])
        .args(["--seed", &told(SEED).to_string()])
        .args(["--request-timeout", "30", "--suppress-health-check", "all"])
        .args(["--report", "json", "--report-json-path"])
        .arg(&report)
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(Duration::from_secs(seconds) + BESIDES, running).await;
    let output = output.expect("Schemathesis ends in time").unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    eprintln!("{said}{}", String::from_utf8_lossy(&output.stderr));
    let report = std::fs::read(&report).expect("Schemathesis writes its report");
    serde_json::from_slice(&report).unwrap()
}

fn told((name, default): (&str, u64)) -> u64 {
    std::env::var(name).map_or(default, |value| {
        value.parse().unwrap_or_else(|_| panic!("{name} is {value}"))
    })
}
