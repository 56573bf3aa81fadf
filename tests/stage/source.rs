//! The source: indices of messages and of their metadata.
//!
//! Documents go in as the bytes that a test gives, over plain HTTP and not through the product's own client, so that a
//! defect there can't hide itself.

use super::canary::{CANARY, CANARY_NUMBER, Values};
use super::services::Addresses;
use reqwest::{Body, Client, Method, Response, StatusCode};
use serde_json::{Value, json};
use std::time::Duration;
use url::Url;

pub(crate) const ID_FIELD: &str = "message_id";
pub(crate) const TIME_FIELD: &str = "created_at";

const BUSY_PAUSE: Duration = Duration::from_millis(250);
const BUSY_TRIES_MAX: u32 = 240;
const BULK_DOCUMENTS_MAX: usize = 2_000;

/// A document, and where it goes.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    pub(crate) doc_id: String,
    pub(crate) routing: Option<String>,
    /// `_source`, byte for byte. It may be pretty-printed.
    pub(crate) body: String,
}

impl Document {
    /// A message whose `_id` is its id, from plain parts.
    pub(crate) fn message(id: &str, created_at: &str) -> Self {
        Self::raw(
            id,
            json!({
                ID_FIELD: id, TIME_FIELD: created_at, "text": format!("{CANARY} {id}"),
                "details": { CANARY: [CANARY, { "amount": CANARY_NUMBER }] },
            })
            .to_string(),
        )
    }

    /// Messages `m-0000`, `m-0001`, … spread evenly over hours of 2026-03-01.
    pub(crate) fn many(count: u32, hours: std::ops::Range<u32>) -> Vec<Self> {
        let message = |number: u32| {
            let turn = number / hours.len() as u32;
            let hour = hours.start + number % hours.len() as u32;
            let (minute, second) = (turn % 60, turn / 60 % 60);
            Self::message(
                &format!("m-{number:04}"),
                &format!("2026-03-01T{hour:02}:{minute:02}:{second:02}Z"),
            )
        };
        (0..count).map(message).collect()
    }

    pub(crate) fn raw(doc_id: &str, body: impl Into<String>) -> Self {
        Self {
            doc_id: doc_id.into(),
            routing: None,
            body: body.into(),
        }
    }

    pub(crate) fn routed(self, routing: &str) -> Self {
        Self {
            routing: Some(routing.into()),
            ..self
        }
    }

    fn fits_a_bulk_line(&self) -> bool {
        memchr::memchr2(b'\n', b'\r', self.body.as_bytes()).is_none()
    }
}

/// The indices of one stage.
#[derive(Clone)]
pub(crate) struct Indices {
    pub(crate) messages: String,
    pub(crate) status: String,
    pub(crate) history: String,
    pub(crate) processing: String,
    /// More messages. It isn't there until a scenario makes it.
    pub(crate) more_messages: String,
    pub(crate) url: Url,
    /// What the documents say that were written to them.
    pub(super) values: Values,
    http: Client,
}

impl Indices {
    pub(crate) async fn new(addresses: &Addresses, id: &str) -> Self {
        let indices = Self {
            messages: format!("messages-{id}"),
            status: format!("message-status-{id}"),
            history: format!("message-history-{id}"),
            processing: format!("message-processing-{id}"),
            more_messages: format!("messages-{id}-more"),
            url: addresses.elasticsearch.clone(),
            values: Values::default(),
            http: Client::new(),
        };
        indices.create(&indices.messages, indices.mapping()).await;
        indices
    }

    pub(crate) async fn create_metadata(&self) {
        let mapping = self.mapping();
        for index in [&self.status, &self.history, &self.processing] {
            self.create(index, mapping.clone()).await;
        }
    }

    /// Makes the index of messages anew, in this many shards. Each costs Elasticsearch as much as an index does, so other
    /// stages have one.
    pub(crate) async fn have_shards(&self, count: u32) {
        let mut mapping = self.mapping();
        mapping["settings"]["number_of_shards"] = count.into();
        self.delete_index(&self.messages).await;
        self.create(&self.messages, mapping).await;
    }

    /// The same indices, over connections of the runtime at hand.
    pub(crate) fn reconnected(&self) -> Self {
        Self {
            http: Client::new(),
            ..self.clone()
        }
    }

    /// The mapping of messages: ids are keywords, times are dates, everything else is only kept.
    pub(crate) fn mapping(&self) -> Value {
        json!({
            "settings": {"number_of_shards": 1, "number_of_replicas": 0},
            "mappings": {"dynamic": false, "properties": {
                ID_FIELD: {"type": "keyword"}, TIME_FIELD: {"type": "date"}, "at": {"type": "date"}
            }}
        })
    }

