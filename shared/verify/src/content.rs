//! The content of an object against the source: where index, `_id`, version, sequence number and primary term are what the
//! line says, the bytes must be equal. Any other document was updated since, or is gone, and is only counted.
//!
//! Of each object some lines are compared, or all of them. What is kept of a line is its place, its state and a hash. One
//! request is in flight in a process, and has 8 MiB of answers, or a single document. Not here: whether the object is what
//! the ledger says (`objects.rs`). An outage of the source ends the step, which is taken again.

use crate::report::Finding;
use crate::{FindingKind, Verifier, VerifyError};
use granary_archive::{ArchivedDocument, Sha256Sum, sha256_in_line};
use granary_domain::MessageId;
use granary_source::{Absence, ByteAllowance, Document, DocumentRef, Source, SourceError, State};
use serde::{Deserialize, Serialize};

const READ: &str = "read documents to compare them";
const ANSWER_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// A document that has no place in an answer of several.
const DOCUMENT_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// What an answer is meant to have.
const ANSWER_BYTES: u64 = 2 * 1024 * 1024;
const DOCUMENTS_AT_FIRST: usize = 2;
const DOCUMENTS_MAX: usize = 1_000;
const GROWTH: usize = 8;
const SHRINK: usize = 4;
/// What is said of an object with such a line.
const DIFFERS: &str = "it holds other content than the source has in the same state";
/// As many as a batch has.
const LINES_MAX: usize = 10_000;

/// How many lines of each object are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lines {
    /// All of them.
    All,
    /// So many.
    Some(u32),
}

/// Messages whose archived content was compared with the source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContentCounts {
    /// Equal, byte for byte.
    pub equal: u64,
    /// The document was updated or moved at the source since it was exported.
    pub updated: u64,
    /// The source doesn't have the document any more.
    pub gone: u64,
    /// Its index keeps no `_source` or is left out, or the document is larger than 64 MiB or no JSON.
    pub not_compared: u64,
    /// The object holds other bytes, or another document, than the source had in that state.
    pub different: u64,
}

impl ContentCounts {
    pub(crate) fn merge(&mut self, other: &Self) {
        self.equal += other.equal;
        self.updated += other.updated;
        self.gone += other.gone;
        self.not_compared += other.not_compared;
        self.different += other.different;
    }
}

/// What a line says, without its content.
pub(crate) struct SampledLine {
    id: MessageId,
    place: granary_source::Place,
    version: u64,
    state: State,
    sha256: Sha256Sum,
    shows_its_id: bool,
}

/// The lines of an object that are compared: evenly spaced, from a random one on.
pub(crate) struct Sample {
    lines: Vec<SampledLine>,
    seen: u64,
    stride: u64,
    first: u64,
    lines_max: usize,
    /// Messages whose line doesn't say which document it holds.
    unreadable: Vec<MessageId>,
}

impl Sample {
    pub(crate) fn of(exported: u64, wanted: Lines) -> Self {
        let lines_max = match wanted {
            Lines::All => LINES_MAX,
            Lines::Some(lines) => usize::try_from(lines).unwrap_or(LINES_MAX),
        };
        let stride = exported.div_ceil(lines_max.max(1) as u64).max(1);
        Self {
            lines: Vec::new(),
            seen: 0,
            stride,
            first: rand::random_range(0..stride),
            lines_max,
            unreadable: Vec::new(),
        }
    }

    /// Takes a line, where it is one of those.
    pub(crate) fn take(&mut self, source: &Source, id: &MessageId, line: &[u8]) {
        let is_wanted = self.seen % self.stride == self.first;
        self.seen += 1;
        if !is_wanted || self.lines.len() + self.unreadable.len() >= self.lines_max {
            return;
        }
        let Some(document) = ArchivedDocument::of(id, line) else {
            self.unreadable.push(id.clone());
            return;
        };
        self.lines.push(SampledLine {
            sha256: document.sha256(),
            shows_its_id: source.shows_id(document.message, id.as_str()),
            version: document.version,
            state: State {
                seq_no: document.seq_no,
                primary_term: document.primary_term,
            },
            place: granary_source::Place {
                index: document.index.into_owned(),
                doc_id: document.doc_id.into_owned(),
                routing: document.routing.map(std::borrow::Cow::into_owned),
            },
            id: id.clone(),
        });
    }
}

/// What a comparison shows.
#[derive(Default)]
pub(crate) struct Compared {
    pub(crate) counts: ContentCounts,
    /// The messages that differ.
    different: Vec<MessageId>,
}

