//! Switches and settings: schedules, consumers, pauses, tuning.

use super::{FROM, TO, reasons};
use crate::stage::{Document, Listening, Stage};
use serde_json::json;

/// A stage with switches, and an operator that is told of them.
async fn with_switches(name: &str) -> (Stage, Listening) {
    let stage = Stage::new(name).await;
    let settings = stage.switches().await.settings();
    let settings: Vec<(&str, &str)> = settings
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let operator = stage.listen(&settings).await;
    (stage, operator)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schedules_are_switched_at_aws() {
    let (stage, operator) = with_switches("cli-scheduler").await;
    let switches = stage.switches().await;
    let shown = operator.done("scheduler status --plain").await;
    assert!(shown.out.contains("status\trunning"), "{shown:?}");
    operator.done("scheduler stop --dry-run").await;
    assert!(switches.is_enabled(0).await && switches.is_enabled(1).await);
    let stopped = operator.done("scheduler stop harvester --reason rebuild").await;
    assert!(stopped.out.contains("partly"), "{stopped:?}");
    assert!(!switches.is_enabled(0).await && switches.is_enabled(1).await);
    assert_eq!(
        reasons(&stage, "scheduler.stop").await,
        [Some("rebuild".to_owned())]
    );
    operator.done("scheduler start").await;
    assert!(switches.is_enabled(0).await && switches.is_enabled(1).await);
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consumers_are_switched_and_restarted_at_aws() {
    let (stage, operator) = with_switches("cli-consumers").await;
    let switches = stage.switches().await;
    let shown = operator.json("queue consumers status").await;
    assert_eq!(shown["consumers"].as_array().unwrap().len(), 1);
    operator.done("queue consumers stop --dry-run").await;
    assert_eq!(switches.consumer_state().await, "Enabled");
    operator
        .done("queue consumers stop --queue batches-priority --reason moved")
        .await;
    assert!(switches.consumer_state().await.starts_with("Disab"));
    let health = operator.done("queue consumers health --plain").await;
    assert!(health.out.contains("triggers\tdegraded"), "{health:?}");
    operator.done("queue consumers start").await;
    assert!(switches.consumer_state().await.starts_with("Enabl"));
    let foretold = operator.done("queue consumers restart --dry-run").await;
    assert!(foretold.err.contains("dry run"), "{foretold:?}");
    let restarted = operator.done("queue consumers restart --reason stuck").await;
    assert!(restarted.err.contains("on again"), "{restarted:?}");
    assert_eq!(switches.consumer_state().await, "Enabled");
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stage_is_paused_and_resumed() {
    let (stage, operator) = with_switches("cli-pause").await;
    operator.done("pause export --dry-run").await;
    assert_eq!(operator.json("overview").await["pauses"], json!([]));
    let said = operator.done("pause export --reason rebuild").await;
    assert!(said.out.contains("paused"), "{said:?}");
    let overview = operator.done("overview").await;
    for part in ["export since", "rebuild", "granary resume export"] {
        assert!(overview.out.contains(part), "{part}: {overview:?}");
    }
    assert_eq!(reasons(&stage, "pause").await, [Some("rebuild".to_owned())]);
    stage.index_messages(&Document::many(10, 10..11)).await;
    stage.backfill(FROM, TO).await;
    stage.harvest().await;
    assert_eq!(
        stage.queues.depth(&stage.queues.normal).await,
        0,
        "nothing is sent"
    );
    operator.done("resume").await;
    assert_eq!(operator.json("overview").await["pauses"], json!([]));
    stage.run_until_quiet().await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_are_tuned_and_taken_back() {
    let (stage, operator) = with_switches("cli-tune").await;
    let shown = operator.done("tune --plain").await;
    assert!(shown.out.contains("maxAttempts\t"), "{shown:?}");
    operator.done("tune set batchSize=7 --dry-run").await;
    let value = |answer: &serde_json::Value| {
        let settings = answer["settings"].as_array().unwrap();
        let setting = settings.iter().find(|setting| setting["name"] == "batchSize");
        setting.unwrap()["value"].clone()
    };
    assert_eq!(value(&operator.json("tune list").await), 100);
    let tuned = operator
        .json("tune set batchSize=7 maxAttempts=3 --reason smaller")
        .await;
    assert_eq!(value(&tuned), 7);
    assert_eq!(reasons(&stage, "tune").await, [Some("smaller".to_owned())]);
    let back = operator.json("tune set batchSize=").await;
    assert_eq!(value(&back), 100);
    let unknown = operator.granary("tune set batchsize=7").await;
    assert_eq!(unknown.code, 1);
    assert!(unknown.err.contains("batchSize"), "{unknown:?}");
    let beyond = operator.granary("tune set batchSize=1000000").await;
    assert_eq!(
        (beyond.code, beyond.err.contains("from 1 to")),
        (1, true),
        "{beyond:?}"
    );
    stage.finish().await;
}
