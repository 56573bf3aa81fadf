//! Full documents by id.

use crate::stage::{Stage, plain_mapping, read_all, settings, source};
use granary_source::{
    Absence, ByteAllowance, DocId, Document, DocumentRef, Source, SourceError, SourceSettings, State,
};
use serde_json::json;

pub(crate) fn enough() -> ByteAllowance {
    ByteAllowance::new(100_000_000)
}

pub(crate) fn reference<'a>(index: &'a str, doc_id: &'a str) -> DocumentRef<'a> {
    DocumentRef {
        message_id: doc_id,
        index,
        doc_id,
        routing: None,
    }
}

pub(crate) fn text(document: &Document) -> &str {
    let Document::Found { source, .. } = document else {
        panic!("{document:?}")
    };
    std::str::from_utf8(source).unwrap()
}

#[tokio::test]
async fn e6_source_is_byte_exact() {
    let stage = Stage::new();
    let raw = json!({"mappings": {"dynamic": false, "properties": {"at": {"type": "date"}}}});
    let index = stage.index("a", raw).await;
    let sources = [
        r#"{"big":9007199254740993,"bigger":123456789012345678901234567890,"float":1.10,"exp":1E+2,"minus":-0}"#,
        r#"{"huge":1e400,"tiny":1e-400}"#,
        r#"{"z":1,"a":2,"m":{"y":[ 1 , 2 ],"b":null}}"#,
        r#"{"escapes":"\u00e9\/\b\f\n\r\t\"\\ é 📨 \ud83d\ude00","key\u0041":1}"#,
        r#"{"lone":"\ud800","trail":"\udc00 x"}"#,
        r#"{}"#,
    ];
    let ids: Vec<String> = (0..sources.len()).map(|n| n.to_string()).collect();
    let documents: Vec<_> = ids
        .iter()
        .zip(sources)
        .map(|(id, text)| (json!({"_id": id}), text.to_owned()))
        .collect();
    stage.write(&index, &documents).await;
    let wanted: Vec<_> = ids.iter().map(|id| reference(&index, id)).collect();
    let found = source(&index).documents(&wanted, &enough()).await.unwrap();
    assert_eq!(found.iter().map(text).collect::<Vec<_>>(), sources);
    stage.finish(&["a"]).await;
}

#[tokio::test]
async fn e1_e2_each_document_has_an_answer_of_its_own_in_order() {
    let stage = Stage::new();
    let index = stage.index("a", plain_mapping()).await;
    let required = json!({"mappings": {"_routing": {"required": true}}});
    let required = stage.index("required", required).await;
    let unkept = stage
        .index("unkept", json!({"mappings": {"_source": {"enabled": false}}}))
        .await;
    stage.put(&index, "there", json!({})).await;
    stage.put(&index, "there", json!({"again": 1})).await;
    stage.put(&unkept, "unkept", json!({})).await;
    let absent = stage.name("absent");
    let wanted = [
        reference(&index, "gone"),
        reference(&absent, "gone, too"),
        reference(&index, "there"),
        reference(&required, "unrouted"),
        reference(&unkept, "unkept"),
    ];
    let source = source(&stage.name("*"));
    let found = source.documents(&wanted, &enough()).await.unwrap();
    assert_eq!(
        found[..2],
        [
            Document::Missing(Absence::Deleted),
            Document::Missing(Absence::IndexDeleted)
        ]
    );
    assert_eq!(
        found[2],
        Document::Found {
            version: 2,
            state: State {
                seq_no: 1,
                primary_term: 1
            },
            source: r#"{"again":1}"#.into(),
            moved_to: None
        }
    );
    let Document::Refused { reason } = &found[3] else {
        panic!("without its routing nothing is known of it: {found:?}")
    };
    assert!(reason.starts_with("routing_missing_exception"), "{reason}");
    assert_eq!(found[4], Document::WithoutSource);
    assert_eq!(source.documents(&[], &enough()).await.unwrap(), []);
    stage.finish(&["a", "required", "unkept"]).await;
}

#[tokio::test]
async fn e3_routed_documents_are_found_behind_an_alias() {
    let stage = Stage::new();
    let mut mapping = plain_mapping();
    mapping["settings"]["number_of_shards"] = json!(5);
    let alias = stage.name("alias");
    mapping["aliases"] = json!({&alias: {}});
    let indices = [
        stage.index("a", mapping.clone()).await,
        stage.index("b", mapping).await,
    ];
    for index in &indices {
        let document = |n: usize| {
            let action = json!({"_id": format!("d{n}"), "routing": format!("r{}", n % 7)});
            (
                action,
                json!({"id": format!("d{n}"), "at": "2026-03-01T09:00:00Z"}).to_string(),
            )
        };
        stage
            .write(index, &(0..20).map(document).collect::<Vec<_>>())
            .await;
    }
    let hits = read_all(&source(&alias), 7).await;
    assert_eq!(hits.len(), 40);
    let wanted: Vec<_> = hits
        .iter()
        .map(|hit| DocumentRef {
            message_id: hit.message_id.as_ref().unwrap().as_str(),
            index: &hit.index,
            doc_id: hit.message_id.as_ref().unwrap().as_str(),
            routing: hit.routing.as_deref(),
        })
        .collect();
    let found = source(&alias).documents(&wanted, &enough()).await.unwrap();
    assert!(
        wanted
            .iter()
            .zip(&found)
            .all(|(hit, document)| text(document).contains(hit.doc_id))
    );

    let bare = SourceSettings {
        id_field: "id".to_owned(),
        doc_id_is_message_id: DocId::IsMessageId,
        ..settings(&alias)
    };
    let bare = Source::new(bare).unwrap();
    let mut unrouted: Vec<_> = wanted
        .iter()
        .map(|hit| DocumentRef {
            routing: None,
            ..*hit
        })
        .collect();
    unrouted.push(reference(&indices[0], "gone"));
    let found = bare.documents(&unrouted, &enough()).await.unwrap();
    let (gone, found) = found.split_last().unwrap();
    assert_eq!(gone, &Document::Missing(Absence::Deleted));
    assert!(
        unrouted
            .iter()
            .zip(found)
            .all(|(hit, document)| text(document).contains(hit.doc_id))
    );
    stage.finish(&["a", "b"]).await;
}

#[tokio::test]
async fn e7_an_answer_past_the_limit_is_abandoned() {
    let stage = Stage::new();
    let index = stage.index("a", json!({"mappings": {"enabled": false}})).await;
    let large = json!({"text": "x".repeat(3_000_000)}).to_string();
    stage
        .write(&index, &[(json!({"_id": "large"}), large.clone())])
        .await;
    let (source, wanted) = (source(&index), [reference(&index, "large")]);
    let error = source
        .documents(&wanted, &ByteAllowance::new(1_000_000))
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            SourceError::TooLarge {
                byte_limit: 1_000_000,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(
        text(&source.documents(&wanted, &enough()).await.unwrap()[0]),
        large
    );
    stage.finish(&["a"]).await;
}
