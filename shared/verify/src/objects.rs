//! The objects on record of one hour: read back from S3, a few at a time, and held against the ledger and their
//! manifests.

use crate::orphans::Listed;
use crate::report::Finding;
use crate::{Account, FindingKind, Verifier, VerifyError};
use futures::stream::{self, StreamExt};
use granary_archive::{ArchiveError, Contents};
use granary_domain::{BatchId, Hour, IdDigest, Manifest, ObjectKey, TimeRange};
use granary_ledger::{ObjectOnRecord, Standing};

const PARALLEL_READS: usize = 4;
const BATCHES_PAGE: u32 = 200;

/// What one batch's object and manifest came to.
#[derive(Default)]
struct Checked {
    /// Of the object, if it is the one on record.
    contents: Option<Contents>,
    was_read: bool,
    bytes_read: u64,
    findings: Vec<Finding>,
}

impl Verifier {
    /// Reads back every object on record of an hour, and names the objects that nothing accounts for.
    pub(crate) async fn check_objects(
        &self,
        part: TimeRange,
        listed: &Listed,
        on_record: IdDigest,
        account: &mut Account,
    ) -> Result<(), VerifyError> {
        let hour = Hour::of(part.from());
        let (mut archived, mut are_sound) = (IdDigest::default(), true);
        let mut named: Vec<ObjectKey> = Vec::new();
        let mut after = BatchId(0);
        loop {
            let batches = self.ledger.objects_of_hour(hour, after, BATCHES_PAGE).await?;
            let Some(last) = batches.last() else { break };
            after = last.batch_id;
            let ids: Vec<BatchId> = batches.iter().map(|batch| batch.batch_id).collect();
            let expected = self.ledger.digests_of_batches(&ids).await?;
            named.extend(batches.iter().filter_map(|batch| batch.object.clone()));
            let mut checks = stream::iter(batches)
                .map(|batch| {
                    let digest = expected.get(&batch.batch_id).copied().unwrap_or_default();
                    self.check_batch(batch, digest)
                })
                .buffered(PARALLEL_READS);
            while let Some(checked) = checks.next().await {
                let checked = checked?;
                are_sound &= checked.findings.is_empty();
                if let Some(contents) = &checked.contents {
                    archived.merge(&contents.id_digest);
                }
                account.batches_checked += 1;
                account.objects_checked += u64::from(checked.was_read);
                account.bytes_read += checked.bytes_read;
                checked.findings.into_iter().for_each(|finding| {
                    account.counts.unreadable += finding.messages;
                    account.find(finding);
                });
            }
        }
        account.counts.archive += archived.count;
        account.digests.archive.merge(&archived);
        if are_sound && part == hour.range() && archived != on_record {
            self.compare_hour(part, archived, account).await?;
        }
        self.find_orphans(hour, listed, &named, account).await
    }

    /// The ids of all objects against the ids of all messages, once more by the ledger as it is now: a batch may have
    /// been settled while objects were read.
    async fn compare_hour(
        &self,
        part: TimeRange,
        archived: IdDigest,
        account: &mut Account,
    ) -> Result<(), VerifyError> {
        let digests = self.ledger.digests_of(part).await?;
        let on_record = digests.get(&Standing::OnRecord).copied().unwrap_or_default();
        if archived != on_record {
            let text = format!("the objects have the ids {archived}, on record are {on_record}");
            account.find(Finding::of_hour(
                FindingKind::ArchiveDiffers,
                Hour::of(part.from()),
                text,
            ));
        }
        Ok(())
    }

    async fn check_batch(&self, batch: ObjectOnRecord, expected: IdDigest) -> Result<Checked, VerifyError> {
        let mut checked = match &batch.object {
            Some(key) => self.check_object(&batch, key, expected).await?,
            None => Checked::default(),
        };
        checked
            .findings
            .extend(self.check_manifest(&batch, Some(expected)).await?);
        Ok(checked)
    }

    async fn check_object(
        &self,
        batch: &ObjectOnRecord,
        key: &ObjectKey,
        expected: IdDigest,
    ) -> Result<Checked, VerifyError> {
        let (contents, kind, text) = match self.archive.read_back(key).await {
            Ok(Some(contents)) => {
                let difference = difference_to_record(&contents, batch, expected);
                (Some(contents), FindingKind::ObjectDiffers, difference)
            }
            Ok(None) => (
                None,
                FindingKind::ObjectMissing,
                Some("it isn't there".to_owned()),
            ),
            Err(ArchiveError::Corrupt { reason, .. }) => (None, FindingKind::ObjectCorrupt, Some(reason)),
            Err(error) => return Err(error.into()),
        };
        let mut checked = Checked {
            was_read: contents.is_some(),
            bytes_read: contents.as_ref().map_or(0, |contents| contents.bytes_stored),
            ..Checked::default()
        };
        match text {
            None => checked.contents = contents,
            Some(text) => checked.findings.push(Finding {
                messages: u64::from(batch.exported),
                ..finding_of(batch, kind, key, text)
            }),
        }
        Ok(checked)
    }

    /// Holds a batch's manifest against the ledger's row and, where they were counted, against its ids.
    pub(crate) async fn check_manifest(
        &self,
        batch: &ObjectOnRecord,
        ids: Option<IdDigest>,
    ) -> Result<Option<Finding>, VerifyError> {
        let key = self
            .archive
            .layout()
            .manifest(batch.hour, batch.batch_id, batch.generation);
        let (kind, text) = match self.archive.manifest(&key).await {
            Ok(Some(manifest)) => match difference_to_manifest(&manifest, batch, ids) {
                Some(field) => {
                    let text = format!("its {field} isn't what the ledger says");
                    (FindingKind::ManifestDiffers, text)
                }
                None => return Ok(None),
            },
            Ok(None) => (FindingKind::ManifestMissing, "it isn't there".to_owned()),
            Err(ArchiveError::Corrupt { reason, .. }) => (FindingKind::ManifestCorrupt, reason),
            Err(error) => return Err(error.into()),
        };
        Ok(Some(finding_of(batch, kind, &key, text)))
    }
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

/// How a sound object isn't the one on record.
fn difference_to_record(contents: &Contents, batch: &ObjectOnRecord, expected: IdDigest) -> Option<String> {
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

/// The first field in which a manifest isn't what the ledger says.
fn difference_to_manifest(
    manifest: &Manifest,
    batch: &ObjectOnRecord,
    ids: Option<IdDigest>,
) -> Option<&'static str> {
    let exceptions = u64::from(batch.message_count.saturating_sub(batch.exported));
    let agreements = [
        ("batch", manifest.batch_id == batch.batch_id),
        ("generation", manifest.generation == batch.generation),
        ("hour", manifest.hour == batch.hour),
        ("object", manifest.object == batch.object),
        (
            "count of messages",
            manifest.messages == u64::from(batch.message_count),
        ),
        (
            "count of exported messages",
            manifest.exported == u64::from(batch.exported),
        ),
        (
            "list of exceptions",
            manifest.exceptions.len() as u64 == exceptions,
        ),
        ("SHA-256", manifest.sha256 == batch.sha256),
        ("id digest", ids.is_none_or(|ids| manifest.id_digest == ids)),
    ];
    agreements
        .into_iter()
        .find_map(|(field, agrees)| (!agrees).then_some(field))
}
