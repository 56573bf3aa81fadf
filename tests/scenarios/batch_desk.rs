//! What people look at of the ledger and its batches by the API, and what they have done to them.

use super::queue_desk::ask;
use crate::stage::{Document, EXPORTER_TIMEOUT, FunctionError, Stage, sqs_event};
use serde_json::{Value, json};

const FROM: &str = "2026-03-01T10:00:00Z";
const TO: &str = "2026-03-01T14:00:00Z";

/// Forty messages of four hours in batches of ten, in the queue.
async fn handed_off(name: &str) -> (Stage, Vec<Document>) {
    let stage = Stage::with(name, &[("GRANARY_BATCH_SIZE", "10")]).await;
    let messages = Document::many(40, 10..14);
    stage.index_messages(&messages).await;
    stage.backfill(FROM, TO).await;
    stage.harvest().await;
    (stage, messages)
}

async fn archived(name: &str) -> (Stage, Vec<Document>) {
    let (stage, messages) = handed_off(name).await;
    stage.run_until_quiet().await;
    (stage, messages)
}

/// All four batches are parked.
async fn parked(name: &str) -> (Stage, Vec<Document>) {
    let (stage, messages) = handed_off(name).await;
    let blind = stage.blind_ledger().await;
    let failing = stage.another(
        "exporter",
        &[("GRANARY_LEDGER_URL", &blind), ("GRANARY_MAX_ATTEMPTS", "1")],
    );
    stage.export_all_by(&failing).await;
    (stage, messages)
}

async fn done(stage: &Stage, path: &str, body: Value) -> Value {
    let (status, answer) = ask(&stage.operator, "POST", path, &body).await;
    assert_eq!(status, 200, "{path}: {answer}");
    answer
}

