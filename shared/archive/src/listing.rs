//! What is in the bucket, a page at a time, and taking things out of it.
//!
//! Which objects are orphans is the ledger's to know.

use crate::error::ArchiveError;
use crate::store::Archive;
use aws_sdk_s3::primitives::DateTime;
use granary_domain::ObjectKey;
use granary_steps::{Step, perform};
use jiff::Timestamp;

/// An object as the bucket lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredObject {
    /// Its key.
    pub key: ObjectKey,
    /// Its size.
    pub bytes: u64,
    /// When it was written, by S3's clock.
    pub last_modified: Timestamp,
    /// S3's name for these very bytes at this key.
    pub etag: Option<String>,
}

/// Up to 1,000 objects, in the order of their keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectPage {
    /// The objects.
    pub objects: Vec<StoredObject>,
    /// Where the next page starts; `None` if this was the last.
    pub next: Option<ObjectKey>,
}

/// A multipart upload that was neither completed nor aborted: its parts are paid for and seen by nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnfinishedUpload {
    /// The key of the object that it was to become.
    pub key: ObjectKey,
    /// S3's name for the upload.
    pub upload_id: String,
    /// When it began, by S3's clock.
    pub initiated: Timestamp,
}

impl Archive {
    /// A page of the source's objects and manifests whose keys begin with `<root><under>` (`dt=2026-11-22/`,
    /// `_manifests/`, or empty for all) and come after the key `after`. A listing can stop at any page and go on from
    /// its `next` later.
    pub async fn list(&self, under: &str, after: Option<&ObjectKey>) -> Result<ObjectPage, ArchiveError> {
        let prefix = format!("{}{under}", self.layout.root());
        let answer = self
            .client
            .list_objects_v2()
            .bucket(&self.bucket)
            .prefix(&prefix)
            .set_start_after(after.map(ToString::to_string))
            .send()
            .await
            .map_err(|error| ArchiveError::of("list the objects of", &prefix, error))?;
        let is_last = !answer.is_truncated.unwrap_or(false);
        let objects: Vec<StoredObject> = answer
            .contents
            .unwrap_or_default()
            .into_iter()
            .filter_map(|object| {
                Some(StoredObject {
                    key: ObjectKey::from_record(object.key?),
                    bytes: object.size.and_then(|size| u64::try_from(size).ok()).unwrap_or(0),
                    last_modified: instant(object.last_modified),
                    etag: object.e_tag,
                })
            })
            .collect();
        let next = objects
            .last()
            .filter(|_| !is_last)
            .map(|object| object.key.clone());
        Ok(ObjectPage { objects, next })
    }

    /// One object as the bucket lists it; `None`: there is none.
    pub async fn listed(&self, key: &ObjectKey) -> Result<Option<StoredObject>, ArchiveError> {
        let Some(under) = key.as_str().strip_prefix(self.layout.root()) else {
            return Ok(None);
        };
        let page = self.list(under, None).await?;
        Ok(page.objects.into_iter().find(|object| object.key == *key))
    }

    /// Deletes an object or a manifest. One that isn't there is deleted already.
    #[expect(clippy::disallowed_methods, reason = "this is where the step is taken")]
    pub async fn delete(&self, key: &ObjectKey) -> Result<(), ArchiveError> {
        let delete = self.client.delete_object().bucket(&self.bucket).key(key.as_str());
        let answer = perform(Step::DeleteObject, || delete.clone().send()).await;
        answer
            .map(drop)
            .map_err(|error| ArchiveError::of_object(Step::DeleteObject.operation(), key, error))
    }

    /// Up to 1,000 uploads of the source that have no end. Those that are still being written are among them: only
    /// their age tells.
    pub async fn unfinished_uploads(&self) -> Result<Vec<UnfinishedUpload>, ArchiveError> {
        let prefix = self.layout.root();
        let uploads = self
            .client
            .list_multipart_uploads()
            .bucket(&self.bucket)
            .prefix(prefix)
            .send()
            .await;
        let uploads = uploads.map_err(|error| ArchiveError::of("list the uploads of", prefix, error))?;
        let unfinished = uploads
            .uploads
            .unwrap_or_default()
            .into_iter()
            .filter_map(|upload| {
                Some(UnfinishedUpload {
                    key: ObjectKey::from_record(upload.key?),
                    upload_id: upload.upload_id?,
                    initiated: instant(upload.initiated),
                })
            });
        Ok(unfinished.collect())
    }

    /// Ends an upload and frees its parts. One that isn't there any more has ended already.
    #[expect(clippy::disallowed_methods, reason = "this is where the step is taken")]
    pub async fn abort_upload(&self, key: &ObjectKey, upload_id: &str) -> Result<(), ArchiveError> {
        let abort = self
            .client
            .abort_multipart_upload()
            .bucket(&self.bucket)
            .key(key.as_str())
            .upload_id(upload_id);
        match perform(Step::AbortUpload, || abort.clone().send()).await {
            Ok(_) => Ok(()),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|error| error.is_no_such_upload()) =>
            {
                Ok(())
            }
            Err(error) => Err(ArchiveError::of_object(Step::AbortUpload.operation(), key, error)),
        }
    }
}

/// S3's time. One that it leaves out counts as just now, so that nothing is taken for old by mistake.
fn instant(time: Option<DateTime>) -> Timestamp {
    time.and_then(|time| Timestamp::new(time.secs(), i32::try_from(time.subsec_nanos()).ok()?).ok())
        .unwrap_or_else(Timestamp::now)
}
