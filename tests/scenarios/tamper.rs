//! Somebody tampers with the archive or the ledger: a verification names what was done, a repair makes it good, and both
//! may be interrupted and repeated at any point.

use crate::stage::{Document, EXPORTER_TIMEOUT, Function, FunctionError, OPERATOR_TOKEN, Stage};
use granary_verify::{Finding, FindingKind, Report, Verdict};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

pub(super) const FROM: &str = "2026-03-01T10:00:00Z";
pub(super) const TO: &str = "2026-03-01T20:00:00Z";
pub(super) const PER_HOUR: usize = 10;

/// Ten messages in each of ten hours, each hour a batch, all of them archived.
pub(super) async fn archived(name: &str, settings: &[(&str, &str)]) -> (Stage, Vec<Document>) {
    let stage = Stage::with(name, settings).await;
    let messages: Vec<Document> = (0..10 * PER_HOUR)
        .map(|number| {
            let (hour, minute) = (10 + number / PER_HOUR, number % PER_HOUR);
            Document::message(&id_of(number), &format!("2026-03-01T{hour}:0{minute}:00Z"))
        })
        .collect();
    stage.index_messages(&messages).await;
    stage.backfill(FROM, TO).await;
    stage.run_until_quiet().await;
    (stage, messages)
}

pub(super) fn id_of(number: usize) -> String {
    format!("m-{number:03}")
}

/// The batch of an hour, and its object.
pub(super) async fn batch_of(stage: &Stage, hour: u32) -> (u64, String) {
    let query =
        format!("SELECT id, object_key FROM batch WHERE HOUR(hour_start) = {hour} ORDER BY id LIMIT 1");
    stage.row(&query).await
}

pub(super) async fn manifest_of(stage: &Stage, hour: u32) -> String {
    let (batch, _) = batch_of(stage, hour).await;
    let keys = stage.bucket.keys().await;
    let is_its = |key: &String| key.contains(&format!("/_manifests/dt=2026-03-01/batch-{batch}-g"));
    keys.into_iter().find(is_its).unwrap()
}

async fn flip_one_byte(stage: &Stage, hour: u32) -> String {
    let (_, key) = batch_of(stage, hour).await;
    let mut body = stage.bucket.body(&key).await;
    let middle = body.len() / 2;
    body[middle] ^= 1;
    stage.bucket.put(&key, body).await;
    key
}

pub(super) async fn delete_object(stage: &Stage, hour: u32) -> String {
    let (_, key) = batch_of(stage, hour).await;
    stage.bucket.delete(&key).await;
    key
}

async fn drop_row(stage: &Stage, id: &str) {
    let dropped = stage
        .sql(&format!("DELETE FROM message WHERE message_id = '{id}'"))
        .await;
    assert_eq!(dropped, 1);
    stage.digest_rows().await;
}

/// `POST /verify`.
async fn ask(operator: &Function, mut body: Value) -> Result<Value, FunctionError> {
    body["from"] = FROM.into();
    body["to"] = TO.into();
    let mut event: Value = serde_json::from_str(include_str!("../../events/operator.verify.json")).unwrap();
    event["headers"]["authorization"] = json!(format!("Bearer {OPERATOR_TOKEN}"));
    event["body"] = body.to_string().into();
    operator.invoke(event, EXPORTER_TIMEOUT).await
}

/// The report of the newest verification: by the reaper where the operator had no time or no life for it.
async fn report_of(stage: &Stage) -> Report {
    for _ in 0..10 {
        let operation: (String, Option<String>, Option<String>) = stage
            .row("SELECT state, result, error_text FROM operation ORDER BY id DESC LIMIT 1")
            .await;
        match operation {
            (state, Some(result), _) if state == "succeeded" => {
                return serde_json::from_str(&result).unwrap();
            }
            (state, _, error) => assert_ne!(state, "failed", "{error:?}"),
        }
        stage
            .sql("UPDATE operation SET lease_until = UTC_TIMESTAMP(6) - INTERVAL 1 SECOND")
            .await;
        stage.reap().await;
    }
    panic!("the verification never ended");
}

pub(super) async fn verify(stage: &Stage, body: Value) -> Report {
    ask(&stage.operator, body).await.unwrap();
    report_of(stage).await
}

fn findings(report: &Report, kind: FindingKind, hour: u32) -> Vec<&Finding> {
    let hour = format!("2026-03-01T{hour}:00:00Z");
    let findings = report.account.findings.iter();
    findings
        .filter(|finding| finding.kind == kind && finding.hour.start().to_string() == hour)
        .collect()
}

pub(super) fn only(report: &Report, kind: FindingKind, hour: u32) -> &Finding {
    match findings(report, kind, hour).as_slice() {
        [finding] => finding,
        _ => panic!("not one {kind:?} at {hour}: {:#?}", report.account.findings),
    }
}

