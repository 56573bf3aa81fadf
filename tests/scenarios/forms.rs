//! The forms of an object, and objects, answers and documents that are large.

use crate::stage::{Document, Stage};
use flate2::read::GzDecoder;
use granary_domain::BatchStatus;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::Read;

const FROM: &str = "2026-03-01T10:00:00Z";
const TO: &str = "2026-03-01T11:00:00Z";
const CREATED_AT: &str = "2026-03-01T10:30:00Z";
const MIB: usize = 1024 * 1024;
/// What the exporter may have, whatever it exports.
const MEMORY_MIB_MAX: u64 = 128;

/// Compression, format, and how a key ends that holds them.
const FORMS: [(&str, &str, &str); 6] = [
    ("zstd", "ndjson", ".ndjson.zst"),
    ("gzip", "ndjson", ".ndjson.gz"),
    ("none", "ndjson", ".ndjson"),
    ("zstd", "json", ".json.zst"),
    ("gzip", "json", ".json.gz"),
    ("none", "json", ".json"),
];

/// Text that doesn't compress well: 64 characters, as unforeseeable as an xorshift is.
fn noise(seed: usize, bytes: usize) -> String {
    const CHARACTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-";
    let mut state = 0x9E37_79B9_7F4A_7C15 ^ (seed as u64);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(CHARACTERS[(state >> 58) as usize])
    };
    (0..bytes).map(|_| next()).collect()
}

fn message(number: usize, bytes: usize) -> Document {
    let id = format!("m-{number:05}");
    let body = json!({"message_id": id, "created_at": CREATED_AT, "text": noise(number + 1, bytes)});
    Document::raw(&id, body.to_string())
}

fn messages(count: usize, bytes: usize) -> Vec<Document> {
    (0..count).map(|number| message(number, bytes)).collect()
}

