//! `granary doctor`: what is well, what isn't, and that nothing is changed by looking.

use super::{at_the_source, finish};
use crate::stage::{Listening, Stage, VIEWER_TOKEN};
use serde_json::Value;

/// An operator that is told everything, as the template does.
async fn told_everything(stage: &Stage, settings: &[(&str, &str)]) -> Listening {
    let switches = stage.switches().await.settings();
    let mut all: Vec<(&str, &str)> = switches
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    all.extend_from_slice(settings);
    stage.listen(&all).await
}

fn status<'a>(examination: &'a Value, check: &str) -> &'a str {
    let checks = examination["checks"].as_array().unwrap();
    let found = checks.iter().find(|found| found["check"] == check);
    found.unwrap_or_else(|| panic!("{check} is not among {examination}"))["status"]
        .as_str()
        .unwrap()
}

const ALL: [&str; 25] = [
    "api",
    "clockHere",
    "version",
    "elasticsearch",
    "elasticsearchConnection",
    "index",
    "fields",
    "metadata",
    "ledger",
    "ledgerConnection",
    "schema",
    "identity",
    "permissions",
    "clocks",
    "bucket",
    "queues",
    "deadLetters",
    "topic",
    "schedules",
    "pauses",
    "outbox",
    "leases",
    "failures",
    "alerts",
    "token",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_doctor_finds_what_is_well_and_changes_nothing() {
    let (stage, _, messages) = at_the_source("cli-doctor").await;
    let operator = told_everything(&stage, &[]).await;
    let examination = operator.json("doctor").await;
    for check in ALL {
        assert_eq!(status(&examination, check), "ok", "{check}: {examination:#}");
    }
    // This stage has one consumer where a deployment has two.
    assert_eq!(status(&examination, "consumers"), "warning");
    assert_eq!(operator.granary("doctor --strict").await.code, 5);
    let told = operator.done("doctor").await;
    assert!(
        told.out.contains("Elasticsearch ") && told.out.contains("→"),
        "{told:?}"
    );
    let plain = operator.done("doctor --plain").await;
    assert!(plain.out.contains("bucket\tok\t"), "{plain:?}");
    let audited: u64 = stage.row("SELECT COUNT(*) FROM audit").await;
    assert_eq!(audited, 0, "nothing was changed");
    stage.backfill(super::FROM, super::TO).await;
    finish(stage, &messages).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_somebody_should_look_at_is_a_warning_with_what_to_do() {
    let (stage, _, messages) = at_the_source("cli-warned").await;
    let operator = told_everything(&stage, &[]).await;
    operator.done("pause").await;
    operator.done("scheduler stop harvester").await;
    stage.queues.send(&stage.queues.dead_letters, "nonsense").await;
    let examination = operator.json("doctor").await;
    for check in ["pauses", "schedules", "deadLetters"] {
        assert_eq!(status(&examination, check), "warning", "{check}: {examination:#}");
    }
    assert_eq!(examination["status"], "warning");
    let told = operator.done("doctor").await;
    for part in ["granary resume", "granary scheduler start", "granary redrive"] {
        assert!(told.out.contains(part), "{part}: {told:?}");
    }
    let viewer = operator.granary_as(VIEWER_TOKEN, "--json doctor").await;
    assert_eq!((viewer.code, status(&viewer.json(), "token")), (0, "warning"));
    operator.done("resume").await;
    stage.queues.purge(&stage.queues.dead_letters).await;
    stage.backfill(super::FROM, super::TO).await;
    finish(stage, &messages).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_keeps_granary_from_its_work_has_failed_and_the_rest_is_told_all_the_same() {
    let (stage, _, messages) = at_the_source("cli-ill").await;
    for (setting, wrong, failed) in [
        ("GRANARY_BUCKET", "granary-no-such-bucket", "bucket"),
        ("GRANARY_SOURCE_INDEX", "granary-no-such-index", "index"),
        ("GRANARY_SOURCE_TIME_FIELD", "no_such_time", "fields"),
        ("GRANARY_ES_URL", "http://127.0.0.1:1", "elasticsearch"),
        (
            "GRANARY_QUEUE_URL",
            "http://127.0.0.1:4566/000000000000/granary-no-such-queue",
            "queues",
        ),
        (
            "GRANARY_ALERT_TOPIC_ARN",
            "arn:aws:sns:us-east-1:000000000000:granary-no-such-topic",
            "topic",
        ),
        (
            "GRANARY_LEDGER_URL",
            "mysql://nobody:wrong@127.0.0.1:1/granary",
            "ledger",
        ),
    ] {
        let operator = told_everything(&stage, &[(setting, wrong)]).await;
        let said = operator.granary("--json doctor").await;
        assert_eq!(said.code, 5, "{setting}: {said:?}");
        let examination = said.json();
        assert_eq!(
            status(&examination, failed),
            "failed",
            "{setting}: {examination:#}"
        );
        assert_eq!(
            status(&examination, "schedules"),
            "ok",
            "{setting}: {examination:#}"
        );
        assert!(!said.out.contains("wrong@"), "no secret is told: {said:?}");
    }
    stage.backfill(super::FROM, super::TO).await;
    finish(stage, &messages).await;
}
