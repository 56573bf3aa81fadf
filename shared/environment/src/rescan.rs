//! When windows that were read are read again, for documents that became visible late.

use crate::environment::{Environment, Reading, Variable};
use std::time::Duration;

const AFTER: Variable = Variable {
    name: "GRANARY_RESCAN_AFTER_SECONDS",
    holds: "the seconds after which a window that was read is looked at again for the first time",
};
const DAYS: Variable = Variable {
    name: "GRANARY_RESCAN_DAYS",
    holds: "the days for which a window is read again every night; 0 means never",
};
const HOUR: Variable = Variable {
    name: "GRANARY_RESCAN_HOUR",
    holds: "the hour (UTC) from which on windows are read again at night",
};

const SECONDS_PER_DAY: u64 = 86_400;

/// When windows that were read are read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RescanSection {
    /// How long after its first reading a window is looked at again; the following looks are four times as far away each.
    pub after: Duration,
    /// How long after its end a window may still get documents: until then it is read again every night, and once more
    /// after that. What is older is settled, and only what is settled may be purged. Zero: nothing is read again.
    pub horizon: Duration,
    /// When the night begins: an hour, in UTC.
    pub hour: u8,
}

impl RescanSection {
    /// Reads `GRANARY_RESCAN_AFTER_SECONDS`, `GRANARY_RESCAN_DAYS` and `GRANARY_RESCAN_HOUR`.
    pub fn read(env: &mut Environment) -> Reading<Self> {
        let after = env.number(AFTER, 900, 60..=86_400);
        let days = env.number(DAYS, 7, 0..=90);
        let hour = env.number(HOUR, 2, 0..=23);
        Ok(Self {
            after: Duration::from_secs(after?),
            horizon: Duration::from_secs(days? * SECONDS_PER_DAY),
            hour: hour?,
        })
    }
}
