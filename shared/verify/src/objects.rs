//! The objects on record of one hour: read back from S3, a few at a time, and held against the ledger and their
//! manifests.

use crate::content::{ContentCounts, Lines, Sample};
use crate::hour::HourProgress;
use crate::look::Look;
use crate::repair::Replacing;
use crate::report::Finding;
use crate::{FindingKind, Scope, Verifier, VerifyError};
use futures::stream::{self, StreamExt, TryStreamExt};
use granary_archive::{ArchiveError, Contents, ObjectFault};
use granary_domain::{BatchId, Generation, Hour, IdDigest, Manifest, ObjectKey, Place};
use granary_ledger::integrity::ObjectOnRecord;
use granary_proof::difference_to_record;

const PARALLEL_READS: usize = 4;
const BATCHES_PAGE: u32 = 200;
/// How often a batch is looked at again because it changed under the look.
const LOOKS_MAX: u32 = 3;

/// What one batch's object and manifest came to.
struct Checked {
    batch: ObjectOnRecord,
    /// Of the object, if it is the one on record.
    contents: Option<Contents>,
    was_read: bool,
    bytes_read: u64,
    content: ContentCounts,
    findings: Vec<Finding>,
}

impl Verifier {
    /// Reads back the next objects on record of an hour, of `messages_max` messages or of one batch. Says how many
    /// messages they have; `None`: there are no more.
    pub(crate) async fn check_some_objects(
        &self,
        look: &mut Look<'_>,
        hour: &mut HourProgress,
        messages_max: u64,
    ) -> Result<Option<u64>, VerifyError> {
        let batches = self
            .ledger
            .objects_of_hour(look.hour(), hour.objects_to, BATCHES_PAGE)
            .await?;
        let (batches, messages) = up_to(batches, messages_max);
        let Some(last) = batches.last().map(|batch| batch.batch_id) else {
            return Ok(None);
        };
        let ids: Vec<BatchId> = batches.iter().map(|batch| batch.batch_id).collect();
        let expected = self.ledger.digests_of_batches(&ids).await?;
        let lines = self.lines_of(look.scope);
        // All of them first: one that is under way may hold a connection to the ledger that a repair would wait for.
        let checks: Vec<Option<Checked>> = stream::iter(batches)
            .map(|batch| {
                let digest = expected.get(&batch.batch_id).copied().unwrap_or_default();
                self.check_batch(batch, digest, lines)
            })
            .buffered(PARALLEL_READS)
            .try_collect()
            .await?;
        for checked in checks.into_iter().flatten() {
            self.account_for(look, hour, checked).await?;
        }
        hour.objects_to = last;
        Ok(Some(messages))
    }

    /// How many lines of each object are compared.
    pub(crate) fn lines_of(&self, scope: &Scope) -> Lines {
        if scope.archive_only {
            Lines::Some(0)
        } else if scope.content {
            Lines::All
        } else {
            Lines::Some(self.section.lines_per_object)
        }
    }

    async fn account_for(
        &self,
        look: &mut Look<'_>,
        hour: &mut HourProgress,
        checked: Checked,
    ) -> Result<(), VerifyError> {
        let account = &mut *look.account;
        if let Some(contents) = &checked.contents {
            hour.archived.merge(&contents.id_digest);
            account.counts.archive += contents.exported;
            account.digests.archive.merge(&contents.id_digest);
        }
        account.batches_checked += 1;
        account.objects_checked += u64::from(checked.was_read);
        account.bytes_read += checked.bytes_read;
        account.content.merge(&checked.content);
        let replacing = match checked.findings.first() {
            Some(worst) if worst.kind.waits_for_access() => Replacing::NotWanted,
            Some(worst) => self.replace(look, &checked.batch, worst.kind).await?,
            None => return Ok(()),
        };
        for mut finding in checked.findings {
            look.account.counts.unreadable += finding.messages;
            match &replacing {
                Replacing::NotWanted => {}
                Replacing::Done(remedy) => finding.remedy = Some(*remedy),
                Replacing::WouldLose(ids) => finding.leave_to_people(ids),
            }
            look.find(finding);
        }
        Ok(())
    }

