//! How many ids to ask for at once: fewer where Elasticsearch finds the answer too heavy for the memory it has left.
//!
//! Not responsible for waiting: a request has been tried several times before its size is blamed.

use std::sync::atomic::{AtomicU32, Ordering};

const IDS_PER_PAGE_MAX: u32 = 10_000;
/// Smaller pages wouldn't get through either.
const IDS_PER_PAGE_MIN: u32 = 500;

/// A quarter of it when a page is too heavy, since each try may cost a whole request's time limit; doubles when a window was read to its end.
#[derive(Debug)]
pub(crate) struct PageSize {
    ids: AtomicU32,
}

impl Default for PageSize {
    fn default() -> Self {
        Self {
            ids: AtomicU32::new(IDS_PER_PAGE_MAX),
        }
    }
}

impl PageSize {
    /// How many ids to ask for: whole batches where that is possible, so that only the last page of an hour leaves a
    /// smaller one.
    pub(crate) fn ids(&self, batch_size: u32) -> u32 {
        let ids = self.ids.load(Ordering::Relaxed);
        match ids - ids % batch_size.max(1) {
            0 => ids,
            whole_batches => whole_batches,
        }
    }

    /// After a page that was too heavy. Says whether a smaller one is worth trying.
    pub(crate) fn shrink(&self) -> bool {
        let ids = self.ids.load(Ordering::Relaxed);
        self.ids.store((ids / 4).max(IDS_PER_PAGE_MIN), Ordering::Relaxed);
        ids > IDS_PER_PAGE_MIN
    }

    /// After a window that got through.
    pub(crate) fn grow(&self) {
        let ids = self.ids.load(Ordering::Relaxed);
        self.ids.store((ids * 2).min(IDS_PER_PAGE_MAX), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h7_pages_become_smaller_as_long_as_that_may_help_and_grow_again() {
        let size = PageSize::default();
        assert_eq!(
            (size.ids(1_000), size.ids(700), size.ids(0)),
            (10_000, 9_800, 10_000)
        );
        assert!(size.shrink());
        assert_eq!((size.ids(1_000), size.ids(7_000)), (2_000, 2_500));
        let tries = std::iter::repeat_with(|| size.shrink())
            .take_while(|again| *again)
            .count();
        assert_eq!((tries, size.ids(100)), (2, IDS_PER_PAGE_MIN));
        (0..5).for_each(|_| size.grow());
        assert_eq!(size.ids(1_000), IDS_PER_PAGE_MAX);
    }
}
