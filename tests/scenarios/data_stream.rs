//! A data stream as the source: its backing indices change while it is read. The node is the test's own, since the stack's has no
//! way to delete a data stream.

use crate::stage::{Document, Node, Stage};
use granary_verify::Verdict;
use reqwest::Method;
use serde_json::{Value, json};

const FROM: &str = "2026-03-01T10:00:00Z";
const TO: &str = "2026-03-01T11:00:00Z";
const AT: &str = "2026-03-01T10:30:00Z";

/// Documents of a data stream are created, never replaced, and have an `@timestamp`.
async fn append(stage: &Stage, stream: &str, ids: &[&str]) -> Vec<Document> {
    let document = |id: &str| {
        let body = json!({"message_id": id, "created_at": AT, "@timestamp": AT});
        Document::raw(id, body.to_string())
    };
    let documents: Vec<Document> = ids.iter().copied().map(document).collect();
    let line = |document: &Document| {
        format!(
            "{}\n{}\n",
            json!({"create": {"_id": document.doc_id}}),
            document.body
        )
    };
    let body: String = documents.iter().map(line).collect();
    let answer = stage.indices.ask(Method::POST, &[stream, "_bulk"], body).await;
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(answer["errors"], false, "{answer}");
    stage.indices.refresh(stream).await;
    documents
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h12_a_data_stream_that_rolls_over_between_harvest_and_export_is_archived_whole() {
    let node = Node::start().await;
    let mut stage = Stage::on(&node, "stream").await;
    let stream = stage.indices.more_messages.clone();
    let mut template = stage.indices.mapping();
    template["mappings"]["properties"]["@timestamp"] = json!({"type": "date"});
    let template = json!({"index_patterns": [&stream], "data_stream": {}, "template": template}).to_string();
    stage
        .indices
        .ask(Method::PUT, &["_index_template", &stream], template)
        .await;
    stage.tell(&[("GRANARY_SOURCE_INDEX", &stream)]);
    let mut messages = append(&stage, &stream, &["a", "b"]).await;
    stage.backfill(FROM, TO).await;
    stage.harvest().await;

    // The stream's next backing index takes a late message of the same hour; the export finds the others in the first one.
    let roll_over = async || stage.indices.ask(Method::POST, &[&stream, "_rollover"], "").await;
    roll_over().await;
    messages.extend(append(&stage, &stream, &["c"]).await);
    stage.run_until_quiet().await;
    assert_eq!(
        stage.verify(FROM, TO).await.verdict,
        Verdict::Incomplete,
        "the late one is named"
    );
    stage.backfill(FROM, TO).await;
    stage.run_until_quiet().await;
    stage.assert_archived(&messages, FROM, TO).await;

    // Retention removes the first backing index: what was archived stays, and nothing is missing.
    let settings = stage.indices.ask(Method::GET, &[&stream, "_settings"], "").await;
    let settings: Value = settings.json().await.unwrap();
    let first = settings.as_object().unwrap().keys().min().unwrap();
    stage.indices.delete_index(first).await;
    assert_eq!(stage.verify(FROM, TO).await.verdict, Verdict::Drifted);
    stage.assert_each_once(&messages).await;
    stage.finish().await;
}
