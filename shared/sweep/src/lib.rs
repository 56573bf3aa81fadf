//! The sweep: objects that nobody recorded, and uploads that nobody will complete, are found and taken away.
//!
//! **An object is swept if and only if** its name is exactly one that we write; the ledger knows its batch, with that
//! hour, and that batch doesn't name it; no worker can still adopt it, because its batch is completed, or cancelled, or at
//! a later generation; it is older than the deployment's age (an hour in production, by S3's date and the database's
//! clock); and it was read back, with the proof that all it holds is on record in sound objects (`granary-proof`). A manifest
//! is swept if its batch is completed under a later generation, or cancelled, and no object of its generation is left. An
//! upload is aborted if it is to become an object of ours, is as old as that, and its batch isn't held by a worker. One
//! tick deletes 100 objects at most.
//!
//! **A restored ledger deletes nothing**: as long as it is behind the archive's mark of batch numbers and no operator has
//! confirmed that, a sweep only looks ([`SweepError::Restored`]).
//!
//! Everything else stays. What fails the proof is named, with an alert once, and a person decides. An object that was
//! replaced by a new export is the reaper's, which asks for the same proof. What isn't ours by name, and what is ours but of a batch that the ledger doesn't know, is named
//! in the report: a ledger that was restored from a backup, or replaced by an empty one, knows none of its own objects,
//! and a sweep must not make that worse. A person may have those looked into as well
//! ([`include_unknown`](SweepArguments::include_unknown)): what is on record elsewhere goes then. Batches of sealed hours are unknown by design; their objects
//! are on record. Raw bytes under `_quarantine/` aren't looked at.
//!
//! **Races.** A sweep holds no lock, and needs none:
//! - Nothing makes an answer "no worker can adopt it" wrong later: cancelled is the end, and a generation never goes back.
//!   A re-export of a completed batch begins with its next generation, so a key above the batch's generation stays.
//! - A worker that was cancelled, or reaped, while it uploads may put its object after that. Such an object is as young
//!   as that worker's last breath: Lambda ends it after 15 minutes at most, long before the age is over. Its object is
//!   swept by a later sweep.
//! - The ledger is asked after the bucket was listed, so an object that is settled in between is on record by then.
//! - Somebody puts another object at the key after the listing: the deletion carries the listed ETag and S3 refuses it.
//!   The same where a deletion is repeated after its answer was lost.
//! - A batch that is purged between listing and asking is sealed before it is unknown; that is asked in this order.
//! - Two sweeps at once find each other's objects gone.
//!
//! Works in steps of a page of the bucket's listing, each of which may be repeated; what a step removed before it broke
//! off isn't counted when it is repeated, but stands in the log. A step that has nothing left to delete in this tick says so. Not responsible for when a sweep is asked for (the
//! reaper does, daily), nor for object versions: where the bucket keeps them, its lifecycle rules end them.

mod arguments;
mod section;
mod fate;
mod report;
mod objects;
mod removal;
mod discard;
mod uploads;
mod step;
mod error;

pub use arguments::SweepArguments;
pub use discard::{DiscardArguments, DiscardReport, Discarded};
pub use error::SweepError;
pub use report::{Doubt, SweepReport};
pub use section::SweepSection;
pub use step::{SweepProgress, SweepStep};

use granary_archive::Archive;
use granary_domain::{ObjectKey, Place};
use granary_ledger::Ledger;
use granary_numbering::Numbering;
use granary_proof::{Allowance, Prover};
use std::time::Duration;

/// Sweeps one source's part of the bucket. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Sweeper {
    ledger: Ledger,
    archive: Archive,
    prover: Prover,
    numbering: Numbering,
    allowance: Allowance,
    age_min: Duration,
}

impl Sweeper {
    /// A sweeper that leaves alone whatever is younger than the section says.
    pub fn new(ledger: Ledger, archive: Archive, section: SweepSection) -> Self {
        Self {
            prover: Prover::new(ledger.clone(), archive.clone()),
            numbering: Numbering::new(ledger.clone(), archive.clone()),
            allowance: Allowance::default(),
            ledger,
            archive,
            age_min: section.age_min,
        }
    }

    /// The object at a key as a person sees it, to be named when it is discarded; `None`: there is none.
    pub async fn etag_at(&self, key: &ObjectKey) -> Result<Option<String>, SweepError> {
        Ok(self.archive.listed(key).await?.and_then(|object| object.etag))
    }

    /// Where a key lies in the archive.
    pub fn place_of(&self, key: &ObjectKey) -> Option<Place> {
        self.archive.layout().place_of(key)
    }

    /// The same, which deletes no more than is left for whoever deletes beside it.
    pub fn sharing(self, allowance: &Allowance) -> Self {
        Self {
            allowance: allowance.clone(),
            ..self
        }
    }
}
