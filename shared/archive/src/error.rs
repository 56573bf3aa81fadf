//! What can go wrong, by whose fault it is.

use crate::refusal::{NO_ANSWER, Refusal, remedy_for};
use aws_sdk_s3::error::{BoxError, ProvideErrorMetadata, SdkError};
use granary_domain::{Cause, MessageId, ObjectKey};
use granary_environment::aws;
use std::io;
use std::path::{Path, PathBuf};

/// Why the archive could not do what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// S3 is out of reach, overloaded or throttling, also after several tries. The platform's fault.
    #[error("S3 could not {operation} {name}")]
    Unavailable {
        /// What was tried: `put the object`.
        operation: &'static str,
        /// The key, prefix or bucket.
        name: String,
        /// What S3 or the connection said.
        source: BoxError,
    },
    /// S3 refused the request itself: permission, bucket, region.
    #[error("S3 refused to {operation} {name} ({code}): {remedy}")]
    Refused {
        /// What was tried.
        operation: &'static str,
        /// The key, prefix or bucket.
        name: String,
        /// S3's error code, or the HTTP status where it gave none.
        code: String,
        /// What a person can do.
        remedy: &'static str,
        /// What S3 said.
        source: BoxError,
    },
    /// S3 answers, and refuses this one object: no permission on it, a disabled key, cold storage. Others aren't affected.
    #[error("S3 refused to {operation} {key}: {refusal}")]
    ObjectRefused {
        /// What was tried.
        operation: &'static str,
        /// The key.
        key: ObjectKey,
        /// Why.
        refusal: Refusal,
        /// What S3 said.
        source: BoxError,
    },
    /// What stands at the key isn't a whole object of ours: torn, foreign or damaged.
    #[error("{key} is not a whole object of this archive: {reason}")]
    Corrupt {
        /// The key.
        key: ObjectKey,
        /// What is wrong with it. Never a message's content.
        reason: String,
    },
    /// The temp directory.
    #[error(transparent)]
    Spool(#[from] SpoolError),
}

/// Why a file in the temp directory could not be written, read or removed.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The object doesn't fit into the temp directory: it fills most of it by itself.
    #[error("could not {operation} the spool {}: it does not fit the disk with more than {bytes} bytes", path.display())]
    TooLarge {
        /// What was tried.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// Bytes that were written.
        bytes: u64,
        /// What the system said.
        source: io::Error,
    },
    /// The temp directory is full, of other files.
    #[error("could not {operation} the spool {}: other files fill the disk", path.display())]
    DiskFull {
        /// What was tried.
        operation: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Anything else that the system refused.
    #[error("could not {operation} the spool {}", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Every new file was swept before it could be locked.
    #[error("could not create a spool in {}: other processes keep removing it", dir.display())]
    Contended {
        /// The temp directory.
        dir: PathBuf,
    },
    /// One message with its metadata is longer than any line may be. That message's fault alone.
    #[error(
        "the message {message_id} has {bytes} bytes with its metadata, {bytes_max} at most can be exported"
    )]
    LineTooLong {
        /// The message.
        message_id: MessageId,
        /// Its length, with its metadata.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
}

impl SpoolError {
    pub(crate) fn of(operation: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        let is_full = matches!(
            source.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
        );
        let bytes = std::fs::metadata(&path).map_or(0, |file| file.len());
        if source.kind() == io::ErrorKind::FileTooLarge || (is_full && fills(&path, bytes)) {
            Self::TooLarge {
                operation,
                path,
                bytes,
                source,
            }
        } else if is_full {
            Self::DiskFull {
                operation,
                path,
                source,
            }
        } else {
            Self::Io {
                operation,
                path,
                source,
            }
        }
    }

    /// The cause of an attempt that ended with this error.
    pub fn cause(&self) -> Cause {
        match self {
            Self::TooLarge { .. } => Cause::Spool,
            Self::DiskFull { .. } | Self::Io { .. } | Self::Contended { .. } => Cause::TempDir,
            Self::LineTooLong { .. } => Cause::Unexpected,
        }
    }
}

/// Whether a file has half of its file system or more. Then the file is too large; else others are.
fn fills(path: &Path, bytes: u64) -> bool {
    rustix::fs::statvfs(path)
        .is_ok_and(|disk| bytes.saturating_mul(2) >= disk.f_blocks.saturating_mul(disk.f_frsize))
}

impl ArchiveError {
    /// The cause of an attempt that ended with this error.
    pub fn cause(&self) -> Cause {
        match self {
            Self::Unavailable { .. } => Cause::ArchiveUnavailable,
            Self::Refused { .. } | Self::ObjectRefused { .. } => Cause::ArchiveRefused,
            Self::Corrupt { .. } => Cause::ArchiveConflict,
            Self::Spool(error) => error.cause(),
        }
    }

    /// Whether the platform is at fault, so that the attempt doesn't count.
    pub fn is_platforms(&self) -> bool {
        self.cause().is_platforms()
    }

    /// Sorts an error of the SDK, all of whose own retries are spent: what may pass by waiting is
    /// [`Unavailable`](Self::Unavailable), what needs a person is [`Refused`](Self::Refused).
    pub(crate) fn of<E>(operation: &'static str, name: &str, error: SdkError<E>) -> Self
    where
        E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
    {
        let name = name.to_owned();
        let status = status_of(&error);
        let code = error.code().map_or_else(
            || status.map_or(NO_ANSWER.to_owned(), |status| status.to_string()),
            str::to_owned,
        );
        if may_pass(&error, status, &code) {
            return Self::Unavailable {
                operation,
                name,
                source: error.into(),
            };
        }
        Self::Refused {
            operation,
            name,
            remedy: remedy_for(status, &code),
            code,
            source: error.into(),
        }
    }

    pub(crate) fn corrupt(key: &ObjectKey, reason: impl Into<String>) -> Self {
        Self::Corrupt {
            key: key.clone(),
            reason: reason.into(),
        }
    }
}

/// The HTTP status of S3's answer, if it gave one.
pub(crate) fn status_of<E>(error: &SdkError<E>) -> Option<u16> {
    error.raw_response().map(|response| response.status().as_u16())
}

fn may_pass<E>(error: &SdkError<E>, status: Option<u16>, code: &str) -> bool {
    match error {
        SdkError::ConstructionFailure(_) => false,
        SdkError::ServiceError(_) => {
            let is_overload = matches!(
                code,
                "SlowDown" | "RequestTimeout" | "InternalError" | "OperationAborted"
            );
            is_overload
                || aws::is_of_clock_or_token(code)
                || code.contains("Throttl")
                || matches!(status, Some(408 | 429 | 500..))
        }
        // No answer, half an answer, and what later versions of the SDK may add.
        SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) | SdkError::ResponseError(_) | _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e14_a_file_fills_its_disk_only_with_half_of_it_or_more() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!fills(dir.path(), 1_000));
        assert!(fills(dir.path(), u64::MAX));
        assert!(
            !fills(&dir.path().join("gone"), u64::MAX),
            "nothing is known of its disk"
        );
    }
}
