//! How much is held in memory at once, how much one step looks at, and how much one step repairs.

/// A verifier's limits. There is none for an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Up to so many ids are compared as a set: 16 bytes each for the source's, a row each for the ledger's. More are
    /// compared by the digests of their pieces first.
    pub set_ids_max: u64,
    /// One step looks at so many messages at most, but for those of one millisecond, which can't be parted.
    pub step_messages_max: u64,
    /// One step has so many messages harvested again at most.
    pub step_harvested_max: u64,
    /// One step has so many batches exported again at most.
    pub step_re_exported_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            set_ids_max: 250_000,
            step_messages_max: 1_000_000,
            step_harvested_max: 1_000_000,
            step_re_exported_max: 1_000,
        }
    }
}
