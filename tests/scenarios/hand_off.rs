//! Messages that come twice, late, or make no sense.

use crate::stage::{Document, EXPORTER_TIMEOUT, Stage, failed_items, sqs_event};
use granary_domain::BatchStatus;
use serde_json::{Value, json};

const FROM: &str = "2026-03-01T10:00:00Z";
const TO: &str = "2026-03-01T11:00:00Z";

async fn harvested(name: &str) -> Stage {
    let stage = Stage::new(name).await;
    let messages: Vec<_> = (0..10)
        .map(|number| Document::message(&format!("m-{number}"), "2026-03-01T10:30:00Z"))
        .collect();
    stage.index_messages(&messages).await;
    stage.backfill(FROM, TO).await;
    stage.harvest().await;
    stage
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e10_a_batch_that_is_delivered_twice_at_once_is_exported_once() {
    let stage = harvested("twice").await;
    let (queue, message) = stage.queues.receive().await.expect("a batch was sent");
    let event = || sqs_event(&[(queue, &message)]);
    let (one, another) = tokio::join!(
        stage.exporter(0).invoke(event(), EXPORTER_TIMEOUT),
        stage.exporter(1).invoke(event(), EXPORTER_TIMEOUT)
    );
    let late = stage.exporter(0).invoke(event(), EXPORTER_TIMEOUT).await;
    for response in [one, another, late] {
        assert_eq!(failed_items(&response.unwrap()), [""; 0]);
    }
    let attempts: u32 = stage.row("SELECT COUNT(*) FROM attempt").await;
    assert_eq!((attempts, stage.batches(BatchStatus::Completed).await), (1, 1));
    assert_eq!(stage.bucket.lines().await.len(), 10);
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn q1_a_message_that_makes_no_sense_goes_to_the_dead_letters_and_people_are_told_once() {
    let stage = harvested("nonsense").await;
    let malformed: Value =
        serde_json::from_str(include_str!("../../events/exporter.sqs-malformed.json")).unwrap();
    let body = malformed["Records"][0]["body"].as_str().unwrap();
    stage.queues.send(&stage.queues.normal, body).await;
    for _ in 0..5 {
        let exports = stage.export_all().await;
        assert_eq!(
            (exports.returned.len(), exports.errors.len()),
            (1, 0),
            "{exports:?}"
        );
        stage.let_visibility_end(&exports).await;
    }
    assert_eq!(stage.export_all().await.returned.len(), 0);
    assert_eq!(stage.queues.dead_letters().await, [body]);
    stage.reap().await;
    stage.reap().await;
    assert_eq!(stage.queues.told().await.len(), 1);
    assert_eq!(
        stage.batches(BatchStatus::Completed).await,
        1,
        "the others were not disturbed"
    );
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_records_only_the_one_that_makes_no_sense_comes_back() {
    let stage = harvested("two-records").await;
    let (queue, message) = stage.queues.receive().await.expect("a batch was sent");
    let mut event: Value =
        serde_json::from_str(include_str!("../../events/exporter.sqs-two-records.json")).unwrap();
    event["Records"][0] = sqs_event(&[(queue, &message)])["Records"][0].take();
    event["Records"][1]["body"] = json!("{\"v\":2}");
    let response = stage
        .exporter(0)
        .invoke(event.clone(), EXPORTER_TIMEOUT)
        .await
        .unwrap();
    assert_eq!(
        failed_items(&response),
        [event["Records"][1]["messageId"].as_str().unwrap()]
    );
    assert_eq!(stage.batches(BatchStatus::Completed).await, 1);
    stage.finish().await;
}
