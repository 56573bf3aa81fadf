//! Batch numbers: a number is never given out twice, not even by a ledger that was restored from a backup or emptied.
//!
//! Keys in the archive name batches by their numbers, so a number that is given out again meets another batch's objects.
//! Numbers come in blocks. The end of a block is in the archive (the *mark*, an object that only grows, by conditional writes)
//! before the block's first number is used. A process begins a block of its own, above the mark, and the ledger's counter
//! never goes back, so numbers grow with time. A ledger below the mark is a restored one: it is noted with an alert, and
//! nothing is swept until a person confirms it; numbering continues above the mark by itself.
//!
//! The order is: the ledger notes which block is meant, the mark is raised, the ledger opens the block. Dying in between
//! wastes a block and loses nothing. The reaper notes at each tick how far the numbers have been used, so that a restored
//! ledger shows within its block as well.
//!
//! Not responsible for giving out the numbers of an open block (`granary-ledger` does). When S3 is away nothing is recorded:
//! the caller tries again, as with every outage.

use granary_archive::{Archive, ArchiveError, Raised};
use granary_domain::{Cause, NumberMark};
use granary_ledger::{Ledger, LedgerError};

/// How often a block is tried for while other processes take theirs.
const TRIES_MAX: u32 = 10;

/// Why there are no numbers.
#[derive(Debug, thiserror::Error)]
pub enum NumberingError {
    /// The ledger gave no answer, or what was to be recorded failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// S3 gave no answer.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// Others were quicker, each time.
    #[error(
        "no block of batch numbers could be reserved: other processes raised the mark {TRIES_MAX} times in a row"
    )]
    Contended,
}

impl NumberingError {
    /// Whose fault it was; the platform's may pass.
    pub fn cause(&self) -> Cause {
        match self {
            Self::Ledger(error) if error.is_platforms() => Cause::LedgerUnavailable,
            Self::Ledger(_) => Cause::Unexpected,
            Self::Archive(error) => error.cause(),
            Self::Contended => Cause::LedgerUnavailable,
        }
    }
}

/// Reserves batch numbers for one deployment. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Numbering {
    ledger: Ledger,
    archive: Archive,
}

impl Numbering {
    /// The numbers of one deployment.
    pub fn new(ledger: Ledger, archive: Archive) -> Self {
        Self { ledger, archive }
    }

    /// What came of recording something that needs batch numbers. `None`: the open block had too few, and another one with
    /// enough was reserved: do it again.
    pub async fn unless_out<T>(&self, recorded: Result<T, LedgerError>) -> Result<Option<T>, NumberingError> {
        match recorded {
            Ok(recorded) => Ok(Some(recorded)),
            Err(LedgerError::OutOfNumbers { needed }) => {
                self.reserve(needed).await?;
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Reserves a block for this process, of 10,000 numbers or as many more as are needed.
    pub async fn reserve(&self, needed: u64) -> Result<(), NumberingError> {
        for _ in 0..TRIES_MAX {
            let found = self.archive.number_mark().await?;
            let block = self.ledger.intend_block(found.mark, needed).await?;
            let mark = NumberMark {
                reserved_to: block.last,
                ..found.mark
            };
            match self.archive.raise_number_mark(mark, &found).await? {
                Raised::Done => {
                    self.ledger.open_block(block).await?;
                    tracing::info!(
                        first = block.first.0,
                        last = block.last.0,
                        "reserved batch numbers"
                    );
                    return Ok(());
                }
                Raised::Overtaken => {}
            }
        }
        Err(NumberingError::Contended)
    }

    /// Notes in the archive how far the numbers have been used, and in the ledger where it is a restored one. Where all of
    /// them are used, it reserves a block: an exporter that splits a batch can't.
    pub async fn note_used(&self) -> Result<(), NumberingError> {
        let found = self.archive.number_mark().await?;
        let used_to = self.ledger.compare_with_mark(found.mark).await?;
        if used_to.0 > 0 && used_to >= found.mark.reserved_to {
            return self.reserve(1).await;
        }
        if used_to <= found.mark.used_to {
            return Ok(());
        }
        let mark = NumberMark {
            used_to,
            ..found.mark
        };
        // Whoever was quicker reserved a block; the next tick notes it.
        self.archive.raise_number_mark(mark, &found).await?;
        Ok(())
    }
}
