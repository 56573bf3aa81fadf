//! What to do about an answer that can't be used: whether the request, one document, a service or the configuration is to
//! blame.
//!
//! A message is given up only for a [`Flaw`], which is its document's own: it was asked for alone, and its shard and the
//! metadata sources answered beside it. Everything else is an outage or a refusal (429, 503, timeouts, a proxy's page, a
//! damaged or truncated answer, a block, a privilege, an error of an unknown type): it defers the attempt, and costs
//! neither a message nor an attempt.

use crate::fetch::{BatchFetch, Fetcher, document_ref, unavailable};
use crate::request_size::{ANSWER_BYTES_MAX, Portion};
use granary_domain::{Failure, Fence, MessageId};
use granary_ledger::export::OwnedMessage;
use granary_source::{ByteAllowance, Document, DocumentRef, SourceError};
use std::collections::HashSet;
use std::ops::Range;

/// Connections that break off are the platform's fault, until it has had so many chances to mend.
const BLAMED_FROM_DEFERRAL: u32 = 2;
/// How often a document is asked for alone before it is to blame for that. Each time is several requests.
const TRIES_ALONE_MAX: u32 = 3;
/// How often an answer about it alone must be no JSON: a damaged answer is another one the second time.
const NOT_JSON_TRIES_ALONE: u32 = 2;
/// An id that no message has, in a field of numbers as in one of keywords.
const NOBODY: &str = "-1";

/// Why a message is given up: the whole list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// Its index doesn't keep `_source`. That is so for all documents of the index; none of them can be had by waiting.
    WithoutSource,
    /// Its document or metadata, as Elasticsearch gives it out, is no JSON.
    NotJson { found: String },
    /// Elasticsearch can't write its document out as JSON.
    NotWritable { found: String },
    /// Larger than an answer may be.
    TooLarge { byte_limit: u64 },
    /// Larger than a line may be.
    LineTooLong { found: String },
    /// A worker died while it had this message alone in hand.
    KilledItsWorker { attempt: Fence },
}

impl Flaw {
    /// The reason, for people.
    pub(crate) fn reason(&self) -> String {
        match self {
            Self::WithoutSource => "the index doesn't keep `_source`".to_owned(),
            Self::NotJson { found } => format!("its document or metadata is no valid JSON: {found}"),
            Self::NotWritable { found } => {
                format!("Elasticsearch can't give it, though it gives others: {found}")
            }
            Self::TooLarge { byte_limit } => format!("larger than {byte_limit} bytes with its metadata"),
            Self::LineTooLong { found } => found.clone(),
            Self::KilledItsWorker { attempt } => format!(
                "its worker died while it was exported, on attempt {attempt} of the execution log; it was not touched again"
            ),
        }
    }
}

/// What may help.
pub(crate) enum Remedy {
    /// Requests as the request size has just learnt that they should be.
    Smaller,
    /// Half of the documents, to find the one that makes the answer unreadable.
    Halve,
    /// The same document again.
    Again,
    /// It will never be had.
    GiveUp(Flaw),
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
        let found = error.to_string();
        match error {
            SourceError::TooLarge { bytes, .. } if !is_single || !portion.is_alone() => {
                size.was_too_large(wanted.len(), *bytes);
                Ok(Remedy::Smaller)
            }
            SourceError::NotJson { .. } if !is_single => Ok(Remedy::Halve),
            SourceError::NotJson { .. } if tries < NOT_JSON_TRIES_ALONE => Ok(Remedy::Again),
            SourceError::TooLarge { byte_limit, .. } if self.fetcher.answers_beside(&wanted[0]).await => {
                Ok(Remedy::GiveUp(Flaw::TooLarge {
                    byte_limit: *byte_limit,
                }))
            }
            SourceError::NotJson { .. } if self.fetcher.answers_beside(&wanted[0]).await => {
                Ok(Remedy::GiveUp(Flaw::NotJson { found }))
            }
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
                    Remedy::GiveUp(Flaw::NotWritable { found })
                })
            }
            SourceError::Unavailable { .. }
            | SourceError::TooHeavy { .. }
            | SourceError::OverLimit { .. }
            | SourceError::BrokeOff { .. }
            | SourceError::LoginRefused { .. }
            | SourceError::PitLost
            | SourceError::TooLarge { .. }
            | SourceError::NotJson { .. }
            | SourceError::Refused { .. }
            | SourceError::NotElasticsearch { .. }
            | SourceError::Malformed { .. }
            | SourceError::Misconfigured { .. } => Err(self.failure_of(error)),
        }
    }
}

impl Fetcher {
    /// Asks for each document without `_source` alone, and for its shard beside it: only what is confirmed stays so.
    pub(crate) async fn confirm_flaws(
        &self,
        wanted: &[DocumentRef<'_>],
        documents: &mut [Document],
        allowance: &ByteAllowance,
    ) -> Result<(), SourceError> {
        let mut answering: HashSet<&str> = HashSet::new();
        for (wanted, document) in wanted.iter().zip(documents) {
            if *document != Document::WithoutSource {
                continue;
            }
            if let Some(alone) = self.source.documents(&[*wanted], allowance).await?.pop() {
                *document = alone;
            }
            if answering.insert(wanted.index) && !self.source.shard_answers(*wanted).await? {
                return Err(unavailable(1, "its shard answers about no other document"));
            }
        }
        Ok(())
    }

    /// Whether Elasticsearch answers, at this moment and about nothing, what it would not answer about a message.
    pub(crate) async fn answers_beside(&self, message: &OwnedMessage) -> bool {
        // An empty list of ids would be answered without a look into any shard.
        let Ok(nobody) = MessageId::try_from(NOBODY.to_owned()) else {
            return false;
        };
        let (allowance, nobody) = (ByteAllowance::new(ANSWER_BYTES_MAX), [&nobody]);
        // In the message's own shard: where that is damaged, none of its messages is to blame.
        let answers = futures::try_join!(
            self.source.shard_answers(document_ref(message)),
            self.metadata_of(&nobody, &allowance)
        );
        match answers {
            Ok((answers, _)) => answers,
            Err(error) => {
                tracing::debug!(%error, "Elasticsearch doesn't answer about anything else either");
                false
            }
        }
    }
}
