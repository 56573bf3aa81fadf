//! Objects whose content isn't what the source has, though ledger, manifest and checksum agree with it: only a comparison
//! of bytes shows it. What was updated or deleted at the source since is told apart, and counted.

use super::tamper::{archived, batch_of, manifest_of, only, verify};
use crate::stage::{CANARY, Document, EXPORTER_TIMEOUT, Stage, request};
use granary_archive::Spool;
use granary_domain::{Compression, Format, MessageId, ObjectKey};
use granary_verify::{ContentCounts, FindingKind, Report, Verdict};
use reqwest::Method;
use serde_json::{Value, json};

const HOUR: u32 = 10;
const ALL: u64 = 100;

/// Rewrites the lines of an hour's object, and has ledger, manifest and checksum agree with what it is then.
async fn rewrite(stage: &Stage, change: impl Fn(&str, Value) -> Value) {
    let (batch, name) = batch_of(stage, HOUR).await;
    let key = ObjectKey::from_record(name);
    let directory = tempfile::tempdir().unwrap();
    let mut spool = Spool::create(directory.path(), Format::Ndjson, Compression::Zstd).unwrap();
    let mut lines: Vec<(MessageId, Value)> = Vec::new();
    let read = stage.bucket.archive.read_lines(&key, |id, line| {
        lines.push((id.clone(), serde_json::from_slice(line).unwrap()));
    });
    read.await.unwrap().unwrap();
    for (id, line) in lines {
        let line = change(id.as_str(), line);
        spool.copy(&id, line.to_string().as_bytes()).unwrap();
    }
    let spool = spool.seal().unwrap();
    stage.bucket.delete(key.as_str()).await;
    let put = stage
        .bucket
        .archive
        .put(&key, granary_domain::BatchId(batch), &spool, Default::default());
    put.await.unwrap();
    let contents = stage.bucket.archive.read_back(&key).await.unwrap().unwrap();
    let statement = format!(
        "UPDATE batch SET sha256 = UNHEX('{}'), bytes_stored = {} WHERE id = {batch}",
        contents.sha256, contents.bytes_stored
    );
    assert_eq!(stage.sql(&statement).await, 1);
    let manifest_key = manifest_of(stage, HOUR).await;
    let mut manifest: Value = serde_json::from_slice(&stage.bucket.body(&manifest_key).await).unwrap();
    manifest["sha256"] = contents.sha256.to_string().into();
    stage
        .bucket
        .put(&manifest_key, manifest.to_string().into_bytes())
        .await;
}

/// Gives the line of `m-002` another content.
async fn change_one_text(stage: &Stage) {
    rewrite(stage, |id, mut line| {
        if id == "m-002" {
            line["message"]["text"] = format!("{CANARY} m-003").into();
        }
        line
    })
    .await;
}

/// A comparison of all content finds that line, and no other.
async fn assert_one_text_differs(stage: &Stage) {
    let report = content_of(stage).await;
    assert_eq!(
        (report.verdict, report.account.content),
        (Verdict::Incomplete, counts(ALL - 1, 0, 0, 1)),
        "{report:#?}"
    );
    let finding = only(&report, FindingKind::ContentDiffers, HOUR);
    assert_eq!((finding.messages, finding.sample_ids[0].as_str()), (1, "m-002"));
}

async fn content_of(stage: &Stage) -> Report {
    verify(stage, json!({ "content": true })).await
}

