//! Setting a message aside: the reason for people, and its raw bytes as far as they can be had.
//!
//! The rest of the batch ships without it. The reason goes into the ledger and the manifest; the bytes go under
//! `_quarantine/` in the archive. Only S3 can fail here, and that defers the attempt.

use crate::archive::archive_failure;
use crate::export::Exporter;
use crate::fetch::{DOCUMENT_BYTES_MAX, Part, document_ref};
use bytes::{Bytes, BytesMut};
use granary_archive::{Kept, QUARANTINE_BYTES_MAX};
use granary_domain::Failure;
use granary_ledger::{ClaimedBatch, OwnedMessage};
use granary_source::{Document, Metadata, RawAnswer, SourceError};
use std::ops::Range;

/// Of a reason, so that there is room for where the bytes are.
const REASON_CHARS_MAX: usize = 250;

impl Exporter {
    /// The one message of a range, which can't be had by any request.
    pub(crate) async fn give_up(
        &self,
        batch: &ClaimedBatch,
        message: &OwnedMessage,
        range: Range<usize>,
        reason: &str,
        error: Option<&SourceError>,
    ) -> Result<Part, Failure> {
        let raw = self.salvage(message, error).await;
        let reason = self.keep_raw(batch, message, reason, raw).await?;
        Ok(Part {
            messages: range,
            documents: vec![Document::Failed {
                reason,
                transient: false,
            }],
            metadata: self.metadata.iter().map(|_| Metadata::IndexMissing).collect(),
        })
    }

    /// What can be had of a message: its document, and the answer that could not be used.
    async fn salvage(&self, message: &OwnedMessage, error: Option<&SourceError>) -> Vec<Bytes> {
        let wanted = [document_ref(message)];
        let document = self.source.documents(&wanted, DOCUMENT_BYTES_MAX).await;
        match (document, error) {
            (
                Err(SourceError::NotJson {
                    answer: RawAnswer(raw),
                    ..
                }),
                _,
            ) => vec![raw],
            (Ok(documents), error) => {
                let document = documents.into_iter().next().and_then(source_of);
                document.into_iter().chain(error.and_then(raw_of)).collect()
            }
            (Err(_), error) => error.and_then(raw_of).into_iter().collect(),
        }
    }

    /// Keeps raw bytes, the more important first and as many as there is room for, and adds to the reason where they are.
    pub(crate) async fn keep_raw(
        &self,
        batch: &ClaimedBatch,
        message: &OwnedMessage,
        reason: &str,
        raw: Vec<Bytes>,
    ) -> Result<String, Failure> {
        let reason: String = reason.chars().take(REASON_CHARS_MAX).collect();
        if raw.is_empty() {
            return Ok(format!("{reason}; its raw bytes can't be had"));
        }
        let key = self
            .archive
            .layout()
            .quarantine(batch.hour, batch.id, &message.message_id);
        let kept = self.archive.quarantine(&key, batch.id, joined(raw)).await;
        Ok(match kept.map_err(archive_failure)? {
            Kept::Whole => format!("{reason}; its raw bytes are kept at {key}"),
            Kept::TooLarge => {
                format!("{reason}; its raw bytes are not kept, being more than {QUARANTINE_BYTES_MAX}")
            }
        })
    }
}

fn source_of(document: Document) -> Option<Bytes> {
    match document {
        Document::Found { source, .. } => Some(source),
        Document::Missing | Document::Failed { .. } => None,
    }
}

fn raw_of(error: &SourceError) -> Option<Bytes> {
    match error {
        SourceError::NotJson { answer, .. } => Some(answer.0.clone()),
        SourceError::Unavailable { .. }
        | SourceError::BrokeOff { .. }
        | SourceError::PitLost
        | SourceError::TooLarge { .. }
        | SourceError::Refused { .. }
        | SourceError::NotElasticsearch { .. }
        | SourceError::Malformed { .. }
        | SourceError::Misconfigured { .. } => None,
    }
}

/// The pieces one after the other, with a line break between them; those that fit, but always the first.
fn joined(raw: Vec<Bytes>) -> Bytes {
    let mut pieces = raw.into_iter();
    let first = pieces.next().unwrap_or_default();
    let fits = |bytes: usize| bytes as u64 <= QUARANTINE_BYTES_MAX;
    pieces.fold(first, |before, piece| {
        if !fits(before.len() + 1 + piece.len()) {
            return before;
        }
        let mut both = BytesMut::with_capacity(before.len() + 1 + piece.len());
        both.extend_from_slice(&before);
        both.extend_from_slice(b"\n");
        both.extend_from_slice(&piece);
        both.freeze()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e8_pieces_that_fit_are_kept_and_the_first_in_any_case() {
        let piece = |bytes: &'static [u8]| Bytes::from_static(bytes);
        assert_eq!(joined(vec![piece(b"a")]), "a");
        assert_eq!(joined(vec![piece(b"a"), piece(b"b")]), "a\nb");
        let large = Bytes::from(vec![b'x'; QUARANTINE_BYTES_MAX as usize]);
        assert_eq!(joined(vec![large.clone(), piece(b"b")]).len(), large.len());
    }
}
