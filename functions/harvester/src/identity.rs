//! Whose ledger it is: a harvester whose settings aren't the ledger's reads nothing, sends nothing and records nothing.
//!
//! What differs is noted, so that the reaper raises the alert, and is the error of the start or the tick. What is right is on
//! record from the first start on that found its source fit. Where the ledger doesn't answer, the start or the tick fails with that.

use crate::harvest::Harvester;
use granary_domain::{Identity, SourceSetting};
use granary_ledger::Ledger;
use granary_ledger::settings::Mismatch;

/// Refuses to start on the ledger of another deployment.
pub(crate) async fn compare(ledger: &Ledger, identity: &Identity) -> anyhow::Result<()> {
    let mismatches = ledger.mismatches(identity).await?;
    refuse(ledger, &mismatches).await
}

/// Puts on record whose ledger it is, where nothing is yet, and which source is read from now on.
pub(crate) async fn record(
    ledger: &Ledger,
    identity: &Identity,
    settings: &[(SourceSetting, String)],
) -> anyhow::Result<()> {
    let mismatches = ledger.record_identity(identity).await?;
    refuse(ledger, &mismatches).await?;
    Ok(ledger.record_source_settings(settings).await?)
}

async fn refuse(ledger: &Ledger, mismatches: &[Mismatch]) -> anyhow::Result<()> {
    if mismatches.is_empty() {
        return Ok(());
    }
    ledger.note_mismatches(mismatches).await?;
    anyhow::bail!(
        "{}. Nothing is harvested. Restore the setting or, if the change is meant, adopt it: granary ledger adopt",
        Mismatch::told(mismatches)
    )
}

impl Harvester {
    /// Refuses a tick on a ledger that has become another deployment's since the start.
    pub(crate) async fn compare_identity(&self) -> anyhow::Result<()> {
        compare(&self.ledger, &self.identity).await
    }
}