    /// Looks at a batch, and again where it doesn't look right and isn't what it was any more: its object may have been
    /// replaced meanwhile. `None`: it has nothing on record any more.
    async fn check_batch(
        &self,
        mut batch: ObjectOnRecord,
        mut expected: IdDigest,
        lines: Lines,
    ) -> Result<Option<Checked>, VerifyError> {
        let mut looks = 1;
        loop {
            let checked = self.check_once(batch, expected, lines).await?;
            if checked.findings.is_empty() || looks == LOOKS_MAX {
                return Ok(Some(checked));
            }
            let id = checked.batch.batch_id;
            match self.on_record(checked.batch.hour, id).await? {
                Some(now) if now == checked.batch => return Ok(Some(checked)),
                Some(now) => batch = now,
                None => return Ok(None),
            }
            expected = self
                .ledger
                .digests_of_batches(&[id])
                .await?
                .remove(&id)
                .unwrap_or_default();
            looks += 1;
        }
    }

    /// What a batch has on record now.
    async fn on_record(&self, hour: Hour, batch: BatchId) -> Result<Option<ObjectOnRecord>, VerifyError> {
        let before = BatchId(batch.0.saturating_sub(1));
        let next = self.ledger.objects_of_hour(hour, before, 1).await?.pop();
        Ok(next.filter(|next| next.batch_id == batch))
    }

    async fn check_once(
        &self,
        batch: ObjectOnRecord,
        expected: IdDigest,
        lines: Lines,
    ) -> Result<Checked, VerifyError> {
        let mut checked = Checked {
            contents: None,
            was_read: false,
            bytes_read: 0,
            content: ContentCounts::default(),
            findings: Vec::new(),
            batch,
        };
        if let Some(key) = checked.batch.object.clone() {
            self.check_object(&mut checked, &key, expected, lines).await?;
        }
        let seen = Some((expected, checked.contents.as_ref()));
        let of_manifest = self.check_manifest(&checked.batch, seen).await?;
        checked.findings.extend(of_manifest);
        Ok(checked)
    }

    async fn check_object(
        &self,
        checked: &mut Checked,
        key: &ObjectKey,
        expected: IdDigest,
        lines: Lines,
    ) -> Result<(), VerifyError> {
        let batch = &checked.batch;
        let mut sample = Sample::of(u64::from(batch.exported), lines);
        let read = self
            .archive
            .read_lines(key, |id, line| sample.take(&self.source, id, line))
            .await;
        let (contents, kind, text) = match read {
            Ok(Some(contents)) => {
                let difference = difference_to_record(&contents, batch, expected);
                (Some(contents), FindingKind::ObjectDiffers, difference)
            }
            Ok(None) => (
                None,
                FindingKind::ObjectMissing,
                Some("it isn't there".to_owned()),
            ),
            Err(error) => {
                let (kind, reason) = unreadable_object(error)?;
                (None, kind, Some(reason))
            }
        };
        checked.was_read = contents.is_some();
        checked.bytes_read = contents.as_ref().map_or(0, |contents| contents.bytes_stored);
        match text {
            None => {
                checked.contents = contents;
                self.check_content(checked, key, sample).await?;
            }
            Some(text) => checked.findings.push(Finding {
                messages: u64::from(batch.exported),
                ..finding_of(batch, kind, key, text)
            }),
        }
        Ok(())
    }

    async fn check_content(
        &self,
        checked: &mut Checked,
        key: &ObjectKey,
        sample: Sample,
    ) -> Result<(), VerifyError> {
        let compared = self.compare_content(sample).await?;
        checked.content = compared.counts;
        let batch = &checked.batch;
        let finding = compared.finding(|kind, text| finding_of(batch, kind, key, text));
        checked.findings.extend(finding);
        Ok(())
    }

