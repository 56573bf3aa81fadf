//! Scenarios that take longer than a minute, or as much: `make test-full`.
//!
//! They stand on the same stage as the others, one after the other. What they prove differs from what the short ones
//! prove in size and patience only.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail by panicking")]
#![allow(
    clippy::disallowed_methods,
    reason = "a test stands outside the product: it takes no steps"
)]
#![allow(clippy::print_stdout, reason = "the figures are what people run it for")]
#![allow(
    dead_code,
    unused_imports,
    reason = "the stage has more verbs than these few scenarios need"
)]

#[path = "../stage/mod.rs"]
mod stage;
mod memory;

use granary_verify::Verdict;
use serde_json::json;
use stage::{Document, Proxy, Stage};
use std::time::Duration;
use tokio::time::{Instant, interval_at};

const FROM: &str = "2026-03-01T10:00:00Z";
const TO: &str = "2026-03-01T11:00:00Z";
const MILLION: u32 = 1_000_000;
const PIECE: u32 = 50_000;
const BACKLOG: u64 = 100_000;
const MESSAGES_PER_SEND: u64 = 10;

/// H1, H16: the sort values of a hundred pages differ in their tie-breaker alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h1_a_million_messages_of_one_millisecond_are_archived_once_each() {
    let stage = Stage::with("million", &[("GRANARY_BATCH_SIZE", "10000")]).await;
    let message = |number: u32| {
        let id = format!("m-{number:07}");
        Document::raw(
            &id,
            format!(r#"{{"message_id":"{id}","created_at":"2026-03-01T10:30:00.123Z"}}"#),
        )
    };
    for piece in (0..MILLION).step_by(PIECE as usize) {
        let messages: Vec<_> = (piece..piece + PIECE).map(message).collect();
        stage.index_messages(&messages).await;
    }
    stage.backfill(FROM, TO).await;
    stage.run_until_quiet().await;
    let (found, recorded): (u64, u64) = stage
        .row("SELECT SUM(found), SUM(recorded) FROM harvest_window WHERE range_from < '2026-03-02'")
        .await;
    assert_eq!((found, recorded), (u64::from(MILLION), u64::from(MILLION)));
    let exported: u64 = stage.row("SELECT SUM(exported) FROM batch").await;
    assert_eq!(exported, u64::from(MILLION));
    let report = stage.verify(FROM, TO).await;
    assert_eq!(report.verdict, Verdict::Complete, "{:?}", report.account.findings);
    stage.finish().await;
}

/// E14: three gigabytes in one batch, and room for half a gigabyte, as an exporter has by default.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e14_a_batch_of_three_gigabytes_is_split_until_its_parts_fit_half_a_gigabyte() {
    const DOCUMENTS: u32 = 96;
    const DOCUMENT_BYTES: usize = 32 * 1024 * 1024;
    const DISK_KIB: u64 = 512 * 1024;
    let stage = Stage::with("three-gigabytes", &[("GRANARY_COMPRESSION", "none")]).await;
    for number in 0..DOCUMENTS {
        let id = format!("m-{number:02}");
        let text = "x".repeat(DOCUMENT_BYTES);
        let body = format!(r#"{{"message_id":"{id}","created_at":"2026-03-01T10:30:00Z","text":"{text}"}}"#);
        stage.index_messages(&[Document::raw(&id, body)]).await;
    }
    stage.backfill(FROM, TO).await;
    assert_eq!(stage.harvest().await["batches_sent"], 1);
    let small = stage.another("exporter", &[]).with_files_of_at_most(DISK_KIB);
    let begun = Instant::now();
    for _ in 0..20 {
        let exports = stage.export_all_by(&small).await;
        assert_eq!(exports.errors.len(), 0, "{exports:?}");
        stage.let_delays_end().await;
        stage.reap().await;
    }
    let (batches, most, completed): (u64, u32, u64) = stage
        .row("SELECT COUNT(*), CAST(MAX(message_count) AS UNSIGNED), CAST(SUM(status = 'completed') AS UNSIGNED) FROM batch")
        .await;
    println!(
        "{batches} batches of at most {most} messages after {:?}",
        begun.elapsed()
    );
    assert_eq!(batches, completed);
    assert!(most <= 15, "no part is larger than the disk: {most}");
    let failed: u64 = stage
        .row("SELECT COUNT(*) FROM attempt WHERE outcome = 'failed'")
        .await;
    assert_eq!(failed, 0, "no attempt counts");
    let report = stage.verify(FROM, TO).await;
    assert_eq!(report.verdict, Verdict::Complete, "{:?}", report.account.findings);
    stage.finish().await;
}

