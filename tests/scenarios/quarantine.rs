//! Messages that can't be exported, or not now: the others of their batch are.

use crate::stage::{CANARY, Document, Stage};
use granary_domain::BatchStatus;
use granary_verify::{FindingKind, Report, Verdict};
use reqwest::Method;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

const FROM: &str = "2026-03-01T10:00:00Z";
const TO: &str = "2026-03-01T11:00:00Z";
const CREATED_AT: &str = "2026-03-01T10:30:00Z";
const DEFERRED: &str = "SELECT deferrals, attempts, COALESCE(error_code, '') FROM batch";

fn messages(count: usize) -> Vec<Document> {
    (0..count)
        .map(|number| Document::message(&format!("m-{number:02}"), CREATED_AT))
        .collect()
}

/// What Elasticsearch takes for JSON and gives out as it came, though it is none: a comment, a byte order mark, half of
/// a surrogate pair in UTF-8, a NUL in two bytes.
fn no_json(id: &str) -> [Vec<u8>; 4] {
    let document = |text: &[u8]| {
        let fields = format!(r#"{{"message_id":"{id}","created_at":"{CREATED_AT}","text":"#);
        [fields.as_bytes(), text, b"}"].concat()
    };
    [
        document(format!("/* {CANARY} */1").as_bytes()),
        [&b"\xef\xbb\xbf"[..], &document(b"1")].concat(),
        document(b"\"\xed\xa0\x80\""),
        document(b"\"\xc0\x80\""),
    ]
}

async fn put(stage: &Stage, index: &str, doc_id: &str, body: Vec<u8>) {
    stage
        .indices
        .ask(Method::PUT, &[index, "_doc", doc_id], body)
        .await;
    stage.indices.refresh(index).await;
}

/// The reasons of what was quarantined, by id.
async fn quarantined(stage: &Stage) -> BTreeMap<String, String> {
    let query = "SELECT message_id, error_text FROM message_status WHERE status = 'quarantined'";
    stage.rows(query).await.into_iter().collect()
}

async fn assert_only_these_are_missing(stage: &Stage, quarantined: &BTreeMap<String, String>) -> Report {
    let report = stage.verify(FROM, TO).await;
    assert_eq!(report.verdict, Verdict::Incomplete);
    let findings = &report.account.findings;
    assert!(
        findings
            .iter()
            .all(|finding| finding.kind == FindingKind::Quarantined),
        "{findings:?}"
    );
    assert_eq!(report.account.counts.missing, quarantined.len() as u64);
    report
}

fn ids_of(messages: &[Document]) -> BTreeSet<String> {
    messages.iter().map(|message| message.doc_id.clone()).collect()
}

fn without(messages: &[Document], id: &str) -> Vec<Document> {
    let others = messages.iter().filter(|message| message.doc_id != id);
    others.cloned().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e8_a_document_that_is_no_json_is_quarantined_and_the_rest_of_its_batch_ships() {
    let mut stage = Stage::new("nojson").await;
    stage.have_metadata().await;
    let messages = messages(40);
    stage.index_messages(&messages).await;
    let poison: Vec<String> = (0..4).map(|number| format!("m-1{number}-poison")).collect();
    for (number, id) in poison.iter().enumerate() {
        put(&stage, &stage.indices.messages, id, no_json(id)[number].clone()).await;
    }
    // The message itself is sound, what is known about it isn't.
    let related = no_json("m-20")[0].clone();
    put(&stage, &stage.indices.history, "of m-20", related).await;
    stage.backfill(FROM, TO).await;
    stage.run_until_quiet().await;

    let quarantined = quarantined(&stage).await;
    let mut expected: BTreeSet<&str> = poison.iter().map(String::as_str).collect();
    expected.insert("m-20");
    assert_eq!(
        quarantined.keys().map(String::as_str).collect::<BTreeSet<_>>(),
        expected
    );
    for reason in quarantined.values() {
        assert!(
            reason.contains("no valid JSON") && !reason.contains(CANARY),
            "{reason}"
        );
    }
    stage.assert_each_once(&without(&messages, "m-20")).await;
    let attempts: (u32, String) = stage.row("SELECT COUNT(*), MIN(outcome) FROM attempt").await;
    assert_eq!(attempts, (1, "completed".to_owned()));
    assert_only_these_are_missing(&stage, &quarantined).await;
    stage.finish().await;
}

/// Two indices behind the alias that the stage harvests: `more_messages` with this mapping, and the usual one.
async fn stage_of_two_indices(name: &str, mapping: impl FnOnce(&Stage) -> serde_json::Value) -> Stage {
    let alias = format!("alias-{}", Uuid::now_v7().simple());
    let stage = Stage::with(name, &[("GRANARY_SOURCE_INDEX", &alias)]).await;
    let indices = &stage.indices;
    indices.create(&indices.more_messages, mapping(&stage)).await;
    let actions = [&indices.messages, &indices.more_messages]
        .map(|index| json!({"add": {"index": index, "alias": alias}}));
    let body = json!({ "actions": actions }).to_string();
    indices.ask(Method::POST, &["_aliases"], body).await;
    stage
}

/// Made anew without `_source` between the harvest and the export.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e2_e8_documents_whose_index_keeps_no_source_are_quarantined_one_by_one() {
    let stage = stage_of_two_indices("nosource", |stage| stage.indices.mapping()).await;
    let all = messages(20);
    let (kept, unkept) = all.split_at(12);
    stage.index_messages(kept).await;
    stage.indices.write(&stage.indices.more_messages, unkept).await;
    // One of each kind of answer in one request: found, not found, an error.
    stage.backfill(FROM, TO).await;
    stage.harvest().await;
    let mut mapping = stage.indices.mapping();
    mapping["mappings"]["_source"] = json!({"enabled": false});
    mapping["aliases"] = json!({stage.setting("GRANARY_SOURCE_INDEX"): {}});
    let index = &stage.indices.more_messages;
    stage.indices.delete_index(index).await;
    stage.indices.create(index, mapping).await;
    stage.indices.write(index, unkept).await;
    stage.indices.delete(&stage.indices.messages, "m-03").await;
    stage.run_until_quiet().await;

    let quarantined = quarantined(&stage).await;
    assert_eq!(
        quarantined.keys().cloned().collect::<BTreeSet<_>>(),
        ids_of(unkept)
    );
    assert!(
        quarantined
            .values()
            .all(|reason| reason == "the index doesn't keep `_source`"),
        "{quarantined:?}"
    );
    let counts: (u32, u32, u32) = stage
        .row("SELECT exported, missing, quarantined FROM batch")
        .await;
    assert_eq!(counts, (11, 1, 8));
    stage.assert_each_once(&without(kept, "m-03")).await;
    let report = stage.verify(FROM, TO).await;
    let counts = report.account.counts;
    assert_eq!((counts.tombstones, counts.quarantined), (1, 8));
    let exceptions = report.account.exceptions.found();
    assert!(
        report.verdict == Verdict::Incomplete && exceptions.iter().any(|found| found.index == *index),
        "{report:#?}"
    );
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e2_h12_a_batch_with_documents_of_a_closed_index_waits_for_it_and_burns_no_attempt() {
    let stage = stage_of_two_indices("closed", |stage| stage.indices.mapping()).await;
    let messages = messages(20);
    let (open, closed) = messages.split_at(12);
    stage.index_messages(open).await;
    let index = &stage.indices.more_messages;
    stage.indices.write(index, closed).await;
    stage.backfill(FROM, TO).await;
    stage.harvest().await;
    stage.indices.ask(Method::POST, &[index, "_close"], "").await;
    stage.export_all().await;
    let (deferrals, attempts, cause): (u32, u32, String) = stage.row(DEFERRED).await;
    assert_eq!((deferrals, attempts, cause.as_str()), (1, 0, "source_refused"));
    assert_eq!(stage.bucket.keys().await, [""; 0]);

    stage.indices.ask(Method::POST, &[index, "_open"], "").await;
    stage
        .indices
        .ask(Method::GET, &["_cluster", "health", index], "")
        .await;
    stage.run_until_quiet().await;
    assert_eq!(stage.batches(BatchStatus::Completed).await, 1);
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}
