//! How long a worker may be silent.

use crate::environment::{Environment, Reading, Variable};
use std::time::Duration;

const LEASE: Variable = Variable {
    name: "GRANARY_LEASE_SECONDS",
    holds: "the seconds that a worker may be silent before it counts as dead",
};

/// How long a worker may be silent before it counts as dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseSection {
    /// What a claim and each renewal grant.
    pub lease: Duration,
}

impl LeaseSection {
    /// Reads `GRANARY_LEASE_SECONDS`.
    pub fn read(env: &mut Environment) -> Reading<Self> {
        let lease = env.number(LEASE, 90, 3..=900)?;
        Ok(Self {
            lease: Duration::from_secs(lease),
        })
    }

    /// How often a lease is renewed: two renewals may fail before it is in danger.
    pub fn renewal_interval(&self) -> Duration {
        self.lease * 2 / 9
    }

    /// After how long without a renewal a worker stops by itself, well before others take the batch.
    pub fn silence_max(&self) -> Duration {
        self.lease * 2 / 3
    }
}
