//! Operations as people look for them: of any kind, the newest first, without what they came to, but for verdicts.
//!
//! What an operation is and how it is worked on is `operation.rs`. Ids begin with the time at which they were made, so their
//! order is the operations'.

use crate::db::row::{Columns, at, unreadable};
use crate::jobs::operation::{COLUMNS, bytes, operation_of};
use crate::jobs::{Operation, OperationState};
use crate::{Ledger, LedgerError};
use jiff::Timestamp;
use mysql_async::{Params, Row, Value, params};
use serde::Serialize;
use uuid::Uuid;

/// What a list shows of an operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OperationBrief {
    /// Its id.
    #[serde(rename = "operationId")]
    pub id: Uuid,
    /// Which job.
    pub kind: String,
    /// How far it is.
    pub state: OperationState,
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

/// What a verification came to, without its findings, which may be many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerdictBrief {
    /// The verification.
    pub operation: OperationBrief,
    /// Its verdict; `None`: it isn't over, or it failed.
    pub verdict: Option<String>,
    /// What it was about, as JSON.
    pub scope: Option<serde_json::Value>,
}

/// Which operations to list.
#[derive(Debug, Clone, Default)]
pub struct OperationFilter {
    /// Only of this kind.
    pub kind: Option<String>,
    /// Only in one of these states; none named: in any.
    pub states: Vec<OperationState>,
    /// Only those that were asked for from then on.
    pub from: Option<Timestamp>,
    /// Only those that were asked for before then.
    pub to: Option<Timestamp>,
    /// Only those before this one (the list is newest first): the cursor.
    pub before: Option<Uuid>,
    /// How many at most.
    pub limit: u32,
}

impl OperationFilter {
    /// The newest of a kind.
    pub fn newest(kind: &str, limit: u32) -> Self {
        Self {
            kind: Some(kind.to_owned()),
            limit,
            ..Self::default()
        }
    }

    fn wanted(&self) -> String {
        let states: Vec<String> = self
            .states
            .iter()
            .map(|state| format!("'{}'", state.as_str()))
            .collect();
        let in_state = if states.is_empty() {
            "TRUE".to_owned()
        } else {
            format!("state IN ({})", states.join(", "))
        };
        format!(
            "WHERE {in_state} AND (:kind IS NULL OR kind = :kind) AND (:before IS NULL OR id < :before) \
             AND (:from IS NULL OR created_at >= :from) AND (:to IS NULL OR created_at < :to) \
             ORDER BY id DESC LIMIT :limit"
        )
    }

    fn params(&self) -> Params {
        params! {
            "kind" => self.kind.as_deref(), "before" => self.before.map_or(Value::NULL, bytes),
            "from" => self.from.map_or(Value::NULL, at), "to" => self.to.map_or(Value::NULL, at),
            "limit" => self.limit,
        }
    }
}

impl Ledger {
    /// Operations, the newest first.
    pub async fn operations_by(&self, filter: &OperationFilter) -> Result<Vec<OperationBrief>, LedgerError> {
        let query = &format!(
            "SELECT id, kind, state, error_text, requested_by, created_at, updated_at, finished_at FROM operation {}",
            filter.wanted()
        );
        self.read("list operations of any kind", |mut reader| async move {
            let rows: Vec<Row> = reader.rows(query, filter.params()).await?;
            rows.into_iter().map(brief_of).collect()
        })
        .await
    }

    /// Operations, the newest first, with their arguments and results, which may be megabytes long.
    pub async fn operations(&self, filter: &OperationFilter) -> Result<Vec<Operation>, LedgerError> {
        let query = &format!("SELECT {COLUMNS} FROM operation {}", filter.wanted());
        self.read("list operations", |mut reader| async move {
            let rows: Vec<Row> = reader.rows(query, filter.params()).await?;
            rows.into_iter().map(operation_of).collect()
        })
        .await
    }

    /// The newest operations of a kind whose result has a `verdict` and a `scope`: of a result that may be megabytes long only
    /// these two are read.
    pub async fn verdicts(&self, kind: &str, limit: u32) -> Result<Vec<VerdictBrief>, LedgerError> {
        self.read("list verdicts", |mut reader| async move {
            let rows: Vec<Row> = reader
                .rows(
                    "SELECT id, kind, state, error_text, requested_by, created_at, updated_at, finished_at, \
                     JSON_UNQUOTE(JSON_EXTRACT(result, '$.verdict')) AS verdict, \
                     CAST(JSON_EXTRACT(result, '$.scope') AS CHAR) AS scope FROM operation \
                     WHERE kind = ? ORDER BY created_at DESC LIMIT ?",
                    (kind, limit),
                )
                .await?;
            rows.into_iter().map(verdict_of).collect()
        })
        .await
    }
}

fn verdict_of(mut row: Row) -> Result<VerdictBrief, LedgerError> {
    let scope: Option<String> = row.column("scope")?;
    let scope = scope.map(|json| serde_json::from_str(&json)).transpose();
    Ok(VerdictBrief {
        verdict: row.column("verdict")?,
        scope: scope.map_err(|error| unreadable("scope", &error))?,
        operation: brief_of(row)?,
    })
}

fn brief_of(mut row: Row) -> Result<OperationBrief, LedgerError> {
    let (id, state): (Vec<u8>, String) = (row.column("id")?, row.column("state")?);
    Ok(OperationBrief {
        id: Uuid::from_slice(&id).map_err(|error| unreadable("id", &error))?,
        kind: row.column("kind")?,
        state: OperationState::parse(&state).ok_or_else(|| unreadable("state", &state))?,
        error: row.column("error_text")?,
        requested_by: row.column("requested_by")?,
        created_at: row.instant("created_at")?,
        updated_at: row.instant("updated_at")?,
        finished_at: row.instant_or_null("finished_at")?,
    })
}
