//! How far an attempt has come: whether its batch is too large, or nothing of it could be had, shows only here, since the work
//! on a batch is dropped when its time is over.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Messages of one batch that are fetched and written to the draft.
#[derive(Debug, Default)]
pub(crate) struct Progress(AtomicUsize);

impl Progress {
    pub(crate) fn note(&self, messages: usize) {
        self.0.fetch_add(messages, Ordering::Relaxed);
    }

    pub(crate) fn fetched(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}
