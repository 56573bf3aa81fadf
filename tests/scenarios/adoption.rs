//! Objects that stand where a batch's object belongs: an earlier attempt's is adopted, any other one is left alone.

use super::takeover::{
    FROM, TO, deliver, exporter_behind, handed_off, let_it_be_reaped, outcomes, spools, warm_up,
};
use crate::stage::{EXPORTER_TIMEOUT, FunctionError, Proxy, Stage};
use granary_archive::{Line, PutOutcome, PutSettings, Spool};
use granary_domain::{BatchId, Compression, Format, Generation, Hour, MessageId, ObjectKey};
use granary_verify::{FindingKind, Verdict};
use std::collections::BTreeSet;

fn hour(of_day: usize) -> Hour {
    Hour::of(format!("2026-03-01T{of_day}:00:00Z").parse().unwrap())
}

fn ids(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|number| format!("m-{number:02}")).collect()
}

/// Where one generation of an hour's only batch belongs.
async fn key_of(stage: &Stage, of_day: usize, generation: u32) -> (BatchId, ObjectKey) {
    let query = format!("SELECT id FROM batch WHERE HOUR(hour_start) = {of_day}");
    let batch = BatchId(stage.row(&query).await);
    let form = (Format::Ndjson, Compression::Zstd);
    let layout = stage.bucket.archive.layout();
    (
        batch,
        layout.object(hour(of_day), batch, Generation(generation), form),
    )
}

/// Puts an object of these messages there, as a worker would, but with messages that tell it apart.
async fn put_by_hand(stage: &Stage, of_day: usize, generation: u32, ids: &[String]) -> String {
    let (batch, key) = key_of(stage, of_day, generation).await;
    let directory = tempfile::tempdir().unwrap();
    let mut spool = Spool::create(directory.path(), Format::Ndjson, Compression::Zstd).unwrap();
    for id in ids {
        let message_id = MessageId::try_from(id.clone()).unwrap();
        let line = Line {
            message_id: &message_id,
            doc_id: id,
            index: "by-hand",
            routing: None,
            version: 1,
            seq_no: 0,
            primary_term: 1,
            message: br#"{"by":"hand"}"#,
            metadata: &[],
        };
        spool.write(&line).unwrap();
    }
    let spool = spool.seal().unwrap();
    let put = stage
        .bucket
        .archive
        .put(&key, batch, &spool, PutSettings::default());
    assert_eq!(put.await.unwrap(), PutOutcome::Written);
    key.to_string()
}

/// The first half of an object of the right messages.
async fn put_torn(stage: &Stage, of_day: usize, generation: u32) -> String {
    let first = (of_day - 10) * 10;
    let key = put_by_hand(stage, of_day, generation, &ids(first..first + 10)).await;
    let mut body = stage.bucket.body(&key).await;
    body.truncate(body.len() / 2);
    stage.bucket.put(&key, body).await;
    key
}

