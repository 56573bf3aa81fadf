//! Exceptions are visible and reversible: people are told of a batch that ends without some of its messages, and these get
//! a batch of their own, whatever became of their neighbours at the source.

use crate::stage::{CANARY, Document, REAPER_TIMEOUT, Stage, request};
use granary_verify::Verdict;
use serde_json::{Value, json};

const FROM: &str = "2026-03-01T10:00:00Z";
const TO: &str = "2026-03-01T12:00:00Z";
const CREATED_AT: &str = "2026-03-01T10:30:00Z";

async fn retry(stage: &Stage, body: Value) -> Value {
    let event = request("POST", "/migrate/retry-failed", &body.to_string());
    let answer = stage.operator.invoke(event, REAPER_TIMEOUT).await.unwrap();
    assert_eq!(answer["statusCode"], 200, "{answer}");
    serde_json::from_str(answer["body"].as_str().unwrap()).unwrap()
}

async fn delete(stage: &Stage, messages: &[Document]) {
    for message in messages {
        stage
            .indices
            .delete(&stage.indices.messages, &message.doc_id)
            .await;
    }
}

async fn batches(stage: &Stage) -> u64 {
    stage.row("SELECT COUNT(*) FROM batch").await
}

/// What people are told of exceptions since the last call.
async fn told(stage: &Stage) -> Vec<String> {
    stage.reap().await;
    let mut told = stage.queues.told().await;
    told.retain(|text| text.contains("is completed without"));
    told
}

