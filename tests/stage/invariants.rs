//! What always holds, looked at on everything that a stage has: the whole list of `granary_domain::Invariant`.

use super::Stage;
use granary_domain::Pile;
use granary_domain::{BatchStatus, Invariant, Subject, Violation};
use granary_environment::Environment;
use granary_invariants::{Depth, Inspector};
use granary_ledger::integrity::Bounds;
use granary_sweep::{SweepArguments, SweepReport, SweepSection, SweepStep, Sweeper};
use std::time::Duration;

const ATTEMPTS_MAX_DEFAULT: u32 = 5;

/// A sweep that takes away what it finds.
pub(crate) const APPLY: SweepArguments = SweepArguments {
    apply: true,
    older_than_secs: None,
    include_unknown: false,
};

impl Stage {
    /// Every invariant holds, for every batch and every object: rows, counts, attempts, alerts and windows; each object on
    /// record is there, sound, and has its messages' ids; after a sweep nothing else is in the bucket. For the end of a
    /// scenario, since the sweep takes everything for old.
    pub(crate) async fn assert_invariants(&self) {
        let violations = self.violations().await;
        let told: Vec<String> = violations.iter().map(ToString::to_string).collect();
        assert!(told.is_empty(), "{}: {told:#?}", self.id);
    }

    /// What doesn't hold, after a sweep.
    pub(crate) async fn violations(&self) -> Vec<Violation> {
        self.sweep(&APPLY).await;
        let inspector = Inspector::new(self.ledger.clone(), self.bucket.archive.clone());
        let bounds = Bounds {
            attempts_max: Some(self.attempts_max()),
            untold_max: Duration::ZERO,
        };
        let mut violations = inspector.inspect_all(&bounds, Depth::Inside).await.unwrap();
        violations.extend(self.unrecorded().await);
        violations
    }

    /// [`Invariant::NothingUnrecorded`]: what another sweep would still have something to say about. What workers hold
    /// stays theirs.
    async fn unrecorded(&self) -> Option<Violation> {
        let left = self.sweep(&SweepArguments::default()).await;
        let mut piles: Vec<Pile> = vec![
            left.orphans,
            left.unproven,
            left.waiting,
            left.manifests,
            left.uploads,
            left.foreign,
            left.unknown,
            left.ahead,
        ];
        if self.batches(BatchStatus::InProgress).await == 0 {
            piles.push(left.young);
        }
        let keys: Vec<_> = piles.into_iter().flat_map(|pile| pile.keys).collect();
        let text = format!("nobody recorded {keys:?}");
        let violation = Violation::new(Invariant::NothingUnrecorded, Subject::Archive, text);
        (!keys.is_empty()).then_some(violation)
    }

    /// A sweep to its end, for which everything is old enough.
    pub(crate) async fn sweep(&self, arguments: &SweepArguments) -> SweepReport {
        let mut environment = Environment::from_variables([
            ("GRANARY_ENVIRONMENT", "local"),
            ("GRANARY_SWEEP_AGE_SECONDS", "0"),
        ]);
        let section = SweepSection::read(&mut environment);
        let section = environment.finish(|| section).unwrap();
        let sweeper = Sweeper::new(self.ledger.clone(), self.bucket.archive.clone(), section);
        let mut progress = None;
        loop {
            match sweeper.step(arguments, progress).await.unwrap() {
                SweepStep::More(more) => progress = Some(*more),
                SweepStep::Pause(_) => panic!("a test's own sweep removes no more than a tick's"),
                SweepStep::Done(report) => return *report,
            }
        }
    }

    fn attempts_max(&self) -> u32 {
        let told = self.environment.get("GRANARY_MAX_ATTEMPTS");
        told.map_or(ATTEMPTS_MAX_DEFAULT, |told| told.parse().unwrap())
    }
}
