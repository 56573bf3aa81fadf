//! Full documents, by their ids: what an export reads. `_source` keeps every byte.

use crate::Source;
use crate::allowance::ByteAllowance;
use crate::error::{SourceError, is_transient, reason_of, types_of};
use crate::wire::{Call, CallBody};
use bytes::Bytes;
use elasticsearch::http::Method;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::collections::HashMap;

const READ: &str = "read documents";
const FIND_ROUTING: &str = "look for the routing of documents";
/// Elasticsearch's own limit for the hits of one search.
const HITS_MAX: usize = 10_000;
/// Documents that are looked for at once, and what an answer about them has at the most: index, `_id` and a few words each.
const LOOKED_FOR_MAX: usize = 1_000;
const LOOKED_FOR_BYTES_MAX: u64 = 4 * 1_024 * 1_024;

const WITHOUT_SOURCE: [(&str, &str); 1] = [("_source", "false")];

/// What is read of a document.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// Its `_source`.
    Whole,
    /// That it is there.
    Presence,
}

/// Where a document lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct DocumentRef<'a> {
    /// The concrete index.
    #[serde(rename = "_index")]
    pub index: &'a str,
    /// Its `_id`.
    #[serde(rename = "_id")]
    pub doc_id: &'a str,
    /// Its routing, if it has one of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub routing: Option<&'a str>,
}

/// What became of one document that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Document {
    /// It is there.
    Found {
        /// Its version.
        version: u64,
        /// Its `_source`, byte for byte. A slice of the whole answer, which lives as long as any of its documents.
        source: Bytes,
    },
    /// It is gone, or its index is.
    Missing,
    /// Elasticsearch could not give it.
    Failed {
        /// Its error: type and reason.
        reason: String,
        /// Whether it may pass by itself.
        transient: bool,
    },
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    docs: Vec<Answered<'a>>,
}

#[derive(Deserialize)]
struct Answered<'a> {
    #[serde(default)]
    found: bool,
    #[serde(rename = "_version")]
    version: Option<u64>,
    #[serde(rename = "_source", borrow)]
    source: Option<&'a RawValue>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Routed {
    hits: RoutedHits,
}

#[derive(Deserialize)]
struct RoutedHits {
    hits: Vec<RoutedHit>,
}

#[derive(Deserialize)]
struct RoutedHit {
    #[serde(rename = "_index")]
    index: String,
    #[serde(rename = "_id")]
    id: String,
    #[serde(rename = "_routing")]
    routing: String,
}

