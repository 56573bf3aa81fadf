//! How many objects may be deleted before the next tick: a defect, or a wrong decision, is noticed before it went far.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Objects, each with its manifest, that are deleted in one tick, whoever deletes them.
pub const DELETIONS_PER_TICK_MAX: u32 = 100;

/// What is left of a tick's deletions. Clones share it.
#[derive(Debug, Clone)]
pub struct Allowance(Arc<AtomicU32>);

impl Default for Allowance {
    fn default() -> Self {
        Self(Arc::new(AtomicU32::new(DELETIONS_PER_TICK_MAX)))
    }
}

impl Allowance {
    /// A tick begins.
    pub fn refill(&self) {
        self.0.store(DELETIONS_PER_TICK_MAX, Ordering::SeqCst);
    }

    /// Takes one deletion; `None`: none is left in this tick.
    pub fn take(&self) -> Option<()> {
        let left = self
            .0
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        left.ok().map(drop)
    }

    /// How many are left.
    pub fn left(&self) -> u32 {
        self.0.load(Ordering::SeqCst)
    }
}
