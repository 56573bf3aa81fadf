//! Vectors are part of a document, whatever Elasticsearch leaves out of `_source` by default (9.2 and later).

use crate::stage::{Stage, settings};
use granary_domain::{MessageId, MetadataSource};
use granary_source::{ByteAllowance, Document, DocumentRef, Kept, Metadata, Role, Source, SourceProblem};
use serde_json::{Value, json};

/// Field case 16.
#[tokio::test]
async fn e6_a_vector_is_read_with_its_document_and_with_metadata() {
    let stage = Stage::new();
    let index = stage.name("a");
    let mapping = |vector: Value| {
        let properties = json!({"at": {"type": "date"}, "id": {"type": "keyword"}, "vector": vector});
        json!({"mappings": {"properties": properties}})
    };
    // The oldest Elasticsearch keeps vectors in a module that isn't there in tests: a list of numbers is read the same way.
    let with_vector = mapping(json!({"type": "dense_vector", "dims": 3, "index": false}));
    if stage.writer.create_index(&index, &with_vector).await.is_err() {
        stage.index("a", mapping(json!({"type": "float"}))).await;
    }
    let document = json!({"id": "m", "at": "2026-03-01T09:00:00Z", "vector": [1.5, 2.5, -3.5]});
    stage.put(&index, "m", document.clone()).await;
    let source = Source::new(settings(&index)).unwrap();
    let version = source.version().await.unwrap();
    let (major, minor) = version.split_once('.').unwrap();
    let minor = minor.split('.').next().unwrap();
    let keeps_apart = (major.parse::<u32>().unwrap(), minor.parse::<u32>().unwrap()) >= (9, 2);
    let kept = SourceProblem::SourceKept {
        role: Role::Messages,
        kept: Kept::AllButVectors,
        indices: vec![index.clone()],
    };
    let expected = if keeps_apart { vec![kept] } else { Vec::new() };
    assert_eq!(source.survey().await.problems(), expected);
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
