//! Taking away what no worker can adopt any more, one by one, each with the proof that nothing is lost.
//!
//! A data object goes with its manifest, and a manifest alone only where no object of its generation is left: it says
//! what the object lacks. What fails the proof stays, is named in the report, and is an alert once; a person decides
//! ([`adopt`, `discard`](crate)). What S3 refuses concerns that one key. An outage ends the step, which is repeated: what it
//! removed is gone then.

use crate::fate::{Fate, Knowledge, fate_of};
use crate::report::Doubt;
use crate::{SweepArguments, SweepError, SweepReport, Sweeper};
use futures::future::join_all;
use granary_archive::{Removal, StoredObject};
use granary_domain::{BatchId, Generation, Hour, ObjectKey, Place};
use granary_proof::{Candidate, Proof};

const PARALLEL_PROOFS: usize = 4;
/// The kind of the alert about an object that fails the proof.
const UNPROVEN_ALERT: &str = "unproven_object";

/// What is to go, if nothing is lost with it.
pub(crate) struct Doomed {
    object: StoredObject,
    what: What,
}

enum What {
    Object {
        batch: BatchId,
        /// Its manifest, where that isn't on record.
        manifest: Option<(Hour, Generation)>,
    },
    Manifest {
        batch: BatchId,
        generation: Generation,
        /// Its batch's hour, where the ledger knows it.
        hour: Option<Hour>,
    },
    Raw,
}

impl Doomed {
    pub(crate) fn new(object: StoredObject, place: Place, knowledge: Knowledge<'_>) -> Self {
        let what = match place {
            Place::Object {
                hour,
                batch,
                generation,
            } => {
                let place = Place::Manifest {
                    day: hour,
                    batch,
                    generation,
                };
                let fate = fate_of(&object.key, Some(place), knowledge);
                let goes_along = matches!(fate, Fate::OrphanManifest | Fate::Unknown);
                What::Object {
                    batch,
                    manifest: goes_along.then_some((hour, generation)),
                }
            }
            Place::Manifest {
                batch, generation, ..
            } => What::Manifest {
                batch,
                generation,
                hour: match knowledge {
                    Knowledge::Known(batch) => Some(batch.hour),
                    Knowledge::Sealed | Knowledge::Nothing => None,
                },
            },
            Place::Quarantine | Place::NumberMark => What::Raw,
        };
        Self { object, what }
    }
}

impl Sweeper {
    /// Proofs run side by side, some at a time, deletions one after the other in the order of the keys. While something is
    /// deleted no proof is under way: each would hold a connection to the ledger that it can't give back meanwhile.
    pub(crate) async fn remove_all(
        &self,
        arguments: &SweepArguments,
        doomed: &[Doomed],
        report: &mut SweepReport,
    ) -> Result<(), SweepError> {
        for some in doomed.chunks(PARALLEL_PROOFS) {
            let proofs = join_all(some.iter().map(|doomed| self.proof_of(doomed))).await;
            for (doomed, proof) in some.iter().zip(proofs) {
                let object = &doomed.object;
                match proof? {
                    Proof::Redundant => self.remove(arguments, doomed, report).await?,
                    Proof::Gone => report.overtaken += 1,
                    Proof::Waiting => report.waiting.add(&object.key, object.bytes),
                    Proof::Unproven(text) => self.doubt(arguments, object, text, report).await?,
                }
            }
        }
        Ok(())
    }

    async fn proof_of(&self, doomed: &Doomed) -> Result<Proof, SweepError> {
        match doomed.what {
            What::Object { batch, .. } => {
                let candidate = Candidate {
                    key: &doomed.object.key,
                    batch,
                    exported: None,
                };
                Ok(self.prover.proof_of(candidate).await?)
            }
            What::Manifest {
                batch,
                generation,
                hour: Some(hour),
            } => {
                let has_object = self.has_object(hour, batch, generation).await?;
                Ok(if has_object {
                    Proof::Waiting
                } else {
                    Proof::Redundant
                })
            }
            What::Manifest { hour: None, .. } | What::Raw => Ok(Proof::Waiting),
        }
    }

