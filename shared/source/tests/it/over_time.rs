//! Counts over time, and what is read by ids.

use crate::stage::{Stage, plain_mapping, range, settings, source, the_day};
use granary_domain::MessageId;
use granary_source::{CountedSpan, DocId, PageRequest, Position, Source, Span};
use serde_json::json;

fn counted(spans: &[CountedSpan]) -> Vec<(String, u64)> {
    spans
        .iter()
        .map(|span| (span.from.to_string(), span.messages))
        .collect()
}

fn ids(ids: &[&str]) -> Vec<MessageId> {
    let ids = ids.iter().map(|id| (*id).to_owned().try_into().unwrap());
    ids.collect()
}

#[tokio::test]
async fn messages_are_counted_by_the_hour_and_by_the_day_within_their_range() {
    let stage = Stage::new();
    let index = stage.index("a", plain_mapping()).await;
    stage
        .write_messages(
            &index,
            &[
                ("before", "2026-03-01T09:59:59.999Z"),
                ("1", "2026-03-01T10:00:00Z"),
                ("2", "2026-03-01T10:59:59.999Z"),
                ("3", "2026-03-01T13:00:00Z"),
                ("4", "2026-03-02T00:30:00Z"),
                ("after", "2026-03-02T01:00:00Z"),
            ],
        )
        .await;
    let source = source(&index);
    let range = range("2026-03-01T10:00:00Z", "2026-03-02T01:00:00Z");
    let hours = source.count_over_time(range, None, Span::Hour).await.unwrap();
    assert_eq!(
        counted(&hours),
        [
            ("2026-03-01T10:00:00Z".to_owned(), 2),
            ("2026-03-01T13:00:00Z".to_owned(), 1),
            ("2026-03-02T00:00:00Z".to_owned(), 1),
        ]
    );
    let days = source.count_over_time(range, None, Span::Day).await.unwrap();
    assert_eq!(
        counted(&days),
        [
            ("2026-03-01T00:00:00Z".to_owned(), 3),
            ("2026-03-02T00:00:00Z".to_owned(), 1),
        ]
    );
    let one = json!({"term": {"id": "3"}});
    let filtered = source
        .count_over_time(range, Some(&one), Span::Hour)
        .await
        .unwrap();
    assert_eq!(counted(&filtered), [("2026-03-01T13:00:00Z".to_owned(), 1)]);
    stage.finish(&["a"]).await;
}

#[tokio::test]
async fn a_pattern_that_stands_for_no_index_counts_nothing_over_time() {
    let stage = Stage::new();
    let source = source(&stage.name("none-*"));
    let spans = source.count_over_time(the_day(), None, Span::Hour).await.unwrap();
    assert_eq!(spans, []);
    stage.finish(&[]).await;
}

#[tokio::test]
async fn documents_are_found_by_the_messages_ids_whatever_field_holds_them() {
    let stage = Stage::new();
    let index = stage.index("a", plain_mapping()).await;
    stage
        .write(
            &index,
            &[
                (
                    json!({"_id": "doc-1"}),
                    json!({"id": "m-1", "at": "2026-03-01T10:00:00Z"}).to_string(),
                ),
                (
                    json!({"_id": "doc-2"}),
                    json!({"id": "m-2", "at": "2026-03-01T11:00:00Z"}).to_string(),
                ),
            ],
        )
        .await;
    let mut by_field = settings(&index);
    by_field.id_field = "id".to_owned();
    by_field.doc_id_is_message_id = DocId::IsItsOwn;
    for (source, wanted) in [
        (Source::new(by_field).unwrap(), ids(&["m-2", "nowhere"])),
        (source(&index), ids(&["doc-2", "m-1"])),
    ] {
        let filter = source.filter_of_ids(&wanted);
        let pit = source.open_pit().await.unwrap();
        let request = PageRequest {
            pit: &pit,
            range: the_day(),
            filter: Some(&filter),
            position: &Position::Start,
            size: 10,
        };
        let page = source.page(&request).await.unwrap();
        assert_eq!(
            page.hits
                .iter()
                .map(|hit| hit.message_id.clone())
                .collect::<Vec<_>>(),
            [Some(wanted[0].clone())]
        );
        source.close_pit(page.pit).await.unwrap();
    }
    stage.finish(&["a"]).await;
}
