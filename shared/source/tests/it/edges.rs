//! Event times at the edges: the year 1, before the year 1, after the year 9999, and `date` beside `date_nanos`, which
//! begins in 1970 and ends in 2262.

use crate::stage::{Stage, id_set, ids, plain_mapping, range, source};
use granary_domain::TimeRange;
use granary_source::{Hit, Outside, PageRequest, Position, Source, Span};
use serde_json::{Value, json};

/// Documents as people have them, with the range of all that can be on record around the sane ones.
const ODD: [(&str, &str); 5] = [
    ("never", "9999-12-31T23:59:59Z"),
    ("last", "9999-12-30T22:00:00Z"),
    ("microseconds", "1767261600000000"),
    ("bc", "-0090-03-27T04:26:40Z"),
    ("nought", "0000-06-01T00:00:00Z"),
];
const SANE: [(&str, &str); 5] = [
    ("one", "0001-01-01T00:00:00Z"),
    ("old", "1965-05-05T05:05:05Z"),
    ("epoch", "1970-01-01T00:00:00Z"),
    ("now", "2026-03-01T10:00:00.123Z"),
    ("far", "2300-01-01T00:00:00Z"),
];
const EXACT: [(&str, &str); 2] = [
    ("nanos", "2026-03-01T10:00:00.123456789Z"),
    ("limit", "2262-04-11T23:47:16.854775806Z"),
];

fn nanos_mapping() -> Value {
    let mut mapping = plain_mapping();
    mapping["mappings"]["properties"]["at"]["type"] = json!("date_nanos");
    mapping
}

/// Every hit of a range, in pages of two, as many as are counted.
async fn read(source: &Source, range: TimeRange) -> Vec<Hit> {
    let mut pit = source.open_pit().await.unwrap();
    let (mut hits, mut position) = (Vec::new(), Position::Start);
    loop {
        let request = PageRequest {
            pit: &pit,
            range,
            filter: None,
            position: &position,
            size: 2,
        };
        let page = source.page(&request).await.unwrap();
        pit = page.pit;
        hits.extend(page.hits);
        assert!(hits.len() < 100, "the pages have no end");
        match page.next {
            Some(next) => position = Position::After(next),
            None => break,
        }
    }
    assert_eq!(source.count(&pit, range, None).await.unwrap(), hits.len() as u64);
    source.close_pit(pit).await.unwrap();
    hits
}

fn assert_times(hits: &[Hit], messages: &[(&str, &str)]) {
    for (id, at) in messages {
        let hit = hits
            .iter()
            .find(|hit| hit.message_id.as_ref().unwrap().as_str() == *id);
        assert_eq!(hit.unwrap().event_time, at.parse().unwrap(), "{id}");
    }
}

async fn first(source: &Source, range: TimeRange) -> Option<String> {
    let first = source.first_event(range, None).await.unwrap();
    first.map(|first| first.to_string())
}

#[tokio::test]
async fn h19_times_beyond_all_that_can_be_on_record_hide_no_other_message() {
    let stage = Stage::new();
    let index = stage.index("a", plain_mapping()).await;
    stage.write_messages(&index, &ODD).await;
    stage.write_messages(&index, &SANE).await;
    let source = source(&index);
    let (first, last) = source.bounds(TimeRange::EVER, None).await.unwrap().unwrap();
    assert_eq!(
        (first.to_string().as_str(), last.to_string().as_str()),
        ("0001-01-01T00:00:00Z", "2300-01-01T00:00:00Z")
    );
    let hits = read(&source, TimeRange::EVER).await;
    assert_eq!(ids(&hits), ["one", "old", "epoch", "now", "far"]);
    let days = source
        .count_over_time(TimeRange::EVER, None, Span::Day)
        .await
        .unwrap();
    assert_eq!(days.len(), 5);
    stage.finish(&["a"]).await;
}

#[tokio::test]
async fn h19_a_range_may_begin_before_1970_and_end_after_2262_where_all_times_are_nanos() {
    let stage = Stage::new();
    let index = stage.index("a", nanos_mapping()).await;
    stage.write_messages(&index, &EXACT).await;
    let source = source(&index);
    stage
        .write_messages(&index, &[("end", "2262-04-11T23:47:16.854775807Z")])
        .await;
    for range in [
        TimeRange::EVER,
        range("1960-01-01T00:00:00Z", "2300-01-01T00:00:00Z"),
    ] {
        let hits = read(&source, range).await;
        assert_eq!((hits.len(), ids(&hits)[0].as_str()), (3, "nanos"));
        assert_times(&hits, &EXACT);
        assert_eq!(first(&source, range).await.unwrap(), "2026-03-01T10:00:00.123Z");
        assert_eq!(
            source
                .count_over_time(range, None, Span::Day)
                .await
                .unwrap()
                .len(),
            2
        );
    }
    let before = range("1960-01-01T00:00:00Z", "1961-01-01T00:00:00Z");
    assert_eq!(read(&source, before).await, []);
    assert_eq!(source.bounds(before, None).await.unwrap(), None);
    stage.finish(&["a"]).await;
}

