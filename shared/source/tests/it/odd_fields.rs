//! Fields that are not what their names say: dotted, below a flattened one, an alias of another, or in another cluster.

use crate::stage::{Stage, ids, plain_mapping, read_all, settings, the_day};
use crate::survey::{date, from, keyword, with_fields};
use granary_source::{ByteAllowance, Document, DocumentRef, Role, Source, SourceProblem};
use serde_json::{Value, json};

/// Field case 34: what OpenTelemetry keeps as attributes.
#[tokio::test]
async fn h9_e1_an_id_below_a_flattened_field_is_harvested_and_read() {
    let stage = Stage::new();
    let mapping = json!({"mappings": {"properties": {"at": date(), "attributes": {"type": "flattened"}}}});
    let index = stage.index("a", mapping).await;
    let document = json!({"at": "2026-03-01T09:00:00Z", "attributes": {"message.id": "m1"}});
    stage.put(&index, "1", document.clone()).await;
    let source = Source::new(with_fields(&index, "attributes.message.id", "at")).unwrap();
    let hits = read_all(&source, 10).await;
    assert_eq!(ids(&hits), ["m1"]);
    let wanted = |doc_id| DocumentRef {
        message_id: "m1",
        index: &index,
        doc_id,
        routing: None,
    };
    let allowance = ByteAllowance::new(1_000_000);
    // The second is not where it was seen, and is searched for by its id.
    let read = source
        .documents(&[wanted("1"), wanted("2")], &allowance)
        .await
        .unwrap();
    for read in read {
        let Document::Found { source, .. } = read else {
            panic!("{read:?}")
        };
        assert_eq!(serde_json::from_slice::<Value>(&source).unwrap(), document);
    }
    stage.finish(&["a"]).await;
}

/// Field case 34: dotted names beside each other, and fields under an alias' name.
#[tokio::test]
async fn h9_e1_dotted_fields_and_aliases_of_fields_are_harvested_and_read() {
    let stage = Stage::new();
    let properties = json!({
        "at": date(), "at.iso": keyword(), "m.id": keyword(),
    });
    let dotted = json!({"mappings": {"subobjects": false, "properties": properties}});
    let dotted = stage.index("dotted", dotted).await;
    stage
        .put(
            &dotted,
            "1",
            json!({"at": "2026-03-01T09:00:00Z", "at.iso": "x", "m.id": "m1"}),
        )
        .await;
    let properties = json!({
        "time": {"type": "date", "ignore_malformed": true}, "name": keyword(),
        "at": {"type": "alias", "path": "time"}, "m": {"properties": {"id": {"type": "alias", "path": "name"}}},
    });
    let aliased = stage
        .index("aliased", json!({"mappings": {"properties": properties}}))
        .await;
    stage
        .put(
            &aliased,
            "2",
            json!({"time": "2026-03-01T10:00:00Z", "name": "m2"}),
        )
        .await;
    stage
        .put(&aliased, "3", json!({"time": "yesterday", "name": "m3"}))
        .await;
    let source = Source::new(with_fields(&stage.name("*"), "m.id", "at")).unwrap();
    assert_eq!(ids(&read_all(&source, 1).await), ["m1", "m2"]);
    let wanted = [("m1", &dotted, "1"), ("m2", &aliased, "2"), ("m2", &aliased, "9")].map(
        |(message_id, index, doc_id)| DocumentRef {
            message_id,
            index,
            doc_id,
            routing: None,
        },
    );
    let read = source.documents(&wanted, &ByteAllowance::new(1_000_000)).await;
    for document in read.unwrap() {
        assert!(matches!(document, Document::Found { .. }), "{document:?}");
    }
    let outside = source.count_outside(the_day()).await.unwrap();
    assert_eq!((outside.without_time, outside.malformed), (1, 1));
    stage.finish(&["dotted", "aliased"]).await;
}

/// Elasticsearch answers for a cluster that can't be reached as if it had no entries.
#[tokio::test]
async fn h15_e5_a_metadata_index_of_another_cluster_is_refused_and_never_taken_for_empty() {
    let stage = Stage::new();
    let index = stage.index("a", plain_mapping()).await;
    let source = Source::new(settings(&index)).unwrap();
    let from = from(&format!("r:{index}"), "id");
    let remote = SourceProblem::Remote {
        role: Role::Metadata(from.name.clone()),
        name: from.index.clone(),
    };
    assert_eq!(source.survey_metadata(&from).await, [remote]);
    let id = granary_domain::MessageId::try_from("m".to_owned()).unwrap();
    let error = source
        .metadata(&from, &[&id], &ByteAllowance::new(1_000_000))
        .await
        .unwrap_err();
    assert!(
        !error.is_platforms() && error.to_string().contains("names a remote cluster"),
        "{error}"
    );
    stage.finish(&["a"]).await;
}
