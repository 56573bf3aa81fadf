//! What is looked at when all suites have run, over what they left behind: `make test` ends with it.
//!
//! The emulator's record of requests is held against the template, and everything that the deployed stack wrote is searched for the
//! content of messages. A suite that left nothing behind fails it: nothing passes because there was nothing to look at.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail by panicking")]
#![allow(
    dead_code,
    reason = "what is shared with the suites has more than these tests need"
)]

#[path = "../template/document.rs"]
mod document;
#[path = "../template/policies.rs"]
mod policies;
#[path = "../template/grants.rs"]
mod grants;
#[path = "../deployed/deployment.rs"]
mod deployment;
#[path = "../stage/canary.rs"]
mod canary;
mod recorded;
mod discreet;
