//! The switchboard: what AWS starts by itself, and the switches to have it no longer do so. The schedules start the
//! harvester and the reaper, the consumers (Lambda's event source mappings) hand the queues' messages to the exporter. And the
//! migrator, which a person may have invoked.
//!
//! A switch is read from AWS each time, never remembered: people have a console, and deployments set switches too. What is
//! switched already is left alone, so asking twice is asking once. Not responsible for who may switch, nor for writing down
//! who did (the operator is), nor for the queues themselves (`granary-handoff`).
//!
//! The SDK has retried already what comes back as an error. [`SwitchError::is_platforms`] tells what passes from what
//! somebody has to repair.

mod schedules;
mod consumers;
mod migrator;
mod error;

pub use consumers::{Consumer, Consumers, Standing};
pub use error::SwitchError;
pub use migrator::{Migrating, Migrator};
pub use schedules::{Schedule, ScheduleName, ScheduleNames, Schedules, Ticked};

use serde::Serialize;

/// What a switch is set to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Switch {
    /// AWS starts it.
    On,
    /// AWS doesn't.
    Off,
}

impl Switch {
    /// Whether it is on.
    pub fn is_on(self) -> bool {
        self == Self::On
    }
}

fn instant_of(time: Option<&aws_sdk_scheduler::primitives::DateTime>) -> Option<jiff::Timestamp> {
    time.and_then(|time| jiff::Timestamp::from_second(time.secs()).ok())
}