pub(super) fn ids_of(finding: &Finding) -> Vec<&str> {
    finding.sample_ids.iter().map(|id| id.as_str()).collect()
}

/// What was done to an archive, by the keys that tell.
struct Tampering {
    flipped: String,
    deleted: String,
    without_manifest: String,
    foreign: String,
    /// The object and the manifest of a batch whose row is gone.
    ownerless: [String; 2],
    altered: String,
}

/// Every hour but the last is tampered with in another way.
async fn tamper(stage: &Stage) -> Tampering {
    let flipped = flip_one_byte(stage, 10).await;
    let deleted = delete_object(stage, 11).await;
    drop_row(stage, "m-024").await;
    let (high, low) = granary_domain::IdDigest::halves(b"added");
    stage
        .sql(&format!(
            "INSERT INTO message (message_id, index_id, event_time, batch_id, hash_high, hash_low) \
             SELECT 'added', index_id, event_time, batch_id, {high}, {low} FROM message WHERE message_id = 'm-034'"
        ))
        .await;
    stage.digest_rows().await;
    let without_manifest = manifest_of(stage, 14).await;
    stage.bucket.delete(&without_manifest).await;
    let (folder, _) = flipped.rsplit_once("/hour=").unwrap();
    let foreign = format!("{folder}/hour=15/batch-4711-g1.ndjson.zst");
    stage.bucket.put(&foreign, b"foreign".to_vec()).await;
    let ownerless = [batch_of(stage, 16).await.1, manifest_of(stage, 16).await];
    stage.sql("DELETE FROM batch WHERE HOUR(hour_start) = 16").await;
    let altered = manifest_of(stage, 17).await;
    stage.bucket.put(&altered, b"{}".to_vec()).await;
    stage
        .index_messages(&[Document::message("late", "2026-03-01T18:30:00Z")])
        .await;
    Tampering {
        flipped,
        deleted,
        without_manifest,
        foreign,
        ownerless,
        altered,
    }
}

fn assert_named(report: &Report, tampering: &Tampering) {
    use FindingKind::{
        Drifted, ManifestCorrupt, ManifestMissing, MissingFromArchive, ObjectCorrupt, ObjectDiffers,
        ObjectMissing, Orphan,
    };
    assert_eq!(report.verdict, Verdict::Incomplete);
    for (kind, hour, key) in [
        (ObjectCorrupt, 10, &tampering.flipped),
        (ObjectMissing, 11, &tampering.deleted),
        (ManifestMissing, 14, &tampering.without_manifest),
        (Orphan, 15, &tampering.foreign),
        (Orphan, 16, &tampering.ownerless[0]),
        (ManifestCorrupt, 17, &tampering.altered),
    ] {
        assert_eq!(only(report, kind, hour).key.as_ref().unwrap().as_str(), key);
    }
    for (kind, hour, id) in [
        (MissingFromArchive, 12, "m-024"),
        (Drifted, 13, "added"),
        (MissingFromArchive, 18, "late"),
    ] {
        assert_eq!(ids_of(only(report, kind, hour)), [id]);
    }
    for (kind, hour) in [(ObjectDiffers, 12), (ObjectDiffers, 13), (MissingFromArchive, 16)] {
        assert_eq!(only(report, kind, hour).messages, 10);
    }
    let sound = "2026-03-01T19:00:00Z";
    let findings = &report.account.findings;
    assert!(
        findings
            .iter()
            .all(|finding| finding.hour.start().to_string() != sound)
    );
}

/// How many windows of the day the time line shows in which state.
async fn colours(stage: &Stage) -> BTreeMap<String, u64> {
    let day = stage
        .look_at("/windows?from=2026-03-01T00:00:00Z&to=2026-03-02T00:00:00Z&limit=500")
        .await;
    let mut colours = BTreeMap::new();
    for window in day["days"][0]["windows"].as_array().unwrap() {
        *colours
            .entry(window["state"].as_str().unwrap().to_owned())
            .or_default() += 1;
    }
    colours
}

fn owned((state, windows): (&str, u64)) -> (String, u64) {
    (state.to_owned(), windows)
}

