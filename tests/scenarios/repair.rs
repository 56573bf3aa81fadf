//! What a repair may cost: nothing. What is exported again stays readable, and what only the archive still has is kept.

use super::tamper::{
    FROM, PER_HOUR, TO, archived, batch_of, delete_object, id_of, ids_of, manifest_of, only, repairs_of,
    verify,
};
use crate::stage::{APPLY, Document, Stage};
use granary_domain::{BatchId, Fence, MigrationId, Priority, TimeRange};
use granary_ledger::export::{ReExport, ReExported};
use granary_ledger::integrity::RepairMigration;
use granary_verify::{FindingKind, Remedy, Verdict};
use serde_json::json;
use std::collections::BTreeSet;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e11_a_batch_that_is_exported_again_is_readable_all_the_while_and_soon_there_once() {
    let (stage, messages) = archived("again", &[]).await;
    let heir = RepairMigration {
        id: MigrationId::new(),
        range: TimeRange::new(FROM.parse().unwrap(), TO.parse().unwrap()).unwrap(),
        batch_size: 100,
        priority: Priority::NORMAL,
        requested_by: "verify --repair".to_owned(),
    };
    for hour in [10, 11] {
        let (batch, _) = batch_of(&stage, hour).await;
        let wanted = ReExport {
            batch: BatchId(batch),
            fence: Fence(1),
            reason: "a test wants it",
            heir: &heir,
        };
        assert_eq!(stage.ledger.re_export(&wanted).await.unwrap(), ReExported::Asked);
    }
    let waiting = stage.verify(FROM, TO).await;
    assert_eq!(
        (waiting.verdict, waiting.account.findings.len()),
        (Verdict::Complete, 0),
        "{waiting:#?}"
    );
    let (_, old) = batch_of(&stage, 10).await;

    stage.reap().await;
    stage.export_all().await;
    let (_, new) = batch_of(&stage, 10).await;
    assert!(old.contains("-g1.") && new.contains("-g2."), "{old} {new}");
    assert_eq!(
        stage.bucket.objects().await.len(),
        12,
        "for the moment both are there"
    );
    let both = stage.verify(FROM, TO).await;
    assert_eq!(both.verdict, Verdict::Complete);
    let tick = stage.reap().await;
    assert_eq!(tick["superseded_removed"], 2);
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h17_a_repair_saves_the_batches_of_a_cancelled_migration() {
    let (stage, messages) = archived("heir", &[]).await;
    stage
        .sql("UPDATE migration SET state = 'cancelled', finished_at = UTC_TIMESTAMP(6)")
        .await;
    stage.backfill(FROM, TO).await;
    stage.run_until_quiet().await;
    delete_object(&stage, 12).await;
    let report = verify(&stage, json!({"repair": true})).await;
    assert_eq!(report.account.repairs.re_exported, 1, "{report:#?}");
    stage.run_until_quiet().await;
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e1_a_message_that_was_gone_and_is_back_is_exported_by_a_repair() {
    let stage = Stage::new("back").await;
    let messages = Document::many(20, 10..12);
    stage.index_messages(&messages).await;
    stage.backfill(FROM, TO).await;
    stage.harvest().await;
    stage.indices.delete(&stage.indices.messages, "m-0006").await;
    stage.indices.refresh(&stage.indices.messages).await;
    stage.run_until_quiet().await;
    stage.index_messages(&messages[6..7]).await;
    let report = verify(&stage, json!({"repair": true})).await;
    assert_eq!(
        ids_of(only(&report, FindingKind::MissingFromArchive, 10)),
        ["m-0006"]
    );
    assert_eq!(report.account.repairs.re_exported, 1);
    stage.run_until_quiet().await;
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}

async fn delete_at_the_source(stage: &Stage, ids: &[String]) {
    for id in ids {
        stage.indices.delete(&stage.indices.messages, id).await;
    }
    stage.indices.refresh(&stage.indices.messages).await;
}

/// The distinct ids that can be read in the bucket.
async fn readable(stage: &Stage) -> BTreeSet<String> {
    let lines = stage.bucket.lines().await;
    lines.into_iter().map(|line| line.message_id).collect()
}

/// What an archive held before the source lost some of it.
fn all_ids() -> BTreeSet<String> {
    (0..10 * PER_HOUR).map(id_of).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e13_a_repair_leaves_alone_what_the_source_no_longer_has() {
    let (stage, messages) = archived("only-copy", &[]).await;
    let keys = stage.bucket.objects().await;
    stage.bucket.delete(&manifest_of(&stage, 12).await).await;
    stage.bucket.delete(&manifest_of(&stage, 13).await).await;
    delete_at_the_source(&stage, &(21..25).map(id_of).collect::<Vec<_>>()).await;
    delete_at_the_source(&stage, &(30..40).map(id_of).collect::<Vec<_>>()).await;
    let repaired = verify(&stage, json!({"repair": true})).await;
    assert_eq!(repairs_of(&repaired), (0, 0, 0), "{repaired:#?}");
    for (hour, lost, first) in [(12, 4, "m-021"), (13, 10, "m-030")] {
        let finding = only(&repaired, FindingKind::ManifestMissing, hour);
        assert_eq!(finding.remedy, None);
        assert!(
            finding
                .text
                .contains(&format!("{lost} of its messages are gone at the source")),
            "{finding:?}"
        );
        assert_eq!((ids_of(finding)[0], ids_of(finding).len()), (first, lost));
    }
    stage.run_until_quiet().await;
    assert_eq!(stage.bucket.objects().await, keys, "nothing was done");
    assert_eq!(readable(&stage).await, all_ids());

    // They are there again.
    stage.index_messages(&messages[20..40]).await;
    let repaired = verify(&stage, json!({"repair": true})).await;
    assert_eq!(repairs_of(&repaired), (0, 2, 0), "{repaired:#?}");
    stage.run_until_quiet().await;
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}

/// The documents go while the batch waits for its new export.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e13_an_object_that_holds_more_than_its_replacement_is_kept_and_named() {
    let (stage, messages) = archived("kept", &[("GRANARY_SWEEP_AGE_SECONDS", "0")]).await;
    let (batch, old) = batch_of(&stage, 12).await;
    let (emptied, all_gone) = batch_of(&stage, 13).await;
    stage.bucket.delete(&manifest_of(&stage, 12).await).await;
    stage.bucket.delete(&manifest_of(&stage, 13).await).await;
    let asked = verify(&stage, json!({"repair": true})).await;
    assert_eq!(repairs_of(&asked), (0, 2, 0));
    delete_at_the_source(&stage, &(21..25).chain(30..40).map(id_of).collect::<Vec<_>>()).await;
    stage.run_until_quiet().await;
    stage.reap().await;
    stage.sweep(&APPLY).await;

    let (_, new) = batch_of(&stage, 12).await;
    assert_ne!(new, old);
    let keys = stage.bucket.keys().await;
    assert!(
        [&old, &new, &all_gone].iter().all(|key| keys.contains(key)),
        "{keys:?}"
    );
    assert_eq!(readable(&stage).await, all_ids());
    let told: Vec<(String, String)> = stage
        .rows("SELECT subject_key, text FROM alert WHERE kind = 'replaced_object_kept' ORDER BY id")
        .await;
    let subjects: Vec<&str> = told.iter().map(|(subject, _)| subject.as_str()).collect();
    assert_eq!(
        subjects,
        [format!("{batch}.1"), format!("{emptied}.1")],
        "each once"
    );
    assert!(
        told[0].1.contains(&old) && told[0].1.contains(&new),
        "{}",
        told[0].1
    );
    assert!(told[0].1.contains("4 messages"), "{}", told[0].1);
    let report = verify(&stage, json!({"repair": true})).await;
    assert_eq!(report.verdict, Verdict::Incomplete);
    for (hour, key) in [(12, &old), (13, &all_gone)] {
        let kept = only(&report, FindingKind::Kept, hour);
        assert_eq!(kept.key.as_ref().unwrap().as_str(), key);
    }

    // They are there again: exported anew, and nothing is kept any more.
    stage.index_messages(&messages[20..40]).await;
    verify(&stage, json!({"repair": true})).await;
    stage.run_until_quiet().await;
    stage
        .sql("UPDATE superseded_object SET kept_at = kept_at - INTERVAL 2 HOUR")
        .await;
    stage.reap().await;
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e1_a_message_that_is_back_is_exported_by_itself_though_one_beside_it_went() {
    let stage = Stage::new("back-and-forth").await;
    let messages = Document::many(20, 10..12);
    stage.index_messages(&messages).await;
    stage.backfill(FROM, TO).await;
    stage.harvest().await;
    delete_at_the_source(&stage, &["m-0006".to_owned()]).await;
    stage.run_until_quiet().await;
    let archived = stage.bucket.objects().await;
    delete_at_the_source(&stage, &["m-0004".to_owned()]).await;
    stage.index_messages(&messages[6..7]).await;
    let report = verify(&stage, json!({"repair": true})).await;
    let back = only(&report, FindingKind::MissingFromArchive, 10);
    assert_eq!(
        (ids_of(back), back.remedy),
        (vec!["m-0006"], Some(Remedy::ReExport)),
        "{back:?}"
    );
    assert_eq!(repairs_of(&report), (0, 1, 0));
    stage.run_until_quiet().await;
    let now = stage.bucket.objects().await;
    assert!(
        archived.iter().all(|key| now.contains(key)),
        "what was there stays: {now:?}"
    );
    stage.assert_each_once(&messages).await;
    assert_eq!(
        verify(&stage, json!({"repair": true})).await.verdict,
        Verdict::Drifted
    );

    stage.index_messages(&messages[4..5]).await;
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}
