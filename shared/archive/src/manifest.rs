//! Manifests: what stands beside each data object.

use crate::error::ArchiveError;
use crate::store::Archive;
use aws_sdk_s3::primitives::ByteStream;
use granary_domain::{Manifest, ObjectKey};
use granary_steps::{Step, perform};

impl Archive {
    /// Writes a manifest, over an earlier one if there is one: it is a function of the object and of the ledger's
    /// row, so the last writer says what every writer says.
    #[expect(clippy::disallowed_methods, reason = "this is where the step is taken")]
    pub async fn put_manifest(&self, key: &ObjectKey, manifest: &Manifest) -> Result<(), ArchiveError> {
        let text = serde_json::to_vec_pretty(manifest).map_err(|error| {
            ArchiveError::corrupt(key, format!("the manifest can't be written down: {error}"))
        })?;
        let answer = perform(Step::PutManifest, || {
            let put = self.client.put_object().bucket(&self.bucket).key(key.as_str());
            put.content_type("application/json")
                .body(ByteStream::from(text.clone()))
                .send()
        })
        .await;
        answer
            .map(drop)
            .map_err(|error| ArchiveError::of(Step::PutManifest.operation(), key.as_str(), error))
    }

    /// Reads a manifest; `None` if there is none. One that nobody of ours wrote is [`ArchiveError::Corrupt`].
    pub async fn manifest(&self, key: &ObjectKey) -> Result<Option<Manifest>, ArchiveError> {
        let operation = "read the manifest";
        let answer = match self
            .client
            .get_object()
            .bucket(&self.bucket)
            .key(key.as_str())
            .send()
            .await
        {
            Ok(answer) => answer,
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|error| error.is_no_such_key()) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(ArchiveError::of_object(operation, key, error)),
        };
        if answer
            .content_length
            .is_none_or(|bytes| bytes > MANIFEST_BYTES_MAX)
        {
            return Err(ArchiveError::corrupt(key, "it is larger than any manifest"));
        }
        let text = answer
            .body
            .collect()
            .await
            .map_err(|error| ArchiveError::Unavailable {
                operation,
                name: key.to_string(),
                source: error.into(),
            })?;
        let manifest = serde_json::from_slice(&text.into_bytes());
        manifest.map(Some).map_err(|error: serde_json::Error| {
            // Its own text may quote what stands there.
            let (line, kind) = (error.line(), error.classify());
            ArchiveError::corrupt(key, format!("it is no manifest ({kind:?} error in line {line})"))
        })
    }
}

/// A batch of 10,000 messages that are all exceptions has a manifest of some megabytes.
const MANIFEST_BYTES_MAX: i64 = 64 * 1024 * 1024;
