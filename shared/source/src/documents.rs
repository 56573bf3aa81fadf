//! Full documents, by their ids: what an export reads. `_source` keeps every byte.
//!
//! This module decides what an answer proves about a message. A message is *missing* only with proof: its own index is
//! open and answers "not found" (or that index was deleted, or another document took its `_id`), and one search by
//! ids through the source doesn't find it either. A message that the search finds is read where it lies now.
//! Not here: what a caller does about a message that can't be had.
//!
//! When a request fails as a whole, no document is judged: the caller gets the error.

use crate::Source;
use crate::allowance::ByteAllowance;
use crate::answered::{Content, Read, State, read_answer};
use crate::elsewhere::{Place, Shown};
use crate::error::SourceError;
use crate::wire::{Call, CallBody};
use bytes::Bytes;
use elasticsearch::http::Method;
use serde::Serialize;
use serde_json::json;

pub(crate) const READ: &str = "read documents";
/// Documents whose presence is asked for in one request, and the size of the answer: index, `_id` and a few words each.
const PRESENCE_MAX: usize = 1_000;
const PRESENCE_BYTES_MAX: u64 = 4 * 1_024 * 1_024;
/// An `_id` that no document has.
const NO_DOCUMENT: &str = "granary: no document";

const WITHOUT_SOURCE: [(&str, &str); 1] = [("_source", "false")];

/// What is read of a document.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Its `_source`.
    Whole,
    /// That it is there.
    Presence,
}

/// A message, and where its document was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct DocumentRef<'a> {
    /// The message's id. The document must hold it in the id field.
    #[serde(skip)]
    pub message_id: &'a str,
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

/// What became of one message that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Document {
    /// Its document is there, and holds the message's id.
    Found {
        /// Its version.
        version: u64,
        /// The state of that version. Equal index, `_id`, version and state: equal bytes.
        state: State,
        /// Its `_source`, byte for byte. A slice of the whole answer, which lives as long as any of its documents.
        source: Bytes,
        /// Where it was read, where that isn't the index that was asked for.
        moved_to: Option<Place>,
    },
    /// It is gone. This is proved.
    Missing(Absence),
    /// Its document is there, but its index doesn't keep `_source`.
    WithoutSource,
    /// Elasticsearch can't give it for the moment: a shard, a node or a refresh is awaited.
    Unavailable {
        /// Elasticsearch's error: type and reason.
        reason: String,
    },
    /// Elasticsearch refuses to give it, and so does it with others: a block, a privilege, an index that is closed. A
    /// person has to act. An error of a type that isn't known is a refusal, too.
    Refused {
        /// Elasticsearch's error: type and reason, and what to do.
        reason: String,
    },
}

/// Why a message is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absence {
    /// Its index is open and doesn't have it.
    Deleted,
    /// Its index was deleted.
    IndexDeleted,
    /// Another document lies under its `_id`.
    Replaced,
}

impl Absence {
    fn observed(self) -> &'static str {
        match self {
            Self::Deleted => "its index doesn't have it",
            Self::IndexDeleted => "its index was deleted",
            Self::Replaced => "another document has its `_id`",
        }
    }

    /// The reason, for people.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Deleted => "gone at the source before it was exported",
            Self::IndexDeleted => "gone at the source before it was exported: its index was deleted",
            Self::Replaced => {
                "replaced at the source before it was exported: another document has its `_id` now"
            }
        }
    }
}

