//! The scenarios, in the order of a message's journey.

mod happy;
mod worker;
mod hand_off;
mod delivery;
mod overlap;
mod outage;
mod reaping;
mod faithful;
mod quarantine;
mod takeover;
mod adoption;
mod forms;
mod configuration;
mod kills;
mod resume;
