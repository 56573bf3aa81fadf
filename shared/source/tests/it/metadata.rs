//! Related documents, joined by the message's id.

use crate::stage::{Stage, source};
use bytes::Bytes;
use granary_domain::{MessageId, MetadataSource};
use granary_source::{ByteAllowance, Metadata, SourceError};
use serde_json::{Value, json};

fn enough() -> ByteAllowance {
    ByteAllowance::new(100_000_000)
}

fn mapping() -> Value {
    let fields = json!({"message_id": {"type": "keyword"}, "at": {"type": "date"}});
    json!({"settings": {"number_of_shards": 2}, "mappings": {"dynamic": false, "properties": fields}})
}

fn from(index: &str, many: bool) -> MetadataSource {
    let sort = Some("at".to_owned());
    let name = "history".to_owned().try_into().unwrap();
    MetadataSource {
        name,
        index: index.to_owned(),
        key: "message_id".to_owned(),
        many,
        sort,
    }
}

fn id(text: &str) -> MessageId {
    text.to_owned().try_into().unwrap()
}

fn entry(message: &str, n: usize) -> (Value, String) {
    let at = 1_772_000_000_000_u64 + n as u64;
    (
        json!({}),
        format!(r#"{{"n":{n}.0,"message_id":"{message}","at":{at}}}"#),
    )
}

#[tokio::test]
async fn e5_more_entries_than_one_search_may_show_are_all_there_in_order() {
    let stage = Stage::new();
    let index = stage.index("history", mapping()).await;
    let mut entries: Vec<_> = (0..10_500).rev().map(|n| entry("busy", n)).collect();
    entries.push(entry("calm", 7));
    entries.push(entry("other", 8));
    stage.write(&index, &entries).await;
    let (calm, busy, silent) = (id("calm"), id("busy"), id("silent"));
    let wanted = [&calm, &busy, &silent];
    let found = source(&index)
        .metadata(&from(&index, true), &wanted, &enough())
        .await
        .unwrap();
    let Metadata::Found(found) = found else {
        panic!("{found:?}")
    };
    assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), [1, 10_500, 0]);
    let expected: Vec<Bytes> = (0..10_500).map(|n| Bytes::from(entry("busy", n).1)).collect();
    assert_eq!(found[1], expected);

    let one = source(&index)
        .metadata(&from(&index, false), &wanted, &enough())
        .await
        .unwrap();
    let first = |message, n| vec![Bytes::from(entry(message, n).1)];
    assert_eq!(
        one,
        Metadata::Found(vec![first("calm", 7), first("busy", 0), Vec::new()])
    );

    let error = source(&index)
        .metadata(&from(&index, true), &wanted, &ByteAllowance::new(10_000))
        .await
        .unwrap_err();
    assert!(matches!(error, SourceError::TooLarge { .. }), "{error}");
    stage.finish(&["history"]).await;
}

#[tokio::test]
async fn e5_an_absent_index_and_an_empty_one_are_told_apart() {
    let stage = Stage::new();
    let empty = stage.index("empty", json!({})).await;
    let message = id("m");
    let source = source(&empty);
    for absent in [stage.name("absent"), stage.name("absent-*")] {
        let found = source
            .metadata(&from(&absent, true), &[&message], &enough())
            .await
            .unwrap();
        assert_eq!(found, Metadata::IndexMissing, "{absent}");
    }
    let found = source
        .metadata(&from(&empty, true), &[&message], &enough())
        .await
        .unwrap();
    assert_eq!(found, Metadata::Found(vec![Vec::new()]));
    stage.finish(&["empty"]).await;
}

#[tokio::test]
async fn metadata_may_be_joined_by_its_own_doc_id_and_belong_to_several_messages() {
    let stage = Stage::new();
    let index = stage.index("status", mapping()).await;
    let shared = r#"{"message_id":["a","b"],"at":1}"#;
    stage
        .write(&index, &[(json!({"_id": "b"}), shared.to_owned())])
        .await;
    let (a, b) = (id("a"), id("b"));
    let source = source(&index);
    let found = source
        .metadata(&from(&index, false), &[&a, &b], &enough())
        .await
        .unwrap();
    assert_eq!(
        found,
        Metadata::Found(vec![vec![shared.into()], vec![shared.into()]])
    );
    let by_doc_id = MetadataSource {
        key: "_id".to_owned(),
        sort: None,
        ..from(&index, false)
    };
    let found = source.metadata(&by_doc_id, &[&a, &b], &enough()).await.unwrap();
    assert_eq!(found, Metadata::Found(vec![Vec::new(), vec![shared.into()]]));
    stage.finish(&["status"]).await;
}
