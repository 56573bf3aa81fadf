//! Recording a page of ids: every hit gets an owner, or a column in the account that says why not.
//!
//! The common page is new as a whole and costs one question, one INSERT for its batches, one INSERT IGNORE for each 512 messages and
//! one UPDATE of the window. A page that is known as a whole costs one question (`known.rs`). Otherwise it is looked up why a message is
//! known: unowned (adopted), owned by another window, or a second document with the same id. What is in a sealed hour isn't recorded again:
//! it is owned elsewhere, by the sealed row.

use crate::db::connect::Doing;
use crate::db::connections::Transaction;
use crate::db::error::During;
use crate::db::row::Columns;
use crate::harvest::LeasedWindow;
use crate::harvest::account::record_messages;
use crate::harvest::plan::batches_at_most;
use crate::harvest::window::micros;
use crate::integrity::sealed::{closed_hours, without_closed};
use crate::{Ledger, LedgerError};
use granary_domain::{MessageId, Tally};
use granary_steps::Step;
use jiff::Timestamp;
use mysql_async::{Row, params};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// A message as the source showed it.
#[derive(Debug, Clone)]
pub struct SeenMessage {
    /// Its id.
    pub message_id: MessageId,
    /// The document's `_id`; `None`: the same as the message's id.
    pub doc_id: Option<String>,
    /// The concrete index.
    pub index: Arc<str>,
    /// Custom routing, if any.
    pub routing: Option<String>,
    /// Its event time.
    pub event_time: Timestamp,
}

/// A page of hits, in the order in which the source showed them.
#[derive(Debug)]
pub struct PageOfMessages<'a> {
    /// Hits with a usable id.
    pub messages: &'a [SeenMessage],
    /// Hits without one.
    pub without_id: u64,
    /// What became of the window's hits before this page.
    pub tally_before: Tally,
    /// Where the reading goes on after this page.
    pub bookmark: &'a str,
}

/// What became of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// Everything stands in the ledger.
    Done {
        /// The window's account after the page.
        tally: Tally,
        /// Batches that were made and now wait to be sent.
        batches: u32,
    },
    /// The window belongs to somebody else now: nothing was written.
    Refused,
}

const OPERATION: &str = Step::RecordPage.operation();

impl Ledger {
    /// Records one page of a held window and moves its bookmark, in one transaction. The lease is renewed with it.
    /// [`LedgerError::OutOfNumbers`]: nothing was written; `granary-numbering` reserves numbers and calls again.
    pub async fn record_page(
        &self,
        window: &LeasedWindow,
        page: &PageOfMessages<'_>,
        lease: Duration,
    ) -> Result<Recorded, LedgerError> {
        let numbers = &self
            .take_numbers(batches_at_most(page.messages, window.batch_size))
            .await?;
        self.change(Step::RecordPage, |doing| {
            self.try_record_page(doing, window, page, (lease, numbers.clone()))
        })
        .await
    }

    async fn try_record_page(
        &self,
        doing: Doing,
        window: &LeasedWindow,
        page: &PageOfMessages<'_>,
        (lease, numbers): (Duration, Range<u64>),
    ) -> Result<Recorded, LedgerError> {
        let mut transaction = self.begin(doing).await?;
        let recorded = match lock_window(&mut transaction, window).await? {
            WindowNow::Lost => Recorded::Refused,
            WindowNow::AfterThisPage { tally } => Recorded::Done { tally, batches: 0 },
            WindowNow::BeforeThisPage { batches } => {
                let closed = closed_hours(&mut transaction, window, page.messages, doing).await?;
                let kept = without_closed(page.messages, &closed);
                let messages = kept.as_ref().map_or(page.messages, |(open, _)| open);
                let in_closed_hours = kept.as_ref().map_or(0, |(_, left_out)| *left_out);
                let accounted =
                    record_messages(&mut transaction, window, messages, (batches, numbers)).await?;
                let tally = page.tally_before
                    + Tally {
                        found: page.messages.len() as u64 + page.without_id,
                        without_id: page.without_id,
                        owned_elsewhere: accounted.tally.owned_elsewhere + in_closed_hours,
                        ..accounted.tally
                    };
                let tally = tally
                    .balanced()
                    .map_err(|mismatch| LedgerError::inconsistent(doing, mismatch.to_string()))?;
                move_bookmark(
                    &mut transaction,
                    window,
                    page,
                    tally,
                    (accounted.batches_planned, lease),
                )
                .await?;
                Recorded::Done {
                    tally,
                    batches: accounted.batches_kept,
                }
            }
        };
        transaction.commit().await.during(doing)?;
        Ok(recorded)
    }
}

enum WindowNow {
    Lost,
    BeforeThisPage {
        batches: u32,
    },
    /// This page was committed, and the answer was lost.
    AfterThisPage {
        tally: Tally,
    },
}

/// Locks the window's row for the rest of the transaction, so that whoever takes the window over waits for it.
async fn lock_window(transaction: &mut Transaction, window: &LeasedWindow) -> Result<WindowNow, LedgerError> {
    let row: Option<Row> = transaction
        .exec_first(
            "SELECT pages, batches, found, recorded, adopted, owned_elsewhere, duplicates, without_id \
             FROM harvest_window WHERE id = ? AND fence = ? AND state = 'harvesting' FOR UPDATE",
            (window.id.0, window.fence.0),
        )
        .await
        .during(OPERATION)?;
    let Some(mut row) = row else {
        return Ok(WindowNow::Lost);
    };
    let pages: u32 = row.column("pages")?;
    if pages == window.pages {
        Ok(WindowNow::BeforeThisPage {
            batches: row.column("batches")?,
        })
    } else if pages == window.pages + 1 {
        Ok(WindowNow::AfterThisPage {
            tally: crate::harvest::window::tally_of(&mut row)?,
        })
    } else {
        let reason = format!(
            "window {} is at page {pages}, its harvester at {}",
            window.id, window.pages
        );
        Err(LedgerError::inconsistent(OPERATION, reason))
    }
}

async fn move_bookmark(
    transaction: &mut Transaction,
    window: &LeasedWindow,
    page: &PageOfMessages<'_>,
    tally: Tally,
    (batches_planned, lease): (u32, Duration),
) -> Result<(), LedgerError> {
    transaction
        .exec_drop(
            "UPDATE harvest_window SET found = :found, recorded = :recorded, adopted = :adopted, \
             owned_elsewhere = :owned_elsewhere, duplicates = :duplicates, without_id = :without_id, \
             bookmark = :bookmark, pages = pages + 1, batches = batches + :batches, \
             lease_until = UTC_TIMESTAMP(6) + INTERVAL :lease MICROSECOND WHERE id = :id",
            params! {
                "found" => tally.found, "recorded" => tally.recorded, "adopted" => tally.adopted,
                "owned_elsewhere" => tally.owned_elsewhere, "duplicates" => tally.duplicate,
                "without_id" => tally.without_id, "bookmark" => page.bookmark, "batches" => batches_planned,
                "lease" => micros(lease), "id" => window.id.0,
            },
        )
        .await
        .during(OPERATION)
}
