//! Export: a batch from its claim to its end, and back: retries, splits, deferrals, re-exports and recalls.
//!
//! Not here: objects and their content (`granary-archive`, the exporter), and whether they are right (`integrity`).

mod claim;
pub(crate) mod settle;
mod excepted;
mod split;
mod storm;
mod suspect;
mod absence;
mod reap;
mod deferral;
mod re_export;
mod beside;
mod recall;
mod re_exportable;
pub(crate) mod superseded;

pub use claim::{Claim, ClaimedBatch, NotClaimed, OwnedMessage};
pub use deferral::Deferral;
pub use re_export::{ReExport, ReExported};
pub use re_exportable::{ReExportSelection, ReExportable};
pub use reap::{AtMost, Reaped, Retryable};
pub use recall::{BatchWithExceptions, ExceptionFilter, Recall, Recalled, WhichExceptions};
pub use settle::{Exception, Fenced, Settlement};
pub use superseded::Superseded;
pub use suspect::{CarefulRecord, Suspect};
