//! Routes that change batches, migrations and windows: what each leaves in the ledger, and that asking twice is asking once.

use super::queue_desk::ask;
use crate::stage::{Document, EXPORTER_TIMEOUT, FunctionError, HARVESTER_TIMEOUT, Stage, request, sqs_event};
use granary_domain::MigrationId;
use serde_json::{Value, json};
use uuid::Uuid;

const FROM: &str = "2026-03-01T10:00:00Z";
const TO: &str = "2026-03-01T14:00:00Z";

/// Forty messages of four hours at the source.
async fn indexed(name: &str) -> (Stage, Vec<Document>) {
    let stage = Stage::with(name, &[("GRANARY_BATCH_SIZE", "10")]).await;
    let messages = Document::many(40, 10..14);
    stage.index_messages(&messages).await;
    (stage, messages)
}

/// The same in four batches, in the queue.
async fn handed_off(name: &str) -> (Stage, Vec<Document>, MigrationId) {
    let (stage, messages) = indexed(name).await;
    let migration = stage.backfill(FROM, TO).await;
    stage.harvest().await;
    (stage, messages, migration)
}

async fn answered(stage: &Stage, line: &str, body: Value, status: u64) -> Value {
    let (method, path) = line.split_once(' ').unwrap();
    let (answered, answer) = ask(&stage.operator, method, path, &body).await;
    assert_eq!(answered, status, "{line}: {answer}");
    answer
}

async fn count(stage: &Stage, what: &str) -> u64 {
    stage.row(&format!("SELECT COUNT(*) FROM {what}")).await
}

async fn reasons(stage: &Stage, action: &str) -> Vec<Option<String>> {
    let query = format!("SELECT reason FROM audit WHERE action = '{action}' ORDER BY id");
    stage.rows(&query).await
}

