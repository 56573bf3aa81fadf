//! Checking the invariants of `granary_domain::Invariant` on a running system: the ledger's rows, and the objects that
//! they name.
//!
//! The reaper looks at a few batches at each of its ticks; tests look at everything. Whatever is looked at is a slice,
//! so that the cost is the caller's to choose. Looking changes nothing, and takes no lock.
//!
//! Not responsible for telling people (the reaper does), nor for repairing. Ids are compared with the source's by
//! `granary-verify`, which has the ledger check the batches of each hour besides; what nobody recorded is found by
//! `granary-sweep`. When the ledger or S3 gives no answer the inspection fails, and says nothing about any invariant.

mod objects;
mod contents;

use granary_archive::{Archive, ArchiveError};
use granary_domain::{BatchId, Violation};
use granary_ledger::integrity::{BatchSlice, Bounds};
use granary_ledger::{Ledger, LedgerError};

/// Looks at batches, and says what doesn't hold. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Inspector {
    ledger: Ledger,
    archive: Archive,
}

/// Why an inspection came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// The ledger gave no answer.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// S3 gave no answer. An object that isn't there is a violation instead.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
}

/// How deep an inspection looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// At the ledger's rows, and at the objects and manifests from outside: two requests for each completed batch.
    Outside,
    /// The same, and every object is read back.
    Inside,
}

/// Batches in one slice of a look at everything.
const BATCHES_PER_SLICE: u32 = 500;

impl Inspector {
    /// An inspector of one deployment.
    pub fn new(ledger: Ledger, archive: Archive) -> Self {
        Self { ledger, archive }
    }

    /// What doesn't hold for the batches of a slice.
    pub async fn inspect(
        &self,
        slice: &BatchSlice,
        bounds: &Bounds,
        depth: Depth,
    ) -> Result<Vec<Violation>, InspectError> {
        let mut violations = self.ledger.violations_in(slice, bounds).await?;
        violations.extend(self.inspect_objects(slice).await?);
        if depth == Depth::Inside {
            violations.extend(self.inspect_contents(slice).await?);
        }
        Ok(violations)
    }

    /// What doesn't hold for any batch there is.
    pub async fn inspect_all(&self, bounds: &Bounds, depth: Depth) -> Result<Vec<Violation>, InspectError> {
        let (mut violations, mut after) = (Vec::new(), BatchId(0));
        while let Some(slice) = self.ledger.slice_after(after, BATCHES_PER_SLICE).await? {
            violations.extend(self.inspect(&slice, bounds, depth).await?);
            after = slice.last();
        }
        // What concerns no batch is found with each slice.
        violations.sort_by_key(|violation| (violation.subject, violation.invariant.as_str()));
        violations.dedup();
        Ok(violations)
    }
}
