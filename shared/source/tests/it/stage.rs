//! Indices for one test, and the source over them.

use bytes::Bytes;
use granary_domain::TimeRange;
use granary_source::{DocId, Hit, IndexWriter, PageRequest, PointInTime, Position, Source, SourceSettings};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use url::Url;

/// Names of indices that no other test has. What is made under it is deleted at the end of `finish`.
pub(crate) struct Stage {
    pub(crate) prefix: String,
    pub(crate) writer: IndexWriter,
}

pub(crate) fn es_url() -> Url {
    let address = std::env::var("ES_URL").expect("ES_URL must name a running Elasticsearch: `. .local/env`");
    address.parse().expect("ES_URL must be a URL")
}

/// The mapping that most tests use.
pub(crate) fn plain_mapping() -> Value {
    json!({
        "settings": {"number_of_shards": 2, "number_of_replicas": 0},
        "mappings": {"properties": {"id": {"type": "keyword"}, "at": {"type": "date"}}}
    })
}

impl Stage {
    pub(crate) fn new() -> Self {
        let prefix = format!("test-{}", uuid::Uuid::now_v7().simple());
        Self {
            prefix,
            writer: IndexWriter::new(&es_url(), None, None, SourceSettings::REQUEST_TIMEOUT).unwrap(),
        }
    }

    pub(crate) fn name(&self, suffix: &str) -> String {
        format!("{}-{suffix}", self.prefix)
    }

    pub(crate) async fn index(&self, suffix: &str, body: Value) -> String {
        let name = self.name(suffix);
        self.writer.create_index(&name, &body).await.unwrap();
        name
    }

    /// Asks Elasticsearch for something that has no function of its own.
    pub(crate) async fn ask(&self, method: Method, path: &str, body: Value) -> Value {
        let url = es_url().join(path).unwrap();
        let mut asking = reqwest::Client::new().request(method, url);
        if !body.is_null() {
            asking = asking.json(&body);
        }
        let answer = asking.send().await.unwrap();
        let status = answer.status();
        let body: Value = answer.json().await.unwrap();
        assert!(status.is_success(), "{path}: {body}");
        body
    }

    /// Writes one document, which searches show at once.
    pub(crate) async fn put(&self, index: &str, doc_id: &str, source: Value) {
        self.write(index, &[(json!({"_id": doc_id}), source.to_string())])
            .await;
    }

    /// Writes one document, which searches don't show.
    pub(crate) async fn put_unrefreshed(&self, index: &str, doc_id: &str, source: Value) {
        self.ask(Method::PUT, &format!("{index}/_doc/{doc_id}"), source)
            .await;
    }

    /// Writes documents: action fields (`_id`, `routing`) and the source's text.
    pub(crate) async fn write(&self, index: &str, documents: &[(Value, String)]) {
        for some in documents.chunks(5_000) {
            let line =
                |(action, source): &(Value, String)| format!("{}\n{source}\n", json!({ "index": action }));
            let body: String = some
                .iter()
                .map(|document| line(&with_index(document, index)))
                .collect();
            let summary = self.writer.bulk(Bytes::from(body)).await.unwrap();
            assert!(summary.failed.is_empty(), "{:?}", summary.failed.first());
        }
        self.writer.refresh(&[index]).await.unwrap();
    }

    /// Writes documents whose `_id` is also their `id`.
    pub(crate) async fn write_messages(&self, index: &str, messages: &[(&str, &str)]) {
        let document =
            |(id, at): &(&str, &str)| (json!({"_id": id}), json!({"id": id, "at": at}).to_string());
        self.write(index, &messages.iter().map(document).collect::<Vec<_>>())
            .await;
    }

    pub(crate) async fn finish(self, suffixes: &[&str]) {
        for suffix in suffixes {
            self.writer.delete_index(&self.name(suffix)).await.unwrap();
        }
    }
}

fn with_index((action, source): &(Value, String), index: &str) -> (Value, String) {
    let mut action = action.clone();
    action["_index"] = json!(index);
    (action, source.clone())
}

pub(crate) fn settings(index: &str) -> SourceSettings {
    SourceSettings {
        url: es_url(),
        credentials: None,
        ca: None,
        index: index.to_owned(),
        id_field: "_id".to_owned(),
        doc_id_is_message_id: DocId::IsItsOwn,
        time_field: "at".to_owned(),
        filter: None,
        request_timeout: SourceSettings::REQUEST_TIMEOUT,
    }
}

pub(crate) fn source(index: &str) -> Source {
    Source::new(settings(index)).unwrap()
}

pub(crate) fn range(from: &str, to: &str) -> TimeRange {
    TimeRange::new(from.parse().unwrap(), to.parse().unwrap()).unwrap()
}

/// The day in which all tests put their messages.
pub(crate) fn the_day() -> TimeRange {
    range("2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z")
}

/// Reads pages from a position to the end of the day.
pub(crate) async fn read_on(
    source: &Source,
    pit: PointInTime,
    mut position: Position,
    size: u32,
) -> (Vec<Hit>, PointInTime) {
    let (mut hits, mut pit) = (Vec::new(), pit);
    loop {
        let request = PageRequest {
            pit: &pit,
            range: the_day(),
            filter: None,
            position: &position,
            size,
        };
        let page = source.page(&request).await.unwrap();
        hits.extend(page.hits);
        pit = page.pit;
        match page.next {
            Some(next) => position = Position::After(next),
            None => return (hits, pit),
        }
    }
}

/// Every hit of the day.
pub(crate) async fn read_all(source: &Source, size: u32) -> Vec<Hit> {
    let pit = source.open_pit().await.unwrap();
    let (hits, pit) = read_on(source, pit, Position::Start, size).await;
    let counted = source.count(&pit, the_day(), None).await.unwrap();
    assert_eq!(counted, hits.len() as u64);
    source.close_pit(pit).await.unwrap();
    hits
}

pub(crate) fn ids(hits: &[Hit]) -> Vec<String> {
    hits.iter()
        .map(|hit| hit.message_id.as_ref().expect("an id").to_string())
        .collect()
}

pub(crate) fn id_set(hits: &[Hit]) -> BTreeSet<String> {
    ids(hits).into_iter().collect()
}
