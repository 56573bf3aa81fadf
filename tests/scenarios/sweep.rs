//! Orphans: how they come to be, that a sweep takes them away, and what it leaves alone.

use super::takeover::{FROM, TO, deliver, exporter_behind, handed_off, outcomes};
use crate::stage::{APPLY, Document, EXPORTER_TIMEOUT, FunctionError, Proxy, Stage};
use granary_domain::{BatchId, Compression, Format, Generation, Hour, ObjectKey};
use granary_sweep::SweepArguments;
use serde_json::{Value, json};

/// All is old enough for the functions of a stage that is told so.
pub(super) const AT_ONCE: (&str, &str) = ("GRANARY_SWEEP_AGE_SECONDS", "0");
const FORM: (Format, Compression) = (Format::Ndjson, Compression::Zstd);

fn hour(of_day: usize) -> Hour {
    Hour::of(format!("2026-03-01T{of_day}:00:00Z").parse().unwrap())
}

/// The key of a generation of the only batch of an hour.
pub(super) async fn key_of(stage: &Stage, of_day: usize, generation: u32) -> ObjectKey {
    let query = format!("SELECT id FROM batch WHERE HOUR(hour_start) = {of_day}");
    let batch = BatchId(stage.row(&query).await);
    let layout = stage.bucket.archive.layout();
    layout.object(hour(of_day), batch, Generation(generation), FORM)
}

/// `POST /sweep`, as an operator asks for it; its answer's operation.
pub(super) async fn post_sweep(stage: &Stage, body: Value) -> Value {
    let mut event: Value = serde_json::from_str(include_str!("../../events/operator.sweep.json")).unwrap();
    event["headers"]["authorization"] = json!("Bearer operator-token");
    event["body"] = json!(body.to_string());
    let answer = stage.operator.invoke(event, EXPORTER_TIMEOUT).await.unwrap();
    let body: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
    assert_eq!(answer["statusCode"], 200, "{body}");
    body["operation"].clone()
}

