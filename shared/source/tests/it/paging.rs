//! Pages of ids, their counts, and the bounds of event time.

use crate::stage::{Stage, id_set, ids, plain_mapping, range, read_all, read_on, settings, source, the_day};
use granary_domain::TimeRange;
use granary_source::{DocId, Outside, PageRequest, Position, Source, SourceError};
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn numbered(count: usize, at: &str) -> Vec<(Value, String)> {
    (0..count)
        .map(|n| {
            (
                json!({"_id": format!("m{n}")}),
                json!({"id": format!("m{n}"), "at": at}).to_string(),
            )
        })
        .collect()
}

#[tokio::test]
async fn h1_messages_of_one_instant_are_shown_once_each_across_pages() {
    let stage = Stage::new();
    let index = stage.index("a", plain_mapping()).await;
    stage
        .write(&index, &numbered(250, "2026-03-01T10:00:00.123Z"))
        .await;
    let hits = read_all(&source(&index), 100).await;
    assert_eq!((hits.len(), id_set(&hits).len()), (250, 250));
    assert!(
        hits.iter()
            .all(|hit| *hit.index == *index && hit.doc_id.is_none() && hit.routing.is_none())
    );
    stage.finish(&["a"]).await;
}

#[tokio::test]
async fn h2_more_hits_than_one_search_may_show_are_paged_and_counted() {
    let stage = Stage::new();
    let index = stage.index("a", plain_mapping()).await;
    stage
        .write(&index, &numbered(10_500, "2026-03-01T10:00:00Z"))
        .await;
    assert_eq!(id_set(&read_all(&source(&index), 10_000).await).len(), 10_500);
    stage.finish(&["a"]).await;
}

