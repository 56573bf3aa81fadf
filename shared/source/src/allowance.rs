//! A limit in bytes that several answers share: what is held in memory together is bounded together.
//!
//! It counts what was received and is still held. An answer that does not fit is abandoned unread; what an abandoned
//! answer had taken is given back.

use std::sync::atomic::{AtomicU64, Ordering};

/// The bytes that some answers may have in all.
#[derive(Debug)]
pub struct ByteAllowance {
    bytes_max: u64,
    left: AtomicU64,
}

impl ByteAllowance {
    /// An allowance of so many bytes, none of them taken.
    pub fn new(bytes_max: u64) -> Self {
        Self {
            bytes_max,
            left: AtomicU64::new(bytes_max),
        }
    }

    /// All that it ever had, in bytes.
    pub fn bytes_max(&self) -> u64 {
        self.bytes_max
    }

    /// The bytes that nothing has taken.
    pub fn left(&self) -> u64 {
        self.left.load(Ordering::Relaxed)
    }

    /// Takes bytes for one answer, chunk by chunk. What was taken comes back when the taker is dropped without
    /// [`Taken::keep`].
    pub(crate) fn begin(&self) -> Taken<'_> {
        Taken {
            allowance: self,
            bytes: 0,
        }
    }

    /// Gives back the bytes of an answer that is no longer held.
    pub(crate) fn give_back(&self, bytes: u64) {
        self.left.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// What one answer has taken so far.
pub(crate) struct Taken<'a> {
    allowance: &'a ByteAllowance,
    bytes: u64,
}

impl Taken<'_> {
    /// Takes more, or says that it does not fit.
    pub(crate) fn take(&mut self, bytes: u64) -> bool {
        let fits = self
            .allowance
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(bytes)
            })
            .is_ok();
        if fits {
            self.bytes += bytes;
        }
        fits
    }

    /// The answer is held from here on.
    pub(crate) fn keep(mut self) {
        self.bytes = 0;
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.allowance.give_back(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e7_answers_share_what_there_is_and_an_abandoned_one_gives_back_what_it_took() {
        let allowance = ByteAllowance::new(10);
        let mut first = allowance.begin();
        assert!(first.take(4) && first.take(2));
        let mut second = allowance.begin();
        assert!(!second.take(5) && second.take(4));
        drop(second);
        assert_eq!(allowance.left(), 4);
        first.keep();
        assert_eq!(allowance.left(), 4);
        allowance.give_back(6);
        assert_eq!(allowance.left(), allowance.bytes_max());
    }
}
