//! Operations: worked on in slices by one at a time, and given up after enough failures.

use crate::stage::{LEASE, Stage};
use granary_ledger::export::Fenced;
use granary_ledger::jobs::{NewOperation, OperationFilter, OperationState};
use serde_json::json;
use uuid::Uuid;

async fn an_operation(stage: &Stage) -> Uuid {
    let new = NewOperation {
        id: Uuid::now_v7(),
        kind: "verify".into(),
        arguments: json!({"quick": true}),
        requested_by: "test".into(),
    };
    stage.ledger.make_operation(&new).await.unwrap();
    stage.ledger.make_operation(&new).await.unwrap();
    new.id
}

#[tokio::test]
async fn of_two_workers_one_takes_an_operation() {
    let stage = Stage::new().await;
    let id = an_operation(&stage).await;
    let other = stage.database.ledger().await;
    let (one, another) = tokio::join!(
        stage.ledger.claim_operation(None, LEASE),
        other.claim_operation(Some(id), LEASE)
    );
    let (one, another) = (one.unwrap(), another.unwrap());
    assert!(one.is_some() ^ another.is_some());
    assert_eq!(one.or(another).unwrap().arguments, json!({"quick": true}));
    assert!(stage.ledger.claim_operation(None, LEASE).await.unwrap().is_none());
}

#[tokio::test]
async fn an_operation_goes_on_where_a_dead_worker_left_off() {
    let stage = Stage::new().await;
    let id = an_operation(&stage).await;
    let first = stage.ledger.claim_operation(None, LEASE).await.unwrap().unwrap();
    let progress = json!({"hours": 3});
    assert_eq!(
        stage
            .ledger
            .save_progress(&first, &progress, LEASE)
            .await
            .unwrap(),
        Fenced::Done
    );
    stage
        .database
        .sql("UPDATE operation SET lease_until = UTC_TIMESTAMP(6) - INTERVAL 1 SECOND")
        .await;
    let second = stage.ledger.claim_operation(None, LEASE).await.unwrap().unwrap();
    assert_eq!((second.id, second.progress.as_ref()), (id, Some(&progress)));
    let stale = [
        stage
            .ledger
            .save_progress(&first, &json!({}), LEASE)
            .await
            .unwrap(),
        stage.ledger.release_operation(&first).await.unwrap(),
        stage.ledger.finish_operation(&first, &json!({})).await.unwrap(),
        stage.ledger.fail_slice(&first, "late").await.unwrap(),
        stage.ledger.fail_operation(&first, "late").await.unwrap(),
    ];
    assert_eq!(stale, [Fenced::Refused; 5]);
    assert_eq!(
        stage
            .ledger
            .finish_operation(&second, &json!({"ok": 1}))
            .await
            .unwrap(),
        Fenced::Done
    );
    let operation = stage.ledger.operation(id).await.unwrap().unwrap();
    assert_eq!(
        (operation.state, operation.result),
        (OperationState::Succeeded, Some(json!({"ok": 1})))
    );
    assert!(operation.finished_at.is_some());
    assert!(
        stage
            .ledger
            .claim_operation(Some(id), LEASE)
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn a_released_operation_is_taken_by_the_next() {
    let stage = Stage::new().await;
    an_operation(&stage).await;
    let slice = stage.ledger.claim_operation(None, LEASE).await.unwrap().unwrap();
    assert_eq!(
        stage.ledger.release_operation(&slice).await.unwrap(),
        Fenced::Done
    );
    let next = stage.ledger.claim_operation(None, LEASE).await.unwrap().unwrap();
    assert!(next.fence > slice.fence);
}

#[tokio::test]
async fn an_operation_that_fails_ten_times_in_a_row_is_given_up() {
    let stage = Stage::new().await;
    let id = an_operation(&stage).await;
    for failure in 1..=10 {
        let state = stage.ledger.operation(id).await.unwrap().unwrap().state;
        assert_eq!(state, OperationState::Waiting, "before failure {failure}");
        let slice = stage.ledger.claim_operation(None, LEASE).await.unwrap().unwrap();
        stage
            .ledger
            .fail_slice(&slice, &format!("failure {failure}"))
            .await
            .unwrap();
    }
    let operation = stage.ledger.operation(id).await.unwrap().unwrap();
    assert_eq!(
        (operation.state, operation.error.as_deref()),
        (OperationState::Failed, Some("failure 10"))
    );
    assert!(operation.state.is_over() && operation.finished_at.is_some());
}

/// Killed by its timeout, or for want of memory: nobody is left who could write down why.
#[tokio::test]
async fn an_operation_whose_worker_dies_ten_times_in_a_row_is_given_up() {
    let stage = Stage::new().await;
    let id = an_operation(&stage).await;
    for death in 1..=10 {
        let slice = stage.ledger.claim_operation(None, LEASE).await.unwrap();
        assert!(slice.is_some(), "before death {death}");
        let state = stage.ledger.operation(id).await.unwrap().unwrap().state;
        assert_eq!(state, OperationState::Running, "before death {death}");
        stage
            .database
            .sql("UPDATE operation SET lease_until = UTC_TIMESTAMP(6) - INTERVAL 1 SECOND")
            .await;
    }
    assert!(stage.ledger.claim_operation(None, LEASE).await.unwrap().is_none());
    let operation = stage.ledger.operation(id).await.unwrap().unwrap();
    assert_eq!(operation.state, OperationState::Failed);
    let error = operation.error.unwrap();
    assert!(error.contains("worker died"), "{error}");
    assert!(
        stage
            .ledger
            .claim_operation(Some(id), LEASE)
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn progress_forgives_earlier_failures() {
    let stage = Stage::new().await;
    let id = an_operation(&stage).await;
    for round in 0..12 {
        let slice = stage.ledger.claim_operation(None, LEASE).await.unwrap().unwrap();
        stage
            .ledger
            .save_progress(&slice, &json!({"round": round}), LEASE)
            .await
            .unwrap();
        stage
            .ledger
            .fail_slice(&slice, "the source is busy")
            .await
            .unwrap();
    }
    let operation = stage.ledger.operation(id).await.unwrap().unwrap();
    assert_eq!(operation.state, OperationState::Waiting);
}

#[tokio::test]
async fn operations_of_a_kind_are_listed_newest_first() {
    let stage = Stage::new().await;
    let (first, second) = (an_operation(&stage).await, an_operation(&stage).await);
    let listed = stage
        .ledger
        .operations(&OperationFilter::newest("verify", 10))
        .await
        .unwrap();
    let ids: Vec<_> = listed.iter().map(|operation| operation.id).collect();
    assert_eq!(ids, [second, first]);
    assert!(
        stage
            .ledger
            .operations(&OperationFilter::newest("seed", 10))
            .await
            .unwrap()
            .is_empty()
    );
}
