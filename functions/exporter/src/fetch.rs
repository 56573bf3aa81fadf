//! Fetching: the documents of a batch with their metadata, in ledger order, into the spool.
//!
//! A few requests are on their way at the same time, and their answers are written down in order, so memory is bounded
//! by requests, never by the batch. An answer beyond the byte limit is abandoned and asked for in halves; a single
//! document beyond it is asked for alone with a larger limit, and quarantined beyond that. An answer that is too heavy for a busy
//! node is asked for in halves as well, down to a few documents.
//!
//! Documents that Elasticsearch could not give for the moment are asked for again here, a few times; then the attempt is
//! deferred. One that it will never give, or that is no valid JSON, is quarantined, and the rest of the batch ships.

use crate::blame::Remedy;
use crate::careful;
use crate::export::{Exporter, failure};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use granary_archive::{Line, MetadataValue, SealedSpool, Spool, SpoolError};
use granary_domain::{Backoff, Cause, Failure, MessageId, MetadataName, MetadataSource, Outcome};
use granary_ledger::{ClaimedBatch, Exception, OwnedMessage};
use granary_source::{Document, DocumentRef, Metadata, SourceError};
use std::ops::Range;
use std::time::Duration;

const REQUESTS_IN_FLIGHT_MAX: usize = 3;
/// Of one answer. Several are in memory at the same time.
pub(crate) const ANSWER_BYTES_MAX: u64 = 12 * 1024 * 1024;
/// Of one document, which is then the only one in memory.
pub(crate) const DOCUMENT_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// A node that has no memory for so few documents has none at all: the batch is deferred.
pub(crate) const DOCUMENTS_UNDER_PRESSURE_MIN: usize = 25;
const DOCUMENT_TRIES_MAX: u32 = 4;
const DOCUMENT_BACKOFF: Backoff = Backoff {
    first: Duration::from_millis(500),
    ceiling: Duration::from_secs(5),
};

/// A batch as it was fetched.
pub(crate) struct Fetched {
    pub(crate) spool: SealedSpool,
    /// Messages that are not in it, each with its reason.
    pub(crate) exceptions: Vec<Exception>,
}

/// A batch as far as it is written down.
pub(crate) struct Written {
    spool: Spool,
    exceptions: Vec<Exception>,
}

impl Written {
    pub(crate) fn except(&mut self, message: &OwnedMessage, outcome: Outcome, reason: String) {
        self.exceptions.push(Exception {
            message_id: message.message_id.clone(),
            outcome,
            reason,
        });
    }
}

/// The answers to one request, message by message.
pub(crate) struct Part {
    pub(crate) messages: Range<usize>,
    pub(crate) documents: Vec<Document>,
    /// For each metadata source, in their order.
    pub(crate) metadata: Vec<Metadata>,
}

impl Exporter {
    /// Fetches all messages of a batch, a few requests at a time or, where it failed before, message by message.
    pub(crate) async fn fetch(
        &self,
        batch: &ClaimedBatch,
        messages: &[OwnedMessage],
    ) -> Result<Fetched, Failure> {
        let earlier = self.careful_record_of(batch).await?;
        let (format, compression) = self.form;
        let mut written = Written {
            spool: Spool::create(&self.temp_dir, format, compression).map_err(spool_failure)?,
            exceptions: Vec::new(),
        };
        if careful::is_called_for(batch, &earlier) {
            self.fetch_carefully(batch, messages, &earlier, &mut written)
                .await?;
        } else {
            self.fetch_in_parts(batch, messages, 0..messages.len(), &mut written)
                .await?;
        }
        let spool = written.spool.seal().map_err(spool_failure)?;
        Ok(Fetched {
            spool,
            exceptions: written.exceptions,
        })
    }

    /// Fetches a stretch of the messages, a few requests at a time.
    pub(crate) async fn fetch_in_parts(
        &self,
        batch: &ClaimedBatch,
        messages: &[OwnedMessage],
        stretch: Range<usize>,
        written: &mut Written,
    ) -> Result<(), Failure> {
        let size = self.request_size.documents();
        let starts = stretch.clone().step_by(size);
        let ranges = starts.map(|start| start..stretch.end.min(start + size));
        let parts = stream::iter(ranges)
            .map(|range| self.fetch_range(batch, messages, range))
            .buffered(REQUESTS_IN_FLIGHT_MAX);
        let mut parts = std::pin::pin!(parts);
        while let Some(parts) = parts.try_next().await? {
            self.write_parts(batch, messages, parts, written).await?;
        }
        Ok(())
    }

