//! The queues, and who works on what is in them.

pub(crate) mod queue_name;
pub(crate) mod queue;
pub(crate) mod queue_health;
pub(crate) mod monitoring;
pub(crate) mod workers;
pub(crate) mod probes;
pub(crate) mod redrive;
pub(crate) mod purge_queue;
