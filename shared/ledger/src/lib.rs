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
mod outside;
mod numbers;
mod record;
mod account;
mod plan;
mod outbox;
mod hidden;
mod probe;
mod purged_queue;
mod claim;
mod settle;
mod excepted;
mod split;
mod suspect;
mod absence;
mod reap;
mod deferral;
mod cancel;
mod progress;
mod jobs;
mod due;
mod closing;
mod measure;
mod range_pace;
mod evidence;
mod parts;
mod repair;
mod re_export;
mod beside;
mod recall;
mod re_exportable;
mod unowned;
mod superseded;
mod inspection;
mod invariants;
mod sweep;
mod operation;
mod operation_list;
mod alert;
mod alert_list;
mod control;
mod tune;
mod audit;
mod database;
mod rights;
mod workers;
mod pace;
mod trace;
mod failures;
mod overview;
mod first_page;
mod timeline;
mod differing;
mod proof;
mod proof_state;
mod accepted;
mod seeded;
mod history;
mod seal;
mod sealed;
mod purge;

pub use accepted::{Acceptance, AcceptedException};
pub use alert::{AlertRow, FailureRate};
pub use alert_list::{AlertEntry, AlertFilter, PARKED_ALERTS_MAX};
pub use audit::{Audit, AuditEntry, AuditFilter};
pub use cancel::Cancelled;
pub use claim::{Claim, ClaimedBatch, NotClaimed, OwnedMessage};
pub use connect::{Ledger, LedgerSettings};
pub use control::Stage;
pub use database::{DatabaseInfo, TableSize};
pub use deferral::{Deferral, LastingDeferral};
pub use differing::Difference;
pub use due::DueWork;
pub use error::LedgerError;
pub use evidence::{BatchObjects, DocumentPlace, HourOfLedger, ObjectOnRecord, Standing};
pub use failures::{Counted, ExceptionGroup, ExceptionSample, FailedGroup, FailureSample};
pub use first_page::FirstPage;
pub use history::{SYNTHETIC_JOBS_MAX, SYNTHETIC_OPERATION, SYNTHETIC_REQUESTER, SyntheticJobs};
pub use inspection::BatchSlice;
pub use invariants::Bounds;
pub use jobs::{AttemptRow, BatchFilter, BatchRow, ObjectOfBatch, Parked};
pub use lateness::Lateness;
pub use measure::MeasuredExport;
pub use migration::{Migration, MigrationFilter, NewMigration};
pub use numbers::{NUMBERS_PER_BLOCK, NumberBlock, RestoredLedger};
pub use operation::{CONSUMERS_RESTART, NewOperation, Operation, OperationSlice, OperationState};
pub use operation_list::{OperationBrief, OperationFilter, VerdictBrief};
pub use outbox::Unsent;
pub use outside::OutsideCounts;
pub use overview::{OldestOpen, Settled, Throughput, ThroughputBucket};
pub use pace::{OldestUnsent, SettledMinute};
pub use parts::Digests;
pub use probe::{Probe, QueueLane};
pub use progress::{ParkedCount, Progress, StatusCount};
pub use proof::{DueProof, ProofOutcome, ProofPass, ProofRules, Verification};
pub use proof_state::{FailingWindow, ProofState};
pub use purge::Purged;
pub use purged_queue::PurgeNote;
pub use range_pace::RangePace;
pub use re_export::{ReExport, ReExported};
pub use re_exportable::{ReExportSelection, ReExportable};
pub use reap::{AtMost, Reaped, Retryable};
pub use recall::{BatchWithExceptions, ExceptionFilter, Recall, Recalled, WhichExceptions};
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
pub use timeline::{BatchesOfWindow, TimelineFilter, WindowOnTimeline};
pub use trace::{MessageRow, ReplacedExport, WindowOfMigration};
pub use tune::{SettingChange, TunedSetting};
pub use window::{LeasedWindow, Window, WindowCounts};
pub use workers::{AttemptCounter, AttemptInFlight, InFlight, PausedStage};
