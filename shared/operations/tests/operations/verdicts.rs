//! Verdicts over a sound archive: when it is complete, when it has drifted, and of which range.

use crate::stand::{Stand, arguments, base, seeded_id};
use granary_domain::Outcome;
use granary_ledger::export::Exception;
use granary_verify::{FindingKind, Step, Verdict, VerifyArguments, VerifyError};
use jiff::SignedDuration;
use serde_json::json;

#[tokio::test]
async fn what_was_exported_as_a_whole_is_complete() {
    let (stand, migration) = Stand::with_exported(120, 3).await;
    let of_migration = VerifyArguments {
        migration: Some(migration),
        ..VerifyArguments::default()
    };
    let report = stand.verify(&of_migration).await;
    assert_eq!(
        (report.verdict, report.account.findings.len()),
        (Verdict::Complete, 0),
        "{report:#?}"
    );
    let counts = report.account.counts;
    assert_eq!((counts.source, counts.ledger, counts.archive), (120, 120, 120));
    let digests = report.account.digests;
    assert!(digests.source == digests.ledger && digests.ledger == digests.archive);
    assert_eq!(report.account.hours, 3);
    assert!(report.account.objects_checked >= 12 && report.account.bytes_read > 0);
    let recorded = stand.ledger.migration(migration).await.unwrap().unwrap();
    assert_eq!(recorded.verdict.as_deref(), Some("COMPLETE"));

    assert_eq!(stand.verify_all().await.verdict, Verdict::Complete);
    let quick = stand
        .verify(&VerifyArguments {
            quick: true,
            ..of_migration
        })
        .await;
    assert_eq!(
        (quick.verdict, quick.account.objects_checked),
        (Verdict::Consistent, 0),
        "{quick:#?}"
    );
}

#[tokio::test]
async fn nothing_anywhere_is_complete() {
    let stand = Stand::new().await;
    stand.seed(&arguments(1, 1)).await;
    stand.delete_document(seeded_id(0).as_str()).await;
    let report = stand.verify_all().await;
    assert_eq!((report.verdict, report.account.hours), (Verdict::Complete, 0));
}

#[tokio::test]
async fn a_range_may_cut_hours_in_two() {
    let (stand, _) = Stand::with_exported(200, 3).await;
    let minutes = |minutes| base() - SignedDuration::from_mins(minutes);
    let middle = VerifyArguments {
        from: Some(minutes(150)),
        to: Some(minutes(30)),
        ..VerifyArguments::default()
    };
    let report = stand.verify(&middle).await;
    assert_eq!(
        (report.verdict, report.account.hours),
        (Verdict::Complete, 3),
        "{report:#?}"
    );
    let counts = report.account.counts;
    assert!(counts.source < 200 && counts.source == counts.ledger && counts.archive == 200);
}

#[tokio::test]
async fn an_id_that_the_source_no_longer_shows_is_drift() {
    let (stand, _) = Stand::with_exported(40, 1).await;
    stand.delete_document(seeded_id(11).as_str()).await;
    let report = stand.verify_all().await;
    assert_eq!(
        (report.verdict, report.account.counts.drifted),
        (Verdict::Drifted, 1),
        "{report:#?}"
    );
    assert_eq!(report.account.findings[0].sample_ids, [seeded_id(11)]);
}

#[tokio::test]
async fn a_message_whose_event_time_moved_is_not_missing() {
    let (stand, _) = Stand::with_exported(20, 1).await;
    let hours_earlier = base() - SignedDuration::from_hours(5);
    stand
        .write(seeded_id(3).as_str(), seeded_id(3).as_str(), hours_earlier)
        .await;
    let report = stand.verify_all().await;
    let counts = report.account.counts;
    assert_eq!(
        (counts.missing, counts.elsewhere, counts.drifted),
        (0, 1, 1),
        "{report:#?}"
    );
    assert_eq!(report.verdict, Verdict::Complete);
}

#[tokio::test]
async fn a_document_with_several_times_ends_no_verification_early() {
    let (stand, _) = Stand::with_exported(60, 3).await;
    let long_before = base() - SignedDuration::from_hours(8);
    let within = base() - SignedDuration::from_mins(90);
    let action = json!({"index": {"_index": stand.index, "_id": "several-times"}});
    let times = [long_before.to_string(), within.to_string()];
    let document = json!({"message_id": seeded_id(0), "created_at": times});
    stand
        .writer
        .bulk(format!("{action}\n{document}\n").into())
        .await
        .unwrap();
    stand.writer.refresh(&[&stand.index]).await.unwrap();
    let report = stand.verify_all().await;
    assert_eq!(
        (report.verdict, report.account.counts.archive),
        (Verdict::Incomplete, 60),
        "it has another document's id: {report:#?}"
    );
    assert_eq!(report.account.counts.merged, 1);
}

