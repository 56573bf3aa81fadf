//! Objects on record, from outside: they exist, with the size and the checksum that the ledger has, and so do their
//! manifests.

use crate::{InspectError, Inspector};
use futures::stream::{self, StreamExt, TryStreamExt};
use granary_archive::{ArchiveError, Seen};
use granary_domain::{Generation, Invariant, Place, Subject, Violation};
use granary_ledger::integrity::{BatchSlice, ObjectOnRecord};

const PARALLEL_LOOKS: usize = 8;

impl Inspector {
    /// [`Invariant::ObjectsAreThere`].
    pub(crate) async fn inspect_objects(&self, slice: &BatchSlice) -> Result<Vec<Violation>, InspectError> {
        let batches = self.ledger.objects_in(slice).await?;
        let looks = stream::iter(batches).map(|batch| self.inspect_object(batch));
        let found: Vec<Option<Violation>> = looks.buffered(PARALLEL_LOOKS).try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// What isn't there may have been taken off the record since the ledger was asked: exported again and swept, or
    /// cleared away. So the ledger is asked once more before anybody is alarmed.
    async fn inspect_object(&self, batch: ObjectOnRecord) -> Result<Option<Violation>, InspectError> {
        let Some(text) = self.what_is_amiss(&batch).await? else {
            return Ok(None);
        };
        let now = self
            .ledger
            .objects_in(&BatchSlice::These(vec![batch.batch_id]))
            .await?;
        let violation = Violation::new(Invariant::ObjectsAreThere, Subject::Batch(batch.batch_id), text);
        Ok((now == [batch]).then_some(violation))
    }

    /// What S3 refuses to show is amiss with that batch alone: the others of the slice are looked at all the same.
    async fn what_is_amiss(&self, batch: &ObjectOnRecord) -> Result<Option<String>, InspectError> {
        match self.look_from_outside(batch).await {
            Ok(text) => Ok(text),
            Err(error) => match error.fault_of_object() {
                Some(_) => Ok(Some(error.to_string())),
                None => Err(error.into()),
            },
        }
    }

    async fn look_from_outside(&self, batch: &ObjectOnRecord) -> Result<Option<String>, ArchiveError> {
        if let Some(key) = &batch.object {
            let seen = self.archive.look_at(key).await?;
            if let Some(difference) = difference(batch, seen) {
                return Ok(Some(format!("its object {key} {difference}")));
            }
        }
        let Some(generation) = self.generation_on_record(batch) else {
            return Ok(None);
        };
        let layout = self.archive.layout();
        let manifest = layout.manifest(batch.hour, batch.batch_id, generation);
        let is_there = self.archive.look_at(&manifest).await?.is_some();
        Ok((!is_there).then(|| format!("its manifest {manifest} isn't there")))
    }

    /// A batch that is exported again is at its next generation already; what it has on record says which it is of.
    fn generation_on_record(&self, batch: &ObjectOnRecord) -> Option<Generation> {
        if !batch.is_being_replaced {
            return Some(batch.generation);
        }
        match self.archive.layout().place_of(batch.object.as_ref()?)? {
            Place::Object { generation, .. } => Some(generation),
            Place::Manifest { .. } | Place::Quarantine | Place::NumberMark => None,
        }
    }
}

/// How an object isn't the one on record. A checksum that isn't noted on it can't be compared from outside.
fn difference(batch: &ObjectOnRecord, seen: Option<Seen>) -> Option<String> {
    let Some(seen) = seen else {
        return Some("isn't there".to_owned());
    };
    if seen.bytes != batch.bytes_stored {
        return Some(format!(
            "has {} bytes, on record are {}",
            seen.bytes, batch.bytes_stored
        ));
    }
    match (&seen.sha256_noted, &batch.sha256) {
        (Some(noted), Some(recorded)) if noted == recorded => None,
        (Some(noted), recorded) => Some(format!(
            "has the SHA-256 {noted}, on record is {}",
            recorded.as_deref().unwrap_or("none")
        )),
        (None, _) => Some("has no SHA-256 noted on it: somebody wrote over it".to_owned()),
    }
}