/// Elasticsearch takes a comment for JSON.
fn not_json(id: &str) -> Document {
    Document::raw(
        id,
        format!(r#"{{"message_id":"{id}","created_at":"{CREATED_AT}","text":/* {CANARY} */1}}"#),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e8_a_quarantined_message_that_was_mended_is_exported_though_its_neighbours_are_gone() {
    let stage = Stage::new("recall-quarantined").await;
    let mut messages = Document::many(9, 10..11);
    messages.push(not_json("odd"));
    stage.index_messages(&messages).await;
    stage.backfill(FROM, TO).await;
    stage.run_until_quiet().await;
    let told_once = told(&stage).await;
    assert!(
        told_once.len() == 1
            && told_once[0].contains("without 1 of them: 0 missing, 1 quarantined")
            && told_once[0].contains("granary failures retry --cause quarantined"),
        "{told_once:?}"
    );
    assert_eq!(
        stage.look_at("/queue/stats").await["exceptions"]["quarantined"],
        1
    );
    assert_eq!(
        stage.look_at("/failures").await["failures"][0]["cause"],
        "quarantined"
    );

    let mended = Document::message("odd", CREATED_AT);
    stage.index_messages(std::slice::from_ref(&mended)).await;
    delete(&stage, &messages[..9]).await;
    let dry = retry(&stage, json!({"cause": "quarantined", "dryRun": true})).await;
    assert_eq!(
        (&dry["exceptions"]["quarantined"], &dry["exceptions"]["recalled"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(batches(&stage).await, 1, "a dry run changes nothing");
    let body = json!({"cause": "quarantined", "reason": "it is mended"});
    for recalled in [1, 0] {
        let retried = retry(&stage, body.clone()).await;
        assert_eq!(retried["exceptions"]["recalled"], recalled, "{retried}");
    }
    let why: Vec<(String, String)> = stage
        .rows("SELECT who, reason FROM audit WHERE action = 'exceptions.recall'")
        .await;
    assert_eq!(why, [("operator".to_owned(), "it is mended".to_owned())]);
    stage.run_until_quiet().await;
    assert_eq!(batches(&stage).await, 2);
    let lines = stage.bucket.lines().await;
    assert_eq!(
        lines.len(),
        10,
        "what was archived stays, and the mended one is with it"
    );
    assert_eq!(
        stage.verify(FROM, TO).await.verdict,
        Verdict::Drifted,
        "nothing is missing"
    );
    assert_eq!(
        stage.look_at("/queue/stats").await["exceptions"]["quarantined"],
        0
    );
    stage.finish().await;
}

/// E1: a message that is really gone ends as missing again, and makes one batch of its own, however often it is retried.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e1_a_missing_message_that_is_retried_while_it_is_gone_ends_as_missing_again() {
    let stage = Stage::new("recall-missing").await;
    let messages = Document::many(20, 10..12);
    stage.index_messages(&messages).await;
    stage.backfill(FROM, TO).await;
    stage.harvest().await;
    let (gone, rest) = messages.split_at(1);
    delete(&stage, gone).await;
    stage.run_until_quiet().await;
    for occurrence in 1..=3 {
        let sent = usize::from(occurrence == 1);
        assert_eq!(told(&stage).await.len(), sent, "one alert for the storm");
        let counted = "SELECT occurrences FROM alert WHERE kind = 'exceptions' AND over_at IS NULL";
        assert_eq!(stage.row::<u32>(counted).await, occurrence, "each end is counted");
        assert_eq!(retry(&stage, json!({})).await["exceptions"]["recalled"], 1);
        stage.run_until_quiet().await;
        assert_eq!(batches(&stage).await, 3, "two hours, and its own");
    }
    assert_eq!(
        stage.look_at("/queue/stats").await["exceptions"],
        json!({"missing": 1, "quarantined": 0})
    );
    stage.reap().await;
    stage.assert_archived(rest, FROM, TO).await;

    stage.index_messages(gone).await;
    assert_eq!(
        retry(&stage, json!({"cause": "missing"})).await["exceptions"]["recalled"],
        1
    );
    stage.run_until_quiet().await;
    stage.reap().await;
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}

/// Unlisted: messages that are named by their ids went the way of a whole re-export, which a gone neighbour forbids.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e1_a_missing_message_that_is_named_by_its_id_is_exported_though_its_neighbours_are_gone() {
    let stage = Stage::new("recall-named").await;
    let messages = Document::many(10, 10..11);
    stage.index_messages(&messages).await;
    stage.backfill(FROM, TO).await;
    stage.harvest().await;
    let (gone, rest) = messages.split_at(1);
    delete(&stage, gone).await;
    stage.run_until_quiet().await;
    delete(&stage, rest).await;
    stage.index_messages(gone).await;
    let body = json!({"ids": [gone[0].doc_id], "reExport": true, "reason": "it is back"});
    let event = request("POST", "/migrate/bulk", &body.to_string());
    let answer = stage.operator.invoke(event, REAPER_TIMEOUT).await.unwrap();
    let named: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
    assert_eq!(named["result"]["reExport"]["asked"], 1, "{named}");
    stage.run_until_quiet().await;
    stage.assert_each_once(&messages).await;
    stage.finish().await;
}

/// Unlisted: a message that was in hand when its worker died is quarantined, though nothing is wrong with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e8_a_message_that_was_set_aside_with_its_worker_is_exported_by_a_repair_though_its_neighbours_are_gone()
 {
    let stage = Stage::new("recall-suspect").await;
    let messages = Document::many(10, 10..11);
    stage.index_messages(&messages).await;
    stage.backfill(FROM, TO).await;
    stage.harvest().await;
    let dying = stage.another("exporter", &[(granary_steps::VARIABLE, "name_suspect:after")]);
    let blind = stage.blind_ledger().await;
    let failing = stage.another("exporter", &[("GRANARY_LEDGER_URL", &blind)]);
    for _ in 0..2 {
        stage.export_all_by(&failing).await;
        stage.let_delays_end().await;
        stage.reap().await;
    }
    assert_eq!(stage.export_all_by(&dying).await.errors.len(), 1);
    stage.let_leases_end().await;
    stage.run_until_quiet().await;
    let aside: Vec<String> = stage
        .rows("SELECT CONVERT(message_id USING utf8mb4) FROM message WHERE outcome = 'quarantined'")
        .await;
    assert_eq!(aside.len(), 1, "{aside:?}");
    let (_, others): (Vec<Document>, Vec<Document>) = messages
        .iter()
        .cloned()
        .partition(|message| message.doc_id == aside[0]);
    delete(&stage, &others).await;
    let event = request(
        "POST",
        "/verify",
        &json!({"from": FROM, "to": TO, "repair": true}).to_string(),
    );
    let answer = stage.operator.invoke(event, REAPER_TIMEOUT).await.unwrap();
    assert!(
        answer["statusCode"].as_u64().is_some_and(|status| status < 300),
        "{answer}"
    );
    stage.reap().await;
    stage.run_until_quiet().await;
    stage.assert_each_once(&messages).await;
    stage.finish().await;
}

/// A storm is one message for each cause, as for parked batches.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e1_many_batches_that_end_with_exceptions_are_told_in_one_message() {
    let stage = Stage::with("recall-storm", &[("GRANARY_BATCH_SIZE", "2")]).await;
    let messages = Document::many(60, 10..11);
    stage.index_messages(&messages).await;
    stage.backfill(FROM, TO).await;
    stage.harvest().await;
    let gone: Vec<Document> = messages.iter().step_by(2).cloned().collect();
    delete(&stage, &gone).await;
    stage.export_all().await;
    let told = told(&stage).await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].contains("30 batches completed without some messages: missing"),
        "{}",
        told[0]
    );
    stage.run_until_quiet().await;
    stage.index_messages(&gone).await;
    let report = stage.verify(FROM, TO).await;
    assert_eq!(report.verdict, Verdict::Incomplete);
    stage.finish().await;
}