    /// `GRANARY_METADATA_SOURCES`.
    pub(crate) fn metadata_sources(&self) -> String {
        json!([
            {"name": "status", "index": self.status, "key": ID_FIELD},
            {"name": "history", "index": self.history, "key": ID_FIELD, "many": true, "sort": "at"},
            {"name": "processing", "index": self.processing, "key": ID_FIELD, "many": true, "sort": "at"},
        ])
        .to_string()
    }

    pub(crate) async fn create(&self, index: &str, body: Value) {
        self.ask(Method::PUT, &[index], body.to_string()).await;
    }

    /// Writes documents and makes them visible.
    pub(crate) async fn write(&self, index: &str, documents: &[Document]) {
        let parts = documents
            .iter()
            .map(|document| (document.doc_id.as_str(), document.body.as_str()));
        self.values.learn(parts);
        let (lines, others): (Vec<_>, Vec<_>) =
            documents.iter().partition(|document| document.fits_a_bulk_line());
        for some in lines.chunks(BULK_DOCUMENTS_MAX) {
            self.write_bulk(index, some).await;
        }
        for document in others {
            self.write_one(index, document).await;
        }
        self.refresh(index).await;
    }

    async fn write_bulk(&self, index: &str, documents: &[&Document]) {
        let line = |document: &&Document| {
            let action = json!({"index": {"_id": document.doc_id, "routing": document.routing}});
            format!("{action}\n{}\n", document.body)
        };
        let body: String = documents.iter().map(line).collect();
        let answer = self.ask(Method::POST, &[index, "_bulk"], body).await;
        let answer: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
        let refused = answer["items"]
            .as_array()
            .unwrap()
            .iter()
            .find(|item| !item["index"]["error"].is_null());
        assert!(refused.is_none(), "{refused:?}");
    }

    async fn write_one(&self, index: &str, document: &Document) {
        let mut url = self.address(&[index, "_doc", &document.doc_id]);
        if let Some(routing) = &document.routing {
            url.query_pairs_mut().append_pair("routing", routing);
        }
        self.ask_at(Method::PUT, url, document.body.clone()).await;
    }

    /// A document's `_source` as Elasticsearch keeps it, byte for byte.
    pub(crate) async fn source_of(&self, index: &str, document: &Document) -> String {
        let mut url = self.address(&[index, "_source", &document.doc_id]);
        if let Some(routing) = &document.routing {
            url.query_pairs_mut().append_pair("routing", routing);
        }
        let answer = self.ask_at(Method::GET, url, String::new()).await;
        answer.text().await.unwrap()
    }

    /// Which state of a document Elasticsearch has: its version, sequence number and primary term.
    pub(crate) async fn state_of(&self, index: &str, doc_id: &str) -> [u64; 3] {
        let answer = self
            .ask(Method::GET, &[index, "_doc", doc_id], String::new())
            .await;
        let answer: Value = answer.json().await.unwrap();
        ["_version", "_seq_no", "_primary_term"].map(|field| answer[field].as_u64().unwrap())
    }

    pub(crate) async fn delete(&self, index: &str, doc_id: &str) {
        self.ask(Method::DELETE, &[index, "_doc", doc_id], String::new())
            .await;
        self.refresh(index).await;
    }

    pub(crate) async fn refresh(&self, index: &str) {
        self.ask(Method::POST, &[index, "_refresh"], String::new()).await;
    }

    pub(crate) async fn delete_index(&self, index: &str) {
        self.ask(Method::DELETE, &[index], String::new()).await;
    }

    pub(crate) async fn remove(&self) {
        let all = [
            &self.messages,
            &self.more_messages,
            &self.status,
            &self.history,
            &self.processing,
        ];
        let mut url = self.address(&[&all.map(String::as_str).join(",")]);
        // A scenario may have deleted it, or never made it.
        url.set_query(Some("ignore_unavailable=true"));
        self.ask_at(Method::DELETE, url, "").await;
    }

    /// Any request at all; the answer must be a success.
    pub(crate) async fn ask(&self, method: Method, path: &[&str], body: impl Into<Body>) -> Response {
        self.ask_at(method, self.address(path), body).await
    }

    async fn ask_at(&self, method: Method, url: Url, body: impl Into<Body>) -> Response {
        let request = self
            .http
            .request(method, url)
            .header("content-type", "application/json")
            .body(body);
        for _ in 0..BUSY_TRIES_MAX {
            let request = request.try_clone().expect("its body is in memory");
            let answer = request.send().await.expect("Elasticsearch answers");
            match answer.status() {
                // Other scenarios have it hold all the bytes that it takes at once.
                StatusCode::TOO_MANY_REQUESTS => tokio::time::sleep(BUSY_PAUSE).await,
                status if status.is_success() => return answer,
                status => panic!("{status}: {}", answer.text().await.unwrap()),
            }
        }
        panic!("Elasticsearch is busy for good");
    }

    fn address(&self, path: &[&str]) -> Url {
        let mut url = self.url.clone();
        url.path_segments_mut().unwrap().extend(path);
        url
    }
}
