//! How much is settled by the minute, and what has been waiting longest to be sent.

use crate::stage::{Stage, whole};
use granary_domain::BatchId;
use std::time::Duration;

async fn settle(stage: &Stage, batch: BatchId, minutes_ago: u32) {
    let claimed = stage.claim(batch, "worker").await;
    stage.ledger.settle(&claimed, &whole(&claimed)).await.unwrap();
    stage
        .database
        .sql(&format!(
            "UPDATE attempt SET ended_at = ended_at - INTERVAL {minutes_ago} MINUTE WHERE batch_id = {batch}"
        ))
        .await;
}

#[tokio::test]
async fn every_minute_is_there_also_one_without_anything() {
    let stage = Stage::new().await;
    let (first, second) = (stage.batch(&["m1", "m2"]).await, stage.batch(&["m3"]).await);
    let long_ago = stage.batch(&["m4"]).await;
    settle(&stage, first, 5).await;
    settle(&stage, second, 5).await;
    settle(&stage, long_ago, 90).await;
    let minutes = stage.ledger.settled_by_minute(60).await.unwrap();
    assert_eq!(minutes.len(), 60);
    let sums = minutes.iter().fold((0, 0), |(batches, messages), minute| {
        (batches + minute.batches, messages + minute.messages)
    });
    assert_eq!(sums, (2, 3));
    for pair in minutes.windows(2) {
        assert_eq!(pair[1].at.duration_since(pair[0].at).as_secs(), 60);
    }
    assert_eq!(minutes[0].at.as_second() % 60, 0);
    let now = stage.ledger.now().await.unwrap();
    assert!(
        now.duration_since(minutes[59].at).as_secs() < 120,
        "the last one is this one"
    );
}

#[tokio::test]
async fn the_oldest_unsent_batch_is_the_one_that_could_have_been_sent_longest() {
    let stage = Stage::new().await;
    assert_eq!(stage.ledger.oldest_unsent().await.unwrap(), None);
    let (first, delayed) = (stage.batch(&["m1"]).await, stage.batch(&["m2"]).await);
    let later = stage.batch(&["m3"]).await;
    let sql = async |statement: String| stage.database.sql(&statement).await;
    let past = "UTC_TIMESTAMP(6) - INTERVAL";
    sql(format!(
        "UPDATE batch SET created_at = {past} 10 MINUTE WHERE id = {first}"
    ))
    .await;
    sql(format!(
        "UPDATE batch SET not_before = {past} 20 MINUTE WHERE id = {delayed}"
    ))
    .await;
    sql(format!(
        "UPDATE batch SET not_before = UTC_TIMESTAMP(6) + INTERVAL 1 HOUR WHERE id = {later}"
    ))
    .await;
    let oldest = stage.ledger.oldest_unsent().await.unwrap().unwrap();
    assert_eq!(oldest.batch_id, delayed);
    assert!(oldest.age >= Duration::from_secs(20 * 60), "{oldest:?}");

    stage.mark_sent(&[delayed]).await;
    let oldest = stage.ledger.oldest_unsent().await.unwrap().unwrap();
    assert_eq!(oldest.batch_id, first);
    assert!(oldest.age < Duration::from_secs(11 * 60), "{oldest:?}");
    stage.mark_sent(&[first]).await;
    assert_eq!(
        stage.ledger.oldest_unsent().await.unwrap(),
        None,
        "what is delayed can't be sent"
    );
}
