//! What a line says of its document: where it was read, in which state, and its bytes.
//!
//! Not here: the form of a line as it is written (`line.rs`), and what the source has now. A line of another form gives
//! `None`.

use crate::contents::Sha256Sum;
use granary_domain::MessageId;
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use std::borrow::Cow;

/// The document of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchivedDocument<'a> {
    /// Its `_id`.
    pub doc_id: Cow<'a, str>,
    /// The concrete index it was read from.
    pub index: Cow<'a, str>,
    /// Its routing, if it has one of its own.
    pub routing: Option<Cow<'a, str>>,
    /// Its version.
    pub version: u64,
    /// The sequence number of that state.
    pub seq_no: u64,
    /// The primary term of that state.
    pub primary_term: u64,
    /// `_source`: raw JSON.
    pub message: &'a [u8],
}

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow)]
    doc_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    index: Cow<'a, str>,
    #[serde(borrow)]
    routing: Option<Cow<'a, str>>,
    version: u64,
    seq_no: u64,
    primary_term: u64,
    #[serde(borrow)]
    message: &'a RawValue,
}

impl<'a> ArchivedDocument<'a> {
    /// The document of a message's line.
    pub fn of(message_id: &'a MessageId, line: &'a [u8]) -> Option<Self> {
        let fields: Fields<'a> = serde_json::from_slice(line).ok()?;
        Some(Self {
            doc_id: fields.doc_id.unwrap_or(Cow::Borrowed(message_id.as_str())),
            index: fields.index,
            routing: fields.routing,
            version: fields.version,
            seq_no: fields.seq_no,
            primary_term: fields.primary_term,
            message: fields.message.get().as_bytes(),
        })
    }

    /// The SHA-256 of its `_source`.
    pub fn sha256(&self) -> Sha256Sum {
        Sha256Sum(Sha256::digest(self.message).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_where_its_document_lies_and_in_which_state() {
        let id = MessageId::try_from("m".to_owned()).unwrap();
        let line = br#"{"message_id":"m","doc_id":"d\n","index":"i","routing":"r","version":3,"seq_no":7,"primary_term":2,"message":{"a": 1},"status":null}"#;
        let document = ArchivedDocument::of(&id, line).unwrap();
        assert_eq!(
            (document.doc_id.as_ref(), document.routing.as_deref()),
            ("d\n", Some("r"))
        );
        assert_eq!(
            (document.version, document.seq_no, document.primary_term),
            (3, 7, 2)
        );
        assert_eq!(document.message, br#"{"a": 1}"#);
        let line = br#"{"message_id":"m","index":"i","version":3,"seq_no":7,"primary_term":2,"message":{}}"#;
        assert_eq!(ArchivedDocument::of(&id, line).unwrap().doc_id, "m");
        assert_eq!(
            ArchivedDocument::of(&id, br#"{"index":"i","version":3,"message":{}}"#),
            None
        );
    }
}
