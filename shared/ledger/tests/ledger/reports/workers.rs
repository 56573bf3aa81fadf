//! Attempts in flight by their lease, attempts that ended, and pauses.

use crate::stage::{ATTEMPTS_MAX, Stage, failure, whole};
use granary_domain::BatchId;
use granary_ledger::settings::Stage as JourneyStage;
use std::time::Duration;

#[tokio::test]
async fn attempts_are_in_flight_as_long_as_their_lease_lasts() {
    let stage = Stage::new().await;
    let first = stage.claimed().await;
    let second = stage.batch(&["m4"]).await;
    let second = stage.claim(second, "another").await;
    stage.let_lease_end(second.id).await;

    let in_flight = stage.ledger.in_flight().await.unwrap();
    assert_eq!((in_flight.in_flight, in_flight.overdue), (1, 1));
    let attempts = stage.ledger.attempts_in_flight(BatchId(0), 10).await.unwrap();
    let shown: Vec<_> = attempts
        .iter()
        .map(|attempt| (attempt.batch_id, attempt.worker.as_str(), attempt.is_overdue))
        .collect();
    assert_eq!(shown, [(first.id, "worker", false), (second.id, "another", true)]);
    assert_eq!((attempts[0].attempt, attempts[0].messages), (1, 3));
    assert_eq!(in_flight.oldest_since, Some(attempts[0].since));

    let page = stage.ledger.attempts_in_flight(BatchId(0), 1).await.unwrap();
    assert_eq!(page.len(), 1);
    let rest = stage
        .ledger
        .attempts_in_flight(page[0].batch_id, 10)
        .await
        .unwrap();
    assert_eq!(rest, attempts[1..]);
}

#[tokio::test]
async fn nobody_at_work_is_none_in_flight() {
    let stage = Stage::new().await;
    stage.batch(&["m1"]).await;
    let in_flight = stage.ledger.in_flight().await.unwrap();
    assert_eq!(
        (in_flight.in_flight, in_flight.overdue, in_flight.oldest_since),
        (0, 0, None)
    );
    assert_eq!(stage.ledger.attempts_in_flight(BatchId(0), 10).await.unwrap(), []);
}

#[tokio::test]
async fn attempts_are_counted_since_the_last_reset() {
    let stage = Stage::new().await;
    let fresh = stage.ledger.attempt_counter().await.unwrap();
    assert_eq!((fresh.reset_by, fresh.outcomes.len()), (None, 0));
    let completed = stage.claimed().await;
    stage.ledger.settle(&completed, &whole(&completed)).await.unwrap();
    let failed = stage.batch(&["m4"]).await;
    let failed = stage.claim(failed, "worker").await;
    stage
        .ledger
        .fail(&failed, &failure(), Duration::ZERO, ATTEMPTS_MAX)
        .await
        .unwrap();
    let counter = stage.ledger.attempt_counter().await.unwrap();
    let counted: Vec<_> = counter
        .outcomes
        .iter()
        .map(|(name, count)| (name.as_str(), *count))
        .collect();
    assert_eq!(counted, [("completed", 1), ("failed", 1)]);

    for _ in 0..2 {
        stage.ledger.reset_attempt_counter("somebody").await.unwrap();
    }
    let reset = stage.ledger.attempt_counter().await.unwrap();
    assert_eq!(reset.reset_by.as_deref(), Some("somebody"));
    assert!(reset.since > counter.since);
    assert!(reset.outcomes.is_empty(), "{reset:?}");
}

#[tokio::test]
async fn the_counter_looks_back_for_30_days_at_most() {
    let stage = Stage::new().await;
    stage.ledger.reset_attempt_counter("somebody").await.unwrap();
    stage
        .database
        .sql("UPDATE control SET changed_at = changed_at - INTERVAL 300 DAY")
        .await;
    let now = stage.ledger.now().await.unwrap();
    let counter = stage.ledger.attempt_counter().await.unwrap();
    let days = now.duration_since(counter.since).as_hours() / 24;
    assert!((29..=30).contains(&days), "{counter:?}");
}

#[tokio::test]
async fn the_reason_of_a_pause_is_the_first_ones_and_cut_where_it_is_long() {
    let stage = Stage::new().await;
    for (who, reason) in [("first", "ü".repeat(300)), ("second", "another".to_owned())] {
        let paused = stage
            .ledger
            .pause_because(JourneyStage::Harvest, who, Some(&reason));
        paused.await.unwrap();
    }
    let pause = stage
        .ledger
        .pause_of(JourneyStage::Harvest)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (pause.by.as_str(), pause.reason),
        ("first", Some("ü".repeat(255)))
    );
}

#[tokio::test]
async fn a_pause_is_told_with_who_and_when() {
    let stage = Stage::new().await;
    assert_eq!(stage.ledger.pause_of(JourneyStage::Export).await.unwrap(), None);
    stage
        .ledger
        .pause(JourneyStage::Export, "somebody")
        .await
        .unwrap();
    let pause = stage
        .ledger
        .pause_of(JourneyStage::Export)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((pause.by.as_str(), pause.reason), ("somebody", None));
    assert!(pause.since <= stage.ledger.now().await.unwrap());
    assert_eq!(stage.ledger.pause_of(JourneyStage::Harvest).await.unwrap(), None);
}
