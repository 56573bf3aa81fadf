//! Why a sweep could not go on.

use granary_archive::ArchiveError;
use granary_domain::Cause;
use granary_ledger::LedgerError;
use granary_numbering::NumberingError;
use granary_proof::ProofError;

/// Why a step of a sweep came to nothing. What it removed before is removed.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// The ledger gave no answer.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The ledger was restored from a backup, or emptied, and no operator has confirmed it.
    #[error(
        "nothing is deleted: {text}. Confirm it with granary sweep confirm-restored --reason (POST /sweep/confirm-restored)"
    )]
    Restored {
        /// What was noticed.
        text: String,
    },
    /// Other processes took their blocks of batch numbers at the same moment, again and again.
    #[error("the mark of batch numbers could not be compared")]
    NoNumbers,
    /// S3 gave no answer, or refused.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
}

impl From<NumberingError> for SweepError {
    fn from(error: NumberingError) -> Self {
        match error {
            NumberingError::Ledger(error) => error.into(),
            NumberingError::Archive(error) => error.into(),
            NumberingError::Contended => Self::NoNumbers,
        }
    }
}

impl From<ProofError> for SweepError {
    fn from(error: ProofError) -> Self {
        match error {
            ProofError::Ledger(error) => error.into(),
            ProofError::Archive(error) => error.into(),
        }
    }
}

impl SweepError {
    /// Whose fault it was; the platform's may pass.
    pub fn cause(&self) -> Cause {
        match self {
            Self::Ledger(error) if error.is_platforms() => Cause::LedgerUnavailable,
            Self::NoNumbers => Cause::LedgerUnavailable,
            Self::Ledger(_) | Self::Restored { .. } => Cause::Unexpected,
            Self::Archive(error) => error.cause(),
        }
    }
}
