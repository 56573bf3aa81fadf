//! How far batch numbers went, as the archive has it.

use crate::BatchId;
use serde::{Deserialize, Serialize};

/// How far batch numbers were reserved and used. It only ever grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NumberMark {
    /// The end of the last block that was reserved: no number above it was ever given out.
    pub reserved_to: BatchId,
    /// The last number that was given out, as of the reaper's last tick.
    pub used_to: BatchId,
}

impl Default for NumberMark {
    /// Of an archive that has none.
    fn default() -> Self {
        Self {
            reserved_to: BatchId(0),
            used_to: BatchId(0),
        }
    }
}