async fn audited(stage: &Stage, action: &str) -> Vec<Option<String>> {
    let query = format!("SELECT reason FROM audit WHERE action = '{action}' ORDER BY id");
    stage.rows(&query).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_are_found_by_their_status_and_shown_with_their_attempts() {
    let (stage, messages) = parked("jobs").await;
    let all = stage.look_at("/migrate/jobs?limit=3").await;
    assert_eq!(all["count"], 3);
    let cursor = all["nextCursor"].as_str().unwrap();
    let rest = stage
        .look_at(&format!("/migrate/jobs?limit=3&cursor={cursor}"))
        .await;
    assert_eq!((&rest["count"], &rest["nextCursor"]), (&json!(1), &Value::Null));
    let parked = stage
        .look_at("/migrate/jobs?status=parked&cause=unexpected&jobType=backfill")
        .await;
    assert_eq!(parked["count"], 4, "{parked}");
    assert_eq!(stage.look_at("/migrate/jobs?status=success").await["count"], 0);
    let hours = "from=2026-03-01T11:00:00Z&to=2026-03-01T13:00:00Z";
    let some = stage.look_at(&format!("/migrate/jobs?{hours}")).await;
    assert_eq!(some["count"], 2);

    let batch = &parked["jobs"][0];
    let shown = stage.look_at(batch["statusUrl"].as_str().unwrap()).await;
    assert_eq!(shown["batch"]["id"], batch["id"]);
    assert_eq!(
        (&shown["batch"]["status"], &shown["batch"]["parked"]),
        (&json!("failed"), &json!(true))
    );
    assert_eq!(shown["attempts"].as_array().unwrap().len(), 1);
    assert_eq!(shown["attempts"][0]["outcome"], "failed");
    assert!(shown["batch"]["processingDuration"].is_u64(), "{shown}");
    let status = stage.look_at(&format!("/migrate/status/{}", batch["id"])).await;
    assert_eq!(
        (&status["status"], &status["batchUrl"]),
        (&json!("failed"), &batch["statusUrl"])
    );

    let foretold = done(
        &stage,
        "/migrate/retry-failed",
        json!({"limit": 3, "dryRun": true}),
    )
    .await;
    assert_eq!(
        (&foretold["found"], &foretold["retried"], &foretold["hasMore"]),
        (&json!(3), &json!(0), &json!(true))
    );
    assert_eq!(audited(&stage, "migrate.retry_failed").await, []);
    let none = done(&stage, "/migrate/retry-failed", json!({"cause": "miscount"})).await;
    assert_eq!(none["found"], 0);
    let body = json!({"cause": "unexpected", "migrationId": batch["migrationId"], "reason": "it is back"});
    let retried = done(&stage, "/migrate/retry-failed", body).await;
    assert_eq!((&retried["found"], &retried["retried"]), (&json!(4), &json!(4)));
    assert_eq!(
        audited(&stage, "migrate.retry_failed").await.last(),
        Some(&Some("it is back".to_owned()))
    );
    let again = stage.look_at(batch["statusUrl"].as_str().unwrap()).await;
    assert_eq!(again["batch"]["retryCount"], 1);
    assert!(again["batch"]["lastRetryAt"].is_string());
    stage.run_until_quiet().await;
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_that_is_due_is_done_at_once_where_somebody_asks() {
    let (stage, messages) = handed_off("due").await;
    let dying = stage.another("exporter", &[(granary_steps::VARIABLE, "claim_batch:after")]);
    let (queue, message) = stage.queues.receive().await.expect("a batch was sent");
    let died = dying
        .invoke(sqs_event(&[(queue, &message)]), EXPORTER_TIMEOUT)
        .await;
    assert!(matches!(died, Err(FunctionError::Exited(_))), "{died:?}");
    stage.let_leases_end().await;
    stage
        .sql("UPDATE batch SET enqueued_at = NULL WHERE status = 'pending'")
        .await;
    let foretold = done(&stage, "/migrate/process-all", json!({"dryRun": true})).await;
    assert_eq!(
        (&foretold["found"]["unsent"], &foretold["found"]["deadWorkers"]),
        (&json!(3), &json!(1))
    );
    let all = done(&stage, "/migrate/process-all", json!({"reason": "a test"})).await;
    assert_eq!(
        (
            &all["takenBack"],
            &all["retried"],
            &all["sent"],
            &all["isComplete"]
        ),
        (&json!(1), &json!(1), &json!(4), &json!(true)),
        "{all}"
    );
    let again = done(&stage, "/migrate/process-all", json!({})).await;
    assert_eq!(
        (&again["takenBack"], &again["retried"], &again["sent"]),
        (&json!(0), &json!(0), &json!(0)),
        "asked twice is asked once"
    );
    let none = done(&stage, "/migrate/complete-processing", json!({})).await;
    assert_eq!(
        (&none["takenBack"], &none["isComplete"]),
        (&json!(0), &json!(true))
    );
    assert_eq!(audited(&stage, "migrate.process_all").await.len(), 2);
    stage.run_until_quiet().await;
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_status_in_the_filters_acts_on_batches_on_record_and_makes_no_migration() {
    let (stage, messages) = parked("by-status").await;
    let migrations = async || stage.row::<u64>("SELECT COUNT(*) FROM migration").await;
    let before = migrations().await;
    let hour = json!({"filters": {"status": "parked"}, "from": "2026-03-01T10:00:00Z", "to": "2026-03-01T11:00:00Z"});
    let one = done(&stage, "/migrate", hour).await;
    assert_eq!(
        (&one["found"], &one["changed"], &one["migration"]),
        (&json!(1), &json!(1), &Value::Null)
    );
    let rest = done(&stage, "/migrate", json!({"filters": {"status": "failed"}})).await;
    assert_eq!((&rest["found"], &rest["changed"]), (&json!(3), &json!(3)));
    let none = done(&stage, "/migrate", json!({"filters": {"status": "processing"}})).await;
    assert_eq!((&none["found"], &none["changed"]), (&json!(0), &json!(0)));
    assert_eq!(migrations().await, before);
    assert_eq!(audited(&stage, "migrate.by_status").await.len(), 3);
    stage.run_until_quiet().await;
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dry_run_foretells_days_bytes_objects_and_time_from_what_was_measured() {
    let stage = Stage::with("foretold", &[("GRANARY_BATCH_SIZE", "10")]).await;
    let messages = Document::many(40, 10..14);
    stage.index_messages(&messages).await;
    let body = json!({"from": FROM, "to": TO, "dryRun": true});
    let foretold = done(&stage, "/migrate", body.clone()).await;
    assert_eq!(
        (&foretold["inSource"], &foretold["migration"]),
        (&json!(40), &Value::Null)
    );
    assert_eq!(
        foretold["perDay"],
        json!([{"day": "2026-03-01", "inSource": 40, "inLedger": 0, "new": 40}])
    );
    let estimate = &foretold["estimate"];
    assert_eq!(
        (&estimate["messages"], &estimate["objects"]),
        (&json!(40), &json!(4))
    );
    assert!(
        estimate["cost"].is_null() && estimate["durationSeconds"].is_null(),
        "{estimate}"
    );
    let made: u64 = stage
        .row("SELECT COUNT(*) FROM migration WHERE kind <> 'continuous'")
        .await;
    assert_eq!(made, 0);

    stage.backfill(FROM, "2026-03-01T12:00:00Z").await;
    stage.run_until_quiet().await;
    let foretold = done(&stage, "/migrate/batch/5", body).await;
    assert_eq!(
        foretold["perDay"],
        json!([{"day": "2026-03-01", "inSource": 40, "inLedger": 20, "new": 20}])
    );
    let estimate = &foretold["estimate"];
    assert_eq!(
        (&estimate["messages"], &estimate["objects"]),
        (&json!(20), &json!(4))
    );
    assert!(
        estimate["bytesStored"].as_u64().is_some_and(|bytes| bytes > 0),
        "{estimate}"
    );
    assert!(estimate["durationSeconds"].is_f64() && estimate["cost"]["total"].is_f64());
    assert_eq!(estimate["measured"]["messages"], 20);

    let counts = stage.look_at("/db/count").await;
    assert_eq!(
        (&counts["count"], &counts["messages"]["success"]),
        (&json!(20), &json!(20))
    );
    assert_eq!(stage.look_at("/db/pending-count").await["count"], 0);
    let exported = stage.look_at("/db/success-count").await;
    assert_eq!(
        (&exported["count"], &exported["batches"]),
        (&json!(20), &json!(2))
    );
    for path in ["/db/health", "/db/ping"] {
        assert_eq!(stage.look_at(path).await["status"], "up", "{path}");
    }
    let info = stage.look_at("/db/info").await;
    assert!(info["tables"].as_array().unwrap().len() > 10, "{info}");
    let status = stage.look_at("/db/status").await;
    assert_eq!(
        (&status["batches"]["success"], &status["schemaVersion"]),
        (&json!(2), &info["schemaVersion"])
    );
    stage.run_until_quiet().await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_are_exported_anew_for_a_reason_and_each_message_stays_there_once() {
    let (stage, messages) = archived("anew").await;
    let body = json!({"from": FROM, "to": TO, "reason": "the mapping was wrong", "dryRun": true});
    let foretold = done(&stage, "/migrate/reset-pending", body.clone()).await;
    assert_eq!(foretold["result"]["asked"], 4, "{foretold}");
    let generations = async || {
        let newest: u64 = stage
            .row("SELECT CAST(SUM(generation) AS UNSIGNED) FROM batch")
            .await;
        newest
    };
    assert_eq!(generations().await, 4);
    let mut body = body;
    body["dryRun"] = json!(false);
    let asked = done(&stage, "/migrate/reset-pending", body).await;
    assert_eq!(
        (&asked["result"]["asked"], &asked["result"]["messages"]),
        (&json!(4), &json!(40))
    );
    assert_eq!(generations().await, 8);
    assert_eq!(
        audited(&stage, "migrate.reset_pending").await,
        vec![Some("the mapping was wrong".to_owned()); 2]
    );
    stage.run_until_quiet().await;
    stage.reap().await;
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_named_and_one_that_nobody_owns_come_into_the_archive() {
    let (stage, mut messages) = archived("named").await;
    let late = Document::message("late", "2026-03-01T10:30:00Z");
    stage.index_messages(std::slice::from_ref(&late)).await;
    messages.push(late);
    let body = json!({"ids": ["late", "nowhere", messages[0].doc_id]});
    let named = done(&stage, "/migrate/bulk", body).await;
    assert_eq!(
        (&named["result"]["recorded"], &named["result"]["notFound"]),
        (&json!(1), &json!(["nowhere"])),
        "{named}"
    );
    assert_eq!(named["result"]["known"][0]["standing"], "on_record");
    stage.run_until_quiet().await;
    stage.assert_archived(&messages, FROM, TO).await;

    let more = Document::message("given up", "2026-03-01T11:30:00Z");
    stage.index_messages(std::slice::from_ref(&more)).await;
    messages.push(more);
    let migration = stage.backfill(FROM, TO).await;
    stage.harvest().await;
    let path = format!("/migrate/cancel/{migration}");
    let (status, foretold) = ask(&stage.operator, "POST", &path, &json!({"dryRun": true})).await;
    assert_eq!(
        (status, &foretold["released"]["messages"]),
        (200, &json!(1)),
        "{foretold}"
    );
    let (status, cancelled) = ask(&stage.operator, "DELETE", &path, &json!({"reason": "a test"})).await;
    assert_eq!((status, &cancelled["released"]["messages"]), (200, &json!(1)));
    let foretold = done(
        &stage,
        "/migrate/create-missing-migrations",
        json!({"dryRun": true}),
    )
    .await;
    assert_eq!(foretold["result"]["perDay"], json!({"2026-03-01": 1}));
    let adopted = done(&stage, "/migrate/create-missing-migrations", json!({})).await;
    assert_eq!(adopted["result"]["adopted"], 1, "{adopted}");
    stage.run_until_quiet().await;
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}
