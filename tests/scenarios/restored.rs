//! A ledger that was restored from a backup or emptied loses nothing: no number is given out twice, nothing is deleted.

use super::sweep::{AT_ONCE, at_its_end};
use super::takeover::{deliver, exporter_behind, handed_off};
use super::tamper::{FROM, TO, archived, batch_of, id_of};
use crate::stage::{EXPORTER_TIMEOUT, FunctionError, Proxy, Stage, request};
use granary_domain::{BatchId, NumberMark};
use granary_verify::Verdict;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The tables that a backup of noon has otherwise than now.
const TABLES: [&str; 9] = [
    "message",
    "attempt",
    "batch",
    "harvest_window",
    "migration",
    "batch_number",
    "superseded_object",
    "alert",
    "control",
];

/// Copies the ledger, as a backup does.
async fn back_up(stage: &Stage) {
    for table in TABLES {
        stage
            .sql(&format!("CREATE TABLE backup_{table} LIKE {table}"))
            .await;
        stage
            .sql(&format!(
                "INSERT INTO backup_{table} ({columns}) SELECT {columns} FROM {table}",
                columns = columns(stage, table).await
            ))
            .await;
    }
}

async fn columns(stage: &Stage, table: &str) -> String {
    let columns: Vec<String> = stage
        .rows(&format!(
            "SELECT column_name FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = '{table}' \
             AND COALESCE(generation_expression, '') = '' ORDER BY ordinal_position"
        ))
        .await;
    columns.join(", ")
}

async fn restore(stage: &Stage) {
    for table in TABLES {
        stage.sql(&format!("DELETE FROM {table}")).await;
        stage
            .sql(&format!(
                "INSERT INTO {table} ({columns}) SELECT {columns} FROM backup_{table}",
                columns = columns(stage, table).await
            ))
            .await;
    }
}

async fn forget_backup(stage: &Stage) {
    for table in TABLES {
        stage.sql(&format!("DROP TABLE backup_{table}")).await;
    }
}

async fn delete_at_the_source(stage: &Stage, numbers: impl Iterator<Item = usize>) {
    for number in numbers {
        stage
            .indices
            .delete(&stage.indices.messages, &id_of(number))
            .await;
    }
    stage.indices.refresh(&stage.indices.messages).await;
}

async fn ids_in_the_bucket(stage: &Stage) -> BTreeSet<String> {
    let lines = stage.bucket.lines().await;
    lines.into_iter().map(|line| line.message_id).collect()
}

async fn mark_of(stage: &Stage) -> NumberMark {
    stage.bucket.archive.number_mark().await.unwrap().mark
}

async fn ask(stage: &Stage, path: &str, body: Value) -> Value {
    let event = request("POST", path, &body.to_string());
    stage.operator.invoke(event, EXPORTER_TIMEOUT).await.unwrap()
}

