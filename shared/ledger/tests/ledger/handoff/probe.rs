//! Probes: expected, seen once, and forgotten.

use crate::stage::Stage;
use granary_ledger::handoff::{Probe, QueueLane};
use std::time::Duration;
use uuid::Uuid;

const DAY: Duration = Duration::from_secs(24 * 3_600);

async fn probe(stage: &Stage, id: Uuid) -> Probe {
    let probes = stage.ledger.probes(100).await.unwrap();
    probes
        .into_iter()
        .find(|probe| probe.id == id)
        .expect("it is expected")
}

#[tokio::test]
async fn a_probe_is_expected_until_it_arrives_and_its_first_arrival_counts() {
    let stage = Stage::new().await;
    let id = Uuid::now_v7();
    for _ in 0..2 {
        stage
            .ledger
            .expect_probes(QueueLane::Priority, &[id])
            .await
            .unwrap();
    }
    let expected = probe(&stage, id).await;
    assert_eq!(
        (expected.queue, expected.received_at, expected.worker),
        (QueueLane::Priority, None, None)
    );
    stage
        .database
        .sql("UPDATE probe SET sent_at = sent_at - INTERVAL 2 SECOND")
        .await;
    stage.ledger.receive_probe(id, "first").await.unwrap();
    let arrived = probe(&stage, id).await;
    stage.ledger.receive_probe(id, "second").await.unwrap();
    assert_eq!(probe(&stage, id).await, arrived);
    assert_eq!(arrived.worker.as_deref(), Some("first"));
    assert!(arrived.elapsed >= Duration::from_secs(2), "{arrived:?}");
    assert!(arrived.received_at.unwrap() > arrived.sent_at);
}

#[tokio::test]
async fn a_probe_that_nobody_expects_arrives_all_the_same() {
    let stage = Stage::new().await;
    stage
        .ledger
        .receive_probe(Uuid::now_v7(), "worker")
        .await
        .unwrap();
    stage.ledger.expect_probes(QueueLane::Normal, &[]).await.unwrap();
    assert_eq!(stage.ledger.probes(100).await.unwrap(), []);
}

#[tokio::test]
async fn probes_of_long_ago_are_forgotten_a_bounded_number_at_a_time() {
    let stage = Stage::new().await;
    let ids: Vec<Uuid> = (0..5).map(|_| Uuid::now_v7()).collect();
    stage.ledger.expect_probes(QueueLane::Normal, &ids).await.unwrap();
    for id in &ids[..4] {
        let long_ago = format!(
            "UPDATE probe SET sent_at = sent_at - INTERVAL 25 HOUR WHERE id = UNHEX('{}')",
            id.simple()
        );
        stage.database.sql(&long_ago).await;
    }
    assert_eq!(stage.ledger.forget_probes(DAY, 3).await.unwrap(), 3);
    assert_eq!(stage.ledger.forget_probes(DAY, 3).await.unwrap(), 1);
    assert_eq!(stage.ledger.forget_probes(DAY, 3).await.unwrap(), 0);
    let left = stage.ledger.probes(100).await.unwrap();
    assert_eq!(left.iter().map(|probe| probe.id).collect::<Vec<_>>(), ids[4..]);
}

#[tokio::test]
async fn the_newest_probes_are_shown_first() {
    let stage = Stage::new().await;
    let (older, newer) = (Uuid::now_v7(), Uuid::now_v7());
    stage
        .ledger
        .expect_probes(QueueLane::Normal, &[older])
        .await
        .unwrap();
    stage
        .ledger
        .expect_probes(QueueLane::Priority, &[newer])
        .await
        .unwrap();
    let shown = stage.ledger.probes(1).await.unwrap();
    assert_eq!(shown.iter().map(|probe| probe.id).collect::<Vec<_>>(), [newer]);
}