async fn state_of(stage: &Stage, migration: &str) -> (String, u32, u8) {
    let id: Uuid = migration.parse().unwrap();
    let query = format!(
        "SELECT state, batch_size, priority FROM migration WHERE id = UNHEX('{}')",
        id.simple()
    );
    stage.row(&query).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migration_is_asked_for_with_a_batch_size_watched_given_up_and_asked_for_as_a_whole() {
    let (stage, messages) = indexed("asked-for").await;
    let body = json!({"from": FROM, "to": TO, "priority": "6", "reason": "a test"});
    let asked = answered(&stage, "POST /migrate/batch/7", body, 202).await;
    let id = asked["migrationId"].as_str().unwrap();
    assert_eq!(state_of(&stage, id).await, ("open".into(), 7, 6));
    assert_eq!(
        reasons(&stage, "migrate.start").await,
        [Some("a test".to_owned())]
    );
    for (query, count) in [
        ("status=open&from=2026-03-01T13:00:00Z", 1),
        ("jobType=backfill&to=2026-03-01T10:00:00Z", 0),
        ("status=cancelled", 0),
    ] {
        let listed = stage.look_at(&format!("/migrate?{query}")).await;
        let backfills = listed["migrations"].as_array().unwrap();
        let backfills = backfills.iter().filter(|one| one["kind"] == "backfill");
        assert_eq!(backfills.count(), count, "{query}: {listed}");
    }
    stage.harvest().await;
    assert_eq!(stage.row::<u32>("SELECT MAX(message_count) FROM batch").await, 7);
    let jobs = stage
        .look_at(&format!("/migrate/jobs?parentJobId={id}&status=pending"))
        .await;
    assert_eq!(jobs["count"], count(&stage, "batch").await);
    assert_eq!(stage.look_at("/db/pending-count").await["count"], 40);
    let status = stage.look_at(asked["statusUrl"].as_str().unwrap()).await;
    assert_eq!(
        (
            &status["open"],
            &status["nothingOpen"],
            &status["pace"]["etaSeconds"]
        ),
        (&json!(40), &json!(false), &Value::Null)
    );

    let cancel = format!("DELETE /migrate/cancel/{id}");
    let cancelled = answered(&stage, &cancel, json!({}), 200).await;
    assert_eq!(cancelled["released"]["messages"], 40);
    assert_eq!(state_of(&stage, id).await.0, "cancelled");
    assert_eq!(
        count(&stage, "message_status WHERE status = 'released'").await,
        40
    );
    let again = answered(&stage, &cancel, json!({}), 200).await;
    assert_eq!(
        again["released"]["messages"], 0,
        "cancelled twice is cancelled once"
    );

    let everything = answered(&stage, "POST /migrate", json!({}), 202).await;
    assert_eq!(
        everything["range"]["from"], FROM,
        "from the hour of the first message on"
    );
    stage.run_until_quiet().await;
    stage.assert_archived(&messages, FROM, TO).await;
    assert_eq!(stage.look_at("/db/success-count").await["count"], 40);
    let id = everything["migrationId"].as_str().unwrap();
    let problem = answered(&stage, &format!("DELETE /migrate/cancel/{id}"), json!({}), 409).await;
    assert_eq!(
        problem["type"], "urn:granary:problem:not-possible",
        "it is completed"
    );
    stage.finish().await;
}

/// Who asked is on record before anything is done, with what was found; whoever asks once more is told to the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_that_dies_at_the_deed_has_written_down_who_wanted_it() {
    let (stage, messages, _) = handed_off("audit-first").await;
    for (path, body, step, action) in [
        (
            "complete-processing",
            json!({}),
            "reap_dead",
            "migrate.complete_processing",
        ),
        ("process-all", json!({}), "reap_dead", "migrate.process_all"),
        (
            "fix-stuck-jobs",
            json!({}),
            "drain_migrations",
            "migrate.fix_stuck_jobs",
        ),
        (
            "",
            json!({"filters": {"status": "processing"}}),
            "reap_dead",
            "migrate.by_status",
        ),
    ] {
        let path = format!("/migrate/{path}");
        let path = path.trim_end_matches('/');
        let fault = format!("{step}:before");
        let dying = stage.another("operator", &[(granary_steps::VARIABLE, &fault)]);
        let wish = body.to_string();
        let died = dying.invoke(request("POST", path, &wish), EXPORTER_TIMEOUT).await;
        assert!(matches!(died, Err(FunctionError::Exited(_))), "{path}: {died:?}");
        let entries = format!("/audit?action={action}");
        let begun = stage.look_at(&entries).await["entries"][0]["effect"].clone();
        assert!(
            begun["begun"].is_object() && begun["after"].is_null(),
            "{path}: {begun}"
        );
        answered(&stage, &format!("POST {path}"), body, 200).await;
        let done = stage.look_at(&entries).await["entries"][0]["effect"].clone();
        assert!(
            done["begun"].is_null() && done["after"].is_object(),
            "{path}: {done}"
        );
    }
    stage.run_until_quiet().await;
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_dead_worker_holds_is_taken_back_where_somebody_asks_and_by_name() {
    let (stage, messages, _) = handed_off("taken-back").await;
    let dying = stage.another("exporter", &[(granary_steps::VARIABLE, "claim_batch:after")]);
    let (queue, message) = stage.queues.receive().await.expect("a batch was sent");
    let died = dying
        .invoke(sqs_event(&[(queue, &message)]), EXPORTER_TIMEOUT)
        .await;
    assert!(matches!(died, Err(FunctionError::Exited(_))), "{died:?}");
    let route = "POST /migrate/complete-processing";
    let none = answered(&stage, route, json!({}), 200).await;
    assert_eq!(none["takenBack"], 0, "its lease isn't over: {none}");

    stage.let_leases_end().await;
    let held: u64 = stage
        .row("SELECT id FROM batch WHERE status = 'in_progress'")
        .await;
    let foretold = answered(&stage, route, json!({"dryRun": true}), 200).await;
    assert_eq!(
        (&foretold["found"], &foretold["takenBack"], &foretold["batches"]),
        (&json!(1), &json!(0), &json!([held]))
    );
    assert_eq!(count(&stage, "batch WHERE status = 'in_progress'").await, 1);
    let taken = answered(&stage, route, json!({"reason": "it was killed"}), 200).await;
    assert_eq!(
        (&taken["takenBack"], &taken["batches"], &taken["isComplete"]),
        (&json!(1), &json!([held]), &json!(true))
    );
    let failed: u64 = stage
        .row("SELECT id FROM batch WHERE status = 'failed' AND parked_at IS NULL AND holder IS NULL")
        .await;
    assert_eq!(failed, held);
    assert_eq!(
        reasons(&stage, "migrate.complete_processing").await,
        [None, Some("it was killed".to_owned())]
    );
    let shown = stage.look_at(&format!("/migrate/batch/{held}")).await;
    assert_eq!(shown["attempts"][0]["outcome"], "reaped");
    stage.queues.make_visible(queue, &message).await;
    stage.run_until_quiet().await;
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn windows_and_migrations_that_are_stuck_are_closed_where_somebody_asks() {
    let (stage, messages) = indexed("stuck").await;
    let route = "POST /migrate/fix-stuck-jobs";
    let migration = stage.backfill(FROM, TO).await;
    let dying = stage.another("harvester", &[(granary_steps::VARIABLE, "claim_window:after")]);
    let died = dying.invoke(json!({}), HARVESTER_TIMEOUT).await;
    assert!(matches!(died, Err(FunctionError::Exited(_))), "{died:?}");
    stage.let_leases_end().await;
    let held: u64 = stage
        .row("SELECT id FROM harvest_window WHERE state = 'harvesting'")
        .await;
    let foretold = answered(&stage, route, json!({"dryRun": true}), 200).await;
    assert_eq!(
        (&foretold["found"]["windows"], &foretold["windowsHandedBack"]),
        (&json!([held]), &json!(0))
    );
    assert_eq!(
        count(&stage, "harvest_window WHERE state = 'harvesting'").await,
        1
    );
    let fixed = answered(&stage, route, json!({"reason": "it was killed"}), 200).await;
    assert_eq!(
        (&fixed["windowsHandedBack"], &fixed["isComplete"]),
        (&json!(1), &json!(true))
    );
    assert_eq!(
        count(&stage, "harvest_window WHERE state = 'harvesting'").await,
        0
    );
    assert_eq!(
        reasons(&stage, "migrate.fix_stuck_jobs").await,
        [Some("it was killed".to_owned())]
    );

    // Everything is exported, and no tick has said so.
    stage.harvest().await;
    stage.export_all().await;
    stage
        .sql("UPDATE migration SET state = 'open' WHERE kind = 'backfill'")
        .await;
    let foretold = answered(&stage, route, json!({"dryRun": true}), 200).await;
    assert_eq!(foretold["found"]["toDrain"], json!([migration]), "{foretold}");
    let closed = answered(&stage, route, json!({}), 200).await;
    assert_eq!((&closed["drained"], &closed["completed"]), (&json!(1), &json!(1)));
    assert_eq!(state_of(&stage, &migration.to_string()).await.0, "completed");
    let again = answered(&stage, route, json!({}), 200).await;
    assert_eq!((&again["drained"], &again["completed"]), (&json!(0), &json!(0)));

    // A migration is cancelled, and nobody has released what it holds.
    let late = Document::message("late", "2026-03-01T12:30:00Z");
    stage.index_messages(std::slice::from_ref(&late)).await;
    let given_up = stage.backfill(FROM, TO).await;
    stage.harvest().await;
    assert!(stage.ledger.cancel_migration(given_up).await.unwrap());
    let foretold = answered(&stage, route, json!({"dryRun": true}), 200).await;
    assert_eq!(foretold["found"]["batchesToRelease"], 1, "{foretold}");
    let released = answered(&stage, route, json!({}), 200).await;
    assert_eq!(
        (&released["released"]["messages"], &released["isComplete"]),
        (&json!(1), &json!(true))
    );
    assert_eq!(count(&stage, "message_status WHERE status = 'released'").await, 1);
    let mut all = messages;
    all.push(late);
    stage.backfill(FROM, TO).await;
    stage.run_until_quiet().await;
    stage.assert_archived(&all, FROM, TO).await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_known_is_exported_anew_only_where_that_is_said() {
    let (stage, messages, _) = handed_off("known").await;
    stage.run_until_quiet().await;
    let id = &messages[0].doc_id;
    let left = answered(&stage, "POST /migrate/bulk", json!({"ids": [id]}), 200).await;
    assert_eq!(
        (
            &left["result"]["known"][0]["standing"],
            &left["result"]["reExport"]
        ),
        (&json!("on_record"), &Value::Null)
    );
    let body = json!({"ids": [id], "reexport": true, "dryRun": true});
    let foretold = answered(&stage, "POST /migrate/bulk", body, 200).await;
    assert_eq!(foretold["result"]["reExport"]["asked"], 1, "{foretold}");
    assert_eq!(count(&stage, "batch WHERE generation > 1").await, 0);
    let body = json!({"ids": [id], "reexport": "true", "reason": "it was wrong"});
    let asked = answered(&stage, "POST /migrate/bulk", body, 200).await;
    assert_eq!(asked["result"]["reExport"]["asked"], 1, "{asked}");
    assert_eq!(
        count(&stage, "batch WHERE generation = 2 AND status = 'pending'").await,
        1
    );
    assert_eq!(
        reasons(&stage, "migrate.bulk").await,
        [None, None, Some("it was wrong".to_owned())]
    );
    stage.run_until_quiet().await;
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}