#[tokio::test]
async fn h3_millis_and_nanos_are_in_one_order_and_exact() {
    let stage = Stage::new();
    let nanos =
        json!({"mappings": {"properties": {"id": {"type": "keyword"}, "at": {"type": "date_nanos"}}}});
    let (millis, nanos) = (
        stage.index("millis", plain_mapping()).await,
        stage.index("nanos", nanos).await,
    );
    stage.index("unmapped", json!({})).await;
    stage
        .write_messages(
            &millis,
            &[("1", "2026-03-01T10:00:00.001Z"), ("4", "2026-03-01T11:00:00Z")],
        )
        .await;
    stage
        .write_messages(
            &millis,
            &[
                ("5", "2026-03-01T11:00:00+00:00"),
                ("7", "2026-03-01T23:59:59.999Z"),
            ],
        )
        .await;
    let exact = "2026-03-01T10:00:00.001000001Z";
    stage
        .write_messages(&nanos, &[("2", exact), ("3", "2026-03-01T10:30:00.123456789Z")])
        .await;
    stage
        .write_messages(
            &nanos,
            &[
                ("6", "2026-03-01T23:59:59.998999999Z"),
                ("8", "2026-03-02T00:00:00Z"),
            ],
        )
        .await;
    let source = source(&stage.name("*"));
    for size in [1, 2, 3] {
        let hits = read_all(&source, size).await;
        let found = ids(&hits);
        assert_eq!(found.len(), 7, "{found:?}");
        // Within a millisecond there is no order.
        let pairs = [&found[0..2], &found[3..5]].map(|pair| pair.iter().collect::<BTreeSet<_>>());
        assert_eq!(format!("{pairs:?}"), r#"[{"1", "2"}, {"4", "5"}]"#);
        assert_eq!([&found[2], &found[5], &found[6]], ["3", "6", "7"]);
        let nanos = hits
            .iter()
            .find(|hit| hit.message_id.as_ref().unwrap().as_str() == "2");
        assert_eq!(nanos.unwrap().event_time, exact.parse().unwrap());
    }
    let (first, last) = source.bounds(TimeRange::EVER, None).await.unwrap().unwrap();
    assert_eq!(
        (first.to_string().as_str(), last.to_string().as_str()),
        ("2026-03-01T10:00:00.001Z", "2026-03-02T00:00:00Z")
    );
    let later = range("2026-03-01T10:00:00.001000Z", "2026-03-02T00:00:00Z");
    let only_nanos = json!({"terms": {"id": ["2", "3"]}});
    assert_eq!(
        source.first_event(later, Some(&only_nanos)).await.unwrap(),
        Some("2026-03-01T10:00:00.001Z".parse().unwrap())
    );
    stage.finish(&["millis", "nanos", "unmapped"]).await;
}

#[tokio::test]
async fn h4_after_a_lost_point_in_time_a_new_one_goes_on_and_skips_nothing() {
    let stage = Stage::new();
    let index = stage.index("a", plain_mapping()).await;
    stage.write(&index, &numbered(30, "2026-03-01T10:00:00Z")).await;
    stage
        .write_messages(
            &index,
            &[
                ("early", "2026-03-01T09:00:00Z"),
                ("late", "2026-03-01T11:00:00Z"),
            ],
        )
        .await;
    let source = source(&index);
    let pit = source.open_pit().await.unwrap();
    let first = PageRequest {
        pit: &pit,
        range: the_day(),
        filter: None,
        position: &Position::Start,
        size: 10,
    };
    let page = source.page(&first).await.unwrap();
    source.close_pit(page.pit.clone()).await.unwrap();
    source
        .close_pit(page.pit.clone())
        .await
        .expect("closing twice is fine");
    let after = Position::After(page.next.unwrap());
    let lost = PageRequest {
        pit: &page.pit,
        position: &after,
        ..first
    };
    assert_eq!(source.page(&lost).await.unwrap_err(), SourceError::PitLost);
    let anew = source.open_pit().await.unwrap();
    let (all, pit) = read_on(&source, anew, Position::Start, 10).await;
    source.close_pit(pit).await.unwrap();
    assert_eq!(id_set(&all).len(), 32);
    stage.finish(&["a"]).await;
}

#[tokio::test]
async fn h9_messages_without_a_time_are_counted() {
    let stage = Stage::new();
    let mapping = json!({"mappings": {"properties": {"at": {"type": "date", "ignore_malformed": true}}}});
    let index = stage.index("a", mapping).await;
    stage
        .write_messages(
            &index,
            &[("good", "2026-03-01T09:00:00Z"), ("malformed", "yesterday")],
        )
        .await;
    stage
        .write(&index, &[(json!({"_id": "timeless"}), "{}".to_owned())])
        .await;
    let source = source(&index);
    assert_eq!(ids(&read_all(&source, 10).await), ["good"]);
    let outside = Outside {
        without_time: 2,
        malformed: 1,
        ..Outside::default()
    };
    assert_eq!(source.count_outside(the_day()).await.unwrap(), outside);
    stage.finish(&["a"]).await;
}

#[tokio::test]
async fn h12_an_index_deleted_under_a_point_in_time_makes_it_a_lost_one() {
    let stage = Stage::new();
    let (kept, deleted) = (
        stage.index("kept", plain_mapping()).await,
        stage.index("deleted", plain_mapping()).await,
    );
    stage
        .write_messages(&kept, &[("k", "2026-03-01T09:00:00Z")])
        .await;
    stage
        .write_messages(&deleted, &[("d", "2026-03-01T09:00:00Z")])
        .await;
    let source = source(&stage.name("*"));
    let pit = source.open_pit().await.unwrap();
    stage.writer.delete_index(&deleted).await.unwrap();
    let request = PageRequest {
        pit: &pit,
        range: the_day(),
        filter: None,
        position: &Position::Start,
        size: 10,
    };
    assert_eq!(source.page(&request).await.unwrap_err(), SourceError::PitLost);
    assert_eq!(ids(&read_all(&source, 10).await), ["k"]);
    stage.finish(&["kept"]).await;
}

#[tokio::test]
async fn h12_nothing_is_found_under_a_pattern_without_an_index() {
    let source = source(&Stage::new().name("*"));
    assert_eq!(read_all(&source, 10).await, []);
    assert_eq!(source.bounds(TimeRange::EVER, None).await.unwrap(), None);
}

/// Upper and lower case twins, composed and decomposed forms, blanks, quotes, control characters, the full length.
fn awkward_ids() -> Vec<String> {
    let mut ids: Vec<String> = [
        "case",
        "CASE",
        "é",
        "e\u{301}",
        "📨",
        "trail",
        "trail ",
        " lead",
        "a\"b'c\\d/e",
        "\u{1}\u{7f}",
    ]
    .map(str::to_owned)
    .into();
    ids.extend([
        "x,y*z?".to_owned(),
        "日本語".to_owned(),
        "n".repeat(512),
        "🗄".repeat(128),
    ]);
    ids
}

#[tokio::test]
async fn h13_ids_come_back_byte_for_byte() {
    let stage = Stage::new();
    let index = stage.index("a", plain_mapping()).await;
    let awkward = awkward_ids();
    let messages: Vec<_> = awkward
        .iter()
        .map(|id| (id.as_str(), "2026-03-01T09:00:00Z"))
        .collect();
    stage.write_messages(&index, &messages).await;
    let expected = awkward.iter().cloned().collect();
    for (id_field, doc_id_is_message_id) in [
        ("_id", DocId::IsItsOwn),
        ("id", DocId::IsItsOwn),
        ("id", DocId::IsMessageId),
        ("_id", DocId::IsMessageId),
    ] {
        let id_field = id_field.to_owned();
        let source = Source::new(granary_source::SourceSettings {
            id_field,
            doc_id_is_message_id,
            ..settings(&index)
        });
        let hits = read_all(&source.unwrap(), 3).await;
        assert_eq!(id_set(&hits), expected);
        assert!(hits.iter().all(|hit| hit.doc_id.is_none()));
    }
    stage.finish(&["a"]).await;
}

#[tokio::test]
async fn h13_a_hit_without_a_usable_id_says_so_and_keeps_its_document() {
    let stage = Stage::new();
    let index = stage.index("a", plain_mapping()).await;
    let at = "2026-03-01T09:00:00Z";
    let sources = [
        ("absent", json!({ "at": at })),
        ("empty", json!({"at": at, "id": ""})),
        ("long", json!({"at": at, "id": "x".repeat(513)})),
        ("two", json!({"at": at, "id": ["a", "b"]})),
        ("good", json!({"at": at, "id": "message"})),
    ];
    let documents: Vec<_> = sources
        .iter()
        .map(|(id, source)| (json!({ "_id": id }), source.to_string()))
        .collect();
    stage.write(&index, &documents).await;
    let id_field = "id".to_owned();
    let source = Source::new(granary_source::SourceSettings {
        id_field,
        ..settings(&index)
    })
    .unwrap();
    let hits = read_all(&source, 10).await;
    let mut without: Vec<_> = hits
        .iter()
        .filter(|hit| hit.message_id.is_none())
        .filter_map(|hit| hit.doc_id.as_deref())
        .collect();
    without.sort_unstable();
    assert_eq!(without, ["absent", "empty", "long", "two"]);
    let good = hits.iter().find(|hit| hit.message_id.is_some()).unwrap();
    assert_eq!(
        (ids(std::slice::from_ref(good)), good.doc_id.as_deref()),
        (vec!["message".to_owned()], Some("good"))
    );
    stage.finish(&["a"]).await;
}

#[tokio::test]
async fn only_what_matches_both_filters_is_shown() {
    let stage = Stage::new();
    let index = stage.index("a", plain_mapping()).await;
    stage.write(&index, &numbered(5, "2026-03-01T10:00:00Z")).await;
    let own = Some(json!({"terms": {"id": ["m1", "m2", "m3"]}}));
    let source = Source::new(granary_source::SourceSettings {
        filter: own,
        ..settings(&index)
    })
    .unwrap();
    assert_eq!(id_set(&read_all(&source, 10).await).len(), 3);
    let filter = json!({"term": {"id": "m2"}});
    let pit = source.open_pit().await.unwrap();
    assert_eq!(source.count(&pit, the_day(), Some(&filter)).await.unwrap(), 1);
    source.close_pit(pit).await.unwrap();
    stage.finish(&["a"]).await;
}

#[tokio::test]
async fn a_position_survives_its_record() {
    let stage = Stage::new();
    let index = stage.index("a", plain_mapping()).await;
    stage.write(&index, &numbered(5, "2026-03-01T10:00:00Z")).await;
    let source = source(&index);
    let pit = source.open_pit().await.unwrap();
    let start = Position::Start;
    let request = PageRequest {
        pit: &pit,
        range: the_day(),
        filter: None,
        position: &start,
        size: 2,
    };
    let page = source.page(&request).await.unwrap();
    let record = serde_json::to_string(&Position::After(page.next.unwrap())).unwrap();
    let (rest, pit) = read_on(&source, page.pit, serde_json::from_str(&record).unwrap(), 2).await;
    assert_eq!(rest.len(), 3);
    source.close_pit(pit).await.unwrap();
    stage.finish(&["a"]).await;
}
