//! Faults of the platform that last: nothing is burnt or given up however often it is deferred, people are told once for
//! each cause after half an hour and once when it is over, and whoever asks learns what waits, and why.

use crate::stage::{Document, Function, HARVESTER_TIMEOUT, Proxy, Stage, sqs_event};
use granary_domain::{BatchStatus, MigrationId, TimeRange};
use serde_json::json;
use std::collections::BTreeSet;
use std::time::Duration;

const FROM: &str = "2026-03-01T10:00:00Z";
const TO: &str = "2026-03-01T13:00:00Z";
const NOBODY: [&str; 0] = [];
/// In seconds, of a delay.
const CEILING_SECS: i64 = 600;

/// One batch of 100 messages for each hour, recorded and sent.
async fn harvested(stage: &Stage, hours: std::ops::Range<u32>) -> (MigrationId, Vec<Document>) {
    let messages = Document::many(100 * (hours.end - hours.start), hours);
    stage.index_messages(&messages).await;
    let migration = stage.backfill(FROM, TO).await;
    stage.harvest().await;
    (migration, messages)
}

/// An exporter that reaches Elasticsearch through a network of its own.
async fn exporter_behind_a_network(stage: &Stage) -> (Function, Proxy) {
    let network = Proxy::before(stage.setting("GRANARY_ES_URL")).await;
    let exporter = stage.another("exporter", &[("GRANARY_ES_URL", &network.url())]);
    (exporter, network)
}

impl Stage {
    /// As if everything that is deferred had been so for so long.
    async fn let_deferred_for(&self, interval: &str) {
        let ago = format!("UTC_TIMESTAMP(6) - INTERVAL {interval}");
        self.sql(&format!(
            "UPDATE batch SET deferred_since = {ago} WHERE deferred_since IS NOT NULL"
        ))
        .await;
        self.sql(&format!("UPDATE harvest_deferral SET since = {ago}"))
            .await;
    }

    /// What people are told by two ticks.
    async fn told_by_two_ticks(&self) -> Vec<String> {
        self.reap().await;
        self.reap().await;
        self.queues.told().await
    }

    /// Tells nothing at 29 minutes and one thing at 31, which has all of these in its text.
    async fn assert_told_once_after_half_an_hour(&self, texts: &[&str]) {
        self.let_deferred_for("29 MINUTE").await;
        assert_eq!(self.told_by_two_ticks().await, NOBODY);
        self.let_deferred_for("31 MINUTE").await;
        let told = self.told_by_two_ticks().await;
        assert_eq!(told.len(), 1, "{told:?}");
        for text in texts {
            assert!(told[0].contains(text), "{text:?} is not in {}", told[0]);
        }
        assert_eq!(self.told_by_two_ticks().await, NOBODY, "once");
    }

    async fn assert_told_that_it_is_over(&self, cause: &str) {
        let told = self.told_by_two_ticks().await;
        let over = format!("{cause}: nothing waits for this any more");
        assert!(told.len() == 1 && told[0].contains(&over), "{told:?}");
        assert_eq!(self.told_by_two_ticks().await, NOBODY, "once");
    }

    async fn assert_nothing_was_burnt(&self) {
        let outcomes: BTreeSet<String> = self
            .rows("SELECT DISTINCT outcome FROM attempt")
            .await
            .into_iter()
            .collect();
        let harmless = ["completed", "deferred", "handed_back"].map(str::to_owned);
        assert!(outcomes.is_subset(&harmless.into()), "{outcomes:?}");
        let burnt: u64 = self
            .row("SELECT COUNT(*) FROM batch WHERE attempts <> 1 OR parked_at IS NOT NULL OR deferrals > 0")
            .await;
        assert_eq!(burnt, 0);
    }
}

/// Each time no attempt is counted, and the delay is a random one below ten minutes.
async fn defer_twenty_times(stage: &Stage, exporter: &Function) {
    let mut delays = BTreeSet::new();
    for round in 1..=20u32 {
        let exports = stage.export_all_by(exporter).await;
        assert_eq!(
            (exports.acknowledged, exports.errors.len()),
            (1, 0),
            "{exports:?}"
        );
        let (status, attempts, deferrals, delay): (String, u32, u32, i64) = stage
            .row(
                "SELECT status, attempts, deferrals, TIMESTAMPDIFF(MICROSECOND, UTC_TIMESTAMP(6), not_before) FROM batch",
            )
            .await;
        assert_eq!((status.as_str(), attempts, deferrals), ("pending", 0, round));
        assert!(delay <= CEILING_SECS * 1_000_000, "{delay}");
        delays.insert(delay);
        stage.let_delays_end().await;
        assert_eq!(stage.reap().await["deferred_causes"], 1);
    }
    assert!(delays.len() > 15, "they are random: {delays:?}");
    assert!(*delays.last().unwrap() > 30_000_000, "and grow: {delays:?}");
}

