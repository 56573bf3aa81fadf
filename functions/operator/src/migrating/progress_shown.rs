//! A migration and the progress of its range, as the API shows them. What they mean is the ledger's.

use granary_domain::{MigrationKind, MigrationState, TimeRange};
use granary_ledger::harvest::{Cancelled, Migration, WindowCounts};
use granary_ledger::reports::Progress;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

/// A migration as it stands.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ShownMigration {
    /// Its id.
    id: Uuid,
    /// Why it exists.
    kind: ShownKind,
    /// How far it is.
    state: ShownMigrationState,
    /// Since when it has been paused; `null`: it isn't.
    paused_at: Option<Timestamp>,
    /// How urgent it is, 0 to 9. From 5 on its batches take the priority queue.
    #[schema(maximum = 9)]
    priority: u8,
    /// Messages in a batch at most.
    batch_size: u32,
    /// A query DSL object that its messages must match; `null`: all messages of its range are meant.
    #[schema(value_type = Option<Object>)]
    filter: Option<Value>,
    /// The first instant of its range of event time.
    from: Timestamp,
    /// The first instant behind its range; `null`: it has no end.
    to: Option<Timestamp>,
    /// Every instant of its range before this one is in a window.
    harvested_to: Timestamp,
    /// Who asked: the name of a token, or `schedule`.
    #[schema(examples("operator"))]
    requested_by: String,
    /// The newest verdict of a verification of its range; `null`: there was none.
    #[schema(examples("COMPLETE"))]
    verdict: Option<String>,
    /// When it was asked for.
    created_at: Timestamp,
    /// When it was completed or cancelled; `null`: it is open.
    finished_at: Option<Timestamp>,
}

/// Why a migration exists.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ShownKind {
    /// The schedule's: one for each deployment, without an end.
    Continuous,
    /// Somebody asked for a range.
    Backfill,
    /// Somebody asked for a part of a range, by a filter.
    Selection,
}

/// How far a migration is.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ShownMigrationState {
    /// Ids of its range are still being read.
    Open,
    /// All ids are on record; batches are still being exported.
    Draining,
    /// Every message of its range is exported, missing or quarantined.
    Completed,
    /// Given up; what only it had asked for was released.
    Cancelled,
}

/// A half-open range of event time.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ShownRange {
    /// Its first instant.
    from: Timestamp,
    /// The first instant behind it.
    to: Timestamp,
}

/// The messages of a range of event time, whoever owns them.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ShownProgress {
    /// Messages in the ledger that somebody owns: the sum of the following.
    known: u64,
    /// Messages that wait for a worker.
    pending: u64,
    /// Messages in a worker's hands.
    processing: u64,
    /// Messages in an object on record.
    success: u64,
    /// Messages in a batch whose last attempt failed.
    failed: u64,
    /// Messages that were gone at the source before they could be exported.
    missing: u64,
    /// Messages that can't be exported.
    quarantined: u64,
}

/// A migration's windows, by state.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ShownWindowCounts {
    /// Windows that wait for a harvester.
    open: u64,
    /// Windows that are being read.
    harvesting: u64,
    /// Windows whose ids are all accounted for.
    recorded: u64,
    /// Windows that were compared with the source and the archive, and found equal.
    verified: u64,
    /// Of the recorded and verified ones, those that are being read again.
    rescanned: u64,
    /// Hits that the source showed in all of them.
    found: u64,
}

/// What a cancellation released.
#[derive(Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Released {
    /// Batches that were given up.
    pub(crate) batches: u64,
    /// Messages in them, which nobody owns any more.
    pub(crate) messages: u64,
    /// Windows of other migrations that are read again, since they had left those messages to this one. `null` in a dry
    /// run: that isn't known before.
    pub(crate) windows_read_again: Option<u64>,
}

impl From<Migration> for ShownMigration {
    fn from(migration: Migration) -> Self {
        Self {
            id: migration.id.0,
            kind: migration.kind.into(),
            state: migration.state.into(),
            paused_at: migration.paused_at,
            priority: migration.priority.into(),
            batch_size: migration.batch_size,
            filter: migration.filter,
            from: migration.from,
            to: migration.to,
            harvested_to: migration.harvested_to,
            requested_by: migration.requested_by,
            verdict: migration.verdict,
            created_at: migration.created_at,
            finished_at: migration.finished_at,
        }
    }
}

impl From<MigrationKind> for ShownKind {
    fn from(kind: MigrationKind) -> Self {
        match kind {
            MigrationKind::Continuous => Self::Continuous,
            MigrationKind::Backfill => Self::Backfill,
            MigrationKind::Selection => Self::Selection,
        }
    }
}

impl From<MigrationState> for ShownMigrationState {
    fn from(state: MigrationState) -> Self {
        match state {
            MigrationState::Open => Self::Open,
            MigrationState::Draining => Self::Draining,
            MigrationState::Completed => Self::Completed,
            MigrationState::Cancelled => Self::Cancelled,
        }
    }
}

impl From<TimeRange> for ShownRange {
    fn from(range: TimeRange) -> Self {
        Self {
            from: range.from(),
            to: range.to(),
        }
    }
}

impl From<Progress> for ShownProgress {
    fn from(progress: Progress) -> Self {
        Self {
            known: progress.known,
            pending: progress.pending,
            processing: progress.processing,
            success: progress.success,
            failed: progress.failed,
            missing: progress.missing,
            quarantined: progress.quarantined,
        }
    }
}

impl From<WindowCounts> for ShownWindowCounts {
    fn from(windows: WindowCounts) -> Self {
        Self {
            open: windows.open,
            harvesting: windows.harvesting,
            recorded: windows.recorded,
            verified: windows.verified,
            rescanned: windows.rescanned,
            found: windows.found,
        }
    }
}

impl From<Cancelled> for Released {
    fn from(released: Cancelled) -> Self {
        Self {
            batches: released.batches,
            messages: released.messages,
            windows_read_again: Some(released.windows_reopened),
        }
    }
}
