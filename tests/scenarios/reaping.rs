//! The reaper's minute: what is retried, given up, sent again or held back, and whom it tells.

use crate::stage::{Document, FunctionError, Proxy, REAPER_TIMEOUT, Stage};
use granary_domain::{BatchId, BatchStatus, Fence, MigrationId, Priority, TimeRange};
use granary_ledger::export::{ReExport, ReExported};
use granary_ledger::integrity::RepairMigration;
use granary_ledger::settings::Stage as Part;
use serde_json::{Value, json};

const FROM: &str = "2026-03-01T10:00:00Z";
const TO: &str = "2026-03-01T13:00:00Z";
const NOBODY: [String; 0] = [];

/// Three batches of 100 messages, recorded and sent.
pub(super) async fn harvested(name: &str) -> (Stage, Vec<Document>) {
    let stage = Stage::new(name).await;
    let messages = Document::many(300, 10..13);
    stage.index_messages(&messages).await;
    stage.backfill(FROM, TO).await;
    let report = stage.harvest().await;
    assert_eq!(report["batches_sent"], 3);
    (stage, messages)
}

async fn depth(stage: &Stage) -> u64 {
    stage.queues.depth(&stage.queues.normal).await
}

async fn alerts(stage: &Stage, kind: &str) -> Vec<u64> {
    stage
        .rows(&format!("SELECT id FROM alert WHERE kind = '{kind}' ORDER BY id"))
        .await
}

/// What the operator's "send again" does to parked batches.
pub(super) async fn send_parked_again(stage: &Stage) {
    stage
        .sql(
            "UPDATE batch SET status = 'pending', parked_at = NULL, attempts = 0, retry_count = retry_count + 1, \
             enqueued_at = NULL, not_before = NULL WHERE parked_at IS NOT NULL",
        )
        .await;
}

/// Three batches fail by their own fault until they are parked: two for one cause, one for another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a2_a_batch_is_parked_after_five_attempts_and_people_are_told_once_for_each_cause() {
    let (stage, messages) = harvested("parked").await;
    let blind = stage.blind_ledger().await;
    let failing = stage.another("exporter", &[("GRANARY_LEDGER_URL", &blind)]);
    for attempt in 1..=5 {
        let exports = stage.export_all_by(&failing).await;
        assert_eq!(
            (exports.acknowledged, exports.errors.len()),
            (3, 0),
            "attempt {attempt}: {exports:?}"
        );
        if attempt < 5 {
            stage.let_delays_end().await;
            let tick = stage.reap().await;
            assert_eq!(
                (&tick["retried"], &tick["published"], &tick["sent"]),
                (&json!(3), &json!(0), &json!(3))
            );
        }
    }
    assert_eq!(stage.queues.told().await, NOBODY);
    stage
        .sql("UPDATE batch SET error_code = 'miscount' ORDER BY id DESC LIMIT 1")
        .await;
    let other_cause = stage
        .ledger
        .raise_alert("parked", "miscount", "miscount", "another batch");
    other_cause.await.unwrap();

    for tick in 0..3 {
        stage.let_delays_end().await;
        let report = stage.reap().await;
        let newly = if tick == 0 { 2 } else { 0 };
        assert_eq!(
            (&report["published"], &report["retried"]),
            (&json!(newly), &json!(0))
        );
    }
    let numbers = alerts(&stage, "parked").await;
    assert_eq!(numbers.len(), 2, "one alert for each cause");
    let told = stage.queues.told().await;
    assert_eq!(told.len(), 2, "one message for each cause");
    let of_all = &told
        .iter()
        .find(|text| text.contains(&format!("[{}]", numbers[0])))
        .unwrap();
    assert!(of_all.contains("3 batches parked") && of_all.contains("after 5 attempts"));
    assert!(of_all.contains(&format!("Alert {} of Granary", numbers[0])));
    assert_eq!(depth(&stage).await, 0, "parked batches aren't sent");

    send_parked_again(&stage).await;
    stage.run_until_quiet().await;
    stage.assert_archived(&messages, FROM, TO).await;
    assert_eq!(alerts(&stage, "parked").await, numbers);
    assert_eq!(
        alerts(&stage, "parked_over").await.len(),
        2,
        "each storm is over once"
    );
    stage.finish().await;
}