    /// Fetches a range of messages by one request, or by more where the answer is too large or one of its documents
    /// makes it unreadable.
    pub(crate) async fn fetch_range(
        &self,
        batch: &ClaimedBatch,
        messages: &[OwnedMessage],
        range: Range<usize>,
    ) -> Result<Vec<Part>, Failure> {
        let mut parts = Vec::new();
        let mut open = vec![(range, 1)];
        while let Some((range, tries)) = open.pop() {
            let wanted = &messages[range.clone()];
            let error = match self.fetch_part(wanted, range.clone()).await {
                Ok(part) => {
                    parts.push(part);
                    continue;
                }
                Err(error) => error,
            };
            match self.remedy_for(batch, wanted, tries, &error).await? {
                Remedy::Halve => {
                    let middle = range.start + range.len() / 2;
                    open.extend([(middle..range.end, 1), (range.start..middle, 1)]);
                }
                Remedy::Again => open.push((range, tries + 1)),
                Remedy::GiveUp(reason) => {
                    let part = self
                        .give_up(batch, &wanted[0], range, &reason, Some(&error))
                        .await?;
                    parts.push(part);
                }
            }
        }
        Ok(parts)
    }

    async fn fetch_part(&self, wanted: &[OwnedMessage], range: Range<usize>) -> Result<Part, SourceError> {
        let limit = if range.len() == 1 {
            DOCUMENT_BYTES_MAX
        } else {
            ANSWER_BYTES_MAX
        };
        let ids: Vec<&MessageId> = wanted.iter().map(|message| &message.message_id).collect();
        let metadata = stream::iter(&self.metadata)
            .map(|from| self.source.metadata(from, &ids, limit))
            .buffered(self.metadata.len().max(1))
            .try_collect();
        let (documents, metadata): (_, Vec<Metadata>) =
            futures::try_join!(self.fetch_documents(wanted, limit), metadata)?;
        let bytes = documents.iter().map(document_bytes).sum::<u64>()
            + metadata.iter().map(metadata_bytes).sum::<u64>();
        self.request_size.learn(range.len(), bytes);
        Ok(Part {
            messages: range,
            documents,
            metadata,
        })
    }

    /// Fetches documents, and those again that Elasticsearch could not give for the moment.
    async fn fetch_documents(
        &self,
        wanted: &[OwnedMessage],
        limit: u64,
    ) -> Result<Vec<Document>, SourceError> {
        let refs: Vec<DocumentRef<'_>> = wanted.iter().map(document_ref).collect();
        let mut documents = self.source.documents(&refs, limit).await?;
        for tries in 1.. {
            let failed: Vec<usize> = (0..refs.len())
                .filter(|place| is_transient(&documents[*place]).is_some())
                .collect();
            let Some(reason) = failed.first().and_then(|place| is_transient(&documents[*place])) else {
                break;
            };
            if tries == DOCUMENT_TRIES_MAX {
                let reason = format!("{} documents, for instance: {reason}", failed.len());
                return Err(SourceError::Unavailable {
                    operation: "read documents",
                    status: None,
                    retry_after: None,
                    reason,
                });
            }
            tokio::time::sleep(DOCUMENT_BACKOFF.delay(tries, rand::random())).await;
            let again: Vec<DocumentRef<'_>> = failed.iter().map(|place| refs[*place]).collect();
            let answers = self.source.documents(&again, limit).await?;
            failed
                .into_iter()
                .zip(answers)
                .for_each(|(place, answer)| documents[place] = answer);
        }
        Ok(documents)
    }

    /// Writes down what was fetched, each part's memory being free before the next is looked at.
    pub(crate) async fn write_parts(
        &self,
        batch: &ClaimedBatch,
        messages: &[OwnedMessage],
        parts: Vec<Part>,
        written: &mut Written,
    ) -> Result<(), Failure> {
        for part in parts {
            self.write_part(batch, &messages[part.messages.clone()], part, written)
                .await?;
        }
        Ok(())
    }

