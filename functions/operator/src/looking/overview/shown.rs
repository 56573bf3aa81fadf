//! What `GET /overview` answers, member by member.
//!
//! Shapes alone: what stands in them is put together where the ledger is asked.

use crate::looking::alerts::ShownAlert;
use crate::looking::proof::ShownProof;
use crate::operating::operations::ShownState;
use crate::operating::operations_list::OperationLine;
use crate::operating::restored::ShownRestored;
use crate::queueing::queue::ByStatus;
use crate::switching::scheduler::ShownSchedule;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

/// How everything stands.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Overview {
    /// The source's name, as in every key of the archive.
    #[schema(examples("messages"))]
    pub(super) source: String,
    /// The version of the operator.
    #[schema(examples("0.1.0"))]
    pub(super) version: &'static str,
    /// The role of whoever asks: `viewer` or `operator`.
    #[schema(examples("operator"))]
    pub(super) role: &'static str,
    /// The name of the token of this request.
    #[schema(examples("ada"))]
    pub(super) name: String,
    /// How far the archive is proven.
    pub(super) proof: ShownProof,
    #[serde(flatten)]
    pub(super) work: ShownWork,
    #[serde(flatten)]
    pub(super) people: ShownPeople,
    /// That the ledger was restored from a backup or emptied, as long as no operator has confirmed it: nothing is swept.
    pub(super) restored: Option<ShownRestored>,
    /// The schedules; `null` where AWS didn't say how they stand within 80 milliseconds.
    pub(super) schedules: Option<Vec<ShownSchedule>>,
}

/// What is to be done, and how fast it goes.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ShownWork {
    /// Now, by the ledger's clock.
    pub(super) now: Timestamp,
    /// Batches by status.
    pub(super) batches: ByStatus,
    /// Messages in them, by their batches' status. Purged ones aren't counted.
    pub(super) messages: ByStatus,
    /// Batches without an attempt left: these wait for people.
    pub(super) parked: u64,
    /// Bytes of all objects on record, as they are stored.
    pub(super) bytes_stored: u64,
    /// What is to be exported.
    pub(super) backlog: Backlog,
    /// How much was settled lately.
    pub(super) rate: RecentRates,
    /// When the backlog but for parked batches would be exported at this pace; `null`: nothing else waits, or nothing moves.
    pub(super) eta: Option<Eta>,
    /// What has waited longest; `null`: nothing waits.
    pub(super) oldest_unexported: Option<OldestUnexported>,
    /// Up to which event time the continuous migration has windows; `null`: there is none.
    pub(super) harvested_to: Option<Timestamp>,
    /// What the platform broke off, by cause, the longest first.
    pub(super) deferrals: Vec<DeferralOnFirstPage>,
    /// What was settled in the last 24 hours.
    pub(super) throughput: ThroughputChart,
}

/// What people did, and what they are told.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ShownPeople {
    /// Stages that somebody paused.
    pub(super) pauses: Vec<ShownPause>,
    /// The 10 newest.
    pub(super) alerts: Vec<ShownAlert>,
    /// Alerts about what still lasts, of all that there ever were; those about parked batches count up to 5,000.
    pub(super) open_alerts: u64,
    /// Long jobs that wait or run, 20 at most, the newest first.
    pub(super) operations: Vec<OperationLine>,
    /// The 5 newest verifications.
    pub(super) verdicts: Vec<ShownVerdict>,
}

/// Batches that are pending, in work or failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Backlog {
    /// Batches.
    pub(super) batches: u64,
    /// Messages in them.
    pub(super) messages: u64,
}

/// How much was settled lately.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RecentRates {
    /// In the last 15 minutes.
    #[serde(rename = "last15Minutes")]
    pub(super) last_15_minutes: Rate,
    /// In the last 60 minutes.
    #[serde(rename = "last60Minutes")]
    pub(super) last_60_minutes: Rate,
}

/// How much was settled a minute, on average.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Rate {
    /// Batches a minute.
    pub(super) batches_per_minute: f64,
    /// Messages a minute.
    pub(super) messages_per_minute: f64,
    /// Bytes of objects a minute, as they are stored.
    pub(super) bytes_per_minute: f64,
}

/// When the backlog would be exported, but for what waits for people.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Eta {
    /// Seconds from now.
    pub(super) seconds: f64,
    /// Then; `null`: beyond what a calendar has.
    pub(super) at: Option<Timestamp>,
    /// Which pace that goes by: `last15Minutes`, or `last60Minutes` where that stood still.
    #[schema(examples("last15Minutes"))]
    pub(super) basis: &'static str,
}

/// The open batch of the oldest hour.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OldestUnexported {
    /// The event time of its first message.
    pub(super) event_time: Timestamp,
    /// The first instant of the hour of all its messages.
    pub(super) hour: Timestamp,
    /// Its number.
    pub(super) batch: u64,
    /// Seconds since that event time.
    pub(super) age_seconds: i64,
}

/// What waits for one cause that is the platform's.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeferralOnFirstPage {
    /// The cause.
    #[schema(examples("source_unavailable"))]
    pub(super) cause: &'static str,
    /// Batches that are to be exported.
    pub(super) batches: u64,
    /// Messages in them.
    pub(super) messages: u64,
    /// Windows whose ids are to be read, and migrations whose next window can't be opened.
    pub(super) windows: u64,
    /// Since when the oldest of all these has been waiting.
    pub(super) since: Timestamp,
    /// When the first of them is tried again. It may be past: then it is on its way.
    pub(super) next_try: Option<Timestamp>,
    /// What one of them met last, for people.
    pub(super) reason: String,
    /// What people can do about it.
    pub(super) remedy: &'static str,
}

/// What was settled, stretch by stretch.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ThroughputChart {
    /// The length of a stretch, in seconds.
    pub(super) bucket_seconds: u64,
    /// The beginning of the first one.
    pub(super) from: Option<Timestamp>,
    /// Now: the last one isn't over.
    pub(super) to: Timestamp,
    /// The oldest first, those without anything included.
    pub(super) buckets: Vec<ThroughputStretch>,
}

/// What was settled in one stretch.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ThroughputStretch {
    /// Its beginning.
    pub(super) at: Timestamp,
    /// Batches.
    pub(super) batches: u64,
    /// Messages in their objects.
    pub(super) messages: u64,
    /// Bytes of their objects, as they are stored.
    pub(super) bytes: u64,
}

/// A stage that somebody paused.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ShownPause {
    /// Which: `harvest` or `export`.
    #[schema(examples("export"))]
    pub(super) stage: &'static str,
    /// Since when.
    pub(super) since: Timestamp,
    /// By whom: the name of a token.
    #[schema(examples("operator"))]
    pub(super) by: String,
    /// Why, where that was said.
    pub(super) reason: Option<String>,
}

/// A verification without its findings, which may be many; `GET /operations/{id}` has them.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ShownVerdict {
    /// Its id.
    pub(super) operation_id: Uuid,
    /// The path under which it is told in full.
    pub(super) status_url: String,
    /// How far it is.
    pub(super) state: ShownState,
    /// `COMPLETE`, `DRIFTED`, `PENDING` or `INCOMPLETE`; of a quick one `CONSISTENT` or `INCONSISTENT`; `null` before its end.
    #[schema(examples("COMPLETE"))]
    pub(super) verdict: Option<String>,
    /// What was verified: a migration's range, or a range of event time; `null` before its end.
    pub(super) scope: Option<Value>,
    /// When it was asked for.
    pub(super) created_at: Timestamp,
    /// When it ended.
    pub(super) finished_at: Option<Timestamp>,
}
