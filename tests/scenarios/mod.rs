//! The scenarios, in the order of a message's journey.

mod happy;
mod worker;
mod hand_off;
mod delivery;
