//! Integrity: evidence for verifications, what they prove, and how hours are sealed and purged; the ledger's own invariants.
//!
//! Not here: the comparison of source, ledger and archive (`granary-verify`).

pub(crate) mod evidence;
mod parts;
pub(crate) mod repair;
mod rebuild;
mod inspection;
mod invariants;
mod sweep;
pub(crate) mod differing;
pub(crate) mod proof;
mod proof_state;
pub(crate) mod accepted;
mod excepted_hour;
mod seal;
pub(crate) mod sealed;
mod purge;

pub use accepted::{Acceptance, AcceptedException};
pub use differing::Difference;
pub use evidence::{BatchObjects, DocumentPlace, HourOfLedger, ObjectOnRecord, Standing};
pub use excepted_hour::CountedExceptions;
pub use inspection::BatchSlice;
pub use invariants::Bounds;
pub use parts::Digests;
pub use proof::{DueProof, ProofOutcome, ProofPass, ProofRules, Verification};
pub use proof_state::{FailingWindow, ProofState};
pub use purge::Purged;
pub use rebuild::{
    ArchivedBatch, ArchivedObject, OwnedElsewhere, RebuildMigration, RebuildObstacle, Rebuilt, RebuiltBatch,
};
pub use repair::{FoundAgain, RepairMigration};
pub use seal::{Seal, SealIntent};
pub use sealed::SealedRange;
pub use sweep::BatchAtKey;
