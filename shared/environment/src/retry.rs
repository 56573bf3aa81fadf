//! How often a batch is tried, and how long it waits in between.

use crate::environment::{Environment, Reading, Variable};
use granary_domain::{Backoff, Tuning};
use std::time::Duration;

const MAX_ATTEMPTS: Variable = Variable {
    name: "GRANARY_MAX_ATTEMPTS",
    holds: "how often a batch is tried before it is parked",
};
const RETRY_DELAY_MS: Variable = Variable {
    name: "GRANARY_RETRY_DELAY_MS",
    holds: "how many milliseconds a batch waits at most after its first failure",
};

/// No delay is longer, however often a batch failed.
const DELAY_CEILING: Duration = Duration::from_secs(600);

/// How often a batch is tried, and how long it waits in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetrySection {
    /// A batch that failed so often is parked.
    pub attempts_max: u32,
    /// The delay after a failure: doubling from `GRANARY_RETRY_DELAY_MS` up to 10 minutes.
    pub backoff: Backoff,
}

impl RetrySection {
    /// Reads `GRANARY_MAX_ATTEMPTS` and `GRANARY_RETRY_DELAY_MS`.
    pub fn read(env: &mut Environment) -> Reading<Self> {
        let attempts_max = env.number(MAX_ATTEMPTS, 5, 1..=100);
        let delay_ms = env.number(RETRY_DELAY_MS, 5_000, 1..=600_000);
        let first = Duration::from_millis(delay_ms?);
        Ok(Self {
            attempts_max: attempts_max?,
            backoff: Backoff {
                first,
                ceiling: DELAY_CEILING,
            },
        })
    }

    /// The same, with what an operator tuned in its place.
    pub fn tuned(self, tuning: &Tuning) -> Self {
        Self {
            attempts_max: tuning.attempts_max.unwrap_or(self.attempts_max),
            backoff: tuning.backoff(self.backoff),
        }
    }
}
