//! Putting a large object in parts, several at a time.
//!
//! An upload that doesn't become the object is aborted, or its parts would be paid for without being seen. Where
//! even that fails, or the process dies or is cancelled first, [`Archive::unfinished_uploads`] shows what is left,
//! and the bucket's lifecycle rule `AbortIncompleteMultipartUpload` is the backstop.

use crate::error::ArchiveError;
use crate::put::{
    BATCH_METADATA, PutOutcome, PutSettings, Round, SHA256_METADATA, content_type, part_of, unless_taken,
};
use crate::spool::SealedSpool;
use crate::store::Archive;
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart};
use futures::{StreamExt, TryStreamExt, stream};
use granary_domain::{BatchId, ObjectKey};
use granary_steps::{Step, perform};

const PART_BYTES_MIN: u64 = 5 * 1024 * 1024;
const PARTS_MAX: u64 = 10_000;

impl Archive {
    /// One round of writing an object in parts.
    ///
    /// It looks first whether the key is taken: S3 would say so only after all the bytes had gone up. That look also
    /// settles a completion whose answer was lost for so long that S3 has forgotten the upload: the repetition finds
    /// none, and the next round finds the object.
    pub(crate) async fn put_in_parts(
        &self,
        key: &ObjectKey,
        batch: BatchId,
        spool: &SealedSpool,
        settings: PutSettings,
    ) -> Result<Round, ArchiveError> {
        if self.exists(key).await? {
            return Ok(Round::Done(PutOutcome::AlreadyThere));
        }
        let upload = Upload {
            archive: self,
            key,
            id: self.begin_upload(key, batch, spool).await?,
        };
        let round = match upload.send_parts(spool, settings).await {
            Ok(parts) => upload.complete(parts).await,
            Err(error) => Err(error),
        };
        if !matches!(round, Ok(Round::Done(PutOutcome::Written))) {
            upload.abort().await;
        }
        round
    }

    async fn exists(&self, key: &ObjectKey) -> Result<bool, ArchiveError> {
        match self
            .client
            .head_object()
            .bucket(&self.bucket)
            .key(key.as_str())
            .send()
            .await
        {
            Ok(_) => Ok(true),
            Err(error) if error.as_service_error().is_some_and(|error| error.is_not_found()) => Ok(false),
            Err(error) => Err(ArchiveError::of("look for the object", key.as_str(), error)),
        }
    }

    #[expect(clippy::disallowed_methods, reason = "this is where the step is taken")]
    async fn begin_upload(
        &self,
        key: &ObjectKey,
        batch: BatchId,
        spool: &SealedSpool,
    ) -> Result<String, ArchiveError> {
        let operation = Step::BeginUpload.operation();
        let begin = self
            .client
            .create_multipart_upload()
            .bucket(&self.bucket)
            .key(key.as_str())
            .content_type(content_type(key))
            .metadata(SHA256_METADATA, spool.contents.sha256.to_string())
            .metadata(BATCH_METADATA, batch.to_string())
            .checksum_algorithm(ChecksumAlgorithm::Sha256);
        let answer = perform(Step::BeginUpload, || begin.clone().send())
            .await
            .map_err(|error| ArchiveError::of(operation, key.as_str(), error))?;
        answer.upload_id.ok_or_else(|| ArchiveError::Unavailable {
            operation,
            name: key.to_string(),
            source: "the answer names no upload".into(),
        })
    }
}

/// An upload that has begun.
struct Upload<'a> {
    archive: &'a Archive,
    key: &'a ObjectKey,
    id: String,
}

impl Upload<'_> {
    async fn send_parts(
        &self,
        spool: &SealedSpool,
        settings: PutSettings,
    ) -> Result<Vec<CompletedPart>, ArchiveError> {
        let mut parts: Vec<CompletedPart> =
            stream::iter(cut(spool.contents.bytes_stored, settings.part_bytes))
                .map(|part| self.send_part(spool, part))
                .buffer_unordered(settings.parallel_parts.max(1))
                .try_collect()
                .await?;
        parts.sort_by_key(|part| part.part_number);
        Ok(parts)
    }

    #[expect(clippy::disallowed_methods, reason = "this is where the step is taken")]
    async fn send_part(&self, spool: &SealedSpool, part: Part) -> Result<CompletedPart, ArchiveError> {
        let answer = perform(Step::PutPart, || async {
            let put = self
                .archive
                .client
                .upload_part()
                .bucket(&self.archive.bucket)
                .key(self.key.as_str())
                .upload_id(&self.id)
                .part_number(part.number)
                .checksum_algorithm(ChecksumAlgorithm::Sha256)
                .body(part_of(spool, part.offset, part.bytes).await?);
            let failed = |error| ArchiveError::of(Step::PutPart.operation(), self.key.as_str(), error);
            put.send().await.map_err(failed)
        })
        .await?;
        Ok(CompletedPart::builder()
            .part_number(part.number)
            .set_e_tag(answer.e_tag)
            .set_checksum_sha256(answer.checksum_sha256)
            .build())
    }

    #[expect(clippy::disallowed_methods, reason = "this is where the step is taken")]
    async fn complete(&self, parts: Vec<CompletedPart>) -> Result<Round, ArchiveError> {
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let complete = self
            .archive
            .client
            .complete_multipart_upload()
            .bucket(&self.archive.bucket)
            .key(self.key.as_str())
            .upload_id(&self.id)
            .if_none_match("*")
            .multipart_upload(parts);
        match perform(Step::CompleteUpload, || complete.clone().send()).await {
            Ok(_) => Ok(Round::Done(PutOutcome::Written)),
            Err(error) => unless_taken(Step::CompleteUpload, self.key, error),
        }
    }

    /// Best effort: the round has its outcome already, and an abort that fails doesn't change it.
    async fn abort(&self) {
        if let Err(error) = self.archive.abort_upload(self.key, &self.id).await {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(key = %self.key, upload_id = %self.id, error, "an unfinished upload is left behind");
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Part {
    number: i32,
    offset: u64,
    bytes: u64,
}

/// Cuts a file into parts of `part_bytes`, or of as many bytes as S3's limits ask for; the last is the rest.
fn cut(bytes: u64, part_bytes: u64) -> impl Iterator<Item = Part> {
    let part_bytes = part_bytes.max(PART_BYTES_MIN).max(bytes.div_ceil(PARTS_MAX));
    let offsets = (0..bytes.div_ceil(part_bytes)).map(move |at| at * part_bytes);
    (1..).zip(offsets).map(move |(number, offset)| Part {
        number,
        offset,
        bytes: part_bytes.min(bytes - offset),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_the_file_within_the_limits_of_s3() {
        const MIB: u64 = 1024 * 1024;
        for (bytes, part_bytes, expected) in [
            (1, 8 * MIB, 1),
            (16 * MIB, 8 * MIB, 2),
            (16 * MIB + 1, 8 * MIB, 3),
            (20 * MIB, 1, 4),
            (5_000_000 * MIB, MIB, 10_000),
        ] {
            let parts: Vec<Part> = cut(bytes, part_bytes).collect();
            assert_eq!(parts.len(), expected);
            assert_eq!(parts.iter().map(|part| part.bytes).sum::<u64>(), bytes);
            assert!(
                parts
                    .windows(2)
                    .all(|pair| pair[0].offset + pair[0].bytes == pair[1].offset)
            );
            assert!(
                parts[..expected - 1]
                    .iter()
                    .all(|part| part.bytes >= PART_BYTES_MIN)
            );
        }
    }
}
