//! Nothing is given up without proof: what looks like lost messages and isn't, made by the real services, and what is.

use super::careful::{FROM, TO, attempt, harvest, harvested, quarantined, watched};
use super::faithful::exported;
use crate::stage::{Asked, Document, Fault, Function, HttpProxy, Said, Stage};
use granary_domain::BatchStatus;
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const AT: &str = "2026-03-01T10:30:00Z";
const NOBODY: [&str; 0] = [];
/// More than any caller's patience.
const FOR_EVER: u64 = 1_000_000;

/// Status, attempts and cause of the one batch.
async fn state(stage: &Stage) -> (String, u32, String) {
    stage
        .row("SELECT status, attempts, COALESCE(error_code, '') FROM batch")
        .await
}

fn waiting(cause: &str) -> (String, u32, String) {
    ("pending".to_owned(), 0, cause.to_owned())
}

/// What two ticks of the reaper tell: one alert with all of these, in the first. Another bucket is another deployment's to the reaper
/// of the stage; that alert isn't counted.
async fn assert_told_at_once(stage: &Stage, parts: &[&str]) {
    stage.reap().await;
    stage.reap().await;
    let mut told = stage.queues.told().await;
    told.retain(|text| !text.contains("(ledger_identity"));
    assert_eq!(told.len(), 1, "{told:?}");
    for part in parts {
        assert!(told[0].contains(part), "{part:?} is not in {}", told[0]);
    }
}

/// After the fault everything is archived, without an attempt, and the alert is resolved.
async fn assert_heals(stage: &Stage, messages: &[Document]) {
    stage.let_delays_end().await;
    stage.run_until_quiet().await;
    stage.reap().await;
    let told = stage.queues.told().await;
    assert!(
        told.iter()
            .all(|told| told.contains("nothing waits for this any more"))
            && told.len() == 1,
        "{told:?}"
    );
    assert_eq!(quarantined(stage).await, BTreeMap::new());
    let counted: u64 = stage
        .row("SELECT COUNT(*) FROM attempt WHERE outcome NOT IN ('deferred', 'completed')")
        .await;
    assert_eq!(counted, 0);
    stage.assert_archived(messages, FROM, TO).await;
}

/// Field case 5, A2: a block is index-wide, whatever number of messages it refuses. An index that is closed is the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e8_a2_a_block_or_a_closed_index_costs_neither_messages_nor_attempts_and_is_told_at_once() {
    let (stage, messages) = harvested("blocked").await;
    let index = stage.indices.messages.clone();
    let block = |value| json!({"index.blocks.read": value}).to_string();
    let settings = [index.as_str(), "_settings"];
    stage
        .indices
        .ask(Method::PUT, &settings, block(json!(true)))
        .await;
    for _ in 0..6 {
        attempt(&stage, stage.exporter(0)).await;
        assert_eq!(state(&stage).await, waiting("source_refused"));
    }
    assert_eq!(stage.bucket.keys().await, NOBODY);
    let parts = [
        "source_refused",
        "index read (api)",
        "Remove the block",
        "no attempt is used up",
    ];
    assert_told_at_once(&stage, &parts).await;
    stage
        .indices
        .ask(Method::PUT, &settings, block(json!(null)))
        .await;

    stage.indices.ask(Method::POST, &[&index, "_close"], "").await;
    attempt(&stage, stage.exporter(0)).await;
    assert_eq!(state(&stage).await, waiting("source_refused"));
    stage.indices.ask(Method::POST, &[&index, "_open"], "").await;
    stage
        .indices
        .ask(Method::GET, &["_cluster", "health", &index], "")
        .await;
    assert_heals(&stage, &messages).await;
    stage.finish().await;
}