/// Q3: nothing is hurried. The worker dies just after a tick, which comes once a minute, and the queue hides the message
/// for its 18 minutes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn q3_a_batch_whose_worker_died_before_its_claim_is_exported_within_three_minutes() {
    let stage = Stage::new("hidden-for-real").await;
    let messages = Document::many(10, 10..11);
    stage.index_messages(&messages).await;
    stage.backfill(FROM, TO).await;
    stage.reap().await;
    stage.harvest().await;
    let dying = stage.another("exporter", &[(granary_steps::VARIABLE, "claim_batch:before")]);
    assert_eq!(stage.export_all_by(&dying).await.errors.len(), 1);
    let killed = Instant::now();
    let mut clock = interval_at(killed + Duration::from_secs(59), Duration::from_secs(60));
    while stage.export_all().await.acknowledged == 0 {
        clock.tick().await;
        stage.reap().await;
        assert!(
            killed.elapsed() < Duration::from_secs(180),
            "{:?}",
            killed.elapsed()
        );
    }
    println!("exported {:?} after its worker was killed", killed.elapsed());
    stage.run_until_quiet().await;
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}

/// Q3: all of them wait for longer than `resend_after`, because there are so many.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn q3_a_backlog_of_100_000_batches_is_not_sent_again_every_tick() {
    let stage = Stage::new("backlog").await;
    let messages = [Document::message("m-1", "2026-03-01T10:30:00Z")];
    stage.index_messages(&messages).await;
    stage.backfill(FROM, TO).await;
    stage.harvest().await;
    let columns: Vec<String> = stage
        .rows(
            "SELECT column_name FROM information_schema.columns \
             WHERE table_schema = DATABASE() AND table_name = 'batch' \
             AND column_name NOT IN ('id', 'window_ordinal')",
        )
        .await;
    let columns = columns.join(", ");
    let mut batches: u64 = 1;
    while batches < BACKLOG {
        let limit = batches.min(BACKLOG - batches);
        batches += stage
            .sql(&format!(
                "INSERT INTO batch (window_ordinal, {columns}) \
                 SELECT window_ordinal + {batches}, {columns} FROM batch ORDER BY window_ordinal LIMIT {limit}"
            ))
            .await;
    }
    stage.sql("UPDATE batch SET enqueued_at = NULL").await;
    while stage.reap().await["sent"] != 0 {}
    let depth = stage.queues.depth(&stage.queues.normal).await;
    assert!(
        depth.abs_diff(BACKLOG) <= MESSAGES_PER_SEND,
        "{depth} messages for {BACKLOG} batches"
    );
    for passed in ["11 MINUTE", "3 HOUR"] {
        stage
            .sql(&format!(
                "UPDATE batch SET enqueued_at = UTC_TIMESTAMP(6) - INTERVAL {passed}"
            ))
            .await;
        for _ in 0..2 {
            let tick = stage.reap().await;
            assert_eq!(
                (&tick["sent"], &tick["resent"]),
                (&json!(0), &json!(0)),
                "after {passed}"
            );
        }
    }
    assert_eq!(stage.queues.depth(&stage.queues.normal).await, depth);
    // Batches without messages are no batches, and that isn't what it is about.
    stage.finish_broken().await;
}

/// H7: Elasticsearch takes a request and never answers. The client's own limit (30 s) ends it, and the batch waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h7_a_request_without_an_answer_ends_by_itself_and_costs_no_attempt() {
    let mut stage = Stage::new("no-answer").await;
    let messages = Document::many(400, 10..11);
    stage.index_messages(&messages).await;
    stage.backfill(FROM, TO).await;
    stage.harvest().await;
    let network = Proxy::before(stage.setting("GRANARY_ES_URL")).await;
    stage.tell(&[("GRANARY_ES_URL", &network.url())]);
    assert_eq!(stage.export_one().await.acknowledged, 1);
    network.stall_answers_after(0);
    let exports = stage.export_one().await;
    assert_eq!((exports.acknowledged, exports.errors.len()), (1, 0));
    let deferred: u64 = stage
        .row("SELECT COUNT(*) FROM attempt WHERE outcome = 'deferred' AND error_code = 'source_unavailable'")
        .await;
    assert_eq!(deferred, 1);
    network.restore();
    stage.let_delays_end().await;
    stage.run_until_quiet().await;
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}

/// D1: a lock that somebody holds for longer than a statement waits (1205, after 20 s).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d1_a_lock_wait_that_runs_out_is_waited_for_again() {
    let stage = Stage::new("lock-wait").await;
    let messages = Document::many(400, 10..11);
    stage.index_messages(&messages).await;
    stage.backfill(FROM, TO).await;
    stage.harvest().await;
    let held = stage.hold("SELECT id FROM batch FOR UPDATE").await;
    let has_given_up = || {
        stage
            .exporter(0)
            .log()
            .concat()
            .contains("the ledger is asked again")
    };
    let (exports, ()) = tokio::join!(stage.export_one(), async {
        for _ in 0..1_000 {
            if has_given_up() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        held.let_go().await;
    });
    assert!(has_given_up(), "it never gave up waiting");
    assert_eq!((exports.acknowledged, exports.returned.len()), (1, 0));
    stage.run_until_quiet().await;
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}
