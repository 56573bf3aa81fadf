mod outbox;
mod waiting;
mod probe;
mod purged_queue;
