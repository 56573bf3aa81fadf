//! The ledger: what is known of every message, in MySQL. All SQL of Granary stands here.
//!
//! Functions are named as sentences and do one thing each; whoever calls them never sees a connection. Each
//! either changes the ledger as a whole or not at all, and each may be repeated: a repetition after a lost answer
//! finds its own work done and says so. Times are the database's (`UTC_TIMESTAMP(6)`), never the caller's.
//!
//! Not here: what to do next (the functions decide), what a transition means (`granary-domain` decides; a test
//! holds both against each other).
//!
//! When MySQL is slow, restarted or out of connections, each call is repeated as a whole for a few seconds, then
//! fails with [`LedgerError`], for which [`LedgerError::is_platforms`] holds. Nothing waits without a limit (`db/limits.rs`).

pub mod db;
pub mod harvest;
pub mod handoff;
pub mod export;
pub mod integrity;
pub mod jobs;
pub mod settings;
pub mod reports;
pub mod test_data;

pub use db::connect::{Ledger, LedgerSettings};
pub use db::error::{LedgerError, Remedy};
