//! What is broken on purpose is found and named.

use crate::stand::{Stand, arguments, base};
use granary_domain::{Cause, Failure, ObjectKey};
use granary_ledger::export::Fenced;
use granary_verify::{Finding, FindingKind, Report, Verdict, VerifyArguments};
use jiff::SignedDuration;
use std::time::Duration;

/// The only finding of a kind.
fn only(report: &Report, kind: FindingKind) -> &Finding {
    let findings: Vec<&Finding> = report
        .account
        .findings
        .iter()
        .filter(|finding| finding.kind == kind)
        .collect();
    assert_eq!(findings.len(), 1, "{report:#?}");
    findings[0]
}

async fn quick_verdict(stand: &Stand) -> Verdict {
    stand
        .verify(&VerifyArguments {
            quick: true,
            ..VerifyArguments::default()
        })
        .await
        .verdict
}

#[tokio::test]
async fn an_object_that_was_deleted_is_named_by_its_key() {
    let (stand, _) = Stand::with_exported(40, 1).await;
    let key = stand.keys("dt=").await.remove(1);
    stand.archive.delete(&key).await.unwrap();
    let report = stand.verify_all().await;
    let finding = only(&report, FindingKind::ObjectMissing);
    assert_eq!(
        (report.verdict, finding.key.as_ref(), finding.messages),
        (Verdict::Incomplete, Some(&key), 10)
    );
    assert_eq!(report.account.counts.unreadable, 10);
    assert_eq!(quick_verdict(&stand).await, Verdict::Inconsistent);
}

#[tokio::test]
async fn a_single_flipped_byte_is_found() {
    let (stand, _) = Stand::with_exported(40, 1).await;
    let key = stand.keys("dt=").await.remove(0);
    let mut bytes = stand.read(&key).await;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    stand.overwrite(&key, bytes).await;
    let report = stand.verify_all().await;
    let finding = report
        .account
        .findings
        .iter()
        .find(|finding| finding.key.as_ref() == Some(&key));
    let kind = finding.expect("the object is named").kind;
    assert!(
        matches!(kind, FindingKind::ObjectCorrupt | FindingKind::ObjectDiffers),
        "{report:#?}"
    );
    assert_eq!(report.verdict, Verdict::Incomplete);
}

#[tokio::test]
async fn another_batchs_object_in_its_place_is_found() {
    let (stand, _) = Stand::with_exported(40, 1).await;
    let keys = stand.keys("dt=").await;
    stand.overwrite(&keys[0], stand.read(&keys[1]).await).await;
    let report = stand.verify_all().await;
    let finding = only(&report, FindingKind::ObjectDiffers);
    assert_eq!(
        (report.verdict, finding.key.as_ref()),
        (Verdict::Incomplete, Some(&keys[0]))
    );
}

#[tokio::test]
async fn a_message_that_was_never_recorded_is_named_by_its_id() {
    let (stand, _) = Stand::with_exported(40, 1).await;
    stand
        .write("late", "late arrival", base() - SignedDuration::from_mins(7))
        .await;
    let report = stand.verify_all().await;
    let finding = only(&report, FindingKind::MissingFromArchive);
    assert_eq!(
        (report.verdict, report.account.counts.missing),
        (Verdict::Incomplete, 1)
    );
    assert_eq!(finding.sample_ids[0].as_str(), "late arrival");
    assert_eq!(quick_verdict(&stand).await, Verdict::Inconsistent);
}

#[tokio::test]
async fn a_batch_that_is_not_completed_is_not_yet_exported_and_its_object_no_orphan() {
    let stand = Stand::new().await;
    stand.seed(&arguments(20, 1)).await;
    stand.harvest(None).await;
    let batch = stand.ledger.unsent(None, 1).await.unwrap()[0].batch_id;
    let claimed = stand.claim(batch).await;
    stand.put_object(&claimed, &[]).await;
    stand.export_all().await;
    let report = stand.verify_all().await;
    let finding = only(&report, FindingKind::NotYetExported);
    assert_eq!((report.verdict, finding.messages), (Verdict::Pending, 10));
    assert_eq!(
        (report.account.findings.len(), report.account.counts.open),
        (1, 10),
        "{report:#?}"
    );
}

