//! Verifying, seeding and clearing, on a real Elasticsearch, a real MySQL and S3.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail by panicking")]
#![allow(
    clippy::disallowed_methods,
    reason = "a test stands outside the product: it takes no steps"
)]

mod database;
mod stand;
mod verdicts;
mod exceptions;
mod findings;
mod bisect;
mod repair;
mod asked_for;
mod seeding;
mod clearing;
mod rebuild;
mod desk;
