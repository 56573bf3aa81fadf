//! The document that is read is the message that was asked for.

use crate::documents::{enough, reference, text};
use crate::stage::{Stage, plain_mapping, settings};
use granary_source::{Absence, DocId, Document, DocumentRef, Source, SourceError, SourceSettings};
use serde_json::{Value, json};
use std::io::{Read, Write};

fn by_field(index: &str, field: &str) -> Source {
    let settings = SourceSettings {
        id_field: field.to_owned(),
        ..settings(index)
    };
    Source::new(settings).unwrap()
}

async fn asked(source: &Source, index: &str, message_id: &str, doc_id: &str) -> Document {
    let wanted = DocumentRef {
        message_id,
        index,
        doc_id,
        routing: None,
    };
    let found = source
        .documents(&[wanted], &enough())
        .await
        .unwrap()
        .pop()
        .unwrap();
    // The presence says the same, without reading `_source`.
    let presence = source.presence_of(wanted).await.unwrap();
    match (&found, &presence) {
        (
            Document::Found {
                version, moved_to, ..
            },
            Document::Found {
                version: present,
                moved_to: present_in,
                ..
            },
        ) => {
            assert_eq!((version, moved_to), (present, present_in));
        }
        _ => assert_eq!(found, presence),
    }
    found
}

#[tokio::test]
async fn e4_another_document_under_the_same_doc_id_replaces_a_message_and_is_never_exported_as_it() {
    let stage = Stage::new();
    let index = stage.index("a", plain_mapping()).await;
    let source = by_field(&index, "id");
    stage.put(&index, "slot", json!({"id": "A", "n": 1})).await;
    stage.put(&index, "slot", json!({"id": "A", "n": 2})).await;
    assert!(
        text(&asked(&source, &index, "A", "slot").await).contains("\"n\":2"),
        "an update is the message still"
    );
    // It names the other one, but in another field.
    stage
        .put(
            &index,
            "slot",
            json!({"id": "B", "reply_to": "A", "thread": {"id": "A"}}),
        )
        .await;
    assert_eq!(
        asked(&source, &index, "A", "slot").await,
        Document::Missing(Absence::Replaced)
    );
    assert!(matches!(
        asked(&source, &index, "B", "slot").await,
        Document::Found { .. }
    ));
    // It lies under another `_id` by now.
    stage.put(&index, "slot-2", json!({"id": "A", "n": 3})).await;
    assert!(text(&asked(&source, &index, "A", "slot").await).contains("\"n\":3"));
    stage.finish(&["a"]).await;
}

/// What was read and what a search shows aren't the same state: neither proves anything about the other.
#[tokio::test]
async fn e4_a_replacement_that_no_search_shows_yet_is_waited_for() {
    let stage = Stage::new();
    let mut mapping = plain_mapping();
    mapping["settings"]["refresh_interval"] = json!("-1");
    let index = stage.index("a", mapping).await;
    let source = by_field(&index, "id");
    stage.put(&index, "slot", json!({"id": "A"})).await;
    stage.put_unrefreshed(&index, "slot", json!({"id": "B"})).await;
    let found = asked(&source, &index, "A", "slot").await;
    assert!(matches!(found, Document::Unavailable { .. }), "{found:?}");
    stage.writer.refresh(&[&index]).await.unwrap();
    assert_eq!(
        asked(&source, &index, "A", "slot").await,
        Document::Missing(Absence::Replaced)
    );
    stage.finish(&["a"]).await;
}

/// The id as a document holds it and as the mapping indexes it, in all the forms that a mapping allows.
#[tokio::test]
async fn e4_an_id_is_known_by_what_the_index_makes_of_it() {
    let stage = Stage::new();
    let lower = json!({"analysis": {"normalizer": {"lower": {"type": "custom", "filter": ["lowercase"]}}}});
    let index = stage
        .index(
            "a",
            json!({
                "settings": lower,
                "mappings": {"properties": {
                    "normal": {"type": "keyword", "normalizer": "lower"},
                    "text": {"type": "text", "fields": {"keyword": {"type": "keyword"}}},
                    "number": {"type": "long"},
                    "nested": {"properties": {"name": {"type": "keyword"}}},
                    "origin": {"type": "keyword", "copy_to": "copied"},
                    "copied": {"type": "keyword"},
                    "alias": {"type": "alias", "path": "origin"},
                }},
            }),
        )
        .await;
    let forms: [(&str, &str, Value); 12] = [
        ("normal", "msg-a", json!({"normal": "MSG-A"})),
        ("text.keyword", "a b", json!({"text": "a b"})),
        ("text.keyword", "a", json!({"text": ["a"]})),
        ("number", "7", json!({"number": 7})),
        ("number", "7", json!({"number": "7"})),
        ("number", "7", json!({"number": 7.0})),
        ("number", "7", json!({"number": " 7 ".trim()})),
        ("nested.name", "n", json!({"nested": {"name": "n"}})),
        ("nested.name", "n", json!({"nested.name": "n"})),
        (
            "nested.name",
            "n",
            json!({"nested": [{"name": "n"}, {"other": 1}]}),
        ),
        ("copied", "c", json!({"origin": "c"})),
        ("alias", "c", json!({"origin": "c"})),
    ];
    for (field, id, document) in forms {
        let source = by_field(&index, field);
        stage.put(&index, "d", document.clone()).await;
        let found = asked(&source, &index, id, "d").await;
        assert!(
            matches!(found, Document::Found { .. }),
            "{field}: {document}: {found:?}"
        );
        let other = asked(&source, &index, &format!("{id}0"), "d").await;
        assert!(
            matches!(other, Document::Missing(Absence::Replaced)),
            "{field}: {document}: {other:?}"
        );
    }
    stage.finish(&["a"]).await;
}

