//! What is switched and turned while it runs: stages, settings, schedules, consumers.

pub(crate) mod steering;
pub(crate) mod tune;
pub(crate) mod adopting;
pub(crate) mod scheduler;
pub(crate) mod consumers;
pub(crate) mod restart;
