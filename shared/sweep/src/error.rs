//! Why a sweep could not go on.

use granary_archive::ArchiveError;
use granary_domain::Cause;
use granary_ledger::LedgerError;
use granary_proof::ProofError;

/// Why a step of a sweep came to nothing. What it removed before is removed.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// The ledger gave no answer.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// S3 gave no answer, or refused.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
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
            Self::Ledger(_) => Cause::Unexpected,
            Self::Archive(error) => error.cause(),
        }
    }
}
