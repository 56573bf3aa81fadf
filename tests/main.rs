//! Scenarios: the real binaries on real services, from a document in Elasticsearch to a line in an object; a few tests of the
//! deployed stack; and what the template must say.
//!
//! Each test has a [`stage::Stage`] of its own (a ledger database, indices, a bucket, queues, a topic), so all of
//! them run side by side. The functions are the binaries beside this one (`cargo build --workspace` makes them), each a
//! process on a Runtime API of the test's own. Addresses come from the local stack: `. .local/env`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail by panicking")]
#![allow(
    clippy::disallowed_methods,
    reason = "a test stands outside the product: it takes no steps"
)]

mod stage;
mod scenarios;
mod deployed;
mod template;
#[cfg(feature = "soak")]
mod soak;
