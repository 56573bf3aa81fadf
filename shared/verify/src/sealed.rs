//! Sealed hours: their rows were taken away, so their objects are held against their manifests and against the digest
//! that was sealed, and the source against the ids read back from the objects. The content of some lines, or of all, is
//! compared as in any hour (`content.rs`).
//!
//! Nothing is repaired here: to harvest a sealed hour again would export everything in it a second time. What was
//! exported again on purpose is on record in later batches, and is looked at as in any hour.
//!
//! Also here: whether an hour's archive is in order before its rows are taken away. A step holds the hashes of one
//! hour's ids in memory, 16 bytes each.

use crate::absent::Named;
use crate::content::{Lines, Sample};
use crate::hour::{Fit, HourProgress};
use crate::look::Look;
use crate::objects::{unreadable_manifest, unreadable_object};
use crate::report::Finding;
use crate::scan::{Pages, TRIES_MAX, WithoutId, is_worth_another_try};
use crate::{Account, ContentCounts, FindingKind, Verifier, VerifyError};
use futures::stream::{self, StreamExt};
use granary_archive::{ArchiveError, Contents, StoredObject};
use granary_domain::{BatchId, ExceptionKind, Hour, IdDigest, Manifest, MessageId, ObjectKey, Place};
use granary_ledger::integrity::{SealedRange, Standing};
use granary_source::Hit;
use std::collections::{HashMap, HashSet};

const PARALLEL_READS: usize = 4;
const BATCHES_PAGE: u32 = 200;
/// An hour is sealed again only after it was exported again.
const SEALS_MAX: u32 = 1_000;

/// What is sealed of one hour, all its seals together.
pub(crate) struct Seals {
    /// Batches up to this one are sealed.
    pub(crate) last_batch: BatchId,
    id_digest: IdDigest,
    missing: u64,
    quarantined: u64,
    objects: u64,
    bytes_stored: u64,
}

impl Seals {
    fn of(seals: &[SealedRange]) -> Option<Self> {
        let mut sum = Self {
            last_batch: seals.iter().map(|seal| seal.last_batch).max()?,
            id_digest: IdDigest::default(),
            missing: 0,
            quarantined: 0,
            objects: 0,
            bytes_stored: 0,
        };
        for seal in seals {
            sum.id_digest.merge(&seal.id_digest);
            sum.missing += seal.missing;
            sum.quarantined += seal.quarantined;
            sum.objects += seal.objects;
            sum.bytes_stored += seal.bytes_stored;
        }
        Some(sum)
    }
}

/// What one sealed object came to.
struct Checked {
    hashes: Vec<u128>,
    bytes_read: u64,
    content: ContentCounts,
    findings: Vec<Finding>,
}

impl Verifier {
    /// What is sealed of an hour; `None`: nothing is.
    pub(crate) async fn seals_of(&self, hour: Hour) -> Result<Option<Seals>, VerifyError> {
        Ok(Seals::of(
            &self.ledger.sealed_ranges(hour.range(), SEALS_MAX).await?,
        ))
    }

    /// Looks at a sealed hour, in one step.
    pub(crate) async fn verify_sealed(
        &self,
        look: &mut Look<'_>,
        hour: &mut HourProgress,
        seals: &Seals,
        messages_max: u64,
    ) -> Result<Fit, VerifyError> {
        if seals.id_digest.count > messages_max {
            return Ok(Fit::TooLarge {
                messages: seals.id_digest.count,
            });
        }
        let archived = self.read_sealed(look, seals).await?;
        hour.objects_to = seals.last_batch;
        while self.check_some_objects(look, hour, messages_max).await?.is_some() {}
        let mut on_record = seals.id_digest;
        on_record.merge(&hour.archived);
        let account = &mut *look.account;
        account.sealed_hours += 1;
        account.counts.ledger += on_record.count;
        account.counts.tombstones += seals.missing;
        account.counts.quarantined += seals.quarantined;
        account.digests.ledger.merge(&on_record);
        if !look.scope.archive_only {
            self.compare_with_archived(look, &archived).await?;
        }
        self.find_orphans(look.hour(), look.account).await?;
        Ok(Fit::Done)
    }

