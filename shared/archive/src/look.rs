//! Looking at an object without reading it.

use crate::error::ArchiveError;
use crate::put::SHA256_METADATA;
use crate::store::Archive;
use granary_domain::ObjectKey;

/// What S3 says of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its size.
    pub bytes: u64,
    /// The SHA-256 that its writer noted on it, 64 hexadecimal digits. Manifests carry none.
    pub sha256_noted: Option<String>,
}

impl Archive {
    /// Looks at an object or a manifest; `None` if there is none.
    pub async fn look_at(&self, key: &ObjectKey) -> Result<Option<Seen>, ArchiveError> {
        let head = self.client.head_object().bucket(&self.bucket).key(key.as_str());
        match head.send().await {
            Ok(answer) => Ok(Some(Seen {
                bytes: answer
                    .content_length
                    .and_then(|bytes| u64::try_from(bytes).ok())
                    .unwrap_or(0),
                sha256_noted: answer
                    .metadata
                    .and_then(|mut metadata| metadata.remove(SHA256_METADATA)),
            })),
            Err(error) if error.as_service_error().is_some_and(|error| error.is_not_found()) => Ok(None),
            Err(error) => Err(ArchiveError::of_object("look at", key, error)),
        }
    }
}
