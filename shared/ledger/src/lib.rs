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
//! fails with [`LedgerError`], for which [`LedgerError::is_platforms`] holds.

mod connect;
mod error;
mod row;
mod schema;
mod migration;
mod window;
mod rescan;
mod lateness;
mod record;
mod account;
mod plan;
mod outbox;
mod claim;
mod settle;
mod suspect;
mod reap;
mod deferral;
mod cancel;
mod progress;
mod evidence;
mod parts;
mod repair;
mod re_export;
mod superseded;
mod inspection;
mod invariants;
mod sweep;
mod operation;
mod alert;
mod control;
mod seeded;
mod seal;
mod sealed;
mod purge;

pub use alert::{AlertRow, FailureRate};
pub use cancel::Cancelled;
pub use claim::{Claim, ClaimedBatch, NotClaimed, OwnedMessage};
pub use connect::{Ledger, LedgerSettings};
pub use control::{Audit, Stage};
pub use deferral::{Deferral, LastingDeferral};
pub use error::LedgerError;
pub use evidence::{BatchObjects, HourOfLedger, ObjectOnRecord, Standing};
pub use inspection::BatchSlice;
pub use invariants::Bounds;
pub use lateness::{Lateness, WithoutTime};
pub use migration::{Migration, MigrationFilter, NewMigration};
pub use operation::{NewOperation, Operation, OperationSlice, OperationState};
pub use outbox::{Believed, Unsent};
pub use parts::Digests;
pub use progress::{Progress, StatusCount};
pub use purge::Purged;
pub use re_export::{ReExport, ReExported};
pub use reap::Reaped;
pub use record::{PageOfMessages, Recorded, SeenMessage};
pub use repair::{FoundAgain, RepairMigration};
pub use rescan::{DueRescan, RescanRules, Scan};
pub use seal::{Seal, SealIntent};
pub use sealed::SealedRange;
pub use seeded::SeededBatch;
pub use settle::{Exception, Fenced, Settlement};
pub use superseded::Superseded;
pub use suspect::{CarefulRecord, Suspect};
pub use sweep::BatchAtKey;
pub use window::{LeasedWindow, Window, WindowCounts};