impl Source {
    /// Reads documents, in the order in which they were asked for. Answers that do not fit into the allowance
    /// are abandoned: ask for fewer documents then.
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
        let presence = self.presence(wanted).await?;
        let is_there = |document| matches!(document, &Document::Found { .. });
        Ok(presence.iter().map(is_there).collect())
    }

    /// Which documents still lie where they were seen, in the order in which they were asked for. One that can't be had
    /// for the moment counts as one that doesn't.
    pub async fn are_in_place(&self, wanted: &[DocumentRef<'_>]) -> Result<Vec<bool>, SourceError> {
        let presence = self.presence(wanted).await?;
        let is_in_place = |document| matches!(document, &Document::Found { moved_to: None, .. });
        Ok(presence.iter().map(is_in_place).collect())
    }

    async fn presence(&self, wanted: &[DocumentRef<'_>]) -> Result<Vec<Document>, SourceError> {
        let mut presence = Vec::with_capacity(wanted.len());
        for wanted in wanted.chunks(PRESENCE_MAX) {
            let allowance = ByteAllowance::new(PRESENCE_BYTES_MAX);
            presence.extend(self.look_for(wanted, &allowance, Extent::Presence).await?);
        }
        Ok(presence)
    }

    /// What an export would find now of one document, without its `_source`.
    pub async fn presence_of(&self, wanted: DocumentRef<'_>) -> Result<Document, SourceError> {
        let documents = self
            .look_for(
                &[wanted],
                &ByteAllowance::new(PRESENCE_BYTES_MAX),
                Extent::Presence,
            )
            .await?;
        documents.into_iter().next().ok_or_else(no_answer)
    }

    /// Whether the shard that holds a message answers about a document that doesn't exist. Where it doesn't, none of
    /// its messages is to blame for anything.
    pub async fn shard_answers(&self, beside: DocumentRef<'_>) -> Result<bool, SourceError> {
        let nothing = [DocumentRef {
            doc_id: NO_DOCUMENT,
            routing: beside.routing.or(Some(beside.doc_id)),
            ..beside
        }];
        let read = self
            .get(
                &nothing,
                &ByteAllowance::new(PRESENCE_BYTES_MAX),
                Extent::Presence,
            )
            .await?;
        Ok(read.iter().all(|read| matches!(read, Read::Absent(_))))
    }

    async fn look_for(
        &self,
        wanted: &[DocumentRef<'_>],
        allowance: &ByteAllowance,
        extent: Extent,
    ) -> Result<Vec<Document>, SourceError> {
        let mut read = self.get_proved(wanted, allowance, extent).await?;
        let lost: Vec<usize> = (0..read.len()).filter(|at| read[*at].is_lost()).collect();
        if !lost.is_empty() {
            let lost_refs: Vec<DocumentRef<'_>> = lost.iter().map(|at| wanted[*at]).collect();
            let lost_reads: Vec<&Read> = lost.iter().map(|at| &read[*at]).collect();
            let judged = self.judge(&lost_refs, &lost_reads, allowance, extent).await?;
            lost.into_iter()
                .zip(judged)
                .for_each(|(at, judged)| read[at] = Read::Judged(judged));
        }
        Ok(read.into_iter().map(Read::into_document).collect())
    }

    /// Reads documents where they were seen. Each that is found is the one that was asked for.
    async fn get_proved(
        &self,
        wanted: &[DocumentRef<'_>],
        allowance: &ByteAllowance,
        extent: Extent,
    ) -> Result<Vec<Read>, SourceError> {
        let read = self.get(wanted, allowance, extent).await?;
        if self.settings().id_is_doc_id() {
            return Ok(read);
        }
        self.prove_identity(wanted, read, extent).await
    }

    async fn get(
        &self,
        wanted: &[DocumentRef<'_>],
        allowance: &ByteAllowance,
        extent: Extent,
    ) -> Result<Vec<Read>, SourceError> {
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let body = CallBody::json(READ, &json!({ "docs": wanted }))?;
        let bytes = loop {
            let query: Vec<(&str, &str)> = match extent {
                Extent::Whole => self.vectors_parameter().await.into_iter().collect(),
                Extent::Presence => WITHOUT_SOURCE.to_vec(),
            };
            let call = Call {
                operation: READ,
                method: Method::Post,
                path: "/_mget",
                query: &query,
                body: body.clone(),
            };
            match self.wire().ask_within(&call, allowance).await {
                Err(error) if self.vectors().are_refused_by(&error) => {}
                answer => break answer?,
            }
        };
        read_answer(wanted, &bytes, extent)
    }

    /// Decides about messages that aren't where they were seen: found elsewhere, or missing, or neither is proved.
    async fn judge(
        &self,
        lost: &[DocumentRef<'_>],
        read: &[&Read],
        allowance: &ByteAllowance,
        extent: Extent,
    ) -> Result<Vec<Document>, SourceError> {
        let shown = self.search_for(lost).await?;
        let mut judged: Vec<Document> = Vec::with_capacity(lost.len());
        let (mut places, mut refs) = (Vec::new(), Vec::new());
        for (at, (wanted, read)) in lost.iter().zip(read).enumerate() {
            let place = shown.place_of(wanted);
            judged.push(verdict(&shown, wanted, read));
            if let Some(place) = place {
                places.push(at);
                refs.push(DocumentRef {
                    message_id: wanted.message_id,
                    index: &place.index,
                    doc_id: &place.doc_id,
                    routing: place.routing.as_deref(),
                });
            }
        }
        let found = self.get_proved(&refs, allowance, extent).await?;
        for ((at, place), found) in places.into_iter().zip(&refs).zip(found) {
            judged[at] = match found {
                Read::Found(Content {
                    version,
                    source,
                    place: read_at,
                    state,
                }) => Document::Found {
                    version,
                    state,
                    source,
                    moved_to: Some(read_at.unwrap_or_else(|| Place {
                        index: place.index.to_owned(),
                        doc_id: place.doc_id.to_owned(),
                        routing: place.routing.map(str::to_owned),
                    })),
                },
                Read::Absent(_) | Read::Unaddressable { .. } => still_shown(),
                read @ (Read::Unproved(_) | Read::Judged(_)) => read.into_document(),
            };
        }
        Ok(judged)
    }
}

/// The verdict on a message that is not where it was seen, as long as it wasn't read elsewhere.
fn verdict(shown: &Shown, wanted: &DocumentRef<'_>, read: &Read) -> Document {
    match (read, shown) {
        (_, Shown::Places(places)) if places.contains_key(wanted.message_id) => still_shown(),
        (Read::Absent(absence), Shown::Places(_)) => Document::Missing(*absence),
        // A search that no index answered is no proof: the name may be wrong, the cluster another one, a restore pending.
        (Read::Absent(absence), Shown::NoIndex) => Document::Refused {
            reason: format!(
                "{}, but GRANARY_SOURCE_INDEX matches no index, so no search can show that it isn't elsewhere. Correct \
                 GRANARY_SOURCE_INDEX or GRANARY_ES_URL, or restore the index; if its messages are gone for good, create \
                 an empty index under that name",
                absence.observed()
            ),
        },
        (Read::Unaddressable { reason }, _) => Document::Refused {
            reason: reason.clone(),
        },
        (Read::Found(_) | Read::Unproved(_) | Read::Judged(_), _) => Document::Unavailable {
            reason: "it was read, and then searched for".to_owned(),
        },
    }
}

/// A search lags behind what was deleted or replaced, until the next refresh.
fn still_shown() -> Document {
    Document::Unavailable {
        reason: "a search still shows it, though it can't be read".to_owned(),
    }
}

fn no_answer() -> SourceError {
    SourceError::Malformed {
        operation: READ,
        reason: "no document is answered".to_owned(),
    }
}
