//! The machine that a function runs on: its disk is full, its clock is wrong, it dies.

use super::{FROM, NOON, TO, assert_archived_in_peace, assert_recovered, harvested, indexed};
use crate::stage::{Document, Function, HARVESTER_TIMEOUT, REAPER_TIMEOUT, Stage};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Less than a batch takes, more than nothing.
const DISK_KIB: u64 = 16;
const LEASE: (&str, &str) = ("GRANARY_LEASE_SECONDS", "30");
const DELAY: (&str, &str) = ("GRANARY_RETRY_DELAY_MS", "20000");
/// Beyond a lease and a delay, and well within an invocation.
const SHIFTS_SECS: [i64; 2] = [60, -60];

/// E14: nothing is left of what didn't fit, the batch's other attempt has the room, and the full machine goes on with
/// what fits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e14_a_batch_that_does_not_fit_the_disk_is_exported_by_another_worker_and_leaves_nothing_behind() {
    let stage = Stage::with("disk-full", &[("GRANARY_COMPRESSION", "none")]).await;
    let mut messages = Document::many(100, 10..11);
    messages.extend(Document::many(110, 11..12).split_off(100));
    stage.index_messages(&messages).await;
    stage.backfill(FROM, TO).await;
    assert_eq!(stage.harvest().await["batches_sent"], 2);
    let full = stage.another("exporter", &[]).with_files_of_at_most(DISK_KIB);
    let exports = stage.export_all_by(&full).await;
    assert_eq!(
        (exports.acknowledged, exports.errors.len()),
        (2, 0),
        "{exports:?}"
    );
    let outcomes: Vec<(String, Option<String>)> = stage
        .rows("SELECT outcome, error_code FROM attempt ORDER BY outcome")
        .await;
    assert_eq!(
        outcomes,
        [
            ("completed".to_owned(), None),
            ("deferred".to_owned(), Some("spool".to_owned()))
        ]
    );
    assert_eq!(std::fs::read_dir(full.temp_dir()).unwrap().count(), 0);
    assert_eq!(stage.bucket.objects().await.len(), 1, "no torn object");
    stage.run_until_quiet().await;
    assert_archived_in_peace(&stage, &messages).await;
    stage.finish().await;
}

const SHIFTED_CLOCK: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
int clock_gettime(clockid_t id, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int answer = real(id, now);
    const char *shift = getenv("SHIFT_SECS");
    if (answer == 0 && id == CLOCK_REALTIME && shift) now->tv_sec += atol(shift);
    return answer;
}
"#;

/// A library that tells whoever is started with it another time of day.
fn shifted_clock(directory: &Path) -> PathBuf {
    let (source, library) = (directory.join("clock.c"), directory.join("clock.so"));
    std::fs::write(&source, SHIFTED_CLOCK).unwrap();
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .args([&library, &source])
        .args(["-ldl"])
        .status();
    assert!(
        compiled
            .expect("a C compiler is there, as the build needs one")
            .success()
    );
    library
}

/// A function whose clock is wrong by so many seconds.
fn wrong(stage: &Stage, name: &str, library: &Path, shift: i64) -> Function {
    stage.another(
        name,
        &[
            ("LD_PRELOAD", library.to_str().unwrap()),
            ("SHIFT_SECS", &shift.to_string()),
        ],
    )
}

/// D2: a harvester ahead of time would read what hasn't settled, one behind would leave what has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d2_a_harvester_whose_clock_is_wrong_reads_up_to_the_databases_now() {
    let directory = tempfile::tempdir().unwrap();
    let clock = shifted_clock(directory.path());
    for shift in SHIFTS_SECS {
        let stage = Stage::new("clock-harvest").await;
        let now = Timestamp::now();
        let soon = now + SignedDuration::from_secs(30);
        let past = now - SignedDuration::from_secs(30);
        let at = |id: &str, instant: Timestamp| Document::message(id, &instant.to_string());
        let messages = [
            at("past", past - SignedDuration::from_secs(1)),
            at("future", soon - SignedDuration::from_secs(1)),
        ];
        stage.index_messages(&messages).await;
        let hour_ago = (now - SignedDuration::from_hours(1)).to_string();
        // One range that is over, though not by a clock that is behind; one that isn't, though it is by one ahead.
        stage.backfill(&hour_ago, &past.to_string()).await;
        stage.backfill(&past.to_string(), &soon.to_string()).await;
        let harvester = wrong(&stage, "harvester", &clock, shift);
        harvester.invoke(json!({}), HARVESTER_TIMEOUT).await.unwrap();
        let recorded: Vec<String> = stage
            .rows("SELECT CONVERT(message_id USING utf8mb4) FROM message")
            .await;
        assert_eq!(recorded, ["past"], "by a clock that is {shift} s wrong");
        stage.finish().await;
    }
}

