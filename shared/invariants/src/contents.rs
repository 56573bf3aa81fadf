//! Objects on record, from inside: each is sound, and its ids are those that the ledger has for its batch.

use crate::{InspectError, Inspector};
use futures::stream::{self, StreamExt, TryStreamExt};
use granary_domain::{BatchId, IdDigest, Invariant, Subject, Violation};
use granary_ledger::integrity::{BatchSlice, ObjectOnRecord};

const PARALLEL_READS: usize = 4;

impl Inspector {
    /// The part of [`Invariant::IdsAreTheSources`] that can be seen without the source.
    pub(crate) async fn inspect_contents(&self, slice: &BatchSlice) -> Result<Vec<Violation>, InspectError> {
        let mut batches = self.ledger.objects_in(slice).await?;
        // What is missing or quarantined is found anew while a batch is exported again.
        batches.retain(|batch| !batch.is_being_replaced);
        let ids: Vec<BatchId> = batches.iter().map(|batch| batch.batch_id).collect();
        let expected = self.ledger.digests_of_batches(&ids).await?;
        let reads = stream::iter(batches).map(|batch| {
            let digest = expected.get(&batch.batch_id).copied().unwrap_or_default();
            self.inspect_content(batch, digest)
        });
        let found: Vec<Option<Violation>> = reads.buffered(PARALLEL_READS).try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }

    async fn inspect_content(
        &self,
        batch: ObjectOnRecord,
        expected: IdDigest,
    ) -> Result<Option<Violation>, InspectError> {
        let Some(key) = &batch.object else {
            return Ok(None);
        };
        let text = match self.archive.read_back(key).await {
            Ok(Some(contents)) if contents.id_digest == expected => return Ok(None),
            Ok(Some(contents)) => format!(
                "its object {key} has the ids {}, its messages are {expected}",
                contents.id_digest
            ),
            // Said by the look from outside.
            Ok(None) => return Ok(None),
            Err(error) => match error.fault_of_object() {
                Some(fault) => format!("its object {key} can't be read: {}", fault.into_reason()),
                None => return Err(error.into()),
            },
        };
        let subject = Subject::Batch(batch.batch_id);
        Ok(Some(Violation::new(Invariant::IdsAreTheSources, subject, text)))
    }
}