/// E12, H7: twenty times in a row. A batch that is being tried again in an outage still waits: nothing is over yet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e12_a_batch_that_is_deferred_twenty_times_is_never_parked_and_its_outage_is_told_once() {
    let stage = Stage::new("deferral-source").await;
    let (migration, messages) = harvested(&stage, 10..11).await;
    let status_path = format!("/migrate/status/{migration}");
    assert_eq!(stage.look_at(&status_path).await["deferrals"], json!([]));
    let (exporter, network) = exporter_behind_a_network(&stage).await;
    network.cut();
    defer_twenty_times(&stage, &exporter).await;
    assert_eq!(stage.queues.told().await, NOBODY);

    stage
        .assert_told_once_after_half_an_hour(&[
            "source_unavailable: 1 batches (100 messages)",
            "Elasticsearch is unavailable",
            "What to do: see whether Elasticsearch is up",
        ])
        .await;
    for answer in [
        stage.look_at(&status_path).await,
        stage.look_at("/queue/stats").await,
    ] {
        let waiting = &answer["deferrals"][0];
        assert_eq!(
            (
                &waiting["cause"],
                &waiting["batches"],
                &waiting["messages"],
                &waiting["windows"]
            ),
            (&json!("source_unavailable"), &json!(1), &json!(100), &json!(0))
        );
        assert!(
            waiting["since"].is_string() && waiting["nextTry"].is_string(),
            "{waiting}"
        );
        let reason = waiting["reason"].as_str().unwrap();
        assert!(reason.contains("Elasticsearch is unavailable"), "{reason}");
    }

    network.stall();
    let (_, ()) = tokio::join!(stage.export_all_by(&exporter), async {
        stage
            .until("SELECT COUNT(*) FROM batch WHERE status = 'in_progress'")
            .await;
        assert_eq!(stage.told_by_two_ticks().await, NOBODY, "it is only being tried");
        network.cut();
    });
    assert_eq!(stage.told_by_two_ticks().await, NOBODY);

    network.restore();
    stage.let_delays_end().await;
    stage.reap().await;
    stage.export_all_by(&exporter).await;
    stage.assert_told_that_it_is_over("source_unavailable").await;
    assert_eq!(stage.look_at(&status_path).await["deferrals"], json!([]));
    stage.run_until_quiet().await;
    stage.assert_nothing_was_burnt().await;
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}

/// E12, H7: Elasticsearch and S3 are away at once, and come back one after the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e12_two_outages_at_once_are_told_once_each_and_end_each_for_itself() {
    let stage = Stage::new("deferral-two-causes").await;
    let (migration, messages) = harvested(&stage, 10..13).await;
    let (without_source, source) = exporter_behind_a_network(&stage).await;
    let s3 = Proxy::before(stage.setting("AWS_ENDPOINT_URL")).await;
    let without_s3 = stage.another("exporter", &[("AWS_ENDPOINT_URL", &s3.url())]);
    source.cut();
    s3.cut();
    let received = stage.receive_all().await;
    assert_eq!(received.len(), 3);
    let returned = crate::stage::deliver_event(&without_s3, &received[..2]).await;
    assert_eq!(returned, NOBODY);
    let returned = crate::stage::deliver_event(&without_source, &received[2..]).await;
    assert_eq!(returned, NOBODY);
    for (queue, message) in &received {
        stage.queues.delete(queue, message).await;
    }

    stage.let_deferred_for("31 MINUTE").await;
    let told = stage.told_by_two_ticks().await;
    let of = |text: &str| told.iter().filter(|told| told.contains(text)).count();
    assert_eq!(
        (
            told.len(),
            of("archive_unavailable: 2 batches"),
            of("source_unavailable: 1 batches")
        ),
        (2, 1, 1),
        "{told:?}"
    );
    let deferrals = stage.look_at(&format!("/migrate/status/{migration}")).await["deferrals"].take();
    assert_eq!(deferrals.as_array().unwrap().len(), 2, "{deferrals}");

    s3.restore();
    stage.let_delays_end().await;
    stage.reap().await;
    let exports = stage.export_all_by(&without_source).await;
    assert_eq!(exports.acknowledged, 3);
    stage.assert_told_that_it_is_over("archive_unavailable").await;

    source.restore();
    stage.let_delays_end().await;
    stage.reap().await;
    stage.export_all_by(&without_source).await;
    stage.assert_told_that_it_is_over("source_unavailable").await;
    stage.run_until_quiet().await;
    stage.assert_nothing_was_burnt().await;
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}

