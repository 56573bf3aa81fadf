//! Whether a batch's object is sound: read back, and what the ledger has on record for it.

use crate::{Proof, ProofError, Prover};
use granary_archive::Contents;
use granary_domain::{BatchId, IdDigest, ObjectKey};
use granary_ledger::integrity::{BatchSlice, ObjectOnRecord};

impl Prover {
    /// What keeps a batch's object from standing for another one; `None`: it is sound.
    pub(crate) async fn doubt_about(
        &self,
        batch: BatchId,
        candidate: &ObjectKey,
    ) -> Result<Option<Proof>, ProofError> {
        let slice = BatchSlice::These(vec![batch]);
        let Some(on_record) = self.ledger.objects_in(&slice).await?.pop() else {
            return Ok(Some(Proof::Waiting));
        };
        if on_record.is_being_replaced {
            return Ok(Some(Proof::Waiting));
        }
        let Some(key) = on_record.object.clone() else {
            let text = format!("batch {batch} has its messages on record and no object");
            return Ok(Some(Proof::Unproven(text)));
        };
        if key == *candidate {
            return Ok(Some(Proof::Unproven("it is on record itself".to_owned())));
        }
        let expected = self.ledger.digests_of_batches(&[batch]).await?;
        let expected = expected.get(&batch).copied().unwrap_or_default();
        let text = match self.archive.read_back(&key).await {
            Ok(Some(contents)) => match difference_to_record(&contents, &on_record, expected) {
                Some(difference) => difference,
                None => return Ok(None),
            },
            Ok(None) => "it isn't there".to_owned(),
            Err(error) => match error.fault_of_object() {
                Some(fault) => fault.into_reason(),
                None => return Err(error.into()),
            },
        };
        Ok(Some(Proof::Unproven(format!(
            "the object {key} that has its messages on record is not sound: {text}"
        ))))
    }
}

/// In what an object isn't the one on record; `expected` is the digest of the ids that the ledger has for it.
pub fn difference_to_record(
    contents: &Contents,
    batch: &ObjectOnRecord,
    expected: IdDigest,
) -> Option<String> {
    let sha256 = contents.sha256.to_string();
    if contents.exported != u64::from(batch.exported) {
        let (found, recorded) = (contents.exported, batch.exported);
        return Some(format!("it has {found} messages, on record are {recorded}"));
    }
    if contents.id_digest != expected {
        let found = contents.id_digest;
        return Some(format!("it has the ids {found}, on record are {expected}"));
    }
    if batch.sha256.as_ref() != Some(&sha256) {
        let recorded = batch.sha256.as_deref().unwrap_or("none");
        return Some(format!("its SHA-256 is {sha256}, on record is {recorded}"));
    }
    None
}
