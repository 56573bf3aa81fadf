//! Writing a batch to S3: one object for each generation, whoever writes it. It is on record only once the caller has
//! settled it in the ledger.
//!
//! The object is written only where nothing stands at its key. Where something does (this attempt's own PUT whose
//! answer was lost, an earlier attempt's, a reaped worker's), it is read back and adopted if it is this batch. If
//! it isn't, it is left to the sweep, an alert is raised, and the batch continues with its next generation.
//!
//! The order is: exceptions into the ledger, object, manifest; the caller settles. So whoever comes later can check
//! that object and exceptions together are the batch. Who adopts an object brings the ledger's exceptions into line
//! with it: its writer may have had messages that were gone for whoever came after.

use crate::draft::{Draft, Fetched};
use crate::failure::{archive_failure, lease_lost, ledger_failure, unless_lost};
use granary_archive::{Archive, Contents, ObjectFault, PutOutcome, PutSettings};
use granary_domain::{
    Cause, Compression, Failure, Format, Manifest, ManifestException, MessageId, ObjectKey, Outcome,
};
use granary_environment::LeaseSection;
use granary_ledger::Ledger;
use granary_ledger::export::{ClaimedBatch, Exception, OwnedMessage, Settlement};
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

const GENERATIONS_PER_ATTEMPT_MAX: u32 = 3;
const MANIFEST_VERSION: u32 = 1;

/// What writes objects and manifests. Made once at cold start.
pub(crate) struct Writer {
    pub(crate) archive: Archive,
    pub(crate) ledger: Ledger,
    pub(crate) source_name: String,
    pub(crate) form: (Format, Compression),
    pub(crate) temp_dir: PathBuf,
    pub(crate) lease: LeaseSection,
}

/// A batch as it is stored in S3, not yet on record.
pub(crate) struct StoredObject {
    /// The object and what it holds; `None` where no message was left to write.
    object: Option<(ObjectKey, Contents)>,
    exceptions: Vec<Exception>,
}

impl StoredObject {
    /// What the ledger is to be told.
    pub(crate) fn settlement(self, timings: String) -> Settlement {
        let Self { object, exceptions } = self;
        let count = |outcome| {
            let counted = exceptions.iter().filter(|exception| exception.outcome == outcome);
            counted.count() as u32
        };
        let (missing, quarantined) = (count(Outcome::Missing), count(Outcome::Quarantined));
        let contents = object.as_ref().map(|(_, contents)| contents);
        Settlement {
            sha256: contents.map(|contents| contents.sha256.0),
            bytes_raw: contents.map_or(0, |contents| contents.bytes_raw),
            bytes_stored: contents.map_or(0, |contents| contents.bytes_stored),
            exported: contents.map_or(0, |contents| contents.exported) as u32,
            missing,
            quarantined,
            object: object.map(|(key, _)| key),
            timings,
        }
    }
}

impl Writer {
    /// Begins a batch in the temp directory.
    pub(crate) fn draft(&self) -> Result<Draft, Failure> {
        Draft::create(&self.temp_dir, self.form)
    }

    /// Looks for an object that an earlier attempt left, so that it needn't be fetched and written again. Exceptions
    /// were recorded before that object was written, so the ledger has them, unless a later attempt found others.
    pub(crate) async fn find_earlier(
        &self,
        batch: &ClaimedBatch,
        messages: &[OwnedMessage],
    ) -> Result<Option<StoredObject>, Failure> {
        let known: Vec<Exception> = messages.iter().filter_map(known_exception).collect();
        for key in self.keys_of(batch).await? {
            match self.read_if_ours(&key, messages, &known).await? {
                Standing::Ours(on_record) => return self.adopt(batch, on_record).await.map(Some),
                Standing::Nothing | Standing::Foreign(_) => {}
            }
        }
        Ok(None)
    }

    /// What stands at a batch's generation, in whichever form: the deployment's may have changed since.
    async fn keys_of(&self, batch: &ClaimedBatch) -> Result<Vec<ObjectKey>, Failure> {
        let (date, hour) = (batch.hour.date(), batch.hour.hour_of_day());
        let under = format!("dt={date}/hour={hour}/batch-{}-g{}.", batch.id, batch.generation);
        let page = self.archive.list(&under, None).await.map_err(archive_failure)?;
        Ok(page.objects.into_iter().map(|object| object.key).collect())
    }