#[tokio::test]
async fn h19_messages_before_1970_are_read_beside_an_index_of_nanos() {
    let stage = Stage::new();
    let (millis, nanos) = (
        stage.index("millis", plain_mapping()).await,
        stage.index("nanos", nanos_mapping()).await,
    );
    stage.write_messages(&millis, &ODD).await;
    stage.write_messages(&millis, &SANE).await;
    stage.write_messages(&nanos, &EXACT).await;
    let source = source(&stage.name("*"));
    let hits = read(&source, TimeRange::EVER).await;
    let found = ids(&hits);
    assert_eq!(
        (&found[..3], &found[5..]),
        (
            &["one", "old", "epoch"].map(str::to_owned)[..],
            &["limit", "far"].map(str::to_owned)[..]
        )
    );
    assert_times(&hits, &SANE);
    assert_times(&hits, &EXACT);
    let days = source
        .count_over_time(TimeRange::EVER, None, Span::Day)
        .await
        .unwrap();
    assert_eq!(days.iter().map(|day| day.messages).sum::<u64>(), 7);
    let (earliest, latest) = source.bounds(TimeRange::EVER, None).await.unwrap().unwrap();
    assert_eq!(
        (earliest.to_string(), latest.to_string()),
        ("0001-01-01T00:00:00Z".into(), "2300-01-01T00:00:00Z".into())
    );
    let hour = range("1965-05-05T05:00:00Z", "1965-05-05T06:00:00Z");
    assert_eq!(ids(&read(&source, hour).await), ["old"]);
    let since = range("1966-01-01T00:00:00Z", "2026-04-01T00:00:00Z");
    assert_eq!(first(&source, since).await.unwrap(), "1970-01-01T00:00:00Z");
    assert_eq!(id_set(&read(&source, since).await).len(), 3);
    stage.finish(&["millis", "nanos"]).await;
}

#[tokio::test]
async fn h20_documents_before_the_first_window_and_in_the_future_are_counted() {
    let stage = Stage::new();
    let (millis, nanos) = (
        stage.index("millis", plain_mapping()).await,
        stage.index("nanos", nanos_mapping()).await,
    );
    stage.write_messages(&millis, &ODD).await;
    stage.write_messages(&millis, &SANE).await;
    stage.write_messages(&nanos, &EXACT).await;
    stage.put(&nanos, "timeless", json!({"id": "timeless"})).await;
    let all = stage.name("*");
    for (index, first, before, in_future) in [
        (&millis, "2026-03-01T00:00:00Z", 5, 4),
        (&all, "2026-03-01T00:00:00Z", 5, 5),
        (&all, "1965-01-01T00:00:00Z", 3, 5),
        (&all, "0001-01-01T00:00:00Z", 2, 5),
        (&nanos, "2026-03-02T00:00:00Z", 1, 1),
        (&nanos, "1960-01-01T00:00:00Z", 0, 1),
    ] {
        let outside = Outside {
            without_time: u64::from(*index != millis),
            malformed: 0,
            before,
            after: in_future,
        };
        let counted = source(index)
            .count_outside(range(first, "2026-12-01T00:00:00Z"))
            .await;
        assert_eq!(counted.unwrap(), outside, "{index} {first}");
    }
    stage.finish(&["millis", "nanos"]).await;
}

#[tokio::test]
async fn h19_a_document_with_one_sane_time_among_odd_ones_stops_no_page() {
    let stage = Stage::new();
    let (millis, nanos) = (
        stage.index("millis", plain_mapping()).await,
        stage.index("nanos", nanos_mapping()).await,
    );
    let sane = "2026-03-01T10:00:00Z";
    for (id, odd) in ODD.iter().chain(&[("sixties", "1965-01-01T00:00:00Z")]) {
        stage.put(&millis, id, json!({"id": id, "at": [odd, sane]})).await;
    }
    stage.write_messages(&nanos, &[("plain", sane)]).await;
    for index in [millis.clone(), stage.name("*")] {
        let source = source(&index);
        let hits = read(&source, range("2026-03-01T10:00:00Z", "2026-03-01T11:00:00Z")).await;
        let plain = usize::from(index != millis);
        assert_eq!(hits.len(), ODD.len() + 1 + plain);
        assert!(source.bounds(TimeRange::EVER, None).await.unwrap().is_some());
        read(&source, TimeRange::EVER).await;
    }
    stage.finish(&["millis", "nanos"]).await;
}
