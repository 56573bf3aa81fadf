//! What somebody asked for.

use serde::{Deserialize, Serialize};

/// What somebody asked for: by default only to be told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SweepArguments {
    /// Take away what is found; otherwise only name it.
    #[serde(default)]
    pub apply: bool,
    /// Leave alone what is younger than so many seconds. The deployment's own age is the least that counts.
    #[serde(default)]
    pub older_than_secs: Option<u64>,
    /// Objects of batches that the ledger doesn't know are looked into as well, and go where all that they hold is on
    /// record in sound objects.
    #[serde(default)]
    pub include_unknown: bool,
}
