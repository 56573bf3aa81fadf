//! The steps, and the crash tests that are made for each of them.

use crate::scan::Test;

/// A side effect with a name.
pub(crate) struct Step {
    pub(crate) name: &'static str,
    /// What has happened once it is done.
    pub(crate) done: &'static str,
}

/// How a step goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Before,
    After,
    Twice,
}

impl Mode {
    pub(crate) const ALL: [Self; 3] = [Self::Before, Self::After, Self::Twice];

    /// How the test's name says it.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Before => "dies_just_before_it",
            Self::After => "dies_just_after_it",
            Self::Twice => "taken_twice",
        }
    }
}

macro_rules! table {
    ($($(#[doc = $done:literal])+ $step:ident $name:ident $operation:literal,)+) => {
        /// All steps, in the order in which a message meets them.
        pub(crate) const STEPS: &[Step] = &[
            $(Step { name: stringify!($name), done: concat!($($done),+) },)+
        ];
    };
}

granary_steps::for_each_step!(table);

/// Where a macro makes a module of tests for each step, named like it.
const CRASH_TESTS: &str = "tests/scenarios/crash/mod.rs";

/// The test in which a process meets a step in that way.
pub(crate) fn crash_test(step: &str, mode: Mode, tests: &[Test]) -> Option<String> {
    let test = tests
        .iter()
        .find(|test| test.path == CRASH_TESTS && test.name.contains(mode.words()))?;
    Some(format!("crash::{step}::{}", test.name))
}
