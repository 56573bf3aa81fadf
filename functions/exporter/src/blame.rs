//! What to do about an answer that can't be used: whether the request, one document or the platform is to blame.
//!
//! A document is given up only where everything says that it is its own fault: it was asked for alone, and
//! Elasticsearch answered everything else. 429, 503, timeouts, a proxy's page and whatever else an outage looks like never
//! cost a message; they defer the attempt.

use crate::fetch::{BatchFetch, Fetcher, document_ref};
use crate::request_size::{ANSWER_BYTES_MAX, Portion};
use granary_domain::{Failure, MessageId};
use granary_ledger::OwnedMessage;
use granary_source::{ByteAllowance, Document, DocumentRef, SourceError};
use std::ops::Range;

/// Connections that break off are the platform's fault, until it has had so many chances to mend.
const BLAMED_FROM_DEFERRAL: u32 = 2;
/// How often a document is asked for alone before it is to blame for that. Each time is several requests.
const TRIES_ALONE_MAX: u32 = 3;
/// An `_id` that no document has.
const NO_DOCUMENT: &str = "granary: no document";
/// An id that no message has, in a field of numbers as in one of keywords.
const NOBODY: &str = "-1";

/// What may help.
pub(crate) enum Remedy {
    /// Requests as the request size has just learnt that they should be.
    Smaller,
    /// Half of the documents, to find the one that makes the answer unreadable.
    Halve,
    /// The same document again.
    Again,
    /// It will never be had, for this reason.
    GiveUp(String),
}

impl BatchFetch<'_> {
    /// What may help where some messages could not be had together, or one alone on try number `tries`. An error: it
    /// isn't theirs.
    pub(crate) async fn remedy_for(
        &self,
        range: Range<usize>,
        portion: Portion,
        tries: u32,
        error: &SourceError,
    ) -> Result<Remedy, Failure> {
        let (wanted, size) = (&self.messages[range], &self.fetcher.size);
        let is_single = wanted.len() == 1;
        match error {
            SourceError::TooLarge { bytes, .. } if !is_single || !portion.is_alone() => {
                size.was_too_large(wanted.len(), *bytes);
                Ok(Remedy::Smaller)
            }
            SourceError::NotJson { .. } if !is_single => Ok(Remedy::Halve),
            SourceError::TooLarge { byte_limit, .. } => Ok(Remedy::GiveUp(format!(
                "larger than {byte_limit} bytes with its metadata"
            ))),
            SourceError::NotJson { .. } => Ok(Remedy::GiveUp(format!(
                "its document or metadata is no valid JSON: {error}"
            ))),
            SourceError::TooHeavy { .. } | SourceError::OverLimit { .. } if !is_single => {
                size.was_refused(wanted.len());
                Ok(Remedy::Smaller)
            }
            SourceError::BrokeOff { .. }
                if self.batch.deferrals >= BLAMED_FROM_DEFERRAL
                    && self.fetcher.answers_beside(&wanted[0]).await =>
            {
                Ok(if !is_single {
                    Remedy::Halve
                } else if tries < TRIES_ALONE_MAX {
                    Remedy::Again
                } else {
                    Remedy::GiveUp(format!(
                        "Elasticsearch can't give it, though it gives others: {error}"
                    ))
                })
            }
            SourceError::Unavailable { .. }
            | SourceError::TooHeavy { .. }
            | SourceError::OverLimit { .. }
            | SourceError::BrokeOff { .. }
            | SourceError::PitLost
            | SourceError::Refused { .. }
            | SourceError::NotElasticsearch { .. }
            | SourceError::Malformed { .. }
            | SourceError::Misconfigured { .. } => Err(self.fetcher.deferral_delay.source_failure(error)),
        }
    }
}

impl Fetcher {
    /// Whether Elasticsearch answers, at this moment and about nothing, what it would not answer about a message.
    pub(crate) async fn answers_beside(&self, message: &OwnedMessage) -> bool {
        // In the message's own shard: where that is damaged, none of its messages is to blame.
        let DocumentRef {
            index,
            doc_id,
            routing,
        } = document_ref(message);
        let nothing = DocumentRef {
            index,
            doc_id: NO_DOCUMENT,
            routing: routing.or(Some(doc_id)),
        };
        // An empty list of ids would be answered without a look into any shard.
        let Ok(nobody) = MessageId::try_from(NOBODY.to_owned()) else {
            return false;
        };
        let allowance = ByteAllowance::new(ANSWER_BYTES_MAX);
        let (wanted, nobody) = ([nothing], [&nobody]);
        let answers = futures::try_join!(
            self.source.documents(&wanted, &allowance),
            self.metadata_of(&nobody, &allowance)
        );
        match answers {
            Ok((documents, _)) => documents
                .iter()
                .all(|document| !matches!(document, Document::Failed { .. })),
            Err(error) => {
                tracing::debug!(%error, "Elasticsearch doesn't answer about anything else either");
                false
            }
        }
    }
}
