//! What everything stands on goes away for a while: that costs time, and neither messages nor attempts.

#[cfg(feature = "full")]
use crate::stage::Node;
use crate::stage::{Document, Proxy, Stage};
#[cfg(feature = "full")]
use granary_domain::BatchStatus;
use granary_domain::{MigrationId, TimeRange};
use std::sync::atomic::{AtomicBool, Ordering};
#[cfg(feature = "full")]
use std::time::{Duration, Instant};

const FROM: &str = "2026-03-01T10:00:00Z";
const NOON: &str = "2026-03-01T12:00:00Z";
const ONE: &str = "2026-03-01T13:00:00Z";
const TO: &str = "2026-03-01T14:00:00Z";
#[cfg(feature = "full")]
const OUTAGE: Duration = Duration::from_secs(30);

/// No attempt counted but those that completed, and nothing was given up.
async fn assert_no_attempt_was_burnt(stage: &Stage) {
    let outcomes: Vec<(String, u64)> = stage
        .rows(
            "SELECT outcome, COUNT(*) FROM attempt WHERE outcome NOT IN ('completed', 'deferred') GROUP BY 1",
        )
        .await;
    assert_eq!(outcomes, [], "no attempt failed");
    let more_than_one: u64 = stage.row("SELECT COUNT(*) FROM batch WHERE attempts <> 1").await;
    let parked: u64 = stage
        .row("SELECT COUNT(*) FROM batch WHERE parked_at IS NOT NULL")
        .await;
    assert_eq!((more_than_one, parked), (0, 0));
}

async fn deferred(stage: &Stage, cause: &str) -> u64 {
    let outcome = format!("outcome = 'deferred' AND error_code = '{cause}'");
    stage
        .row(&format!("SELECT COUNT(*) FROM attempt WHERE {outcome}"))
        .await
}

/// A window that the next tick takes without asking the source for one.
async fn open_window(stage: &Stage, migration: MigrationId, from: &str, to: &str) {
    let range = TimeRange::new(from.parse().unwrap(), to.parse().unwrap()).unwrap();
    assert!(stage.ledger.open_window(migration, range).await.unwrap());
}

/// H4, H7: a node of this test's own is killed while a harvester and exporters are at work, and started again 30 s
/// later. Meanwhile the clock goes on ticking.
#[cfg(feature = "full")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h7_an_elasticsearch_that_is_down_for_30_s_costs_time_and_no_message() {
    let mut node = Node::start().await;
    let stage = Stage::on(&node, "es-down").await;
    let messages = Document::many(2_400, 10..14);
    stage.index_messages(&messages).await;
    stage.backfill(FROM, NOON).await;
    stage.harvest().await;
    // Two batches and a window surely meet the outage, whatever the others were about when it began.
    let mut kept_back = Vec::new();
    for _ in 0..2 {
        kept_back.extend(stage.queues.receive().await);
    }
    stage.backfill(NOON, ONE).await;
    let (harvested, exports, ()) = tokio::join!(stage.try_harvest(), stage.export_all(), async {
        stage.until("SELECT COUNT(*) > 3 FROM attempt").await;
        node.kill().await;
    });
    let since = Instant::now();
    assert!(harvested.is_ok(), "{harvested:?}");
    assert_eq!(exports.errors, []);
    let on_record = stage.batches(BatchStatus::Completed).await;
    for (queue, message) in &kept_back {
        stage.queues.make_visible(queue, message).await;
    }
    let last = stage.backfill(ONE, TO).await;
    open_window(&stage, last, ONE, TO).await;

    let mut released = 0;
    while since.elapsed() < OUTAGE {
        released += stage.harvest().await["windows_unfinished"].as_u64().unwrap();
        let exports = stage.export_all().await;
        assert_eq!(
            (exports.returned.len(), exports.errors.len()),
            (0, 0),
            "{exports:?}"
        );
        stage.let_delays_end().await;
        stage.reap().await;
    }
    assert_eq!(stage.batches(BatchStatus::Completed).await, on_record);
    node.restart().await;

    stage.run_until_quiet().await;
    assert!(deferred(&stage, "source_unavailable").await >= 2 && released > 0);
    assert_no_attempt_was_burnt(&stage).await;
    stage.assert_archived(&messages, FROM, TO).await;
    assert_eq!(stage.queues.told().await, [""; 0]);
    stage.finish().await;
}

