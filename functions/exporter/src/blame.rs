//! What to do about an answer that can't be used: whether the request, one document or the platform is to blame.
//!
//! A document is given up only where everything says that it is its own fault: it was asked for alone, and
//! Elasticsearch answered everything else. 429, 503, timeouts, a proxy's page and whatever else an outage looks like never
//! cost a message; they defer the attempt.

use crate::export::Exporter;
use crate::fetch::{ANSWER_BYTES_MAX, DOCUMENTS_UNDER_PRESSURE_MIN, document_ref};
use futures::{StreamExt, TryStreamExt, stream};
use granary_domain::{Failure, MessageId};
use granary_ledger::{ClaimedBatch, OwnedMessage};
use granary_source::{Document, DocumentRef, Metadata, SourceError};

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
    Halve,
    Again,
    /// It will never be had, for this reason.
    GiveUp(String),
}

impl Exporter {
    /// What may help where some messages could not be had together, or one alone for the `tries`th time. An error: it
    /// isn't theirs.
    pub(crate) async fn remedy_for(
        &self,
        batch: &ClaimedBatch,
        wanted: &[OwnedMessage],
        tries: u32,
        error: &SourceError,
    ) -> Result<Remedy, Failure> {
        let is_alone = wanted.len() == 1;
        match error {
            SourceError::TooLarge { .. } if !is_alone => {
                self.request_size.learn(wanted.len(), ANSWER_BYTES_MAX);
                Ok(Remedy::Halve)
            }
            SourceError::NotJson { .. } if !is_alone => Ok(Remedy::Halve),
            SourceError::TooLarge { byte_limit, .. } => Ok(Remedy::GiveUp(format!(
                "larger than {byte_limit} bytes with its metadata"
            ))),
            SourceError::NotJson { .. } => Ok(Remedy::GiveUp(format!(
                "its document or metadata is no valid JSON: {error}"
            ))),
            SourceError::Unavailable { .. }
                if error.is_too_heavy() && wanted.len() > DOCUMENTS_UNDER_PRESSURE_MIN =>
            {
                self.request_size.learn(wanted.len(), ANSWER_BYTES_MAX);
                Ok(Remedy::Halve)
            }
            SourceError::BrokeOff { .. }
                if batch.deferrals >= BLAMED_FROM_DEFERRAL && self.answers_beside(&wanted[0]).await =>
            {
                Ok(if !is_alone {
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
            | SourceError::BrokeOff { .. }
            | SourceError::PitLost
            | SourceError::Refused { .. }
            | SourceError::NotElasticsearch { .. }
            | SourceError::Malformed { .. }
            | SourceError::Misconfigured { .. } => Err(self.deferral_delay.source_failure(error)),
        }
    }

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
        let nobody = [&nobody];
        let metadata = stream::iter(&self.metadata)
            .map(|from| self.source.metadata(from, &nobody, ANSWER_BYTES_MAX))
            .buffered(self.metadata.len().max(1))
            .try_collect::<Vec<Metadata>>();
        let wanted = [nothing];
        let answers = futures::try_join!(self.source.documents(&wanted, ANSWER_BYTES_MAX), metadata);
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
