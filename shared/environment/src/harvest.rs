//! How the source is cut into windows and batches.

use crate::environment::{Environment, Reading, Variable};
use granary_domain::Tuning;
use std::time::Duration;

const INTERVAL: Variable = Variable {
    name: "GRANARY_HARVEST_INTERVAL",
    holds: "the seconds of event time that one window covers",
};
const LAG: Variable = Variable {
    name: "GRANARY_HARVEST_LAG_SECONDS",
    holds: "the seconds that a window's end stays behind now, for documents that become visible late",
};
const BATCH_SIZE: Variable = Variable {
    name: "GRANARY_BATCH_SIZE",
    holds: "the messages that a batch has at most",
};

/// How the source is cut into windows and batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HarvestSection {
    /// Event time that one window covers.
    pub interval: Duration,
    /// How far a window's end stays behind now.
    pub lag: Duration,
    /// Messages in a batch at most, where a migration doesn't say.
    pub batch_size: u32,
}

impl HarvestSection {
    /// Reads `GRANARY_HARVEST_INTERVAL`, `GRANARY_HARVEST_LAG_SECONDS` and `GRANARY_BATCH_SIZE`.
    pub fn read(env: &mut Environment) -> Reading<Self> {
        let interval = env.number(INTERVAL, 3_600, 60..=86_400);
        let lag = env.number(LAG, 120, 0..=86_400);
        let batch_size = env.number(BATCH_SIZE, 1_000, 1..=10_000);
        Ok(Self {
            interval: Duration::from_secs(interval?),
            lag: Duration::from_secs(lag?),
            batch_size: batch_size?,
        })
    }

    /// The same, with what an operator tuned in its place.
    pub fn tuned(self, tuning: &Tuning) -> Self {
        Self {
            lag: tuning.harvest_lag.unwrap_or(self.lag),
            batch_size: tuning.batch_size.unwrap_or(self.batch_size),
            ..self
        }
    }
}