    async fn write_part(
        &self,
        batch: &ClaimedBatch,
        messages: &[OwnedMessage],
        part: Part,
        written: &mut Written,
    ) -> Result<(), Failure> {
        for (place, (message, document)) in messages.iter().zip(&part.documents).enumerate() {
            let (version, source) = match document {
                Document::Found { version, source } => (*version, source),
                Document::Missing => {
                    let reason = "gone at the source before it was exported".to_owned();
                    written.except(message, Outcome::Missing, reason);
                    continue;
                }
                Document::Failed { reason, .. } => {
                    written.except(message, Outcome::Quarantined, reason.clone());
                    continue;
                }
            };
            let outcome = {
                let lists = metadata_lists(&self.metadata, &part.metadata, place);
                written.spool.write(&Line {
                    message_id: &message.message_id,
                    index: &message.index,
                    version: i64::try_from(version).unwrap_or(i64::MAX),
                    message: source,
                    metadata: &metadata_values(&self.metadata, &lists),
                })
            };
            match outcome {
                Ok(()) => {}
                Err(error @ SpoolError::LineTooLong { .. }) => {
                    let raw = vec![source.clone()];
                    let reason = self.keep_raw(batch, message, &error.to_string(), raw).await?;
                    written.except(message, Outcome::Quarantined, reason);
                }
                Err(error) => return Err(spool_failure(error)),
            }
        }
        Ok(())
    }
}

pub(crate) fn document_ref(message: &OwnedMessage) -> DocumentRef<'_> {
    DocumentRef {
        index: &message.index,
        doc_id: message.doc_id.as_deref().unwrap_or(message.message_id.as_str()),
        routing: message.routing.as_deref(),
    }
}

/// Why a document can't be had for the moment.
fn is_transient(document: &Document) -> Option<&str> {
    match document {
        Document::Failed {
            reason,
            transient: true,
        } => Some(reason),
        Document::Failed { .. } | Document::Found { .. } | Document::Missing => None,
    }
}

fn document_bytes(document: &Document) -> u64 {
    match document {
        Document::Found { source, .. } => source.len() as u64,
        Document::Missing | Document::Failed { .. } => 0,
    }
}

fn metadata_bytes(metadata: &Metadata) -> u64 {
    match metadata {
        Metadata::IndexMissing => 0,
        Metadata::Found(entries) => entries.iter().flatten().map(|entry| entry.len() as u64).sum(),
    }
}

/// What each metadata source has for the message at `place`; `None`: there is no such index.
fn metadata_lists<'a>(
    sources: &[MetadataSource],
    found: &'a [Metadata],
    place: usize,
) -> Vec<Option<Vec<&'a [u8]>>> {
    let slices = |entries: &'a [Bytes]| entries.iter().map(AsRef::as_ref).collect();
    found
        .iter()
        .take(sources.len())
        .map(|metadata| match metadata {
            Metadata::IndexMissing => None,
            Metadata::Found(entries) => Some(
                entries
                    .get(place)
                    .map(|entries| slices(entries))
                    .unwrap_or_default(),
            ),
        })
        .collect()
}

fn metadata_values<'a>(
    sources: &'a [MetadataSource],
    lists: &'a [Option<Vec<&'a [u8]>>],
) -> Vec<(&'a MetadataName, MetadataValue<'a>)> {
    let value = |(source, list): (&'a MetadataSource, &'a Option<Vec<&'a [u8]>>)| {
        let value = match list.as_deref() {
            None => MetadataValue::IndexMissing,
            Some(entries) if source.many => MetadataValue::Many(entries),
            Some([first, ..]) => MetadataValue::One(first),
            Some([]) => MetadataValue::Nothing,
        };
        (&source.name, value)
    };
    sources.iter().zip(lists).map(value).collect()
}

/// The temp directory failed, which is this machine's fault: another one may have room.
fn spool_failure(error: SpoolError) -> Failure {
    failure(Cause::Spool, &error)
}
