//! What people do to the queues by the API: emptying them, moving dead letters back, sending probes, and looking on.

use crate::stage::{Document, Function, REAPER_TIMEOUT, Stage, request};
use granary_domain::BatchId;
use granary_ledger::export::Claim;
use serde_json::{Value, json};
use std::time::Duration;

const FROM: &str = "2026-03-01T10:00:00Z";
const TO: &str = "2026-03-01T14:00:00Z";
const LEASE: Duration = Duration::from_secs(90);
const UNSENT: &str = "SELECT COUNT(*) FROM batch WHERE status = 'pending' AND enqueued_at IS NULL";

/// Eight batches, in the queue.
async fn handed_off(name: &str) -> (Stage, Vec<Document>) {
    let stage = Stage::new(name).await;
    let messages = Document::many(480, 10..14);
    stage.index_messages(&messages).await;
    stage.backfill(FROM, TO).await;
    stage.harvest().await;
    assert_eq!(stage.queues.depth(&stage.queues.normal).await, 8);
    (stage, messages)
}

/// What the API answers: its status and its body.
pub(super) async fn ask(operator: &Function, method: &str, path: &str, body: &Value) -> (u64, Value) {
    let event = request(method, path, &body.to_string());
    let answer = operator.invoke(event, REAPER_TIMEOUT).await.unwrap();
    let text = answer["body"].as_str().expect("an answer has a body");
    (
        answer["statusCode"].as_u64().expect("an answer has a status"),
        serde_json::from_str(text).unwrap(),
    )
}

async fn done(stage: &Stage, method: &str, path: &str, body: Value) -> Value {
    let (status, answer) = ask(&stage.operator, method, path, &body).await;
    assert_eq!(status, 200, "{method} {path}: {answer}");
    answer
}

/// How often it stands in the audit that somebody did this.
async fn audited(stage: &Stage, action: &str) -> u64 {
    let query = format!("SELECT COUNT(*) FROM audit WHERE action = '{action}'");
    stage.row(&query).await
}

async fn finish(stage: Stage, messages: &[Document]) {
    stage.run_until_quiet().await;
    stage.assert_archived(messages, FROM, TO).await;
    stage.finish().await;
}

