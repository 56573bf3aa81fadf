//! Related documents, joined by the message's id.

use crate::stage::{Stage, source};
use bytes::Bytes;
use granary_domain::{MessageId, MetadataSource};
use granary_source::{ByteAllowance, Metadata, Source, SourceError};
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

/// E5, H3: `date` in milliseconds and `date_nanos`, before 1970 and after 2262, in two indices: by instant, over all pages.
#[tokio::test]
async fn e5_h3_entries_are_in_order_of_their_instants_whatever_kind_of_date_they_have() {
    let stage = Stage::new();
    let mut nanos = mapping();
    nanos["mappings"]["properties"]["at"]["type"] = json!("date_nanos");
    let (millis, nanos) = (
        stage.index("h-1", mapping()).await,
        stage.index("h-2", nanos).await,
    );
    let entry = |n: usize, at: &str| {
        (
            json!({}),
            json!({"message_id": "m", "at": at, "n": n}).to_string(),
        )
    };
    let times = [
        (0, "1965-05-05T05:05:05Z"),
        (2, "2026-03-01T10:00:00.124Z"),
        (4, "2300-01-01T00:00:00Z"),
        (5, "1767261600000000"),
    ];
    let of_millis: Vec<_> = times.iter().map(|(n, at)| entry(*n, at)).collect();
    let of_nanos = [
        (1, "2026-03-01T10:00:00.123999999Z"),
        (3, "2026-03-01T10:00:00.124000001Z"),
    ];
    let of_nanos: Vec<_> = of_nanos.iter().map(|(n, at)| entry(*n, at)).collect();
    stage.write(&millis, &of_millis).await;
    stage.write(&nanos, &of_nanos).await;
    stage
        .write(
            &nanos,
            &[(json!({}), json!({"message_id": "m", "n": 6}).to_string())],
        )
        .await;
    let both = stage.name("h-*");
    let m = id("m");
    let numbers = async |many| -> Vec<u64> {
        let found = source(&both)
            .metadata(&from(&both, many), &[&m], &enough())
            .await
            .unwrap();
        let Metadata::Found(found) = found else {
            panic!("{found:?}")
        };
        let number = |entry: &Bytes| {
            let entry: Value = serde_json::from_slice(entry).unwrap();
            entry["n"].as_u64().unwrap()
        };
        found[0].iter().map(number).collect()
    };
    assert_eq!(numbers(true).await, [0, 1, 2, 3, 4, 5, 6]);
    assert_eq!(numbers(false).await, [0]);

    // More than one answer shows: it is paged.
    let more: Vec<_> = (0..10_200)
        .map(|n| entry(n + 100, "2026-03-01T10:00:01Z"))
        .collect();
    stage.write(&nanos, &more).await;
    let all = numbers(true).await;
    assert_eq!((all.len(), &all[..4]), (10_207, &[0, 1, 2, 3][..]));
    assert_eq!(all[10_204..], [4, 5, 6]);
    stage.finish(&["h-1", "h-2"]).await;
}

async fn refused(source: &Source, from: &MetadataSource, ids: &[&MessageId]) -> String {
    let error = source.metadata(from, ids, &enough()).await.unwrap_err();
    assert!(matches!(error, SourceError::Refused { .. }), "{error}");
    error.to_string()
}