fn counts(equal: u64, updated: u64, gone: u64, different: u64) -> ContentCounts {
    ContentCounts {
        equal,
        updated,
        gone,
        not_compared: 0,
        different,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e16_a_flipped_byte_is_found_though_ledger_manifest_and_checksum_agree_with_it() {
    let (stage, _) = archived("flipped", &[]).await;
    let report = content_of(&stage).await;
    assert_eq!(
        (report.verdict, report.account.content),
        (Verdict::Complete, counts(ALL, 0, 0, 0)),
        "{report:#?}"
    );
    change_one_text(&stage).await;
    assert_one_text_differs(&stage).await;
    // The sample of so small an object is the whole of it.
    let sampled = verify(&stage, json!({})).await;
    assert_eq!(sampled.verdict, Verdict::Incomplete, "{sampled:#?}");
    verify(&stage, json!({ "repair": true })).await;
    stage.run_until_quiet().await;
    assert_eq!(content_of(&stage).await.account.content, counts(ALL, 0, 0, 0));
    stage.finish().await;
}

/// What an earlier attempt read may be adopted by a later one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e16_a_stale_object_is_updated_since_and_what_is_gone_at_the_source_is_counted() {
    let (stage, _) = archived("stale", &[]).await;
    let newer = json!({"message_id": "m-002", "created_at": "2026-03-01T10:02:00Z", "text": "newer"});
    stage
        .index_messages(&[Document::raw("m-002", newer.to_string())])
        .await;
    stage.indices.delete(&stage.indices.messages, "m-004").await;
    stage.indices.refresh(&stage.indices.messages).await;
    let report = content_of(&stage).await;
    assert_eq!(
        (report.verdict, report.account.content),
        (Verdict::Drifted, counts(ALL - 2, 1, 1, 0)),
        "{report:#?}"
    );
    // Its line claims the state that the source has now.
    let new = stage.indices.state_of(&stage.indices.messages, "m-002").await;
    rewrite(&stage, move |id, mut line| {
        if id == "m-002" {
            for (field, value) in [("version", 0), ("seq_no", 1), ("primary_term", 2)] {
                line[field] = new[value].into();
            }
        }
        line
    })
    .await;
    let report = content_of(&stage).await;
    assert_eq!(
        (report.verdict, report.account.content),
        (Verdict::Incomplete, counts(ALL - 2, 0, 1, 1)),
        "{report:#?}"
    );
    stage.finish().await;
}

/// A document was replaced under its `_id` before it was exported, and the object holds the other one under its id.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e16_another_document_under_the_id_is_found() {
    let (stage, _) = archived("another", &[]).await;
    let other = json!({"message_id": "other", "created_at": "2026-03-01T10:02:00Z"});
    stage
        .index_messages(&[Document::raw("m-002", other.to_string())])
        .await;
    stage
        .backfill("2026-03-01T10:00:00Z", "2026-03-01T11:00:00Z")
        .await;
    stage.run_until_quiet().await;
    let sound = content_of(&stage).await;
    assert_eq!(
        (sound.verdict, sound.account.content.different),
        (Verdict::Drifted, 0),
        "{sound:#?}"
    );
    rewrite(&stage, move |id, mut line| {
        if id == "m-002" {
            line["message"] = other.clone();
        }
        line
    })
    .await;
    let report = content_of(&stage).await;
    let finding = only(&report, FindingKind::ContentDiffers, HOUR);
    assert_eq!(
        (report.verdict, finding.sample_ids[0].as_str()),
        (Verdict::Incomplete, "m-002"),
        "{report:#?}"
    );
    stage.finish().await;
}

/// Its rows are gone: the lines alone say which documents they are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e16_a_flipped_byte_is_found_in_an_hour_that_was_purged() {
    let (stage, _) = archived("sealed", &[]).await;
    assert_eq!(verify(&stage, json!({})).await.verdict, Verdict::Complete);
    change_one_text(&stage).await;
    let event = request(
        "POST",
        "/purge",
        &json!({"before": "2026-03-02T00:00:00Z", "dryRun": false}).to_string(),
    );
    let answer = stage.operator.invoke(event, EXPORTER_TIMEOUT).await.unwrap();
    assert_eq!(answer["statusCode"], 200, "{answer}");
    assert_eq!(stage.row::<u64>("SELECT COUNT(*) FROM message").await, 0);
    assert_one_text_differs(&stage).await;
    stage.finish().await;
}

/// Field case 16: Elasticsearch leaves vectors out of `_source`, and they were not asked for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e16_a_vector_that_is_absent_from_the_archive_is_found() {
    let stage = Stage::new("vector").await;
    let index = &stage.indices.messages;
    let vector = json!({"properties": {"v": {"type": "dense_vector", "dims": 3}}}).to_string();
    stage.indices.ask(Method::PUT, &[index, "_mapping"], vector).await;
    let at = "2026-03-01T10:30:00Z";
    let message = json!({"message_id": "a", "created_at": at, "v": [1.0, 2.0, 3.0]});
    stage
        .index_messages(&[Document::raw("a", message.to_string())])
        .await;
    stage
        .backfill("2026-03-01T10:00:00Z", "2026-03-01T11:00:00Z")
        .await;
    stage.run_until_quiet().await;
    assert_eq!(content_of(&stage).await.account.content, counts(1, 0, 0, 0));
    rewrite(&stage, |_, mut line| {
        line["message"].as_object_mut().unwrap().remove("v");
        line
    })
    .await;
    let report = content_of(&stage).await;
    assert_eq!(
        (report.verdict, report.account.content),
        (Verdict::Incomplete, counts(0, 0, 0, 1)),
        "{report:#?}"
    );
    stage.finish_broken().await;
}