/// What waits in the queue comes to the dead-letter queue, as after five receives in vain.
async fn let_messages_die(stage: &Stage) -> u64 {
    let queues = &stage.queues;
    let mut count = 0;
    while let Some(message) = queues.receive_from(&queues.normal).await {
        queues
            .send(&queues.dead_letters, message.body.as_deref().unwrap_or_default())
            .await;
        queues.delete(&queues.normal, &message).await;
        count += 1;
    }
    count
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purged_queue_is_empty_and_its_batches_are_sent_again() {
    let (stage, messages) = handed_off("emptied").await;
    let foretold = done(&stage, "POST", "/queue/purge/batches", json!({"dryRun": true})).await;
    assert_eq!(
        (&foretold["batchesPutBack"], &foretold["purged"][0]["held"]),
        (&json!(8), &json!(8))
    );
    assert_eq!(
        stage.queues.depth(&stage.queues.normal).await,
        8,
        "nothing changed"
    );
    assert_eq!(stage.row::<u64>(UNSENT).await, 0);

    let body = json!({"confirm": "batches", "reason": "a test"});
    let purged = done(&stage, "DELETE", "/queue/purge/batches", body).await;
    assert_eq!(
        (&purged["batchesPutBack"], &purged["isComplete"]),
        (&json!(8), &json!(true))
    );
    assert_eq!(stage.queues.depth(&stage.queues.normal).await, 0);
    assert_eq!(stage.row::<u64>(UNSENT).await, 8);
    assert_eq!(audited(&stage, "queue.purge").await, 1);
    finish(stage, &messages).await;
}

/// As SQS does it: the purge lasts a minute, and takes along what is sent meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_is_sent_while_its_queue_is_purged_is_not_lost() {
    let (stage, messages) = handed_off("meanwhile").await;
    done(
        &stage,
        "DELETE",
        "/queue/purge-all",
        json!({"confirm": "purge-all"}),
    )
    .await;
    assert_eq!(stage.reap().await["sent"], 8);
    stage.queues.purge(&stage.queues.normal).await;
    assert_eq!(stage.reap().await["sent"], 0, "the ledger takes them for sent");

    let minutes = "INTERVAL 3 MINUTE";
    stage
        .sql(&format!("UPDATE control SET changed_at = changed_at - {minutes}"))
        .await;
    stage
        .sql(&format!("UPDATE batch SET enqueued_at = enqueued_at - {minutes}"))
        .await;
    let tick = stage.reap().await;
    assert_eq!((&tick["put_back"], &tick["sent"]), (&json!(8), &json!(8)));
    assert_eq!(stage.queues.depth(&stage.queues.normal).await, 8);
    let tick = stage.reap().await;
    assert_eq!((&tick["put_back"], &tick["sent"]), (&json!(0), &json!(0)), "once");
    finish(stage, &messages).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letters_go_back_to_the_queue_that_they_came_from() {
    let (stage, messages) = handed_off("redriven").await;
    let dead = let_messages_die(&stage).await;
    let body = json!({"queue": "dead-letters", "dryRun": true});
    let foretold = done(&stage, "POST", "/queue/retry-dlq", body).await;
    assert_eq!(
        (&foretold["found"], &foretold["moved"]),
        (&json!(dead), &json!(0))
    );
    assert_eq!(stage.queues.depth(&stage.queues.dead_letters).await, dead);

    let redriven = done(
        &stage,
        "POST",
        "/queue/retry-dlq",
        json!({"queue": "dead-letters"}),
    )
    .await;
    assert_eq!(
        (
            &redriven["moved"],
            &redriven["isComplete"],
            &redriven["queues"][0]["method"]
        ),
        (&json!(dead), &json!(true), &json!("one by one")),
        "{redriven}"
    );
    assert_eq!(stage.queues.depth(&stage.queues.dead_letters).await, 0);
    assert_eq!(stage.queues.depth(&stage.queues.normal).await, dead);
    let again = done(&stage, "POST", "/queue/retry-dlq", json!({})).await;
    assert_eq!((&again["found"], &again["isComplete"]), (&json!(0), &json!(true)));
    assert_eq!(audited(&stage, "queue.redrive").await, 2);
    finish(stage, &messages).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_that_purged_dead_letters_name_are_sent_again_and_no_others() {
    let (stage, messages) = handed_off("purged-letters").await;
    let queues = &stage.queues;
    let message = queues.receive_from(&queues.normal).await.unwrap();
    queues
        .send(&queues.dead_letters, message.body.as_deref().unwrap())
        .await;
    queues.delete(&queues.normal, &message).await;
    queues.send(&queues.dead_letters, "nonsense").await;
    let purged = done(
        &stage,
        "DELETE",
        "/queue/purge/batchesDeadLetters",
        json!({"confirm": "dead-letters"}),
    )
    .await;
    assert_eq!(
        (&purged["batchesPutBack"], &purged["purged"][0]["queue"]),
        (&json!(1), &json!("dead-letters"))
    );
    assert_eq!(queues.depth(&queues.dead_letters).await, 0);
    assert_eq!(stage.row::<u64>(UNSENT).await, 1);
    assert_eq!(
        queues.depth(&queues.normal).await,
        7,
        "the others were left alone"
    );
    finish(stage, &messages).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn probes_go_the_way_of_all_messages_and_come_back_in_the_monitoring() {
    let (stage, messages) = handed_off("probes").await;
    done(
        &stage,
        "POST",
        "/queue/test-batch",
        json!({"count": 9, "dryRun": true}),
    )
    .await;
    assert_eq!(stage.row::<u64>("SELECT COUNT(*) FROM probe").await, 0);
    let sent = done(
        &stage,
        "POST",
        "/queue/test-batch",
        json!({"count": 12, "queue": "batches-priority"}),
    )
    .await;
    assert_eq!((&sent["sent"], &sent["failed"]), (&json!(12), &json!([])));
    done(&stage, "POST", "/queue/test/publish", json!({})).await;
    let before = stage.look_at("/queue/monitoring").await;
    assert_eq!(before["queues"]["batchesPriority"]["waiting"], 12);
    let statuses = |answer: &Value, status: &str| {
        let probes = answer["probes"].as_array().unwrap();
        probes.iter().filter(|probe| probe["status"] == status).count()
    };
    assert_eq!(statuses(&before, "under-way"), 13);

    let exports = stage.export_all().await;
    assert_eq!((exports.acknowledged, exports.returned.len()), (8 + 13, 0));
    let after = stage.look_at("/queue/monitoring").await;
    assert_eq!(statuses(&after, "arrived"), 13, "{after}");
    for probe in after["probes"].as_array().unwrap() {
        assert!(probe["roundTripMs"].as_u64().is_some(), "{probe}");
    }
    let queues: Vec<&Value> = after["probes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|probe| &probe["queue"])
        .collect();
    assert_eq!(queues.iter().filter(|queue| **queue == "batches").count(), 1);
    assert_eq!(
        (&after["rates"]["batches"], &after["rates"]["messages"]),
        (&json!(8), &json!(480))
    );
    assert_eq!(after["oldestUnsent"], Value::Null);
    assert_eq!(audited(&stage, "queue.probe").await, 2);
    finish(stage, &messages).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_see_who_is_at_work_and_have_attempts_counted_anew() {
    let (stage, messages) = handed_off("workers").await;
    let batch: u64 = stage.row("SELECT MIN(id) FROM batch").await;
    let claim = stage
        .ledger
        .claim(BatchId(batch), "somebody", LEASE)
        .await
        .unwrap();
    let Claim::Won(claimed) = claim else {
        panic!("{claim:?}")
    };
    let stats = stage.look_at("/queue/workers/stats").await;
    let worker = &stats["workers"][0];
    assert_eq!(
        (&worker["worker"], &worker["batchId"], &worker["isOverdue"]),
        (&json!("somebody"), &json!(batch), &json!(false))
    );
    assert_eq!(
        (&stats["inFlight"], &stats["nextCursor"]),
        (&json!(1), &Value::Null)
    );
    let failure = granary_domain::Failure {
        cause: granary_domain::Cause::Shutdown,
        text: "a test".to_owned(),
    };
    stage.ledger.hand_back(&claimed, &failure).await.unwrap();
    let stats = stage.look_at("/queue/workers/stats").await;
    assert_eq!(
        (&stats["inFlight"], &stats["counter"]["handed_back"]),
        (&json!(0), &json!(1))
    );
    done(
        &stage,
        "POST",
        "/queue/workers/reset-counter",
        json!({"dryRun": true}),
    )
    .await;
    assert_eq!(audited(&stage, "workers.reset_counter").await, 0);
    let reset = done(&stage, "POST", "/queue/workers/reset-counter", json!({})).await;
    assert_eq!(audited(&stage, "workers.reset_counter").await, 1);
    assert_eq!(
        (
            &reset["before"]["total"],
            &reset["counter"]["total"],
            &reset["counter"]["resetBy"]
        ),
        (&json!(1), &json!(0), &json!("operator"))
    );
    finish(stage, &messages).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_says_what_keeps_batches_from_their_way() {
    let (stage, messages) = handed_off("queue-health").await;
    let status = |health: &Value, name: &str| {
        let checks = health["checks"].as_array().unwrap();
        let check = checks.iter().find(|check| check["check"] == name);
        check.expect("it is checked")["status"].clone()
    };
    let well = stage.look_at("/queue/health").await;
    assert_eq!(
        (&well["status"], &status(&well, "queues")),
        (&json!("up"), &json!("up"))
    );
    done(&stage, "POST", "/pause", json!({"stage": "export"})).await;
    let_messages_die(&stage).await;
    let ill = stage.look_at("/queue/health").await;
    assert_eq!(ill["status"], "degraded");
    assert_eq!(
        [
            status(&ill, "export"),
            status(&ill, "deadLetters"),
            status(&ill, "queues")
        ],
        [json!("degraded"), json!("degraded"), json!("up")]
    );
    done(&stage, "POST", "/resume", json!({})).await;
    done(&stage, "POST", "/queue/retry-dlq", json!({})).await;
    finish(stage, &messages).await;
}
