//! How many hits one search may ask for: 10,000, or what `index.max_result_window` of an index allows.
//!
//! The setting is not read: an index may come later, or be of another cluster. A search that is refused for it is
//! repeated with half as many hits, and the process remembers what passed.

use crate::error::SourceError;
use std::sync::atomic::{AtomicU32, Ordering};

/// Elasticsearch's own default.
const HITS_MAX: u32 = 10_000;

/// What one search may ask for, as far as this process knows.
#[derive(Debug)]
pub(crate) struct HitsMax {
    hits: AtomicU32,
}

impl Default for HitsMax {
    fn default() -> Self {
        Self {
            hits: AtomicU32::new(HITS_MAX),
        }
    }
}

impl HitsMax {
    /// How many hits to ask for at most.
    pub(crate) fn hits(&self) -> u32 {
        self.hits.load(Ordering::Relaxed)
    }

    /// As many as a small search asks for, or fewer.
    pub(crate) fn at_most(&self, hits: u32) -> u32 {
        self.hits().min(hits)
    }

    /// Whether a search for so many hits was refused for their number, and a smaller one is worth trying.
    pub(crate) fn shrinks_after(&self, error: &SourceError, asked: u32) -> bool {
        let is_refused =
            matches!(error, SourceError::OverLimit { reason, .. } if reason.contains("Result window"));
        if !is_refused || asked <= 1 {
            return false;
        }
        self.hits.fetch_min((asked / 2).max(1), Ordering::Relaxed);
        true
    }
}
