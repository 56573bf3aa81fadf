//! How many documents to ask for at once: learnt from how large the answers are.

use std::sync::atomic::{AtomicU64, Ordering};

/// What one answer is meant to have. Larger ones are not faster, and several are in memory at the same time.
const ANSWER_BYTES: u64 = 2 * 1024 * 1024;
const DOCUMENT_BYTES_AT_FIRST: u64 = 4 * 1024;
const DOCUMENTS_MAX: u64 = 1_000;
/// The weight of the newest answer is one in so many.
const MEMORY: u64 = 4;

/// The mean size of a document with its metadata, over the answers so far.
#[derive(Debug)]
pub(crate) struct RequestSize {
    document_bytes: AtomicU64,
}

impl Default for RequestSize {
    fn default() -> Self {
        Self {
            document_bytes: AtomicU64::new(DOCUMENT_BYTES_AT_FIRST),
        }
    }
}

impl RequestSize {
    /// How many documents to ask for.
    pub(crate) fn documents(&self) -> usize {
        let documents = ANSWER_BYTES / self.document_bytes.load(Ordering::Relaxed).max(1);
        usize::try_from(documents.clamp(1, DOCUMENTS_MAX)).unwrap_or(1)
    }

    /// Learns from an answer. Answers that cross each other may forget one: it is a mean, not an account.
    pub(crate) fn learn(&self, documents: usize, bytes: u64) {
        let Some(mean) = bytes.checked_div(documents as u64) else {
            return;
        };
        let before = self.document_bytes.load(Ordering::Relaxed);
        let after = (before * (MEMORY - 1) + mean) / MEMORY;
        self.document_bytes.store(after.max(1), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_documents_make_small_requests_and_small_ones_large_requests() {
        let size = RequestSize::default();
        (0..20).for_each(|_| size.learn(10, 10 * 50 * 1024 * 1024));
        assert_eq!(size.documents(), 1);
        (0..60).for_each(|_| size.learn(1_000, 200_000));
        assert_eq!(size.documents(), 1_000);
    }
}
