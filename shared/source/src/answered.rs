//! What an answer to `_mget` says of each document: one exhaustive judgement over what Elasticsearch may say.
//!
//! An answer of 200 holds trouble of whole indices, shards and nodes in each of its items. So an item's error is an
//! outage or a refusal, and never says anything about its document: unknown types included.

use crate::documents::{Absence, Document, DocumentRef, Extent, READ};
use crate::elsewhere::Place;
use crate::error::SourceError;
use crate::trouble::ItemError;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// What was read of one document, before everything is proved.
#[derive(Debug)]
pub(crate) enum Read {
    /// The document that was asked for.
    Found(Content),
    /// A document that lies where it was asked for. Whether it is the message's own isn't proved.
    Unproved(Content),
    /// It isn't there. It may lie elsewhere.
    Absent(Absence),
    /// It can't be asked for where it was seen, for instance without its routing. It may lie elsewhere.
    Unaddressable { reason: String },
    /// Nothing more has to be asked.
    Judged(Document),
}

/// A document that was found.
#[derive(Debug)]
pub(crate) struct Content {
    pub(crate) version: u64,
    pub(crate) source: Bytes,
    /// Where that isn't the index that was asked for: an alias took its name.
    pub(crate) place: Option<Place>,
    pub(crate) state: State,
}

/// Which state of a document was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// Its sequence number.
    pub seq_no: u64,
    /// Its primary term.
    pub primary_term: u64,
}

impl Read {
    /// Whether the message has to be searched for.
    pub(crate) fn is_lost(&self) -> bool {
        match self {
            Self::Absent(_) | Self::Unaddressable { .. } => true,
            Self::Found(_) | Self::Unproved(_) | Self::Judged(_) => false,
        }
    }

    /// What is known of a message that nothing more is asked about. What isn't proved by then waits.
    pub(crate) fn into_document(self) -> Document {
        match self {
            Self::Found(Content {
                version,
                source,
                place,
                state,
            }) => Document::Found {
                version,
                state,
                source,
                moved_to: place,
            },
            Self::Judged(document) => document,
            Self::Unproved(_) | Self::Absent(_) => Document::Unavailable {
                reason: "nothing is proved about it".to_owned(),
            },
            Self::Unaddressable { reason } => Document::Refused { reason },
        }
    }
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    docs: Vec<Answered<'a>>,
}

#[derive(Deserialize)]
struct Answered<'a> {
    #[serde(rename = "_index", borrow)]
    index: Cow<'a, str>,
    #[serde(rename = "_id", borrow)]
    id: Cow<'a, str>,
    #[serde(default)]
    found: bool,
    #[serde(rename = "_version")]
    version: Option<u64>,
    #[serde(rename = "_seq_no")]
    seq_no: Option<u64>,
    #[serde(rename = "_primary_term")]
    primary_term: Option<u64>,
    #[serde(rename = "_source", borrow)]
    source: Option<&'a RawValue>,
    error: Option<Value>,
}

/// Reads an answer. Where it isn't the answer to what was asked, the transport is at fault.
pub(crate) fn read_answer(
    wanted: &[DocumentRef<'_>],
    bytes: &Bytes,
    extent: Extent,
) -> Result<Vec<Read>, SourceError> {
    let answer: Answer<'_> = serde_json::from_slice(bytes)
        .map_err(|error| SourceError::malformed(READ, &error).carrying(bytes))?;
    let is_of = |(wanted, answered): (&DocumentRef<'_>, &Answered<'_>)| wanted.doc_id == answered.id;
    if answer.docs.len() != wanted.len() || !wanted.iter().zip(&answer.docs).all(is_of) {
        let reason = format!(
            "{} documents were asked for, {} answered, or others",
            wanted.len(),
            answer.docs.len()
        );
        return Err(SourceError::Malformed {
            operation: READ,
            reason,
        });
    }
    let both = wanted.iter().zip(answer.docs);
    Ok(both
        .map(|(wanted, answered)| judge(wanted, answered, bytes, extent))
        .collect())
}

fn judge(wanted: &DocumentRef<'_>, answered: Answered<'_>, bytes: &Bytes, extent: Extent) -> Read {
    match answered {
        Answered {
            error: Some(error), ..
        } => judge_error(wanted, &error),
        Answered { found: false, .. } => Read::Absent(Absence::Deleted),
        Answered {
            version: Some(version),
            seq_no: Some(seq_no),
            primary_term: Some(primary_term),
            source,
            index,
            ..
        } if source.is_some() || extent == Extent::Presence => Read::Found(Content {
            version,
            source: source.map_or_else(Bytes::new, |source| bytes.slice_ref(source.get().as_bytes())),
            place: (index != wanted.index).then(|| Place {
                index: index.into_owned(),
                doc_id: wanted.doc_id.to_owned(),
                routing: wanted.routing.map(str::to_owned),
            }),
            state: State { seq_no, primary_term },
        }),
        Answered {
            source: None,
            version: Some(_),
            ..
        } => Read::Judged(Document::WithoutSource),
        Answered { .. } => Read::Judged(Document::Unavailable {
            reason: "it is found, but the answer doesn't say in which state".to_owned(),
        }),
    }
}

fn judge_error(wanted: &DocumentRef<'_>, error: &Value) -> Read {
    match ItemError::of(error, wanted.index) {
        ItemError::IndexDeleted => Read::Absent(Absence::IndexDeleted),
        ItemError::Unaddressable { reason } => Read::Unaddressable { reason },
        ItemError::Outage { reason } => Read::Judged(Document::Unavailable { reason }),
        ItemError::Refusal { reason } => Read::Judged(Document::Refused { reason }),
    }
}
