//! Fetching: the documents of a batch with their metadata, in ledger order, into the draft.
//!
//! A few requests are in flight, and each answer is written and freed before the next one is looked at, so memory is
//! bounded by requests, never by the batch (`request_size.rs`). Where an answer can't be used, everything behind it is
//! dropped as well and asked for again, in smaller requests where that may help.
//!
//! Documents that Elasticsearch could not give for the moment are retried here, a few times; then the attempt is
//! deferred, as it is at once where Elasticsearch refuses one. A document with a flaw of its own (`blame.rs`) is
//! quarantined, and the rest of the batch ships.

use crate::blame::{Flaw, Remedy};
use crate::deferral::DeferralDelay;
use crate::draft::Draft;
use crate::failure::spool_failure;
use crate::progress::Progress;
use crate::request_size::{REQUESTS_IN_FLIGHT_MAX, RequestSize};
use bytes::Bytes;
use futures::stream::FuturesOrdered;
use futures::{StreamExt, TryStreamExt, stream};
use granary_archive::{Archive, Line, MetadataValue, SpoolError};
use granary_domain::{Backoff, Failure, MessageId, MetadataName, MetadataSource, Outcome};
use granary_ledger::export::{ClaimedBatch, OwnedMessage};
use granary_source::{ByteAllowance, Document, DocumentRef, Metadata, Source, SourceError};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

const READ: &str = "read documents";
const DOCUMENT_TRIES_MAX: u32 = 4;
const DOCUMENT_BACKOFF: Backoff = Backoff {
    first: Duration::from_millis(500),
    ceiling: Duration::from_secs(5),
};

/// What fetches. Made once at cold start.
pub(crate) struct Fetcher {
    pub(crate) source: Source,
    pub(crate) metadata: Vec<MetadataSource>,
    /// For the raw bytes of what is quarantined.
    pub(crate) archive: Archive,
    pub(crate) size: RequestSize,
    pub(crate) deferral_delay: Arc<DeferralDelay>,
}

/// One batch that is being fetched.
pub(crate) struct BatchFetch<'a> {
    pub(crate) fetcher: &'a Fetcher,
    pub(crate) batch: &'a ClaimedBatch,
    pub(crate) messages: &'a [OwnedMessage],
    pub(crate) draft: Draft,
    /// Messages that Elasticsearch has answered.
    progress: &'a Progress,
}

/// The answers to one request, message by message.
struct Answers {
    documents: Vec<Document>,
    /// For each metadata source, in their order.
    metadata: Vec<Metadata>,
}

impl<'a> BatchFetch<'a> {
    pub(crate) fn begin(
        fetcher: &'a Fetcher,
        batch: &'a ClaimedBatch,
        messages: &'a [OwnedMessage],
        draft: Draft,
        progress: &'a Progress,
    ) -> Self {
        Self {
            fetcher,
            batch,
            messages,
            draft,
            progress,
        }
    }

    /// Fetches a stretch of the messages, a few requests at a time, and writes them.
    pub(crate) async fn fetch(&mut self, stretch: Range<usize>) -> Result<(), Failure> {
        let (fetcher, messages) = (self.fetcher, self.messages);
        let (mut written, mut next) = (stretch.start, stretch.start);
        // How many documents may be asked for together, where one among them makes an answer unreadable.
        let mut together_max = usize::MAX;
        let mut tries = 1;
        let mut in_flight = FuturesOrdered::new();
        loop {
            // The search for one document goes step by step.
            let in_flight_max = if together_max == usize::MAX {
                REQUESTS_IN_FLIGHT_MAX
            } else {
                1
            };
            while next < stretch.end
                && in_flight.len() < in_flight_max
                && let Some(portion) = fetcher.size.portion(self.progress.fetched(), next - written)
            {
                let end = stretch.end.min(next + portion.documents.min(together_max));
                let range = next..end;
                in_flight.push_back(async move {
                    let answers = fetcher.ask(&messages[range.clone()], portion.bytes_max).await;
                    (range, portion, answers)
                });
                next = end;
            }
            let Some((range, portion, answers)) = in_flight.next().await else {
                return Ok(());
            };
            let error = match answers {
                Ok(answers) => {
                    self.write(range.clone(), answers).await?;
                    self.progress.note(range.len());
                    (written, tries) = (range.end, 1);
                    together_max = together_max.saturating_mul(2);
                    continue;
                }
                Err(error) => error,
            };
            in_flight = FuturesOrdered::new();
            match self.remedy_for(range.clone(), portion, tries, &error).await? {
                Remedy::Smaller => {}
                Remedy::Halve => together_max = range.len() / 2,
                Remedy::Again => (together_max, tries) = (1, tries + 1),
                Remedy::GiveUp(flaw) => {
                    self.give_up(range.start, &flaw, error).await?;
                    (written, tries) = (range.end, 1);
                }
            }
            next = written;
        }
    }

