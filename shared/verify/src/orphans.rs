//! Objects in the bucket that no batch accounts for.

use crate::report::Finding;
use crate::{Account, FindingKind, Verifier, VerifyError};
use granary_domain::{BatchId, Generation, Hour, ObjectKey};
use granary_ledger::BatchObjects;
use std::collections::HashMap;

const ORPHAN: &str = "no batch names it: queries over the bucket show its messages besides those on record";
const KEPT: &str = "it was replaced, and is kept because it holds messages that are on record nowhere else: people have to \
     decide which of the two is to stay";

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
                .filter_map(|object| batch_in(&object.key))
                .map(|(batch, _)| batch)
                .collect();
            let batches = self.ledger.objects_of_batches(&batches).await?;
            let keys = page.objects.iter().map(|object| &object.key);
            for key in keys.filter(|key| !is_accounted_for(key, &batches, sealed_to)) {
                let batch = batch_in(key).map(|(batch, _)| batch);
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
    let Some((batch, generation)) = batch_in(key) else {
        return false;
    };
    match batches.get(&batch) {
        Some(objects) => objects.named.as_ref() == Some(key) || objects.in_the_making == Some(generation),
        None => sealed_to.is_some_and(|last| batch <= last),
    }
}

/// The batch and generation that a key names: `…/batch-7-g2.ndjson.zst`.
fn batch_in(key: &ObjectKey) -> Option<(BatchId, Generation)> {
    let (_, name) = key.as_str().rsplit_once('/')?;
    let (stem, _) = name.split_once('.')?;
    let (batch, generation) = stem.strip_prefix("batch-")?.split_once("-g")?;
    Some((batch.parse().ok()?, generation.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use granary_domain::{Compression, Format, Layout};

    #[test]
    fn a_key_tells_its_batch_and_generation() {
        let hour = Hour::of("2026-01-01T00:00:00Z".parse().unwrap());
        let form = (Format::Ndjson, Compression::Zstd);
        let key = Layout::new("archive", "messages").object(hour, BatchId(7), Generation(2), form);
        assert_eq!(batch_in(&key), Some((BatchId(7), Generation(2))));
        for foreign in [
            "batch-7-g2.ndjson",
            "x/foreign.txt",
            "x/batch-7.ndjson",
            "x/batch-a-g1.ndjson",
        ] {
            assert_eq!(
                batch_in(&ObjectKey::from_record(foreign.to_owned())),
                None,
                "{foreign}"
            );
        }
    }
}
