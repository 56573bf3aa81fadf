//! What could be had of messages that can't be exported, kept as it came.
//!
//! Nothing relies on it: it is for people, who can look at what Elasticsearch gave, also after the source has forgotten
//! the message. Whether the message is quarantined, and why, stands in the ledger and in the manifest.

use crate::error::ArchiveError;
use crate::put::BATCH_METADATA;
use crate::store::Archive;
use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;
use granary_domain::{BatchId, ObjectKey};
use granary_steps::{Step, perform};

/// Raw bytes that are kept of one message at most.
pub const QUARANTINE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// What became of raw bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// They stand at their key.
    Whole,
    /// They are more than [`QUARANTINE_BYTES_MAX`]: nothing was written.
    TooLarge,
}

impl Archive {
    /// Keeps the raw bytes of a message that can't be exported, over what an earlier attempt kept of it. So it may be
    /// done twice, and by two workers.
    #[expect(clippy::disallowed_methods, reason = "this is where the step is taken")]
    pub async fn quarantine(
        &self,
        key: &ObjectKey,
        batch: BatchId,
        raw: Bytes,
    ) -> Result<Kept, ArchiveError> {
        if raw.len() as u64 > QUARANTINE_BYTES_MAX {
            return Ok(Kept::TooLarge);
        }
        let answer = perform(Step::PutQuarantined, || {
            let put = self.client.put_object().bucket(&self.bucket).key(key.as_str());
            put.content_type("application/octet-stream")
                .metadata(BATCH_METADATA, batch.to_string())
                .body(ByteStream::from(raw.clone()))
                .send()
        })
        .await;
        answer
            .map(|_| Kept::Whole)
            .map_err(|error| ArchiveError::of(Step::PutQuarantined.operation(), key.as_str(), error))
    }
}
