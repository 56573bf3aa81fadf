//! What the source shows and the archive can't hold: INCOMPLETE until an operator accepts it.

use crate::stand::{Stand, arguments, base, seeded_id};
use granary_domain::{ExceptionKind, Outcome};
use granary_ledger::export::Exception;
use granary_ledger::integrity::Acceptance;
use granary_verify::{FindingKind, Report, Verdict, VerifyArguments};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

fn ago(minutes: i64) -> Timestamp {
    base() - SignedDuration::from_mins(minutes)
}

impl Stand {
    async fn accept(&self, kind: ExceptionKind, max: u64) {
        let acceptance = Acceptance {
            kind,
            index: &self.index,
            max,
            reason: "a test",
        };
        self.ledger.accept_exceptions(&acceptance, "test").await.unwrap();
    }

    async fn write_raw(&self, action: Value, document: Value) {
        let mut action = action;
        action["_index"] = json!(self.index);
        let body = format!("{}\n{document}\n", json!({ "index": action }));
        self.writer.bulk(body.into()).await.unwrap();
        self.writer.refresh(&[&self.index]).await.unwrap();
    }
}

fn found(report: &Report) -> Vec<(ExceptionKind, u64, bool)> {
    let found = report.account.exceptions.found().iter();
    found.map(|one| (one.kind, one.messages, one.accepted)).collect()
}

#[tokio::test]
async fn h18_two_documents_of_an_hour_with_one_id_are_incomplete_until_an_operator_accepts_them() {
    let (stand, _) = Stand::with_exported(20, 1).await;
    stand.write("another", seeded_id(3).as_str(), ago(5)).await;
    let report = stand.verify_all().await;
    assert_eq!(
        (
            report.verdict,
            report.account.counts.source,
            report.account.counts.merged
        ),
        (Verdict::Incomplete, 20, 1),
        "{report:#?}"
    );
    assert_eq!(found(&report), [(ExceptionKind::MergedId, 1, false)]);
    assert_eq!(report.account.findings[0].sample_ids, [seeded_id(3)]);
    stand.accept(ExceptionKind::MergedId, 1).await;
    let report = stand.verify_all().await;
    assert_eq!(
        (report.verdict, report.accepted_exceptions),
        (Verdict::Complete, 1)
    );
    let part = VerifyArguments {
        to: Some(ago(60)),
        from: Some(ago(120)),
        ..VerifyArguments::default()
    };
    assert_eq!(
        stand.verify(&part).await.accepted_exceptions,
        0,
        "it lies outside"
    );
    stand.write("one-more", seeded_id(4).as_str(), ago(6)).await;
    let report = stand.verify_all().await;
    assert_eq!(
        (report.verdict, report.accepted_exceptions),
        (Verdict::Incomplete, 0)
    );
}

#[tokio::test]
async fn h18_two_documents_in_two_hours_with_one_id_are_told_from_one_that_moved() {
    let (stand, _) = Stand::with_exported(40, 2).await;
    let moved = seeded_id(1);
    stand.delete_document(moved.as_str()).await;
    stand.write("moved", moved.as_str(), ago(60 * 7)).await;
    let report = stand.verify_all().await;
    assert_eq!(
        (
            report.verdict,
            report.account.counts.merged,
            report.account.counts.elsewhere
        ),
        (Verdict::Complete, 0, 1),
        "{report:#?}"
    );
    stand.write("twin", seeded_id(3).as_str(), ago(60 * 7)).await;
    stand
        .write("triplet", seeded_id(3).as_str(), ago(60 * 7 + 1))
        .await;
    let report = stand.verify_all().await;
    assert_eq!(
        (report.verdict, found(&report)),
        (Verdict::Incomplete, vec![(ExceptionKind::MergedId, 2, false)]),
        "{report:#?}"
    );
    stand.accept(ExceptionKind::MergedId, 2).await;
    assert_eq!(stand.verify_all().await.verdict, Verdict::Complete);
}

#[tokio::test]
async fn h18_documents_without_a_usable_id_are_named_by_their_index_and_one_more_than_accepted_is_incomplete()
{
    let (stand, _) = Stand::with_exported(20, 1).await;
    let time = ago(5);
    let long = "x".repeat(600);
    for (action, document) in [
        (json!({"_id": "absent"}), json!({"created_at": time})),
        (
            json!({"_id": "two"}),
            json!({"created_at": time, "message_id": ["a", "b"]}),
        ),
        (
            json!({"_id": "long"}),
            json!({"created_at": time, "message_id": long}),
        ),
        (
            json!({"_id": "routed", "routing": long}),
            json!({"created_at": time, "message_id": "routed"}),
        ),
    ] {
        stand.write_raw(action, document).await;
    }
    let report = stand.verify_all().await;
    assert_eq!(
        (report.verdict, found(&report), report.account.counts.without_id),
        (Verdict::Incomplete, vec![(ExceptionKind::WithoutId, 4, false)], 4),
        "{report:#?}"
    );
    let finding = &report.account.findings[0];
    assert_eq!((finding.kind, finding.messages), (FindingKind::WithoutId, 4));
    for part in [stand.index.as_str(), "absent", "routed"] {
        assert!(finding.text.contains(part), "{}", finding.text);
    }
    stand.accept(ExceptionKind::WithoutId, 4).await;
    let report = stand.verify_all().await;
    assert_eq!(
        (report.verdict, report.accepted_exceptions),
        (Verdict::Complete, 4)
    );
    stand.accept(ExceptionKind::WithoutId, 3).await;
    assert_eq!(stand.verify_all().await.verdict, Verdict::Incomplete);
    stand.accept(ExceptionKind::WithoutId, 0).await;
    assert!(stand.ledger.accepted_exceptions().await.unwrap().is_empty());
}

#[tokio::test]
async fn h18_a_quarantined_message_is_complete_once_an_operator_accepts_it() {
    let stand = Stand::new().await;
    stand.seed(&arguments(10, 1)).await;
    stand.harvest(None).await;
    let batch = stand.ledger.unsent(None, 1).await.unwrap()[0].batch_id;
    let message_id = stand.ledger.messages_of(batch).await.unwrap()[0]
        .message_id
        .clone();
    let poison = Exception {
        message_id,
        outcome: Outcome::Quarantined,
        reason: "too large".to_owned(),
    };
    stand.export(batch, &[poison]).await;
    stand.export_all().await;
    assert_eq!(stand.verify_all().await.verdict, Verdict::Incomplete);
    stand.accept(ExceptionKind::Quarantined, 1).await;
    let report = stand.verify_all().await;
    assert_eq!(
        (report.verdict, found(&report)),
        (Verdict::Complete, vec![(ExceptionKind::Quarantined, 1, true)]),
        "{report:#?}"
    );
    stand.write("late", "late arrival", ago(7)).await;
    assert_eq!(stand.verify_all().await.verdict, Verdict::Incomplete);
}