/// Field case 19: while a single copy moves, a node says that it doesn't know the index. As Elasticsearch words it.
fn moves_away(answer: &mut Value) {
    for item in answer["docs"].as_array_mut().unwrap() {
        let absent = json!({"type": "index_not_found_exception", "reason": "no such index [m]"});
        let (index, id) = (item["_index"].clone(), item["_id"].clone());
        let error = json!({"root_cause": [absent], "type": "no_shard_available_action_exception",
            "reason": "No shard available", "caused_by": absent});
        *item = json!({"_index": index, "_id": id, "error": error});
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e1_an_index_that_a_node_does_not_know_while_its_shard_moves_is_not_gone() {
    let (stage, messages) = harvested("moving").await;
    let (network, exporter) = watched(&stage).await;
    network.inject(Fault::Edit(moves_away), FOR_EVER, is_mget);
    attempt(&stage, &exporter).await;
    assert_eq!(state(&stage).await, waiting("source_unavailable"));
    network.restore();
    stage.let_delays_end().await;
    stage.run_until_quiet().await;
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}

fn is_mget(asked: &Asked) -> bool {
    asked.path.contains("_mget")
}

/// The index is deleted and restored within a quarter of an hour: nothing is missing, and an alert was sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e1_e15_an_index_that_comes_back_has_lost_nothing() {
    let mut stage = Stage::new("restored").await;
    let pattern = format!("{}*", stage.indices.messages);
    stage.tell(&[("GRANARY_SOURCE_INDEX", &pattern)]);
    let other = stage.indices.more_messages.clone();
    stage.indices.create(&other, stage.indices.mapping()).await;
    let messages = Document::many(30, 10..11);
    harvest(&stage, &messages).await;
    let index = stage.indices.messages.clone();
    stage.indices.delete_index(&index).await;
    stage.export_all().await;
    assert_eq!(state(&stage).await, waiting("mostly_missing"));
    let delay: i64 = stage
        .row("SELECT TIMESTAMPDIFF(SECOND, UTC_TIMESTAMP(6), not_before) FROM batch")
        .await;
    assert!((880..=900).contains(&delay), "{delay}");
    assert_told_at_once(
        &stage,
        &[
            "mostly_missing",
            "30 of 30 messages are missing",
            "index was deleted",
        ],
    )
    .await;
    stage.indices.create(&index, stage.indices.mapping()).await;
    stage.index_messages(&messages).await;
    assert_heals(&stage, &messages).await;
    stage.finish().await;
}

/// No index is left that a search could ask: a wrong cluster, or one that is being restored, looks the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e1_a_source_without_any_index_gives_no_message_up_however_long_it_lasts() {
    let (stage, messages) = harvested("emptied").await;
    let index = stage.indices.messages.clone();
    stage.indices.delete_index(&index).await;
    for _ in 0..3 {
        attempt(&stage, stage.exporter(0)).await;
        assert_eq!(state(&stage).await, waiting("source_refused"));
    }
    let parts = [
        "source_refused",
        "its index was deleted",
        "GRANARY_SOURCE_INDEX matches no index",
        "create an empty index under that name",
    ];
    assert_told_at_once(&stage, &parts).await;
    stage.indices.create(&index, stage.indices.mapping()).await;
    stage.index_messages(&messages).await;
    assert_heals(&stage, &messages).await;
    stage.finish().await;
}

/// A rename: the index is gone, its messages lie in another one that the source's name stands for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e1_messages_that_were_moved_to_another_index_are_exported_from_there() {
    let mut stage = Stage::new("renamed").await;
    let pattern = format!("{}*", stage.indices.messages);
    stage.tell(&[("GRANARY_SOURCE_INDEX", &pattern)]);
    let messages = Document::many(30, 10..11);
    harvest(&stage, &messages).await;
    let (old, new) = (
        stage.indices.messages.clone(),
        stage.indices.more_messages.clone(),
    );
    stage.indices.create(&new, stage.indices.mapping()).await;
    stage.indices.write(&new, &messages).await;
    stage.indices.delete_index(&old).await;
    stage.run_until_quiet().await;
    let missing: u64 = stage
        .row("SELECT CAST(SUM(missing) AS UNSIGNED) FROM batch")
        .await;
    assert_eq!((missing, stage.batches(BatchStatus::Completed).await), (0, 1));
    stage.assert_each_once(&messages).await;
    stage.indices.create(&old, stage.indices.mapping()).await;
    stage.finish().await;
}

