//! Why an attempt ended without a settlement: how the errors of each service become the [`Failure`] of an attempt.

use granary_archive::{ArchiveError, SpoolError};
use granary_domain::{Cause, Failure};
use granary_ledger::LedgerError;
use granary_ledger::export::Fenced;

/// A ledger that contradicts itself is a defect, and must not look like one that is down.
pub(crate) fn ledger_failure(error: LedgerError) -> Failure {
    let cause = if error.is_platforms() {
        Cause::LedgerUnavailable
    } else {
        Cause::Unexpected
    };
    Failure::new(cause, &error)
}

pub(crate) fn archive_failure(error: ArchiveError) -> Failure {
    Failure::new(error.cause(), &error)
}

/// The temp directory failed, or the batch is too large for it.
pub(crate) fn spool_failure(error: SpoolError) -> Failure {
    Failure::new(error.cause(), &error)
}

/// What a worker may only do while it holds the batch.
pub(crate) fn unless_lost(fenced: Result<Fenced, LedgerError>) -> Result<(), Failure> {
    match fenced.map_err(ledger_failure)? {
        Fenced::Done => Ok(()),
        Fenced::Refused => Err(lease_lost()),
    }
}

pub(crate) fn lease_lost() -> Failure {
    Failure {
        cause: Cause::LeaseLost,
        text: "another worker holds the batch now".to_owned(),
    }
}

pub(crate) fn handed_back(cause: Cause) -> Failure {
    let text = if cause == Cause::Shutdown {
        "the function is being shut down"
    } else {
        "the function's time is nearly over"
    };
    Failure {
        cause,
        text: text.to_owned(),
    }
}
