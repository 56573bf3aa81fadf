//! Two ticks of the reaper at once, where Lambda reserves no concurrency for it: everything is done once.

use super::reaping::send_parked_again;
use crate::stage::{Document, REAPER_TIMEOUT, Stage, processlist};
use serde_json::{Value, json};

const FROM: &str = "2026-03-01T10:00:00Z";
const TO: &str = "2026-03-01T14:00:00Z";
/// Ticks may overlap, and the first attempt is the last one.
const SETTINGS: [(&str, &str); 2] = [("GRANARY_REAPER_CONCURRENCY", "0"), ("GRANARY_MAX_ATTEMPTS", "1")];

/// Four batches: the messages of three are lost, and the worker of the fourth died. Two alerts are unpublished.
async fn troubled(name: &str) -> (Stage, Vec<Document>) {
    let stage = Stage::with(name, &SETTINGS).await;
    let messages = Document::many(400, 10..14);
    stage.index_messages(&messages).await;
    stage.backfill(FROM, TO).await;
    assert_eq!(stage.harvest().await["batches_sent"], 4);
    stage.queues.purge(&stage.queues.normal).await;
    for statement in [
        "UPDATE migration SET created_at = created_at - INTERVAL 2 DAY",
        "UPDATE batch SET enqueued_at = enqueued_at - INTERVAL 11 MINUTE",
        "UPDATE batch SET status = 'in_progress', attempts = 1, fence = 1, holder = 'dead', enqueued_at = NULL, \
         lease_until = UTC_TIMESTAMP(6) - INTERVAL 1 SECOND ORDER BY id LIMIT 1",
        "INSERT INTO attempt (batch_id, number, generation, worker, started_at) \
         SELECT id, 1, generation, 'dead', UTC_TIMESTAMP(6) FROM batch WHERE status = 'in_progress'",
    ] {
        stage.sql(statement).await;
    }
    for (kind, subject) in [("invariant", "1000000.1.0"), ("archive_conflict", "1.1")] {
        let raised = stage.ledger.raise_alert(kind, subject, "miscount", "a batch");
        assert_eq!(raised.await.unwrap(), 1);
    }
    (stage, messages)
}

/// The sums of both reports, and what is outside: each batch is resent or parked once, each alert sent once, each job asked for once.
async fn assert_all_is_done_once(stage: &Stage, ticks: &[Value]) {
    let sum = |field: &str| -> u64 {
        let counts = ticks.iter().map(|tick| tick[field].as_u64().unwrap());
        counts.sum()
    };
    let fields = ["resent", "reaped", "published", "sweeps_asked"];
    assert_eq!(fields.map(sum), [3, 1, 3, 1], "{ticks:?}");
    assert_eq!(stage.queues.depth(&stage.queues.normal).await, 3);
    let told = stage.queues.told().await;
    assert_eq!(told.len(), 3, "{told:?}");
    let parked: u64 = stage
        .row("SELECT COUNT(*) FROM batch WHERE parked_at IS NOT NULL")
        .await;
    let alerts: u64 = stage.row("SELECT COUNT(*) FROM alert").await;
    let jobs: u64 = stage.row("SELECT COUNT(*) FROM operation").await;
    assert_eq!((parked, alerts, jobs), (1, 3, 1));
}

async fn assert_recovered(stage: Stage, messages: &[Document]) {
    send_parked_again(&stage).await;
    stage.run_until_quiet().await;
    stage.assert_archived(messages, FROM, TO).await;
    stage.finish().await;
}

/// The first one has sent an alert, and not marked it yet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tick_that_begins_while_another_one_is_at_work_leaves_everything_to_it() {
    let (stage, messages) = troubled("beside").await;
    let another = stage.another("reaper", &[]);
    let held = stage.hold("SELECT * FROM alert FOR UPDATE").await;
    let (first, second) = tokio::join!(stage.reap(), async {
        stage
            .until(&format!(
                "SELECT COUNT(*) FROM {} WHERE db = DATABASE() AND id <> CONNECTION_ID() \
                 AND info LIKE 'UPDATE alert SET published_at%'",
                processlist()
            ))
            .await;
        let second = another.invoke(json!({}), REAPER_TIMEOUT).await.unwrap();
        held.let_go().await;
        second
    });
    assert_eq!(
        (&first["skipped"], &second["skipped"]),
        (&json!(false), &json!(true))
    );
    assert_all_is_done_once(&stage, &[first, second]).await;
    another.kill().await;
    assert_recovered(stage, &messages).await;
}

/// Whichever comes first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_ticks_that_begin_at_once_do_everything_once() {
    let (stage, messages) = troubled("at-once").await;
    let another = stage.another("reaper", &[]);
    let (first, second) = tokio::join!(stage.reap(), another.invoke(json!({}), REAPER_TIMEOUT));
    assert_all_is_done_once(&stage, &[first, second.unwrap()]).await;
    another.kill().await;
    assert_recovered(stage, &messages).await;
}

/// Its connection dies with it, and the server frees the turn.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reaper_that_dies_at_its_turn_keeps_no_other_from_working() {
    let (stage, messages) = troubled("died-at-turn").await;
    let doomed = stage.another("reaper", &[("GRANARY_FAULT", "reap_dead:after")]);
    doomed.invoke(json!({}), REAPER_TIMEOUT).await.unwrap_err();
    doomed.kill().await;
    let tick = stage.reap().await;
    assert_eq!((&tick["skipped"], &tick["resent"]), (&json!(false), &json!(3)));
    assert_recovered(stage, &messages).await;
}
