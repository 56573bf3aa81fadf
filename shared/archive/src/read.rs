//! Reading an object back, as a stream: recounted, hashed again, line by line, with the memory of one line.

use crate::contents::{ByteAccount, Contents, Sha256Sum};
use crate::error::{ArchiveError, status_of};
use crate::lines::LineReader;
use crate::put::SHA256_METADATA;
use crate::store::Archive;
use crate::unpack::Unpacker;
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::operation::get_object::builders::GetObjectFluentBuilder;
use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;
use granary_domain::{MessageId, ObjectKey};
use sha2::{Digest, Sha256};
use std::io;

/// How often one download goes on after its connection was lost.
const RESUMES_MAX: u32 = 5;

impl Archive {
    /// Recounts and re-hashes an object; `None` if there is none. Its messages are read, not kept.
    pub async fn read_back(&self, key: &ObjectKey) -> Result<Option<Contents>, ArchiveError> {
        self.read_lines(key, |_, _| ()).await
    }

    /// The same, and shows every id, in the order of the file.
    pub async fn read_ids(
        &self,
        key: &ObjectKey,
        mut each: impl FnMut(&MessageId) + Send,
    ) -> Result<Option<Contents>, ArchiveError> {
        self.read_lines(key, |id, _| each(id)).await
    }

    /// The same, and shows every id with its line, in the order of the file. What was shown holds only if the whole
    /// object turns out to be sound: [`ArchiveError::Corrupt`] may come after the last line.
    ///
    /// Sound is: it decompresses to its end, every line is an exported one, and the checksum is the one that its
    /// writer noted on it. Whether it holds the right messages is for the caller to compare.
    pub async fn read_lines(
        &self,
        key: &ObjectKey,
        each: impl FnMut(&MessageId, &[u8]) + Send,
    ) -> Result<Option<Contents>, ArchiveError> {
        let corrupt = |error: io::Error| ArchiveError::corrupt(key, error.to_string());
        let Some(mut download) = self.download(key).await? else {
            return Ok(None);
        };
        let mut unpacker =
            Unpacker::new(key.compression(), LineReader::new(key.format(), each)).map_err(corrupt)?;
        let mut sha256 = Sha256::new();
        while let Some(chunk) = download.next_chunk().await? {
            sha256.update(&chunk);
            unpacker.write_all(&chunk).map_err(corrupt)?;
        }
        let (ids, raw) = unpacker.finish().and_then(LineReader::finish).map_err(corrupt)?;
        let sha256 = Sha256Sum(sha256.finalize().into());
        if download
            .sha256_noted
            .as_ref()
            .is_some_and(|noted| *noted != sha256.to_string())
        {
            return Err(ArchiveError::corrupt(
                key,
                "its checksum is not the one that its writer noted on it",
            ));
        }
        Ok(Some(ids.into_contents(ByteAccount {
            raw,
            stored: download.received,
            sha256,
        })))
    }

    async fn download<'a>(&'a self, key: &'a ObjectKey) -> Result<Option<Download<'a>>, ArchiveError> {
        let answer = match self.get(key).send().await {
            Ok(answer) => answer,
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|error| error.is_no_such_key()) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(ArchiveError::of_object("read the object", key, error)),
        };
        let bytes = length_of(&answer);
        let sha256_noted = answer
            .metadata
            .and_then(|mut metadata| metadata.remove(SHA256_METADATA));
        let etag = answer.e_tag;
        let body = answer.body;
        Ok(Some(Download {
            archive: self,
            key,
            body,
            etag,
            sha256_noted,
            bytes,
            received: 0,
            resumes: 0,
        }))
    }

    fn get(&self, key: &ObjectKey) -> GetObjectFluentBuilder {
        self.client.get_object().bucket(&self.bucket).key(key.as_str())
    }
}

fn length_of(answer: &GetObjectOutput) -> u64 {
    answer
        .content_length
        .and_then(|length| u64::try_from(length).ok())
        .unwrap_or(0)
}

/// An object on its way here.
struct Download<'a> {
    archive: &'a Archive,
    key: &'a ObjectKey,
    body: ByteStream,
    etag: Option<String>,
    sha256_noted: Option<String>,
    bytes: u64,
    received: u64,
    resumes: u32,
}

impl Download<'_> {
    /// The next bytes; `None` after the last. The SDK retries no body: where the connection is lost in the middle, the
    /// download goes on behind what it has, a few times, as long as the object is the same.
    async fn next_chunk(&mut self) -> Result<Option<Bytes>, ArchiveError> {
        while self.received < self.bytes {
            match self.body.next().await {
                Some(Ok(chunk)) => {
                    self.received += chunk.len() as u64;
                    return Ok(Some(chunk));
                }
                Some(Err(error)) if self.resumes == RESUMES_MAX => return Err(self.lost(error.into())),
                None if self.resumes == RESUMES_MAX => {
                    return Err(self.lost("the answer ended too early".into()));
                }
                Some(Err(_)) | None => self.resume().await?,
            }
        }
        Ok(None)
    }

    async fn resume(&mut self) -> Result<(), ArchiveError> {
        self.resumes += 1;
        let rest = format!("bytes={}-", self.received);
        let answer = self
            .archive
            .get(self.key)
            .range(rest)
            .set_if_match(self.etag.clone())
            .send()
            .await;
        match answer {
            Ok(answer) if length_of(&answer) == self.bytes - self.received => {
                self.body = answer.body;
                Ok(())
            }
            Ok(_) => Err(self.replaced()),
            Err(error) if matches!(status_of(&error), Some(404 | 412 | 416)) => Err(self.replaced()),
            Err(error) => Err(ArchiveError::of_object("read the object", self.key, error)),
        }
    }

    fn lost(&self, source: aws_sdk_s3::error::BoxError) -> ArchiveError {
        ArchiveError::Unavailable {
            operation: "read the object",
            name: self.key.to_string(),
            source,
        }
    }

    fn replaced(&self) -> ArchiveError {
        ArchiveError::corrupt(self.key, "it was replaced or deleted while it was read")
    }
}
