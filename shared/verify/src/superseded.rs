//! Taking away what was replaced: once a batch that was exported again is settled, its old object is on record no more,
//! and queries over the bucket would show its messages twice.
//!
//! **No object is removed without the proof** that all it holds is on record in sound objects (`granary-proof`): its
//! documents may be gone at the source, and it is the only copy then. One that holds more, or that S3 refuses to give or to remove, is kept, beside its replacement, and people are told once, with both keys: that queries show some messages twice
//! can be put right later, a message that is gone can't. It is looked at again every hour, for what it holds may be on
//! record by then, or somebody may have taken it away.
//!
//! First the object goes, then its manifest, then the row that says so. Dying in between repeats; an object that isn't
//! there is gone already. The sweep leaves all of these alone.

use crate::{Verifier, VerifyError};
use granary_archive::ArchiveError;
use granary_domain::{BatchId, Fence, ObjectKey};
use granary_ledger::export::Superseded;
use granary_proof::{Candidate, Proof};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

const SUPERSEDED_PAGE: u32 = 100;
/// The kind of the alert about an object that is kept.
const KEPT_ALERT: &str = "replaced_object_kept";

/// Before the first of all.
const FIRST: (BatchId, Fence) = (BatchId(0), Fence(0));

/// Where the round through all replaced objects is. Only in memory: a new process begins a new round.
#[derive(Debug, Default)]
pub(crate) struct Round(Mutex<Option<(BatchId, Fence)>>);

impl Round {
    fn at(&self) -> (BatchId, Fence) {
        let place = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        place.unwrap_or(FIRST)
    }

    fn move_to(&self, place: (BatchId, Fence)) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(place);
    }
}

impl Verifier {
    /// Removes the objects and manifests of exports that were replaced, as far as all that they hold is on record, until
    /// none is left or the time is over. Says how many. A call begins behind the object that the last one looked at, so
    /// that objects whose messages wait for their export don't hold up those behind them.
    pub async fn remove_superseded(&self, until: Instant) -> Result<u64, VerifyError> {
        let begin = self.round.at();
        let (mut removed, mut after, mut has_turned) = (0, begin, begin == FIRST);
        loop {
            let superseded = self.ledger.superseded(after, SUPERSEDED_PAGE).await?;
            let place = |old: &Superseded| (old.batch, old.fence);
            let Some(last) = superseded.last().map(place) else {
                self.round.move_to(FIRST);
                if has_turned {
                    return Ok(removed);
                }
                (after, has_turned) = (FIRST, true);
                continue;
            };
            after = last;
            for old in &superseded {
                let is_round = has_turned && begin != FIRST && place(old) > begin;
                if is_round || Instant::now() >= until || self.allowance.left() == 0 {
                    return Ok(removed);
                }
                removed += self.remove_or_keep(old).await?;
                self.round.move_to(place(old));
            }
        }
    }

    /// Says how many were removed: one or none. What S3 refuses concerns this one alone.
    async fn remove_or_keep(&self, old: &Superseded) -> Result<u64, VerifyError> {
        match self.proof_of(old).await? {
            Proof::Redundant | Proof::Gone => {}
            Proof::Waiting => return Ok(0),
            Proof::Unproven(text) => {
                self.keep(old, &text).await?;
                return Ok(0);
            }
        }
        match self.remove(old).await {
            Ok(()) => {
                self.allowance.take();
                self.ledger.forget_superseded(old.batch, old.fence).await?;
                Ok(1)
            }
            Err(error) => match error.fault_of_object() {
                Some(fault) => {
                    let text = format!("it can't be removed ({})", fault.into_reason());
                    self.keep(old, &text).await?;
                    Ok(0)
                }
                None => Err(error.into()),
            },
        }
    }

    async fn remove(&self, old: &Superseded) -> Result<(), ArchiveError> {
        if let Some(key) = &old.object {
            self.archive.delete(key).await?;
        }
        let layout = self.archive.layout();
        let manifest = layout.manifest(old.hour, old.batch, old.generation);
        self.archive.delete(&manifest).await
    }

    async fn keep(&self, old: &Superseded, text: &str) -> Result<(), VerifyError> {
        let key = |key: &Option<ObjectKey>| key.as_ref().map_or("no object", ObjectKey::as_str).to_owned();
        let (kept, replacement) = (key(&old.object), key(&old.replacement));
        let text = format!(
            "batch {} was exported again, and its old object {kept} is kept beside its new one, {replacement}: {text}. Queries \
             over the bucket show what both hold twice. Decide which is to stay; granary verify names it until then",
            old.batch
        );
        let subject = format!("{}.{}", old.batch, old.generation);
        self.ledger
            .raise_alert(KEPT_ALERT, &subject, KEPT_ALERT, &text)
            .await?;
        Ok(self.ledger.keep_superseded(old.batch, old.fence).await?)
    }

    /// What would be lost if a replaced object were removed.
    async fn proof_of(&self, old: &Superseded) -> Result<Proof, VerifyError> {
        let Some(key) = &old.object else {
            return Ok(Proof::Gone);
        };
        let candidate = Candidate {
            key,
            batch: old.batch,
            exported: Some(old.exported),
        };
        Ok(self.prover.proof_of(candidate).await?)
    }
}
