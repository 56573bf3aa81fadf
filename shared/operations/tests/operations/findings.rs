//! What is broken on purpose is found and named.

use crate::stand::{Stand, arguments, base};
use granary_domain::ObjectKey;
use granary_verify::{Finding, FindingKind, Report, Verdict, VerifyArguments};
use jiff::SignedDuration;

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
    let batch = stand.ledger.unsent(1).await.unwrap()[0].batch_id;
    let claimed = stand.claim(batch).await;
    stand.put_object(&claimed, &[]).await;
    stand.export_all().await;
    let report = stand.verify_all().await;
    let finding = only(&report, FindingKind::NotYetExported);
    assert_eq!((report.verdict, finding.messages), (Verdict::Incomplete, 10));
    assert_eq!(
        (report.account.findings.len(), report.account.counts.open),
        (1, 10),
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