/// D2: leases and delays begin and end by the database's clock, whoever sets them and whoever looks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d2_workers_and_reapers_whose_clocks_are_wrong_neither_lose_a_lease_nor_keep_one() {
    let directory = tempfile::tempdir().unwrap();
    let clock = shifted_clock(directory.path());
    for shift in SHIFTS_SECS {
        let stage = Stage::with("clock-export", &[LEASE, DELAY]).await;
        let messages = harvested(&stage).await;
        let (exporter, reaper) = (
            wrong(&stage, "exporter", &clock, shift),
            wrong(&stage, "reaper", &clock, shift),
        );
        let doomed = stage.another(
            "exporter",
            &[
                ("LD_PRELOAD", clock.to_str().unwrap()),
                ("SHIFT_SECS", &shift.to_string()),
                ("GRANARY_FAULT", "put_object:before"),
            ],
        );
        let (queue, message) = stage.queues.receive().await.expect("batches were sent");
        let event = crate::stage::sqs_event(&[(queue, &message)]);
        doomed
            .invoke(event, crate::stage::EXPORTER_TIMEOUT)
            .await
            .unwrap_err();
        let lease: i64 = stage
            .row("SELECT TIMESTAMPDIFF(SECOND, UTC_TIMESTAMP(6), MAX(lease_until)) FROM batch")
            .await;
        assert!((0..=30).contains(&lease), "{lease} s are left of a lease of 30 s");

        let tick = reaper.invoke(json!({}), REAPER_TIMEOUT).await.unwrap();
        assert_eq!(tick["reaped"], 0, "the lease isn't over");
        stage.let_leases_end().await;
        let tick = reaper.invoke(json!({}), REAPER_TIMEOUT).await.unwrap();
        assert_eq!(tick["reaped"], 1, "it is");
        let delay: i64 = stage
            .row("SELECT COALESCE(MAX(TIMESTAMPDIFF(SECOND, UTC_TIMESTAMP(6), not_before)), 0) FROM batch")
            .await;
        assert!(
            (0..=20).contains(&delay),
            "{delay} s are left of a delay of 20 s at most"
        );
        stage.let_delays_end().await;
        reaper.invoke(json!({}), REAPER_TIMEOUT).await.unwrap();
        stage.queues.delete(queue, &message).await;
        stage.export_all_by(&exporter).await;
        stage.run_until_quiet().await;
        assert_archived_in_peace(&stage, &messages).await;
        stage.finish().await;
    }
}

/// The reaper is killed wherever it happens to be, again and again. E9, Q3: what it had to do is done in the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e9_a_reaper_that_is_killed_again_and_again_finishes_its_work_and_does_none_of_it_twice() {
    // Everything fails here, and that isn't what it is about.
    let settings = [
        ("GRANARY_BATCH_SIZE", "10"),
        ("GRANARY_FAILURE_RATE_THRESHOLD", "1.0"),
    ];
    let stage = Stage::with("killed-reaper", &settings).await;
    let messages = indexed(&stage).await;
    stage.backfill(FROM, NOON).await;
    stage.backfill(NOON, TO).await;
    stage.harvest().await;
    // A worker for each batch, and all of them died. Their messages are gone.
    stage.queues.purge(&stage.queues.normal).await;
    stage
        .sql(
            "UPDATE batch SET status = 'in_progress', attempts = 1, fence = 1, holder = 'dead', \
             lease_until = UTC_TIMESTAMP(6) - INTERVAL 1 SECOND, enqueued_at = NULL",
        )
        .await;
    stage
        .sql(
            "INSERT INTO attempt (batch_id, number, generation, worker, started_at) \
             SELECT id, 1, generation, 'dead', UTC_TIMESTAMP(6) FROM batch",
        )
        .await;
    for step in [
        "reap_dead:after",
        "retry_failed:before",
        "send_messages:after",
        "mark_sent:before",
        "mark_sent:after:2",
        "complete_migration:before",
    ] {
        let doomed = stage.another("reaper", &[("GRANARY_FAULT", step)]);
        // It may have nothing to do by then that would lead it there.
        doomed.invoke(json!({}), REAPER_TIMEOUT).await.ok();
        doomed.kill().await;
        stage.let_delays_end().await;
    }
    stage.run_until_quiet().await;
    let reaped: u64 = stage
        .row("SELECT COUNT(*) FROM attempt WHERE outcome = 'reaped'")
        .await;
    let twice: u64 = stage.row("SELECT COUNT(*) FROM batch WHERE attempts <> 2").await;
    assert_eq!((reaped, twice), (40, 0), "each was taken back once");
    assert_archived_in_peace(&stage, &messages).await;
    stage.finish().await;
}

/// H1: more messages in one millisecond than fit three pages.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h1_30_000_messages_of_one_millisecond_are_archived_once_each() {
    let stage = Stage::with("one-millisecond", &[("GRANARY_BATCH_SIZE", "1000")]).await;
    stage.indices.have_shards(2).await;
    let message = |number: u32| {
        let body = format!(r#"{{"message_id":"m-{number:05}","created_at":"2026-03-01T10:30:00.123Z"}}"#);
        Document::raw(&format!("m-{number:05}"), body)
    };
    let messages: Vec<_> = (0..30_000).map(message).collect();
    stage.index_messages(&messages).await;
    stage.backfill(FROM, TO).await;
    let report = stage.harvest().await;
    assert_eq!(
        (&report["tally"]["found"], &report["tally"]["recorded"]),
        (&json!(30_000), &json!(30_000))
    );
    assert_recovered(&stage, &messages).await;
    stage.finish().await;
}