    /// Quick: the bucket lists as many sealed objects, and as many bytes of them, as were sealed.
    pub(crate) async fn check_sealed_listing(
        &self,
        look: &mut Look<'_>,
        seals: &Seals,
    ) -> Result<(), VerifyError> {
        let listed = self.sealed_objects(look.hour(), seals).await?;
        let bytes: u64 = listed.iter().map(|object| object.bytes).sum();
        if (listed.len() as u64, bytes) != (seals.objects, seals.bytes_stored) {
            let text = format!(
                "the bucket lists {} objects of {bytes} bytes, sealed are {} of {}",
                listed.len(),
                seals.objects,
                seals.bytes_stored
            );
            look.find(Finding::of_hour(FindingKind::ArchiveDiffers, look.hour(), text));
        }
        look.account.sealed_hours += 1;
        look.account.counts.archive += seals.id_digest.count;
        Ok(())
    }

    /// Reads every sealed object back and holds it against its manifest, and all of them against what was sealed. The
    /// hashes of their ids, sorted.
    async fn read_sealed(&self, look: &mut Look<'_>, seals: &Seals) -> Result<Vec<u128>, VerifyError> {
        let listed = self.sealed_objects(look.hour(), seals).await?;
        let mut hashes = Vec::with_capacity(usize::try_from(seals.id_digest.count).unwrap_or_default());
        let lines = self.lines_of(look.scope);
        let mut checks = stream::iter(listed)
            .map(|object| self.check_sealed(object.key, lines))
            .buffered(PARALLEL_READS);
        let mut archived = IdDigest::default();
        while let Some(checked) = checks.next().await {
            let checked = checked?;
            checked.hashes.iter().for_each(|hash| archived.add_hash(*hash));
            hashes.extend(checked.hashes);
            look.account.objects_checked += 1;
            look.account.bytes_read += checked.bytes_read;
            look.account.content.merge(&checked.content);
            checked
                .findings
                .into_iter()
                .for_each(|finding| look.find(finding));
        }
        drop(checks);
        look.account.counts.archive += archived.count;
        look.account.digests.archive.merge(&archived);
        if archived != seals.id_digest {
            let sealed = seals.id_digest;
            let text = format!("its sound objects have the ids {archived}, sealed are {sealed}");
            let finding = Finding::of_hour(FindingKind::ArchiveDiffers, look.hour(), text);
            let messages = sealed.count.saturating_sub(archived.count);
            look.account.counts.unreadable += messages;
            look.find(Finding { messages, ..finding });
        }
        hashes.sort_unstable();
        hashes.dedup();
        Ok(hashes)
    }

    /// The objects in the bucket that sealed batches account for.
    async fn sealed_objects(&self, hour: Hour, seals: &Seals) -> Result<Vec<StoredObject>, VerifyError> {
        let under = format!("dt={}/hour={}/", hour.date(), hour.hour_of_day());
        let mut sealed = Vec::new();
        let mut after = None;
        loop {
            let page = self.archive.list(&under, after.as_ref()).await?;
            let is_sealed = |object: &StoredObject| match self.archive.layout().place_of(&object.key) {
                Some(Place::Object { batch, .. }) => batch <= seals.last_batch,
                Some(Place::Manifest { .. } | Place::Quarantine | Place::NumberMark) | None => false,
            };
            sealed.extend(page.objects.into_iter().filter(is_sealed));
            after = page.next;
            if after.is_none() {
                return Ok(sealed);
            }
        }
    }

