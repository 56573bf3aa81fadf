//! The alarms of the template over what real functions measured: each rests before the trouble, fires in it, and rests after it.
//!
//! [`FIRED_BY`] says which run fires each alarm. A tick takes a minute in AWS and a moment here: what was measured lasts as many
//! periods as a test says.

mod archiving;
mod functions;
mod services;

use crate::stage::measured::{measured, series_of};
use crate::stage::{Counted, Function};
use crate::template::evaluation::{Series, alarms, states_of};
use std::collections::BTreeSet;

/// A run of the real functions that fires alarms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Run {
    LedgerAway,
    BrokenExporter,
    BrokenOperator,
    DeadLetter,
    NoTrigger,
    Storm,
    LostObject,
    OtherClients,
    GuessedTokens,
    Throttled,
}

/// Each alarm of the template, and the run that fires it. An alarm that no run can fire would need its reason here; there is none.
const FIRED_BY: [(&str, Run); 19] = [
    ("ReaperSilent", Run::LedgerAway),
    ("HarvesterSilent", Run::LedgerAway),
    ("HarvesterFails", Run::LedgerAway),
    ("ExporterFails", Run::BrokenExporter),
    ("ReaperFails", Run::LedgerAway),
    ("OperatorFails", Run::BrokenOperator),
    ("DeadLetters", Run::DeadLetter),
    ("ArchiveLag", Run::NoTrigger),
    ("ProvenLag", Run::NoTrigger),
    ("OldestPending", Run::NoTrigger),
    ("FailureRate", Run::Storm),
    ("BatchesParked", Run::Storm),
    ("InvariantViolated", Run::LostObject),
    ("BadVerdict", Run::LostObject),
    ("LedgerConnections", Run::OtherClients),
    ("LoginsFailed", Run::GuessedTokens),
    ("HarvesterThrottled", Run::Throttled),
    ("ExporterThrottled", Run::Throttled),
    ("OperatorThrottled", Run::Throttled),
];

/// The code of all runs.
const RUNS: [&str; 3] = [
    include_str!("archiving.rs"),
    include_str!("functions.rs"),
    include_str!("services.rs"),
];

#[test]
fn every_alarm_of_the_template_is_fired_by_a_real_run() {
    let listed: BTreeSet<String> = FIRED_BY.iter().map(|(alarm, _)| (*alarm).to_owned()).collect();
    assert_eq!(listed, alarms());
    for (alarm, run) in FIRED_BY {
        let asserted = format!("course.assert_fires(Run::{run:?});");
        assert!(
            RUNS.iter().any(|code| code.contains(&asserted)),
            "{alarm}: no test says {asserted}"
        );
    }
}

/// Periods of five minutes that each part of a test lasts.
const PART: usize = 10;
/// What EventBridge Scheduler counts in five minutes of a schedule that ticks every minute.
const ATTEMPTS: f64 = 5.0;

/// A function of the template, and how much of what it measured was seen already.
struct Watched<'a> {
    resource: &'static str,
    function: &'a Function,
    seen: Counted,
}

impl<'a> Watched<'a> {
    /// From its next invocation on.
    fn new(resource: &'static str, function: &'a Function) -> Self {
        Self {
            resource,
            function,
            seen: function.counted(),
        }
    }

    /// What it measured in the invocations since the last look, and how Lambda counts these.
    async fn next(&mut self) -> Vec<(String, f64)> {
        let counted = self.function.counted();
        let before = std::mem::replace(&mut self.seen, counted);
        let measuring = |counted: Counted| counted.invocations - counted.unmeasured;
        let lines = measured(self.function, measuring(counted)).await;
        assert_eq!(
            lines.len(),
            measuring(counted),
            "one line for each invocation that ended by itself: {lines:#?}"
        );
        let mut values = Vec::new();
        for (metric, points) in series_of(&lines[measuring(before)..]) {
            let of_metric = points
                .into_iter()
                .map(|(_, value)| (format!("Granary/{metric}/{}", self.resource), value));
            values.extend(of_metric);
        }
        let invocations = counted.invocations - before.invocations;
        let errors = counted.errors - before.errors;
        // Where nothing is invoked, Lambda has no data.
        if invocations > 0 {
            for (metric, count) in [("Invocations", invocations), ("Errors", errors)] {
                values.push((format!("AWS/Lambda/{metric}/{}", self.resource), count as f64));
            }
        }
        values
    }
}

/// The parts of a test, one after another.
#[derive(Default)]
struct Course {
    series: Series,
    parts: usize,
}

impl Course {
    /// One part more, in which both schedules are on.
    fn lasts(&mut self, values: &[(String, f64)]) {
        self.lasts_while([true, true], values);
    }

    /// The same while the harvester's and the reaper's schedules are on or off. One that is off attempts nothing: no data.
    fn lasts_while(&mut self, ticking: [bool; 2], values: &[(String, f64)]) {
        for period in self.parts * PART..(self.parts + 1) * PART {
            for (group, is_on) in ["HarvesterClock", "ReaperClock"].into_iter().zip(ticking) {
                if is_on {
                    let attempts = format!("AWS/Scheduler/InvocationAttemptCount/{group}");
                    self.series.put(&attempts, period, ATTEMPTS);
                }
            }
            for (metric, value) in values {
                self.series.put(metric, period, *value);
            }
        }
        self.parts += 1;
    }

    /// Three parts: all is well, trouble, all is well again. Each alarm that the run is listed for fires in the second alone.
    fn assert_fires(&self, run: Run) {
        assert_eq!(self.parts, 3);
        for (alarm, _) in FIRED_BY.iter().filter(|(_, by)| *by == run) {
            let states = states_of(alarm, &self.series, 3 * PART);
            assert!(!states[..PART].contains(&true), "{alarm}: {states:?}");
            assert!(states[2 * PART - 1], "{alarm}: {states:?}");
            assert!(!states[3 * PART - 1], "{alarm}: {states:?}");
        }
    }

    fn assert_rests(&self, alarm: &str) {
        let states = states_of(alarm, &self.series, self.parts * PART);
        assert!(!states.contains(&true), "{alarm}: {states:?}");
    }
}
