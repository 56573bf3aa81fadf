//! What is in the archive is what Elasticsearch keeps: every byte, every related document, every id.
//!
//! Duplicate keys are not here. Elasticsearch 7.17 and 8 refuse them from every door: as JSON, CBOR, SMILE or YAML,
//! mapped or not, in an object with `enabled: false` too. Should an index have some all the same, they pass: see the tests
//! of `granary-archive` (`line.rs`, `tests/archive/read.rs`).

use crate::stage::{Document, ExportedLine, Stage};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const FROM: &str = "2026-03-01T10:00:00Z";
const TO: &str = "2026-03-01T12:00:00Z";

/// JSON that doesn't survive being understood and written again.
const ODD: [&str; 12] = [
    "[9007199254740993,-9223372036854775809,18446744073709551616,123456789012345678901234567890]",
    "[1e400,-1E-400,1.10,100E+2,1e0,-0,-0.0,0.10000000000000000555]",
    r#""\u0000 \u001f \u007F \b\f\n\r\t \" \\ \/ / \u002f""#,
    r#""\ud800 alone, \udc00 alone, \uDBFF\uD800 neither, \ud83d\ude00 a pair""#,
    "\"caf\\u00e9 é e\u{301} 🚚 👩‍👩‍👧 مرحبا \u{2028}\u{7f}\u{85}\u{feff}\u{10ffff}\"",
    r#"{"z":1,"a":2,"Z":3,"z ":4,"é":5,"m":{"y":1,"x":2}}"#,
    r#"{"\ud800":1,"\u0061":2,"\/":3,"\u0000":4,"🚚":5}"#,
    r#"{"a.b":1,"a":{"b":2,"b.c":{}}}"#,
    "{ \"a\" :\t[ 1 ,  2 ] , \"b\":{ } }",
    r#"[[],{},"",null,true,false,[[{}]]]"#,
    r#""{\"message_id\":\"not this\"}\n""#,
    r#""</script><!-- ' -- ; DROP TABLE message""#,
];

