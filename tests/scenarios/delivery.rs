//! The hand-off as SQS really is: at least once, at once, late, out of order, and with bodies that aren't ours.

use crate::stage::{Document, EXPORTER_TIMEOUT, Proxy, Queue, Stage, deliver_event, failed_items, sqs_event};
use aws_sdk_sqs::types::Message;
use granary_domain::{BatchStatus, MigrationId};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

const FROM: &str = "2026-03-01T10:00:00Z";
const NOON: &str = "2026-03-01T12:00:00Z";
const TO: &str = "2026-03-01T14:00:00Z";
const HOURS: std::ops::Range<u32> = 10..14;
const NOBODY: [String; 0] = [];

type Received = (Queue, Message);

/// Four hours of messages, 120 in each, so two batches an hour; recorded and sent.
async fn harvested(name: &str) -> (Stage, Vec<Document>) {
    let stage = Stage::new(name).await;
    let messages = Document::many(480, HOURS);
    stage.index_messages(&messages).await;
    (stage, messages)
}

/// What stands in the bucket, and since when.
async fn written(stage: &Stage) -> BTreeMap<String, String> {
    let listing = stage.bucket.s3.list_objects_v2().bucket(&stage.bucket.name);
    let objects = listing.send().await.unwrap().contents.unwrap_or_default();
    objects
        .into_iter()
        .map(|object| {
            let at = object.last_modified.unwrap();
            (
                object.key.unwrap(),
                format!("{}.{}", at.secs(), at.subsec_nanos()),
            )
        })
        .collect()
}

/// Batches, attempts, completed attempts.
async fn attempts(stage: &Stage) -> (u64, u64, u64) {
    stage
        .row(
            "SELECT (SELECT COUNT(*) FROM batch), COUNT(*), CAST(SUM(outcome = 'completed') AS UNSIGNED) FROM attempt",
        )
        .await
}

/// Every message is delivered to two exporters at once, then to a third.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e10_of_three_deliveries_of_every_message_two_at_once_one_exports() {
    let (mut stage, messages) = harvested("thrice").await;
    stage.have_exporters(3);
    stage.backfill(FROM, TO).await;
    stage.harvest().await;
    let received = stage.receive_all().await;
    assert_eq!(received.len(), 8);

    for message in received.chunks(1) {
        let at_once = tokio::join!(
            deliver_event(stage.exporter(0), message),
            deliver_event(stage.exporter(1), message)
        );
        assert_eq!(at_once, (vec![], vec![]), "both are acknowledged");
    }
    let before = written(&stage).await;
    for message in received.chunks(1) {
        assert_eq!(deliver_event(stage.exporter(2), message).await, NOBODY);
    }

    assert_eq!(attempts(&stage).await, (8, 8, 8));
    assert_eq!(written(&stage).await, before, "nothing was written again");
    stage.reap().await;
    stage.assert_archived(&messages, FROM, TO).await;
    assert_eq!(stage.queues.told().await, NOBODY);
    stage.finish().await;
}

/// Out of order, after completion, after cancellation; and the message from before a retry after that of the retry.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e10_messages_out_of_order_and_after_the_end_of_their_batch_change_nothing() {
    let (stage, messages) = harvested("late").await;
    stage.backfill(FROM, NOON).await;
    let given_up = stage.backfill(NOON, TO).await;
    stage.harvest().await;
    let received = stage.receive_all().await;
    assert_eq!(received.len(), 8);
    cancel(&stage, given_up).await;

    // An exporter that may not read messages in the ledger fails each batch once, so that there is a second message of it.
    let blind = stage.blind_ledger().await;
    let failing = stage.another("exporter", &[("GRANARY_LEDGER_URL", &blind)]);
    assert_eq!(
        deliver_event(&failing, &received).await,
        NOBODY,
        "the ledger decides the retry"
    );
    stage.let_delays_end().await;
    stage.reap().await;
    let retries = stage.receive_all().await;
    assert_eq!(retries.len(), 4);
    let out_of_order = retries.iter().rev().chain(received.iter().rev()).chain(&retries);
    let out_of_order: Vec<Received> = out_of_order.cloned().collect();
    assert_eq!(deliver_event(stage.exporter(0), &out_of_order).await, NOBODY);

    let by_status = BTreeMap::from([("completed", (4, 240)), ("cancelled", (4, 240))]);
    assert_eq!(stage.batches_by_status().await, by_status);
    stage.assert_archived(&before_noon(&messages), FROM, NOON).await;

    // What was released is for whoever asks next.
    stage.backfill(NOON, TO).await;
    stage.run_until_quiet().await;
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}