    /// Holds a batch's manifest against the ledger's row and, where they were looked at, against its ids and its object.
    pub(crate) async fn check_manifest(
        &self,
        batch: &ObjectOnRecord,
        seen: Option<(IdDigest, Option<&Contents>)>,
    ) -> Result<Option<Finding>, VerifyError> {
        let Some(generation) = self.generation_on_record(batch) else {
            return Ok(None);
        };
        let key = self
            .archive
            .layout()
            .manifest(batch.hour, batch.batch_id, generation);
        let (kind, text) = match self.archive.manifest(&key).await {
            Ok(Some(manifest)) => match difference_to_manifest(&manifest, (batch, generation), seen) {
                Some(field) => {
                    let text = format!("its {field} isn't what the ledger and the object say");
                    (FindingKind::ManifestDiffers, text)
                }
                None => return Ok(None),
            },
            Ok(None) => (FindingKind::ManifestMissing, "it isn't there".to_owned()),
            Err(error) => unreadable_manifest(error)?,
        };
        Ok(Some(finding_of(batch, kind, &key, text)))
    }

    /// Which export is on record. A batch that is being exported again is at a later one; where it had no object, only
    /// its new export will tell.
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

/// What a failed reading says of the one object; an outage stays an error.
pub(crate) fn unreadable_object(error: ArchiveError) -> Result<(FindingKind, String), VerifyError> {
    match error.fault_of_object() {
        Some(ObjectFault::Corrupt(reason)) => Ok((FindingKind::ObjectCorrupt, reason)),
        Some(ObjectFault::Denied(reason) | ObjectFault::Locked(reason)) => {
            Ok((FindingKind::ObjectUnreadable, reason))
        }
        None => Err(error.into()),
    }
}

/// The same of a manifest.
pub(crate) fn unreadable_manifest(error: ArchiveError) -> Result<(FindingKind, String), VerifyError> {
    match error.fault_of_object() {
        Some(ObjectFault::Corrupt(reason)) => Ok((FindingKind::ManifestCorrupt, reason)),
        Some(ObjectFault::Denied(reason) | ObjectFault::Locked(reason)) => {
            Ok((FindingKind::ManifestUnreadable, reason))
        }
        None => Err(error.into()),
    }
}

/// The first batches that have `messages_max` messages together, or the first one, and how many they have.
fn up_to(mut batches: Vec<ObjectOnRecord>, messages_max: u64) -> (Vec<ObjectOnRecord>, u64) {
    let (mut taken, mut messages) = (0, 0);
    for batch in &batches {
        let together = messages + u64::from(batch.message_count);
        if taken > 0 && together > messages_max {
            break;
        }
        (taken, messages) = (taken + 1, together);
    }
    batches.truncate(taken);
    (batches, messages)
}

pub(crate) fn finding_of(
    batch: &ObjectOnRecord,
    kind: FindingKind,
    key: &ObjectKey,
    text: impl Into<String>,
) -> Finding {
    Finding {
        batch: Some(batch.batch_id),
        key: Some(key.clone()),
        ..Finding::of_hour(kind, batch.hour, text)
    }
}

/// The first field in which a manifest isn't what the ledger says.
fn difference_to_manifest(
    manifest: &Manifest,
    (batch, generation): (&ObjectOnRecord, Generation),
    seen: Option<(IdDigest, Option<&Contents>)>,
) -> Option<&'static str> {
    let exceptions = u64::from(batch.message_count.saturating_sub(batch.exported));
    // They left for a batch of their own, and the manifest says what was when it was written.
    let recalled = u64::from(batch.recalled);
    let agreements = [
        ("batch", manifest.batch_id == batch.batch_id),
        ("generation", manifest.generation == generation),
        ("hour", manifest.hour == batch.hour),
        ("object", manifest.object == batch.object),
        (
            "count of messages",
            manifest.messages == u64::from(batch.message_count) + recalled,
        ),
        (
            "count of exported messages",
            manifest.exported == u64::from(batch.exported),
        ),
        (
            "list of exceptions",
            manifest.exceptions.len() as u64 == exceptions + recalled,
        ),
        ("SHA-256", manifest.sha256 == batch.sha256),
        ("id digest", seen.is_none_or(|(ids, _)| manifest.id_digest == ids)),
        (
            "count of metadata",
            seen.and_then(|(_, contents)| contents)
                .is_none_or(|contents| manifest.metadata == contents.metadata),
        ),
    ];
    agreements
        .into_iter()
        .find_map(|(field, agrees)| (!agrees).then_some(field))
}
