//! Taking away what was replaced: once a batch that was exported again is settled, its old object is on record no more,
//! and queries over the bucket would show its messages twice.
//!
//! First the object goes, then its manifest, then the row that says so. Dying in between repeats; an object that isn't
//! there is gone already. Where this never comes to it, the sweep finds an object that no batch names.

use crate::{Verifier, VerifyError};
use std::time::Instant;

const SUPERSEDED_PAGE: u32 = 100;

impl Verifier {
    /// Removes the objects and manifests of exports that were replaced, until none is left or the time is over. Says how
    /// many.
    pub async fn remove_superseded(&self, until: Instant) -> Result<u64, VerifyError> {
        let mut removed = 0;
        loop {
            let superseded = self.ledger.superseded(SUPERSEDED_PAGE).await?;
            if superseded.is_empty() {
                return Ok(removed);
            }
            for old in superseded {
                if Instant::now() >= until {
                    return Ok(removed);
                }
                if let Some(key) = &old.object {
                    self.archive.delete(key).await?;
                }
                let layout = self.archive.layout();
                let manifest = layout.manifest(old.hour, old.batch, old.generation);
                self.archive.delete(&manifest).await?;
                self.ledger.forget_superseded(old.batch, old.fence).await?;
                removed += 1;
            }
        }
    }
}
