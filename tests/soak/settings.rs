//! How long and how much, from the environment.

use std::time::Duration;

const MINUTES: u64 = 30;
const MESSAGES: u64 = 300_000;
const SEED: u64 = 20_261_122;

/// `SOAK_MINUTES`, `SOAK_MESSAGES`, `SOAK_SEED`.
pub(super) struct Settings {
    pub(super) duration: Duration,
    pub(super) messages: usize,
    pub(super) seed: u64,
}

impl Settings {
    pub(super) fn from_environment() -> Self {
        Self {
            duration: Duration::from_secs(60 * number("SOAK_MINUTES", MINUTES)),
            messages: usize::try_from(number("SOAK_MESSAGES", MESSAGES)).unwrap(),
            seed: number("SOAK_SEED", SEED),
        }
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is {text:?}; it must be a number"))
    })
}
