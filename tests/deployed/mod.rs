//! The deployed stack, through its real doors: the HTTP API, the command line, and AWS's own.
//!
//! All of it is shared, with whoever else uses the stack and with what earlier runs left behind. So each test looks
//! at its own messages alone: at new ones, or at those of an hour of event time that nobody else has
//! ([`PrivateHour`]). What was written looks like seeded messages: `granary seed --clear` takes it away, which is
//! why the test that clears, empties queues and switches the clock off has the stack to itself.
//!
//! Scenarios, and everything that goes wrong, are in [`crate::scenarios`]: here it is shown that the parts fit.

mod deployment;
mod hour;
mod functions;
mod hand_off;
mod proof;
mod refusals;
mod two_minutes;
mod every_route;

use deployment::{Deployment, Ticks, until};
use hour::PrivateHour;
