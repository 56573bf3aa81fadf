//! Writing to Elasticsearch: seeded test data, and nothing else.
//!
//! Granary only reads its source. This is the only code that writes, it has no part in the journey of a message, and
//! in production it is given a credential of its own or none at all: a [`Source`](crate::Source) can't reach it. All
//! writes may be repeated, as long as documents are written under ids of their own.

use crate::error::{SourceError, reason_of};
use crate::wire::{Call, CallBody, Wire};
use bytes::Bytes;
use elasticsearch::SearchParts;
use elasticsearch::http::Method;
use elasticsearch::indices::{
    IndicesCreateParts, IndicesDeleteParts, IndicesPutMappingParts, IndicesRefreshParts,
};
use granary_environment::{Ca, Login, SourceCredentials};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use url::Url;

/// Writes test data.
pub struct IndexWriter {
    wire: Wire,
}

/// What became of a bulk request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BulkSummary {
    /// How many actions were done. Deleting what isn't there is done.
    pub indexed: u64,
    /// Those that were not.
    pub failed: Vec<BulkFailure>,
}

/// One action of a bulk request that was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BulkFailure {
    /// The document's `_id`.
    pub doc_id: Option<String>,
    /// The status of the action.
    pub status: u16,
    /// What Elasticsearch says.
    pub reason: String,
}

#[derive(Deserialize)]
struct BulkAnswer {
    items: Vec<BTreeMap<String, BulkItem>>,
}

#[derive(Deserialize)]
struct BulkItem {
    #[serde(rename = "_id")]
    id: Option<String>,
    status: u16,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct SearchAnswer {
    hits: SearchHits,
}

#[derive(Deserialize)]
struct SearchHits {
    hits: Vec<SearchHit>,
}

#[derive(Deserialize)]
struct SearchHit {
    #[serde(rename = "_id")]
    id: String,
}

impl IndexWriter {
    /// A writer that connects when it is first used. `request_timeout` is how long one request may take.
    pub fn new(
        url: &Url,
        credentials: Option<Login<SourceCredentials>>,
        ca: Option<&Ca>,
        request_timeout: Duration,
    ) -> Result<Self, SourceError> {
        Ok(Self {
            wire: Wire::new(url, credentials, ca, request_timeout)?,
        })
    }

    /// Creates an index with settings and mappings. One that exists is left as it is.
    pub async fn create_index(&self, name: &str, body: &Value) -> Result<(), SourceError> {
        let operation = "create an index";
        let body = CallBody::json(operation, body)?;
        let path = IndicesCreateParts::Index(name).url();
        match self.ask(operation, Method::Put, &path, body).await {
            Err(SourceError::Refused {
                status: 400, reason, ..
            }) if reason.starts_with("resource_already_exists_exception") => Ok(()),
            created => created.map(drop),
        }
    }

    /// Adds fields to an index's mapping: `{"properties":{…}}`. Fields that are there already stay as they are.
    pub async fn add_fields(&self, name: &str, mapping: &Value) -> Result<(), SourceError> {
        let operation = "add fields to an index";
        let body = CallBody::json(operation, mapping)?;
        let path = IndicesPutMappingParts::Index(&[name]).url();
        self.ask(operation, Method::Put, &path, body).await.map(drop)
    }

    /// Deletes an index. One that isn't there is fine.
    pub async fn delete_index(&self, name: &str) -> Result<(), SourceError> {
        let path = IndicesDeleteParts::Index(&[name]).url();
        match self
            .ask("delete an index", Method::Delete, &path, CallBody::None)
            .await
        {
            Err(error) if error.is_unknown_index() => Ok(()),
            deleted => deleted.map(drop),
        }
    }

    /// Sends a `_bulk` body: newline-delimited actions and documents, ending in a newline.
    pub async fn bulk(&self, ndjson_body: Bytes) -> Result<BulkSummary, SourceError> {
        let operation = "write documents";
        let answer = self
            .ask(operation, Method::Post, "/_bulk", CallBody::Ndjson(ndjson_body))
            .await?;
        let answer: BulkAnswer =
            serde_json::from_slice(&answer).map_err(|error| SourceError::malformed(operation, &error))?;
        let mut summary = BulkSummary {
            indexed: 0,
            failed: Vec::new(),
        };
        for (action, item) in answer.items.into_iter().flatten() {
            let is_done =
                item.status < 300 || (action == "delete" && item.status == 404 && item.error.is_none());
            if is_done {
                summary.indexed += 1;
            } else {
                let reason = item.error.as_ref().and_then(reason_of).unwrap_or_default();
                summary.failed.push(BulkFailure {
                    doc_id: item.id,
                    status: item.status,
                    reason,
                });
            }
        }
        Ok(summary)
    }

    /// Makes what was written visible to searches.
    pub async fn refresh(&self, indices: &[&str]) -> Result<(), SourceError> {
        let path = IndicesRefreshParts::Index(indices).url();
        self.ask("refresh indices", Method::Post, &path, CallBody::None)
            .await
            .map(drop)
    }

    /// Up to `size` (10,000 at most) ids of documents that match a query: delete them, refresh, and ask again. None
    /// where the index isn't there.
    pub async fn search_ids(
        &self,
        index: &str,
        query: &Value,
        size: u32,
    ) -> Result<Vec<String>, SourceError> {
        let operation = "look for documents to delete";
        let body = json!({"size": size, "query": query, "_source": false, "sort": ["_doc"]});
        let path = SearchParts::Index(&[index]).url();
        let answer = match self
            .ask(operation, Method::Post, &path, CallBody::json(operation, &body)?)
            .await
        {
            Err(error) if error.is_unknown_index() => return Ok(Vec::new()),
            answer => answer?,
        };
        let found: SearchAnswer =
            serde_json::from_slice(&answer).map_err(|error| SourceError::malformed(operation, &error))?;
        Ok(found.hits.hits.into_iter().map(|hit| hit.id).collect())
    }

    /// Deletes documents (without a routing of their own) of one concrete index.
    pub async fn delete_ids<Id: AsRef<str>>(
        &self,
        index: &str,
        ids: &[Id],
    ) -> Result<BulkSummary, SourceError> {
        if ids.is_empty() {
            return Ok(BulkSummary {
                indexed: 0,
                failed: Vec::new(),
            });
        }
        let action = |id: &Id| format!("{}\n", json!({"delete": {"_index": index, "_id": id.as_ref()}}));
        self.bulk(ids.iter().map(action).collect::<String>().into()).await
    }

    async fn ask(
        &self,
        operation: &'static str,
        method: Method,
        path: &str,
        body: CallBody,
    ) -> Result<Bytes, SourceError> {
        self.wire
            .ask(&Call {
                operation,
                method,
                path,
                query: &[],
                body,
            })
            .await
    }
}
