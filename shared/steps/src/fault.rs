//! What a test asks of one process: to die or to panic at a step, or to take it twice.

use crate::Step;
use std::str::FromStr;

/// The environment variable that asks for a fault, in debug builds.
pub const VARIABLE: &str = "GRANARY_FAULT";

/// How a step goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The process dies just before the step.
    Before,
    /// The process panics just before the step, and lives on.
    Panic,
    /// The process dies just after the step, before anybody learns of it.
    After,
    /// The step is taken twice, as after an answer that got lost: the second answer counts.
    Twice,
}

/// A fault: `settle_batch:after`, or `put_part:before:3` where the third time counts that the process comes to the step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    pub(crate) step: Step,
    pub(crate) mode: Mode,
    pub(crate) nth: u32,
}

/// Why a text asks for no fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnreadableFault(&'static str);

impl std::fmt::Display for UnreadableFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for UnreadableFault {}

impl FromStr for Fault {
    type Err = UnreadableFault;

    fn from_str(text: &str) -> Result<Self, UnreadableFault> {
        let mut parts = text.split(':');
        let step = parts.next().and_then(Step::named);
        let mode = match parts.next() {
            Some("before") => Some(Mode::Before),
            Some("panic") => Some(Mode::Panic),
            Some("after") => Some(Mode::After),
            Some("twice") => Some(Mode::Twice),
            Some(_) | None => None,
        };
        let nth = parts.next().map_or(Some(1), |nth| nth.parse().ok());
        Ok(Self {
            step: step.ok_or(UnreadableFault("there is no such step"))?,
            mode: mode.ok_or(UnreadableFault(
                "the second part is none of before, panic, after and twice",
            ))?,
            nth: nth
                .filter(|nth| *nth > 0 && parts.next().is_none())
                .ok_or(UnreadableFault("the third part is no number from 1 on"))?,
        })
    }
}

/// Whether [`VARIABLE`] can be read. A program asks when it starts, so that a test with a misspelt fault doesn't pass.
/// A release build finds nothing wrong with any value: it has no faults.
pub fn check_fault(text: &str) -> Result<(), UnreadableFault> {
    if cfg!(debug_assertions) {
        Fault::from_str(text).map(drop)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_a_step_a_mode_and_perhaps_a_count() {
        let fault = |text: &str| text.parse::<Fault>().map_err(|unreadable| unreadable.0);
        let (step, mode) = (Step::SettleBatch, Mode::After);
        assert_eq!(fault("settle_batch:after"), Ok(Fault { step, mode, nth: 1 }));
        assert_eq!(fault("settle_batch:after:3"), Ok(Fault { step, mode, nth: 3 }));
        let mode = Mode::Panic;
        assert_eq!(fault("settle_batch:panic"), Ok(Fault { step, mode, nth: 1 }));
        assert_eq!(fault("settle:after"), Err("there is no such step"));
        assert!(fault("settle_batch").is_err());
        assert!(fault("settle_batch:during").is_err());
        for count in ["0", "x", "1:1", ""] {
            assert!(fault(&format!("settle_batch:twice:{count}")).is_err());
        }
    }
}