    /// Whether a data object of a batch's generation is there, in whichever form.
    async fn has_object(
        &self,
        hour: Hour,
        batch: BatchId,
        generation: Generation,
    ) -> Result<bool, SweepError> {
        let under = format!(
            "dt={}/hour={}/batch-{batch}-g{generation}.",
            hour.date(),
            hour.hour_of_day()
        );
        Ok(!self.archive.list(&under, None).await?.objects.is_empty())
    }

    async fn remove(
        &self,
        arguments: &SweepArguments,
        doomed: &Doomed,
        report: &mut SweepReport,
    ) -> Result<(), SweepError> {
        let object = &doomed.object;
        if arguments.apply {
            match self.archive.remove_unchanged(object).await {
                Ok(Removal::Done) => self.allowance.take().unwrap_or_default(),
                Ok(outcome @ (Removal::WasGone | Removal::Changed)) => {
                    tracing::info!(key = %object.key, ?outcome, "what was to be swept isn't what it was");
                    report.overtaken += 1;
                    return Ok(());
                }
                Err(error) if error.fault_of_object().is_some() => {
                    tracing::warn!(key = %object.key, "{error}");
                    report.refused.add(&object.key, object.bytes);
                    return Ok(());
                }
                Err(error) => return Err(error.into()),
            }
            tracing::info!(key = %object.key, bytes = object.bytes, "swept what nobody recorded");
        }
        match doomed.what {
            What::Object { batch, manifest } => {
                report.orphans.add(&object.key, object.bytes);
                if let Some((hour, generation)) = manifest {
                    self.remove_manifest(arguments, (hour, batch, generation), report)
                        .await?;
                }
            }
            What::Manifest { .. } | What::Raw => report.manifests.add(&object.key, object.bytes),
        }
        Ok(())
    }

    /// The manifest of an object that was swept, unless one in another form is left.
    pub(crate) async fn remove_manifest(
        &self,
        arguments: &SweepArguments,
        (hour, batch, generation): (Hour, BatchId, Generation),
        report: &mut SweepReport,
    ) -> Result<(), SweepError> {
        let key = self.archive.layout().manifest(hour, batch, generation);
        let seen = match self.archive.look_at(&key).await {
            Ok(Some(seen)) => seen,
            Ok(None) => return Ok(()),
            Err(error) if error.fault_of_object().is_some() => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        if arguments.apply {
            if self.has_object(hour, batch, generation).await? {
                return Ok(());
            }
            match self.archive.delete(&key).await {
                Ok(()) => {}
                Err(error) if error.fault_of_object().is_some() => {
                    report.refused.add(&key, seen.bytes);
                    return Ok(());
                }
                Err(error) => return Err(error.into()),
            }
        }
        report.manifests.add(&key, seen.bytes);
        Ok(())
    }

    /// Names an object that fails the proof: in the report each time, as an alert once.
    async fn doubt(
        &self,
        arguments: &SweepArguments,
        object: &StoredObject,
        text: String,
        report: &mut SweepReport,
    ) -> Result<(), SweepError> {
        report.unproven.add(&object.key, object.bytes);
        if arguments.apply {
            let key = &object.key;
            let told = format!("no batch has the object {key} on record, and it stays: {text}");
            self.ledger
                .raise_alert(UNPROVEN_ALERT, &subject_of(key), UNPROVEN_ALERT, &told)
                .await?;
        }
        report.doubt(Doubt {
            key: object.key.clone(),
            text,
        });
        Ok(())
    }
}

/// What names the object in the alert's row, within its 128 characters: day, hour and name are the end of every key.
fn subject_of(key: &ObjectKey) -> String {
    const CHARS_MAX: usize = 128;
    let characters: Vec<char> = key.as_str().chars().collect();
    let from = characters.len().saturating_sub(CHARS_MAX);
    characters[from..].iter().collect()
}
