//! Vectors are part of a document, whatever Elasticsearch leaves out of `_source` by default (9.2 and later).

use crate::stage::{Stage, settings};
use granary_domain::{MessageId, MetadataSource};
use granary_source::{ByteAllowance, Document, DocumentRef, Metadata, Source};
use serde_json::{Value, json};

/// Field case 16.
#[tokio::test]
async fn e6_a_vector_is_read_with_its_document_and_with_metadata() {
    let stage = Stage::new();
    let vector = json!({"type": "dense_vector", "dims": 3, "index": false});
    let mapping = json!({"mappings": {"properties": {
        "at": {"type": "date"}, "id": {"type": "keyword"}, "vector": vector,
    }}});
    let index = stage.index("a", mapping).await;
    let document = json!({"id": "m", "at": "2026-03-01T09:00:00Z", "vector": [1.5, 2.5, -3.5]});
    stage.put(&index, "m", document.clone()).await;
    let source = Source::new(settings(&index)).unwrap();
    let wanted = DocumentRef {
        message_id: "m",
        index: &index,
        doc_id: "m",
        routing: None,
    };
    let allowance = ByteAllowance::new(1_000_000);
    let read = source.documents(&[wanted], &allowance).await.unwrap();
    let [Document::Found { source: bytes, .. }] = read.as_slice() else {
        panic!("{read:?}")
    };
    assert_eq!(serde_json::from_slice::<Value>(bytes).unwrap(), document);

    let from: MetadataSource =
        serde_json::from_value(json!({"name": "status", "index": index, "key": "id"})).unwrap();
    let id = MessageId::try_from("m".to_owned()).unwrap();
    let found = source.metadata(&from, &[&id], &allowance).await.unwrap();
    let Metadata::Found(found) = found else {
        panic!("{found:?}")
    };
    assert_eq!(serde_json::from_slice::<Value>(&found[0][0]).unwrap(), document);
    stage.finish(&["a"]).await;
}
