//! The deployed stack, through its real doors: the HTTP API, the command line, and AWS's own.
//!
//! All of it is shared, with whoever else uses the stack and with what earlier runs left behind. So each test looks
//! at its own messages alone: at new ones, or at those of an hour of event time that nobody else has
//! ([`PrivateHour`]). Nothing is wiped. What was written looks like seeded messages: `granary seed --clear` takes it away,
//! and is the one thing that must not run meanwhile.
//!
//! Scenarios, and everything that goes wrong, are in [`crate::scenarios`]: here it is shown that the parts fit.

mod deployment;
mod hour;
mod functions;
mod hand_off;
mod proof;
mod refusals;
mod two_minutes;

use deployment::{Deployment, Ticks, until};
use hour::PrivateHour;
