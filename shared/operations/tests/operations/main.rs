//! Verifying, seeding and clearing, on a real Elasticsearch, a real MySQL and S3.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail by panicking")]

mod database;
mod stand;
mod verdicts;
mod findings;
mod bisect;
mod repair;
mod seeding;
mod clearing;
mod desk;
