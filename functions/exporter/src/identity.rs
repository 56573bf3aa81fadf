//! Whose ledger it is: an exporter whose settings aren't the ledger's claims nothing.
//!
//! The batch stays pending and no attempt counts; it is unsent again, as one whose export is paused, so that the reaper of the
//! ledger's own deployment sends it. That the settings agree is believed for a minute, that they differ until the next look. Where
//! the ledger doesn't answer, the message goes back to its queue.

use granary_domain::Identity;
use granary_ledger::settings::Mismatch;
use granary_ledger::{Ledger, LedgerError};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const BELIEVED_FOR: Duration = Duration::from_secs(60);

/// Whose ledger it is, as far as this process knows.
#[derive(Debug)]
pub(crate) struct Ownership {
    identity: Identity,
    /// When the settings agreed last.
    agreed_at: Mutex<Option<Instant>>,
}

impl Ownership {
    pub(crate) fn new(identity: Identity) -> Self {
        Self {
            identity,
            agreed_at: Mutex::default(),
        }
    }

    /// Whether the ledger is another deployment's. What differs is noted and logged.
    pub(crate) async fn is_foreign(&self, ledger: &Ledger) -> Result<bool, LedgerError> {
        if self.has_agreed_lately() {
            return Ok(false);
        }
        let mismatches = ledger.mismatches(&self.identity).await?;
        if mismatches.is_empty() {
            *self.agreed_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
            return Ok(false);
        }
        ledger.note_mismatches(&mismatches).await?;
        tracing::error!("{}. Nothing is exported", Mismatch::told(&mismatches));
        Ok(true)
    }

    fn has_agreed_lately(&self) -> bool {
        let agreed_at = *self.agreed_at.lock().unwrap_or_else(PoisonError::into_inner);
        agreed_at.is_some_and(|at| at.elapsed() < BELIEVED_FOR)
    }
}
