//! Putting an object exactly once: whoever comes second learns that it is there, and overwrites nothing.
//!
//! Every write carries `If-None-Match: *`, so S3 itself lets one writer win a key. A PUT whose answer was lost is
//! repeated and then finds the key taken, by itself: that is [`PutOutcome::AlreadyThere`] too, and the caller reads
//! the object back and adopts it.

use crate::contents::Contents;
use crate::error::{ArchiveError, SpoolError, status_of};
use crate::spool::SealedSpool;
use crate::store::Archive;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::{ByteStream, Length};
use granary_domain::{Backoff, BatchId, Format, ObjectKey};
use granary_steps::{Step, perform};
use std::time::Duration;

pub(crate) const SHA256_METADATA: &str = "sha256";
pub(crate) const BATCH_METADATA: &str = "batch-id";
const READ_BUFFER_BYTES: usize = 128 * 1024;
const ROUNDS_MAX: u32 = 4;
const BETWEEN_ROUNDS: Backoff = Backoff {
    first: Duration::from_millis(200),
    ceiling: Duration::from_secs(2),
};

/// What became of a PUT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutOutcome {
    /// The object is this one.
    Written,
    /// An object stands at that key already: this one after a lost answer, another attempt's, or a foreign one.
    /// Read it back before believing in it.
    AlreadyThere,
}

/// How an object is cut up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PutSettings {
    /// Objects of this size and above go up in parts, in parallel.
    pub multipart_from_bytes: u64,
    /// The size of a part. S3 wants 5 MiB at least, and 10,000 parts at most: it is raised where it must be.
    pub part_bytes: u64,
    /// Parts on their way at the same time.
    pub parallel_parts: usize,
}

impl Default for PutSettings {
    fn default() -> Self {
        Self {
            multipart_from_bytes: 10 * 1024 * 1024,
            part_bytes: 8 * 1024 * 1024,
            parallel_parts: 4,
        }
    }
}

/// How one round of trying to write ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Round {
    Done(PutOutcome),
    /// Another writer was at the key at the same moment, or somebody aborted the upload: start again.
    Conflict,
}

impl Archive {
    /// Makes an object of a spool, unless one stands at its key. Streams from the file; memory is a few buffers.
    ///
    /// A conflict (S3's 409) says only that two writers met, not who won: it is tried again from the start, a few
    /// times, and then counts as S3's unavailability. Nothing is retried beside that; see the client.
    pub async fn put(
        &self,
        key: &ObjectKey,
        batch: BatchId,
        spool: &SealedSpool,
        settings: PutSettings,
    ) -> Result<PutOutcome, ArchiveError> {
        for round in 1..=ROUNDS_MAX {
            let ended = if spool.contents.bytes_stored < settings.multipart_from_bytes {
                self.put_whole(key, batch, spool).await?
            } else {
                self.put_in_parts(key, batch, spool, settings).await?
            };
            if let Round::Done(outcome) = ended {
                return Ok(outcome);
            }
            tokio::time::sleep(BETWEEN_ROUNDS.delay(round, rand::random())).await;
        }
        let source = format!("other writers were at the key in each of {ROUNDS_MAX} tries").into();
        Err(ArchiveError::Unavailable {
            operation: Step::PutObject.operation(),
            name: key.to_string(),
            source,
        })
    }

    /// One PUT. S3 computes the checksum too and refuses bytes that aren't the ones that were spooled.
    #[expect(clippy::disallowed_methods, reason = "this is where the step is taken")]
    async fn put_whole(
        &self,
        key: &ObjectKey,
        batch: BatchId,
        spool: &SealedSpool,
    ) -> Result<Round, ArchiveError> {
        let Contents {
            bytes_stored, sha256, ..
        } = spool.contents;
        perform(Step::PutObject, || async {
            let put = self
                .client
                .put_object()
                .bucket(&self.bucket)
                .key(key.as_str())
                .if_none_match("*")
                .content_type(content_type(key))
                .metadata(SHA256_METADATA, sha256.to_string())
                .metadata(BATCH_METADATA, batch.to_string())
                .checksum_sha256(sha256.to_base64())
                .body(part_of(spool, 0, bytes_stored).await?);
            match put.send().await {
                Ok(_) => Ok(Round::Done(PutOutcome::Written)),
                Err(error) => unless_taken(Step::PutObject, key, error),
            }
        })
        .await
    }
}

/// A stretch of the spool's file, read anew for each try of a request.
pub(crate) async fn part_of(spool: &SealedSpool, offset: u64, bytes: u64) -> Result<ByteStream, SpoolError> {
    ByteStream::read_from()
        .path(spool.path())
        .offset(offset)
        .length(Length::Exact(bytes))
        .buffer_size(READ_BUFFER_BYTES)
        .build()
        .await
        .map_err(|error| SpoolError::of("read", spool.path(), std::io::Error::other(error)))
}

/// Sorts the answers to a conditional write: 412 is "another writer was first", 409 and a vanished upload are "start
/// again", the rest are errors. The code decides as well as the status: S3 may complete an upload with 200 and put
/// the error into the body.
pub(crate) fn unless_taken<E>(step: Step, key: &ObjectKey, error: SdkError<E>) -> Result<Round, ArchiveError>
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    match (status_of(&error), error.code()) {
        (Some(412), _) | (_, Some("PreconditionFailed")) => Ok(Round::Done(PutOutcome::AlreadyThere)),
        (Some(409), _) | (_, Some("ConditionalRequestConflict" | "NoSuchUpload")) => Ok(Round::Conflict),
        _ => Err(ArchiveError::of(step.operation(), key.as_str(), error)),
    }
}

/// The type of what is inside. There is no `Content-Encoding`: clients would take the compression off without
/// being asked, and what they have would no longer be what the checksum is of.
pub(crate) fn content_type(key: &ObjectKey) -> &'static str {
    match key.format() {
        Format::Ndjson => "application/x-ndjson",
        Format::Json => "application/json",
    }
}
