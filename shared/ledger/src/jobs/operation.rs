//! Operations: long jobs that somebody asked for, worked on in slices by whoever has time.
//!
//! A slice is held by lease and fence, like a batch. Its kind, arguments, progress and result are the business of the
//! room that does the work; here they are JSON.

use crate::db::error::During;
use crate::db::row::{Columns, unreadable};
use crate::export::Fenced;
use crate::harvest::window::micros;
use crate::{Ledger, LedgerError};
use granary_domain::Fence;
use granary_steps::Step;
use jiff::Timestamp;
use mysql_async::{Params, Row, Value, params};
use serde::Serialize;
use std::time::Duration;
use uuid::Uuid;

/// How far an operation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OperationState {
    /// Nobody works on it at the moment.
    Waiting,
    /// Somebody does.
    Running,
    /// It has a result.
    Succeeded,
    /// It was given up, and the error says why.
    Failed,
    /// An operator cancelled it.
    Cancelled,
}

impl OperationState {
    /// Whether it has come to its end.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }

    /// The name in the ledger and in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The state of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "waiting" => Self::Waiting,
            "running" => Self::Running,
            "succeeded" => Self::Succeeded,
            "failed" => Self::Failed,
            "cancelled" => Self::Cancelled,
            _ => return None,
        })
    }
}

/// An operation to be made.
#[derive(Debug, Clone)]
pub struct NewOperation {
    /// Its id, chosen by the caller: making it twice makes it once.
    pub id: Uuid,
    /// Which job: `verify`, `seed`, `clear`.
    pub kind: String,
    /// What exactly, as JSON.
    pub arguments: serde_json::Value,
    /// Who asked.
    pub requested_by: String,
}

/// An operation as it stands.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Operation {
    /// Its id.
    pub id: Uuid,
    /// Which job.
    pub kind: String,
    /// How far it is.
    pub state: OperationState,
    /// What exactly was asked for.
    pub arguments: serde_json::Value,
    /// How far it is, in its own words.
    pub progress: Option<serde_json::Value>,
    /// What it came to.
    pub result: Option<serde_json::Value>,
    /// Why it failed, or why its last slice did.
    pub error: Option<String>,
    /// Who asked.
    pub requested_by: String,
    /// When.
    pub created_at: Timestamp,
    /// When it last moved.
    pub updated_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

/// An operation in somebody's hands.
#[derive(Debug, Clone)]
pub struct OperationSlice {
    /// Its id.
    pub id: Uuid,
    /// Which job.
    pub kind: String,
    /// What exactly was asked for.
    pub arguments: serde_json::Value,
    /// Where the slice before left off.
    pub progress: Option<serde_json::Value>,
    /// The fence of whoever holds it.
    pub fence: Fence,
}

pub(crate) const COLUMNS: &str = "id, kind, state, arguments, progress, result, error_text, requested_by, fence, created_at, \
                       updated_at, finished_at, failures";
/// In a row, without any progress between them. A slice whose worker died counts as failed.
const SLICES_FAILED_MAX: u32 = 10;
const TAKEN: &str = "state = 'running', lease_until = UTC_TIMESTAMP(6) + INTERVAL :value MICROSECOND";
const GIVEN_UP: &str =
    "state = 'failed', lease_until = NULL, finished_at = UTC_TIMESTAMP(6), error_text = :value";
const DIED_TOO_OFTEN: &str =
    "its worker died ten times in a row at the same step; the log of the function says how";
/// The kind of the one operation that only those work on who ask for it by its id: it needs rights that the reaper
/// doesn't have.
pub const CONSUMERS_RESTART: &str = "consumers.restart";

impl Ledger {
    /// Makes an operation. One that exists already is left as it is.
    pub async fn make_operation(&self, new: &NewOperation) -> Result<(), LedgerError> {
        self.change(Step::MakeOperation, |doing| async move {
            let mut conn = self.conn(doing).await?;
            conn.exec_drop(
                "INSERT INTO operation (id, kind, arguments, requested_by, created_at, updated_at) \
                 VALUES (:id, :kind, :arguments, :by, UTC_TIMESTAMP(6), UTC_TIMESTAMP(6)) \
                 ON DUPLICATE KEY UPDATE id = id",
                params! {
                    "id" => bytes(new.id), "kind" => &new.kind, "arguments" => new.arguments.to_string(),
                    "by" => &new.requested_by,
                },
            )
            .await
            .during(doing)
        })
        .await
    }

