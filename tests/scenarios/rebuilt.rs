//! A lost ledger is rebuilt from the archive: nothing is exported twice, and a verification says COMPLETE.

use super::sweep::at_its_end;
use crate::stage::{Document, EXPORTER_TIMEOUT, Stage, request};
#[cfg(feature = "full")]
use crate::stage::{FunctionError, REAPER_TIMEOUT, sqs_event};
use granary_verify::Verdict;
use serde_json::{Value, json};

const FROM: &str = "2026-03-01T10:00:00Z";
const TO: &str = "2026-03-01T20:00:00Z";
const REASON: &str = "the database is lost";
#[cfg(feature = "full")]
const EXPORTED: u64 = 60;

async fn ask(stage: &Stage, path: &str, body: Value) -> Value {
    let event = request("POST", path, &body.to_string());
    stage.operator.invoke(event, EXPORTER_TIMEOUT).await.unwrap()
}

/// Has the ledger rebuilt; the report.
async fn rebuilt(stage: &Stage) -> Value {
    let asked = ask(stage, "/ledger/rebuild", json!({"reason": REASON})).await;
    let over = at_its_end(stage, &asked).await;
    assert_eq!(over["state"], "succeeded", "{over}");
    over["result"].clone()
}

/// No message has two objects on record, and none is in two objects of the bucket.
async fn assert_archived_once(stage: &Stage, messages: &[Document]) {
    stage.assert_archived(messages, FROM, TO).await;
    let owned: u64 = stage
        .row("SELECT COUNT(*) FROM message m JOIN batch b ON b.id = m.batch_id WHERE b.status = 'completed'")
        .await;
    assert_eq!(owned, messages.len() as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d6_a_lost_ledger_is_rebuilt_from_the_archive_and_nothing_is_exported_twice() {
    let stage = Stage::with("rebuilt", &[("GRANARY_BATCH_SIZE", "10")]).await;
    let messages = Document::many(100, 10..14);
    stage.index_messages(&messages).await;
    stage.backfill(FROM, TO).await;
    stage.run_until_quiet().await;
    stage.reap().await;
    let before: Vec<(u64, u32, String)> = stage
        .rows("SELECT id, generation, object_key FROM batch ORDER BY id")
        .await;
    let keys = stage.bucket.keys().await;
    stage.lose_the_database().await;

    let foretold = at_its_end(
        &stage,
        &ask(&stage, "/ledger/rebuild", json!({"dryRun": true})).await,
    )
    .await;
    let foretold = &foretold["result"];
    assert_eq!(
        (&foretold["batches"], &foretold["messages"], &foretold["obstacle"]),
        (&json!(before.len()), &json!(messages.len()), &Value::Null),
        "{foretold}"
    );
    assert_eq!(stage.row::<u64>("SELECT COUNT(*) FROM batch").await, 0);

    let report = rebuilt(&stage).await;
    for (field, count) in [
        ("batches", before.len()),
        ("messages", messages.len()),
        ("contradicting", 0),
        ("leftOut", 0),
        ("timesOfHour", 0),
    ] {
        assert_eq!(report[field], json!(count), "{field}: {report}");
    }
    let after: Vec<(u64, u32, String)> = stage
        .rows("SELECT id, generation, object_key FROM batch ORDER BY id")
        .await;
    assert_eq!(after, before, "every batch has its number and its object");
    assert_eq!(stage.verify(FROM, TO).await.verdict, Verdict::Complete);
    assert_eq!(
        rebuilt(&stage).await["batches"],
        report["batches"],
        "twice is once"
    );

    stage.resume_after_a_rebuild(FROM, TO).await;
    stage.run_until_quiet().await;
    let elsewhere: u64 = stage
        .row(
            "SELECT CAST(SUM(w.owned_elsewhere) AS UNSIGNED) FROM harvest_window w \
             JOIN migration m ON m.id = w.migration_id WHERE m.kind = 'backfill'",
        )
        .await;
    assert_eq!(
        elsewhere,
        messages.len() as u64,
        "the harvest finds all of them known"
    );
    assert_eq!(stage.bucket.keys().await, keys, "nothing was written");
    assert_archived_once(&stage, &messages).await;

    let late = Document::message("late", "2026-03-01T10:30:00Z");
    stage.index_messages(std::slice::from_ref(&late)).await;
    stage.backfill(FROM, TO).await;
    stage.run_until_quiet().await;
    let newest: u64 = stage.row("SELECT MAX(id) FROM batch").await;
    assert!(before.iter().all(|(id, ..)| newest > *id), "{newest}: {before:?}");
    let refused = ask(&stage, "/ledger/rebuild", json!({"reason": REASON})).await;
    assert_eq!(refused["statusCode"], 409, "it is in use: {refused}");
    ask(&stage, "/sweep/confirm-restored", json!({"reason": REASON})).await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d6_a_rebuild_is_refused_while_harvest_or_export_may_work_beside_it() {
    let stage = Stage::new("rebuild-refused").await;
    let wanted = json!({"reason": REASON});
    for (paused, missing) in [
        (None, "harvest"),
        (Some(granary_ledger::settings::Stage::Harvest), "export"),
    ] {
        if let Some(paused) = paused {
            stage.ledger.pause(paused, "test").await.unwrap();
        }
        let refused = ask(&stage, "/ledger/rebuild", wanted.clone()).await;
        assert_eq!(refused["statusCode"], 409, "{refused}");
        assert!(
            refused
                .to_string()
                .contains(&format!("the {missing} is not paused")),
            "{refused}"
        );
    }
    stage
        .ledger
        .pause(granary_ledger::settings::Stage::Export, "test")
        .await
        .unwrap();
    assert_eq!(rebuilt(&stage).await["batches"], 0, "the archive is empty");
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d6_what_contradicts_itself_in_the_archive_is_named_and_not_put_on_record() {
    let stage = Stage::with("rebuild-contradictions", &[("GRANARY_BATCH_SIZE", "10")]).await;
    let messages = Document::many(40, 10..14);
    stage.index_messages(&messages).await;
    stage.backfill(FROM, TO).await;
    stage.run_until_quiet().await;
    let objects = stage.bucket.objects().await;
    let manifests: Vec<String> = stage
        .bucket
        .keys()
        .await
        .into_iter()
        .filter(|key| key.contains("/_manifests/"))
        .collect();
    assert_eq!((objects.len(), manifests.len()), (4, 4));
    // An object without its manifest, a manifest without its object, and one that is another object's bytes.
    let name_of = |object: &granary_domain::ObjectKey| {
        let (batch, generation) = object.batch().unwrap();
        format!("/batch-{batch}-g{generation}.json")
    };
    let of_first = name_of(&objects[0]);
    let manifest = manifests.iter().find(|key| key.ends_with(&of_first)).unwrap();
    stage.bucket.delete(manifest).await;
    stage.bucket.delete(objects[1].as_str()).await;
    let other = stage.bucket.body(objects[3].as_str()).await;
    stage.bucket.delete(objects[2].as_str()).await;
    stage.bucket.put(objects[2].as_str(), other).await;
    stage.lose_the_database().await;

    let report = rebuilt(&stage).await;
    assert_eq!(
        (
            &report["batches"],
            &report["contradicting"],
            &report["withoutBatch"]["count"]
        ),
        (&json!(1), &json!(2), &json!(2)),
        "{report}"
    );
    let named = report["contradictions"].to_string();
    assert!(
        named.contains("is not there") && named.contains("has another"),
        "{named}"
    );

    // The source has all of them: they are harvested and exported again.
    stage.resume_after_a_rebuild(FROM, TO).await;
    stage.run_until_quiet().await;
    assert_eq!(stage.verify(FROM, TO).await.verdict, Verdict::Complete);
    let twice: u64 = stage
        .row("SELECT COUNT(*) - COUNT(DISTINCT message_id) FROM message")
        .await;
    assert_eq!(twice, 0);
    stage.finish_broken().await;
}

/// The drill of the runbook: the database is dropped in mid-run, the rebuild is killed in mid-run, and everything is archived
/// once.
#[cfg(feature = "full")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d6_a_database_that_is_dropped_in_mid_run_is_rebuilt_though_the_reaper_is_killed_meanwhile() {
    let stage = Stage::with("rebuild-drill", &[("GRANARY_BATCH_SIZE", "10")]).await;
    let messages = Document::many(2_000, 10..15);
    stage.index_messages(&messages).await;
    stage.backfill(FROM, TO).await;
    stage.harvest().await;
    for _ in 0..EXPORTED {
        stage.export_one().await;
    }
    // An exporter dies between an object's manifest and its settlement.
    let dying = stage.another("exporter", &[(granary_steps::VARIABLE, "settle_batch:before")]);
    let (queue, message) = stage.queues.receive().await.expect("a batch was sent");
    let died = dying
        .invoke(sqs_event(&[(queue, &message)]), EXPORTER_TIMEOUT)
        .await;
    assert!(matches!(died, Err(FunctionError::Exited(_))), "{died:?}");
    stage.queues.make_visible(queue, &message).await;
    stage.reap().await;
    let in_bucket = stage.bucket.objects().await.len() as u64;
    assert_eq!(in_bucket, EXPORTED + 1);
    let open: u64 = stage
        .row("SELECT COUNT(*) FROM batch WHERE status <> 'completed'")
        .await;
    assert!(open > 100, "{open} are still to be exported");

    stage.lose_the_database().await;
    let id = uuid::Uuid::now_v7();
    let arguments = json!({"dryRun": false, "batchSize": 10, "reason": REASON, "requestedBy": "test"});
    stage
        .ledger
        .make_operation(&granary_ledger::jobs::NewOperation {
            id,
            kind: "rebuild".into(),
            arguments,
            requested_by: "test".into(),
        })
        .await
        .unwrap();
    let killed = stage.another("reaper", &[(granary_steps::VARIABLE, "rebuild_batch:after:10")]);
    let tick = serde_json::from_str(include_str!("../../events/reaper.tick.json")).unwrap();
    let died = killed.invoke(tick, REAPER_TIMEOUT).await;
    assert!(matches!(died, Err(FunctionError::Exited(_))), "{died:?}");
    let so_far: u64 = stage.row("SELECT COUNT(*) FROM batch").await;
    assert!(so_far > 0 && so_far < in_bucket, "{so_far} of {in_bucket}");
    stage.rebuild_to_its_end().await;
    let on_record: u64 = stage.row("SELECT COUNT(*) FROM batch").await;
    assert_eq!(
        on_record, in_bucket,
        "also the one that was not settled: its manifest is there"
    );

    stage.resume_after_a_rebuild(FROM, TO).await;
    // What was sent for the lost ledger is in the queue still.
    stage.run_until_quiet().await;
    assert_archived_once(&stage, &messages).await;
    ask(&stage, "/sweep/confirm-restored", json!({"reason": REASON})).await;
    stage.finish().await;
}
