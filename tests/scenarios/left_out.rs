//! One bad index doesn't stop the others: it is left out, on record with each window, and read as soon as it can be.

use crate::stage::{Document, Stage};
use granary_domain::ExceptionKind;
use granary_verify::Verdict;
use reqwest::Method;
use serde_json::json;
use std::collections::BTreeSet;

const FROM: &str = "2026-03-01T10:00:00Z";
const TO: &str = "2026-03-01T13:00:00Z";
const INDICES: usize = 10;

fn index(stage: &Stage, number: usize) -> String {
    format!("{}-{number}", stage.indices.messages)
}

/// Two messages of each hour.
fn messages(number: usize) -> Vec<Document> {
    let message = |at: usize| {
        let hour = 10 + at % 3;
        Document::message(&format!("m-{number}-{at}"), &format!("2026-03-01T{hour}:30:00Z"))
    };
    (0..6).map(message).collect()
}

async fn set_block(stage: &Stage, index: &str, is_blocked: bool) {
    let settings = json!({"index.blocks.read": is_blocked}).to_string();
    stage
        .indices
        .ask(Method::PUT, &[index, "_settings"], settings)
        .await;
}

/// The indices that a verification says are left out. Each hour's windows have the same on record.
async fn left_out(stage: &Stage) -> BTreeSet<String> {
    let report = stage.verify(FROM, TO).await;
    let found = report.account.exceptions.found();
    assert!(
        found.iter().all(|found| found.kind == ExceptionKind::LeftOut),
        "{report:#?}"
    );
    let names: BTreeSet<String> = found.iter().map(|found| found.index.clone()).collect();
    let verdict = if names.is_empty() {
        Verdict::Complete
    } else {
        Verdict::Incomplete
    };
    assert_eq!(report.verdict, verdict, "{report:#?}");
    let windows: u64 = stage.row("SELECT COUNT(*) FROM harvest_window").await;
    let on_record: Vec<(String, u64)> = stage
        .rows("SELECT CONVERT(index_name USING utf8mb4), COUNT(*) FROM window_left_out GROUP BY index_name")
        .await;
    let expected = names.iter().map(|name| (name.clone(), windows));
    assert_eq!(on_record, expected.collect::<Vec<_>>());
    names
}

/// The windows are older than the horizon: nothing but the index that can be read again has them read again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h12_three_of_ten_indices_are_left_out_by_name_and_read_as_soon_as_each_is_repaired() {
    let mut stage = Stage::new("ten-indices").await;
    let pattern = format!("{}-*", stage.indices.messages);
    stage.tell(&[("GRANARY_SOURCE_INDEX", &pattern)]);
    let [mistyped, closed, blocked] = [7, 8, 9].map(|number| index(&stage, number));
    for number in 0..INDICES {
        let mut mapping = stage.indices.mapping();
        if number == 7 {
            mapping["mappings"]["properties"]["created_at"] = json!({"type": "keyword"});
        }
        stage.indices.create(&index(&stage, number), mapping).await;
        stage
            .indices
            .write(&index(&stage, number), &messages(number))
            .await;
    }
    stage
        .indices
        .ask(Method::POST, &[&closed, "_close"], String::new())
        .await;
    set_block(&stage, &blocked, true).await;

    stage.backfill(FROM, TO).await;
    stage.run_until_quiet().await;
    let names = |names: &[&String]| names.iter().map(|name| (*name).clone()).collect::<BTreeSet<_>>();
    assert_eq!(left_out(&stage).await, names(&[&mistyped, &closed, &blocked]));
    let readable: Vec<Document> = (0..7).flat_map(messages).collect();
    stage.assert_each_once(&readable).await;
    let alerts: Vec<(String,)> = stage
        .rows("SELECT text FROM alert WHERE kind = 'source_problem' AND cause = 'left_out'")
        .await;
    for name in [&mistyped, &closed, &blocked] {
        assert!(
            alerts.iter().any(|(text,)| text.contains(name.as_str())),
            "{name}: {alerts:?}"
        );
    }

    stage
        .indices
        .ask(Method::POST, &[&closed, "_open"], String::new())
        .await;
    stage.run_until_quiet().await;
    assert_eq!(left_out(&stage).await, names(&[&mistyped, &blocked]));

    stage.indices.delete_index(&mistyped).await;
    stage.indices.create(&mistyped, stage.indices.mapping()).await;
    stage.indices.write(&mistyped, &messages(7)).await;
    stage.run_until_quiet().await;
    assert_eq!(left_out(&stage).await, names(&[&blocked]));

    set_block(&stage, &blocked, false).await;
    stage.run_until_quiet().await;
    assert_eq!(left_out(&stage).await, BTreeSet::new());
    let all: Vec<Document> = (0..INDICES).flat_map(messages).collect();
    stage.assert_archived(&all, FROM, TO).await;
    for number in 0..INDICES {
        stage.indices.delete_index(&index(&stage, number)).await;
    }
    stage.finish().await;
}
