//! The quick way: counts and manifests, without reading an id or an object.

use crate::look::Look;
use crate::objects::finding_of;
use crate::report::Finding;
use crate::scan::Pages;
use crate::sealed::Seals;
use crate::{Account, FindingKind, Verifier, VerifyError};
use futures::stream::{self, StreamExt};
use granary_domain::{BatchId, Hour, IdDigest, ObjectKey};
use granary_ledger::integrity::ObjectOnRecord;
use std::collections::HashMap;

const PARALLEL_READS: usize = 8;
const BATCHES_PAGE: u32 = 200;

impl Verifier {
    /// Compares how many messages the source shows with how many are on record, and manifests and the bucket's listing
    /// with the ledger. A document more with the same id makes a difference here that the full way doesn't see.
    pub(crate) async fn compare_counts(
        &self,
        look: &mut Look<'_>,
        seals: Option<&Seals>,
    ) -> Result<(), VerifyError> {
        if let Some(seals) = seals {
            self.check_sealed_listing(look, seals).await?;
        }
        let (scope, part, account) = (look.scope, look.range, &mut *look.account);
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
        // Of a sealed hour the ledger counts the whole or nothing.
        let is_cut = seals.is_some() && part != Hour::of(part.from()).range();
        if !agrees && !is_cut {
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
        self.check_manifests(Hour::of(part.from()), account).await
    }

    async fn check_manifests(&self, hour: Hour, account: &mut Account) -> Result<(), VerifyError> {
        let sizes = self.sizes_of(hour).await?;
        let mut after = BatchId(0);
        loop {
            let batches = self.ledger.objects_of_hour(hour, after, BATCHES_PAGE).await?;
            let Some(last) = batches.last() else { break };
            after = last.batch_id;
            let mut checks = stream::iter(batches)
                .map(|batch| self.check_listed(batch, &sizes, None))
                .buffered(PARALLEL_READS);
            while let Some(checked) = checks.next().await {
                let (exported, findings) = checked?;
                account.batches_checked += 1;
                account.counts.archive += exported;
                findings.into_iter().for_each(|finding| account.find(finding));
            }
        }
        self.find_orphans(hour, account).await
    }

    pub(crate) async fn sizes_of(&self, hour: Hour) -> Result<Sizes, VerifyError> {
        let under = format!("dt={}/hour={}/", hour.date(), hour.hour_of_day());
        let mut sizes = Sizes::new();
        let mut after = None;
        loop {
            let page = self.archive.list(&under, after.as_ref()).await?;
            sizes.extend(page.objects.into_iter().map(|object| (object.key, object.bytes)));
            after = page.next;
            if after.is_none() {
                return Ok(sizes);
            }
        }
    }

    /// How many messages a batch has on record, and what is wrong with its object's size or its manifest.
    pub(crate) async fn check_listed(
        &self,
        batch: ObjectOnRecord,
        sizes: &Sizes,
        ids: Option<IdDigest>,
    ) -> Result<(u64, Vec<Finding>), VerifyError> {
        let of_object = batch
            .object
            .as_ref()
            .and_then(|key| size_finding(&batch, key, sizes));
        let of_manifest = self.check_manifest(&batch, ids.map(|ids| (ids, None))).await?;
        let findings = of_object.into_iter().chain(of_manifest).collect();
        Ok((u64::from(batch.exported), findings))
    }
}

/// The size of every object that the bucket lists under an hour.
pub(crate) type Sizes = HashMap<ObjectKey, u64>;

/// An object that the bucket doesn't list, or lists with another size.
fn size_finding(batch: &ObjectOnRecord, key: &ObjectKey, sizes: &Sizes) -> Option<Finding> {
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
