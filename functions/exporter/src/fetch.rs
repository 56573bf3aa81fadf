//! Fetching: the documents of a batch with their metadata, in ledger order, into the spool.
//!
//! A few requests are on their way at the same time, and their answers are written down in order, so memory is bounded
//! by requests, never by the batch. An answer beyond the byte limit is abandoned and asked for in halves; a single
//! document beyond it is asked for alone with a larger limit, and quarantined beyond that.
//!
//! Documents that Elasticsearch could not give for the moment are asked for again here, a few times; then the attempt is
//! deferred. One that it will never give, or that is no valid JSON, is quarantined, and the rest of the batch ships.

use crate::export::{Exporter, failure};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use granary_archive::{Line, MetadataValue, SealedSpool, Spool, SpoolError};
use granary_domain::{Backoff, Cause, Failure, MessageId, MetadataName, MetadataSource, Outcome};
use granary_ledger::{Exception, OwnedMessage};
use granary_source::{Document, DocumentRef, Metadata, SourceError};
use std::ops::Range;
use std::time::Duration;

const REQUESTS_IN_FLIGHT_MAX: usize = 3;
/// Of one answer. Several are in memory at the same time.
const ANSWER_BYTES_MAX: u64 = 12 * 1024 * 1024;
/// Of one document, which is then the only one in memory.
const DOCUMENT_BYTES_MAX: u64 = 64 * 1024 * 1024;
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

/// The answers to one request, message by message.
struct Part {
    messages: Range<usize>,
    documents: Vec<Document>,
    /// For each metadata source, in their order.
    metadata: Vec<Metadata>,
}

impl Exporter {
    /// Fetches all messages of a batch.
    pub(crate) async fn fetch(&self, messages: &[OwnedMessage]) -> Result<Fetched, Failure> {
        let (format, compression) = self.form;
        let mut spool = Spool::create(&self.temp_dir, format, compression).map_err(spool_failure)?;
        let mut exceptions = Vec::new();
        let size = self.request_size.documents();
        let starts = (0..messages.len()).step_by(size);
        let ranges = starts.map(|start| start..messages.len().min(start + size));
        let parts = stream::iter(ranges)
            .map(|range| self.fetch_range(messages, range))
            .buffered(REQUESTS_IN_FLIGHT_MAX);
        let mut parts = std::pin::pin!(parts);
        while let Some(parts_of_range) = parts.try_next().await? {
            for part in parts_of_range {
                self.write_part(&mut spool, messages, part, &mut exceptions)?;
            }
        }
        let spool = spool.seal().map_err(spool_failure)?;
        Ok(Fetched { spool, exceptions })
    }

    /// Fetches a range of messages by one request, or by more where the answer is too large or one of its documents
    /// makes it unreadable.
    async fn fetch_range(
        &self,
        messages: &[OwnedMessage],
        range: Range<usize>,
    ) -> Result<Vec<Part>, Failure> {
        let mut parts = Vec::new();
        let mut open = vec![range];
        while let Some(range) = open.pop() {
            match self.fetch_part(messages, range.clone()).await {
                Ok(part) => parts.push(part),
                Err(error @ (SourceError::TooLarge { .. } | SourceError::NotJson { .. }))
                    if range.len() > 1 =>
                {
                    let middle = range.start + range.len() / 2;
                    if matches!(error, SourceError::TooLarge { .. }) {
                        self.request_size.learn(range.len(), ANSWER_BYTES_MAX);
                    }
                    open.extend([middle..range.end, range.start..middle]);
                }
                Err(SourceError::TooLarge { byte_limit, .. }) => {
                    let reason = format!("larger than {byte_limit} bytes with its metadata");
                    parts.push(self.quarantined(range, reason));
                }
                Err(error @ SourceError::NotJson { .. }) => {
                    let reason = format!("its document or metadata is no valid JSON: {error}");
                    parts.push(self.quarantined(range, reason));
                }
                Err(error) => return Err(failure(error.cause(), &error)),
            }
        }
        Ok(parts)
    }

    /// The one message of a range that can't be had by any request.
    fn quarantined(&self, range: Range<usize>, reason: String) -> Part {
        Part {
            messages: range,
            documents: vec![Document::Failed {
                reason,
                transient: false,
            }],
            metadata: self.metadata.iter().map(|_| Metadata::IndexMissing).collect(),
        }
    }

    async fn fetch_part(&self, messages: &[OwnedMessage], range: Range<usize>) -> Result<Part, SourceError> {
        let limit = if range.len() == 1 {
            DOCUMENT_BYTES_MAX
        } else {
            ANSWER_BYTES_MAX
        };
        let wanted = &messages[range.clone()];
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

    fn write_part(
        &self,
        spool: &mut Spool,
        messages: &[OwnedMessage],
        part: Part,
        exceptions: &mut Vec<Exception>,
    ) -> Result<(), Failure> {
        for (place, (message, document)) in messages[part.messages].iter().zip(&part.documents).enumerate() {
            let except = |outcome, reason| Exception {
                message_id: message.message_id.clone(),
                outcome,
                reason,
            };
            let (version, source) = match document {
                Document::Found { version, source } => (*version, source),
                Document::Missing => {
                    let reason = "gone at the source before it was exported".to_owned();
                    exceptions.push(except(Outcome::Missing, reason));
                    continue;
                }
                Document::Failed { reason, .. } => {
                    exceptions.push(except(Outcome::Quarantined, reason.clone()));
                    continue;
                }
            };
            let lists = metadata_lists(&self.metadata, &part.metadata, place);
            let line = Line {
                message_id: &message.message_id,
                index: &message.index,
                version: i64::try_from(version).unwrap_or(i64::MAX),
                message: source,
                metadata: &metadata_values(&self.metadata, &lists),
            };
            match spool.write(&line) {
                Ok(()) => {}
                Err(error @ SpoolError::LineTooLong { .. }) => {
                    exceptions.push(except(Outcome::Quarantined, error.to_string()));
                }
                Err(error) => return Err(spool_failure(error)),
            }
        }
        Ok(())
    }
}

fn document_ref(message: &OwnedMessage) -> DocumentRef<'_> {
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