/// Messages harvested again, batches exported again, batches that were under way.
pub(super) fn repairs_of(report: &Report) -> (u64, u64, u64) {
    let repairs = report.account.repairs;
    assert_eq!((repairs.left_messages, repairs.left_batches), (0, 0));
    (repairs.harvested, repairs.re_exported, repairs.under_way)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e13_whatever_is_tampered_with_is_named_and_a_repair_makes_it_good() {
    let (stage, mut messages) = archived("tamper", &[]).await;
    let tampering = tamper(&stage).await;
    messages.push(Document::message("late", "2026-03-01T18:30:00Z"));
    assert_named(&verify(&stage, json!({})).await, &tampering);
    assert_eq!(
        colours(&stage).await,
        [("complete", 2), ("incomplete", 8)].map(owned).into()
    );
    assert_eq!(
        stage.look_at("/windows?state=incomplete&limit=3").await["count"],
        3
    );
    let before = stage.batches_by_status().await;
    let rehearsed = verify(&stage, json!({"repair": true, "dryRun": true})).await;
    assert_named(&rehearsed, &tampering);
    assert_eq!(repairs_of(&rehearsed), (12, 6, 0));
    assert_eq!(stage.batches_by_status().await, before, "nothing was done");

    let repaired = verify(&stage, json!({"repair": true})).await;
    assert_named(&repaired, &tampering);
    assert_eq!(repairs_of(&repaired), (12, 6, 0));
    let again = verify(&stage, json!({"repair": true})).await;
    assert_eq!(repairs_of(&again), (0, 0, 6), "asked twice is asked once");
    let audited: Vec<String> = stage
        .rows("SELECT action FROM audit WHERE action LIKE 'verify%' ORDER BY id")
        .await;
    assert_eq!(
        audited,
        ["verify.start", "verify.start", "verify.repair", "verify.repair"]
    );

    stage.run_until_quiet().await;
    let report = verify(&stage, json!({})).await;
    let findings = &report.account.findings;
    let kinds: BTreeSet<_> = findings.iter().map(|finding| finding.kind).collect();
    assert_eq!(
        (report.verdict, kinds, findings.len()),
        (Verdict::Complete, BTreeSet::from([FindingKind::Orphan]), 2),
        "{findings:#?}"
    );
    let colours = colours(&stage).await;
    assert_eq!(colours.get("incomplete"), None, "{colours:?}");
    let counts = report.account.counts;
    assert_eq!((counts.source, counts.archive, counts.tombstones), (101, 101, 1));
    let newest = stage.look_at("/verify?state=succeeded&limit=2").await;
    let cursor = newest["nextCursor"].as_str().unwrap();
    let older = stage.look_at(&format!("/verify?limit=100&cursor={cursor}")).await;
    assert_eq!((&newest["count"], &older["count"]), (&json!(2), &json!(3)));
    assert_eq!(newest["verifications"][0]["verdict"], "COMPLETE");
    assert_eq!(stage.look_at("/verify?to=2020-01-01T00:00:00Z").await["count"], 0);
    stage.bucket.delete(&tampering.foreign).await;
    for key in &tampering.ownerless {
        stage.bucket.delete(key).await;
    }
    stage.assert_archived(&messages, FROM, TO).await;
    let completed: u64 = stage
        .row("SELECT COUNT(*) FROM migration WHERE requested_by = 'verify --repair' AND state = 'completed'")
        .await;
    assert_eq!(completed, 1, "its migration came to its end");
    stage.finish().await;
}

/// Dying just before a step of the repair, just after it, and taking it twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h14_a_repair_that_dies_at_any_step_is_gone_on_with_and_doubles_nothing() {
    let (stage, messages) = archived("repair-dies", &[]).await;
    for (round, step) in ["record_found", "re_export_batch"].into_iter().enumerate() {
        for (turn, mode) in ["before", "after", "twice"].into_iter().enumerate() {
            let hour = 10 + (round * 3 + turn) as u32;
            delete_object(&stage, hour).await;
            drop_row(&stage, &id_of((round * 3 + turn) * PER_HOUR + 3)).await;
            let dying = stage.another("operator", &[("GRANARY_FAULT", &format!("{step}:{mode}"))]);
            let asked = ask(&dying, json!({"repair": true})).await;
            let has_died = matches!(asked, Err(FunctionError::Exited(_)));
            assert_eq!(has_died, mode != "twice", "{step} {mode}: {asked:?}");
            report_of(&stage).await;
            dying.kill().await;
        }
    }
    let generations: Vec<(u32, u32)> = stage
        .rows("SELECT generation, COUNT(*) FROM batch WHERE generation > 1 GROUP BY generation")
        .await;
    assert_eq!(generations, [(2, 6)], "each once");
    stage.run_until_quiet().await;

    let tampered = flip_one_byte(&stage, 19).await;
    verify(&stage, json!({"repair": true})).await;
    stage.reap().await;
    stage.export_all().await;
    for mode in ["before", "after"] {
        let dying = stage.another(
            "reaper",
            &[("GRANARY_FAULT", &format!("forget_superseded:{mode}"))],
        );
        let tick = serde_json::from_str(include_str!("../../events/reaper.tick.json")).unwrap();
        let ticked = dying.invoke(tick, EXPORTER_TIMEOUT).await;
        assert!(
            matches!(ticked, Err(FunctionError::Exited(_))),
            "{mode}: {ticked:?}"
        );
        dying.kill().await;
    }
    stage.run_until_quiet().await;
    assert!(!stage.bucket.keys().await.contains(&tampered));
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}
