//! Rounds: each measures all contestants once, and each begins with another one, so that none always follows the same.

use crate::bench::Bench;
use crate::contestants::{CONTESTANTS, Contestant};
use crate::run::Run;
use std::time::Instant;

/// A round's number; the first one is 0.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Round(u64);

impl Round {
    /// The first round finds cold caches, and an Elasticsearch that hasn't compiled what it runs most.
    pub(crate) fn is_warm_up(self) -> bool {
        self.0 == 0
    }
}

/// The runs of the rounds that count: as many as were asked for, or as the time allows.
pub(crate) async fn run(bench: &Bench, begun: Instant) -> Vec<Vec<Run>> {
    let mut rounds = Vec::new();
    for number in 0..=bench.settings.rounds {
        let round_begun = Instant::now();
        let round = Round(number);
        let runs = run_round(bench, round).await;
        if round.is_warm_up() {
            continue;
        }
        rounds.push(runs);
        let would_end = begun.elapsed() + round_begun.elapsed();
        if would_end > bench.settings.duration_max && number < bench.settings.rounds {
            eprintln!(
                "bench: the time is over after {number} of {} rounds",
                bench.settings.rounds
            );
            break;
        }
    }
    rounds
}

async fn run_round(bench: &Bench, round: Round) -> Vec<Run> {
    let name = if round.is_warm_up() {
        ", which warms up and isn't counted"
    } else {
        ""
    };
    eprintln!("bench: round {} of {}{name}", round.0, bench.settings.rounds);
    let mut contestants: Vec<&Contestant> = CONTESTANTS.iter().collect();
    let first = usize::try_from(round.0).unwrap() % contestants.len();
    contestants.rotate_left(first);
    let mut runs = Vec::new();
    for contestant in contestants {
        runs.extend((contestant.run)(bench, round).await);
    }
    runs
}
