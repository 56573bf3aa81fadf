//! The verdict: whether the ids in Elasticsearch are the ids in the ledger are the ids read back from the objects.
//!
//! It works hour by hour from what stands in the three places now, never from counters, and remembers nothing in
//! between but its [`VerifyProgress`], so that a verification of a year is many short steps by whoever has time.
//! The source is read first, the ledger after it: what arrives meanwhile is on record by the time it is looked for.
//! Where somebody wants it repaired, the ledger is told what is to be harvested and exported again.
//!
//! Not responsible for doing what it asks for (harvester and exporter are), nor for when a step is taken
//! (`granary-operations` is). A step that fails may be repeated: what it asked for is asked once; [`VerifyError::cause`] says whose fault it was. What is wrong with the
//! archive is no error but a [`Finding`].

mod error;
mod section;
mod limits;
mod arguments;
mod report;
mod exceptions;
mod progress;
mod look;
mod hour;
mod scan;
mod compare;
mod absent;
mod merged;
mod left_out;
mod objects;
mod content;
mod orphans;
mod invariants;
mod quick;
mod repair;
mod asked_for;
mod in_object;
mod adoption;
mod rebuild;
mod superseded;
mod sealed;

pub use adoption::{Adopted, ObjectAdoption};
pub use arguments::{Repair, Scope, VerifyArguments};
pub use asked_for::{ExportedAnew, Intent, ShownMessages};
pub use content::ContentCounts;
pub use error::VerifyError;
pub use exceptions::{Exceptions, FoundExceptions};
pub use limits::Limits;
pub use progress::{Step, VerifyProgress};
pub use rebuild::{Contradiction, RebuildArguments, RebuildProgress, RebuildReport, RebuildStep, Round};
pub use report::{Account, Counts, Digests, Finding, FindingKind, Outside, Remedy, Repairs, Report, Verdict};
pub use section::VerifySection;

use granary_archive::Archive;
use granary_ledger::Ledger;
use granary_numbering::Numbering;
use granary_proof::{Allowance, Prover};
use granary_source::Source;
use std::sync::Arc;
use std::time::Duration;

/// When documents become visible at the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Visibility {
    /// Nothing younger is looked at (`GRANARY_HARVEST_LAG_SECONDS`).
    pub lag: Duration,
    /// Nothing becomes visible so long after its event time (`GRANARY_RESCAN_DAYS`).
    pub horizon: Duration,
}

/// Compares source, ledger and archive of one deployment. Cheap to clone.
#[derive(Clone)]
pub struct Verifier {
    ledger: Ledger,
    source: Source,
    archive: Archive,
    visibility: Visibility,
    limits: Limits,
    section: VerifySection,
    /// Held by the one comparison of content that is under way, with the documents that it may ask for at once.
    content_gate: Arc<tokio::sync::Mutex<usize>>,
    numbering: Numbering,
    prover: Prover,
    allowance: Allowance,
    round: Arc<superseded::Round>,
}

impl Verifier {
    /// A verifier that expects documents to become visible as the harvest does.
    pub fn new(ledger: Ledger, source: Source, archive: Archive, visibility: Visibility) -> Self {
        let numbering = Numbering::new(ledger.clone(), archive.clone());
        let prover = Prover::new(ledger.clone(), archive.clone());
        Self {
            ledger,
            source,
            archive,
            visibility,
            limits: Limits::default(),
            section: VerifySection::default(),
            content_gate: Arc::default(),
            numbering,
            prover,
            allowance: Allowance::default(),
            round: Arc::default(),
        }
    }

    /// How many objects may still be deleted in this tick, for whoever deletes beside it.
    pub fn allowance(&self) -> &Allowance {
        &self.allowance
    }

    /// The same with other settings.
    pub fn with(self, section: VerifySection) -> Self {
        Self { section, ..self }
    }

    /// The same within other limits.
    pub fn within(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }
}
