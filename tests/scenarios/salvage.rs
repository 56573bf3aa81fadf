//! Documents that Elasticsearch can't give, or not as JSON, or not within bounds: set aside at once, with what can be
//! had of them.

use super::careful::{
    FROM, TO, assert_all_but, attempt, attempts, harvest, let_two_attempts_be_spent, quarantined, watched,
};
use crate::stage::{CANARY, Document, Fault, Stage};
use granary_domain::{BatchId, Hour, MessageId};
use reqwest::{Client, Method};
use serde_json::json;

const CREATED_AT: &str = "2026-03-01T10:30:00Z";
const MIB: usize = 1024 * 1024;
/// A process that has one document of 64 MiB in hand, and a spool.
const MEMORY_MIB_MAX: u64 = 160;

/// What Elasticsearch takes for JSON and gives out as it came.
fn with_comment(id: &str) -> String {
    format!(r#"{{"message_id":"{id}","created_at":"{CREATED_AT}","text":/* {CANARY} */1}}"#)
}

/// Writes a document as YAML, in which a number may be none: Elasticsearch can't write that out as JSON.
async fn put_nan(stage: &Stage, id: &str, text: &str) {
    let url = format!(
        "{}/{}/_doc/{id}?refresh=true",
        stage.setting("GRANARY_ES_URL").trim_end_matches('/'),
        stage.indices.messages
    );
    let body =
        format!("---\nmessage_id: \"{id}\"\ncreated_at: \"{CREATED_AT}\"\ntext: \"{text}\"\nnumber: .nan\n");
    let put = Client::new().put(url).header("content-type", "application/yaml");
    let answer = put.body(body).send().await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
}

/// The one key that is kept of a message, as its reason names it.
async fn kept_of(stage: &Stage, id: &str) -> String {
    let batch: u64 = stage
        .row(&format!("SELECT batch_id FROM message WHERE message_id = '{id}'"))
        .await;
    let message = MessageId::try_from(id.to_owned()).unwrap();
    let layout = stage.bucket.archive.layout();
    let key = layout.quarantine(Hour::of(CREATED_AT.parse().unwrap()), BatchId(batch), &message);
    let reason = &quarantined(stage).await[id];
    assert!(
        reason.ends_with(&format!("its raw bytes are kept at {key}")),
        "{reason}"
    );
    key.to_string()
}

/// E8, H7: a short one is answered with 500, a long one with silence and the end of the connection; neither burns an
/// attempt, and from the third deferral on they are looked for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e8_documents_that_elasticsearch_can_not_write_out_are_found_and_set_aside() {
    let stage = Stage::new("nan").await;
    put_nan(&stage, "m-0004-short", "").await;
    put_nan(&stage, "m-0020-long", &"x".repeat(200_000)).await;
    let messages = Document::many(60, 10..11);
    harvest(&stage, &messages).await;
    let ended = attempts(&stage, stage.exporter(0)).await;
    assert_eq!(ended, ["deferred", "deferred", "completed"]);
    let attempts: u32 = stage.row("SELECT attempts FROM batch").await;
    assert_eq!(attempts, 1);
    for reason in quarantined(&stage).await.values() {
        assert!(
            reason.contains("can't give it") && reason.ends_with("its raw bytes can't be had"),
            "{reason}"
        );
        assert!(!reason.contains(".nan"), "{reason}");
    }
    assert_all_but(&stage, &messages, &["m-0004-short", "m-0020-long"]).await;
    stage.finish().await;
}

