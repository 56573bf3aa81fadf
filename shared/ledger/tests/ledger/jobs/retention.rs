//! Alerts, audit entries and operations of long ago: what is forgotten, and what never is.

use crate::stage::{LEASE, Stage, failure};
use granary_ledger::jobs::{Forgotten, NewOperation};
use granary_ledger::settings::Audit;
use std::time::Duration;
use uuid::Uuid;

const KEPT: Duration = Duration::from_secs(400 * 86_400);

impl Stage {
    /// As if everything so far had been 401 days ago.
    async fn let_401_days_pass(&self) {
        for statement in [
            "UPDATE alert SET created_at = created_at - INTERVAL 401 DAY",
            "UPDATE audit SET at = at - INTERVAL 401 DAY",
            "UPDATE operation SET created_at = created_at - INTERVAL 401 DAY, \
             finished_at = finished_at - INTERVAL 401 DAY",
        ] {
            self.database.sql(statement).await;
        }
    }

    async fn publish_all(&self) {
        let alerts = self.ledger.unpublished_alerts(100).await.unwrap();
        let ids: Vec<u64> = alerts.iter().map(|alert| alert.id).collect();
        self.ledger.mark_published(&ids).await.unwrap();
    }

    async fn parked(&self, id: &str) -> granary_domain::BatchId {
        let batch = self.batch(&[id]).await;
        let claimed = self.claim(batch, "worker").await;
        let parked = self.ledger.fail(&claimed, &failure(), Duration::ZERO, 1).await;
        parked.unwrap();
        batch
    }

    async fn happened(&self, subject: &str) {
        let raised = self
            .ledger
            .raise_alert("archive_conflict", subject, "archive_conflict", "text");
        raised.await.unwrap();
    }

    async fn operation(&self) -> Uuid {
        let operation = NewOperation {
            id: Uuid::now_v7(),
            kind: "verify".into(),
            arguments: serde_json::json!({}),
            requested_by: "test".into(),
        };
        self.ledger.make_operation(&operation).await.unwrap();
        operation.id
    }

    async fn audited(&self, action: &'static str) {
        let audit = Audit {
            who: "operator".into(),
            address: None,
            action,
            arguments: serde_json::json!({}),
            effect: None,
            reason: None,
            request_id: None,
        };
        self.ledger.record_audit(&audit).await.unwrap();
    }

    async fn publish_all_but(&self, subject: &str) {
        let statement = format!(
            "UPDATE alert SET published_at = UTC_TIMESTAMP(6) WHERE published_at IS NULL AND subject_key <> '{subject}'"
        );
        self.database.sql(&statement).await;
    }

    async fn forget(&self, limit: u32) -> Forgotten {
        self.ledger.forget_old_records(KEPT, limit).await.unwrap()
    }
}

#[tokio::test]
async fn alerts_that_are_over_are_forgotten_and_open_or_unpublished_ones_never() {
    let stage = Stage::new().await;
    let ledger = &stage.ledger;
    for cause in ["lasts", "is over"] {
        assert!(ledger.begin_condition("deferred", cause, "text").await.unwrap());
    }
    assert!(ledger.end_condition("deferred", "is over", "over").await.unwrap());
    stage.happened("once").await;
    stage.parked("still parked").await;
    let retried = stage.parked("retried").await;
    ledger.unpark(&[retried]).await.unwrap();
    stage.publish_all().await;
    stage.happened("unpublished").await;
    stage.let_401_days_pass().await;
    stage.happened("young").await;
    stage.publish_all_but("unpublished").await;

    let forgotten = stage.forget(100).await;
    assert_eq!(
        forgotten,
        Forgotten {
            alerts: 3,
            ..Forgotten::default()
        }
    );
    let left: Vec<(String, String)> = stage
        .database
        .rows("SELECT kind, IF(kind = 'parked', 'still parked', CONVERT(subject_key USING utf8mb4)) FROM alert ORDER BY id")
        .await;
    let row = |kind: &str, subject: &str| (kind.to_owned(), subject.to_owned());
    assert_eq!(
        left,
        [
            row("deferred", "lasts"),
            row("parked", "still parked"),
            row("archive_conflict", "unpublished"),
            row("archive_conflict", "young"),
        ]
    );
}

#[tokio::test]
async fn operations_that_go_on_are_kept_and_those_that_ended_long_ago_forgotten() {
    let stage = Stage::new().await;
    let ledger = &stage.ledger;
    let ended = stage.operation().await;
    let slice = ledger.claim_operation(Some(ended), LEASE).await;
    let slice = slice.unwrap().expect("it waits");
    ledger
        .finish_operation(&slice, &serde_json::json!({}))
        .await
        .unwrap();
    let waits = stage.operation().await;
    stage.let_401_days_pass().await;
    assert_eq!(stage.forget(100).await.operations, 1);
    assert!(ledger.operation(ended).await.unwrap().is_none());
    assert!(ledger.operation(waits).await.unwrap().is_some());
}

#[tokio::test]
async fn old_records_are_forgotten_some_at_a_time_and_looked_for_once_a_day() {
    let stage = Stage::new().await;
    for _ in 0..5 {
        stage.audited("old").await;
    }
    stage.let_401_days_pass().await;
    stage.audited("young").await;
    let mut rounds = Vec::new();
    for _ in 0..4 {
        let forgotten = stage.forget(2).await;
        rounds.push((forgotten.audit, forgotten.has_more));
    }
    assert_eq!(rounds, [(2, true), (2, true), (1, false), (0, false)]);
    let left: Vec<String> = stage.database.rows("SELECT action FROM audit").await;
    assert_eq!(left, ["young"]);

    stage.let_401_days_pass().await;
    assert_eq!(stage.forget(2).await.audit, 0, "today it was done");
    stage
        .database
        .sql("UPDATE control SET changed_at = changed_at - INTERVAL 25 HOUR WHERE name = 'records.forgotten'")
        .await;
    assert_eq!(stage.forget(2).await.audit, 1);
}
