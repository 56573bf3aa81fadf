//! The requests that clients of the older system send, as they send them: each is accepted by the real operator, and does
//! what it says at the services behind it.

use crate::stage::{Addresses, Document, HttpProxy, Listening, Stage};
use granary_domain::BatchId;
use granary_ledger::export::Claim;
use serde_json::{Value, json};
use std::time::Duration;

const FROM: &str = "2026-03-01T10:00:00Z";
const TO: &str = "2026-03-01T14:00:00Z";
const LEASE: Duration = Duration::from_secs(90);
const SLICES_MAX: u32 = 20;
const UNSENT: &str = "batch WHERE status = 'pending' AND enqueued_at IS NULL";

/// Every body, with a field that none of these routes knows.
const UNKNOWN: [&str; 13] = [
    "POST /seed/some-model",
    "POST /seed/all",
    "POST /migrate",
    "POST /migrate/retry-failed",
    "POST /migrate/complete-processing",
    "POST /migrate/process-all",
    "POST /migrate/reset-pending",
    "DELETE /queue/purge/batches",
    "POST /queue/purge/batches",
    "DELETE /migrate/cancel/0197a1b2-0000-7000-8000-000000000000",
    "POST /migrate/cancel/0197a1b2-0000-7000-8000-000000000000",
    "POST /queue/test-publish",
    "POST /queue/test/publish",
];

async fn done(operator: &Listening, line: &str, body: impl Into<Option<Value>>) -> Value {
    let (status, answer) = operator.ask(line, body.into()).await;
    assert!([200, 202].contains(&status), "{line}: {answer}");
    answer
}

/// The same of a long job, which the reaper ends where the operator has no time for it.
async fn operated(stage: &Stage, operator: &Listening, line: &str, body: Value) {
    let asked = done(operator, line, body).await;
    let status = format!("GET {}", asked["statusUrl"].as_str().unwrap());
    for _ in 0..SLICES_MAX {
        let operation = done(operator, &status, None).await["operation"].take();
        match operation["state"].as_str() {
            Some("succeeded") => return,
            Some("failed") => panic!("{line}: {operation}"),
            _ => drop(stage.reap().await),
        }
    }
    panic!("{line} doesn't come to its end");
}