impl Source {
    /// Reads documents, in the order in which they were asked for. Answers that do not fit into the allowance are
    /// abandoned: ask for fewer documents then.
    ///
    /// Where hits are read without their routing, a document that isn't found is looked for by a search before it
    /// counts as missing: one that got a routing since the check must not be taken for deleted.
    pub async fn documents(
        &self,
        wanted: &[DocumentRef<'_>],
        allowance: &ByteAllowance,
    ) -> Result<Vec<Document>, SourceError> {
        self.look_for(wanted, allowance, Extent::Whole).await
    }

    /// Which documents an export would find now, in the order in which they were asked for. One that can't be had for the
    /// moment counts as one that isn't there.
    pub async fn are_there(&self, wanted: &[DocumentRef<'_>]) -> Result<Vec<bool>, SourceError> {
        let mut are_there = Vec::with_capacity(wanted.len());
        for wanted in wanted.chunks(LOOKED_FOR_MAX) {
            let documents = self
                .look_for(
                    wanted,
                    &ByteAllowance::new(LOOKED_FOR_BYTES_MAX),
                    Extent::Presence,
                )
                .await?;
            are_there.extend(
                documents
                    .iter()
                    .map(|document| matches!(document, Document::Found { .. })),
            );
        }
        Ok(are_there)
    }

    /// What an export would find now of one document, without its `_source`.
    pub async fn presence_of(&self, wanted: DocumentRef<'_>) -> Result<Document, SourceError> {
        let documents = self
            .look_for(
                &[wanted],
                &ByteAllowance::new(LOOKED_FOR_BYTES_MAX),
                Extent::Presence,
            )
            .await?;
        Ok(documents.into_iter().next().unwrap_or(Document::Missing))
    }

    async fn look_for(
        &self,
        wanted: &[DocumentRef<'_>],
        allowance: &ByteAllowance,
        extent: Extent,
    ) -> Result<Vec<Document>, SourceError> {
        let mut documents = self.get_documents(wanted, allowance, extent).await?;
        if !self.settings().hits_are_bare() {
            return Ok(documents);
        }
        let is_missing = |at: &usize| documents[*at] == Document::Missing && wanted[*at].routing.is_none();
        let missing: Vec<usize> = (0..wanted.len()).filter(is_missing).collect();
        for missing in missing.chunks(HITS_MAX) {
            let lost: Vec<DocumentRef<'_>> = missing.iter().map(|at| wanted[*at]).collect();
            let routings = self.find_routings(&lost).await?;
            let (places, routed): (Vec<usize>, Vec<DocumentRef<'_>>) = missing
                .iter()
                .filter_map(|at| {
                    let routing =
                        routings.get(&(wanted[*at].index.to_owned(), wanted[*at].doc_id.to_owned()))?;
                    Some((
                        *at,
                        DocumentRef {
                            routing: Some(routing),
                            ..wanted[*at]
                        },
                    ))
                })
                .unzip();
            let found = self.get_documents(&routed, allowance, extent).await?;
            places
                .into_iter()
                .zip(found)
                .for_each(|(place, document)| documents[place] = document);
        }
        Ok(documents)
    }

    async fn get_documents(
        &self,
        wanted: &[DocumentRef<'_>],
        allowance: &ByteAllowance,
        extent: Extent,
    ) -> Result<Vec<Document>, SourceError> {
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let body = CallBody::json(READ, &json!({ "docs": wanted }))?;
        let call = Call {
            operation: READ,
            method: Method::Post,
            path: "/_mget",
            query: match extent {
                Extent::Whole => &[],
                Extent::Presence => &WITHOUT_SOURCE,
            },
            body,
        };
        let bytes = self.wire().ask_within(&call, allowance).await?;
        let answer: Answer<'_> = serde_json::from_slice(&bytes)
            .map_err(|error| SourceError::malformed(READ, &error).carrying(&bytes))?;
        if answer.docs.len() != wanted.len() {
            let reason = format!(
                "{} documents were asked for, {} answered",
                wanted.len(),
                answer.docs.len()
            );
            return Err(SourceError::Malformed {
                operation: READ,
                reason,
            });
        }
        Ok(answer
            .docs
            .into_iter()
            .map(|answered| document_of(answered, &bytes, extent))
            .collect())
    }

    /// The routing of those documents that have one, by index and `_id`.
    async fn find_routings(
        &self,
        lost: &[DocumentRef<'_>],
    ) -> Result<HashMap<(String, String), String>, SourceError> {
        let ids: Vec<&str> = lost.iter().map(|document| document.doc_id).collect();
        let filters = json!([{"ids": {"values": ids}}, {"exists": {"field": "_routing"}}]);
        let query = json!({"size": HITS_MAX, "_source": false, "query": {"bool": {"filter": filters}}});
        let found: Routed = match self.search(FIND_ROUTING, &query).await {
            Err(error) if error.is_unknown_index() => return Ok(HashMap::new()),
            found => found?,
        };
        Ok(found
            .hits
            .hits
            .into_iter()
            .map(|hit| ((hit.index, hit.id), hit.routing))
            .collect())
    }
}

/// An absent index means that the document is gone; any other error is the document's own.
fn document_of(answered: Answered<'_>, bytes: &Bytes, extent: Extent) -> Document {
    match answered {
        Answered {
            error: Some(error), ..
        } => {
            let types = types_of(&error);
            if types.contains(&"index_not_found_exception") {
                return Document::Missing;
            }
            let transient = types.iter().any(|name| is_transient(name));
            let reason = reason_of(&error).unwrap_or_else(|| "an error without a reason".to_owned());
            Document::Failed { reason, transient }
        }
        Answered { found: false, .. } => Document::Missing,
        Answered {
            version: Some(version),
            source: Some(source),
            ..
        } => Document::Found {
            version,
            source: bytes.slice_ref(source.get().as_bytes()),
        },
        Answered {
            version: Some(version),
            ..
        } if extent == Extent::Presence => Document::Found {
            version,
            source: Bytes::new(),
        },
        Answered { .. } => Document::Failed {
            reason: "the index doesn't keep `_source`".to_owned(),
            transient: false,
        },
    }
}