/// Field case 2: mapped dynamically, a key is a text, and a search for its words finds nothing, or fails.
#[tokio::test]
async fn e5_h15_a_key_that_can_not_find_its_entries_is_refused_with_a_remedy() {
    let stage = Stage::new();
    let text = stage.index("text", json!({})).await;
    stage
        .put(&text, "1", json!({"message_id": "4f1c-9A-77", "at": 1}))
        .await;
    let unmapped = stage
        .index("unmapped", json!({"mappings": {"dynamic": false}}))
        .await;
    stage.put(&unmapped, "1", json!({"message_id": "m"})).await;
    let unindexed =
        json!({"mappings": {"properties": {"message_id": {"type": "keyword", "doc_values": false}}}});
    let unindexed = stage.index("unindexed", unindexed).await;
    let unkept = json!({"mappings": {"_source": {"enabled": false}, "properties": {"message_id": {"type": "keyword"}}}});
    let unkept = stage.index("unkept", unkept).await;
    stage.put(&unkept, "1", json!({"message_id": "4f1c-9A-77"})).await;
    let mut fewer = mapping();
    fewer["settings"]["max_docvalue_fields_search"] = json!(0);
    let fewer = stage.index("fewer", fewer).await;
    let lower = json!({
        "settings": {"analysis": {"normalizer": {"lower": {"type": "custom", "filter": ["lowercase"]}}}},
        "mappings": {"properties": {"message_id": {"type": "keyword", "normalizer": "lower"}}},
    });
    let lower = stage.index("lower", lower).await;
    stage.put(&lower, "1", json!({"message_id": "4f1c-9A-77"})).await;
    let (m, source) = (id("4f1c-9A-77"), source(&text));
    for (index, part) in [
        (&text, "message_id.keyword"),
        (&unmapped, "isn't mapped"),
        (&unindexed, "has no doc values"),
        (&lower, "without a normalizer"),
        (&unkept, "doesn't keep `_source`"),
        (&fewer, "max_docvalue_fields_search"),
    ] {
        let mut from = from(index, false);
        from.sort = None;
        let error = refused(&source, &from, &[&m]).await;
        assert!(error.contains(part), "{index}: {error}");
    }
    let mut keyword = from(&text, false);
    keyword.key = "message_id.keyword".to_owned();
    let found = source.metadata(&keyword, &[&m], &enough()).await.unwrap();
    assert!(matches!(found, Metadata::Found(found) if found[0].len() == 1));
    stage
        .finish(&["text", "unmapped", "unindexed", "lower", "unkept", "fewer"])
        .await;
}

/// Field case 20: an id that is no number has no entry where the keys are numbers; the others have theirs.
#[tokio::test]
async fn e5_ids_that_a_key_of_numbers_can_not_hold_have_no_entry() {
    let stage = Stage::new();
    let numbers = json!({"mappings": {"properties": {"message_id": {"type": "long"}}}});
    let index = stage.index("numbers", numbers).await;
    stage.put(&index, "1", json!({"message_id": 7, "at": 1})).await;
    let ids = ["msg-8", "7", "99999999999999999999", "007", "-1"].map(id);
    let ids: Vec<&MessageId> = ids.iter().collect();
    let found = source(&index)
        .metadata(&from(&index, true), &ids, &enough())
        .await
        .unwrap();
    let Metadata::Found(found) = found else {
        panic!("{found:?}")
    };
    assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), [0, 1, 0, 0, 0]);
    stage.finish(&["numbers"]).await;
}

/// Field case 8: an index that shows fewer hits at once than others is read in smaller pages.
#[tokio::test]
async fn e5_a_small_result_window_makes_pages_smaller() {
    let stage = Stage::new();
    let mut small = mapping();
    small["settings"]["max_result_window"] = json!(100);
    let index = stage.index("small", small).await;
    stage
        .write(&index, &(0..250).rev().map(|n| entry("m", n)).collect::<Vec<_>>())
        .await;
    let m = id("m");
    let found = source(&index)
        .metadata(&from(&index, true), &[&m], &enough())
        .await
        .unwrap();
    let expected: Vec<Bytes> = (0..250).map(|n| Bytes::from(entry("m", n).1)).collect();
    assert_eq!(found, Metadata::Found(vec![expected]));
    stage.finish(&["small"]).await;
}

/// `date_detection` is on by default and takes ids that look like days for dates, which come back in another form.
#[tokio::test]
async fn e5_h15_a_key_whose_ids_were_taken_for_dates_is_refused_and_no_entry_is_dropped() {
    let stage = Stage::new();
    let index = stage.index("dates", json!({})).await;
    stage
        .put(&index, "1", json!({"message_id": "2026-03-01", "at": 1}))
        .await;
    let mut from = from(&index, true);
    from.sort = None;
    let error = refused(&source(&index), &from, &[&id("2026-03-01")]).await;
    assert!(
        error.contains("must be a keyword or a whole number, but is date") && error.contains(&index),
        "{error}"
    );
    stage.finish(&["dates"]).await;
}
