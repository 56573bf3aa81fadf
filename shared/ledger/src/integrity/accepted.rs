//! Exceptions that an operator accepts: how many messages of a kind, of an index, may be absent from the archive.
//!
//! A row is one kind of one index. Accepting again replaces the row; accepting none removes it. Accepting less takes back
//! every proof that relies on accepted exceptions: those windows are verified again. Not here: who finds the exceptions
//! and compares (`granary-verify`). When a write fails, what was accepted before stays accepted.

use crate::db::connect::Doing;
use crate::db::connections::Transaction;
use crate::db::error::During;
use crate::db::row::Columns;
use crate::integrity::differing::NOT_VERIFIED;
use crate::{Ledger, LedgerError};
use granary_domain::ExceptionKind;
use granary_steps::Step;
use jiff::Timestamp;
use mysql_async::{Row, params};

/// A verification reads so many rows at most. What is beyond them is not accepted.
const ACCEPTED_MAX: u32 = 10_000;
/// Which proofs are taken back: all of them, or those that rely on accepted exceptions.
pub(crate) const EVERY_PROOF: &str = "TRUE";
const PROOFS_WITH_ACCEPTED: &str = "p.accepted = TRUE";

/// What an operator accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptedException {
    /// The kind of exception.
    pub kind: ExceptionKind,
    /// The concrete index.
    pub index: String,
    /// Messages of them at most.
    pub max: u64,
    /// Why.
    pub reason: String,
    /// When it was accepted last.
    pub accepted_at: Timestamp,
    /// By whom.
    pub accepted_by: String,
}

/// What is to be accepted.
#[derive(Debug, Clone, Copy)]
pub struct Acceptance<'a> {
    /// The kind of exception.
    pub kind: ExceptionKind,
    /// The concrete index.
    pub index: &'a str,
    /// Messages of them at most; 0: none any more.
    pub max: u64,
    /// Why.
    pub reason: &'a str,
}

impl Ledger {
    /// What is accepted, by kind and index.
    pub async fn accepted_exceptions(&self) -> Result<Vec<AcceptedException>, LedgerError> {
        self.read("list accepted exceptions", |mut reader| async move {
            let rows: Vec<Row> = reader
                .rows(
                    "SELECT kind, index_name, max_messages, reason, accepted_at, accepted_by FROM accepted_exception \
                     ORDER BY kind, index_name LIMIT ?",
                    (ACCEPTED_MAX,),
                )
                .await?;
            rows.into_iter().map(accepted_of).collect()
        })
        .await
    }

    /// Accepts exceptions of a kind and an index, or none any more.
    pub async fn accept_exceptions(&self, accepted: &Acceptance<'_>, who: &str) -> Result<(), LedgerError> {
        let statement = if accepted.max == 0 {
            "DELETE FROM accepted_exception WHERE kind = :kind AND index_name = :index"
        } else {
            "INSERT INTO accepted_exception (kind, index_name, max_messages, reason, accepted_at, accepted_by) \
             VALUES (:kind, :index, :max, :reason, UTC_TIMESTAMP(6), :who) ON DUPLICATE KEY UPDATE \
             max_messages = VALUES(max_messages), reason = VALUES(reason), accepted_at = VALUES(accepted_at), \
             accepted_by = VALUES(accepted_by)"
        };
        self.change(Step::AcceptExceptions, |doing| async move {
            let mut transaction = self.begin(doing).await?;
            let before: Option<u64> = transaction
                .exec_first(
                    "SELECT max_messages FROM accepted_exception WHERE kind = ? AND index_name = ? FOR UPDATE",
                    (accepted.kind.as_str(), accepted.index),
                )
                .await
                .during(doing)?;
            let values = params! {
                "kind" => accepted.kind.as_str(), "index" => accepted.index, "max" => accepted.max,
                "reason" => accepted.reason, "who" => who,
            };
            transaction.exec_drop(statement, values).await.during(doing)?;
            if before.is_some_and(|before| accepted.max < before) {
                take_back_proofs(&mut transaction, doing, PROOFS_WITH_ACCEPTED).await?;
            }
            transaction.commit().await.during(doing)
        })
        .await
    }
}

/// The windows of these proofs are as if they had never been verified.
pub(crate) async fn take_back_proofs(
    transaction: &mut Transaction,
    doing: Doing,
    which: &'static str,
) -> Result<(), LedgerError> {
    transaction
        .query_drop(format!(
            "UPDATE window_proof p JOIN harvest_window w ON w.id = p.window_id \
             LEFT JOIN window_scan s ON s.window_id = w.id SET {NOT_VERIFIED}, p.outcome = NULL, p.as_of = NULL, \
             p.proven_at = NULL, p.final_at = NULL, p.source_at = NULL, p.asked_at = NULL, p.asked = 0, \
             p.accepted = FALSE WHERE {which}"
        ))
        .await
        .during(doing)
}

/// Whether an operator accepts as much as these say. The answer holds until the end of the transaction.
pub(crate) async fn are_accepted_still(
    transaction: &mut Transaction,
    doing: Doing,
    relied_on: &[AcceptedException],
) -> Result<bool, LedgerError> {
    for accepted in relied_on {
        let now: Option<u64> = transaction
            .exec_first(
                "SELECT max_messages FROM accepted_exception WHERE kind = ? AND index_name = ? LOCK IN SHARE MODE",
                (accepted.kind.as_str(), &accepted.index),
            )
            .await
            .during(doing)?;
        if now.is_none_or(|now| now < accepted.max) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn accepted_of(mut row: Row) -> Result<AcceptedException, LedgerError> {
    Ok(AcceptedException {
        kind: row.parsed("kind")?,
        index: row.text("index_name")?,
        max: row.column("max_messages")?,
        reason: row.column("reason")?,
        accepted_at: row.instant("accepted_at")?,
        accepted_by: row.column("accepted_by")?,
    })
}
