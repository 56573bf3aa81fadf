//! Test data: seeded batches and a synthetic history of jobs, and how both are removed.
//!
//! Not here: how documents are seeded at the source (`granary-seeding`).

mod seeded;
mod history;

pub use history::{SYNTHETIC_JOBS_MAX, SYNTHETIC_OPERATION, SYNTHETIC_REQUESTER, SyntheticJobs};
pub use seeded::SeededBatch;
