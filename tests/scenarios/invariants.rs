//! What always holds, broken by somebody who writes SQL or to the bucket: the reaper tells people, a verification names
//! it, and the look at everything finds exactly that. What the ledger sees by itself has its own tests, one for each
//! invariant (`shared/ledger/tests/ledger/integrity/invariants.rs`).

use super::takeover::{FROM, TO, handed_off};
use crate::stage::{Document, Stage};
use granary_domain::{BatchStatus, IdDigest, Invariant};
use granary_verify::{FindingKind, Verdict};
use serde_json::json;

/// Three batches on record.
async fn archived(name: &str) -> (Stage, Vec<Document>) {
    let (stage, messages) = handed_off(name, 3, &[]).await;
    stage.run_until_quiet().await;
    assert_eq!(stage.batches(BatchStatus::Completed).await, 3);
    stage.assert_invariants().await;
    (stage, messages)
}

/// The key of the object of the first batch.
async fn first_key(stage: &Stage) -> String {
    stage
        .row("SELECT object_key FROM batch ORDER BY id LIMIT 1")
        .await
}

async fn broken(stage: &Stage) -> Vec<Invariant> {
    let violations = stage.violations().await;
    violations.iter().map(|violation| violation.invariant).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_on_record_that_is_gone_torn_or_another_one_is_named_with_its_batch_and_told_once() {
    let (stage, messages) = archived("objects").await;
    let key = first_key(&stage).await;
    let (body, other) = (
        stage.bucket.body(&key).await,
        vec![b'x'; stage.bucket.body(&key).await.len()],
    );
    let manifest = stage
        .bucket
        .keys()
        .await
        .into_iter()
        .find(|key| key.contains("_manifests"))
        .unwrap();
    let manifest_body = stage.bucket.body(&manifest).await;

    stage.bucket.delete(&key).await;
    assert_eq!(broken(&stage).await, [Invariant::ObjectsAreThere]);
    assert_eq!(stage.reap().await["violations"], 1);
    assert_eq!(
        stage.reap().await["violations"],
        1,
        "it is found again, and told once"
    );
    let (count, cause, text): (u32, String, String) = stage
        .row("SELECT COUNT(*), MIN(cause), MIN(text) FROM alert WHERE kind = 'invariant'")
        .await;
    assert_eq!((count, cause.as_str()), (1, "objects_are_there"));
    assert!(text.contains(&key) && text.contains("isn't there"), "{text}");
    let told = stage.queues.told().await;
    assert!(told.len() == 1 && told[0].contains(&key), "{told:?}");
    // As if a repair had exported the batch anew, and its object were gone once more.
    let batch: u64 = stage.row("SELECT MIN(id) FROM batch").await;
    let step = |by: &str| format!("UPDATE batch SET generation = generation {by} 1 WHERE id = {batch}");
    stage.sql(&step("+")).await;
    stage.reap().await;
    let told: u32 = stage
        .row("SELECT COUNT(*) FROM alert WHERE kind = 'invariant' AND cause = 'objects_are_there'")
        .await;
    assert_eq!(told, 2, "a new export that is broken is told again");
    stage.sql(&step("-")).await;

    stage.bucket.put(&key, body[..body.len() / 2].to_vec()).await;
    let both = [Invariant::IdsAreTheSources, Invariant::ObjectsAreThere];
    assert_eq!(broken(&stage).await, both);
    stage.bucket.put(&key, other).await;
    assert_eq!(broken(&stage).await, both);

    // Written back by hand, without the checksum that a worker notes on it.
    stage.bucket.put(&key, body.clone()).await;
    assert_eq!(broken(&stage).await, [Invariant::ObjectsAreThere]);
    stage.bucket.put_as_a_worker(&key, body).await;
    stage.bucket.delete(&manifest).await;
    assert_eq!(broken(&stage).await, [Invariant::ObjectsAreThere]);
    stage.bucket.put(&manifest, manifest_body).await;
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_with_other_ids_than_its_batch_has_messages_is_named() {
    let (stage, messages) = archived("ids").await;
    let rename = async |from: &str, to: &str| {
        let (high, low) = IdDigest::halves(to.as_bytes());
        let statement = format!(
            "UPDATE message SET message_id = '{to}', hash_high = {high}, hash_low = {low} WHERE message_id = '{from}'"
        );
        stage.sql(&statement).await
    };
    rename("m-00", "another").await;
    assert_eq!(broken(&stage).await, [Invariant::CountsAreRows]);
    stage.digest_rows().await;
    assert_eq!(broken(&stage).await, [Invariant::IdsAreTheSources]);
    rename("another", "m-00").await;
    stage.digest_rows().await;
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_sweep_takes_away_and_nobody_recorded_is_named() {
    let (stage, _messages) = archived("unrecorded").await;
    let foreign = format!("{}notes.txt", stage.archive_root());
    stage.bucket.put(&foreign, b"mine".to_vec()).await;
    assert_eq!(broken(&stage).await, [Invariant::NothingUnrecorded]);
    stage.bucket.delete(&foreign).await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e11_a_ledger_that_contradicts_itself_is_told_within_a_round_and_named_by_a_verification() {
    let (stage, messages) = archived("contradiction").await;
    let batch: u64 = stage.row("SELECT MIN(id) FROM batch").await;
    assert_eq!(stage.reap().await["violations"], 0);
    // Long ago, so that only the round comes to it.
    stage
        .sql("UPDATE attempt SET ended_at = ended_at - INTERVAL 1 DAY")
        .await;
    stage
        .sql(&format!("UPDATE batch SET fence = fence + 1 WHERE id = {batch}"))
        .await;
    stage
        .sql(&format!(
            "UPDATE message SET outcome = 'missing' WHERE batch_id = {batch} LIMIT 1"
        ))
        .await;

    let ticks = [stage.reap().await, stage.reap().await];
    assert!(ticks.iter().any(|tick| tick["violations"] == 2), "{ticks:?}");
    let alerts: Vec<(String, String)> = stage
        .rows("SELECT subject_key, text FROM alert WHERE kind = 'invariant' ORDER BY cause")
        .await;
    let subjects: Vec<&str> = alerts.iter().map(|(subject, _)| subject.as_str()).collect();
    assert_eq!(
        subjects,
        [
            format!("counts_are_rows.batch.{batch}.1"),
            format!("no_stale_completion.batch.{batch}.1")
        ]
    );
    let told = stage.queues.told().await;
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told.iter().all(|text| text.contains(&format!("batch {batch}: "))),
        "{told:?}"
    );

    let report = stage.verify(FROM, TO).await;
    assert_eq!(report.verdict, Verdict::Incomplete);
    assert_eq!(
        report.account.findings_by_kind[&FindingKind::InvariantViolated],
        2
    );
    let named = report
        .account
        .findings
        .iter()
        .filter(|finding| finding.kind == FindingKind::InvariantViolated);
    for (finding, invariant) in named.zip(["counts_are_rows", "no_stale_completion"]) {
        assert!(finding.text.starts_with(invariant), "{finding:?}");
        assert_eq!(json!(finding.batch), json!(batch));
    }

    stage
        .sql(&format!("UPDATE batch SET fence = fence - 1 WHERE id = {batch}"))
        .await;
    stage.sql("UPDATE message SET outcome = NULL").await;
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}
