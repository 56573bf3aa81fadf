//! What operators did stays on record, once.

use crate::stage::{Stage, instant};
use granary_ledger::settings::{Audit, AuditFilter};
use serde_json::json;

fn done(action: &'static str, request: Option<&str>) -> Audit {
    Audit {
        who: "ada".into(),
        address: Some("203.0.113.7".into()),
        action,
        arguments: json!({"limit": 5}),
        effect: Some(json!({"before": 1, "after": 2})),
        request_id: request.map(str::to_owned),
        reason: Some("the disk was full".into()),
    }
}

fn newest(limit: u32) -> AuditFilter {
    AuditFilter {
        limit,
        ..AuditFilter::default()
    }
}

#[tokio::test]
async fn what_one_request_did_is_written_once_however_often_it_is_written() {
    let stage = Stage::new().await;
    let first = done("tune", Some("request-1"));
    stage.ledger.record_audit(&first).await.unwrap();
    let mut again = first.clone();
    again.effect = Some(json!({"before": 2, "after": 2}));
    stage.ledger.record_audit(&again).await.unwrap();
    let entries = stage.ledger.audit_entries(&newest(10)).await.unwrap();
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].effect, first.effect, "as it was when it was done");
    assert_eq!(entries[0].reason.as_deref(), Some("the disk was full"));
    assert_eq!(entries[0].who, "ada");
    assert_eq!(entries[0].address.as_deref(), Some("203.0.113.7"));
    assert_eq!(entries[0].request_id.as_deref(), Some("request-1"));
}

#[tokio::test]
async fn what_was_begun_is_told_to_its_end_in_the_same_entry() {
    let stage = Stage::new().await;
    let done = done("migrate.process_all", Some("request-1"));
    let mut begun = done.clone();
    begun.effect = Some(json!({ Audit::BEGUN: { "unsent": 1 } }));
    stage.ledger.record_audit(&begun).await.unwrap();
    let effects = || async {
        let entries = stage.ledger.audit_entries(&newest(10)).await.unwrap();
        Vec::from_iter(entries.into_iter().map(|entry| entry.effect))
    };
    assert_eq!(effects().await, std::slice::from_ref(&begun.effect));
    stage.ledger.record_audit(&done).await.unwrap();
    assert_eq!(effects().await, std::slice::from_ref(&done.effect));
    stage.ledger.record_audit(&begun).await.unwrap();
    assert_eq!(
        effects().await,
        [done.effect],
        "whoever begins again forgets nothing"
    );
}

#[tokio::test]
async fn other_requests_actions_and_arguments_are_rows_of_their_own() {
    let stage = Stage::new().await;
    let mut other_arguments = done("tune", Some("request-1"));
    other_arguments.arguments = json!({"limit": 6});
    for audit in [
        done("tune", Some("request-1")),
        done("tune", Some("request-2")),
        done("pause", Some("request-1")),
        other_arguments,
        done("tune", None),
        done("tune", None),
    ] {
        stage.ledger.record_audit(&audit).await.unwrap();
    }
    assert_eq!(stage.ledger.audit_entries(&newest(10)).await.unwrap().len(), 6);
}

#[tokio::test]
async fn a_reason_of_any_length_and_an_id_of_any_kind_are_taken() {
    let stage = Stage::new().await;
    let mut audit = done("tune", Some(&"ü\u{0}x".repeat(200)));
    audit.reason = Some("ü".repeat(2_000));
    stage.ledger.record_audit(&audit).await.unwrap();
    let entries = stage.ledger.audit_entries(&newest(1)).await.unwrap();
    assert_eq!(
        entries[0].reason.as_ref().map(|reason| reason.chars().count()),
        Some(500)
    );
    assert_eq!(entries[0].request_id.as_deref(), Some("x".repeat(128).as_str()));
}

#[tokio::test]
async fn entries_are_found_by_who_what_and_when_page_by_page() {
    let stage = Stage::new().await;
    for number in 0..5 {
        let action = if number % 2 == 0 { "tune" } else { "pause" };
        let request = format!("request-{number}");
        stage
            .ledger
            .record_audit(&done(action, Some(&request)))
            .await
            .unwrap();
    }
    stage
        .database
        .sql("UPDATE audit SET at = '2026-01-01', who = 'somebody' WHERE id = 1")
        .await;
    let found = async |filter: AuditFilter| -> Vec<u64> {
        let entries = stage.ledger.audit_entries(&filter).await.unwrap();
        entries.iter().map(|entry| entry.id).collect()
    };
    assert_eq!(found(newest(2)).await, [5, 4]);
    let page = AuditFilter {
        before: Some(4),
        ..newest(2)
    };
    assert_eq!(found(page).await, [3, 2]);
    let by_action = AuditFilter {
        action: Some("pause".into()),
        ..newest(10)
    };
    assert_eq!(found(by_action).await, [4, 2]);
    let by_who = AuditFilter {
        who: Some("somebody".into()),
        ..newest(10)
    };
    assert_eq!(found(by_who).await, [1]);
    let early = AuditFilter {
        from: Some(instant("2025-12-31T00:00:00Z")),
        to: Some(instant("2026-01-02T00:00:00Z")),
        ..newest(10)
    };
    assert_eq!(found(early).await, [1]);
}
