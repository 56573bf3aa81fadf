//! What was settled lately, and what has waited longest.

use crate::stage::{Stage, instant, seen_at, whole};
use granary_ledger::reports::Settled;
use std::time::Duration;

const QUARTER: Duration = Duration::from_secs(900);

#[tokio::test]
async fn what_was_settled_stands_in_the_bucket_of_its_time() {
    let stage = Stage::new().await;
    for (number, minutes_ago) in [0, 20, 90].into_iter().enumerate() {
        let batch = stage.batch(&[&format!("m{number}"), &format!("n{number}")]).await;
        let claimed = stage.claim(batch, "worker").await;
        stage.ledger.settle(&claimed, &whole(&claimed)).await.unwrap();
        let earlier = format!(
            "UPDATE batch SET settled_at = UTC_TIMESTAMP(6) - INTERVAL {minutes_ago} MINUTE WHERE id = {batch}"
        );
        stage.database.sql(&earlier).await;
    }
    let throughput = stage.ledger.throughput(QUARTER, 8).await.unwrap();
    let of = |batches| Settled {
        batches,
        messages: batches * 2,
        bytes: batches * 100,
    };
    assert_eq!((throughput.quarter_of_an_hour, throughput.hour), (of(1), of(2)));
    assert_eq!(throughput.buckets.len(), 8);
    let total: u64 = throughput
        .buckets
        .iter()
        .map(|bucket| bucket.settled.batches)
        .sum();
    assert_eq!(total, 3, "{:?}", throughput.buckets);
    let last = throughput.buckets.last().unwrap();
    assert!(last.at <= throughput.now && last.settled.batches == 1);
    assert!(
        throughput
            .buckets
            .iter()
            .all(|bucket| bucket.at.as_second() % 900 == 0)
    );
}

#[tokio::test]
async fn nothing_settled_is_zeros_and_nothing_open_is_nothing() {
    let stage = Stage::new().await;
    let throughput = stage.ledger.throughput(QUARTER, 96).await.unwrap();
    assert_eq!(
        (throughput.hour, throughput.buckets.len()),
        (Settled::default(), 96)
    );
    assert_eq!(stage.ledger.oldest_open().await.unwrap(), None);
}

#[tokio::test]
async fn the_oldest_open_batch_is_the_one_of_the_oldest_hour_that_was_never_exported() {
    let stage = Stage::new().await;
    let mut window = stage.window(100).await;
    let messages = [
        seen_at("late", "2026-01-01T12:10:00Z"),
        seen_at("early", "2026-01-01T10:30:00Z"),
        seen_at("earlier", "2026-01-01T10:20:00Z"),
        seen_at("done", "2026-01-01T08:00:00Z"),
    ];
    stage.record(&mut window, &messages).await;
    let done: u64 = stage
        .database
        .row("SELECT batch_id FROM message WHERE message_id = 'done'")
        .await;
    let claimed = stage.claim(granary_domain::BatchId(done), "worker").await;
    stage.ledger.settle(&claimed, &whole(&claimed)).await.unwrap();
    let oldest = stage.ledger.oldest_open().await.unwrap().unwrap();
    assert_eq!(oldest.hour.start(), instant("2026-01-01T10:00:00Z"));
    assert_eq!(oldest.event_time, Some(instant("2026-01-01T10:20:00Z")));
}