#[tokio::test]
async fn e1_a_tombstone_is_complete_as_long_as_the_source_does_not_show_it() {
    let stand = Stand::new().await;
    stand.seed(&arguments(10, 1)).await;
    stand.harvest(None).await;
    let batch = stand.ledger.unsent(None, 1).await.unwrap()[0].batch_id;
    let message_id = stand.ledger.messages_of(batch).await.unwrap()[0]
        .message_id
        .clone();
    let reason = "gone".to_owned();
    let gone = Exception {
        message_id: message_id.clone(),
        outcome: Outcome::Missing,
        reason,
    };
    stand.export(batch, &[gone]).await;
    stand.export_all().await;

    let report = stand.verify_all().await;
    assert_eq!(
        (report.verdict, report.account.counts.missing),
        (Verdict::Incomplete, 1),
        "{report:#?}"
    );
    stand.delete_document(message_id.as_str()).await;
    let report = stand.verify_all().await;
    assert_eq!(
        (report.verdict, report.account.counts.tombstones),
        (Verdict::Complete, 1),
        "{report:#?}"
    );
}

#[tokio::test]
async fn e8_a_quarantined_message_is_named_and_incomplete() {
    let stand = Stand::new().await;
    stand.seed(&arguments(10, 1)).await;
    stand.harvest(None).await;
    let batch = stand.ledger.unsent(None, 1).await.unwrap()[0].batch_id;
    let message_id = stand.ledger.messages_of(batch).await.unwrap()[0]
        .message_id
        .clone();
    let reason = "too large".to_owned();
    let poison = Exception {
        message_id: message_id.clone(),
        outcome: Outcome::Quarantined,
        reason,
    };
    stand.export(batch, &[poison]).await;
    stand.export_all().await;
    let report = stand.verify_all().await;
    let finding = &report.account.findings[0];
    assert_eq!(
        (report.verdict, finding.kind),
        (Verdict::Incomplete, FindingKind::Quarantined)
    );
    assert_eq!(finding.sample_ids, [message_id]);
}

#[tokio::test]
async fn a_selection_asks_only_for_what_its_filter_matches() {
    let stand = Stand::new().await;
    stand.seed(&arguments(60, 2)).await;
    let filter = json!({"term": {"channel": "mail"}});
    let selection = stand.harvest(Some(filter)).await;
    stand.export_all().await;
    let of_selection = VerifyArguments {
        migration: Some(selection),
        ..VerifyArguments::default()
    };
    let report = stand.verify(&of_selection).await;
    assert_eq!(report.verdict, Verdict::Complete, "{report:#?}");
    assert!(report.account.counts.source < 60);
    assert_eq!(stand.verify_all().await.verdict, Verdict::Incomplete);
}

#[tokio::test]
async fn an_hour_that_is_too_large_for_one_step_takes_several() {
    let (stand, _) = Stand::with_exported(20, 1).await;
    let everything = VerifyArguments::default();
    let (mut steps, mut progress) = (0, None);
    let report = loop {
        match stand.verifier.step(&everything, progress, 7).await.unwrap() {
            Step::More(more) => progress = Some(*more),
            Step::Done(report) => break report,
            Step::TooLarge { messages } => panic!("{messages}"),
        }
        steps += 1;
    };
    assert!(steps > 3, "{steps}");
    let counts = report.account.counts;
    assert_eq!(
        (
            report.verdict,
            report.account.hours,
            counts.source,
            counts.ledger,
            counts.archive
        ),
        (Verdict::Complete, 1, 20, 20, 20),
        "{report:#?}"
    );
}

#[tokio::test]
async fn h10_an_empty_range_and_an_unknown_migration_are_errors() {
    let stand = Stand::new().await;
    let future = base() + SignedDuration::from_hours(24 * 365 * 50);
    let ahead = VerifyArguments {
        from: Some(future),
        ..VerifyArguments::default()
    };
    let error = stand.verifier.step(&ahead, None, u64::MAX).await.unwrap_err();
    assert!(matches!(error, VerifyError::EmptyRange(_)), "{error}");
    let unknown = VerifyArguments {
        migration: Some(granary_domain::MigrationId::new()),
        ..VerifyArguments::default()
    };
    let error = stand.verifier.step(&unknown, None, u64::MAX).await.unwrap_err();
    assert!(matches!(error, VerifyError::UnknownMigration(_)), "{error}");
}
