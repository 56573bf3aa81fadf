//! A batch in two pairs of hands: reaped while its worker lives, taken over after its object was written, handed back.
//!
//! Where a worker stands is decided by the network: a stalled one holds it exactly there.

use crate::stage::{
    Document, EXPORTER_TIMEOUT, Function, FunctionError, Proxy, Stage, failed_items, sqs_event,
};
use granary_domain::BatchStatus;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

pub(super) const FROM: &str = "2026-03-01T10:00:00Z";
pub(super) const TO: &str = "2026-03-01T15:00:00Z";
const BATCH_AS_IT_STANDS: &str = "SELECT GROUP_CONCAT(CONCAT_WS(' ', id, status, attempts, fence, generation, \
    object_key, HEX(sha256), bytes_stored, exported, missing, settled_at, COALESCE(holder, 'nobody')) ORDER BY id) \
    FROM batch";
const ATTEMPTS_AS_THEY_STAND: &str = "SELECT GROUP_CONCAT(CONCAT_WS(' ', batch_id, number, generation, worker, \
    outcome, ended_at, COALESCE(timings, 'untimed')) ORDER BY batch_id, number) FROM attempt";

/// Ten messages in each of so many hours, which is as many batches.
fn messages(hours: usize) -> Vec<Document> {
    (0..hours * 10)
        .map(|number| {
            let (hour, minute) = (10 + number / 10, number % 10);
            Document::message(
                &format!("m-{number:02}"),
                &format!("2026-03-01T{hour}:0{minute}:00Z"),
            )
        })
        .collect()
}

/// Batches that were recorded and sent.
pub(super) async fn handed_off(
    name: &str,
    hours: usize,
    settings: &[(&str, &str)],
) -> (Stage, Vec<Document>) {
    let stage = Stage::with(name, settings).await;
    let messages = messages(hours);
    stage.index_messages(&messages).await;
    stage.backfill(FROM, TO).await;
    stage.harvest().await;
    assert_eq!(stage.batches(BatchStatus::Pending).await, hours as u64);
    (stage, messages)
}

/// An exporter that reaches one of its services through a network of its own, and is warm.
pub(super) async fn exporter_behind(stage: &Stage, proxy: &Proxy, variable: &str) -> Function {
    let exporter = stage.another("exporter", &[(variable, &proxy.url())]);
    warm_up(&exporter).await;
    exporter
}

/// A cold start takes its time from the first invocation, and these tests count seconds.
pub(super) async fn warm_up(exporter: &Function) {
    let nothing = json!({"Records": []});
    exporter.invoke(nothing, EXPORTER_TIMEOUT).await.unwrap();
}

/// Delivers the next message, and deletes it if it was acknowledged.
pub(super) async fn deliver(
    stage: &Stage,
    exporter: &Function,
    timeout: Duration,
) -> Result<Value, FunctionError> {
    let (queue, message) = stage.queues.receive().await.expect("a batch was sent");
    let response = exporter.invoke(sqs_event(&[(queue, &message)]), timeout).await;
    if let Ok(response) = &response {
        assert_eq!(failed_items(response), [""; 0]);
        stage.queues.delete(queue, &message).await;
    }
    response
}

/// The lease ends, the reaper takes the batch back, and sends it again.
pub(super) async fn let_it_be_reaped(stage: &Stage) {
    stage.let_leases_end().await;
    assert_eq!(stage.reap().await["reaped"], 1);
    stage.let_delays_end().await;
    stage.reap().await;
}

pub(super) async fn outcomes(stage: &Stage) -> Vec<String> {
    stage
        .rows("SELECT outcome FROM attempt ORDER BY batch_id, number")
        .await
}

