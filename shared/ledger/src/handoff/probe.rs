//! Probes: messages that want nothing of the exporter but to be seen. They show that a queue, its trigger and the exporter
//! work, and how long a message takes.
//!
//! A probe is expected before it is sent, so that its arrival finds a row; one whose row is gone arrives all the same, and
//! is acknowledged. Not responsible for sending (`granary-handoff`). Where a row can't be written, the message comes back.

use crate::db::error::During;
use crate::db::row::{Columns, unreadable};
use crate::harvest::window::micros;
use crate::{Ledger, LedgerError};
use granary_domain::Priority;
use granary_steps::Step;
use jiff::Timestamp;
use mysql_async::{Params, Row, Value, params};
use serde::Serialize;
use std::time::Duration;
use uuid::Uuid;

/// One of the two queues of the hand-off, by the name that people know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum QueueLane {
    /// Batches of ordinary priority.
    #[serde(rename = "batches")]
    Normal,
    /// Batches of priority 5 and above.
    #[serde(rename = "batches-priority")]
    Priority,
}

/// A probe that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// Its id.
    pub id: Uuid,
    /// Where it was sent to.
    pub queue: QueueLane,
    /// When.
    pub sent_at: Timestamp,
    /// When an exporter had it in hand for the first time.
    pub received_at: Option<Timestamp>,
    /// Which exporter.
    pub worker: Option<String>,
    /// From `sent_at` up to its arrival, or up to now where it hasn't arrived.
    pub elapsed: Duration,
}

impl QueueLane {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Normal, Self::Priority];

    /// Its name in the ledger and in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "batches",
            Self::Priority => "batches-priority",
        }
    }

    pub(crate) fn parse(name: &str) -> Result<Self, LedgerError> {
        let of_name = |lane: &Self| lane.as_str() == name;
        let lane = Self::ALL.into_iter().find(of_name);
        lane.ok_or_else(|| unreadable("queue", &"it is no queue of the hand-off"))
    }

    /// Batches take this queue whose priority is at least the first number and below the second.
    pub(crate) fn priorities(self) -> (u8, u8) {
        match self {
            Self::Normal => (0, Priority::URGENT_FROM),
            Self::Priority => (Priority::URGENT_FROM, u8::MAX),
        }
    }
}

impl Ledger {
    /// Expects probes. One that is expected already stays as it is.
    pub async fn expect_probes(&self, queue: QueueLane, probes: &[Uuid]) -> Result<(), LedgerError> {
        if probes.is_empty() {
            return Ok(());
        }
        let mut rows = "(?, ?, UTC_TIMESTAMP(6)),".repeat(probes.len());
        rows.pop();
        let statement =
            &format!("INSERT INTO probe (id, queue, sent_at) VALUES {rows} ON DUPLICATE KEY UPDATE id = id");
        self.change(Step::ExpectProbes, |doing| async move {
            let mut conn = self.conn(doing).await?;
            let values = probes
                .iter()
                .flat_map(|probe| [bytes(*probe), queue.as_str().into()])
                .collect();
            conn.exec_drop(statement, Params::Positional(values))
                .await
                .during(doing)
        })
        .await
    }

    /// Writes down that a probe has arrived. Its first arrival counts.
    pub async fn receive_probe(&self, probe: Uuid, worker: &str) -> Result<(), LedgerError> {
        self.change(Step::ReceiveProbe, |doing| async move {
            let mut conn = self.conn(doing).await?;
            conn.exec_drop(
                "UPDATE probe SET received_at = UTC_TIMESTAMP(6), worker = :worker \
                 WHERE id = :id AND received_at IS NULL",
                params! { "worker" => worker, "id" => bytes(probe) },
            )
            .await
            .during(doing)
        })
        .await
    }

    /// The probes that were sent last, the newest first.
    pub async fn probes(&self, limit: u32) -> Result<Vec<Probe>, LedgerError> {
        self.read("list probes", |mut reader| async move {
            let rows: Vec<Row> = reader
                .rows(
                    "SELECT id, queue, sent_at, received_at, worker, \
                     CAST(GREATEST(TIMESTAMPDIFF(MICROSECOND, sent_at, COALESCE(received_at, UTC_TIMESTAMP(6))), 0) \
                     AS UNSIGNED) AS elapsed FROM probe ORDER BY sent_at DESC LIMIT ?",
                    (limit,),
                )
                .await?;
            rows.into_iter().map(probe_of).collect()
        })
        .await
    }

    /// Forgets probes that were sent longer ago than `age`, up to `limit` of them. Says how many.
    pub async fn forget_probes(&self, age: Duration, limit: u32) -> Result<u64, LedgerError> {
        self.change(Step::ForgetProbes, |doing| async move {
            let mut conn = self.conn(doing).await?;
            conn.exec_drop(
                "DELETE FROM probe WHERE sent_at < UTC_TIMESTAMP(6) - INTERVAL :age MICROSECOND \
                 ORDER BY sent_at LIMIT :most",
                params! { "age" => micros(age), "most" => limit },
            )
            .await
            .during(doing)?;
            Ok(conn.affected_rows())
        })
        .await
    }
}

fn probe_of(mut row: Row) -> Result<Probe, LedgerError> {
    let id: Vec<u8> = row.column("id")?;
    let queue: String = row.column("queue")?;
    Ok(Probe {
        id: Uuid::from_slice(&id).map_err(|error| unreadable("id", &error))?,
        queue: QueueLane::parse(&queue)?,
        sent_at: row.instant("sent_at")?,
        received_at: row.instant_or_null("received_at")?,
        worker: row.column("worker")?,
        elapsed: Duration::from_micros(row.column("elapsed")?),
    })
}

fn bytes(id: Uuid) -> Value {
    Value::Bytes(id.as_bytes().to_vec())
}
