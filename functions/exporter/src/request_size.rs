//! How much to ask for at once: learnt from what answers weigh, and from what Elasticsearch refuses.
//!
//! What the process holds in memory is bounded here: a few answers of [`ANSWER_BYTES_MAX`], or a single one of
//! [`DOCUMENT_BYTES_MAX`]. So is what a node has to hold: a batch begins with `DOCUMENTS_AT_FIRST` documents and asks
//! for at most `GROWTH` times as many as have been answered, since nothing is known of documents not yet seen.

use std::sync::atomic::{AtomicU64, Ordering};

/// Requests in flight. A large document is asked for alone.
pub(crate) const REQUESTS_IN_FLIGHT_MAX: usize = 3;
/// The documents and metadata of one request, together.
pub(crate) const ANSWER_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// One document with its metadata. Nothing else is in flight then.
pub(crate) const DOCUMENT_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// What one answer is meant to have. Larger ones are not faster.
const ANSWER_BYTES: u64 = 2 * 1024 * 1024;
const DOCUMENTS_MAX: u64 = 1_000;
const DOCUMENTS_AT_FIRST: usize = 2;
const GROWTH: usize = 8;
/// The documents of a request that was refused, divided by this, are asked for next.
const SHRINK: u64 = 4;

/// What this process knows of the weight of documents and the strength of the source.
#[derive(Debug)]
pub(crate) struct RequestSize {
    /// The mean size of a document with its metadata: larger answers count at once, smaller ones by half.
    document_bytes: AtomicU64,
    /// What Elasticsearch has not refused.
    documents_max: AtomicU64,
}

/// What the next request may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Portion {
    pub(crate) documents: usize,
    pub(crate) bytes_max: u64,
}

impl Portion {
    /// Whether nothing else may be in flight.
    pub(crate) fn is_alone(self) -> bool {
        self.bytes_max > ANSWER_BYTES_MAX
    }
}

impl Default for RequestSize {
    fn default() -> Self {
        Self {
            document_bytes: AtomicU64::new(1),
            documents_max: AtomicU64::new(DOCUMENTS_MAX),
        }
    }
}

impl RequestSize {
    /// The next request where `answered` documents of the batch were had and `in_flight` are asked for. `None`: first
    /// wait for an answer.
    pub(crate) fn portion(&self, answered: usize, in_flight: usize) -> Option<Portion> {
        let document_bytes = self.document_bytes.load(Ordering::Relaxed).max(1);
        if document_bytes > ANSWER_BYTES_MAX / 2 {
            return (in_flight == 0).then_some(Portion {
                documents: 1,
                bytes_max: DOCUMENT_BYTES_MAX,
            });
        }
        let by_weight = (ANSWER_BYTES / document_bytes)
            .min(self.documents_max.load(Ordering::Relaxed))
            .max(1);
        let by_growth = (answered * GROWTH)
            .max(DOCUMENTS_AT_FIRST)
            .saturating_sub(in_flight);
        let documents = usize::try_from(by_weight).unwrap_or(1).min(by_growth);
        (documents > 0).then_some(Portion {
            documents,
            bytes_max: ANSWER_BYTES_MAX,
        })
    }

    /// Learns from an answer. Answers that cross each other may forget one: it is a mean, not an account.
    pub(crate) fn learn(&self, documents: usize, bytes: u64) {
        let Some(mean) = bytes.checked_div(documents as u64) else {
            return;
        };
        let before = self.document_bytes.load(Ordering::Relaxed);
        let after = if mean > before {
            mean
        } else {
            before.midpoint(mean)
        };
        self.document_bytes.store(after.max(1), Ordering::Relaxed);
        let documents_max = self.documents_max.load(Ordering::Relaxed);
        if documents as u64 >= documents_max {
            let after = documents_max + (documents_max / GROWTH as u64).max(1);
            self.documents_max
                .store(after.min(DOCUMENTS_MAX), Ordering::Relaxed);
        }
    }

    /// Learns from an answer that was abandoned: `bytes` where its size was announced.
    pub(crate) fn was_too_large(&self, documents: usize, bytes: Option<u64>) {
        self.learn(documents, bytes.unwrap_or_default().max(ANSWER_BYTES_MAX));
    }

    /// Learns that Elasticsearch, or something before it, refuses so many at once.
    pub(crate) fn was_refused(&self, documents: usize) {
        let less = (documents as u64 / SHRINK).max(1);
        self.documents_max.store(less, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: u64 = 200;
    const LARGE: u64 = 25 * 1024 * 1024;

    fn documents(size: &RequestSize, answered: usize) -> usize {
        size.portion(answered, 0).map_or(0, |portion| portion.documents)
    }

    #[test]
    fn e7_a_batch_begins_with_a_few_documents_whatever_the_last_one_had() {
        let size = RequestSize::default();
        (0..20).for_each(|_| size.learn(1_000, 1_000 * SMALL));
        assert_eq!(
            [0, 2, 18, 162].map(|answered| documents(&size, answered)),
            [2, 16, 144, 1_000]
        );
        assert_eq!(size.portion(2, 16), None, "the answers decide about more");
    }

    #[test]
    fn e7_large_documents_are_asked_for_alone_and_small_ones_together() {
        let size = RequestSize::default();
        size.learn(2, 2 * LARGE);
        let alone = size.portion(500, 0).unwrap();
        assert!(alone.is_alone() && alone.documents == 1);
        assert_eq!(size.portion(500, 1), None);
        (0..20).for_each(|_| size.learn(1, SMALL));
        assert_eq!(documents(&size, 500), 1_000);
    }

    #[test]
    fn e7_an_answer_that_was_abandoned_makes_the_next_request_four_times_smaller_at_least() {
        let size = RequestSize::default();
        size.was_too_large(144, None);
        assert!(documents(&size, 500) <= 36);
        size.was_too_large(16, Some(400 * 1024 * 1024));
        assert!(size.portion(500, 0).unwrap().is_alone());
    }

    #[test]
    fn h7_what_was_refused_is_asked_for_in_smaller_portions_that_grow_slowly() {
        let size = RequestSize::default();
        size.was_refused(144);
        assert_eq!(documents(&size, 500), 36);
        size.learn(36, 36 * SMALL);
        assert_eq!(documents(&size, 500), 40);
        (0..99).for_each(|_| size.was_refused(documents(&size, 500)));
        assert_eq!(documents(&size, 500), 1);
    }
}
