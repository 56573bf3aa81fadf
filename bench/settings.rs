//! What is measured and for how long, from the environment.

use granary_environment::{Environment, HarvestSection};
use std::ops::RangeInclusive;
use std::time::Duration;

const MESSAGES: u64 = 300_000;
const ROUNDS: u64 = 5;
const SEED: u64 = 20_261_122;
/// As many as the template lets work on one queue at once.
const EXPORTERS: u64 = 4;
const MINUTES: u64 = 25;

/// `BENCH_MESSAGES`, `BENCH_ROUNDS`, `BENCH_SEED`, `BENCH_EXPORTERS`, `BENCH_MINUTES`.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) messages: u64,
    /// Rounds that are counted.
    pub(crate) rounds: u64,
    pub(crate) seed: u64,
    pub(crate) exporters: usize,
    /// No round begins that would probably end later.
    pub(crate) duration_max: Duration,
    /// Messages of a batch: the product's default.
    pub(crate) batch_size: u32,
}

impl Settings {
    pub(crate) fn from_environment() -> Self {
        Self {
            messages: number("BENCH_MESSAGES", MESSAGES, 1_000..=10_000_000),
            rounds: number("BENCH_ROUNDS", ROUNDS, 1..=100),
            seed: number("BENCH_SEED", SEED, 0..=u64::MAX),
            exporters: usize::try_from(number("BENCH_EXPORTERS", EXPORTERS, 1..=64)).unwrap(),
            duration_max: Duration::from_secs(60 * number("BENCH_MINUTES", MINUTES, 1..=1_440)),
            batch_size: default_batch_size(),
        }
    }
}

fn number(name: &str, default: u64, range: RangeInclusive<u64>) -> u64 {
    let Ok(text) = std::env::var(name) else {
        return default;
    };
    match text.parse::<u64>() {
        Ok(number) if range.contains(&number) => number,
        Ok(_) | Err(_) => panic!(
            "{name} is {text:?}; it must be a number from {} to {}",
            range.start(),
            range.end()
        ),
    }
}

fn default_batch_size() -> u32 {
    let mut environment = Environment::from_variables([]);
    let section = HarvestSection::read(&mut environment);
    environment.finish(|| section).unwrap().batch_size
}