/// The messages of an object, as a reader sees them who knows nothing of Granary.
fn read_as_anybody(key: &str, stored: &[u8]) -> Vec<Value> {
    let mut raw = Vec::new();
    match key.rsplit_once('.').unwrap().1 {
        "zst" => raw = zstd::decode_all(stored).unwrap(),
        "gz" => {
            GzDecoder::new(stored).read_to_end(&mut raw).unwrap();
        }
        _ => raw.extend_from_slice(stored),
    }
    if key.contains(".ndjson") {
        let lines = raw
            .strip_suffix(b"\n")
            .expect("every line ends")
            .split(|byte| *byte == b'\n');
        return lines.map(|line| serde_json::from_slice(line).unwrap()).collect();
    }
    let mut document: Value = serde_json::from_slice(&raw).unwrap();
    let keys: Vec<_> = document.as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys, ["messages"]);
    serde_json::from_value(document["messages"].take()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_form_is_what_its_name_says_and_an_archive_of_many_forms_verifies() {
    let stage = Stage::new("forms").await;
    let hour = |number: usize| format!("2026-03-01T{}:00:00Z", 10 + number);
    let of_hour = |number: usize| {
        let of_form = |at| {
            let id = format!("m-{number}-{at:03}");
            Document::message(&id, &hour(number).replace(":00:00", ":30:00"))
        };
        (0..150).map(of_form).collect::<Vec<_>>()
    };
    let mut all = Vec::new();
    for (number, (compression, format, ending)) in FORMS.into_iter().enumerate() {
        let messages = of_hour(number);
        stage.index_messages(&messages).await;
        stage.backfill(&hour(number), &hour(number + 1)).await;
        stage.harvest().await;
        let settings = [("GRANARY_COMPRESSION", compression), ("GRANARY_FORMAT", format)];
        stage.export_all_by(&stage.another("exporter", &settings)).await;

        let keys = stage.bucket.objects().await;
        let in_hour = format!("/hour={}/", 10 + number);
        let keys: Vec<&str> = keys
            .iter()
            .map(|key| key.as_str())
            .filter(|key| key.contains(&in_hour))
            .collect();
        assert_eq!(keys.len(), 2, "150 messages, 100 to a batch");
        let mut read = Vec::new();
        for key in keys {
            assert!(key.ends_with(&format!("-g1{ending}")), "{key}");
            read.extend(read_as_anybody(key, &stage.bucket.body(key).await));
        }
        let read: BTreeSet<String> = read.iter().map(|line| line["message"].to_string()).collect();
        let sent: BTreeSet<String> = messages
            .iter()
            .map(|message| serde_json::from_str::<Value>(&message.body).unwrap().to_string())
            .collect();
        assert_eq!(read, sent, "{ending}");
        all.extend(messages);
    }
    stage.run_until_quiet().await;
    stage.assert_archived(&all, FROM, &hour(FORMS.len())).await;
    stage.finish().await;
}

/// 120 MB to be fetched where an answer may have 8, and 90 MB to be put where a PUT may have 10: held together, they
/// would be more than the limit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e7_a_batch_larger_than_its_memory_goes_in_parts() {
    let stage = Stage::with("parts", &[("GRANARY_BATCH_SIZE", "1000")]).await;
    let messages = messages(240, MIB / 2);
    for some in messages.chunks(40) {
        stage.index_messages(some).await;
    }
    stage.backfill(FROM, TO).await;
    stage.harvest().await;
    let exporter = stage.another("exporter", &[]);
    stage.export_all_by(&exporter).await;

    assert_eq!(stage.batches(BatchStatus::Completed).await, 1);
    let bytes_stored: u64 = stage.row("SELECT bytes_stored FROM batch").await;
    assert!(bytes_stored > 10 * MIB as u64, "{bytes_stored}");
    let key = stage.bucket.objects().await[0].to_string();
    let head = stage.bucket.s3.head_object().bucket(&stage.bucket.name).key(&key);
    let e_tag = head.send().await.unwrap().e_tag.unwrap_or_default();
    let parts = e_tag.trim_matches('"').rsplit_once('-').map(|(_, parts)| parts);
    let parts: u64 = parts.unwrap_or_default().parse().unwrap();
    assert_eq!(
        parts,
        bytes_stored.div_ceil(8 * MIB as u64),
        "parts of 8 MiB: {e_tag}"
    );
    assert_eq!(stage.bucket.archive.unfinished_uploads().await.unwrap(), []);
    let peak = exporter.peak_memory_mib();
    assert!(peak <= MEMORY_MIB_MAX, "{peak} MiB");
    stage.run_until_quiet().await;
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e7_a_document_of_30_mb_is_exported_and_is_in_memory_once() {
    let stage = Stage::new("large").await;
    let mut messages = messages(4, 100);
    messages.push(message(4, 30 * MIB));
    stage.index_messages(&messages).await;
    stage.backfill(FROM, TO).await;
    stage.harvest().await;
    let exporter = stage.another("exporter", &[]);
    stage.export_all_by(&exporter).await;

    let peak = exporter.peak_memory_mib();
    assert!(peak <= MEMORY_MIB_MAX, "{peak} MiB");
    stage.run_until_quiet().await;
    let lines = stage.bucket.lines().await;
    let large = lines.iter().find(|line| line.message_id == "m-00004").unwrap();
    assert!(large.message == messages[4].body, "{} bytes", large.message.len());
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}

/// Messages of 2 KB with a status and a history of two, 1,000 to a batch; a warm process exports one after the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e7_batches_of_1_000_normal_messages_need_little_memory() {
    let mut stage = Stage::with("memory", &[("GRANARY_BATCH_SIZE", "1000")]).await;
    stage.have_metadata().await;
    let messages = messages(3_000, 2_000);
    let entries = |suffix: &str| {
        let entry = |message: &Document| {
            let body = json!({"message_id": message.doc_id, "at": CREATED_AT, "event": noise(7, 200)});
            Document::raw(&format!("{}-{suffix}", message.doc_id), body.to_string())
        };
        messages.iter().map(entry).collect::<Vec<_>>()
    };
    let indices = &stage.indices;
    stage.index_messages(&messages).await;
    indices.write(&indices.status, &entries("status")).await;
    indices.write(&indices.history, &entries("first")).await;
    indices.write(&indices.history, &entries("second")).await;
    stage.backfill(FROM, TO).await;
    stage.harvest().await;
    let exporter = stage.another("exporter", &[]);
    stage.export_all_by(&exporter).await;

    assert_eq!(stage.batches(BatchStatus::Completed).await, 3);
    let peak = exporter.peak_memory_mib();
    assert!(peak <= MEMORY_MIB_MAX, "{peak} MiB");
    stage.run_until_quiet().await;
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}
