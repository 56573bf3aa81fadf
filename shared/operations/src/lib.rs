//! Operations: long jobs that somebody asked for, and the desk where they wait and are worked on.
//!
//! The operator asks for a job and works on it for some seconds; what is left the reaper works on at each of its
//! ticks, a slice at a time. A slice holds its operation by lease and fence, goes on from the progress that the one
//! before wrote down, and stops at the end of a step once its budget is used up. Whoever finds the lease gone
//! stops at once; what was done twice is what the steps are made for.
//!
//! Not responsible for what a job does (`granary-verify`, `granary-sweep` and `granary-seeding` are), nor for who may ask for it. A
//! slice that failed through the platform's fault is tried again at the next tick, ten times in a row at most; any
//! other failure, a panic too, ends its operation with a text that says why.

mod purge;
mod anew;
mod bulk;
mod adopt;
mod objects;
mod job;
mod slice;
mod desk;

pub use adopt::{AdoptArguments, AdoptReport};
pub use anew::{ReExportArguments, ReExportReport, WouldLose};
pub use bulk::{BulkArguments, BulkReport, KnownMessage, KnownMessages};
pub use desk::{Advanced, AskError, Desk, Outcome};
pub use job::Job;
pub use objects::AdoptObjectArguments;
pub use purge::{PurgeArguments, PurgeReport, RefusedHour};
pub use slice::Budget;
