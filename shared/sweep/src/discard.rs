//! Removing one object because a person decided so, whatever it holds.
//!
//! Only what no batch has on record and no worker can adopt: an orphan, the object of a batch that the ledger doesn't know,
//! or one that was replaced and kept. It must still be the very object that the person saw (its ETag), and as old as a sweep
//! asks for. Whoever asks is in the audit with the reason, and the report says what was lost with it.
//!
//! Twice is harmless: the second time nothing stands there.

use crate::fate::{Fate, Knowledge, fate_of};
use crate::{SweepArguments, SweepError, SweepReport, Sweeper};
use granary_archive::Removal;
use granary_domain::{BatchId, Generation, Hour, ObjectKey, Place};
use granary_ledger::integrity::BatchAtKey;
use granary_proof::{Candidate, Proof};
use serde::{Deserialize, Serialize};

/// What somebody asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DiscardArguments {
    /// Which object.
    pub key: ObjectKey,
    /// The object that was seen there; `None`: whatever stands there, for a dry run.
    pub etag: Option<String>,
    /// Only look; remove nothing.
    pub dry_run: bool,
    /// Why.
    pub reason: String,
    /// Who asked.
    pub requested_by: String,
}

/// What it came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DiscardReport {
    /// The object.
    pub key: ObjectKey,
    /// Whether it only looked: then the object is still there.
    pub dry_run: bool,
    /// Its bytes; 0: nothing stood there any more.
    pub bytes: u64,
    /// What is lost with it, for people.
    pub loss: String,
}

/// What came of asking to discard an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Discarded {
    /// This.
    Done(DiscardReport),
    /// Nothing: why, for people.
    Refused(String),
    /// Nothing yet: no more may be deleted in this tick.
    Pause,
}

impl Sweeper {
    /// Removes an object that a person wants gone, with its manifest.
    pub async fn discard(&self, arguments: &DiscardArguments) -> Result<Discarded, SweepError> {
        let key = &arguments.key;
        let refused = |why: String| Ok(Discarded::Refused(why));
        let Some(Place::Object {
            hour,
            batch,
            generation,
        }) = self.archive.layout().place_of(key)
        else {
            return refused(format!("{key} is not the key of a data object of this archive"));
        };
        let Some(object) = self.archive.listed(key).await? else {
            return Ok(Discarded::Done(DiscardReport {
                key: key.clone(),
                dry_run: arguments.dry_run,
                bytes: 0,
                loss: "nothing: no object stands there".to_owned(),
            }));
        };
        if arguments.etag.is_some() && arguments.etag != object.etag {
            return refused(format!("{key} is not the object that was seen: look at it again"));
        }
        if object.last_modified > self.old_enough(&SweepArguments::default()).await? {
            return refused(format!("{key} is young: a worker may still have it in hand"));
        }
        let known = self.ledger.batches_at_keys(&[batch]).await?.remove(&batch);
        if let Some(why) = self.keeps_it(key, (hour, generation), known.as_ref()).await? {
            return refused(format!("{key} stays: {why}"));
        }
        let candidate = Candidate {
            key,
            batch,
            exported: None,
        };
        let loss = match self.prover.proof_of(candidate).await? {
            Proof::Redundant | Proof::Gone => {
                "nothing: all that it holds is on record in sound objects".to_owned()
            }
            Proof::Waiting => "nothing, if what waits for its export is exported".to_owned(),
            Proof::Unproven(text) => text,
        };
        if !arguments.dry_run {
            self.refuse_if_restored().await?;
            if self.allowance.take().is_none() {
                return Ok(Discarded::Pause);
            }
            match self.archive.remove_unchanged(&object).await {
                Ok(Removal::Done | Removal::WasGone) => {}
                Ok(Removal::Changed) => return refused(format!("{key} changed at the same moment")),
                Err(error) if error.fault_of_object().is_some() => return refused(error.to_string()),
                Err(error) => return Err(error.into()),
            }
            tracing::warn!(%key, bytes = object.bytes, loss, reason = arguments.reason, "discarded an object");
            self.discard_traces(key, (hour, batch, generation), known.as_ref())
                .await?;
        }
        Ok(Discarded::Done(DiscardReport {
            key: key.clone(),
            dry_run: arguments.dry_run,
            bytes: object.bytes,
            loss,
        }))
    }

    /// Why an object may not be discarded.
    async fn keeps_it(
        &self,
        key: &ObjectKey,
        (hour, generation): (Hour, Generation),
        known: Option<&BatchAtKey>,
    ) -> Result<Option<&'static str>, SweepError> {
        let place = self.archive.layout().place_of(key);
        let Some(batch) = known else {
            let sealed_to = self.ledger.sealed_up_to(hour).await?;
            let is_sealed = sealed_to.is_some_and(|last| {
                place
                    .and_then(|place| place.batch())
                    .is_some_and(|batch| batch <= last)
            });
            return Ok(is_sealed.then_some("its hour is sealed, and it is on record there"));
        };
        let is_replaced = batch.replaced.contains(&generation) && batch.named.as_ref() != Some(key);
        Ok(match fate_of(key, place, Knowledge::Known(batch)) {
            Fate::Orphan | Fate::Foreign | Fate::Unknown => None,
            Fate::Stays if is_replaced => None,
            Fate::Stays => Some("it is on record, or a worker may adopt it"),
            Fate::Ahead => Some("the next export of its batch comes to it"),
            Fate::OrphanManifest => Some("it is a manifest"),
        })
    }

    /// Its manifest, unless that accounts for another object, and the note that it was replaced.
    async fn discard_traces(
        &self,
        key: &ObjectKey,
        (hour, batch, generation): (Hour, BatchId, Generation),
        known: Option<&BatchAtKey>,
    ) -> Result<(), SweepError> {
        let is_current = known.is_some_and(|known| known.generation == generation && known.hour == hour);
        if !is_current {
            let arguments = SweepArguments {
                apply: true,
                ..SweepArguments::default()
            };
            let mut report = SweepReport::default();
            self.remove_manifest(&arguments, (hour, batch, generation), &mut report)
                .await?;
        }
        Ok(self.ledger.forget_superseded_object(batch, key).await?)
    }
}