/// A2, E9: nobody is left to write down why; the reaper does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a2_a_batch_that_killed_five_workers_is_parked_by_the_reaper() {
    let stage = Stage::new("five-workers").await;
    let messages = Document::many(10, 10..11);
    stage.index_messages(&messages).await;
    stage.backfill(FROM, TO).await;
    stage.harvest().await;
    let source = Proxy::before(stage.setting("GRANARY_ES_URL")).await;
    let exporter = stage.another("exporter", &[("GRANARY_ES_URL", &source.url())]);
    source.stall();
    for attempt in 1..=5 {
        let (exports, ()) = tokio::join!(stage.export_all_by(&exporter), async {
            stage
                .until("SELECT COUNT(*) FROM batch WHERE status = 'in_progress'")
                .await;
            exporter.kill().await;
        });
        assert!(
            matches!(exports.errors[..], [FunctionError::Exited(_)]),
            "{exports:?}"
        );
        stage.let_leases_end().await;
        let report = stage.reap().await;
        assert_eq!((attempt, &report["reaped"]), (attempt, &json!(1)));
        stage.let_delays_end().await;
        stage.reap().await;
    }
    let (status, attempts, code): (String, u32, String) =
        stage.row("SELECT status, attempts, error_code FROM batch").await;
    assert_eq!(
        (status.as_str(), attempts, code.as_str()),
        ("failed", 5, "worker_died")
    );
    assert_eq!(stage.queues.told().await.len(), 1);

    send_parked_again(&stage).await;
    stage.run_until_quiet().await;
    let (exported, quarantined): (u64, u64) = stage.row("SELECT exported, quarantined FROM batch").await;
    assert_eq!(exported + quarantined, 10);
    assert!(quarantined <= 3, "careful from the third on: {quarantined}");

    have_all_exported_again(&stage).await;
    stage.run_until_quiet().await;
    stage.reap().await;
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}

/// Gives messages over which a worker died another chance.
async fn have_all_exported_again(stage: &Stage) {
    let heir = RepairMigration {
        id: MigrationId::new(),
        range: TimeRange::new(FROM.parse().unwrap(), TO.parse().unwrap()).unwrap(),
        batch_size: 100,
        priority: Priority::NORMAL,
        requested_by: "verify --repair".to_owned(),
    };
    let batches: Vec<(u64, u32)> = stage.rows("SELECT id, fence FROM batch").await;
    for (batch, fence) in batches {
        let wanted = ReExport {
            batch: BatchId(batch),
            fence: Fence(fence),
            reason: "its workers died of something else",
            heir: &heir,
        };
        assert_eq!(stage.ledger.re_export(&wanted).await.unwrap(), ReExported::Asked);
    }
}

/// Attempts of batches that nobody else asks about.
async fn have_attempts(stage: &Stage, count: u32, outcome: &str, ended_ago: &str) {
    let before: u32 = stage.row("SELECT COUNT(*) FROM attempt").await;
    let at = format!("UTC_TIMESTAMP(6) - INTERVAL {ended_ago}");
    let rows: Vec<_> = (before..before + count)
        .map(|number| format!("({}, 1, 1, 'w', {at}, {at}, '{outcome}')", 1_000_000 + number))
        .collect();
    let columns = "batch_id, number, generation, worker, started_at, ended_at, outcome";
    stage
        .sql(&format!(
            "INSERT INTO attempt ({columns}) VALUES {}",
            rows.join(", ")
        ))
        .await;
}