pub(super) fn spools(exporter: &Function) -> Vec<String> {
    let entries = std::fs::read_dir(exporter.temp_dir()).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

/// Everything that a worker may change: the batch, its attempts, alerts, and all bytes in the bucket.
async fn world(stage: &Stage) -> (String, String, u64, Vec<(String, Vec<u8>)>) {
    let mut objects = Vec::new();
    for key in stage.bucket.keys().await {
        let body = stage.bucket.body(&key).await;
        objects.push((key, body));
    }
    (
        stage.row(BATCH_AS_IT_STANDS).await,
        stage.row(ATTEMPTS_AS_THEY_STAND).await,
        stage.row("SELECT COUNT(*) FROM alert").await,
        objects,
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e11_a_worker_that_was_reaped_while_its_object_was_on_its_way_changes_nothing_any_more() {
    let (stage, messages) = handed_off("stale", 1, &[]).await;
    let to_s3 = Proxy::before(stage.setting("AWS_ENDPOINT_URL")).await;
    let old = exporter_behind(&stage, &to_s3, "AWS_ENDPOINT_URL").await;
    to_s3.stall();
    let (response, before) = tokio::join!(deliver(&stage, &old, EXPORTER_TIMEOUT), async {
        to_s3.until_asked().await;
        old.freeze();
        let_it_be_reaped(&stage).await;
        deliver(&stage, stage.exporter(0), EXPORTER_TIMEOUT)
            .await
            .unwrap();
        stage.assert_archived(&messages, FROM, TO).await;
        let before = world(&stage).await;
        to_s3.restore();
        old.thaw();
        before
    });
    response.unwrap();
    assert_eq!(world(&stage).await, before);
    assert_eq!(outcomes(&stage).await, ["reaped", "completed"]);
    assert_eq!(stage.row::<u32>("SELECT generation FROM batch").await, 1);
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}

/// E1 in the middle of E11: the old worker has a message in hand that was gone when the new one came.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e11_a_stale_worker_that_saw_other_messages_alarms_nobody() {
    let (stage, messages) = handed_off("stale-more", 1, &[]).await;
    let to_s3 = Proxy::before(stage.setting("AWS_ENDPOINT_URL")).await;
    let old = exporter_behind(&stage, &to_s3, "AWS_ENDPOINT_URL").await;
    to_s3.stall();
    let (response, before) = tokio::join!(deliver(&stage, &old, EXPORTER_TIMEOUT), async {
        to_s3.until_asked().await;
        old.freeze();
        stage.indices.delete(&stage.indices.messages, "m-03").await;
        let_it_be_reaped(&stage).await;
        deliver(&stage, stage.exporter(0), EXPORTER_TIMEOUT)
            .await
            .unwrap();
        let before = world(&stage).await;
        to_s3.restore();
        old.thaw();
        before
    });
    response.unwrap();
    assert_eq!(world(&stage).await, before);
    let missing: Vec<String> = stage
        .rows("SELECT message_id FROM message WHERE outcome = 'missing'")
        .await;
    assert_eq!(missing, ["m-03"]);
    let rest: Vec<_> = messages
        .into_iter()
        .filter(|message| message.doc_id != "m-03")
        .collect();
    stage.assert_archived(&rest, FROM, TO).await;
    stage.finish().await;
}

/// A worker whose network will hold its PUT back, until it was reaped. Its lease is long: no heartbeat is due before it
/// has written.
async fn with_a_late_put(name: &str) -> (Stage, Vec<Document>, Proxy, Function) {
    let (stage, messages) = handed_off(name, 1, &[("GRANARY_LEASE_SECONDS", "900")]).await;
    let to_s3 = Proxy::before(stage.setting("AWS_ENDPOINT_URL")).await;
    let old = exporter_behind(&stage, &to_s3, "AWS_ENDPOINT_URL").await;
    to_s3.stall();
    (stage, messages, to_s3, old)
}

/// The object holds all ten messages, also the one that somebody has recorded as missing meanwhile.
async fn let_the_late_put_land(stage: &Stage, to_s3: &Proxy, old: &Function) {
    assert_eq!(missing(stage).await, ["m-03"]);
    assert_eq!(stage.bucket.keys().await, [""; 0]);
    to_s3.restore();
    old.thaw();
    stage.bucket.until_it_has(1).await;
}

async fn missing(stage: &Stage) -> Vec<String> {
    stage
        .rows("SELECT message_id FROM message WHERE outcome = 'missing'")
        .await
}

/// The object is adopted, and the ledger says the same as it.
async fn assert_adopted_as_it_is(stage: Stage, messages: &[Document]) {
    assert_eq!(missing(&stage).await, [""; 0]);
    let settled: (String, u32, u32, u32) = stage
        .row("SELECT status, generation, exported, missing FROM batch")
        .await;
    assert_eq!(settled, ("completed".into(), 1, 10, 0));
    assert_eq!(stage.row::<u32>("SELECT COUNT(*) FROM alert").await, 0);
    // The source has one message less by now, so this isn't for a verification to say.
    stage.assert_each_once(messages).await;
    stage.finish().await;
}

/// E11, E13: the PUT of a reaped worker lands between the exceptions and the object of the worker that came after it.
/// That one finds the key taken.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e11_e13_an_object_that_holds_what_its_adopter_had_recorded_as_missing_clears_the_record() {
    let (stage, messages, to_s3, old) = with_a_late_put("late-put").await;
    let to_es = Proxy::before(stage.setting("GRANARY_ES_URL")).await;
    let to_s3_too = Proxy::before(stage.setting("AWS_ENDPOINT_URL")).await;
    let services = [
        ("GRANARY_ES_URL", &to_es.url()),
        ("AWS_ENDPOINT_URL", &to_s3_too.url()),
    ];
    let new = stage.another("exporter", &services.map(|(name, url)| (name, url.as_str())));
    warm_up(&new).await;
    let (stale, ()) = tokio::join!(deliver(&stage, &old, EXPORTER_TIMEOUT), async {
        to_s3.until_asked().await;
        old.freeze();
        stage.indices.delete(&stage.indices.messages, "m-03").await;
        let_it_be_reaped(&stage).await;
        to_es.stall();
        let (adopted, ()) = tokio::join!(deliver(&stage, &new, EXPORTER_TIMEOUT), async {
            // It has looked for an object, and found none.
            to_es.until_asked().await;
            let asked = to_s3_too.asked();
            to_s3_too.stall();
            to_es.restore();
            to_s3_too.until_asked_since(asked).await;
            let_the_late_put_land(&stage, &to_s3, &old).await;
            to_s3_too.restore();
        });
        adopted.unwrap();
    });
    stale.unwrap();
    assert_eq!(outcomes(&stage).await, ["reaped", "completed"]);
    assert_adopted_as_it_is(stage, &messages).await;
}

/// The same where the second worker dies between the two, and a third one looks for what earlier attempts have left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e11_e13_an_object_that_holds_what_a_dead_worker_had_recorded_as_missing_clears_the_record() {
    let (stage, messages, to_s3, old) = with_a_late_put("later-put").await;
    let doomed = stage.another("exporter", &[("GRANARY_FAULT", "record_exceptions:after")]);
    let (stale, ()) = tokio::join!(deliver(&stage, &old, EXPORTER_TIMEOUT), async {
        to_s3.until_asked().await;
        old.freeze();
        stage.indices.delete(&stage.indices.messages, "m-03").await;
        let_it_be_reaped(&stage).await;
        let died = deliver(&stage, &doomed, EXPORTER_TIMEOUT).await;
        assert!(matches!(died, Err(FunctionError::Exited(_))), "{died:?}");
        let_the_late_put_land(&stage, &to_s3, &old).await;
    });
    stale.unwrap();
    let_it_be_reaped(&stage).await;
    deliver(&stage, stage.exporter(0), EXPORTER_TIMEOUT)
        .await
        .unwrap();
    assert_eq!(outcomes(&stage).await, ["reaped", "reaped", "completed"]);
    assert_adopted_as_it_is(stage, &messages).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e11_a_heartbeat_that_is_refused_stops_the_worker_before_it_writes_anything() {
    let (stage, messages) = handed_off("refused", 1, &[("GRANARY_LEASE_SECONDS", "3")]).await;
    let to_es = Proxy::before(stage.setting("GRANARY_ES_URL")).await;
    let old = exporter_behind(&stage, &to_es, "GRANARY_ES_URL").await;
    to_es.stall();
    let (response, ()) = tokio::join!(deliver(&stage, &old, EXPORTER_TIMEOUT), async {
        to_es.until_asked().await;
        old.freeze();
        let_it_be_reaped(&stage).await;
        old.thaw();
    });
    // Elasticsearch has still not answered: it is the heartbeat that ended the work.
    response.unwrap();
    assert_eq!(stage.bucket.keys().await, [""; 0]);
    assert_eq!(spools(&old), [""; 0]);
    assert_eq!(outcomes(&stage).await, ["reaped"]);

    let exports = stage.export_all().await;
    assert_eq!(exports.acknowledged, 1, "{exports:?}");
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}

/// E11, the other way round: it isn't known whether it was reaped, because the ledger doesn't answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e11_a_worker_that_can_not_renew_its_lease_stops_by_itself_and_is_fit_for_the_next_batch() {
    let (stage, messages) = handed_off("silent", 1, &[("GRANARY_LEASE_SECONDS", "3")]).await;
    let to_es = Proxy::before(stage.setting("GRANARY_ES_URL")).await;
    let to_ledger = Proxy::before(stage.setting("GRANARY_LEDGER_URL")).await;
    let services = [
        ("GRANARY_ES_URL", &to_es.url()),
        ("GRANARY_LEDGER_URL", &to_ledger.url()),
    ];
    let exporter = stage.another("exporter", &services.map(|(name, url)| (name, url.as_str())));
    warm_up(&exporter).await;
    to_es.stall();
    let (response, ()) = tokio::join!(deliver(&stage, &exporter, EXPORTER_TIMEOUT), async {
        to_es.until_asked().await;
        to_ledger.stall();
    });
    response.unwrap();
    assert_eq!(stage.bucket.keys().await, [""; 0]);
    let left: (String, u32) = stage.row("SELECT status, attempts FROM batch").await;
    assert_eq!(
        left,
        ("in_progress".into(), 1),
        "nobody could write down how it ended"
    );

    to_es.restore();
    to_ledger.restore();
    let_it_be_reaped(&stage).await;
    deliver(&stage, &exporter, EXPORTER_TIMEOUT).await.unwrap();
    assert_eq!(outcomes(&stage).await, ["reaped", "completed"]);
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e11_a_heartbeat_keeps_a_slow_batch_for_longer_than_its_lease() {
    let (stage, messages) = handed_off("slow", 1, &[("GRANARY_LEASE_SECONDS", "8")]).await;
    let to_es = Proxy::before(stage.setting("GRANARY_ES_URL")).await;
    let slow = exporter_behind(&stage, &to_es, "GRANARY_ES_URL").await;
    to_es.stall();
    let (response, ()) = tokio::join!(deliver(&stage, &slow, EXPORTER_TIMEOUT), async {
        stage
            .until("SELECT COUNT(*) FROM batch WHERE claimed_at < UTC_TIMESTAMP(6) - INTERVAL 9 SECOND")
            .await;
        assert_eq!(stage.reap().await["reaped"], 0);
        to_es.restore();
    });
    response.unwrap();
    assert_eq!(outcomes(&stage).await, ["completed"]);
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e9_a_batch_is_handed_back_when_the_time_is_nearly_over_and_burns_no_attempt() {
    const TIMEOUT: Duration = Duration::from_secs(5);
    let (stage, messages) = handed_off("deadline", 1, &[]).await;
    let to_es = Proxy::before(stage.setting("GRANARY_ES_URL")).await;
    let exporter = exporter_behind(&stage, &to_es, "GRANARY_ES_URL").await;
    to_es.stall();
    for handed_back in 1..=2 {
        let started = Instant::now();
        deliver(&stage, &exporter, TIMEOUT).await.unwrap();
        assert!(
            started.elapsed() >= TIMEOUT.mul_f64(0.75),
            "{:?}",
            started.elapsed()
        );
        let left: (String, u32, u32, Option<String>) = stage
            .row("SELECT status, attempts, fence, CAST(enqueued_at AS CHAR) FROM batch")
            .await;
        assert_eq!(left, ("pending".into(), 0, handed_back, None));
        assert_eq!(spools(&exporter), [""; 0]);
        if handed_back > 1 {
            stage.let_delays_end().await;
        }
        assert_eq!(
            stage.reap().await["sent"],
            1,
            "the first time it is sent again at once"
        );
    }
    to_es.restore();
    deliver(&stage, &exporter, EXPORTER_TIMEOUT).await.unwrap();
    assert_eq!(
        outcomes(&stage).await,
        ["handed_back", "handed_back", "completed"]
    );
    let causes: Vec<String> = stage
        .rows("SELECT DISTINCT error_code FROM attempt WHERE outcome = 'handed_back'")
        .await;
    assert_eq!(causes, ["deadline"]);
    assert_eq!(stage.row::<u32>("SELECT attempts FROM batch").await, 1);
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e9_a_worker_that_is_shut_down_hands_its_batch_back_and_ends_well() {
    let (stage, messages) = handed_off("sigterm", 1, &[]).await;
    let to_es = Proxy::before(stage.setting("GRANARY_ES_URL")).await;
    let exporter = exporter_behind(&stage, &to_es, "GRANARY_ES_URL").await;
    to_es.stall();
    let (response, ()) = tokio::join!(deliver(&stage, &exporter, EXPORTER_TIMEOUT), async {
        to_es.until_asked().await;
        exporter.terminate();
    });
    // Its answer and its end may cross: either way nothing but a clean exit will do.
    match response {
        Ok(_) => assert_eq!(exporter.ended().await, Some(0)),
        Err(error) => assert_eq!(error, FunctionError::Exited("exit status: 0".into())),
    }
    let left: (String, u32) = stage.row("SELECT status, attempts FROM batch").await;
    assert_eq!(left, ("pending".into(), 0));
    assert_eq!(spools(&exporter), [""; 0]);

    stage.run_until_quiet().await;
    assert_eq!(outcomes(&stage).await, ["handed_back", "completed"]);
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}
