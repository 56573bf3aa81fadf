//! Elasticsearch as the raw contestants reach it: plain HTTP on one client, answers as bytes, nothing compressed.
//!
//! Not the product's client, so that its costs aren't a part of the raw limits.

use axum::body::Bytes;
use reqwest::{Client, Method};
use serde_json::Value;
use url::Url;

/// The flag by which the local stack's node leaves its second compiler out.
const QUICK_START: &str = "-XX:TieredStopAtLevel=1";

#[derive(Clone)]
pub(crate) struct Elasticsearch {
    url: Url,
    http: Client,
}

impl Elasticsearch {
    pub(crate) fn new(url: &Url) -> Self {
        Self {
            url: url.clone(),
            http: Client::new(),
        }
    }

    pub(crate) async fn post(&self, path: &str, body: impl Into<String>) -> Bytes {
        self.ask(Method::POST, path, body.into()).await
    }

    pub(crate) async fn delete(&self, path: &str, body: impl Into<String>) {
        self.ask(Method::DELETE, path, body.into()).await;
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let answer = self.ask(Method::GET, path, String::new()).await;
        serde_json::from_slice(&answer).unwrap()
    }

    /// What its one node says of itself.
    pub(crate) async fn node(&self, path: &str) -> Value {
        let mut answer = self.get(path).await;
        let nodes = answer["nodes"].as_object_mut().expect("it lists nodes");
        assert_eq!(nodes.len(), 1, "the benchmark measures one node on this machine");
        nodes.values_mut().next().map(Value::take).unwrap()
    }

    pub(crate) async fn pid(&self) -> u32 {
        let node = self.node("/_nodes/process").await;
        u32::try_from(node["process"]["id"].as_u64().unwrap()).unwrap()
    }

    pub(crate) async fn version(&self) -> String {
        let root = self.get("/").await;
        root["version"]["number"].as_str().unwrap_or_default().to_owned()
    }

    /// A node that starts fast for tests is about half as fast as one in production.
    pub(crate) async fn assert_it_compiles_in_full(&self) {
        let node = self.node("/_nodes/jvm").await;
        let arguments = node["jvm"]["input_arguments"].as_array().cloned();
        let is_quick = arguments.unwrap_or_default().contains(&Value::from(QUICK_START));
        assert!(
            !is_quick,
            "Elasticsearch runs with {QUICK_START}: run `ES_JIT=full local/stack up --services`"
        );
    }

    async fn ask(&self, method: Method, path: &str, body: String) -> Bytes {
        let url = self.url.join(path).unwrap();
        let request = self
            .http
            .request(method, url)
            .header("content-type", "application/json")
            .body(body);
        let answer = request.send().await.expect("Elasticsearch answers");
        let status = answer.status();
        let body = answer.bytes().await.expect("Elasticsearch answers in full");
        assert!(
            status.is_success(),
            "{path}: {status}: {}",
            String::from_utf8_lossy(&body)
        );
        body
    }
}