/// E8, H7: the network breaks off the answers about one document, and is healed while it is asked for alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e8_a_document_whose_answers_broke_off_for_a_while_is_exported_after_all() {
    let stage = Stage::new("broke-off").await;
    let messages = Document::many(40, 10..11);
    harvest(&stage, &messages).await;
    let (network, exporter) = watched(&stage).await;
    // A request is four tries. Two attempts ask once; the third asks for six ever smaller portions, twice for the
    // document alone, and once more.
    let broken = Fault::BreakOffAfter { bytes: 10 };
    network.inject(broken, 4 * (2 + 6 + 2) + 1, |asked| {
        asked.path.contains("_mget") && asked.body.contains("\"_id\":\"m-0021\"")
    });
    let ended = attempts(&stage, &exporter).await;
    assert_eq!(ended, ["deferred", "deferred", "completed"]);
    assert_all_but(&stage, &messages, &[]).await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e8_what_elasticsearch_gave_of_a_document_that_is_no_json_is_kept_byte_for_byte() {
    let mut stage = Stage::new("kept").await;
    stage.have_metadata().await;
    let mut messages = Document::many(20, 10..11);
    messages.push(Document::raw(
        "m-0010 \u{1F33E}/poison",
        with_comment("m-0010 \u{1F33E}/poison"),
    ));
    // The message itself is sound, what is known about it isn't.
    let history = Document::raw("of m-0003", with_comment("m-0003"));
    stage.indices.write(&stage.indices.history, &[history]).await;
    harvest(&stage, &messages).await;
    assert_eq!(attempts(&stage, stage.exporter(0)).await, ["completed"]);

    let poison = &messages[20];
    let wanted = json!({"docs": [{"_index": stage.indices.messages, "_id": poison.doc_id}]});
    let answer = stage
        .indices
        .ask(Method::POST, &["_mget"], wanted.to_string())
        .await;
    let served = answer.bytes().await.unwrap();
    let key = kept_of(&stage, &poison.doc_id).await;
    assert_eq!(stage.bucket.body(&key).await, served);
    let head = stage.bucket.s3.head_object().bucket(&stage.bucket.name).key(&key);
    let batch: u64 = stage.row("SELECT id FROM batch").await;
    assert_eq!(
        head.send().await.unwrap().metadata.unwrap()["batch-id"],
        batch.to_string()
    );

    let of_sound = stage.bucket.body(&kept_of(&stage, "m-0003").await).await;
    let of_sound = String::from_utf8(of_sound).unwrap();
    let (message, history) = of_sound.split_once('\n').unwrap();
    assert_eq!(message, messages[3].body);
    assert!(history.contains(&with_comment("m-0003")), "{history}");
    assert_eq!(stage.bucket.quarantine().await.len(), 2);
    assert_all_but(&stage, &messages, &["m-0003", &poison.doc_id]).await;
    stage.finish().await;
}

/// E8, H14, E13: around keeping the raw bytes, which carries no fence.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e8_a_crash_around_keeping_raw_bytes_costs_an_attempt_and_nothing_else() {
    for (fault, ended) in [
        ("put_quarantined:before", &["reaped", "completed"][..]),
        ("put_quarantined:after", &["reaped", "completed"]),
        ("put_quarantined:twice", &["completed"]),
    ] {
        let stage = Stage::new("kept-crash").await;
        let mut messages = Document::many(10, 10..11);
        messages.push(Document::raw("m-0005-poison", with_comment("m-0005-poison")));
        harvest(&stage, &messages).await;
        attempt(&stage, &stage.another("exporter", &[("GRANARY_FAULT", fault)])).await;
        assert_eq!(attempts(&stage, stage.exporter(0)).await, ended, "{fault}");
        kept_of(&stage, "m-0005-poison").await;
        assert_all_but(&stage, &messages, &["m-0005-poison"]).await;
        stage.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e7_a_document_of_70_mb_is_set_aside_with_little_memory_and_the_rest_ships() {
    let stage = Stage::new("too-large").await;
    let mut messages = Document::many(9, 10..11);
    let text = "x".repeat(70 * MIB);
    let body = format!(r#"{{"message_id":"m-0004-large","created_at":"{CREATED_AT}","text":"{text}"}}"#);
    drop(text);
    messages.push(Document::raw("m-0004-large", body));
    harvest(&stage, &messages).await;
    let exporter = stage.another("exporter", &[]);
    assert_eq!(attempts(&stage, &exporter).await, ["completed"]);

    let peak = exporter.peak_memory_mib();
    assert!(peak <= MEMORY_MIB_MAX, "{peak} MiB");
    let reason = &quarantined(&stage).await["m-0004-large"];
    assert!(
        reason.starts_with("larger than 67108864 bytes") && reason.ends_with("its raw bytes can't be had"),
        "{reason}"
    );
    assert_eq!(stage.bucket.quarantine().await, [""; 0]);
    assert_all_but(&stage, &messages, &["m-0004-large"]).await;
    stage.finish().await;
}

/// E7, E8: one message at a time, however large they are together.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e7_a_careful_attempt_holds_one_document_at_a_time() {
    let stage = Stage::new("careful-memory").await;
    let text = "x".repeat(4 * MIB);
    let messages: Vec<Document> = (0..16)
        .map(|number| {
            let id = format!("m-{number:04}");
            let body = format!(r#"{{"message_id":"{id}","created_at":"{CREATED_AT}","text":"{text}"}}"#);
            Document::raw(&id, body)
        })
        .collect();
    for some in messages.chunks(8) {
        stage.index_messages(some).await;
    }
    stage.backfill(FROM, TO).await;
    stage.harvest().await;
    let_two_attempts_be_spent(&stage).await;
    let exporter = stage.another("exporter", &[]);
    assert_eq!(attempts(&stage, &exporter).await[2..], ["completed"]);
    let peak = exporter.peak_memory_mib();
    assert!(peak <= 64, "{peak} MiB");
    stage.run_until_quiet().await;
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}