    /// Writes answers down. Their memory is free when this returns.
    async fn write(&mut self, range: Range<usize>, answers: Answers) -> Result<(), Failure> {
        for (place, document) in answers.documents.iter().enumerate() {
            let message = &self.messages[range.start + place];
            match document {
                Document::Found {
                    version,
                    state,
                    source,
                    moved_to,
                } => {
                    let lists = metadata_lists(&self.fetcher.metadata, &answers.metadata, place);
                    let read_at = moved_to
                        .as_ref()
                        .map_or(document_ref(message), |place| DocumentRef {
                            message_id: message.message_id.as_str(),
                            index: &place.index,
                            doc_id: &place.doc_id,
                            routing: place.routing.as_deref(),
                        });
                    let outcome = self.draft.write(&Line {
                        message_id: &message.message_id,
                        doc_id: read_at.doc_id,
                        index: read_at.index,
                        routing: read_at.routing,
                        version: i64::try_from(*version).unwrap_or(i64::MAX),
                        seq_no: state.seq_no,
                        primary_term: state.primary_term,
                        message: source,
                        metadata: &metadata_values(&self.fetcher.metadata, &lists),
                    });
                    match outcome {
                        Ok(()) => {}
                        Err(error @ SpoolError::LineTooLong { .. }) => {
                            let flaw = Flaw::LineTooLong {
                                found: error.to_string(),
                            };
                            self.quarantine(range.start + place, &flaw, vec![source.clone()])
                                .await?;
                        }
                        Err(error) => return Err(spool_failure(error)),
                    }
                }
                Document::Missing(absence) => {
                    self.draft
                        .except(message, Outcome::Missing, absence.reason().to_owned());
                }
                Document::WithoutSource => {
                    self.draft
                        .except(message, Outcome::Quarantined, Flaw::WithoutSource.reason());
                }
                Document::Unavailable { reason } => return Err(self.failure_of(&unavailable(1, reason))),
                Document::Refused { reason } => return Err(self.failure_of(&refused(reason))),
            }
        }
        Ok(())
    }

    /// The failure of an attempt that an error of Elasticsearch ends.
    pub(crate) fn failure_of(&self, error: &SourceError) -> Failure {
        self.fetcher.deferral_delay.source_failure(error)
    }
}

impl Fetcher {
    /// Asks for documents with their metadata, which may have so many bytes in all.
    async fn ask(&self, wanted: &[OwnedMessage], bytes_max: u64) -> Result<Answers, SourceError> {
        let allowance = ByteAllowance::new(bytes_max);
        let ids: Vec<&MessageId> = wanted.iter().map(|message| &message.message_id).collect();
        let metadata = self.metadata_of(&ids, &allowance);
        let (documents, metadata) = futures::try_join!(self.documents_of(wanted, &allowance), metadata)?;
        self.size.learn(wanted.len(), bytes_max - allowance.left());
        Ok(Answers { documents, metadata })
    }

    /// What each metadata source has for messages, in the order of the sources.
    pub(crate) async fn metadata_of(
        &self,
        ids: &[&MessageId],
        allowance: &ByteAllowance,
    ) -> Result<Vec<Metadata>, SourceError> {
        stream::iter(&self.metadata)
            .map(|from| self.source.metadata(from, ids, allowance))
            .buffered(self.metadata.len().max(1))
            .try_collect()
            .await
    }

    /// Fetches documents, and retries those that Elasticsearch could not give for the moment. One that it refuses ends
    /// the request: whatever refuses it is not about one document.
    async fn documents_of(
        &self,
        wanted: &[OwnedMessage],
        allowance: &ByteAllowance,
    ) -> Result<Vec<Document>, SourceError> {
        let refs: Vec<DocumentRef<'_>> = wanted.iter().map(document_ref).collect();
        let mut documents = self.source.documents(&refs, allowance).await?;
        for tries in 1.. {
            if let Some(reason) = documents.iter().find_map(refusal) {
                return Err(refused(reason));
            }
            let failed: Vec<usize> = (0..refs.len())
                .filter(|place| outage(&documents[*place]).is_some())
                .collect();
            let Some(reason) = failed.first().and_then(|place| outage(&documents[*place])) else {
                break;
            };
            if tries == DOCUMENT_TRIES_MAX {
                return Err(unavailable(failed.len(), reason));
            }
            tokio::time::sleep(DOCUMENT_BACKOFF.delay(tries, rand::random())).await;
            let again: Vec<DocumentRef<'_>> = failed.iter().map(|place| refs[*place]).collect();
            let answers = self.source.documents(&again, allowance).await?;
            failed
                .into_iter()
                .zip(answers)
                .for_each(|(place, answer)| documents[place] = answer);
        }
        self.confirm_flaws(&refs, &mut documents, allowance).await?;
        Ok(documents)
    }
}

pub(crate) fn document_ref(message: &OwnedMessage) -> DocumentRef<'_> {
    DocumentRef {
        message_id: message.message_id.as_str(),
        index: &message.index,
        doc_id: message.doc_id.as_deref().unwrap_or(message.message_id.as_str()),
        routing: message.routing.as_deref(),
    }
}

/// Why a document can't be had for the moment.
fn outage(document: &Document) -> Option<&str> {
    match document {
        Document::Unavailable { reason } => Some(reason),
        Document::Found { .. }
        | Document::Missing(_)
        | Document::WithoutSource
        | Document::Refused { .. } => None,
    }
}

/// Why a document isn't given, nor others with it.
fn refusal(document: &Document) -> Option<&str> {
    match document {
        Document::Refused { reason } => Some(reason),
        Document::Found { .. }
        | Document::Missing(_)
        | Document::WithoutSource
        | Document::Unavailable { .. } => None,
    }
}

pub(crate) fn refused(reason: &str) -> SourceError {
    SourceError::Refused {
        operation: READ,
        status: 200,
        reason: reason.to_owned(),
    }
}

/// Documents that stayed out of reach. A breaker of another node refuses them one by one, in an answer of status 200.
pub(crate) fn unavailable(documents: usize, example: &str) -> SourceError {
    let operation = READ;
    let is_too_heavy = example.starts_with("circuit_breaking_exception");
    let reason = format!("{documents} documents, for instance: {example}");
    if is_too_heavy {
        return SourceError::TooHeavy {
            operation,
            status: None,
            retry_after: None,
            reason,
        };
    }
    SourceError::Unavailable {
        operation,
        status: None,
        retry_after: None,
        reason,
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