    /// One operation.
    pub async fn operation(&self, id: Uuid) -> Result<Option<Operation>, LedgerError> {
        self.read("read an operation", |mut reader| async move {
            let query = &format!("SELECT {COLUMNS} FROM operation WHERE id = ?");
            let row: Option<Row> = reader.first(query, (bytes(id),)).await?;
            row.map(operation_of).transpose()
        })
        .await
    }

    /// Claims an operation that no worker holds: the given one, or the one that was worked on longest ago and isn't a
    /// restart of consumers. One whose worker died for the tenth time in a row ends here, and isn't claimed.
    pub async fn claim_operation(
        &self,
        id: Option<Uuid>,
        lease: Duration,
    ) -> Result<Option<OperationSlice>, LedgerError> {
        self.take_operation(id, &[], lease).await
    }

    /// The same for the one that was worked on longest ago, without some that had their turn.
    pub async fn claim_next_operation(
        &self,
        except: &[Uuid],
        lease: Duration,
    ) -> Result<Option<OperationSlice>, LedgerError> {
        self.take_operation(None, except, lease).await
    }

    async fn take_operation(
        &self,
        id: Option<Uuid>,
        except: &[Uuid],
        lease: Duration,
    ) -> Result<Option<OperationSlice>, LedgerError> {
        let except: String = except
            .iter()
            .map(|id| format!(", UNHEX('{}')", id.simple()))
            .collect();
        let except = &except;
        self.change(Step::ClaimOperation, |doing| async move {
            let mut transaction = self.begin(doing).await?;
            let query = &format!(
                "SELECT {COLUMNS} FROM operation WHERE (id = :id OR (:id IS NULL AND kind <> '{CONSUMERS_RESTART}')) \
                 AND (state = 'waiting' OR (state = 'running' AND lease_until < UTC_TIMESTAMP(6))) \
                 AND id NOT IN (''{except}) ORDER BY updated_at, created_at LIMIT 1 FOR UPDATE SKIP LOCKED"
            );
            let row: Option<Row> = transaction
                .exec_first(query, params! { "id" => id.map_or(Value::NULL, bytes) })
                .await
                .during(doing)?;
            let Some(mut row) = row else {
                transaction.rollback().await.during(doing)?;
                return Ok(None);
            };
            let fence: u32 = row.column("fence")?;
            let failures: u32 = row.column("failures")?;
            let found = operation_of(row)?;
            let has_died = found.state == OperationState::Running;
            let is_given_up = has_died && failures + 1 >= SLICES_FAILED_MAX;
            let (changes, value) = if is_given_up {
                (GIVEN_UP, Value::from(DIED_TOO_OFTEN))
            } else {
                (TAKEN, Value::from(micros(lease)))
            };
            transaction
                .exec_drop(
                    format!(
                        "UPDATE operation SET {changes}, fence = fence + 1, failures = failures + :died, \
                         updated_at = UTC_TIMESTAMP(6) WHERE id = :id"
                    ),
                    params! { "value" => value, "died" => has_died, "id" => bytes(found.id) },
                )
                .await
                .during(doing)?;
            transaction.commit().await.during(doing)?;
            Ok((!is_given_up).then_some(OperationSlice {
                id: found.id,
                kind: found.kind,
                arguments: found.arguments,
                progress: found.progress,
                fence: Fence(fence + 1),
            }))
        })
        .await
    }

    /// Writes down how far a slice is, and renews its lease.
    pub async fn save_progress(
        &self,
        slice: &OperationSlice,
        progress: &serde_json::Value,
        lease: Duration,
    ) -> Result<Fenced, LedgerError> {
        self.change_operation(
            Step::SaveProgress,
            slice,
            "progress = :text, failures = 0, error_text = NULL, \
             lease_until = UTC_TIMESTAMP(6) + INTERVAL :lease MICROSECOND",
            params! { "text" => progress.to_string(), "lease" => micros(lease) },
        )
        .await
    }

    /// Renews a slice's lease while it is at one piece of work: the heartbeat.
    pub async fn renew_operation(
        &self,
        slice: &OperationSlice,
        lease: Duration,
    ) -> Result<Fenced, LedgerError> {
        self.change_operation(
            Step::RenewOperation,
            slice,
            "lease_until = UTC_TIMESTAMP(6) + INTERVAL :lease MICROSECOND",
            params! { "lease" => micros(lease) },
        )
        .await
    }

    /// Leaves an operation to the next who has time.
    pub async fn release_operation(&self, slice: &OperationSlice) -> Result<Fenced, LedgerError> {
        self.change_operation(
            Step::ReleaseOperation,
            slice,
            "state = 'waiting', lease_until = NULL",
            Params::Empty,
        )
        .await
    }

