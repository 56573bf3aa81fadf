//! What `granary-source` promises, on a real Elasticsearch (`ES_URL`). Every test has indices of its own.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail by panicking")]

mod stage;
mod paging;
mod edges;
mod over_time;
mod documents;
mod vectors;
mod missing;
mod identity;
mod metadata;
mod check;
mod survey;
mod odd_fields;
mod reach;
mod write;