/// A harvester that started while Elasticsearch was there, and the network between them.
async fn harvester_behind_a_network(stage: &Stage) -> (Function, Proxy) {
    let network = Proxy::before(stage.setting("GRANARY_ES_URL")).await;
    let harvester = stage.another("harvester", &[("GRANARY_ES_URL", &network.url())]);
    harvester.invoke(json!({}), HARVESTER_TIMEOUT).await.unwrap();
    (harvester, network)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h7_a_window_that_cannot_be_read_for_half_an_hour_is_told_once_and_shown_in_the_status() {
    let stage = Stage::new("deferral-window").await;
    let messages = Document::many(300, 10..13);
    let (harvester, network) = harvester_behind_a_network(&stage).await;
    stage.index_messages(&messages).await;
    let migration = stage.backfill(FROM, TO).await;
    let range = TimeRange::new(FROM.parse().unwrap(), TO.parse().unwrap()).unwrap();
    assert!(stage.ledger.open_window(migration, range).await.unwrap());
    network.cut();
    for _ in 0..3 {
        stage.let_delays_end().await;
        let report = harvester.invoke(json!({}), HARVESTER_TIMEOUT).await.unwrap();
        assert_eq!(report["windows_unfinished"], 1);
    }
    let status = stage.look_at(&format!("/migrate/status/{migration}")).await;
    let waiting = &status["deferrals"][0];
    assert_eq!(
        (&waiting["cause"], &waiting["windows"], &waiting["batches"]),
        (&json!("source_unavailable"), &json!(1), &json!(0)),
        "{status}"
    );
    stage
        .assert_told_once_after_half_an_hour(&["source_unavailable: 1 ranges whose ids are to be read"])
        .await;

    network.restore();
    stage.let_delays_end().await;
    let report = harvester.invoke(json!({}), HARVESTER_TIMEOUT).await.unwrap();
    assert_eq!(report["tally"]["recorded"], 300);
    stage.assert_told_that_it_is_over("source_unavailable").await;
    stage.run_until_quiet().await;
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}

/// The quiet outage: everything is read and exported, so neither a window nor a batch is there to wait.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h7_an_outage_while_no_window_is_open_is_told_as_well() {
    let stage = Stage::new("deferral-quiet").await;
    let messages = Document::many(100, 10..11);
    let (harvester, network) = harvester_behind_a_network(&stage).await;
    stage.index_messages(&messages).await;
    let migration = stage.backfill(FROM, TO).await;
    network.cut();
    for _ in 0..3 {
        harvester.invoke(json!({}), HARVESTER_TIMEOUT).await.unwrap();
    }
    let windows: u64 = stage.row("SELECT COUNT(*) FROM harvest_window").await;
    assert_eq!(windows, 0);
    let status = stage.look_at(&format!("/migrate/status/{migration}")).await;
    assert_eq!(status["deferrals"][0]["windows"], 1, "{status}");
    stage
        .assert_told_once_after_half_an_hour(&["source_unavailable: 1 ranges whose ids are to be read"])
        .await;

    network.restore();
    harvester.invoke(json!({}), HARVESTER_TIMEOUT).await.unwrap();
    stage.assert_told_that_it_is_over("source_unavailable").await;
    stage.run_until_quiet().await;
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}

/// Of an invocation that is too short for the batch.
const TOO_SHORT: Duration = Duration::from_secs(2);

/// E9: by Elasticsearch, which doesn't answer in time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e9_a_batch_that_never_fits_into_an_invocation_is_told_with_what_to_do() {
    let stage = Stage::new("deferral-deadline").await;
    let (migration, messages) = harvested(&stage, 10..11).await;
    let (exporter, network) = exporter_behind_a_network(&stage).await;
    network.stall();
    for round in 1..=3u32 {
        let (queue, message) = stage.queues.receive().await.expect("it is sent again");
        let event = sqs_event(&[(queue, &message)]);
        exporter.invoke(event, TOO_SHORT).await.unwrap();
        stage.queues.delete(queue, &message).await;
        let (status, attempts, deferrals, is_due): (String, u32, u32, bool) = stage
            .row("SELECT status, attempts, deferrals, not_before <= UTC_TIMESTAMP(6) FROM batch")
            .await;
        assert_eq!((status.as_str(), attempts, deferrals), ("pending", 0, round));
        assert!(is_due || round > 1, "the first time it is due at once");
        stage.let_delays_end().await;
        stage.reap().await;
    }
    let outcomes: Vec<String> = stage.rows("SELECT DISTINCT outcome FROM attempt").await;
    assert_eq!(outcomes, ["handed_back"]);
    stage
        .assert_told_once_after_half_an_hour(&["deadline: 1 batches", "GRANARY_BATCH_SIZE", "timeout longer"])
        .await;
    let status = stage.look_at(&format!("/migrate/status/{migration}")).await;
    assert_eq!(status["deferrals"][0]["cause"], "deadline", "{status}");

    network.restore();
    stage.export_all_by(&exporter).await;
    assert_eq!(stage.batches(BatchStatus::Completed).await, 1);
    stage.assert_told_that_it_is_over("deadline").await;
    stage.run_until_quiet().await;
    stage.assert_nothing_was_burnt().await;
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}