/// Field case 58: an index of slots, in which each message takes the place of the one before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e4_a_message_whose_doc_id_belongs_to_another_one_by_now_is_replaced_and_not_exported_as_it() {
    let stage = Stage::new("replaced").await;
    let slot = |id: &str| json!({"message_id": id, "created_at": AT, "reply_to": "A"}).to_string();
    let others = Document::many(10, 10..11);
    let mut first = others.clone();
    first.push(Document::raw("slot", slot("A")));
    harvest(&stage, &first).await;
    stage.index_messages(&[Document::raw("slot", slot("B"))]).await;
    stage.run_until_quiet().await;
    let (outcome, reason): (String, String) = stage
        .row("SELECT outcome, reason FROM message WHERE message_id = 'A'")
        .await;
    assert_eq!(outcome, "missing");
    assert!(reason.starts_with("replaced at the source"), "{reason}");
    stage.backfill(FROM, TO).await;
    stage.run_until_quiet().await;
    let lines = exported(&stage).await;
    assert!(lines.contains_key("B") && !lines.contains_key("A"), "{lines:?}");
    assert_eq!(lines.len(), others.len() + 1);
    stage.finish().await;
}

/// Field case 20: the keys of a metadata index are numbers, and the ids of some messages aren't.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e5_e8_ids_that_a_metadata_index_of_numbers_can_not_hold_have_no_metadata_and_are_archived() {
    let stage = Stage::new("numbers").await;
    let ids = ["7", "msg-8", "99999999999999999999"];
    let messages = ids.map(|id| Document::message(id, AT));
    harvest(&stage, &messages).await;
    let numbers = stage.indices.more_messages.clone();
    let mapping = json!({"mappings": {"properties": {"number": {"type": "long"}}}});
    stage.indices.create(&numbers, mapping).await;
    stage
        .indices
        .write(&numbers, &[Document::raw("s", r#"{"number":7}"#.to_owned())])
        .await;
    let metadata = json!([{"name": "numbers", "index": numbers, "key": "number", "many": true}]).to_string();
    let exporter = stage.another("exporter", &[("GRANARY_METADATA_SOURCES", &metadata)]);
    attempt(&stage, &exporter).await;
    assert_eq!(stage.batches(BatchStatus::Completed).await, 1);
    assert_eq!(quarantined(&stage).await, BTreeMap::new());
    let lines = exported(&stage).await;
    let entries = ids.map(|id| lines[id].field("numbers"));
    assert_eq!(entries, [json!([{"number": 7}]), json!([]), json!([])]);
    stage.finish().await;
}

/// Field case 2: a metadata index without a mapping, in which no id is found, and nothing says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e5_h15_a_metadata_key_that_is_a_text_makes_batches_wait_and_is_told_with_its_remedy() {
    let stage = Stage::new("text-key").await;
    let messages = ["4f1c-9A-77", "plain"].map(|id| Document::message(id, AT));
    harvest(&stage, &messages).await;
    let texts = stage.indices.more_messages.clone();
    let entry = |id: &str| Document::raw(id, json!({"message_id": id, "status": "SENT"}).to_string());
    stage
        .indices
        .write(&texts, &["4f1c-9A-77", "plain"].map(entry))
        .await;
    let keyed_by = |key: &str| json!([{"name": "status", "index": texts, "key": key}]).to_string();
    let exporter = stage.another(
        "exporter",
        &[("GRANARY_METADATA_SOURCES", &keyed_by("message_id"))],
    );
    attempt(&stage, &exporter).await;
    assert_eq!(state(&stage).await, waiting("source_refused"));
    assert_told_at_once(&stage, &["message_id.keyword", "is text", &texts]).await;
    let key = keyed_by("message_id.keyword");
    let exporter = stage.another("exporter", &[("GRANARY_METADATA_SOURCES", &key)]);
    attempt(&stage, &exporter).await;
    assert_eq!(stage.batches(BatchStatus::Completed).await, 1);
    stage.finish().await;
}

/// A metadata index that has an entry for the first of these messages, and an exporter that reads it and has one attempt.
async fn with_metadata_of_one(stage: &Stage, messages: &[Document]) -> (String, Function) {
    let metadata = stage.indices.more_messages.clone();
    let mapping = json!({"mappings": {"properties": {"message_id": {"type": "keyword"}}}});
    stage.indices.create(&metadata, mapping).await;
    let entry = json!({"message_id": messages[0].doc_id, "state": "sent"}).to_string();
    stage.indices.write(&metadata, &[Document::raw("s", entry)]).await;
    let sources = json!([{"name": "state", "index": metadata, "key": "message_id"}]).to_string();
    let settings = [
        ("GRANARY_METADATA_SOURCES", sources.as_str()),
        ("GRANARY_MAX_ATTEMPTS", "1"),
    ];
    let exporter = stage.another("exporter", &settings);
    (metadata, exporter)
}

/// The batch waited for its metadata: it is exported by the next attempt, and its one entry is there.
async fn assert_exported_with_metadata(stage: Stage, exporter: &Function) {
    attempt(&stage, exporter).await;
    assert_eq!(stage.batches(BatchStatus::Completed).await, 1);
    let lines = stage.bucket.lines().await;
    let with_state = lines.iter().filter(|line| line.raw("state").is_some());
    assert_eq!(with_state.count(), 1);
    stage.finish().await;
}

/// A metadata index that is closed for maintenance: the batches wait for it, and their messages keep their metadata.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e5_a2_a_closed_metadata_index_costs_no_attempt_and_is_told_at_once() {
    let (stage, messages) = harvested("closed-metadata").await;
    let (metadata, exporter) = with_metadata_of_one(&stage, &messages).await;
    stage.indices.ask(Method::POST, &[&metadata, "_close"], "").await;
    attempt(&stage, &exporter).await;
    assert_eq!(state(&stage).await, waiting("source_refused"));
    assert_told_at_once(&stage, &[&metadata, "closed"]).await;

    stage.indices.ask(Method::POST, &[&metadata, "_open"], "").await;
    assert_exported_with_metadata(stage, &exporter).await;
}