    async fn check_sealed(&self, key: ObjectKey, lines: Lines) -> Result<Checked, VerifyError> {
        let mut checked = Checked {
            hashes: Vec::new(),
            bytes_read: 0,
            content: ContentCounts::default(),
            findings: Vec::new(),
        };
        let Some(Place::Object {
            hour,
            batch,
            generation,
        }) = self.archive.layout().place_of(&key)
        else {
            return Ok(checked);
        };
        let finding = |kind, key: &ObjectKey, text: String| Finding {
            batch: Some(batch),
            key: Some(key.clone()),
            ..Finding::of_hour(kind, hour, text)
        };
        let at = self.archive.layout().manifest(hour, batch, generation);
        let manifest = self.archive.manifest(&at).await;
        let exported = manifest.as_ref().ok().and_then(Option::as_ref);
        let mut sample = Sample::of(exported.map_or(0, |manifest| manifest.exported), lines);
        let mut hashes = Vec::new();
        let read = self
            .archive
            .read_lines(&key, |id, line| {
                hashes.push(IdDigest::hash(id.as_str().as_bytes()));
                sample.take(&self.source, id, line);
            })
            .await;
        let contents = match read {
            Ok(Some(contents)) => contents,
            Ok(None) => {
                let text = "it isn't there any more".to_owned();
                checked
                    .findings
                    .push(finding(FindingKind::ObjectMissing, &key, text));
                return Ok(checked);
            }
            Err(error) => {
                let (kind, reason) = unreadable_object(error)?;
                checked.findings.push(finding(kind, &key, reason));
                return Ok(checked);
            }
        };
        checked.bytes_read = contents.bytes_stored;
        checked.hashes = hashes;
        if let Some((kind, text)) = complaint_about(manifest, &key, &contents)? {
            checked.findings.push(finding(kind, &at, text));
        }
        let compared = self.compare_content(sample).await?;
        checked.content = compared.counts;
        let differs = compared.finding(|kind, text| finding(kind, &key, text.to_owned()));
        checked.findings.extend(differs);
        Ok(checked)
    }

    /// What the source shows against the ids of sealed objects, and against what came on record since.
    async fn compare_with_archived(&self, look: &mut Look<'_>, archived: &[u128]) -> Result<(), VerifyError> {
        let mut tries = 1;
        let shown = loop {
            let filter = look.scope.filter.as_ref();
            let mut pages = Pages::open(&self.source, look.range, filter).await?;
            let shown = self.read_shown(look, &mut pages, archived).await;
            pages.close().await;
            match shown {
                Err(error) if tries < TRIES_MAX && is_worth_another_try(&error) => tries += 1,
                shown => break shown?,
            }
        };
        look.account.counts.source += shown.digest.count;
        look.account.digests.source.merge(&shown.digest);
        shown.without_id.tell(look);
        shown.named.tell(look);
        let gone = shown.is_shown.iter().filter(|is_shown| !**is_shown).count() as u64;
        let is_whole = look.range == look.hour().range() && look.scope.filter.is_none();
        if is_whole && gone > 0 {
            let text = "in sealed objects, and the source no longer shows them here";
            let finding = Finding::of_hour(FindingKind::Drifted, look.hour(), text);
            look.account.counts.drifted += gone;
            look.find(Finding {
                messages: gone,
                ..finding
            });
        }
        Ok(())
    }

    async fn read_shown(
        &self,
        look: &Look<'_>,
        pages: &mut Pages<'_>,
        archived: &[u128],
    ) -> Result<Shown, VerifyError> {
        let mut shown = Shown {
            is_shown: vec![false; archived.len()],
            ..Shown::default()
        };
        let mut others: HashSet<u128> = HashSet::new();
        while let Some(hits) = pages.next().await? {
            let mut unknown: Vec<Hit> = Vec::new();
            for hit in hits.into_iter().filter(|hit| look.range.contains(hit.event_time)) {
                let Some(id) = hit.message_id.clone() else {
                    shown.without_id.add(&hit);
                    continue;
                };
                let hash = IdDigest::hash(id.as_str().as_bytes());
                let archived_at = archived.binary_search(&hash);
                let is_new = match archived_at {
                    Ok(at) => !std::mem::replace(&mut shown.is_shown[at], true),
                    Err(_) => others.insert(hash),
                };
                if !is_new {
                    shown.named.merged(look, &hit.index, &id);
                    continue;
                }
                shown.digest.add_hash(hash);
                if archived_at.is_err() {
                    unknown.push(hit);
                }
            }
            let asked: Vec<&MessageId> = unknown.iter().filter_map(|hit| hit.message_id.as_ref()).collect();
            let known: HashMap<MessageId, Standing> =
                self.ledger.standings_of_ids(&asked).await?.into_iter().collect();
            let standing_of = |hit: &Hit| known.get(hit.message_id.as_ref()?).copied();
            let (on_record, absent): (Vec<Hit>, Vec<Hit>) = unknown
                .into_iter()
                .partition(|hit| standing_of(hit) == Some(Standing::OnRecord));
            for hit in &absent {
                shown.add_absent(look, hit, standing_of(hit));
            }
            self.name_merged_elsewhere(look, &on_record, &mut shown.named)
                .await?;
        }
        Ok(shown)
    }