/// `GRANARY_SOURCE_DOC_ID` was proved on a sample, and one document isn't in it.
#[tokio::test]
async fn e4_a_document_whose_doc_id_is_not_the_messages_id_is_found_all_the_same() {
    let stage = Stage::new();
    let index = stage.index("a", plain_mapping()).await;
    let source = Source::new(SourceSettings {
        id_field: "id".to_owned(),
        doc_id_is_message_id: DocId::IsMessageId,
        ..settings(&index)
    })
    .unwrap();
    stage.put(&index, "1", json!({"id": "m-1", "swapped": 1})).await;
    stage.put(&index, "m-2", json!({"id": "m-3"})).await;
    stage.put(&index, "m-3", json!({"id": "m-2"})).await;
    assert!(text(&asked(&source, &index, "m-1", "m-1").await).contains("swapped"));
    assert!(text(&asked(&source, &index, "m-2", "m-2").await).contains("m-2"));
    assert!(text(&asked(&source, &index, "m-3", "m-3").await).contains("m-3"));
    stage.finish(&["a"]).await;
}

/// ILM and restores leave an alias under the old name.
#[tokio::test]
async fn e1_a_message_behind_an_alias_named_like_its_index_is_read_and_its_index_named() {
    let stage = Stage::new();
    let old = stage.name("old");
    let mut mapping = plain_mapping();
    mapping["aliases"] = json!({&old: {}});
    let new = stage.index("new", mapping).await;
    stage.put(&new, "d", json!({"id": "m"})).await;
    let found = asked(&by_field(&old, "id"), &old, "m", "d").await;
    let Document::Found { moved_to, .. } = found else {
        panic!("{found:?}")
    };
    assert_eq!(moved_to.map(|place| place.index), Some(new));
    stage.finish(&["new"]).await;
}

/// An answer that holds what was asked for, but of each document what another one has: a cache, a proxy.
#[tokio::test]
async fn e4_an_answer_about_other_documents_is_no_answer() {
    let item = |id: &str| json!({"_index": "m", "_id": id, "_version": 1, "_seq_no": 0, "_primary_term": 1, "found": true, "_source": {"of": id}});
    let answer = json!({"docs": [item("b"), item("a")]}).to_string();
    let source = Source::new(SourceSettings {
        id_field: "_id".to_owned(),
        ..foreign_server(200, &answer)
    })
    .unwrap();
    let wanted = [reference("m", "a"), reference("m", "b")];
    let error = source.documents(&wanted, &enough()).await.unwrap_err();
    assert!(error.is_platforms(), "{error}");
}

/// H7, E8: what Elasticsearch answers with 500 is about a document only where it says that it can't write it out.
#[tokio::test]
async fn e8_an_error_of_an_unknown_type_is_an_outage_and_never_a_documents_fault() {
    for (kind, is_blamed) in [("null_pointer_exception", false), ("json_parse_exception", true)] {
        let answer = json!({"error": {"type": kind, "reason": "x"}, "status": 500}).to_string();
        let source = Source::new(foreign_server(500, &answer)).unwrap();
        let error = source
            .documents(&[reference("m", "a")], &enough())
            .await
            .unwrap_err();
        assert!(error.is_platforms(), "{error}");
        assert_eq!(
            matches!(error, SourceError::BrokeOff { .. }),
            is_blamed,
            "{error:?}"
        );
    }
}

/// A server that gives this answer to every request, as Elasticsearch's.
fn foreign_server(status: u16, answer: &str) -> SourceSettings {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    let answer = format!(
        "HTTP/1.1 {status} X\r\nx-elastic-product: Elasticsearch\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{answer}",
        answer.len()
    );
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    SourceSettings {
        url,
        request_timeout: std::time::Duration::from_secs(1),
        ..settings("m")
    }
}
