//! Why a verification could not come to a verdict.

use granary_archive::ArchiveError;
use granary_domain::{Cause, InvalidRange, MigrationId, TimeRange};
use granary_ledger::LedgerError;
use granary_numbering::NumberingError;
use granary_proof::ProofError;
use granary_source::SourceError;

/// Why a step of a verification came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The ledger gave no answer.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Elasticsearch gave no answer.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// S3 gave no answer. An object that is missing or damaged is a finding instead.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// Other processes took their blocks of batch numbers at the same moment, again and again.
    #[error("no batch numbers could be reserved, since other processes reserve theirs")]
    NoNumbers,
    /// There is no such migration.
    #[error("there is no migration {0} to verify")]
    UnknownMigration(MigrationId),
    /// Nothing lies between the two ends that were asked for, once what is still too young is left out.
    #[error("there is nothing to verify: {0}; `to` is moved back to where the harvest has come to")]
    EmptyRange(#[from] InvalidRange),
    /// Elasticsearch kept showing fewer hits than it counted in the same view.
    #[error("Elasticsearch showed {shown} of the {counted} messages that it counted in {range}")]
    ShortScan {
        /// What was read.
        range: TimeRange,
        /// Hits that came.
        shown: u64,
        /// Hits that were counted.
        counted: u64,
    },
}

impl From<ProofError> for VerifyError {
    fn from(error: ProofError) -> Self {
        match error {
            ProofError::Ledger(error) => error.into(),
            ProofError::Archive(error) => error.into(),
        }
    }
}

impl From<NumberingError> for VerifyError {
    fn from(error: NumberingError) -> Self {
        match error {
            NumberingError::Ledger(error) => error.into(),
            NumberingError::Archive(error) => error.into(),
            NumberingError::Contended => Self::NoNumbers,
        }
    }
}

impl VerifyError {
    /// Whose fault it was; the platform's may pass.
    pub fn cause(&self) -> Cause {
        match self {
            Self::Ledger(error) if error.is_platforms() => Cause::LedgerUnavailable,
            Self::Source(error) => error.cause(),
            Self::Archive(error) => error.cause(),
            Self::NoNumbers => Cause::LedgerUnavailable,
            Self::ShortScan { .. } => Cause::SourceUnavailable,
            Self::Ledger(_) | Self::UnknownMigration(_) | Self::EmptyRange(_) => Cause::Unexpected,
        }
    }
}