/// Field case 27: S3 says that a signature is too old, once after a thaw and for as long as the clock is wrong.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e12_a_signature_or_a_token_that_is_too_old_costs_no_attempt() {
    let mut stage = Stage::new("clock").await;
    let proxy = HttpProxy::before(stage.setting("AWS_ENDPOINT_URL")).await;
    let messages = Document::many(30, 10..11);
    harvest(&stage, &messages).await;
    stage.tell(&[("AWS_ENDPOINT_URL_S3", &proxy.url)]);
    let refusals = [
        (403, "RequestTimeTooSkewed"),
        (400, "ExpiredToken"),
        (403, "SignatureDoesNotMatch"),
    ];
    for (status, code) in refusals {
        let refusal = Fault::Refuse(Said::by_s3(status, code));
        proxy.inject(refusal, FOR_EVER, is_put_of_object);
        attempt(&stage, stage.exporter(0)).await;
        assert_eq!(state(&stage).await, waiting("archive_unavailable"), "{code}");
        proxy.restore();
    }
    let once = Fault::Refuse(Said::by_s3(403, "RequestTimeTooSkewed"));
    proxy.inject(once, 1, is_put_of_object);
    attempt(&stage, stage.exporter(0)).await;
    assert_eq!(
        stage.batches(BatchStatus::Completed).await,
        1,
        "it is signed anew at once"
    );
    stage.run_until_quiet().await;
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}

fn is_put_of_object(asked: &Asked) -> bool {
    asked.method == "PUT" && asked.path.contains("/dt")
}

