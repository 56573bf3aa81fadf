//! The words of Granary: identifiers, states and their legal transitions, time ranges, digests, names of
//! objects, the manifest. Pure: nothing here does I/O, reads a clock or draws a random number on its own.

mod id;
mod time;
mod part;
mod batch;
mod migration;
mod tally;
mod digest;
mod backoff;
mod metadata;
mod archive;
mod place;
mod number_mark;
mod manifest;
mod pile;
mod exception_kind;
mod cause;
mod stall;
mod alert_kind;
mod remedy;
mod setting;
mod identity;
mod invariant;

pub use alert_kind::{Severity, alert_command, alert_severity, cause_label, resolved_kind};
pub use archive::{Compression, Format, LEDGER, Layout, ObjectKey, QUARANTINE, UnknownName};
pub use backoff::Backoff;
pub use batch::{Batch, BatchStatus, IllegalTransition, Transition};
pub use cause::{Cause, Failure, Fault};
pub use digest::IdDigest;
pub use exception_kind::ExceptionKind;
pub use id::{
    BatchId, Fence, Generation, InvalidMessageId, MESSAGE_ID_BYTES_MAX, MessageId, MigrationId,
    ROUTING_BYTES_MAX, WindowId,
};
pub use identity::{Identity, IdentitySetting, SourceSetting};
pub use invariant::{Invariant, Subject, Violation};
pub use manifest::{Manifest, ManifestException, Outcome};
pub use metadata::{MetadataName, MetadataSource};
pub use migration::{MigrationKind, MigrationState, Priority, WindowState};
pub use number_mark::NumberMark;
pub use part::{Cut, CutBy, Part};
pub use pile::Pile;
pub use place::Place;
pub use remedy::{ALERT_HEADLINES, alert_headline, alert_remedy};
pub use setting::{Setting, Tuning};
pub use stall::Stall;
pub use tally::{Tally, TallyMismatch};
pub use time::{Hour, InvalidRange, TimeRange};