/// As if an attempt had been made before.
async fn let_an_attempt_be_over(stage: &Stage, of_day: usize) {
    let changed = stage
        .sql(&format!(
            "UPDATE batch SET fence = 1 WHERE HOUR(hour_start) = {of_day}"
        ))
        .await;
    assert_eq!(changed, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e13_an_object_whose_settlement_was_lost_is_adopted_and_not_fetched_again() {
    let (stage, messages) = handed_off("unsettled", 1, &[]).await;
    let to_s3 = Proxy::before(stage.setting("AWS_ENDPOINT_URL")).await;
    let killed = exporter_behind(&stage, &to_s3, "AWS_ENDPOINT_URL").await;
    to_s3.stall_answers_after(0);
    let (response, ()) = tokio::join!(deliver(&stage, &killed, EXPORTER_TIMEOUT), async {
        to_s3.until_asked().await;
        stage.bucket.until_it_has(1).await;
        killed.kill().await;
    });
    assert!(matches!(response, Err(FunctionError::Exited(_))), "{response:?}");
    let written = stage.bucket.body(&stage.bucket.keys().await[0]).await;

    let_it_be_reaped(&stage).await;
    let to_es = Proxy::before(stage.setting("GRANARY_ES_URL")).await;
    let next = exporter_behind(&stage, &to_es, "GRANARY_ES_URL").await;
    deliver(&stage, &next, EXPORTER_TIMEOUT).await.unwrap();
    assert_eq!(to_es.asked(), 0, "nothing is fetched a second time");
    assert_eq!(outcomes(&stage).await, ["reaped", "completed"]);
    let (key, generation): (String, u32) = stage.row("SELECT object_key, generation FROM batch").await;
    assert_eq!((stage.bucket.body(&key).await, generation), (written, 1));
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e13_an_object_that_is_the_batch_is_adopted_by_the_first_attempt_and_by_later_ones() {
    let (stage, messages) = handed_off("adopted", 2, &[]).await;
    let by_hand = [
        put_by_hand(&stage, 10, 1, &ids(0..10)).await,
        put_by_hand(&stage, 11, 1, &ids(10..20)).await,
    ];
    let_an_attempt_be_over(&stage, 11).await;
    let exports = stage.export_all().await;
    assert_eq!(
        (exports.acknowledged, exports.errors.len()),
        (2, 0),
        "{exports:?}"
    );

    let keys: Vec<String> = stage.rows("SELECT object_key FROM batch ORDER BY id").await;
    assert_eq!(keys, by_hand);
    for line in stage.bucket.lines().await {
        assert_eq!(line.message, r#"{"by":"hand"}"#, "it was not written over");
    }
    let fetched: Vec<bool> = stage
        .rows("SELECT JSON_VALUE(timings, '$.fetch') > 0 FROM attempt ORDER BY batch_id")
        .await;
    assert_eq!(
        fetched,
        [true, false],
        "only an earlier attempt may have left an object"
    );
    assert_eq!(stage.row::<u32>("SELECT COUNT(*) FROM alert").await, 0);
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e13_an_object_that_is_not_the_batch_is_left_alone_for_the_next_generation_and_people_are_told() {
    let (stage, messages) = handed_off("conflicts", 5, &[]).await;
    let with_a_stranger = [ids(20..29), vec!["stranger".to_owned()]].concat();
    let bad = [
        put_torn(&stage, 10, 1).await,
        put_torn(&stage, 11, 1).await,
        put_by_hand(&stage, 12, 1, &with_a_stranger).await,
        put_by_hand(&stage, 13, 1, &ids(30..39)).await,
        put_by_hand(&stage, 14, 1, &ids(0..10)).await,
        put_torn(&stage, 14, 2).await,
        put_by_hand(&stage, 14, 3, &[]).await,
    ];
    let_an_attempt_be_over(&stage, 11).await;
    let exports = stage.export_all().await;
    assert_eq!(
        (exports.acknowledged, exports.errors.len()),
        (5, 0),
        "{exports:?}"
    );
    let batches: Vec<(String, u32, Option<String>)> = stage
        .rows("SELECT status, generation, error_code FROM batch ORDER BY hour_start")
        .await;
    let settled = ("completed".to_owned(), 2, None);
    let given_up = ("failed".to_owned(), 4, Some("archive_conflict".to_owned()));
    let four = [settled.clone(), settled.clone(), settled.clone(), settled];
    assert_eq!(batches, [&four[..], &[given_up]].concat());

    stage.run_until_quiet().await;
    let key: String = stage
        .row("SELECT object_key FROM batch WHERE HOUR(hour_start) = 14")
        .await;
    assert_eq!(key, key_of(&stage, 14, 4).await.1.to_string());
    let alerts: (u32, String) = stage.row("SELECT COUNT(*), MIN(kind) FROM alert").await;
    assert_eq!(
        alerts,
        (bad.len() as u32, "archive_conflict".into()),
        "one for each object"
    );
    let told = stage.queues.told().await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(bad.iter().all(|key| told[0].contains(key.as_str())), "{told:?}");

    let report = stage.verify(FROM, TO).await;
    let orphans: BTreeSet<_> = report
        .account
        .findings
        .iter()
        .map(|finding| finding.kind)
        .collect();
    assert_eq!(
        (report.verdict, orphans, report.account.findings.len()),
        (
            Verdict::Complete,
            BTreeSet::from([FindingKind::Orphan]),
            bad.len()
        )
    );
    for key in &bad {
        stage.bucket.delete(key).await;
    }
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e14_the_spools_of_a_killed_process_are_removed_by_the_next_and_nothing_else_is() {
    let (stage, messages) = handed_off("leftovers", 1, &[]).await;
    let to_es = Proxy::before(stage.setting("GRANARY_ES_URL")).await;
    let exporter = exporter_behind(&stage, &to_es, "GRANARY_ES_URL").await;
    std::fs::write(exporter.temp_dir().join("somebody-elses"), "file").unwrap();
    to_es.stall();
    let (response, ()) = tokio::join!(deliver(&stage, &exporter, EXPORTER_TIMEOUT), async {
        to_es.until_asked().await;
        exporter.kill().await;
    });
    assert!(matches!(response, Err(FunctionError::Exited(_))), "{response:?}");
    assert_eq!(spools(&exporter).len(), 2, "{:?}", spools(&exporter));

    to_es.restore();
    let_it_be_reaped(&stage).await;
    deliver(&stage, &exporter, EXPORTER_TIMEOUT).await.unwrap();
    assert_eq!(spools(&exporter), ["somebody-elses"]);
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e14_a_worker_that_can_not_spool_defers_its_batch_and_another_one_exports_it() {
    let (stage, messages) = handed_off("no-spool", 2, &[]).await;
    let (broken, sound) = (stage.exporter(0), stage.exporter(1));
    warm_up(broken).await;
    std::fs::remove_dir_all(broken.temp_dir()).unwrap();
    deliver(&stage, broken, EXPORTER_TIMEOUT).await.unwrap();
    deliver(&stage, sound, EXPORTER_TIMEOUT).await.unwrap();
    let batches: Vec<(String, u32, Option<String>)> = stage
        .rows("SELECT status, attempts, error_code FROM batch ORDER BY status")
        .await;
    let deferred = ("pending".to_owned(), 0, Some("temp_dir".to_owned()));
    assert_eq!(batches, [("completed".to_owned(), 1, None), deferred]);

    stage.let_delays_end().await;
    stage.reap().await;
    deliver(&stage, sound, EXPORTER_TIMEOUT).await.unwrap();
    let attempts: Vec<u32> = stage.rows("SELECT attempts FROM batch ORDER BY attempts").await;
    assert_eq!(attempts, [1, 1], "it costs no attempt");
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}