/// E8, H7: answers that are no JSON are a document's fault only where others are. Here something damages all of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e8_damaged_answers_set_nothing_aside() {
    let (stage, messages) = harvested("damaged").await;
    let (network, exporter) = watched(&stage).await;
    let damaged = Said {
        body: "{\"docs\":[}".into(),
        ..Said::by_elasticsearch(200, "")
    };
    network.inject(Fault::Refuse(damaged), FOR_EVER, is_mget);
    attempt(&stage, &exporter).await;
    assert_eq!(state(&stage).await, waiting("source_unavailable"));
    network.restore();
    stage.let_delays_end().await;
    stage.run_until_quiet().await;
    assert_eq!(quarantined(&stage).await, BTreeMap::new());
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}

/// Else an exporter with another bucket than the ledger has would do no work.
async fn ledger_has_bucket(stage: &Stage, bucket: &str) {
    stage
        .sql(&format!(
            "UPDATE deployment_setting SET value = '{bucket}' WHERE name = 'bucket'"
        ))
        .await;
}

/// A bucket that isn't there, and a role that may not write to it: no batch is to blame.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a2_e12_a_bucket_that_refuses_everything_costs_no_attempt_and_is_told_at_once() {
    let (stage, messages) = harvested("no-bucket").await;
    let bucket = ("GRANARY_BUCKET", "granary-no-such-bucket");
    let exporter = stage.another("exporter", &[bucket, ("GRANARY_MAX_ATTEMPTS", "1")]);
    ledger_has_bucket(&stage, bucket.1).await;
    attempt(&stage, &exporter).await;
    assert_eq!(state(&stage).await, waiting("archive_refused"));
    ledger_has_bucket(&stage, &stage.bucket.name).await;
    assert_told_at_once(&stage, &["archive_refused", "NoSuchBucket", "create the bucket"]).await;
    assert_heals(&stage, &messages).await;
    stage.finish().await;
}

/// The block is of a metadata index, so that Elasticsearch refuses the search and not single documents.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e5_a2_a_blocked_metadata_index_costs_no_attempt_and_is_told_at_once() {
    let (stage, messages) = harvested("blocked-metadata").await;
    let (metadata, exporter) = with_metadata_of_one(&stage, &messages).await;
    let settings = [metadata.as_str(), "_settings"];
    let block = |value| json!({"index.blocks.read": value}).to_string();
    stage
        .indices
        .ask(Method::PUT, &settings, block(json!(true)))
        .await;
    attempt(&stage, &exporter).await;
    assert_eq!(state(&stage).await, waiting("source_refused"));
    assert_told_at_once(&stage, &["index read (api)", &metadata]).await;

    stage
        .indices
        .ask(Method::PUT, &settings, block(json!(null)))
        .await;
    assert_exported_with_metadata(stage, &exporter).await;
}

/// From the error codes of the S3 API: a disabled key, a disabled account, another region, a deleted access key.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a2_e12_what_s3_refuses_to_everybody_costs_no_attempt() {
    let mut stage = Stage::new("s3-codes").await;
    let proxy = HttpProxy::before(stage.setting("AWS_ENDPOINT_URL")).await;
    let messages = Document::many(30, 10..11);
    harvest(&stage, &messages).await;
    stage.tell(&[("AWS_ENDPOINT_URL_S3", &proxy.url), ("GRANARY_MAX_ATTEMPTS", "1")]);
    let refusals = [
        (400, "KMS.DisabledException"),
        (403, "AllAccessDisabled"),
        (400, "AuthorizationHeaderMalformed"),
        (403, "InvalidAccessKeyId"),
    ];
    for (status, code) in refusals {
        let refusal = Fault::Refuse(Said::by_s3(status, code));
        proxy.inject(refusal, FOR_EVER, is_put_of_object);
        attempt(&stage, stage.exporter(0)).await;
        assert_eq!(state(&stage).await, waiting("archive_refused"), "{code}");
        proxy.restore();
    }
    attempt(&stage, stage.exporter(0)).await;
    assert_eq!(stage.batches(BatchStatus::Completed).await, 1);
    stage.run_until_quiet().await;
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}
