//! Where the exporter is interrupted.

use super::network::Network;
use super::scene::{FROM, Prepared, TO};
use crate::stage::{CANARY, Document, Stage};
use serde_json::json;

/// Of each message of a large batch: eleven of them don't fit into one PUT, and make two parts.
const LARGE_TEXT_BYTES: usize = 1_000_000;
const LARGE_MESSAGES: usize = 11;

async fn hand_off(stage: &Stage, messages: &[Document]) {
    stage.index_messages(messages).await;
    stage.backfill(FROM, TO).await;
    stage.harvest().await;
}

/// One batch of ten messages.
pub(super) async fn handed_off(stage: &Stage) -> Prepared {
    let messages = Document::many(10, 10..11);
    hand_off(stage, &messages).await;
    Prepared::of(messages)
}

/// A deployment that isn't the ledger's.
pub(super) async fn foreign_ledger(stage: &Stage) -> Prepared {
    let prepared = handed_off(stage).await;
    prepared.told("GRANARY_SOURCE_NAME", "others")
}

pub(super) async fn too_early(stage: &Stage) -> Prepared {
    let prepared = handed_off(stage).await;
    stage
        .sql("UPDATE batch SET not_before = UTC_TIMESTAMP(6) + INTERVAL 1 HOUR")
        .await;
    prepared
}

pub(super) async fn unreadable_message(stage: &Stage) -> Prepared {
    let messages = Document::many(10, 10..11);
    stage.index_messages(&messages).await;
    stage.backfill(FROM, TO).await;
    stage
        .queues
        .send(&stage.queues.normal, "no hand-off message")
        .await;
    Prepared::of(messages)
}

pub(super) async fn gone_message(stage: &Stage) -> Prepared {
    let mut prepared = handed_off(stage).await;
    let gone = prepared.messages.pop().expect("there are ten");
    stage.indices.delete(&stage.indices.messages, &gone.doc_id).await;
    prepared
}

/// Elasticsearch takes a comment for JSON.
pub(super) async fn poison(stage: &Stage) -> Prepared {
    let mut messages = Document::many(9, 10..11);
    let body =
        format!(r#"{{"message_id":"poison","created_at":"2026-03-01T10:30:00Z","text":/* {CANARY} */1}}"#);
    messages.push(Document::raw("poison", body));
    hand_off(stage, &messages).await;
    Prepared::of(messages)
}

pub(super) async fn careful_batch(stage: &Stage) -> Prepared {
    let prepared = handed_off(stage).await;
    let blind = stage.blind_ledger().await;
    let failing = stage.another("exporter", &[("GRANARY_LEDGER_URL", &blind)]);
    for _ in 0..2 {
        stage.export_all_by(&failing).await;
        stage.let_delays_end().await;
        stage.reap().await;
    }
    prepared
}

pub(super) async fn large_batch(stage: &Stage) -> Prepared {
    let text = "x".repeat(LARGE_TEXT_BYTES);
    let message = |number: usize| {
        let id = format!("large-{number:02}");
        let body = json!({"message_id": id, "created_at": "2026-03-01T10:30:00Z", "text": text});
        Document::raw(&id, body.to_string())
    };
    let messages: Vec<_> = (0..LARGE_MESSAGES).map(message).collect();
    hand_off(stage, &messages).await;
    Prepared::of(messages)
}

pub(super) async fn refused_part(stage: &Stage) -> Prepared {
    let network = Network::without_the_second_part(stage).await;
    large_batch(stage).await.behind(network, "AWS_ENDPOINT_URL")
}

/// Somebody else's bytes stand where the batch's object belongs.
pub(super) async fn foreign_object(stage: &Stage) -> Prepared {
    let prepared = handed_off(stage).await;
    let batch: u64 = stage.row("SELECT id FROM batch").await;
    let key = format!(
        "{}dt=2026-03-01/hour=10/batch-{batch}-g1.ndjson.zst",
        stage.archive_root()
    );
    stage.bucket.put(&key, b"no object of ours".to_vec()).await;
    prepared
}

/// What an earlier worker might have written isn't looked for by a first claim, so S3 isn't asked before all is fetched.
pub(super) async fn too_large(stage: &Stage) -> Prepared {
    let network = Network::without_answers_of_s3(stage).await;
    let prepared = handed_off(stage).await;
    stage
        .sql(
            "INSERT INTO attempt (batch_id, number, generation, worker, started_at, ended_at, outcome, error_code) \
             SELECT id, 0, generation, 'w', UTC_TIMESTAMP(6), UTC_TIMESTAMP(6), 'handed_back', 'deadline' FROM batch",
        )
        .await;
    prepared.behind(network, "AWS_ENDPOINT_URL")
}

pub(super) async fn no_time_left(stage: &Stage) -> Prepared {
    let network = Network::without_answers(stage).await;
    handed_off(stage).await.behind(network, "GRANARY_ES_URL")
}