    /// Writes the object of a fetched batch.
    pub(crate) async fn store_object(
        &self,
        batch: &mut ClaimedBatch,
        messages: &[OwnedMessage],
        fetched: Fetched,
    ) -> Result<StoredObject, Failure> {
        let Fetched { spool, exceptions } = fetched;
        let accounted = spool.contents.exported + exceptions.len() as u64;
        if accounted != messages.len() as u64 {
            let text = format!(
                "{accounted} messages are accounted for, the batch has {}",
                messages.len()
            );
            return Err(Failure {
                cause: Cause::Miscount,
                text,
            });
        }
        self.record_exceptions(batch, messages, &exceptions).await?;
        if spool.contents.exported == 0 {
            return Ok(StoredObject {
                object: None,
                exceptions,
            });
        }
        for _ in 0..GENERATIONS_PER_ATTEMPT_MAX {
            let key = self.object_key(batch);
            let put = self
                .archive
                .put(&key, batch.id, &spool, PutSettings::default())
                .await;
            match put.map_err(archive_failure)? {
                PutOutcome::Written => {
                    return Ok(StoredObject {
                        object: Some((key, spool.contents.clone())),
                        exceptions,
                    });
                }
                PutOutcome::AlreadyThere => match self.read_if_ours(&key, messages, &exceptions).await? {
                    Standing::Ours(stored) => return self.adopt(batch, stored).await,
                    // Deleted between the two: the next round writes it.
                    Standing::Nothing => {}
                    Standing::Foreign(reason) => self.leave_key(batch, &key, &reason).await?,
                },
            }
        }
        let text =
            format!("objects that aren't this batch stand at {GENERATIONS_PER_ATTEMPT_MAX} keys in a row");
        Err(Failure {
            cause: Cause::ArchiveConflict,
            text,
        })
    }

    /// Writes the manifest of a stored batch.
    pub(crate) async fn write_manifest(
        &self,
        batch: &ClaimedBatch,
        stored: &StoredObject,
    ) -> Result<(), Failure> {
        self.require_lease(batch).await?;
        let manifest = self.manifest(batch, stored.object.as_ref(), &stored.exceptions);
        let key = self
            .archive
            .layout()
            .manifest(batch.hour, batch.id, batch.generation);
        self.archive
            .put_manifest(&key, &manifest)
            .await
            .map_err(archive_failure)
    }

    /// Reads what stands at a key and compares it with the batch: every id of it is the batch's, and every message that
    /// isn't in it is excepted.
    async fn read_if_ours(
        &self,
        key: &ObjectKey,
        messages: &[OwnedMessage],
        exceptions: &[Exception],
    ) -> Result<Standing, Failure> {
        let mut absent: HashSet<&MessageId> = messages.iter().map(|message| &message.message_id).collect();
        let mut foreign = 0u64;
        let read = self
            .archive
            .read_ids(key, |id| foreign += u64::from(!absent.remove(id)))
            .await;
        let contents = match read {
            Ok(Some(contents)) => contents,
            Ok(None) => return Ok(Standing::Nothing),
            Err(error) => {
                return match error.fault_of_object() {
                    Some(ObjectFault::Corrupt(reason) | ObjectFault::Locked(reason)) => {
                        Ok(Standing::Foreign(reason))
                    }
                    // A role that may not read would double every object that it should have adopted.
                    Some(ObjectFault::Denied(_)) | None => Err(archive_failure(error)),
                };
            }
        };
        if foreign > 0 {
            return Ok(Standing::Foreign(format!(
                "{foreign} of its messages are not of this batch, or there twice"
            )));
        }
        let reasons: HashMap<&MessageId, &Exception> = exceptions
            .iter()
            .map(|exception| (&exception.message_id, exception))
            .collect();
        let explained: Option<Vec<Exception>> = absent
            .iter()
            .map(|id| reasons.get(id).map(|exception| (*exception).clone()))
            .collect();
        match explained {
            Some(mut exceptions) => {
                exceptions.sort_by(|left, right| left.message_id.cmp(&right.message_id));
                Ok(Standing::Ours(StoredObject {
                    object: Some((key.clone(), contents)),
                    exceptions,
                }))
            }
            None => Ok(Standing::Foreign(format!(
                "it lacks messages: {} of {}",
                absent.len(),
                messages.len()
            ))),
        }
    }