    /// Ends an operation with its result.
    pub async fn finish_operation(
        &self,
        slice: &OperationSlice,
        result: &serde_json::Value,
    ) -> Result<Fenced, LedgerError> {
        self.change_operation(
            Step::FinishOperation,
            slice,
            "state = 'succeeded', result = :text, finished_at = UTC_TIMESTAMP(6), error_text = NULL, \
             lease_until = NULL",
            params! { "text" => result.to_string() },
        )
        .await
    }

    /// Writes down why a slice failed. The operation is tried again, at most 10 times in a row.
    pub async fn fail_slice(&self, slice: &OperationSlice, error: &str) -> Result<Fenced, LedgerError> {
        let changes = format!(
            "failures = failures + 1, error_text = :text, state = IF(failures >= {SLICES_FAILED_MAX}, 'failed', \
             'waiting'), finished_at = IF(failures >= {SLICES_FAILED_MAX}, UTC_TIMESTAMP(6), NULL), \
             lease_until = NULL"
        );
        self.change_operation(
            Step::FailSlice,
            slice,
            &changes,
            params! { "text" => crate::export::settle::shortened(error) },
        )
        .await
    }

    /// Ends an operation that can't succeed however often it is tried.
    pub async fn fail_operation(&self, slice: &OperationSlice, error: &str) -> Result<Fenced, LedgerError> {
        self.change_operation(
            Step::FailOperation,
            slice,
            "state = 'failed', error_text = :text, finished_at = UTC_TIMESTAMP(6), lease_until = NULL",
            params! { "text" => crate::export::settle::shortened(error) },
        )
        .await
    }

    /// Cancels an operation that isn't over; not a restart of consumers, which must come to its end. Its worker loses it
    /// at its next step. `Refused`: it is over, or none.
    pub async fn cancel_operation(&self, id: Uuid) -> Result<Fenced, LedgerError> {
        self.change(Step::CancelOperation, |doing| async move {
            let mut conn = self.conn(doing).await?;
            conn.exec_drop(
                format!(
                    "UPDATE operation SET state = 'cancelled', fence = fence + 1, lease_until = NULL, \
                     finished_at = UTC_TIMESTAMP(6), updated_at = UTC_TIMESTAMP(6) \
                     WHERE id = ? AND state IN ('waiting', 'running') AND kind <> '{CONSUMERS_RESTART}'"
                ),
                (bytes(id),),
            )
            .await
            .during(doing)?;
            Ok(Fenced::by(conn.affected_rows()))
        })
        .await
    }

    async fn change_operation(
        &self,
        step: Step,
        slice: &OperationSlice,
        changes: &str,
        params: Params,
    ) -> Result<Fenced, LedgerError> {
        let statement = &format!(
            "UPDATE operation SET {changes}, updated_at = UTC_TIMESTAMP(6) \
             WHERE id = UNHEX('{}') AND fence = {} AND state = 'running'",
            slice.id.simple(),
            slice.fence
        );
        let params = &params;
        self.change(step, |doing| async move {
            let mut conn = self.conn(doing).await?;
            conn.exec_drop(statement, params.clone()).await.during(doing)?;
            Ok(Fenced::by(conn.affected_rows()))
        })
        .await
    }
}

pub(crate) fn bytes(id: Uuid) -> Value {
    Value::Bytes(id.as_bytes().to_vec())
}

pub(crate) fn operation_of(mut row: Row) -> Result<Operation, LedgerError> {
    let id: Vec<u8> = row.column("id")?;
    let state: String = row.column("state")?;
    Ok(Operation {
        id: Uuid::from_slice(&id).map_err(|error| unreadable("id", &error))?,
        kind: row.column("kind")?,
        state: OperationState::parse(&state).ok_or_else(|| unreadable("state", &state))?,
        arguments: json(&mut row, "arguments")?.unwrap_or_default(),
        progress: json(&mut row, "progress")?,
        result: json(&mut row, "result")?,
        error: row.column("error_text")?,
        requested_by: row.column("requested_by")?,
        created_at: row.instant("created_at")?,
        updated_at: row.instant("updated_at")?,
        finished_at: row.instant_or_null("finished_at")?,
    })
}

fn json(row: &mut Row, name: &'static str) -> Result<Option<serde_json::Value>, LedgerError> {
    let text: Option<String> = row.column(name)?;
    text.map(|text| serde_json::from_str(&text))
        .transpose()
        .map_err(|error| unreadable(name, &error))
}
