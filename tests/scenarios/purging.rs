//! Purging: what has come to its end leaves the ledger, its objects stay and stay verified, and nobody harvests it again
//! unawares.

use super::takeover::{FROM, TO};
use crate::stage::{APPLY, Document, EXPORTER_TIMEOUT, Stage, VISIBILITY, request};
use granary_verify::{FindingKind, Step, Verdict, Verifier, VerifyArguments};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const HOURS: std::ops::Range<u32> = 10..12;

/// Asks the operator; status and body of its answer.
async fn post(stage: &Stage, path: &str, body: Value) -> (u64, Value) {
    let event = request("POST", path, &body.to_string());
    let answer = stage.operator.invoke(event, EXPORTER_TIMEOUT).await.unwrap();
    let body = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
    (answer["statusCode"].as_u64().unwrap(), body)
}

/// `POST /purge` of everything on the stage; the report.
async fn purge(stage: &Stage, dry_run: bool) -> Value {
    let (status, body) = post(stage, "/purge", json!({"before": TO, "dryRun": dry_run})).await;
    assert_eq!(status, 200, "{body}");
    body["result"].clone()
}

/// Two hours of messages, archived.
async fn archived(name: &str) -> (Stage, Vec<Document>) {
    let stage = Stage::with(name, &[("GRANARY_BATCH_SIZE", "10")]).await;
    let messages = Document::many(60, HOURS);
    stage.index_messages(&messages).await;
    stage.backfill(FROM, TO).await;
    stage.run_until_quiet().await;
    (stage, messages)
}

async fn rows(stage: &Stage) -> u64 {
    stage
        .row("SELECT (SELECT COUNT(*) FROM message) + (SELECT COUNT(*) FROM batch) + (SELECT COUNT(*) FROM attempt)")
        .await
}

/// Everything is in the bucket so many times, and a verification of it is COMPLETE.
pub(super) async fn assert_archived_times(stage: &Stage, messages: &[Document], times: usize) {
    let report = stage.verify(FROM, TO).await;
    assert_eq!(report.verdict, Verdict::Complete, "{:?}", report.account.findings);
    assert_eq!(report.account.findings.len(), 0, "{:?}", report.account.findings);
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    for line in stage.bucket.lines().await {
        *found.entry(line.message_id.as_str().to_owned()).or_default() += 1;
    }
    let wanted = messages.iter().map(|message| (message.doc_id.clone(), times));
    assert_eq!(found, wanted.collect());
}

