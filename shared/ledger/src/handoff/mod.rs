//! Handoff: batches between their record and their claim, as they are sent, lost, hidden or waiting in a queue.
//!
//! Not here: the queues themselves (`granary-handoff`), and what a worker does with a batch (`export`).

pub(crate) mod outbox;
mod hidden;
mod waiting;
mod probe;
mod purged_queue;

pub use outbox::Unsent;
pub use probe::{Probe, QueueLane};
pub use purged_queue::PurgeNote;
pub use waiting::{LongWait, QueueState};