pub(super) fn message(id: &str, odd: &str) -> Document {
    Document::raw(
        id,
        format!(r#"{{"odd":{odd},"message_id":"{id}","created_at":"2026-03-01T10:30:00Z"}}"#),
    )
}

/// A related document; `second` is its place in the order of its message's.
fn entry(of: &str, second: usize, odd: &str) -> Document {
    let body = format!(r#"{{"at":"2026-03-01T11:00:{second:02}Z","message_id":"{of}","odd":{odd}}}"#);
    Document::raw(&format!("{of}-{second}"), body)
}

/// Ten messages of no interest.
fn plain_messages() -> Vec<Document> {
    let created_at = "2026-03-01T10:30:00Z";
    (0..10)
        .map(|number| Document::message(&format!("m-{number}"), created_at))
        .collect()
}

/// Everything that the archive has, by id.
pub(super) async fn exported(stage: &Stage) -> BTreeMap<String, ExportedLine> {
    let lines = stage.bucket.lines().await;
    let count = lines.len();
    let by_id: BTreeMap<_, _> = lines
        .into_iter()
        .map(|line| (line.message_id.clone(), line))
        .collect();
    assert_eq!(by_id.len(), count, "nothing is there twice");
    by_id
}

/// What was exported is what Elasticsearch keeps. White space around it is no part of it, and a line has no line breaks.
async fn assert_kept(stage: &Stage, index: &str, document: &Document, exported: &str) {
    let kept = stage.indices.source_of(index, document).await;
    assert_eq!(kept, document.body, "Elasticsearch changes nothing");
    let trimmed = kept.trim_matches([' ', '\t', '\n', '\r']);
    assert_eq!(exported, trimmed.replace(['\n', '\r'], " "));
}

async fn assert_all_kept(stage: &Stage, index: &str, documents: &[Document], exported: Option<&str>) {
    let exported: Vec<Box<RawValue>> = serde_json::from_str(exported.unwrap()).unwrap();
    assert_eq!(exported.len(), documents.len());
    for (document, exported) in documents.iter().zip(exported) {
        assert_kept(stage, index, document, exported.get()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e6_messages_and_their_metadata_are_what_elasticsearch_keeps_byte_for_byte() {
    let mut stage = Stage::new("bytes").await;
    stage.have_metadata().await;
    let deep = format!("{}1{}", r#"{"a":["#.repeat(400), "]}".repeat(400));
    let odd: Vec<&str> = ODD.into_iter().chain([deep.as_str()]).collect();
    let nth = |number: usize| odd[number % odd.len()];
    let ids: Vec<String> = (0..odd.len()).map(|number| format!("m-{number}")).collect();
    let mut messages: Vec<Document> = ids.iter().zip(&odd).map(|(id, odd)| message(id, odd)).collect();
    let around = format!("  \t{} ", message("m-0", nth(0)).body);
    messages[0].body = around;
    let indices = &stage.indices;
    stage.index_messages(&messages).await;
    let (mut statuses, mut histories, mut processing) = (vec![], vec![], vec![]);
    for (number, id) in ids.iter().enumerate() {
        statuses.push(entry(id, 0, nth(number + 1)));
        histories.push(Vec::from(
            [0, 1, 2].map(|second| entry(id, second, nth(number + second))),
        ));
        processing.push(Vec::from(
            [0, 1].map(|second| entry(id, second, nth(number * 2 + second))),
        ));
    }
    let backwards = |entries: &[Vec<Document>]| entries.concat().into_iter().rev().collect::<Vec<_>>();
    indices.write(&indices.status, &statuses).await;
    indices.write(&indices.history, &backwards(&histories)).await;
    indices.write(&indices.processing, &backwards(&processing)).await;
    stage.backfill(FROM, TO).await;
    stage.run_until_quiet().await;

    let exported = exported(&stage).await;
    for (number, id) in ids.iter().enumerate() {
        let line = &exported[id];
        assert_kept(&stage, &indices.messages, &messages[number], &line.message).await;
        assert_kept(
            &stage,
            &indices.status,
            &statuses[number],
            line.raw("status").unwrap(),
        )
        .await;
        assert_all_kept(&stage, &indices.history, &histories[number], line.raw("history")).await;
        assert_all_kept(
            &stage,
            &indices.processing,
            &processing[number],
            line.raw("processing"),
        )
        .await;
    }
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e6_line_breaks_between_tokens_become_spaces_and_nothing_else_changes() {
    let mut stage = Stage::new("pretty").await;
    stage.have_metadata().await;
    let pretty = |document: Document| Document {
        body: document
            .body
            .replace(',', ",\r\n  ")
            .replace('{', "{\n")
            .replace('}', "\n}\n"),
        ..document
    };
    // No comma or brace stands in a string here, so nothing but white space was added.
    let message = pretty(message("m-0", r#"{"a":[1,2,{"b":1e400}],"c":"\n\r"}"#));
    let status = pretty(entry("m-0", 0, "[1.10,2]"));
    let history = Vec::from([0, 1].map(|second| pretty(entry("m-0", second, "{}"))));
    let indices = &stage.indices;
    stage.index_messages(std::slice::from_ref(&message)).await;
    indices
        .write(&indices.status, std::slice::from_ref(&status))
        .await;
    indices.write(&indices.history, &history).await;
    stage.backfill(FROM, TO).await;
    stage.run_until_quiet().await;

    let line = &exported(&stage).await["m-0"];
    assert_eq!(line.message.len(), message.body.trim().len());
    assert_kept(&stage, &indices.messages, &message, &line.message).await;
    assert_kept(&stage, &indices.status, &status, line.raw("status").unwrap()).await;
    assert_all_kept(&stage, &indices.history, &history, line.raw("history")).await;
    stage.assert_archived(&[message], FROM, TO).await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e5_an_index_that_is_missing_and_one_that_has_nothing_are_told_apart() {
    let mut stage = Stage::new("nothing").await;
    stage.have_metadata().await;
    let first = Document::message("first", "2026-03-01T10:30:00Z");
    let second = Document::message("second", "2026-03-01T11:30:00Z");
    let messages = [first, second];
    stage.index_messages(&messages).await;
    let indices = &stage.indices;
    let busy: Vec<_> = (0..10_100)
        .map(|number| {
            let body = json!({"message_id": "first", "at": 1_000_000 - number, "number": number});
            Document::raw(&format!("h-{number}"), body.to_string())
        })
        .collect();
    indices.write(&indices.processing, &busy).await;

    stage.backfill(FROM, "2026-03-01T11:00:00Z").await;
    stage.run_until_quiet().await;
    for index in [&indices.status, &indices.history, &indices.processing] {
        indices.delete_index(index).await;
    }
    stage.backfill("2026-03-01T11:00:00Z", TO).await;
    stage.run_until_quiet().await;

    let exported = exported(&stage).await;
    let (first, second) = (&exported["first"], &exported["second"]);
    assert_eq!((first.raw("status"), first.raw("history")), (None, Some("[]")));
    let processing = first.field("processing");
    let numbers: Vec<_> = processing
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["number"].as_u64().unwrap())
        .collect();
    assert_eq!(numbers, (0..10_100).rev().collect::<Vec<_>>());
    for name in ["status", "history", "processing"] {
        assert_eq!(second.raw(name), Some("null"), "{name}");
    }
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}

/// Ids that something on the way might cut, fold, trim, quote or normalise. No two of them are the same.
fn ids() -> Vec<String> {
    let mut ids: Vec<String> = [
        "twin",
        "Twin",
        "TWIN",
        "twin ",
        "twin  ",
        " twin",
        "twin\t",
        "Straße",
        "STRASSE",
        "straße",
        "café",
        "cafe",
        "cafe\u{301}",
        "Cafe\u{301}",
        "🚚",
        "🚛",
        "🚚📨",
        "👩‍👩‍👧",
        "İ",
        "i\u{307}",
        "ﬀ",
        "ff",
        "'; DROP TABLE message; --",
        "\"quoted\"",
        "back\\slash",
        "back\\\\slash",
        "%20",
        "%",
        "_",
        "a/b?c=d&e#f",
        "..",
        "*",
        "a,b",
        "{\"json\":1}",
        "<b>&amp;</b>",
        "line\nbreak",
        "line\r\nbreak",
        "\u{1}\u{7f}\u{85}",
        "\u{2028}",
        "\u{feff}twin",
        "tw\u{200b}in",
        "null",
        "0",
        "00",
        "-1",
        "1e3",
        "true",
        "_id",
    ]
    .map(str::to_owned)
    .into();
    ids.extend([
        "x".repeat(512),
        "é".repeat(256),
        "🚚".repeat(128),
        "x".repeat(511) + "y",
    ]);
    ids
}

/// Sends every id through, as the field or as the `_id`.
async fn send_all_ids(name: &str, settings: &[(&str, &str)], doc_id: impl Fn(usize, &str) -> String) {
    let ids = ids();
    let mut stage = Stage::with(name, settings).await;
    stage.have_metadata().await;
    let with_body = |(number, id): (usize, &String)| {
        let body = json!({"created_at": "2026-03-01T10:30:00Z", "message_id": id, "number": number});
        Document::raw(&doc_id(number, id), body.to_string())
    };
    let messages: Vec<_> = ids.iter().enumerate().map(with_body).collect();
    let status = |(number, id): (usize, &String)| {
        Document::raw(
            &format!("s-{number}"),
            json!({"message_id": id, "of": number}).to_string(),
        )
    };
    let statuses: Vec<_> = ids.iter().enumerate().map(status).collect();
    stage.index_messages(&messages).await;
    stage.indices.write(&stage.indices.status, &statuses).await;
    stage.backfill(FROM, TO).await;
    stage.run_until_quiet().await;

    let exported = exported(&stage).await;
    for (number, id) in ids.iter().enumerate() {
        let line = &exported[id];
        assert_eq!(line.message, messages[number].body);
        assert_eq!(line.field("status")["of"], number);
    }
    let by_id: Vec<_> = ids.iter().map(|id| Document::raw(id, "")).collect();
    stage.assert_archived(&by_id, FROM, TO).await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h13_every_id_that_elasticsearch_takes_comes_through() {
    let id_is_the_default = ("GRANARY_SOURCE_ID_FIELD", "");
    send_all_ids("ids", &[id_is_the_default], |_, id| id.to_owned()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h13_every_id_comes_through_from_a_field_beside_an_id_of_its_own() {
    send_all_ids("fields", &[], |number, _| format!("document {number}")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h13_every_id_comes_through_where_the_field_is_known_to_be_the_id() {
    let same = ("GRANARY_SOURCE_DOC_ID", "message_id");
    send_all_ids("same", &[same], |_, id| id.to_owned()).await;
}

/// All manifests of the stage.
async fn manifests(stage: &Stage) -> Vec<Value> {
    let mut manifests = Vec::new();
    for key in stage.bucket.keys().await {
        if key.contains("/_manifests/") {
            manifests.push(serde_json::from_slice(&stage.bucket.body(&key).await).unwrap());
        }
    }
    manifests
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e1_a_message_that_was_deleted_before_its_export_is_a_tombstone_in_the_manifest() {
    let stage = Stage::new("deleted").await;
    stage.index_messages(&plain_messages()).await;
    stage.backfill(FROM, TO).await;
    stage.harvest().await;
    for gone in ["m-2", "m-7"] {
        stage.indices.delete(&stage.indices.messages, gone).await;
    }
    stage.run_until_quiet().await;

    let manifests = manifests(&stage).await;
    assert_eq!(manifests.len(), 1);
    let reason = "gone at the source before it was exported";
    let tombstone = |id| json!({"message_id": id, "outcome": "missing", "reason": reason});
    assert_eq!(
        manifests[0]["exceptions"],
        json!([tombstone("m-2"), tombstone("m-7")])
    );
    assert_eq!(
        (&manifests[0]["messages"], &manifests[0]["exported"]),
        (&json!(10), &json!(8))
    );
    let batch: (String, u32, u32) = stage.row("SELECT status, exported, missing FROM batch").await;
    assert_eq!(batch, ("completed".to_owned(), 8, 2));
    let missing: Vec<String> = stage
        .rows("SELECT message_id FROM message_status WHERE status = 'missing' ORDER BY 1")
        .await;
    assert_eq!(missing, ["m-2", "m-7"]);
    let mut left = plain_messages();
    left.retain(|message| !["m-2", "m-7"].contains(&message.doc_id.as_str()));
    stage.assert_archived(&left, FROM, TO).await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e15_a_batch_whose_messages_are_all_gone_completes_without_an_object() {
    let stage = Stage::new("gone").await;
    stage.index_messages(&plain_messages()).await;
    stage.backfill(FROM, TO).await;
    stage.harvest().await;
    stage.indices.delete_index(&stage.indices.messages).await;
    stage
        .indices
        .create(&stage.indices.messages, stage.indices.mapping())
        .await;
    stage.export_all().await;
    let first: (String, String) = stage.row("SELECT status, error_code FROM batch").await;
    assert_eq!(
        first,
        ("pending".to_owned(), "mostly_missing".to_owned()),
        "looked for once more"
    );
    stage.let_delays_end().await;
    stage.run_until_quiet().await;

    let batch: (String, Option<String>, u32, u32) = stage
        .row("SELECT status, object_key, exported, missing FROM batch")
        .await;
    assert_eq!(batch, ("completed".to_owned(), None, 0, 10));
    let manifests = manifests(&stage).await;
    assert_eq!(manifests[0]["exceptions"].as_array().unwrap().len(), 10);
    assert_eq!(manifests[0]["object"], Value::Null);
    assert_eq!(stage.bucket.keys().await.len(), 1, "a manifest, and nothing else");
    stage.assert_archived(&[], FROM, TO).await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e4_a_message_that_changes_on_its_way_is_there_in_one_version_which_is_on_record() {
    let stage = Stage::new("updated").await;
    let before = [message("m-0", "1"), message("m-1", "1")];
    stage.index_messages(&before).await;
    stage.backfill(FROM, TO).await;
    stage.harvest().await;
    let between = message("m-0", "2");
    stage.index_messages(std::slice::from_ref(&between)).await;
    stage.export_all().await;
    // The object stands, but the ledger doesn't know it: as if the settlement had been lost.
    stage
        .sql(
            "UPDATE batch SET status = 'in_progress', holder = 'gone', lease_until = '2026-01-01', settled_at = NULL, \
             object_key = NULL, sha256 = NULL, exported = NULL, missing = NULL, quarantined = NULL",
        )
        .await;
    stage
        .sql("UPDATE attempt SET outcome = NULL, ended_at = NULL")
        .await;
    stage
        .index_messages(&[message("m-0", "3"), message("m-1", "3")])
        .await;
    stage.run_until_quiet().await;

    let exported = exported(&stage).await;
    let version_and_message = |id: &str| (exported[id].field("version"), exported[id].message.clone());
    assert_eq!(version_and_message("m-0"), (json!(2), between.body));
    assert_eq!(version_and_message("m-1"), (json!(1), before[1].body.clone()));
    let attempts: u32 = stage.row("SELECT COUNT(*) FROM attempt").await;
    assert_eq!((attempts, stage.bucket.objects().await.len()), (2, 1));
    stage.assert_archived(&before, FROM, TO).await;
    stage.finish().await;
}
