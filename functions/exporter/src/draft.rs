//! The draft of a batch: the lines written so far, and the messages that have none, each with its reason.

use crate::failure::spool_failure;
use granary_archive::{Line, SealedSpool, Spool, SpoolError};
use granary_domain::{Compression, Failure, Format, MessageId, Outcome};
use granary_ledger::export::{Exception, OwnedMessage};
use std::path::Path;

/// A batch as far as it is written.
pub(crate) struct Draft {
    spool: Spool,
    exceptions: Vec<Exception>,
}

/// A batch that was fetched to its end.
pub(crate) struct Fetched {
    pub(crate) spool: SealedSpool,
    /// The messages that are not in it, each with its reason.
    pub(crate) exceptions: Vec<Exception>,
}

impl Draft {
    /// Begins an object in the temp directory.
    pub(crate) fn create(dir: &Path, (format, compression): (Format, Compression)) -> Result<Self, Failure> {
        Ok(Self {
            spool: Spool::create(dir, format, compression).map_err(spool_failure)?,
            exceptions: Vec::new(),
        })
    }

    /// Adds a message. [`SpoolError::LineTooLong`] is the message's own and leaves the draft as it was.
    pub(crate) fn write(&mut self, line: &Line<'_>) -> Result<(), SpoolError> {
        self.spool.write(line)
    }

    /// Adds a line of another object, byte for byte.
    pub(crate) fn copy(&mut self, message_id: &MessageId, line: &[u8]) -> Result<(), SpoolError> {
        self.spool.copy(message_id, line)
    }

    /// Notes that a message is not in the object, and why.
    pub(crate) fn except(&mut self, message: &OwnedMessage, outcome: Outcome, reason: String) {
        self.exceptions.push(Exception {
            message_id: message.message_id.clone(),
            outcome,
            reason,
        });
    }

    /// Completes the object.
    pub(crate) fn seal(self) -> Result<Fetched, Failure> {
        Ok(Fetched {
            spool: self.spool.seal().map_err(spool_failure)?,
            exceptions: self.exceptions,
        })
    }
}
