//! What `GET /messages/{id}/trace` takes and answers, member by member.
//!
//! Shapes alone: what stands in them is put together where the ledger, the archive and the source are asked. Contents of
//! messages stand in none of them.

use crate::migrating::batch_shown::{ShownAttempt, ShownBatch};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

/// What to look at besides the ledger.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "what the route reads, for the document")]
pub(crate) struct TraceQuery {
    /// Whether its line is looked for in its object.
    #[param(default = true)]
    line: Option<bool>,
    /// Whether the source is asked for it.
    #[param(default = true)]
    source: Option<bool>,
    /// Its id, where a path can't hold it (`.` and `..`): under `/messages/trace`.
    #[param(max_length = 512)]
    id: Option<String>,
}

/// A message's life.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Trace {
    /// Its id.
    #[schema(examples("m-1"))]
    pub(super) message_id: String,
    /// One word for it.
    pub(super) state: LifeState,
    /// Where it was seen.
    pub(super) message: TracedMessage,
    /// The batch that owns it; `null`: nobody does, or its rows were purged.
    pub(super) batch: Option<TracedBatch>,
    /// The window that its batch is of.
    pub(super) window: Option<TracedWindow>,
    /// The migration that this window is of.
    pub(super) migration: Option<TracedMigration>,
    /// Tries at its batch, the newest first, 100 at most.
    pub(super) attempts: Vec<ShownAttempt>,
    /// The object that has it; `null`: none on record does.
    pub(super) object: Option<TracedObject>,
    /// Exports of its batch that were replaced, or are to be, the oldest first, 100 at most.
    pub(super) superseded: Vec<ReplacedObject>,
    /// What the source has of it now.
    pub(super) source: TracedSource,
}

/// One word for where a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LifeState {
    /// Its batch waits for a worker.
    Waiting,
    /// A worker has its batch in hand.
    InWork,
    /// Its batch failed, and is tried again by itself.
    Failed,
    /// Its batch has no attempt left, and waits for people.
    Parked,
    /// It is in an object on record.
    Archived,
    /// It was gone at the source when its batch was exported.
    Missing,
    /// It can't be exported.
    Quarantined,
    /// Nobody owns it: its migration was cancelled.
    Released,
    /// It is in an object on record, and its batch is exported again.
    ReExporting,
}

/// A message as the ledger has it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TracedMessage {
    /// The document's `_id`.
    #[schema(examples("m-1"))]
    pub(super) doc_id: String,
    /// The concrete index that it was seen in.
    #[schema(examples("messages-2026.11"))]
    pub(super) index: String,
    /// Its routing, if it has one of its own.
    pub(super) routing: Option<String>,
    /// Its event time.
    pub(super) event_time: Timestamp,
    /// The number of the batch that owns it; `null`: nobody does.
    pub(super) batch: Option<u64>,
    /// What was found instead of it: `missing` or `quarantined`.
    #[schema(examples("quarantined"))]
    pub(super) outcome: Option<&'static str>,
    /// Why.
    pub(super) reason: Option<String>,
    /// What people can do about that.
    pub(super) remedy: Option<&'static str>,
}

/// A batch as `GET /migrate/batch/{id}` tells it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TracedBatch {
    #[serde(flatten)]
    pub(super) batch: ShownBatch,
    /// What people can do about what its newest attempt met; `null`: it met nothing.
    pub(super) remedy: Option<&'static str>,
}

/// The stretch of event time that a message was seen in.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TracedWindow {
    /// Its number.
    pub(super) id: u64,
    /// Its first instant of event time.
    pub(super) from: Timestamp,
    /// Its end, which is not in it.
    pub(super) to: Timestamp,
    /// How far its reading is: `open`, `harvesting`, `recorded` or `verified`.
    #[schema(examples("recorded"))]
    pub(super) state: &'static str,
    /// When it was opened.
    pub(super) created_at: Timestamp,
    /// When every hit of it was accounted for.
    pub(super) recorded_at: Option<Timestamp>,
    /// When the last full verification of it that was COMPLETE began.
    pub(super) verified_at: Option<Timestamp>,
}

/// The migration that a message was recorded by.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TracedMigration {
    /// Its id.
    pub(super) id: Uuid,
    /// Why it exists: `continuous`, `backfill` or `selection`.
    #[schema(examples("continuous"))]
    pub(super) kind: &'static str,
    /// How far it is: `open`, `draining`, `completed` or `cancelled`.
    #[schema(examples("open"))]
    pub(super) state: &'static str,
    /// Who asked for it.
    #[schema(examples("schedule"))]
    pub(super) requested_by: String,
}

/// The object that has a message, and its line there.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TracedObject {
    /// Its key in the bucket.
    pub(super) key: String,
    /// The key of its manifest.
    pub(super) manifest_key: String,
    /// Which export of its batch it is, from 1 on.
    pub(super) generation: u32,
    /// The SHA-256 of the object as it is stored, in hex.
    pub(super) sha256: Option<String>,
    /// Its length before it was compressed, in bytes.
    pub(super) bytes_raw: u64,
    /// Its length as it is stored, in bytes.
    pub(super) bytes_stored: u64,
    /// Messages in it.
    pub(super) exported: Option<u32>,
    /// What came of looking for the message's line.
    pub(super) line_read: LineRead,
    /// Why the line can't be read.
    pub(super) line_reason: Option<String>,
    /// The line's number, from 1 on.
    pub(super) line: Option<u64>,
    /// The SHA-256 of the line without its line break, in hex.
    pub(super) line_sha256: Option<String>,
    /// The length of the line, in bytes.
    pub(super) line_bytes: Option<u64>,
    /// The version of the document that was exported.
    pub(super) version: Option<i64>,
}

/// What came of looking for a message's line in its object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LineRead {
    /// It was found.
    Read,
    /// It wasn't wanted.
    Skipped,
    /// The object is too large to be read while somebody waits.
    TimedOut,
    /// The object isn't there, or hasn't the message: a verification says more.
    NotFound,
    /// The object can't be read.
    Unreadable,
}

/// An export of a batch that was replaced, or is to be.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReplacedObject {
    /// Which export it was, from 1 on.
    pub(super) generation: u32,
    /// The key of its object; `null`: it had none.
    pub(super) key: Option<String>,
    /// Messages in it.
    pub(super) exported: u32,
    /// Why a new one was asked for.
    pub(super) reason: String,
    /// When.
    pub(super) asked_at: Timestamp,
    /// When it was taken away.
    pub(super) removed_at: Option<Timestamp>,
    /// When it was kept instead, since it holds messages that are nowhere else.
    pub(super) kept_at: Option<Timestamp>,
}

/// What the source has of a message now.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TracedSource {
    /// Whether it was asked.
    pub(super) asked: bool,
    /// Whether it has the document; `null`: that isn't known.
    pub(super) present: Option<bool>,
    /// The version of the document.
    pub(super) version: Option<u64>,
    /// What changed since the export.
    pub(super) change: SourceChange,
    /// Why that isn't known.
    pub(super) reason: Option<String>,
}

/// What changed at the source since a message was exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SourceChange {
    /// Its version is the one that was exported.
    Unchanged,
    /// It has another version.
    Updated,
    /// It is there no more.
    Gone,
    /// The source wasn't asked or didn't answer, or it isn't known which version was exported.
    Unknown,
}