#[tokio::test]
async fn batches_that_wait_in_any_way_are_pending_and_never_hide_a_missing_message_nor_are_hidden_by_drift() {
    let stand = Stand::new().await;
    stand.seed(&arguments(40, 1)).await;
    stand.harvest(None).await;
    let batches: Vec<_> = stand.ledger.unsent(None, 4).await.unwrap();
    let [done, failed, parked, _] = [0, 1, 2, 3].map(|number: usize| batches[number].batch_id);
    stand.export(done, &[]).await;
    let failure = Failure {
        cause: Cause::Unexpected,
        text: "a test".to_owned(),
    };
    for (batch, attempts_max) in [(failed, 5), (parked, 1)] {
        let claimed = stand.claim(batch).await;
        let failed = stand
            .ledger
            .fail(&claimed, &failure, Duration::ZERO, attempts_max);
        assert_eq!(failed.await.unwrap(), Fenced::Done);
    }
    let drifted = stand.ledger.messages_of(done).await.unwrap().remove(0).message_id;
    stand.delete_document(drifted.as_str()).await;
    let report = stand.verify_all().await;
    assert_eq!(
        (
            report.verdict,
            only(&report, FindingKind::NotYetExported).messages
        ),
        (Verdict::Pending, 30),
        "{report:#?}"
    );
    assert_eq!(report.account.counts.drifted, 1);

    stand
        .write("late", "late arrival", base() - SignedDuration::from_mins(7))
        .await;
    let report = stand.verify_all().await;
    assert_eq!(
        (
            report.verdict,
            only(&report, FindingKind::NotYetExported).messages,
            only(&report, FindingKind::MissingFromArchive).messages
        ),
        (Verdict::Incomplete, 30, 1),
        "{report:#?}"
    );
}

#[tokio::test]
async fn a_batch_whose_messages_are_gone_at_the_source_is_pending_until_it_is_completed() {
    let stand = Stand::new().await;
    stand.seed(&arguments(20, 1)).await;
    stand.harvest(None).await;
    let waiting = stand.ledger.unsent(None, 1).await.unwrap()[0].batch_id;
    let claimed = stand.claim(waiting).await;
    stand.export_all().await;
    for message in stand.ledger.messages_of(claimed.id).await.unwrap() {
        stand.delete_document(message.message_id.as_str()).await;
    }
    let report = stand.verify_all().await;
    assert_eq!(
        (report.verdict, report.account.counts.open),
        (Verdict::Pending, 10),
        "{report:#?}"
    );
}

#[tokio::test]
async fn a_foreign_object_is_an_orphan_and_no_reason_to_doubt_the_others() {
    let (stand, _) = Stand::with_exported(20, 1).await;
    let sibling = stand.keys("dt=").await.remove(0);
    let (folder, _) = sibling.as_str().rsplit_once('/').unwrap();
    for name in ["foreign.ndjson", "batch-1-g9.ndjson.zst"] {
        let key = ObjectKey::from_record(format!("{folder}/{name}"));
        stand.overwrite(&key, b"{}".to_vec()).await;
        let report = stand.verify_all().await;
        let finding = only(&report, FindingKind::Orphan);
        assert_eq!(
            (report.verdict, finding.key.as_ref()),
            (Verdict::Complete, Some(&key))
        );
        stand.archive.delete(&key).await.unwrap();
    }
}

/// Ids, checksum and the ledger's counts agree: only the entries of metadata in the object tell.
#[tokio::test]
async fn e16_a_manifest_that_counts_other_metadata_than_its_object_holds_is_named() {
    let (stand, _) = Stand::with_exported(20, 1).await;
    let key = stand.keys("_manifests/").await.remove(0);
    let manifest = stand.archive.manifest(&key).await.unwrap().unwrap();
    let changed = granary_domain::Manifest {
        metadata: [("history".to_owned(), 1)].into(),
        ..manifest
    };
    stand.archive.put_manifest(&key, &changed).await.unwrap();
    let report = stand.verify_all().await;
    assert_eq!(report.verdict, Verdict::Incomplete);
    let finding = only(&report, FindingKind::ManifestDiffers);
    assert_eq!(finding.key.as_ref(), Some(&key));
    assert!(finding.text.contains("count of metadata"), "{}", finding.text);
}

#[tokio::test]
async fn a_manifest_that_is_gone_or_says_something_else_is_named() {
    let (stand, _) = Stand::with_exported(20, 1).await;
    let keys = stand.keys("_manifests/").await;
    let (gone, other) = (&keys[0], &keys[1]);
    let manifest = stand.archive.manifest(other).await.unwrap().unwrap();
    stand.archive.delete(gone).await.unwrap();
    let changed = granary_domain::Manifest {
        exported: manifest.exported + 1,
        ..manifest
    };
    stand.archive.put_manifest(other, &changed).await.unwrap();
    let report = stand.verify_all().await;
    assert_eq!(report.verdict, Verdict::Incomplete);
    assert_eq!(
        only(&report, FindingKind::ManifestMissing).key.as_ref(),
        Some(gone)
    );
    assert_eq!(
        only(&report, FindingKind::ManifestDiffers).key.as_ref(),
        Some(other)
    );
    assert_eq!(quick_verdict(&stand).await, Verdict::Inconsistent);
}
