//! Every side effect of Granary has a name here, and is taken through one function: [`perform()`].
//!
//! A [`Step`] is one SQL transaction, one call that changes something in S3, one send, one publish. The rooms that have
//! such effects offer no way around [`perform()`]: the ledger gives a connection for a write only to a named step, and
//! a lint refuses the SDKs' changing calls elsewhere. So the list is complete, and a crash test for each of its steps,
//! just before it, just after it, and taken twice, is a crash test of everything that can be interrupted.
//!
//! In debug builds the variable `GRANARY_FAULT` makes one process die at a step, or take it twice; see [`Fault`]. A
//! release build contains none of it and ignores the variable: there [`perform()`] only awaits what it is given.
//!
//! Not here: what a step does, and whether it is tried again after an error (the rooms decide). Nothing here can fail.

mod step;
mod fault;
mod perform;

pub use fault::{Fault, UnreadableFault, VARIABLE, check_fault};
pub use perform::perform;
pub use step::Step;
