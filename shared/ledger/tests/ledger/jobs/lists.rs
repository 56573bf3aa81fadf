//! Alerts and operations as people look back at them.

use crate::stage::{Stage, failure};
use granary_ledger::jobs::{AlertFilter, NewOperation, OperationFilter, OperationState};
use jiff::SignedDuration;
use std::time::Duration;
use uuid::Uuid;

fn alerts(limit: u32) -> AlertFilter {
    AlertFilter {
        limit,
        ..AlertFilter::default()
    }
}

#[tokio::test]
async fn an_alert_is_open_as_long_as_what_it_is_about_lasts() {
    let stage = Stage::new().await;
    let claimed = stage.claimed().await;
    stage
        .ledger
        .fail(&claimed, &failure(), Duration::ZERO, 1)
        .await
        .unwrap();
    stage
        .ledger
        .begin_condition("failure_rate", "failure_rate", "too many")
        .await
        .unwrap();
    stage
        .ledger
        .raise_alert("archive_conflict", "7.1", "archive_conflict", "foreign")
        .await
        .unwrap();
    assert_eq!(stage.ledger.open_alerts().await.unwrap(), 2);
    let open = async |is_open: bool| -> Vec<String> {
        let filter = AlertFilter {
            open: Some(is_open),
            ..alerts(10)
        };
        let found = stage.ledger.alerts(&filter).await.unwrap();
        assert!(found.iter().all(|alert| alert.is_open == is_open));
        found.into_iter().map(|alert| alert.kind).collect()
    };
    assert_eq!(open(true).await, ["failure_rate", "parked"]);
    assert_eq!(open(false).await, ["archive_conflict"]);
    stage.ledger.end_storms().await.unwrap();
    assert_eq!(open(true).await, ["failure_rate", "parked"], "it is still parked");
    stage.ledger.unpark(&[claimed.id]).await.unwrap();
    stage.ledger.end_storms().await.unwrap();
    stage
        .ledger
        .end_condition("failure_rate", "failure_rate", "over")
        .await
        .unwrap();
    assert_eq!(stage.ledger.open_alerts().await.unwrap(), 0);
    assert!(open(true).await.is_empty());
}

#[tokio::test]
async fn alerts_come_newest_first_page_by_page_and_by_kind() {
    let stage = Stage::new().await;
    for number in 0..5 {
        let kind = if number % 2 == 0 { "even" } else { "odd" };
        stage
            .ledger
            .raise_alert(kind, &number.to_string(), "cause", "text")
            .await
            .unwrap();
    }
    let subjects = async |filter: AlertFilter| -> Vec<String> {
        let found = stage.ledger.alerts(&filter).await.unwrap();
        found.into_iter().map(|alert| alert.subject).collect()
    };
    assert_eq!(subjects(alerts(2)).await, ["4", "3"]);
    let last = stage.ledger.alerts(&alerts(2)).await.unwrap()[1].id;
    let page = AlertFilter {
        before: Some(last),
        ..alerts(2)
    };
    assert_eq!(subjects(page).await, ["2", "1"]);
    let odd = AlertFilter {
        kind: Some("odd".into()),
        ..alerts(10)
    };
    assert_eq!(subjects(odd).await, ["3", "1"]);
    let now = stage.ledger.now().await.unwrap();
    let hours = SignedDuration::from_hours;
    let lately = |from, to| AlertFilter {
        from: Some(now + from),
        to: Some(now + to),
        ..alerts(10)
    };
    assert!(subjects(lately(hours(1), hours(2))).await.is_empty());
    assert_eq!(subjects(lately(hours(-1), hours(1))).await.len(), 5);
}

#[tokio::test]
async fn operations_of_any_kind_are_listed_by_state_and_page_by_page() {
    let stage = Stage::new().await;
    let mut ids = Vec::new();
    for kind in ["verify", "sweep", "verify"] {
        let new = NewOperation {
            id: Uuid::now_v7(),
            kind: kind.into(),
            arguments: serde_json::json!({}),
            requested_by: "test".into(),
        };
        stage.ledger.make_operation(&new).await.unwrap();
        ids.push(new.id);
    }
    let slice = stage
        .ledger
        .claim_operation(Some(ids[0]), Duration::from_secs(90))
        .await
        .unwrap()
        .unwrap();
    stage
        .ledger
        .finish_operation(&slice, &serde_json::json!({"verdict": "COMPLETE"}))
        .await
        .unwrap();
    let found = async |filter: OperationFilter| -> Vec<Uuid> {
        let operations = stage.ledger.operations_by(&filter).await.unwrap();
        operations.iter().map(|operation| operation.id).collect()
    };
    let all = OperationFilter {
        limit: 10,
        ..OperationFilter::default()
    };
    assert_eq!(found(all.clone()).await, [ids[2], ids[1], ids[0]]);
    let under_way = OperationFilter {
        states: vec![OperationState::Waiting, OperationState::Running],
        ..all.clone()
    };
    assert_eq!(found(under_way).await, [ids[2], ids[1]]);
    let verifications = OperationFilter {
        kind: Some("verify".into()),
        before: Some(ids[2]),
        ..all.clone()
    };
    assert_eq!(found(verifications).await, [ids[0]]);
    let now = stage.ledger.now().await.unwrap();
    let later = OperationFilter {
        from: Some(now + SignedDuration::from_hours(1)),
        ..all.clone()
    };
    assert!(found(later).await.is_empty());
    let earlier = OperationFilter {
        from: Some(now - SignedDuration::from_hours(1)),
        to: Some(now + SignedDuration::from_hours(1)),
        ..all
    };
    assert_eq!(found(earlier).await.len(), 3);
}

#[tokio::test]
async fn a_verdict_is_told_with_what_it_is_about_and_without_its_findings() {
    let stage = Stage::new().await;
    let mut ids = Vec::new();
    for kind in ["verify", "sweep", "verify"] {
        let new = NewOperation {
            id: Uuid::now_v7(),
            kind: kind.into(),
            arguments: serde_json::json!({}),
            requested_by: "test".into(),
        };
        stage.ledger.make_operation(&new).await.unwrap();
        ids.push(new.id);
    }
    let lease = Duration::from_secs(90);
    let slice = stage.ledger.claim_operation(Some(ids[0]), lease).await;
    let scope = serde_json::json!({"from": "2026-11-22T06:00:00Z", "to": "2026-11-22T07:00:00Z"});
    let result = serde_json::json!({"findings": ["\"verdict\""], "scope": scope, "verdict": "DRIFTED"});
    stage
        .ledger
        .finish_operation(&slice.unwrap().unwrap(), &result)
        .await
        .unwrap();
    let verdicts = stage.ledger.verdicts("verify", 10).await.unwrap();
    let told: Vec<_> = verdicts
        .iter()
        .map(|brief| (brief.operation.id, brief.verdict.as_deref(), brief.scope.as_ref()))
        .collect();
    assert_eq!(
        told,
        [(ids[2], None, None), (ids[0], Some("DRIFTED"), Some(&scope))]
    );
    assert_eq!(stage.ledger.verdicts("verify", 1).await.unwrap().len(), 1);
}
