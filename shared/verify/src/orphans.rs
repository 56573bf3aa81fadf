//! Objects in the bucket that no batch accounts for.

use crate::report::Finding;
use crate::{Account, FindingKind, Verifier, VerifyError};
use granary_domain::{BatchId, Hour, ObjectKey};
use granary_ledger::integrity::BatchObjects;
use std::collections::HashMap;

const ORPHAN: &str = "no batch names it: queries over the bucket show its messages besides those on record";
const KEPT: &str = "it was replaced and is kept: it holds messages that are on record nowhere else, or S3 refuses to give or remove \
     it. The alert replaced_object_kept says which; decide which of the two stays";

impl Verifier {
    /// Names what the bucket lists under an hour and what is neither on record nor what a worker is making. The ledger is
    /// asked after the bucket, so that an object that was settled meanwhile isn't taken for an orphan.
    pub(crate) async fn find_orphans(&self, hour: Hour, account: &mut Account) -> Result<(), VerifyError> {
        let under = format!("dt={}/hour={}/", hour.date(), hour.hour_of_day());
        let sealed_to = self.ledger.sealed_up_to(hour).await?;
        let mut after = None;
        loop {
            let page = self.archive.list(&under, after.as_ref()).await?;
            let batches: Vec<BatchId> = page
                .objects
                .iter()
                .filter_map(|object| object.key.batch())
                .map(|(batch, _)| batch)
                .collect();
            let batches = self.ledger.objects_of_batches(&batches).await?;
            let keys = page.objects.iter().map(|object| &object.key);
            for key in keys.filter(|key| !is_accounted_for(key, &batches, sealed_to)) {
                let batch = key.batch().map(|(batch, _)| batch);
                let (kind, text) = match batch.and_then(|batch| batches.get(&batch)) {
                    Some(objects) if objects.kept.contains(key) => (FindingKind::Kept, KEPT),
                    _ => (FindingKind::Orphan, ORPHAN),
                };
                account.find(Finding {
                    batch,
                    key: Some(key.clone()),
                    ..Finding::of_hour(kind, hour, text)
                });
            }
            after = page.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }
}

/// Batches of a sealed hour are unknown by design.
fn is_accounted_for(
    key: &ObjectKey,
    batches: &HashMap<BatchId, BatchObjects>,
    sealed_to: Option<BatchId>,
) -> bool {
    let Some((batch, generation)) = key.batch() else {
        return false;
    };
    match batches.get(&batch) {
        Some(objects) => objects.named.as_ref() == Some(key) || objects.in_the_making == Some(generation),
        None => sealed_to.is_some_and(|last| batch <= last),
    }
}
