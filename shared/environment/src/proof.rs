//! When the reaper verifies and purges by schedule.

use crate::environment::{Environment, Reading, Variable};
use std::time::Duration;

const AFTER: Variable = Variable {
    name: "GRANARY_VERIFY_AFTER_SECONDS",
    holds: "the seconds after which a recorded window is verified in full",
};
const EVERY: Variable = Variable {
    name: "GRANARY_VERIFY_EVERY_DAYS",
    holds: "the days after which a final window is verified again; 0 means never",
};
const QUIET: Variable = Variable {
    name: "GRANARY_VERIFY_QUIET_HOURS",
    holds: "the hours (UTC) in which no scheduled verification begins, as in 8-18, or leave it out for none",
};
const PURGE: Variable = Variable {
    name: "GRANARY_PURGE_AFTER_DAYS",
    holds: "the days after which the ledger's rows of final hours are purged; 0 means never",
};

const SECONDS_PER_DAY: u64 = 86_400;

/// When the reaper verifies and purges by schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProofSection {
    /// How long after it was recorded a window is verified.
    pub after: Duration,
    /// How long after its last proof a final window is verified again. `None`: never.
    pub every: Option<Duration>,
    /// In which hours no scheduled verification begins.
    pub quiet: Option<QuietHours>,
    /// How old the event times of final hours are whose rows are purged. `None`: none are.
    pub purge_after: Option<Duration>,
}

/// Hours of the day, in UTC: from the first one up to the second one, across midnight where that is the smaller one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuietHours {
    from: u8,
    to: u8,
}

impl QuietHours {
    /// Whether an hour of the day is one of them.
    pub fn contain(&self, hour: i8) -> bool {
        let (hour, from, to) = (i16::from(hour), i16::from(self.from), i16::from(self.to));
        if from < to {
            (from..to).contains(&hour)
        } else {
            hour >= from || hour < to
        }
    }

    fn parse(text: &str) -> Result<Self, &'static str> {
        let hours = text.split_once('-').and_then(|(from, to)| {
            let hour = |text: &str| text.trim().parse().ok().filter(|hour: &u8| *hour < 24);
            Some((hour(from)?, hour(to)?))
        });
        match hours {
            Some((from, to)) if from != to => Ok(Self { from, to }),
            Some(_) | None => Err("it is not two different hours from 0 to 23, as in 8-18"),
        }
    }
}

impl ProofSection {
    /// Reads `GRANARY_VERIFY_AFTER_SECONDS`, `GRANARY_VERIFY_EVERY_DAYS`, `GRANARY_VERIFY_QUIET_HOURS` and
    /// `GRANARY_PURGE_AFTER_DAYS`.
    pub fn read(env: &mut Environment) -> Reading<Self> {
        let after = env.number(AFTER, 3_600, 0..=86_400);
        let every = env.number(EVERY, 30, 0..=3_650);
        let quiet = env.optional_parsed(QUIET, QuietHours::parse);
        let purge_after = env.number(PURGE, 0, 0..=36_500);
        let days = |days: u64| (days > 0).then(|| Duration::from_secs(days * SECONDS_PER_DAY));
        Ok(Self {
            after: Duration::from_secs(after?),
            every: days(every?),
            quiet: quiet?,
            purge_after: days(purge_after?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quiet_hours_may_cross_midnight() {
        let hours = |text| {
            let quiet = QuietHours::parse(text).unwrap();
            (0..24).filter(|hour| quiet.contain(*hour)).collect::<Vec<i8>>()
        };
        assert_eq!(hours("8-11"), [8, 9, 10]);
        assert_eq!(hours("22-2"), [0, 1, 22, 23]);
        for wrong in ["8", "8-8", "8-24", "-1-3", "a-b", ""] {
            assert!(QuietHours::parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
