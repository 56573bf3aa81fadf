//! Taking an object away, if it still is the one that was looked at.
//!
//! The condition is S3's own (`If-Match` with the ETag of the listing), so nothing can come between the look and the
//! deletion. It holds for a request that is repeated after its answer was lost, too: what somebody put at the key
//! meanwhile stays.

use crate::error::{ArchiveError, status_of};
use crate::listing::StoredObject;
use crate::store::Archive;
use granary_steps::{Step, perform};

/// What became of a removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// The object is gone.
    Done,
    /// Nothing stands at the key: somebody was quicker, perhaps this very request before its answer was lost.
    WasGone,
    /// Something else stands at the key by now, and stays.
    Changed,
}

impl Archive {
    /// Deletes an object or a manifest unless it changed since it was listed. One that was listed without an ETag has
    /// changed as far as anybody can tell.
    #[expect(clippy::disallowed_methods, reason = "this is where the step is taken")]
    pub async fn remove_unchanged(&self, object: &StoredObject) -> Result<Removal, ArchiveError> {
        let Some(etag) = &object.etag else {
            return Ok(Removal::Changed);
        };
        let key = object.key.as_str();
        let delete = self
            .client
            .delete_object()
            .bucket(&self.bucket)
            .key(key)
            .if_match(etag);
        match perform(Step::SweepObject, || delete.clone().send()).await {
            Ok(_) => Ok(Removal::Done),
            Err(error) if status_of(&error) == Some(404) => Ok(Removal::WasGone),
            // 409: somebody writes there at this very moment.
            Err(error) if matches!(status_of(&error), Some(409 | 412)) => Ok(Removal::Changed),
            Err(error) => Err(ArchiveError::of_object(
                Step::SweepObject.operation(),
                &object.key,
                error,
            )),
        }
    }
}