/// H4, H7: between two requests of one window.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h4_a_window_whose_connections_are_cut_goes_back_and_is_read_on() {
    let stage = Stage::new("es-cut").await;
    let messages = Document::many(400, 10..14);
    stage.index_messages(&messages).await;
    let network = Proxy::before(stage.setting("GRANARY_ES_URL")).await;
    let harvester = stage.another("harvester", &[("GRANARY_ES_URL", &network.url())]);
    let tick = || serde_json::json!({});
    let timeout = crate::stage::HARVESTER_TIMEOUT;
    harvester.invoke(tick(), timeout).await.unwrap();
    let migration = stage.backfill(FROM, TO).await;
    open_window(&stage, migration, FROM, TO).await;

    network.stall();
    let (report, ()) = tokio::join!(harvester.invoke(tick(), timeout), async {
        stage
            .until("SELECT COUNT(*) FROM harvest_window WHERE state = 'harvesting'")
            .await;
        network.cut();
    });
    assert_eq!(report.unwrap()["windows_unfinished"], 1);
    let (released, why): (u64, String) = stage
        .row("SELECT COUNT(*), MAX(error_text) FROM harvest_window WHERE state = 'open' AND not_before IS NOT NULL")
        .await;
    assert!(released == 1 && why.contains("unavailable"), "{why}");

    network.restore();
    stage.let_delays_end().await;
    let report = harvester.invoke(tick(), timeout).await.unwrap();
    assert_eq!(report["tally"]["recorded"], 400);
    stage.run_until_quiet().await;
    assert_no_attempt_was_burnt(&stage).await;
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}

/// D1: every connection to the ledger is killed again and again, in the middle of whatever it does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d1_connections_to_the_ledger_that_are_killed_in_mid_run_cost_nothing() {
    let stage = Stage::with("killed-connections", &[("GRANARY_BATCH_SIZE", "25")]).await;
    let messages = Document::many(2_000, 10..14);
    // All are warm: what is killed is at work.
    stage.harvest().await;
    stage.reap().await;
    stage.index_messages(&messages).await;

    let is_over = AtomicBool::new(false);
    let run = async {
        for (from, to) in [(FROM, NOON), (NOON, ONE), (ONE, TO)] {
            stage.backfill(from, to).await;
            let harvested = stage.try_harvest().await;
            let exports = stage.export_all().await;
            let reaped = stage.try_reap().await;
            assert!(harvested.is_ok() && reaped.is_ok(), "{harvested:?} {reaped:?}");
            assert_eq!(
                (exports.returned.len(), exports.errors.len()),
                (0, 0),
                "{exports:?}"
            );
        }
        is_over.store(true, Ordering::Relaxed);
    };
    let ((), killed) = tokio::join!(run, stage.kill_connections_until(&is_over));
    let functions = [
        &stage.harvester,
        &stage.reaper,
        stage.exporter(0),
        stage.exporter(1),
    ];
    let logs: Vec<_> = functions
        .iter()
        .map(|function| function.log().join("\n"))
        .collect();
    let repeated = logs.concat().matches("the ledger is asked again").count();
    assert!(
        killed > 5 && repeated > 0,
        "{killed} were killed, {repeated} transactions repeated"
    );

    stage.run_until_quiet().await;
    assert_no_attempt_was_burnt(&stage).await;
    stage.assert_archived(&messages, FROM, TO).await;
    assert_eq!(stage.queues.told().await, [""; 0]);
    stage.finish().await;
}

/// Q4, E12: neither S3 nor SQS answers. What can't be sent stays unsent, what can't be written is deferred.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e12_s3_and_sqs_out_of_reach_for_a_moment_cost_time_and_no_message() {
    let network = Proxy::before(&std::env::var("AWS_ENDPOINT_URL").unwrap()).await;
    let stage = Stage::with("aws-down", &[("AWS_ENDPOINT_URL", &network.url())]).await;
    let messages = Document::many(800, 10..14);
    stage.index_messages(&messages).await;
    stage.backfill(FROM, NOON).await;
    stage.harvest().await;
    assert_eq!(stage.export_one().await.acknowledged, 1);
    stage.backfill(NOON, TO).await;

    network.cut();
    let report = stage.harvest().await;
    assert_eq!(
        (&report["tally"]["recorded"], &report["batches_sent"]),
        (&400.into(), &0.into())
    );
    let exports = stage.export_all().await;
    assert_eq!(
        (exports.acknowledged, exports.returned.len(), exports.errors.len()),
        (3, 0, 0),
        "{exports:?}"
    );
    assert_eq!(deferred(&stage, "archive_unavailable").await, 3);
    assert_eq!(stage.batches_by_status().await["pending"], (7, 700));

    network.restore();
    stage.let_delays_end().await;
    stage.run_until_quiet().await;
    assert_no_attempt_was_burnt(&stage).await;
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}
