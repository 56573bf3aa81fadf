//! The proof that an object may be deleted: whatever it holds is on record elsewhere, and can be read there now.
//!
//! **An object may go if and only if** every id in it is on record in a sound object of a completed batch. *Sound* means
//! read back here and now: its checksum, its count and the digest of its ids are what the ledger has for its batch. An
//! object that can't be read to its end (torn) may go if its own batch has another object on record that is sound and
//! holds every message of the batch. Where the source has deleted a document, the archive has the only copy, so neither a
//! name nor a number nor the ledger's word alone is enough.
//!
//! Whoever deletes objects asks here: the sweep for what nobody recorded, the reaper for what a new export replaced. Not
//! responsible for deleting, nor for telling people. An outage is an error and proves nothing; the caller asks again.

mod sound;
mod allowance;

pub use allowance::{Allowance, DELETIONS_PER_TICK_MAX};
pub use sound::difference_to_record;

use granary_archive::{Archive, ArchiveError, ObjectFault};
use granary_domain::{BatchId, BatchStatus, MessageId, ObjectKey};
use granary_ledger::integrity::{BatchSlice, Standing};
use granary_ledger::{Ledger, LedgerError};
use std::collections::BTreeSet;

/// Ids that one object may hold. A batch has 10,000; what holds more is no object of ours.
const IDS_MAX: usize = 100_000;
/// Batches whose objects are read for one proof.
const WITNESSES_MAX: usize = 200;

/// Why a proof came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// The ledger gave no answer.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// S3 gave no answer.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
}

/// What is known of an object that is to be deleted.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// Its key.
    pub key: &'a ObjectKey,
    /// Whose it is by its name.
    pub batch: BatchId,
    /// Messages in it by the ledger; `None`: it never was on record.
    pub exported: Option<u32>,
}

/// What would be lost with an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// Nothing: all that it holds is on record in sound objects.
    Redundant,
    /// Nothing stands at the key.
    Gone,
    /// What it holds is on record or waits for its export: it is looked at again later.
    Waiting,
    /// It holds messages that are on record nowhere else, or may hold some; the text says which, for people.
    Unproven(String),
}

/// Proves that objects may be deleted. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Prover {
    ledger: Ledger,
    archive: Archive,
}

impl Prover {
    /// A prover of one deployment.
    pub fn new(ledger: Ledger, archive: Archive) -> Self {
        Self { ledger, archive }
    }

    /// What would be lost if an object were deleted.
    pub async fn proof_of(&self, candidate: Candidate<'_>) -> Result<Proof, ProofError> {
        let mut ids: Vec<MessageId> = Vec::new();
        let mut count = 0_usize;
        let keep = |id: &MessageId| {
            count += 1;
            if count <= IDS_MAX {
                ids.push(id.clone());
            }
        };
        match self.archive.read_ids(candidate.key, keep).await {
            Ok(Some(_)) if count > IDS_MAX => Ok(Proof::Unproven(format!(
                "it holds {count} messages, more than any batch"
            ))),
            Ok(Some(_)) => self.proof_of_ids(candidate.key, &ids).await,
            Ok(None) => Ok(Proof::Gone),
            Err(error) => match error.fault_of_object() {
                Some(ObjectFault::Corrupt(reason)) => self.proof_of_torn(candidate, &reason).await,
                Some(ObjectFault::Denied(reason) | ObjectFault::Locked(reason)) => {
                    Ok(Proof::Unproven(format!("it can't be read ({reason})")))
                }
                None => Err(error.into()),
            },
        }
    }

    async fn proof_of_ids(&self, key: &ObjectKey, ids: &[MessageId]) -> Result<Proof, ProofError> {
        let wanted: Vec<&MessageId> = ids.iter().collect();
        let known = self.ledger.owners_on_record(&wanted).await?;
        let (mut on_record, mut open) = (0_usize, 0_usize);
        let mut witnesses: BTreeSet<BatchId> = BTreeSet::new();
        for (standing, owner) in known {
            match (standing, owner) {
                (Standing::OnRecord, Some(batch)) => {
                    on_record += 1;
                    witnesses.insert(batch);
                }
                // Its batch is exported again, or for the first time.
                (Standing::OnRecord, None) | (Standing::Open, _) => open += 1,
                (Standing::Missing | Standing::Quarantined | Standing::Released, _) => {}
            }
        }
        // Each line is an id of its own, or the object isn't one of ours: then it is kept, too.
        match ids.len().saturating_sub(on_record) {
            0 => {}
            rest if rest == open => return Ok(Proof::Waiting),
            rest => {
                let lacking = rest.saturating_sub(open);
                return Ok(Proof::Unproven(format!(
                    "it holds {lacking} messages that no other object holds"
                )));
            }
        }
        if witnesses.len() > WITNESSES_MAX {
            return Ok(Proof::Unproven(format!(
                "its messages are spread over {} objects, more than are read for one proof",
                witnesses.len()
            )));
        }
        for batch in witnesses {
            if let Some(doubt) = self.doubt_about(batch, key).await? {
                return Ok(doubt);
            }
        }
        Ok(Proof::Redundant)
    }

    /// Nobody can tell what is in a torn object. Its batch's own object stands for it, if it has every message.
    async fn proof_of_torn(&self, candidate: Candidate<'_>, reason: &str) -> Result<Proof, ProofError> {
        let slice = BatchSlice::These(vec![candidate.batch]);
        let Some(batch) = self.ledger.objects_in(&slice).await?.pop() else {
            let row = self.ledger.batch(candidate.batch).await?;
            let is_over = row.is_none_or(|row| row.status == BatchStatus::Cancelled);
            return Ok(if is_over {
                Proof::Unproven(format!("it is damaged ({reason}), and its batch has no object"))
            } else {
                Proof::Waiting
            });
        };
        if batch.is_being_replaced {
            return Ok(Proof::Waiting);
        }
        let is_whole = batch.exported == batch.message_count;
        let holds_as_many = candidate.exported.is_some_and(|before| batch.exported >= before);
        if !is_whole && !holds_as_many {
            let (before, now) = (candidate.exported.unwrap_or(batch.message_count), batch.exported);
            return Ok(Proof::Unproven(format!(
                "it is damaged ({reason}), but it held up to {before} messages, and the one on record holds {now}"
            )));
        }
        let doubt = self.doubt_about(candidate.batch, candidate.key).await?;
        Ok(doubt.unwrap_or(Proof::Redundant))
    }
}
