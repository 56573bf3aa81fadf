//! The archive on a real S3 endpoint: `AWS_ENDPOINT_URL`, with a bucket of its own for each test.

#![allow(clippy::unwrap_used, reason = "a test ends where its ground gives way")]
#![allow(
    clippy::disallowed_methods,
    reason = "a test stands outside the product: it takes no steps"
)]

mod stand;
mod wire;
mod put;
mod quarantine;
mod read;
mod remove;
mod faults;