    /// What is wrong with the archive of an hour whose rows are about to be taken away: its objects by size, its
    /// manifests against the ids of the rows, and objects that nobody accounts for. Afterwards nobody could tell.
    pub async fn before_sealing(&self, hour: Hour) -> Result<Vec<Finding>, VerifyError> {
        let mut account = Account::default();
        let sizes = self.sizes_of(hour).await?;
        let mut after = BatchId(0);
        loop {
            let batches = self.ledger.objects_of_hour(hour, after, BATCHES_PAGE).await?;
            let Some(last) = batches.last() else { break };
            after = last.batch_id;
            let ids: Vec<BatchId> = batches.iter().map(|batch| batch.batch_id).collect();
            let expected = self.ledger.digests_of_batches(&ids).await?;
            let mut checks = stream::iter(batches)
                .map(|batch| {
                    let ids = expected.get(&batch.batch_id).copied().unwrap_or_default();
                    self.check_listed(batch, &sizes, Some(ids))
                })
                .buffered(PARALLEL_READS);
            while let Some(checked) = checks.next().await {
                checked?.1.into_iter().for_each(|finding| account.find(finding));
            }
        }
        self.find_orphans(hour, &mut account).await?;
        Ok(account.findings)
    }
}

/// What the source shows of a sealed hour.
#[derive(Default)]
struct Shown {
    /// Of the distinct ids.
    digest: IdDigest,
    without_id: WithoutId,
    /// For each id of the sealed objects.
    is_shown: Vec<bool>,
    /// Ids that can't be read from the archive, by reason.
    named: Named,
}

impl Shown {
    fn add_absent(&mut self, look: &Look<'_>, hit: &Hit, standing: Option<Standing>) {
        let Some(id) = &hit.message_id else { return };
        let (kind, text) = match standing {
            Some(Standing::OnRecord) => return,
            Some(Standing::Open) => (
                FindingKind::NotYetExported,
                "recorded, but their batches aren't completed",
            ),
            Some(Standing::Quarantined) => {
                let finding = (FindingKind::Quarantined, "could not be exported");
                let exception = (ExceptionKind::Quarantined, &hit.index);
                return self.named.except(look, exception, finding, id);
            }
            Some(Standing::Missing | Standing::Released) | None => (
                FindingKind::MissingFromArchive,
                "not in the objects of their sealed hour; a migration with `reExport` and a filter for them brings them in",
            ),
        };
        self.named.add(look, kind, text, id);
    }
}

/// What is wrong with a sealed object's manifest.
fn complaint_about(
    manifest: Result<Option<Manifest>, ArchiveError>,
    object: &ObjectKey,
    contents: &Contents,
) -> Result<Option<(FindingKind, String)>, VerifyError> {
    Ok(match manifest {
        Ok(Some(manifest)) => {
            let is_its = manifest.object.as_ref() == Some(object)
                && manifest.id_digest == contents.id_digest
                && manifest.metadata == contents.metadata
                && manifest.sha256 == Some(contents.sha256.to_string());
            (!is_its).then(|| (FindingKind::ManifestDiffers, "it isn't the object's".to_owned()))
        }
        Ok(None) => Some((FindingKind::ManifestMissing, "it isn't there".to_owned())),
        Err(error) => Some(unreadable_manifest(error)?),
    })
}
