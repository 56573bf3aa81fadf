//! Orphans: how they come to be, that a sweep takes them away, and what it leaves alone.

use super::takeover::{FROM, TO, deliver, exporter_behind, handed_off, outcomes};
use crate::stage::{
    APPLY, Document, EXPORTER_TIMEOUT, FunctionError, OPERATOR_TOKEN, Proxy, Stage, VIEWER_TOKEN, request,
};
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

/// `POST /sweep`, as an operator asks for it; its operation, at its end.
pub(super) async fn post_sweep(stage: &Stage, body: Value) -> Value {
    let event = request("POST", "/sweep", &body.to_string());
    let answer = stage.operator.invoke(event, EXPORTER_TIMEOUT).await.unwrap();
    at_its_end(stage, &answer).await
}

/// The operation that an answer tells of, once the reaper has done what is its part.
pub(super) async fn at_its_end(stage: &Stage, answer: &Value) -> Value {
    let answer: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
    let operation = &answer["operation"];
    if operation["state"] == "succeeded" {
        return operation.clone();
    }
    let status = answer["statusUrl"]
        .as_str()
        .unwrap_or_else(|| panic!("{answer}"))
        .to_owned();
    stage.reap().await;
    stage.look_at(&status).await["operation"].clone()
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
async fn e12_the_object_of_a_worker_that_was_cancelled_while_it_uploaded_goes_once_its_messages_are_on_record_elsewhere()
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
    // Nobody has its messages on record: it may be the only copy.
    for _ in 0..2 {
        let applied = post_sweep(&stage, json!({"apply": true})).await;
        assert_eq!(applied["result"]["orphans"]["count"], 0, "{applied}");
        assert_eq!(
            applied["result"]["unproven"]["keys"],
            json!([orphan]),
            "{applied}"
        );
        let doubt = &applied["result"]["doubts"][0];
        assert_eq!(doubt["text"], "it holds 10 messages that no other object holds");
    }
    let told: Vec<String> = stage
        .rows("SELECT text FROM alert WHERE kind = 'unproven_object'")
        .await;
    assert_eq!(told.len(), 1, "once");
    assert!(told[0].contains(orphan.as_str()), "{told:?}");

    stage.backfill(FROM, TO).await;
    stage.harvest().await;
    let waits = post_sweep(&stage, json!({"apply": true})).await;
    assert_eq!(waits["result"]["waiting"]["keys"], json!([orphan]), "{waits}");
    stage.run_until_quiet().await;
    let dry = post_sweep(&stage, json!({})).await;
    assert_eq!(dry["result"]["orphans"]["keys"], json!([orphan]));
    assert_eq!(stage.bucket.objects().await.len(), 2);
    let applied = post_sweep(&stage, json!({"apply": true})).await;
    assert_eq!(applied["result"]["orphans"]["count"], 1, "{applied}");
    let again = post_sweep(&stage, json!({"apply": true})).await;
    assert_eq!(again["result"]["orphans"]["count"], 0, "twice is harmless");
    let audited: Vec<String> = stage.rows("SELECT action FROM audit ORDER BY id").await;
    assert_eq!(audited, ["sweep.start"; 6]);
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
    assert_eq!(swept.orphans.count, 0);
    assert_eq!(swept.unproven.keys, [ObjectKey::from_record(unknown.clone())]);
    assert_eq!((swept.foreign.count, swept.ahead.count), (3, 1));
    for key in foreign.iter().chain([&raw, &beside, &unknown]) {
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
async fn e12_the_reaper_sweeps_once_a_day_by_itself_and_deletes_a_hundred_objects_a_tick() {
    const ORPHANS: usize = 230;
    let (stage, messages) = handed_off("daily", 1, &[AT_ONCE]).await;
    stage.run_until_quiet().await;
    assert_eq!(
        stage.row::<u32>("SELECT COUNT(*) FROM operation").await,
        0,
        "a new deployment has nothing to sweep"
    );
    // A batch that came to a late generation left its object at all the earlier ones' keys.
    let generation = ORPHANS as u32 + 1;
    let first = key_of(&stage, 10, 1).await;
    let body = stage.bucket.body(first.as_str()).await;
    let layout = stage.bucket.archive.layout();
    let batch = BatchId(stage.row("SELECT id FROM batch").await);
    let puts = (2..=generation).map(|generation| {
        let key = layout.object(hour(10), batch, Generation(generation), FORM);
        let (stage, body) = (&stage, body.clone());
        async move { stage.bucket.put_as_a_worker(key.as_str(), body).await }
    });
    futures::future::join_all(puts).await;
    let last = key_of(&stage, 10, generation).await;
    let manifest = layout.manifest(hour(10), batch, Generation(1));
    let mut account: Value = serde_json::from_slice(&stage.bucket.body(manifest.as_str()).await).unwrap();
    (account["generation"], account["object"]) = (json!(generation), json!(last));
    let key = layout.manifest(hour(10), batch, Generation(generation));
    stage
        .bucket
        .put(key.as_str(), account.to_string().into_bytes())
        .await;
    stage
        .sql(&format!(
            "UPDATE batch SET generation = {generation}, object_key = '{last}'"
        ))
        .await;

    stage
        .sql("UPDATE migration SET created_at = created_at - INTERVAL 2 DAY")
        .await;
    for (tick, left) in [(0, 131), (1, 31)] {
        assert_eq!(stage.reap().await["sweeps_asked"], 1 - tick);
        assert_eq!(stage.bucket.objects().await.len(), left, "a hundred a tick");
    }
    stage.reap().await;
    assert_eq!(stage.bucket.objects().await, [last]);
    let (by, state): (String, String) = stage.row("SELECT requested_by, state FROM operation").await;
    assert_eq!((by.as_str(), state.as_str()), ("schedule", "succeeded"));
    let result: String = stage.row("SELECT result FROM operation").await;
    let result: Value = serde_json::from_str(&result).unwrap();
    assert_eq!(
        (&result["orphans"]["count"], &result["manifests"]["count"]),
        (&json!(ORPHANS), &json!(1))
    );
    assert_eq!(stage.reap().await["sweeps_asked"], 0, "once a day");
    stage
        .sql("UPDATE operation SET created_at = created_at - INTERVAL 2 DAY")
        .await;
    assert_eq!(stage.reap().await["sweeps_asked"], 1);
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e13_an_object_goes_only_while_the_one_that_has_its_messages_on_record_is_sound() {
    let (stage, messages) = handed_off("witness", 2, &[AT_ONCE]).await;
    stage.run_until_quiet().await;
    // The same messages, left behind at another form's key.
    let mut left = Vec::new();
    for of_day in [10, 11] {
        let key = key_of(&stage, of_day, 1).await;
        let packed = stage.bucket.body(key.as_str()).await;
        let plain = zstd::decode_all(packed.as_slice()).unwrap();
        let key = ObjectKey::from_record(key.as_str().trim_end_matches(".zst").to_owned());
        stage.bucket.put_as_a_worker(key.as_str(), plain).await;
        left.push(key);
    }
    let witness = key_of(&stage, 10, 1).await;
    let sound = stage.bucket.body(witness.as_str()).await;
    stage
        .bucket
        .put(witness.as_str(), sound[..sound.len() / 2].to_vec())
        .await;
    let report = stage.sweep(&APPLY).await;
    assert_eq!(report.orphans.keys, [left[1].clone()], "{report:#?}");
    assert_eq!(report.unproven.keys, [left[0].clone()]);
    let text = &report.doubts[0].text;
    assert!(
        text.contains(witness.as_str()) && text.contains("is not sound"),
        "{text}"
    );

    stage.bucket.put_as_a_worker(witness.as_str(), sound).await;
    assert_eq!(stage.sweep(&APPLY).await.orphans.keys, [left[0].clone()]);
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}

/// Some of a torn object's messages may be gone at the source: then it may hold the only copies.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e13_a_torn_object_stays_where_its_batch_lacks_messages() {
    let (stage, _) = handed_off("torn-and-gone", 1, &[AT_ONCE]).await;
    let torn = key_of(&stage, 10, 1).await;
    stage.bucket.put(torn.as_str(), b"torn".to_vec()).await;
    let id: String = stage
        .row("SELECT message_id FROM message ORDER BY message_id LIMIT 1")
        .await;
    stage.indices.delete(&stage.indices.messages, &id).await;
    stage.indices.refresh(&stage.indices.messages).await;
    stage.run_until_quiet().await;
    let report = stage.sweep(&APPLY).await;
    assert_eq!(report.unproven.keys, [torn], "{report:#?}");
    assert!(
        report.doubts[0]
            .text
            .contains("it held up to 10 messages, and the one on record holds 9")
    );
    stage.finish_broken().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s1_only_an_operator_sweeps_and_nobody_below_the_age_of_the_deployment() {
    let stage = Stage::new("may-sweep").await;
    stage
        .index_messages(&[Document::message("m", "2026-03-01T10:00:00Z")])
        .await;
    let mut event: Value = serde_json::from_str(include_str!("../../events/operator.sweep.json")).unwrap();
    for (token, body, status) in [
        (VIEWER_TOKEN, json!({}), 403),
        (OPERATOR_TOKEN, json!({"olderThan": 3_599}), 400),
        (OPERATOR_TOKEN, json!({"olderThan": 3_600}), 200),
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
    assert_eq!(
        stage.sweep(&with_unknown).await.unproven.keys,
        std::slice::from_ref(&later)
    );
    stage.bucket.delete(later.as_str()).await;
    assert_eq!(stage.bucket.keys().await, before);
    stage.finish().await;
}
