//! Limits of an index that are smaller than what Granary asks for.

use crate::stage::{Document, Stage};
use reqwest::Method;
use serde_json::{Value, json};

const FROM: &str = "2026-03-01T10:00:00Z";
const TO: &str = "2026-03-01T11:00:00Z";

async fn set(stage: &Stage, index: &str, settings: Value) {
    let answer = stage
        .indices
        .ask(Method::PUT, &[index, "_settings"], settings.to_string())
        .await;
    assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
}

/// `index.max_result_window` limits a page of ids and a search for metadata, `index.max_terms_count` the ids that such a
/// search names.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e7_an_index_with_small_limits_is_harvested_exported_and_verified() {
    let mut stage = Stage::new("limits").await;
    stage.have_metadata().await;
    let messages = Document::many(250, 10..11);
    stage.index_messages(&messages).await;
    let of_messages = |entry: usize| {
        let entries = messages.iter().map(|message| {
            let id = &message.doc_id;
            let body = json!({"message_id": id, "at": "2026-03-01T10:00:00Z", "n": entry});
            Document::raw(&format!("{id}-{entry}"), body.to_string())
        });
        entries.collect::<Vec<_>>()
    };
    let history = stage.indices.history.clone();
    for entry in 0..2 {
        stage.indices.write(&history, &of_messages(entry)).await;
    }
    set(
        &stage,
        &stage.indices.messages,
        json!({"index.max_result_window": 100}),
    )
    .await;
    let narrow = json!({"index.max_result_window": 30, "index.max_terms_count": 40});
    set(&stage, &history, narrow).await;

    stage.backfill(FROM, TO).await;
    stage.harvest().await;
    stage.export_all().await;
    let outcomes: Vec<String> = stage.rows("SELECT outcome FROM attempt").await;
    assert!(
        outcomes.iter().all(|outcome| outcome == "completed"),
        "{outcomes:?}"
    );
    for line in stage.bucket.lines().await {
        assert_eq!(
            line.field("history").as_array().map(Vec::len),
            Some(2),
            "{}",
            line.message_id
        );
    }
    stage.run_until_quiet().await;
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}