fn before_noon(messages: &[Document]) -> Vec<Document> {
    let is_before_noon = |message: &&Document| {
        let hours = ["T10:", "T11:"];
        hours.iter().any(|hour| message.body.contains(hour))
    };
    messages.iter().filter(is_before_noon).cloned().collect()
}

/// The operator's cancellation, to its end.
async fn cancel(stage: &Stage, migration: MigrationId) {
    assert!(stage.ledger.cancel_migration(migration).await.unwrap());
    stage.reap().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn q1_bodies_that_are_not_ours_come_back_until_they_are_dead_letters_and_disturb_nobody() {
    const SECRET: &str = "hunter2";
    let (stage, messages) = harvested("not-ours").await;
    stage.backfill(FROM, TO).await;
    stage.harvest().await;
    let ours = stage.receive_all().await;
    let migration = "01935e7a-3c00-7000-8000-000000000001";
    let bodies = [
        format!("batch 7 {SECRET}"),
        format!(r#"{{"Records":[{{"eventSource":"aws:s3","key":"{SECRET}"}}]}}"#),
        format!(r#"{{"v":1,"migration_id":"{migration}"}}"#),
        format!(r#"{{"v":2,"batches":[1],"why":"{SECRET}"}}"#),
        format!(
            r#"{{"v":1,"batch_id":1,"migration_id":"{migration}","pad":"{}"}}"#,
            SECRET.repeat(20_000)
        ),
    ];
    for body in &bodies {
        stage.queues.send(&stage.queues.normal, body).await;
    }
    let foreign = stage.receive_all().await;
    let event = [&ours[..2], &foreign, &ours[2..]].concat();
    let ids_of = |received: &[Received]| -> BTreeSet<String> {
        received
            .iter()
            .map(|(_, message)| message.message_id.clone().unwrap())
            .collect()
    };

    let delivered = Instant::now();
    let returned = deliver_event(stage.exporter(0), &event).await;
    assert_eq!(BTreeSet::from_iter(returned), ids_of(&foreign));
    for (queue, message) in &ours {
        stage.queues.delete(queue, message).await;
    }
    stage.reap().await;
    stage.assert_archived(&messages, FROM, TO).await;

    let subjects: BTreeSet<String> = stage
        .rows("SELECT subject_key FROM alert WHERE kind = 'unreadable_message'")
        .await
        .into_iter()
        .collect();
    assert_eq!(subjects, ids_of(&foreign), "one alert for each");
    let told = stage.queues.told().await;
    assert_eq!(told.len(), 1, "in one message");
    assert!(!told[0].contains(SECRET) && !stage.exporter(0).log().join("\n").contains(SECRET));

    // They were postponed by 30 s, where the queue would keep them for 18 minutes.
    assert!(stage.queues.receive().await.is_none());
    let mut again = Vec::new();
    while again.len() < bodies.len() {
        again.extend(stage.receive_all().await);
        assert!(delivered.elapsed() < Duration::from_secs(75), "{again:?}");
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    assert!(delivered.elapsed() >= Duration::from_secs(28));
    for _ in 3..=5 {
        assert_eq!(
            deliver_event(stage.exporter(1), &again).await.len(),
            bodies.len(),
            "as unreadable as before"
        );
        make_visible(&stage, &again).await;
        again = stage.receive_all().await;
    }
    make_visible(&stage, &again).await;
    assert_eq!(stage.receive_all().await.len(), 0);
    let dead: BTreeSet<String> = stage.queues.dead_letters().await.into_iter().collect();
    assert_eq!(dead, BTreeSet::from(bodies));
    stage.reap().await;
    assert_eq!(stage.queues.told().await, NOBODY, "nobody is told again");
    stage.finish().await;
}

async fn make_visible(stage: &Stage, received: &[Received]) {
    for (queue, message) in received {
        stage.queues.make_visible(queue, message).await;
    }
}

/// Receives every message so often that SQS gives it up, as where the exporter can't start.
async fn let_all_die(stage: &Stage) {
    for _ in 0..5 {
        let received = stage.receive_all().await;
        make_visible(stage, &received).await;
    }
    assert_eq!(stage.receive_all().await.len(), 0);
}

/// What the console's redrive does: the bodies go back to the queue.
async fn redrive(stage: &Stage, bodies: &[String]) {
    for body in bodies {
        stage.queues.send(&stage.queues.normal, body).await;
    }
    let exports = stage.export_all().await;
    assert_eq!(
        (exports.acknowledged, exports.returned.len()),
        (bodies.len() as u64, 0),
        "{exports:?}"
    );
}

/// The first redrive exports, the second finds nothing to do, and neither exports for a cancelled migration.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn q2_dead_letters_may_be_redriven_by_hand_twice_and_for_a_cancelled_migration() {
    let (stage, messages) = harvested("redriven").await;
    stage.backfill(FROM, NOON).await;
    let given_up = stage.backfill(NOON, TO).await;
    stage.harvest().await;
    let_all_die(&stage).await;
    let bodies = stage.queues.dead_letters().await;
    assert_eq!(bodies.len(), 8);
    cancel(&stage, given_up).await;

    redrive(&stage, &bodies).await;
    let before = written(&stage).await;
    redrive(&stage, &bodies).await;

    assert_eq!(written(&stage).await, before, "nothing was written again");
    let (batches, begun, completed) = attempts(&stage).await;
    assert_eq!((batches, begun, completed), (8, 4, 4));
    stage.assert_archived(&before_noon(&messages), FROM, NOON).await;
    assert_eq!(stage.queues.dead_letters().await, NOBODY);
    stage.finish().await;
}

/// E10, Q2: of another deployment, or of a ledger that was set up anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e10_a_batch_that_the_ledger_does_not_know_is_acknowledged() {
    let (stage, messages) = harvested("unknown").await;
    let body = r#"{"v":1,"batch_id":4000000000,"migration_id":"01935e7a-3c00-7000-8000-000000000001"}"#;
    stage.queues.send(&stage.queues.normal, body).await;
    let exports = stage.export_all().await;
    assert_eq!(
        (exports.acknowledged, exports.returned.len()),
        (1, 0),
        "{exports:?}"
    );
    assert_eq!(stage.row::<u64>("SELECT COUNT(*) FROM attempt").await, 0);
    stage.backfill(FROM, TO).await;
    stage.run_until_quiet().await;
    stage.assert_archived(&messages, FROM, TO).await;
    assert_eq!(stage.queues.told().await, NOBODY);
    stage.finish().await;
}

/// D1, Q1: the ledger doesn't answer when a message comes. The message goes back, and comes again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d1_a_message_that_comes_while_the_ledger_is_away_goes_back_to_the_queue() {
    let (stage, messages) = harvested("ledger-away").await;
    let network = Proxy::before(stage.setting("GRANARY_LEDGER_URL")).await;
    let exporter = stage.another("exporter", &[("GRANARY_LEDGER_URL", &network.url())]);
    stage.backfill(FROM, TO).await;
    stage.harvest().await;
    let received = stage.receive_all().await;
    let (warm, rest) = received.split_at(1);
    assert_eq!(deliver_event(&exporter, warm).await, NOBODY);

    network.cut();
    let id = rest[0].1.message_id.clone().unwrap();
    assert_eq!(deliver_event(&exporter, &rest[..1]).await, [id]);
    assert_eq!(stage.batches(BatchStatus::Completed).await, 1);
    network.restore();

    assert_eq!(deliver_event(&exporter, rest).await, NOBODY);
    assert_eq!(attempts(&stage).await, (8, 8, 8));
    stage.reap().await;
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}

/// D1, E13: the object is written, and then the ledger is away. The attempt ends with its lease, and the next one
/// adopts the object.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d1_a_ledger_that_goes_away_in_mid_batch_costs_the_attempt_and_no_message() {
    let (stage, messages) = harvested("ledger-goes").await;
    let ledger = Proxy::before(stage.setting("GRANARY_LEDGER_URL")).await;
    let archive = Proxy::before(stage.setting("AWS_ENDPOINT_URL")).await;
    let settings = [
        ("GRANARY_LEDGER_URL", &*ledger.url()),
        ("AWS_ENDPOINT_URL", &*archive.url()),
        // The exporter waits for the ledger for as long as the batch is its own.
        ("GRANARY_LEASE_SECONDS", "30"),
    ];
    let exporter = stage.another("exporter", &settings);
    stage.backfill(FROM, TO).await;
    stage.harvest().await;
    let received = stage.receive_all().await;
    let (warm, rest) = received.split_at(1);
    assert_eq!(deliver_event(&exporter, warm).await, NOBODY);

    let asked = archive.asked();
    archive.stall();
    let (returned, ()) = tokio::join!(deliver_event(&exporter, &rest[..1]), async {
        archive.until_asked_since(asked).await;
        ledger.cut();
        archive.restore();
    });
    assert_eq!(returned, [rest[0].1.message_id.clone().unwrap()]);
    ledger.restore();
    let before = written(&stage).await;
    assert_eq!(
        stage.bucket.objects().await.len(),
        2,
        "it was written: {before:?}"
    );

    // SQS delivers it again before its lease is over: that changes nothing.
    assert_eq!(deliver_event(&exporter, &rest[..1]).await, NOBODY);
    stage.let_leases_end().await;
    stage.reap().await;
    assert_eq!(deliver_event(&exporter, &rest[1..]).await, NOBODY);
    stage.run_until_quiet().await;

    let after = written(&stage).await;
    let is_object = |key: &&String| key.contains("/dt=") && !key.contains("/_manifests/");
    for key in before.keys().filter(is_object) {
        assert_eq!(after[key], before[key], "{key} was adopted, not written again");
    }
    let outcomes: Vec<String> = stage
        .rows("SELECT outcome FROM attempt WHERE outcome <> 'completed'")
        .await;
    assert_eq!(outcomes, ["reaped"]);
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}

/// D1: an exporter starts without the ledger, and hands its message back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d1_an_exporter_that_starts_without_the_ledger_hands_its_message_back() {
    let (stage, messages) = harvested("no-start").await;
    let network = Proxy::before(stage.setting("GRANARY_LEDGER_URL")).await;
    network.cut();
    let exporter = stage.another("exporter", &[("GRANARY_LEDGER_URL", &network.url())]);
    stage.backfill(FROM, TO).await;
    stage.harvest().await;
    let (queue, message) = stage.queues.receive().await.expect("batches were sent");
    let outcome = exporter
        .invoke(sqs_event(&[(queue, &message)]), EXPORTER_TIMEOUT)
        .await;
    let handed_back = failed_items(&outcome.expect("it starts without the ledger"));
    assert_eq!(handed_back.len(), 1);
    stage.queues.make_visible(queue, &message).await;
    stage.run_until_quiet().await;
    assert_eq!(attempts(&stage).await, (8, 8, 8));
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}