/// A worker's object is in the bucket, the worker is dead, and the ledger knows nothing of the object.
async fn killed_after_its_put(stage: &Stage) {
    let to_s3 = Proxy::before(stage.setting("AWS_ENDPOINT_URL")).await;
    let worker = exporter_behind(stage, &to_s3, "AWS_ENDPOINT_URL").await;
    to_s3.stall_answers_after(0);
    let (response, ()) = tokio::join!(deliver(stage, &worker, EXPORTER_TIMEOUT), async {
        to_s3.until_asked().await;
        stage.bucket.until_it_has(1).await;
        worker.kill().await;
    });
    assert!(matches!(response, Err(FunctionError::Exited(_))), "{response:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e12_the_object_of_a_worker_that_was_cancelled_while_it_uploaded_is_named_by_a_dry_run_and_removed_by_a_sweep()
 {
    let (stage, messages) = handed_off("cancelled-orphan", 1, &[AT_ONCE]).await;
    killed_after_its_put(&stage).await;
    let orphan = key_of(&stage, 10, 1).await;
    assert_eq!(stage.bucket.objects().await, std::slice::from_ref(&orphan));
    let held = stage.sweep(&APPLY).await;
    assert_eq!(
        (held.orphans.count, held.looked_at),
        (0, 1),
        "a next attempt may adopt it"
    );

    stage
        .sql("UPDATE migration SET state = 'cancelled', finished_at = UTC_TIMESTAMP(6)")
        .await;
    stage.reap().await;
    let dry = post_sweep(&stage, json!({})).await;
    assert_eq!(dry["result"]["orphans"]["keys"], json!([orphan]));
    assert_eq!(
        (
            dry["result"]["apply"].as_bool(),
            stage.bucket.objects().await.len()
        ),
        (Some(false), 1)
    );
    let applied = post_sweep(&stage, json!({"apply": true})).await;
    assert_eq!(applied["result"]["orphans"]["count"], 1, "{applied}");
    assert_eq!(stage.bucket.keys().await, [""; 0]);
    let again = post_sweep(&stage, json!({"apply": true})).await;
    assert_eq!(again["result"]["orphans"]["count"], 0, "twice is harmless");
    let audited: Vec<String> = stage.rows("SELECT action FROM audit ORDER BY id").await;
    assert_eq!(audited, ["sweep.start"; 3]);

    stage.backfill(FROM, TO).await;
    stage.run_until_quiet().await;
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e13_what_the_next_attempt_may_adopt_survives_a_sweep_and_is_adopted() {
    let (stage, messages) = handed_off("adoptable", 1, &[AT_ONCE]).await;
    killed_after_its_put(&stage).await;
    let written = stage.bucket.body(key_of(&stage, 10, 1).await.as_str()).await;
    stage.let_leases_end().await;
    stage.reap().await;
    for status in ["failed", "pending"] {
        stage.sql(&format!("UPDATE batch SET status = '{status}'")).await;
        let report = stage.sweep(&APPLY).await;
        assert_eq!((report.looked_at, report.orphans.count), (1, 0), "{status}");
    }
    stage.sql("UPDATE batch SET enqueued_at = NULL").await;
    stage.run_until_quiet().await;
    assert_eq!(outcomes(&stage).await, ["reaped", "completed"]);
    let key: String = stage.row("SELECT object_key FROM batch").await;
    assert_eq!(
        stage.bucket.body(&key).await,
        written,
        "it was not written a second time"
    );
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e13_a_torn_object_is_swept_once_its_batch_has_gone_on_and_verify_finds_no_orphan_any_more() {
    let (stage, messages) = handed_off("torn", 2, &[AT_ONCE]).await;
    let torn = [key_of(&stage, 10, 1).await, key_of(&stage, 11, 1).await];
    for key in &torn {
        stage.bucket.put(key.as_str(), b"torn".to_vec()).await;
    }
    assert_eq!(
        stage.sweep(&APPLY).await.orphans.count,
        0,
        "nobody has looked at them yet"
    );
    stage.run_until_quiet().await;
    assert_eq!(stage.verify(FROM, TO).await.account.findings.len(), 2);

    let report = stage.sweep(&APPLY).await;
    assert_eq!((report.orphans.keys, report.orphans.bytes), (torn.to_vec(), 8));
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e12_what_is_young_stays_and_what_is_not_ours_by_name_is_named_and_stays() {
    let (stage, messages) = handed_off("young", 1, &[]).await;
    stage.run_until_quiet().await;
    let root = stage.archive_root();
    let young = key_of(&stage, 10, 1).await.as_str().replace(".zst", ".gz");
    let young = ObjectKey::from_record(young);
    let foreign = [
        format!("{root}README.txt"),
        format!("{root}dt=2026-03-01/hour=10/batch-1-g1.csv"),
        // Of another ledger: the batch of that number has another hour.
        key_of(&stage, 10, 1).await.as_str().replace("hour=10", "hour=23"),
    ];
    let unknown = format!("{root}dt=2026-03-01/hour=10/batch-999999-g1.ndjson.zst");
    let ahead = key_of(&stage, 10, 7).await;
    let raw = format!("{root}_quarantine/dt=2026-03-01/batch-1-00.bin");
    let beside = "archive/source=others/dt=2026-03-01/hour=10/batch-1-g2.ndjson.zst".to_owned();
    for key in [young.as_str(), &unknown, ahead.as_str(), &raw, &beside]
        .into_iter()
        .chain(foreign.iter().map(String::as_str))
    {
        stage.bucket.put(key, b"x".to_vec()).await;
    }
    let before = stage.bucket.keys().await;

    // The stage's functions leave alone what is younger than an hour, and nobody may ask for less.
    let swept = post_sweep(&stage, json!({"apply": true})).await;
    let pile = |name: &str| swept["result"][name]["keys"].clone();
    assert_eq!((pile("orphans"), pile("young")), (json!([]), json!([young])));
    assert_eq!(
        (pile("unknown"), pile("ahead")),
        (json!([unknown]), json!([ahead]))
    );
    let named: Vec<String> = serde_json::from_value(pile("foreign")).unwrap();
    assert_eq!(named.len(), foreign.len());
    assert!(foreign.iter().all(|key| named.contains(key)), "{named:?}");
    assert_eq!(stage.bucket.keys().await, before);

    // An hour later all of that still stays, but for what was young.
    let swept = stage.sweep(&APPLY).await;
    assert_eq!(swept.orphans.keys, [young]);
    let with_unknown = SweepArguments {
        include_unknown: true,
        ..APPLY
    };
    let swept = stage.sweep(&with_unknown).await;
    assert_eq!(swept.orphans.keys, [ObjectKey::from_record(unknown)]);
    assert_eq!((swept.foreign.count, swept.ahead.count), (3, 1));
    for key in foreign.iter().chain([&raw, &beside]) {
        stage.bucket.delete(key).await;
    }
    stage.bucket.delete(ahead.as_str()).await;
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e12_an_upload_that_nobody_completes_is_ended_unless_a_worker_holds_its_batch() {
    let (stage, messages) = handed_off("uploads", 2, &[AT_ONCE]).await;
    let held = key_of(&stage, 11, 1).await;
    let keys = [key_of(&stage, 10, 1).await, held.clone()];
    for key in keys
        .iter()
        .map(ObjectKey::as_str)
        .chain(["archive/source=messages/a-film.mp4"])
    {
        let upload = stage
            .bucket
            .s3
            .create_multipart_upload()
            .bucket(&stage.bucket.name)
            .key(key);
        upload.send().await.unwrap();
    }
    stage
        .sql(
            "UPDATE batch SET status = 'in_progress', holder = 'w', fence = 1, attempts = 1, \
             lease_until = UTC_TIMESTAMP(6) + INTERVAL 1 HOUR WHERE HOUR(hour_start) = 11",
        )
        .await;
    let dry = stage.sweep(&SweepArguments::default()).await;
    assert_eq!(dry.uploads.keys, [keys[0].clone()]);
    assert_eq!(stage.bucket.archive.unfinished_uploads().await.unwrap().len(), 3);

    let swept = stage.sweep(&APPLY).await;
    assert_eq!(
        (swept.uploads.keys, swept.young.keys),
        (vec![keys[0].clone()], vec![held])
    );
    assert_eq!(swept.foreign.count, 1);
    let left = stage.bucket.archive.unfinished_uploads().await.unwrap();
    assert_eq!(left.len(), 2);
    for upload in left.iter().filter(|upload| upload.key.as_str().ends_with(".mp4")) {
        stage
            .bucket
            .archive
            .abort_upload(&upload.key, &upload.upload_id)
            .await
            .unwrap();
    }

    stage.sql("UPDATE batch SET status = 'pending', holder = NULL, lease_until = NULL, attempts = 0 WHERE fence = 1").await;
    stage.run_until_quiet().await;
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e12_the_reaper_sweeps_once_a_day_by_itself_page_by_page() {
    const ORPHANS: usize = 1_050;
    let (stage, messages) = handed_off("daily", 1, &[AT_ONCE]).await;
    stage.run_until_quiet().await;
    assert_eq!(
        stage.row::<u32>("SELECT COUNT(*) FROM operation").await,
        0,
        "a new deployment has nothing to sweep"
    );
    // One batch that came to a late generation leaves all the earlier ones' keys.
    let generation = ORPHANS as u32 + 1;
    stage.sql("UPDATE batch SET status = 'cancelled', fence = fence + 1, object_key = NULL WHERE HOUR(hour_start) = 10").await;
    stage.sql("UPDATE message SET batch_id = NULL").await;
    stage
        .sql(&format!("UPDATE batch SET generation = {generation}"))
        .await;
    let layout = stage.bucket.archive.layout();
    let batch = BatchId(stage.row("SELECT id FROM batch").await);
    let puts = (2..=generation).map(|generation| {
        let key = layout.object(hour(10), batch, Generation(generation), FORM);
        let stage = &stage;
        async move { stage.bucket.put(key.as_str(), b"torn".to_vec()).await }
    });
    futures::future::join_all(puts).await;

    stage
        .sql("UPDATE migration SET created_at = created_at - INTERVAL 2 DAY")
        .await;
    assert_eq!(stage.reap().await["sweeps_asked"], 1);
    let (by, state): (String, String) = stage.row("SELECT requested_by, state FROM operation").await;
    assert_eq!((by.as_str(), state.as_str()), ("schedule", "succeeded"));
    let result: String = stage.row("SELECT result FROM operation").await;
    let result: Value = serde_json::from_str(&result).unwrap();
    assert_eq!(
        (&result["orphans"]["count"], &result["manifests"]["count"]),
        (&json!(ORPHANS + 1), &json!(1))
    );
    assert_eq!(stage.bucket.keys().await, [""; 0]);
    assert_eq!(stage.reap().await["sweeps_asked"], 0, "once a day");
    stage
        .sql("UPDATE operation SET created_at = created_at - INTERVAL 2 DAY")
        .await;
    assert_eq!(stage.reap().await["sweeps_asked"], 1);

    stage.backfill(FROM, TO).await;
    stage.run_until_quiet().await;
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s1_only_an_operator_sweeps_and_nobody_below_the_age_of_the_deployment() {
    let stage = Stage::new("may-sweep").await;
    stage
        .index_messages(&[Document::message("m", "2026-03-01T10:00:00Z")])
        .await;
    let mut event: Value = serde_json::from_str(include_str!("../../events/operator.sweep.json")).unwrap();
    for (token, body, status) in [
        ("viewer-token", json!({}), 403),
        ("operator-token", json!({"olderThan": 3_599}), 400),
        ("operator-token", json!({"olderThan": 3_600}), 200),
    ] {
        event["headers"]["authorization"] = json!(format!("Bearer {token}"));
        event["body"] = json!(body.to_string());
        let answer = stage
            .operator
            .invoke(event.clone(), EXPORTER_TIMEOUT)
            .await
            .unwrap();
        assert_eq!(answer["statusCode"], status, "{answer}");
    }
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e12_objects_of_a_sealed_hour_stay_though_the_ledger_knows_their_batches_no_more() {
    let (stage, _messages) = handed_off("sealed", 2, &[]).await;
    stage.run_until_quiet().await;
    let before = stage.bucket.keys().await;
    let batch: u64 = stage
        .row("SELECT id FROM batch WHERE HOUR(hour_start) = 10")
        .await;
    stage
        .sql(&format!(
            "INSERT INTO sealed_range (range_from, range_to, last_batch_id, windows, messages, exported, missing, \
             quarantined, batches, objects, bytes_stored, digest_high, digest_low, sealed_at, sealed_by) \
             SELECT hour_start, hour_start + INTERVAL 1 HOUR, id, '[]', 10, 10, 0, 0, 1, 1, bytes_stored, 0, 0, \
             UTC_TIMESTAMP(6), 'test' FROM batch WHERE id = {batch}"
        ))
        .await;
    for table in [
        "message WHERE batch_id",
        "attempt WHERE batch_id",
        "batch WHERE id",
    ] {
        stage.sql(&format!("DELETE FROM {table} = {batch}")).await;
    }
    let with_unknown = SweepArguments {
        include_unknown: true,
        ..APPLY
    };
    let report = stage.sweep(&with_unknown).await;
    assert_eq!(
        (report.looked_at, report.orphans.count, report.manifests.count),
        (4, 0, 0)
    );
    assert_eq!(stage.bucket.keys().await, before);

    // Of a later number, it is nothing that was sealed.
    let layout = stage.bucket.archive.layout();
    let later = layout.object(hour(10), BatchId(batch + 100), Generation(1), FORM);
    stage.bucket.put(later.as_str(), b"x".to_vec()).await;
    assert_eq!(
        stage.sweep(&APPLY).await.unknown.keys,
        std::slice::from_ref(&later)
    );
    assert_eq!(stage.sweep(&with_unknown).await.orphans.keys, [later]);
    assert_eq!(stage.bucket.keys().await, before);
    stage.finish().await;
}
