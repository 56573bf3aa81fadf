//! Why test data could not be written or cleared away.

use granary_archive::ArchiveError;
use granary_domain::Cause;
use granary_ledger::LedgerError;
use granary_source::{BulkFailure, SourceError};

/// Why a step of seeding or clearing came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// The ledger gave no answer.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Elasticsearch gave no answer.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// S3 gave no answer.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The source is more than one index.
    #[error("test messages can't be written to {index}: it is a pattern or a list, not one index")]
    NotOneIndex {
        /// What the source is.
        index: String,
    },
    /// More, or over more hours, than makes sense.
    #[error("{what} must be from 1 to {most}, not {found}")]
    OutOfRange {
        /// What was asked for.
        what: &'static str,
        /// What was found.
        found: u64,
        /// The limit.
        most: u64,
    },
    /// Elasticsearch took a request, and not everything in it.
    #[error("Elasticsearch did not take {documents} documents, the first ({status}) because: {reason}")]
    NotTaken {
        /// How many.
        documents: usize,
        /// The status of the first.
        status: u16,
        /// What Elasticsearch says of the first.
        reason: String,
    },
    /// A document couldn't be put together: a defect.
    #[error("a document could not be written down")]
    Text(#[from] std::fmt::Error),
}

const TOO_MANY_REQUESTS: u16 = 429;

impl SeedError {
    /// What is said about the documents of a request that were not taken, if there are any.
    pub(crate) fn unless_all_taken(failed: Vec<BulkFailure>) -> Result<(), Self> {
        let documents = failed.len();
        match failed.into_iter().next() {
            None => Ok(()),
            Some(BulkFailure { status, reason, .. }) => Err(Self::NotTaken {
                documents,
                status,
                reason,
            }),
        }
    }

    /// Whose fault it was; the platform's may pass.
    pub fn cause(&self) -> Cause {
        match self {
            Self::Ledger(error) if error.is_platforms() => Cause::LedgerUnavailable,
            Self::Source(error) => error.cause(),
            Self::Archive(error) => error.cause(),
            Self::NotTaken { status, .. } if *status >= 500 || *status == TOO_MANY_REQUESTS => {
                Cause::SourceUnavailable
            }
            Self::NotTaken { .. } | Self::NotOneIndex { .. } => Cause::SourceRefused,
            Self::Ledger(_) | Self::OutOfRange { .. } | Self::Text(_) => Cause::Unexpected,
        }
    }
}