async fn count(stage: &Stage, what: &str) -> u64 {
    stage.row(&format!("SELECT COUNT(*) FROM {what}")).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_older_systems_requests_do_what_they_say() {
    let elasticsearch = HttpProxy::before(Addresses::from_environment().elasticsearch.as_str()).await;
    let settings = [
        ("GRANARY_BATCH_SIZE", "10"),
        ("GRANARY_ALLOW_SEEDING", "true"),
        ("GRANARY_SEED_ES_URL", elasticsearch.url.as_str()),
    ];
    let stage = Stage::with("older", &settings).await;
    let messages = Document::many(60, 10..14);
    stage.index_messages(&messages).await;
    let operator = stage.listen(&[]).await;

    what_is_pending_is_sent_and_the_rest_is_harvested(&stage, &operator).await;
    a_queue_is_purged_and_a_migration_cancelled_without_a_body(&stage, &operator).await;
    a_batch_size_bounds_one_round(&stage, &operator).await;
    what_failed_is_parked_or_stuck_becomes_pending(&stage, &operator).await;
    probes_carry_a_message_to_the_queue_of_their_priority(&stage, &operator).await;
    for line in UNKNOWN {
        let (status, refused) = operator.ask(line, Some(json!({"unknownField": 1}))).await;
        assert_eq!(
            (status, &refused["field"]),
            (400, &json!("unknownField")),
            "{line}: {refused}"
        );
    }
    stage.run_until_quiet().await;
    stage.assert_archived(&messages, FROM, TO).await;
    test_messages_are_written_in_requests_of_a_size(&stage, &operator, &elasticsearch).await;
    stage.finish().await;
}

/// The first hour is on record and not sent; the other three are at the source.
async fn what_is_pending_is_sent_and_the_rest_is_harvested(stage: &Stage, operator: &Listening) {
    stage.backfill(FROM, "2026-03-01T11:00:00Z").await;
    stage.harvest().await;
    let waiting = count(stage, "batch").await;
    stage.queues.purge(&stage.queues.normal).await;
    stage.sql("UPDATE batch SET enqueued_at = NULL").await;
    let mut body = json!({"batchSize": 7, "filters": {"status": "pending"}, "priority": 6, "dryRun": true});
    let foretold = done(operator, "POST /migrate", body.clone()).await;
    assert_eq!(
        (&foretold["toSend"], &foretold["batchSize"], &foretold["priority"]),
        (&json!(waiting), &json!(7), &json!(6)),
        "{foretold}"
    );
    assert_eq!(count(stage, UNSENT).await, waiting, "nothing was sent");
    body["dryRun"] = json!(false);
    let started = done(operator, "POST /migrate", body).await;
    assert_eq!(started["sent"], waiting, "{started}");
    assert_eq!(stage.queues.depth(&stage.queues.normal).await, waiting);
    assert_eq!(
        started["range"]["from"], FROM,
        "up from the first message: {started}"
    );

    stage.harvest().await;
    let own = format!("SELECT MAX(message_count) FROM batch WHERE id > {waiting}");
    assert_eq!(stage.row::<u32>(&own).await, 7, "the migration's own size");
    let priorities: Vec<u8> = stage.rows("SELECT DISTINCT priority FROM batch").await;
    assert_eq!(priorities, [6], "what was pending becomes as urgent");
    let batches = count(stage, "batch").await;
    assert_eq!(stage.queues.depth(&stage.queues.priority).await, batches);
    assert_eq!(
        count(stage, "message_status WHERE status <> 'released'").await,
        60
    );

    let (status, refused) = operator
        .ask(
            "POST /migrate",
            Some(json!({"filters": {"status": "parked"}, "batchSize": 5})),
        )
        .await;
    assert_eq!(
        (status, &refused["field"]),
        (400, &json!("batchSize")),
        "{refused}"
    );
}

async fn a_queue_is_purged_and_a_migration_cancelled_without_a_body(stage: &Stage, operator: &Listening) {
    let batches = count(stage, "batch").await;
    let purged = done(operator, "DELETE /queue/purge/batches", None).await;
    assert_eq!(purged["purged"][0]["queue"], "batches", "{purged}");
    assert_eq!(stage.queues.depth(&stage.queues.normal).await, 0);
    let purged = done(operator, "DELETE /queue/purge/batches-priority", None).await;
    assert_eq!(purged["batchesPutBack"], batches, "{purged}");
    assert_eq!(stage.queues.depth(&stage.queues.priority).await, 0);
    assert_eq!(count(stage, UNSENT).await, batches);
    let (status, refused) = operator.ask("DELETE /queue/purge-all", None).await;
    assert_eq!(
        (status, &refused["field"]),
        (400, &json!("confirm")),
        "all four want their name"
    );

    let asked = done(operator, "POST /migrate", json!({"from": FROM, "to": TO})).await;
    let id = asked["migrationId"].as_str().unwrap();
    let cancelled = done(operator, &format!("DELETE /migrate/cancel/{id}"), None).await;
    assert_eq!(cancelled["migration"]["state"], "cancelled", "{cancelled}");
}

/// Dead workers, parked batches and unsent ones: more of each than one round takes.
async fn a_batch_size_bounds_one_round(stage: &Stage, operator: &Listening) {
    let unsent = count(stage, UNSENT).await;
    assert!(unsent > 3, "{unsent}");
    let round = |dry_run: bool| json!({"batchSize": 2, "dryRun": dry_run});
    let foretold = done(operator, "POST /migrate/process-all", round(true)).await;
    assert_eq!(
        (&foretold["sent"], &foretold["found"]["unsent"]),
        (&json!(0), &json!(unsent))
    );
    let sent = done(operator, "POST /migrate/process-all", round(false)).await;
    assert_eq!(
        (&sent["sent"], &sent["isComplete"]),
        (&json!(2), &json!(false)),
        "{sent}"
    );
    assert_eq!(count(stage, UNSENT).await, unsent - 2);

    let batches: Vec<u64> = stage.rows("SELECT id FROM batch ORDER BY id").await;
    for batch in &batches[2..5] {
        let claim = stage
            .ledger
            .claim(BatchId(*batch), "somebody", LEASE)
            .await
            .unwrap();
        assert!(matches!(claim, Claim::Won(_)), "{claim:?}");
    }
    stage.let_leases_end().await;
    let path = "POST /migrate/complete-processing";
    let foretold = done(operator, path, round(true)).await;
    assert_eq!(
        (&foretold["found"], &foretold["takenBack"]),
        (&json!(3), &json!(0)),
        "{foretold}"
    );
    let taken = done(operator, path, round(false)).await;
    assert_eq!(
        (&taken["takenBack"], &taken["isComplete"]),
        (&json!(2), &json!(false)),
        "{taken}"
    );
    assert_eq!(count(stage, "batch WHERE status = 'in_progress'").await, 1);

    park(stage, &batches[5..8]).await;
    let path = "POST /migrate/retry-failed";
    let foretold = done(operator, path, round(true)).await;
    assert_eq!(
        (&foretold["found"], &foretold["retried"]),
        (&json!(2), &json!(0)),
        "{foretold}"
    );
    let retried = done(operator, path, round(false)).await;
    assert_eq!(
        (&retried["retried"], &retried["hasMore"]),
        (&json!(2), &json!(true)),
        "{retried}"
    );
    assert_eq!(count(stage, "batch WHERE parked_at IS NOT NULL").await, 1);
}

async fn park(stage: &Stage, batches: &[u64]) {
    let ids: Vec<String> = batches.iter().map(u64::to_string).collect();
    stage
        .sql(&format!(
            "UPDATE batch SET status = 'failed', parked_at = UTC_TIMESTAMP(6), error_code = 'spool', \
             error_text = 'a test' WHERE id IN ({})",
            ids.join(", ")
        ))
        .await;
}

/// One batch is still stuck, one parked, two failed; what is archived stays as it is.
async fn what_failed_is_parked_or_stuck_becomes_pending(stage: &Stage, operator: &Listening) {
    let hour = "UPDATE batch SET not_before = UTC_TIMESTAMP(6) + INTERVAL 1 HOUR WHERE status = 'failed'";
    stage.sql(hour).await;
    stage.export_all().await;
    let archived = count(stage, "batch WHERE status = 'completed'").await;
    assert!(archived > 0);
    let path = "POST /migrate/reset-pending";
    let foretold = done(operator, &format!("{path}?dryRun=true"), None).await;
    assert_eq!(
        foretold["found"],
        json!({"stuck": 1, "failed": 2, "parked": 1}),
        "{foretold}"
    );
    assert_eq!(
        count(stage, "batch WHERE status IN ('failed', 'in_progress')").await,
        4
    );
    let reset = done(operator, path, None).await;
    assert_eq!(
        (
            &reset["takenBack"],
            &reset["retried"],
            &reset["unparked"],
            &reset["isComplete"]
        ),
        (&json!(1), &json!(3), &json!(1), &json!(true)),
        "{reset}"
    );
    let open = "batch WHERE status NOT IN ('pending', 'completed') OR not_before IS NOT NULL";
    assert_eq!(count(stage, open).await, 0);
    assert_eq!(count(stage, "batch WHERE status = 'completed'").await, archived);
    let again = done(operator, path, None).await;
    assert_eq!(
        (&again["takenBack"], &again["retried"], &again["unparked"]),
        (&json!(0), &json!(0), &json!(0)),
        "asked twice is asked once"
    );
    let (status, refused) = operator.ask(path, Some(json!({"from": FROM, "to": TO}))).await;
    assert_eq!((status, &refused["field"]), (400, &json!("reason")), "{refused}");
}

async fn probes_carry_a_message_to_the_queue_of_their_priority(stage: &Stage, operator: &Listening) {
    let queues = &stage.queues;
    for (line, body, queue) in [
        (
            "POST /queue/test-publish",
            json!({"message": "hello", "priority": 7, "routingKey": "migration.test"}),
            &queues.priority,
        ),
        (
            "POST /queue/test/publish",
            json!({"message": {"text": "hello"}, "priority": 1, "routingKey": "batches"}),
            &queues.normal,
        ),
    ] {
        queues.purge(queue).await;
        let sent = done(operator, line, body.clone()).await;
        assert_eq!(sent["sent"], 1, "{sent}");
        let received = queues.receive_from(queue).await.expect("it is in its queue");
        let carried: Value = serde_json::from_str(received.body.as_deref().unwrap()).unwrap();
        assert_eq!(
            (&carried["probe"], &carried["message"]),
            (&sent["probes"][0]["probeId"], &body["message"])
        );
        queues.delete(queue, &received).await;
    }
    stage
        .sql("UPDATE batch SET enqueued_at = NULL WHERE status = 'pending'")
        .await;
}

async fn test_messages_are_written_in_requests_of_a_size(
    stage: &Stage,
    operator: &Listening,
    elasticsearch: &HttpProxy,
) {
    let written = async || {
        let stats = done(operator, "GET /seed/stats", None).await;
        let messages = stats["stats"]["documents"][&stage.indices.messages].clone();
        (messages, stats["synthetic"]["migrations"].clone())
    };
    let body = json!({"count": 10, "batchSize": 4});
    operated(stage, operator, "POST /seed/some-model", body).await;
    assert_eq!(written().await, (json!(10), json!(0)));
    let bulk = elasticsearch.asked();
    let bulk = bulk.iter().filter(|asked| asked.path.starts_with("/_bulk"));
    let mut messages: Vec<usize> = bulk
        .map(|asked| asked.body.matches("\"spam\":false").count())
        .filter(|count| *count > 0)
        .collect();
    messages.sort_unstable();
    assert_eq!(messages, [2, 4, 4], "messages in each bulk request");
    let body = json!({"someModelCount": 5, "jobStatusCount": 2});
    operated(stage, operator, "POST /seed/all", body).await;
    assert_eq!(written().await, (json!(15), json!(2)));
    let body = json!({"confirm": "yes-clear-all-data"});
    operated(stage, operator, "DELETE /seed/clear", body).await;
    assert_eq!(written().await, (json!(0), json!(0)));
}
