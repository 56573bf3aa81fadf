//! Objects in the bucket that no batch accounts for.

use crate::report::Finding;
use crate::{Account, FindingKind, Verifier, VerifyError};
use granary_archive::StoredObject;
use granary_domain::{BatchId, Generation, Hour, ObjectKey};
use granary_ledger::BatchObjects;
use std::collections::{HashMap, HashSet};

/// The objects that the bucket listed under one hour, before anything else was looked at.
pub(crate) struct Listed {
    pub(crate) objects: Vec<StoredObject>,
}

impl Verifier {
    pub(crate) async fn list_hour(&self, hour: Hour) -> Result<Listed, VerifyError> {
        let under = format!("dt={}/hour={}/", hour.date(), hour.hour_of_day());
        let mut objects = Vec::new();
        let mut after = None;
        loop {
            let page = self.archive.list(&under, after.as_ref()).await?;
            objects.extend(page.objects);
            after = page.next;
            if after.is_none() {
                return Ok(Listed { objects });
            }
        }
    }

    /// Names what was listed and is neither on record nor what a worker is making. The ledger is asked last, so that
    /// an object that was settled meanwhile isn't taken for an orphan.
    pub(crate) async fn find_orphans(
        &self,
        hour: Hour,
        listed: &Listed,
        named: &[ObjectKey],
        account: &mut Account,
    ) -> Result<(), VerifyError> {
        let named: HashSet<&ObjectKey> = named.iter().collect();
        let unnamed: Vec<&ObjectKey> = listed
            .objects
            .iter()
            .map(|object| &object.key)
            .filter(|key| !named.contains(key))
            .collect();
        if unnamed.is_empty() {
            return Ok(());
        }
        let batches: Vec<BatchId> = unnamed
            .iter()
            .filter_map(|key| batch_in(key))
            .map(|(batch, _)| batch)
            .collect();
        let batches = self.ledger.objects_of_batches(&batches).await?;
        for key in unnamed.into_iter().filter(|key| !is_accounted_for(key, &batches)) {
            let text = "no batch names it: queries over the bucket show its messages besides those on record";
            account.find(Finding {
                batch: batch_in(key).map(|(batch, _)| batch),
                key: Some(key.clone()),
                ..Finding::of_hour(FindingKind::Orphan, hour, text)
            });
        }
        Ok(())
    }
}

fn is_accounted_for(key: &ObjectKey, batches: &HashMap<BatchId, BatchObjects>) -> bool {
    let Some((batch, generation)) = batch_in(key) else {
        return false;
    };
    batches.get(&batch).is_some_and(|objects| {
        objects.named.as_ref() == Some(key) || objects.in_the_making == Some(generation)
    })
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