/// The ledger is behind the mark: that is told, and nothing is swept until an operator confirms it.
async fn assert_nothing_is_swept_before_a_confirmation(stage: &Stage) {
    stage.reap().await;
    let told: u32 = stage
        .row("SELECT COUNT(*) FROM alert WHERE kind = 'ledger_restored'")
        .await;
    assert_eq!(told, 1, "once");
    let shown = stage.look_at("/overview").await;
    assert!(
        shown["restored"]["text"]
            .as_str()
            .unwrap()
            .contains("restored from a backup"),
        "{shown}"
    );
    stage
        .sql("UPDATE migration SET created_at = created_at - INTERVAL 2 DAY")
        .await;
    assert_eq!(stage.reap().await["sweeps_asked"], 0);
    let before = stage.bucket.keys().await;
    let refused = at_its_end(stage, &ask(stage, "/sweep", json!({"apply": true})).await).await;
    assert_eq!(refused["state"], "failed", "{refused}");
    assert!(
        refused["error"].as_str().unwrap().contains("confirm-restored"),
        "{refused}"
    );
    assert_eq!(stage.bucket.keys().await, before);

    assert_eq!(
        ask(stage, "/sweep/confirm-restored", json!({})).await["statusCode"],
        400,
        "it needs a reason"
    );
    let confirmed = ask(
        stage,
        "/sweep/confirm-restored",
        json!({"reason": "the backup of noon"}),
    )
    .await;
    assert_eq!(confirmed["statusCode"], 200, "{confirmed}");
    assert_eq!(stage.look_at("/overview").await["restored"], Value::Null);
    let swept = at_its_end(stage, &ask(stage, "/sweep", json!({"apply": true})).await).await;
    assert_eq!(swept["state"], "succeeded", "{swept}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e13_a_ledger_restored_to_an_earlier_time_gives_no_number_out_again_and_loses_nothing() {
    let (stage, messages) = archived("restored", &[AT_ONCE]).await;
    stage.reap().await;
    let (_, kept) = batch_of(&stage, 10).await;
    // The backup is of an earlier time: it lacks the last hours.
    let later: u64 = stage
        .row("SELECT MIN(id) FROM batch WHERE HOUR(hour_start) >= 15")
        .await;
    let used: u64 = stage.row("SELECT MAX(id) FROM batch").await;
    assert_eq!(mark_of(&stage).await.used_to, BatchId(used));
    for statement in [
        format!("DELETE FROM message WHERE batch_id >= {later}"),
        format!("DELETE FROM attempt WHERE batch_id >= {later}"),
        format!("DELETE FROM batch WHERE id >= {later}"),
        "DELETE FROM harvest_window WHERE HOUR(range_from) >= 15".to_owned(),
        "UPDATE migration SET state = 'completed', range_to = '2026-03-01 15:00:00', harvested_to = '2026-03-01 15:00:00' WHERE kind = 'backfill'".to_owned(),
        format!("UPDATE batch_number SET next_number = {later}"),
    ] {
        stage.sql(&statement).await;
    }
    // Meanwhile the source deleted half of what the ledger no longer knows.
    delete_at_the_source(&stage, (50..100).filter(|number| number % 2 == 0)).await;
    let archived_before = ids_in_the_bucket(&stage).await;
    assert_eq!(archived_before.len(), messages.len());
    assert_nothing_is_swept_before_a_confirmation(&stage).await;

    // What is archived again has numbers of its own, so no key is met twice.
    stage.backfill("2026-03-01T15:00:00Z", TO).await;
    stage.run_until_quiet().await;
    let again: u64 = stage
        .row(&format!("SELECT MIN(id) FROM batch WHERE id >= {later}"))
        .await;
    assert!(again > used, "{again}, and {used} was given out before");
    let conflicts: u32 = stage
        .row("SELECT COUNT(*) FROM alert WHERE kind = 'archive_conflict'")
        .await;
    assert_eq!(conflicts, 0);
    let swept = at_its_end(
        &stage,
        &ask(&stage, "/sweep", json!({"apply": true, "includeUnknown": true})).await,
    )
    .await;
    assert_eq!(swept["result"]["orphans"]["count"], 0, "{swept}");
    assert_eq!(swept["result"]["unproven"]["count"], 5, "{swept}");
    assert_eq!(ids_in_the_bucket(&stage).await, archived_before);
    assert!(stage.bucket.keys().await.contains(&kept));

    // A person has what only the old objects hold put on record; then the old objects go, and nothing is lost.
    let unproven: Vec<String> = serde_json::from_value(swept["result"]["unproven"]["keys"].clone()).unwrap();
    for key in &unproven {
        let adopted = at_its_end(&stage, &ask(&stage, "/sweep/adopt", json!({"key": key})).await).await;
        assert_eq!(adopted["result"]["recorded"], 5, "{adopted}");
    }
    stage.run_until_quiet().await;
    let swept = at_its_end(
        &stage,
        &ask(&stage, "/sweep", json!({"apply": true, "includeUnknown": true})).await,
    )
    .await;
    assert_eq!(swept["result"]["orphans"]["count"], 5, "{swept}");
    assert_eq!(ids_in_the_bucket(&stage).await, archived_before);
    let report = stage.verify(FROM, TO).await;
    assert_eq!(
        (report.verdict, report.account.counts.drifted),
        (Verdict::Drifted, 25),
        "{report:#?}"
    );
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e13_a_warm_harvester_gives_no_number_out_again_though_the_backup_is_of_the_same_block() {
    let (stage, _) = archived("same-block", &[AT_ONCE]).await;
    back_up(&stage).await;
    stage
        .index_messages(&crate::stage::Document::many(20, 20..22))
        .await;
    stage.backfill(TO, "2026-03-01T22:00:00Z").await;
    stage.run_until_quiet().await;
    let used: u64 = stage.row("SELECT MAX(id) FROM batch").await;
    restore(&stage).await;
    forget_backup(&stage).await;
    // No tick of the reaper has compared the two yet.
    stage.backfill(TO, "2026-03-01T22:00:00Z").await;
    stage.harvest().await;
    let again: u64 = stage
        .row("SELECT MIN(id) FROM batch WHERE HOUR(hour_start) >= 20")
        .await;
    assert!(again > used, "{again}, and {used} was used");
    assert!(stage.ledger.restored().await.unwrap().is_some());
    stage.run_until_quiet().await;
    ask(&stage, "/sweep/confirm-restored", json!({"reason": "a test"})).await;
    let swept = at_its_end(
        &stage,
        &ask(&stage, "/sweep", json!({"apply": true, "includeUnknown": true})).await,
    )
    .await;
    assert_eq!(
        swept["result"]["orphans"]["count"], 2,
        "the same messages, under their old numbers: {swept}"
    );
    assert_eq!(
        stage.verify(FROM, "2026-03-01T22:00:00Z").await.verdict,
        Verdict::Complete
    );
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e13_an_emptied_ledger_sweeps_nothing_and_numbers_above_everything_that_was() {
    let (mut stage, messages) = archived("emptied", &[AT_ONCE]).await;
    stage.reap().await;
    let before = mark_of(&stage).await;
    for table in TABLES.iter().filter(|table| **table != "control") {
        stage.sql(&format!("DELETE FROM {table}")).await;
    }
    delete_at_the_source(&stage, 0..50).await;
    let archived_before = ids_in_the_bucket(&stage).await;
    // Functions start anew over the empty ledger.
    stage.tell(&[]);
    stage.backfill(FROM, TO).await;
    stage.harvest().await;
    let first: u64 = stage.row("SELECT MIN(id) FROM batch").await;
    assert!(first > before.reserved_to.0, "{first} after {before:?}");
    stage.run_until_quiet().await;
    assert_nothing_is_swept_before_a_confirmation(&stage).await;
    assert_eq!(ids_in_the_bucket(&stage).await, archived_before);
    assert_eq!(archived_before.len(), messages.len());
    stage.finish_broken().await;
}

/// The deployment's compression is changed between a dead worker's PUT and the next attempt.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e13_an_earlier_object_is_found_though_the_compression_was_changed_since() {
    let (mut stage, messages) = handed_off("other-form", 1, &[AT_ONCE]).await;
    let to_s3 = Proxy::before(stage.setting("AWS_ENDPOINT_URL")).await;
    let worker = exporter_behind(&stage, &to_s3, "AWS_ENDPOINT_URL").await;
    to_s3.stall_answers_after(0);
    let (response, ()) = tokio::join!(deliver(&stage, &worker, EXPORTER_TIMEOUT), async {
        to_s3.until_asked().await;
        stage.bucket.until_it_has(1).await;
        worker.kill().await;
    });
    assert!(matches!(response, Err(FunctionError::Exited(_))), "{response:?}");
    let written = stage.bucket.objects().await;
    // One of its messages is gone when the batch is tried again.
    let id: String = stage
        .row("SELECT message_id FROM message ORDER BY message_id LIMIT 1")
        .await;
    stage.indices.delete(&stage.indices.messages, &id).await;
    stage.indices.refresh(&stage.indices.messages).await;
    stage.tell(&[("GRANARY_COMPRESSION", "gzip")]);
    stage.let_leases_end().await;
    stage.run_until_quiet().await;
    assert_eq!(
        stage.bucket.objects().await,
        written,
        "it was adopted, in its own form"
    );
    let settled: (String, u32) = stage.row("SELECT object_key, exported FROM batch").await;
    assert_eq!(settled, (written[0].as_str().to_owned(), messages.len() as u32));
    stage.finish().await;
}
