//! The quick way: counts and manifests, without reading an id or an object.

use crate::hour::Fit;
use crate::objects::finding_of;
use crate::report::Finding;
use crate::scan::Pages;
use crate::{Account, FindingKind, Scope, Verifier, VerifyError};
use futures::stream::{self, StreamExt};
use granary_domain::{BatchId, Hour, ObjectKey, TimeRange};
use granary_ledger::ObjectOnRecord;
use std::collections::HashMap;

const PARALLEL_READS: usize = 8;
const BATCHES_PAGE: u32 = 200;

impl Verifier {
    /// Compares how many messages the source shows with how many are on record, and manifests and the bucket's listing
    /// with the ledger. A document more with the same id makes a difference here that the full way doesn't see.
    pub(crate) async fn compare_counts(
        &self,
        scope: &Scope,
        part: TimeRange,
        account: &mut Account,
    ) -> Result<Fit, VerifyError> {
        let pages = Pages::open(&self.source, part, scope.filter.as_ref()).await?;
        let shown = pages.counted();
        pages.close().await;
        let progress = self.ledger.progress_of(part).await?;
        account.counts.source += shown;
        account.counts.ledger += progress.success;
        account.counts.tombstones += progress.missing;
        account.counts.quarantined += progress.quarantined;
        account.counts.open += progress.open();
        let agrees = if scope.filter.is_some() {
            shown <= progress.success
        } else {
            shown == progress.success
        };
        if !agrees {
            let text = format!(
                "the source shows {shown} messages, on record are {}",
                progress.success
            );
            account.find(Finding::of_hour(
                FindingKind::CountDiffers,
                Hour::of(part.from()),
                text,
            ));
        }
        self.check_manifests(Hour::of(part.from()), account).await?;
        Ok(Fit::Done)
    }

    async fn check_manifests(&self, hour: Hour, account: &mut Account) -> Result<(), VerifyError> {
        let listed = self.list_hour(hour).await?;
        let sizes: Sizes<'_> = listed
            .objects
            .iter()
            .map(|object| (&object.key, object.bytes))
            .collect();
        let mut named: Vec<ObjectKey> = Vec::new();
        let mut after = BatchId(0);
        loop {
            let batches = self.ledger.objects_of_hour(hour, after, BATCHES_PAGE).await?;
            let Some(last) = batches.last() else { break };
            after = last.batch_id;
            named.extend(batches.iter().filter_map(|batch| batch.object.clone()));
            let mut checks = stream::iter(batches)
                .map(|batch| self.check_listed(batch, &sizes))
                .buffered(PARALLEL_READS);
            while let Some(checked) = checks.next().await {
                let (exported, findings) = checked?;
                account.batches_checked += 1;
                account.counts.archive += exported;
                findings.into_iter().for_each(|finding| account.find(finding));
            }
        }
        self.find_orphans(hour, &listed, &named, account).await
    }

    /// How many messages a batch has on record, and what is wrong with its object's size or its manifest.
    async fn check_listed(
        &self,
        batch: ObjectOnRecord,
        sizes: &Sizes<'_>,
    ) -> Result<(u64, Vec<Finding>), VerifyError> {
        let of_object = batch
            .object
            .as_ref()
            .and_then(|key| size_finding(&batch, key, sizes));
        let of_manifest = self.check_manifest(&batch, None).await?;
        let findings = of_object.into_iter().chain(of_manifest).collect();
        Ok((u64::from(batch.exported), findings))
    }
}

/// The size of every object that the bucket lists under an hour.
type Sizes<'a> = HashMap<&'a ObjectKey, u64>;

/// An object that the bucket doesn't list, or lists with another size.
fn size_finding(batch: &ObjectOnRecord, key: &ObjectKey, sizes: &Sizes<'_>) -> Option<Finding> {
    match sizes.get(key) {
        Some(bytes) if *bytes == batch.bytes_stored => None,
        Some(bytes) => {
            let text = format!("it has {bytes} bytes, on record are {}", batch.bytes_stored);
            Some(finding_of(batch, FindingKind::ObjectDiffers, key, text))
        }
        None => Some(finding_of(
            batch,
            FindingKind::ObjectMissing,
            key,
            "it isn't there",
        )),
    }
}
