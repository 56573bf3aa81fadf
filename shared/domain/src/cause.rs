//! Why an attempt ended without an object: what is retried, what is deferred, and what people read.

use crate::migration::named;

named! {
    /// The cause of an ended attempt, stable for grouping.
    Cause, "cause", {
        /// Elasticsearch is out of reach, overloaded or throttling.
        SourceUnavailable = "source_unavailable",
        /// Elasticsearch refused the request itself: mapping, permission, syntax.
        SourceRefused = "source_refused",
        /// Elasticsearch refused the login: its secret was rotated, or is wrong.
        SourceLogin = "source_login",
        /// S3 is out of reach or throttling.
        ArchiveUnavailable = "archive_unavailable",
        /// S3 refused the request itself: permission, bucket, key.
        ArchiveRefused = "archive_refused",
        /// More than half of a batch is missing at the source: it is looked for once more, later.
        MostlyMissing = "mostly_missing",
        /// What stands at the object's key isn't this batch.
        ArchiveConflict = "archive_conflict",
        /// MySQL is out of reach or overloaded.
        LedgerUnavailable = "ledger_unavailable",
        /// The batch doesn't fit into the function's temp directory.
        Spool = "spool",
        /// The function's temp directory can't be used: it isn't writable, or full of something else.
        TempDir = "temp_dir",
        /// The function's time is nearly over.
        Deadline = "deadline",
        /// The function is being shut down.
        Shutdown = "shutdown",
        /// Another worker, the reaper or an operator took the batch.
        LeaseLost = "lease_lost",
        /// The worker stopped renewing its lease.
        WorkerDied = "worker_died",
        /// What was written isn't what was read: a defect.
        Miscount = "miscount",
        /// Anything that has no name yet: a defect.
        Unexpected = "unexpected",
    }
}

/// Who has to do something about a cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A service is away, overloaded or slow. It passes by itself: the attempt doesn't count, and an alert is raised when
    /// it lasts.
    Outage,
    /// A service answers and refuses, or what it says has to be confirmed. It isn't about one batch, so the attempt doesn't
    /// count; a person has to act, so an alert is raised at once.
    Refusal,
    /// The batch itself: the attempt counts.
    Batch,
}

impl Cause {
    /// Whose fault it is.
    pub fn fault(self) -> Fault {
        match self {
            Self::SourceUnavailable
            | Self::SourceLogin
            | Self::ArchiveUnavailable
            | Self::LedgerUnavailable
            | Self::Spool
            | Self::TempDir
            | Self::Deadline
            | Self::Shutdown => Fault::Outage,
            Self::SourceRefused | Self::ArchiveRefused | Self::MostlyMissing => Fault::Refusal,
            Self::ArchiveConflict
            | Self::LeaseLost
            | Self::WorkerDied
            | Self::Miscount
            | Self::Unexpected => Fault::Batch,
        }
    }

    /// Whether it passes by itself.
    pub fn is_platforms(self) -> bool {
        self.fault() == Fault::Outage
    }

    /// Whether an attempt that ended so is one of the few that a batch has. The others are deferred.
    pub fn uses_up_an_attempt(self) -> bool {
        self.fault() == Fault::Batch
    }
}

/// Why an attempt ended without an object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{cause}: {text}")]
pub struct Failure {
    /// For grouping.
    pub cause: Cause,
    /// For people: operation, input and the chain of causes. Never a message's content, an address or a secret.
    pub text: String,
}

impl Failure {
    /// A failure with the whole chain of an error's causes.
    pub fn new(cause: Cause, error: &dyn std::error::Error) -> Self {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(inner) = source {
            text.push_str(": ");
            text.push_str(&inner.to_string());
            source = inner.source();
        }
        Self { cause, text }
    }
}
