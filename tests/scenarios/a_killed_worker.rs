//! E9: what a killed worker held is exported again within three minutes, with the settings that people have by default.
//!
//! Nothing is hurried here: leases end by themselves, and the clock ticks once a minute, as the template says. The
//! moments are the worst ones: the worker dies as soon as its lease was granted, and the tick that could take the batch back
//! comes just before the lease is over.

use crate::stage::{Document, FunctionError, Proxy, Stage};
use granary_domain::BatchStatus;
use std::time::Duration;
use tokio::time::{Instant, interval, interval_at};

const FROM: &str = "2026-03-01T10:00:00Z";
const TO: &str = "2026-03-01T11:00:00Z";
const PROMISED: Duration = Duration::from_secs(180);
/// `rate(1 minute)`; a test of the template holds it there.
const TICK: Duration = Duration::from_secs(60);
/// As long as an idle queue's poller may take.
const POLL: Duration = Duration::from_millis(500);
/// Everything that a stage tells its functions so that tests need not wait.
const DEFAULTS: [(&str, &str); 3] = [
    ("GRANARY_LEASE_SECONDS", ""),
    ("GRANARY_RETRY_DELAY_MS", ""),
    ("GRANARY_BATCH_SIZE", "1000"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e9_what_a_killed_worker_held_is_exported_again_within_three_minutes_by_default_settings() {
    let stage = Stage::with("three-minutes", &DEFAULTS).await;
    let messages = Document::many(500, 10..11);
    stage.index_messages(&messages).await;
    stage.backfill(FROM, TO).await;
    stage.harvest().await;
    let network = Proxy::before(stage.setting("GRANARY_ES_URL")).await;
    let doomed = stage.another("exporter", &[("GRANARY_ES_URL", &network.url())]);
    // Others are warm already.
    stage.reap().await;

    network.stall();
    let (exports, killed) = tokio::join!(stage.export_all_by(&doomed), async {
        stage
            .until("SELECT COUNT(*) FROM batch WHERE status = 'in_progress'")
            .await;
        doomed.kill().await;
        Instant::now()
    });
    assert!(
        matches!(exports.errors[..], [FunctionError::Exited(_)]),
        "{exports:?}"
    );
    let left: i64 = stage
        .row("SELECT TIMESTAMPDIFF(SECOND, UTC_TIMESTAMP(6), lease_until) FROM batch")
        .await;
    assert!(
        (80..=90).contains(&left),
        "the lease of 90 s has just begun: {left}"
    );

    let just_too_early = Instant::now() + Duration::from_secs(left as u64 - 1);
    let mut clock = interval_at(just_too_early, TICK);
    let mut queue = interval(POLL);
    let mut ticks = 0;
    while stage.batches(BatchStatus::Completed).await == 0 {
        assert!(
            killed.elapsed() < PROMISED,
            "not exported again after {PROMISED:?}"
        );
        tokio::select! {
            _ = clock.tick() => {
                ticks += 1;
                stage.reap().await;
            }
            _ = queue.tick() => drop(stage.export_all().await),
        }
    }
    let took = killed.elapsed();
    assert!(took < PROMISED, "{took:?}");
    assert_eq!(ticks, 2, "the first came just before the lease was over");

    let outcomes: Vec<String> = stage.rows("SELECT outcome FROM attempt ORDER BY number").await;
    assert_eq!(outcomes, ["reaped", "completed"]);
    stage.run_until_quiet().await;
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}