    /// Gives up a key, with the object that stands at it, for the next generation's.
    async fn leave_key(
        &self,
        batch: &mut ClaimedBatch,
        key: &ObjectKey,
        reason: &str,
    ) -> Result<(), Failure> {
        self.require_lease(batch).await?;
        let subject = format!("{}.{}", batch.id, batch.generation);
        let text = format!(
            "the object {key} is not batch {}: {reason}; the batch continues with its next generation",
            batch.id
        );
        let conflict = Cause::ArchiveConflict.as_str();
        self.ledger
            .raise_alert(conflict, &subject, conflict, &text)
            .await
            .map_err(ledger_failure)?;
        match self.ledger.next_generation(batch).await.map_err(ledger_failure)? {
            Some(next) => batch.generation = next,
            None => return Err(lease_lost()),
        }
        Ok(())
    }

    /// Asks, before something that carries no fence: a worker that was frozen and reaped would write its own manifest
    /// over the one of the attempt that was settled, or alarm people over an object that is the batch by now.
    async fn require_lease(&self, batch: &ClaimedBatch) -> Result<(), Failure> {
        let renewed = self
            .ledger
            .renew_lease(batch.id, batch.fence, self.lease.lease)
            .await;
        unless_lost(renewed)
    }

    /// Has the ledger say of each message what the object says. This is asked for whatever was known when the attempt
    /// began: an object may hold a message that this attempt, or one before it, recorded as missing, because a reaped
    /// worker's PUT landed after that.
    async fn adopt(&self, batch: &ClaimedBatch, stored: StoredObject) -> Result<StoredObject, Failure> {
        unless_lost(self.ledger.record_exceptions(batch, &stored.exceptions).await)?;
        Ok(stored)
    }

    /// Records what this attempt found, before its object is written. Where nothing was on record and nothing was found
    /// there is nothing to do: under this fence nobody else writes exceptions.
    async fn record_exceptions(
        &self,
        batch: &ClaimedBatch,
        messages: &[OwnedMessage],
        exceptions: &[Exception],
    ) -> Result<(), Failure> {
        let none_before = messages.iter().all(|message| message.exception.is_none());
        if exceptions.is_empty() && none_before {
            return Ok(());
        }
        unless_lost(self.ledger.record_exceptions(batch, exceptions).await)
    }

    /// Where a batch's object goes.
    pub(crate) fn object_key(&self, batch: &ClaimedBatch) -> ObjectKey {
        self.archive
            .layout()
            .object(batch.hour, batch.id, batch.generation, self.form)
    }

    fn manifest(
        &self,
        batch: &ClaimedBatch,
        object: Option<&(ObjectKey, Contents)>,
        exceptions: &[Exception],
    ) -> Manifest {
        let contents = object.map(|(_, contents)| contents);
        let exceptions = exceptions.iter().map(|exception| ManifestException {
            message_id: exception.message_id.clone(),
            outcome: exception.outcome,
            reason: exception.reason.clone(),
        });
        Manifest {
            v: MANIFEST_VERSION,
            source: self.source_name.clone(),
            batch_id: batch.id,
            generation: batch.generation,
            migration_id: batch.migration_id,
            window_id: batch.window_id,
            hour: batch.hour,
            attempt: batch.fence.0,
            object: object.map(|(key, _)| key.clone()),
            messages: u64::from(batch.message_count),
            exported: contents.map_or(0, |contents| contents.exported),
            exceptions: exceptions.collect(),
            first_id: contents.and_then(|contents| contents.first_id.clone()),
            last_id: contents.and_then(|contents| contents.last_id.clone()),
            id_digest: contents.map(|contents| contents.id_digest).unwrap_or_default(),
            metadata: contents
                .map(|contents| contents.metadata.clone())
                .unwrap_or_default(),
            sha256: contents.map(|contents| contents.sha256.to_string()),
            bytes_raw: contents.map_or(0, |contents| contents.bytes_raw),
            bytes_stored: contents.map_or(0, |contents| contents.bytes_stored),
        }
    }
}

/// What stands at a key.
enum Standing {
    Nothing,
    Ours(StoredObject),
    Foreign(String),
}

fn known_exception(message: &OwnedMessage) -> Option<Exception> {
    let (outcome, reason) = message.exception.clone()?;
    Some(Exception {
        message_id: message.message_id.clone(),
        outcome,
        reason,
    })
}