impl Verifier {
    /// Compares the lines of an object with what the source has.
    pub(crate) async fn compare_content(&self, sample: Sample) -> Result<Compared, VerifyError> {
        let mut compared = Compared::default();
        sample.unreadable.into_iter().for_each(|id| compared.differs(id));
        let mut at_once = self.content_gate.lock().await;
        let (lines, mut next) = (sample.lines, 0);
        while next < lines.len() {
            let wanted = if *at_once == 0 {
                DOCUMENTS_AT_FIRST
            } else {
                *at_once
            };
            let some = &lines[next..lines.len().min(next + wanted)];
            let bytes_max = if some.len() == 1 {
                DOCUMENT_BYTES_MAX
            } else {
                ANSWER_BYTES_MAX
            };
            let allowance = ByteAllowance::new(bytes_max);
            let wanted: Vec<DocumentRef<'_>> = some.iter().map(SampledLine::document).collect();
            match self.source.documents(&wanted, &allowance).await {
                Ok(documents) => {
                    self.require(&wanted, &documents).await?;
                    let mean = ((bytes_max - allowance.left()) / some.len() as u64).max(1);
                    let by_weight = usize::try_from(ANSWER_BYTES / mean).unwrap_or(DOCUMENTS_MAX);
                    *at_once = (some.len() * GROWTH).min(by_weight).clamp(1, DOCUMENTS_MAX);
                    next += some.len();
                    some.iter()
                        .zip(&documents)
                        .for_each(|(line, document)| compared.judge(line, document));
                }
                Err(error) if some.len() > 1 && (error.wants_less() || is_not_json(&error)) => {
                    *at_once = (some.len() / SHRINK).max(1);
                }
                Err(error) if is_not_json(&error) || matches!(error, SourceError::TooLarge { .. }) => {
                    compared.counts.not_compared += 1;
                    next += 1;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(compared)
    }
}

impl Verifier {
    /// A document that the source withholds is no exception of the verdict: its error ends the step. One of an index that
    /// is left out isn't expected.
    async fn require(&self, wanted: &[DocumentRef<'_>], documents: &[Document]) -> Result<(), SourceError> {
        for (wanted, document) in wanted.iter().zip(documents) {
            match document {
                Document::Unavailable { reason } => {
                    return Err(SourceError::Unavailable {
                        operation: READ,
                        status: Some(200),
                        retry_after: None,
                        reason: reason.clone(),
                    });
                }
                Document::Refused { reason } => {
                    let survey = self.source.surveyed().await?;
                    if !survey.left_out_names().iter().any(|index| index == wanted.index) {
                        return Err(SourceError::Refused {
                            operation: READ,
                            status: 200,
                            reason: reason.clone(),
                        });
                    }
                }
                Document::Found { .. } | Document::Missing(_) | Document::WithoutSource => {}
            }
        }
        Ok(())
    }
}

fn is_not_json(error: &SourceError) -> bool {
    matches!(error, SourceError::NotJson { .. })
}

impl SampledLine {
    fn document(&self) -> DocumentRef<'_> {
        DocumentRef {
            message_id: self.id.as_str(),
            index: &self.place.index,
            doc_id: &self.place.doc_id,
            routing: self.place.routing.as_deref(),
        }
    }
}

impl Compared {
    /// A finding about the object, with the messages that differ. `None`: none does.
    pub(crate) fn finding(
        &self,
        about: impl FnOnce(FindingKind, &'static str) -> Finding,
    ) -> Option<Finding> {
        if self.different.is_empty() {
            return None;
        }
        let mut finding = about(FindingKind::ContentDiffers, DIFFERS);
        self.different.iter().for_each(|id| finding.add(id));
        Some(finding)
    }

    fn differs(&mut self, id: MessageId) {
        self.counts.different += 1;
        self.different.push(id);
    }

    fn judge(&mut self, line: &SampledLine, document: &Document) {
        let counts = &mut self.counts;
        match document {
            Document::Found {
                version,
                state,
                source,
                moved_to: None,
            } if (*version, *state) == (line.version, line.state) => {
                if sha256_in_line(source) == line.sha256 {
                    counts.equal += 1;
                } else {
                    self.differs(line.id.clone());
                }
            }
            Document::Found { .. } => counts.updated += 1,
            // Its own content doesn't show the message either: it is that other document.
            Document::Missing(Absence::Replaced) if !line.shows_its_id => self.differs(line.id.clone()),
            Document::Missing(_) => counts.gone += 1,
            Document::WithoutSource | Document::Unavailable { .. } | Document::Refused { .. } => {
                counts.not_compared += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_spread_over_the_object_and_never_more_than_is_wanted() {
        for (exported, wanted, strides) in [
            (1_000, Lines::Some(20), 50),
            (10, Lines::Some(20), 1),
            (0, Lines::Some(20), 1),
            (30, Lines::Some(20), 2),
            (10_000, Lines::All, 1),
        ] {
            let sample = Sample::of(exported, wanted);
            assert_eq!(sample.stride, strides, "{exported} {wanted:?}");
            assert!(sample.first < sample.stride);
        }
    }
}
