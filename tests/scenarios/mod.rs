//! The scenarios, in the order of a message's journey.

mod happy;
mod worker;
mod hand_off;
mod delivery;
mod overlap;
mod outage;
mod deferral;
mod a_killed_worker;
mod reaping;
mod faithful;
mod quarantine;
mod careful;
mod salvage;
mod takeover;
mod adoption;
mod sweep;
mod purging;
mod invariants;
mod tamper;
mod forms;
mod configuration;
mod kills;
mod crash;
mod resume;
mod late;
mod faults;
