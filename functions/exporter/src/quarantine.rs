//! Quarantine: the reason for people, and the raw bytes of a message as far as they can be had.
//!
//! The rest of the batch ships without it. The reason goes into the ledger and the manifest; the bytes go under
//! `_quarantine/` in the archive. Only S3 can fail here, and that defers the attempt.

use crate::blame::Flaw;
use crate::failure::archive_failure;
use crate::fetch::{BatchFetch, document_ref};
use crate::request_size::DOCUMENT_BYTES_MAX;
use bytes::{Bytes, BytesMut};
use granary_archive::{Kept, QUARANTINE_BYTES_MAX};
use granary_domain::{Failure, Outcome};
use granary_source::{ByteAllowance, Document, RawAnswer, SourceError};

/// Of a reason, so that there is room for where the bytes are.
const REASON_CHARS_MAX: usize = 250;

impl BatchFetch<'_> {
    /// Quarantines the message at `place`, which no request brings. Nothing else may be in flight: it is asked for once
    /// more, alone.
    pub(crate) async fn give_up(
        &mut self,
        place: usize,
        flaw: &Flaw,
        error: SourceError,
    ) -> Result<(), Failure> {
        let raw = self.salvage(place, raw_of(error)).await;
        self.quarantine(place, flaw, raw).await
    }

    /// Quarantines the message at `place`, and keeps these raw bytes of it.
    pub(crate) async fn quarantine(
        &mut self,
        place: usize,
        flaw: &Flaw,
        raw: Vec<Bytes>,
    ) -> Result<(), Failure> {
        let reason = self.keep_raw(place, flaw, raw).await?;
        self.draft
            .except(&self.messages[place], Outcome::Quarantined, reason);
        Ok(())
    }

    /// What can be had of a message: its document, and the answer that could not be used. Both have room in the memory
    /// of one document.
    async fn salvage(&self, place: usize, unusable: Option<Bytes>) -> Vec<Bytes> {
        let held = unusable.as_ref().map_or(0, |raw| raw.len() as u64);
        let allowance = ByteAllowance::new(DOCUMENT_BYTES_MAX.saturating_sub(held));
        let wanted = [document_ref(&self.messages[place])];
        match self.fetcher.source.documents(&wanted, &allowance).await {
            Ok(documents) => {
                let document = documents.into_iter().next().and_then(source_of);
                document.into_iter().chain(unusable).collect()
            }
            Err(SourceError::NotJson {
                answer: RawAnswer(raw),
                ..
            }) => vec![raw],
            Err(_) => unusable.into_iter().collect(),
        }
    }

    /// Keeps raw bytes, the more important first and as many as there is room for, and adds to the reason where they are.
    async fn keep_raw(&self, place: usize, flaw: &Flaw, raw: Vec<Bytes>) -> Result<String, Failure> {
        let reason: String = flaw.reason().chars().take(REASON_CHARS_MAX).collect();
        if raw.is_empty() {
            return Ok(format!("{reason}; its raw bytes can't be had"));
        }
        let (archive, batch) = (&self.fetcher.archive, self.batch);
        let message_id = &self.messages[place].message_id;
        let key = archive.layout().quarantine(batch.hour, batch.id, message_id);
        let kept = archive.quarantine(&key, batch.id, joined(raw)).await;
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
        Document::Missing(_)
        | Document::WithoutSource
        | Document::Unavailable { .. }
        | Document::Refused { .. } => None,
    }
}

fn raw_of(error: SourceError) -> Option<Bytes> {
    match error {
        SourceError::NotJson { answer, .. } => Some(answer.0),
        SourceError::Unavailable { .. }
        | SourceError::TooHeavy { .. }
        | SourceError::OverLimit { .. }
        | SourceError::BrokeOff { .. }
        | SourceError::LoginRefused { .. }
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