async fn verify_quickly(stage: &Stage) -> Verdict {
    let archive = stage.bucket.archive.clone();
    let verifier = Verifier::new(stage.ledger.clone(), stage.source(), archive, VISIBILITY);
    let arguments = VerifyArguments {
        from: Some(FROM.parse().unwrap()),
        to: Some(TO.parse().unwrap()),
        quick: true,
        ..VerifyArguments::default()
    };
    let mut progress = None;
    loop {
        match verifier.step(&arguments, progress, 1_000_000).await.unwrap() {
            Step::More(next) => progress = Some(*next),
            Step::Done(report) => return report.verdict,
            Step::TooLarge { messages } => panic!("an hour of {messages} messages"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_verified_leaves_the_ledger_and_stays_in_the_archive_verified() {
    let (stage, messages) = archived("purged").await;
    let unverified = purge(&stage, false).await;
    assert_eq!(
        (&unverified["hours"], &unverified["refusedHours"]),
        (&json!(0), &json!(2))
    );
    assert!(
        unverified["refused"][0]["reasons"][0]
            .as_str()
            .unwrap()
            .contains("COMPLETE")
    );

    stage.assert_archived(&messages, FROM, TO).await;
    let (keys, known) = (stage.bucket.keys().await, rows(&stage).await);
    let dry = purge(&stage, true).await;
    assert_eq!(
        (&dry["hours"], &dry["messages"], &dry["objects"]),
        (&json!(2), &json!(60), &json!(6))
    );
    assert_eq!(
        (
            rows(&stage).await,
            stage.row::<u64>("SELECT COUNT(*) FROM sealed_range").await
        ),
        (known, 0)
    );

    let purged = purge(&stage, false).await;
    assert_eq!(
        (&purged["hours"], &purged["rowsRemoved"], &purged["refusedHours"]),
        (&json!(2), &json!(60), &json!(0))
    );
    assert_eq!(rows(&stage).await, 0);
    let swept = stage.sweep(&APPLY).await;
    assert_eq!((swept.orphans.count, swept.unknown.count), (0, 0));
    assert_eq!(stage.bucket.keys().await, keys, "every object and manifest stays");
    let report = stage.verify(FROM, TO).await;
    let account = &report.account;
    assert_eq!(
        (account.hours, account.sealed_hours, account.objects_checked),
        (2, 2, 6)
    );
    assert_eq!(
        (
            account.counts.source,
            account.counts.ledger,
            account.counts.archive
        ),
        (60, 60, 60)
    );
    assert_eq!(account.digests.source, account.digests.archive);
    assert_archived_times(&stage, &messages, 1).await;
    assert_eq!(verify_quickly(&stage).await, Verdict::Consistent);

    let again = purge(&stage, false).await;
    assert_eq!(
        (&again["hours"], &again["rowsRemoved"], &again["refusedHours"]),
        (&json!(0), &json!(0), &json!(0))
    );
    let audited: Vec<String> = stage.rows("SELECT action FROM audit ORDER BY id").await;
    assert_eq!(audited, ["purge.start"; 4]);
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_young_or_open_is_not_purged() {
    let (stage, messages) = archived("not-purged").await;
    stage.assert_archived(&messages, FROM, TO).await;
    let (status, problem) = post(&stage, "/purge", json!({"before": "2999-01-01T00:00:00Z"})).await;
    assert_eq!(
        (status, problem["field"].as_str()),
        (400, Some("before")),
        "{problem}"
    );

    let late = Document::message("late", "2026-03-01T10:30:00Z");
    stage.index_messages(&[late]).await;
    stage.backfill(FROM, TO).await;
    let waiting = purge(&stage, false).await;
    assert_eq!(
        waiting["refusedHours"], 2,
        "a migration has yet to read them: {waiting}"
    );
    stage.harvest().await;
    let open = purge(&stage, false).await;
    assert_eq!(
        (&open["hours"], &open["refusedHours"]),
        (&json!(1), &json!(1)),
        "{open}"
    );
    let reasons = open["refused"][0]["reasons"].to_string();
    assert!(
        reasons.contains("1 of its batches are not completed"),
        "{reasons}"
    );
    stage.run_until_quiet().await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_archive_that_is_not_in_order_keeps_its_rows() {
    let (stage, messages) = archived("kept").await;
    stage.assert_archived(&messages, FROM, TO).await;
    let keys = stage.bucket.objects().await;
    stage.bucket.delete(keys[0].as_str()).await;
    let orphan = keys[5].as_str().replace("-g1.", "-g9.");
    stage.bucket.put(&orphan, b"torn".to_vec()).await;
    let refused = purge(&stage, false).await;
    assert_eq!(
        (&refused["hours"], &refused["refusedHours"]),
        (&json!(0), &json!(2)),
        "{refused}"
    );
    let reasons = refused["refused"].to_string();
    assert!(
        reasons.contains(keys[0].as_str()) && reasons.contains(&orphan),
        "{reasons}"
    );
    assert_eq!(stage.row::<u64>("SELECT COUNT(*) FROM sealed_range").await, 0);
    stage.finish_broken().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h17_a_migration_over_purged_hours_is_refused_unless_it_is_to_export_them_again() {
    let (stage, messages) = archived("re-export").await;
    stage.assert_archived(&messages, FROM, TO).await;
    purge(&stage, false).await;
    let keys = stage.bucket.keys().await;

    let (status, problem) = post(&stage, "/migrate", json!({"from": FROM, "to": TO})).await;
    assert_eq!(
        (status, problem["sealedFrom"].as_str()),
        (409, Some(FROM)),
        "{problem}"
    );
    assert!(
        problem["remedy"].as_str().unwrap().contains("reExport"),
        "{problem}"
    );
    // Everything means: what isn't archived yet.
    let (status, answer) = post(&stage, "/migrate", json!({})).await;
    assert_eq!(status, 202, "{answer}");
    assert!(
        answer["notes"][0].as_str().unwrap().contains("sealed"),
        "{answer}"
    );
    stage.run_until_quiet().await;
    assert_eq!((rows(&stage).await, stage.bucket.keys().await), (0, keys));

    let again = json!({"from": FROM, "to": TO, "reExport": true});
    let (status, answer) = post(&stage, "/migrate", again).await;
    assert_eq!(status, 202, "{answer}");
    stage.run_until_quiet().await;
    assert_archived_times(&stage, &messages, 2).await;
    assert_eq!(purge(&stage, false).await["messages"], 60);
    assert_archived_times(&stage, &messages, 2).await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_of_a_purged_hour_that_is_lost_is_found_missing_and_what_is_new_at_the_source_is_named() {
    let (stage, messages) = archived("lost-and-purged").await;
    stage.assert_archived(&messages, FROM, TO).await;
    purge(&stage, false).await;
    let late = Document::message("late", "2026-03-01T10:30:00Z");
    stage.index_messages(&[late]).await;
    let report = stage.verify(FROM, TO).await;
    assert_eq!(report.verdict, Verdict::Incomplete);
    let findings = &report.account.findings;
    assert_eq!(
        (findings.len(), findings[0].kind),
        (1, FindingKind::MissingFromArchive),
        "{findings:?}"
    );
    assert_eq!(findings[0].sample_ids[0].as_str(), "late");

    let keys = stage.bucket.objects().await;
    let body = stage.bucket.body(keys[0].as_str()).await;
    stage.bucket.delete(keys[0].as_str()).await;
    let report = stage.verify(FROM, TO).await;
    assert!(
        report
            .account
            .findings_by_kind
            .contains_key(&FindingKind::ArchiveDiffers)
    );
    assert_eq!(report.account.counts.unreadable, 10);
    assert_ne!(verify_quickly(&stage).await, Verdict::Consistent);
    stage.bucket.put(keys[0].as_str(), body).await;
    stage.finish().await;
}
