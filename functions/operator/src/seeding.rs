//! Test data, where it is allowed.

pub(crate) mod seeder;
pub(crate) mod seed;
pub(crate) mod seed_jobs;
pub(crate) mod seed_clear;
