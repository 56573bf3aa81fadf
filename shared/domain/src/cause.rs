//! Why an attempt ended without an object: what is retried, what is deferred, and what people read.

use crate::migration::named;

named! {
    /// The cause of an ended attempt, stable for grouping.
    Cause, "cause", {
        /// Elasticsearch is out of reach, overloaded or throttling.
        SourceUnavailable = "source_unavailable",
        /// Elasticsearch refused the request itself: mapping, permission, syntax.
        SourceRefused = "source_refused",
        /// S3 is out of reach or throttling.
        ArchiveUnavailable = "archive_unavailable",
        /// S3 refused the request itself: permission, bucket, key.
        ArchiveRefused = "archive_refused",
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

impl Cause {
    /// Whether the platform is at fault rather than the batch, or only the batch's size. Such an attempt doesn't count.
    pub fn is_platforms(self) -> bool {
        match self {
            Self::SourceUnavailable
            | Self::ArchiveUnavailable
            | Self::LedgerUnavailable
            | Self::Spool
            | Self::TempDir
            | Self::Deadline
            | Self::Shutdown => true,
            Self::SourceRefused
            | Self::ArchiveRefused
            | Self::ArchiveConflict
            | Self::LeaseLost
            | Self::WorkerDied
            | Self::Miscount
            | Self::Unexpected => false,
        }
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