/// Three ticks; what people were told.
async fn told_by_three_ticks(stage: &Stage) -> Vec<String> {
    for _ in 0..3 {
        stage.reap().await;
    }
    stage.queues.told().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a1_a_storm_of_failures_is_told_once_and_its_end_once_and_a_tiny_sample_never() {
    let stage = Stage::new("storm").await;
    have_attempts(&stage, 19, "failed", "1 MINUTE").await;
    have_attempts(&stage, 200, "deferred", "1 MINUTE").await;
    have_attempts(&stage, 200, "failed", "61 MINUTE").await;
    assert_eq!(told_by_three_ticks(&stage).await, NOBODY, "19 say nothing yet");

    have_attempts(&stage, 1, "reaped", "1 MINUTE").await;
    let told = told_by_three_ticks(&stage).await;
    assert!(
        told.len() == 1 && told[0].contains("20 of 20 attempts"),
        "{told:?}"
    );

    have_attempts(&stage, 180, "completed", "1 MINUTE").await;
    assert_eq!(
        told_by_three_ticks(&stage).await,
        NOBODY,
        "at the threshold it neither begins nor ends"
    );

    have_attempts(&stage, 200, "completed", "1 MINUTE").await;
    let told = told_by_three_ticks(&stage).await;
    assert!(
        told.len() == 1 && told[0].contains("the storm is over: 20 of 400"),
        "{told:?}"
    );

    have_attempts(&stage, 30, "failed", "1 MINUTE").await;
    let told = told_by_three_ticks(&stage).await;
    assert!(
        told.len() == 1 && told[0].contains("50 of 430"),
        "a new storm: {told:?}"
    );
    let rows = [
        alerts(&stage, "failure_rate").await,
        alerts(&stage, "failure_rate_over").await,
    ];
    assert_eq!(rows.map(|rows| rows.len()), [2, 1]);
    stage.finish().await;
}

/// As if what is queued had been sent so long ago.
async fn let_pass_since_sending(stage: &Stage, interval: &str) {
    let sent = "enqueued_at IS NOT NULL AND status = 'pending'";
    stage
        .sql(&format!(
            "UPDATE batch SET enqueued_at = UTC_TIMESTAMP(6) - INTERVAL {interval} WHERE {sent}"
        ))
        .await;
}

async fn resent(stage: &Stage) -> Value {
    stage.reap().await["resent"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn q3_what_was_purged_is_sent_again_after_ten_minutes_and_the_second_time_after_twenty() {
    let (stage, messages) = harvested("purged").await;
    for (too_early, late_enough) in [("9 MINUTE", "11 MINUTE"), ("19 MINUTE", "21 MINUTE")] {
        stage.queues.purge(&stage.queues.normal).await;
        let_pass_since_sending(&stage, too_early).await;
        assert_eq!((resent(&stage).await, depth(&stage).await), (json!(0), 0));
        let_pass_since_sending(&stage, late_enough).await;
        assert_eq!((resent(&stage).await, depth(&stage).await), (json!(3), 3));
        assert_eq!(resent(&stage).await, 0, "once");
    }
    stage.run_until_quiet().await;
    assert_eq!(stage.row::<u64>("SELECT COUNT(*) FROM attempt").await, 3);
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}

/// Old or not: as long as the queue holds what the ledger believes, nothing is lost. One message less, and all that are
/// old enough are sent again; that some come twice is harmless.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn q3_a_backlog_that_is_still_in_the_queue_is_not_sent_again_but_one_lost_message_is_noticed() {
    let (stage, messages) = harvested("backlog").await;
    let_pass_since_sending(&stage, "3 HOUR").await;
    for _ in 0..3 {
        assert_eq!((resent(&stage).await, depth(&stage).await), (json!(0), 3));
    }
    let (queue, lost) = stage.queues.receive().await.expect("batches were sent");
    stage.queues.delete(queue, &lost).await;
    assert_eq!(resent(&stage).await, 3);
    stage.run_until_quiet().await;
    assert_eq!(stage.row::<u64>("SELECT COUNT(*) FROM attempt").await, 3);
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}

/// Somebody empties the priority queue in the console, while the other one holds more than the ledger believes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn q3_a_backlog_in_one_queue_does_not_hide_that_the_other_was_emptied() {
    let (stage, messages) = harvested("one-queue").await;
    stage
        .sql("UPDATE batch SET priority = 9, enqueued_at = NULL ORDER BY id LIMIT 1")
        .await;
    assert_eq!(stage.reap().await["sent"], 1);
    assert_eq!(stage.queues.depth(&stage.queues.priority).await, 1);
    stage.queues.purge(&stage.queues.priority).await;
    let_pass_since_sending(&stage, "21 MINUTE").await;
    assert_eq!(resent(&stage).await, 1);
    assert_eq!(
        (
            depth(&stage).await,
            stage.queues.depth(&stage.queues.priority).await
        ),
        (3, 1)
    );
    stage.run_until_quiet().await;
    assert_eq!(stage.row::<u64>("SELECT COUNT(*) FROM attempt").await, 3);
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}

/// Paused before anything is sent, and with messages on their way, for longer than SQS keeps them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn q3_nothing_is_sent_while_paused_and_everything_afterwards_though_sqs_forgot_it() {
    let (stage, mut messages) = harvested("paused").await;
    let on_their_way = stage.receive_all().await;
    stage.ledger.pause(Part::Export, "test").await.unwrap();
    let later: Vec<_> = Document::many(400, 10..14)
        .into_iter()
        .filter(|message| message.body.contains("T13:"))
        .map(|message| {
            Document::raw(
                &format!("later-{}", message.doc_id),
                message.body.replace("m-", "later-m-"),
            )
        })
        .collect();
    stage.index_messages(&later).await;
    messages.extend(later);
    stage.backfill(TO, "2026-03-01T14:00:00Z").await;
    assert_eq!(stage.harvest().await["batches_sent"], 0);
    // One that was on its way comes while it is paused. It is acknowledged, and remembered.
    let early = crate::stage::deliver_event(stage.exporter(0), &on_their_way[..1]).await;
    assert_eq!(early, NOBODY);
    stage.queues.purge(&stage.queues.normal).await;
    let_pass_since_sending(&stage, "15 DAY").await;
    for _ in 0..2 {
        let report = stage.reap().await;
        assert_eq!((&report["sent"], &report["resent"]), (&json!(0), &json!(0)));
    }
    assert_eq!(
        (depth(&stage).await, stage.batches(BatchStatus::Pending).await),
        (0, 4)
    );

    stage.ledger.resume(Part::Export).await.unwrap();
    let report = stage.reap().await;
    assert_eq!((&report["sent"], &report["resent"]), (&json!(2), &json!(2)));
    stage.run_until_quiet().await;
    stage
        .assert_archived(&messages, FROM, "2026-03-01T14:00:00Z")
        .await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn q3_a_paused_harvest_reads_nothing_and_goes_on_where_it_was() {
    let stage = Stage::new("harvest-paused").await;
    let messages = Document::many(300, 10..13);
    stage.index_messages(&messages).await;
    stage.backfill(FROM, TO).await;
    stage.ledger.pause(Part::Harvest, "test").await.unwrap();
    assert_eq!(stage.harvest().await["tally"]["found"], 0);
    stage.ledger.resume(Part::Harvest).await.unwrap();
    assert_eq!(stage.harvest().await["tally"]["recorded"], 300);
    stage.run_until_quiet().await;
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}

/// The rest of a tick is done all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a1_sns_being_down_loses_no_alert() {
    let (stage, messages) = harvested("sns-down").await;
    let topic = "arn:aws:sns:us-east-1:000000000000:granary-no-such-topic";
    let mute = stage.another("reaper", &[("GRANARY_ALERT_TOPIC_ARN", topic)]);
    stage
        .ledger
        .raise_alert("invariant", "1000000.1.0", "miscount", "a batch of long ago")
        .await
        .unwrap();
    stage
        .ledger
        .raise_alert("archive_conflict", "1.1", "archive_conflict", "an object")
        .await
        .unwrap();
    stage.sql("UPDATE batch SET enqueued_at = NULL").await;
    for _ in 0..2 {
        let outcome = mute.invoke(json!({}), REAPER_TIMEOUT).await;
        let Err(FunctionError::Returned { message, .. }) = &outcome else {
            panic!("{outcome:?}");
        };
        assert!(
            message.contains("publish alerts") && message.contains("granary-no-such-topic"),
            "{message}"
        );
    }
    assert_eq!(depth(&stage).await, 6, "it sent what was unsent, once");
    let unpublished: u64 = stage
        .row("SELECT COUNT(*) FROM alert WHERE published_at IS NULL")
        .await;
    assert_eq!((unpublished, stage.queues.told().await.len()), (2, 0));

    assert_eq!(stage.reap().await["published"], 2);
    assert_eq!(stage.queues.told().await.len(), 2);
    assert_eq!(stage.reap().await["published"], 0);
    stage.run_until_quiet().await;
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}
