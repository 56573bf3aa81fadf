//! Recording what a harvest left out: messages that a verification met at the source and that nobody owns.
//!
//! They go the way of every message, through the account of a window, into batches that wait to be sent. The window is
//! recorded from the beginning: there is nothing in it that a harvester would have to read. It belongs to a migration
//! of the repair's own, which has its whole range in windows and so is draining.

use crate::db::connect::Doing;
use crate::db::connections::Transaction;
use crate::db::error::During;
use crate::db::ids::{BY_HASH, Ids};
use crate::db::row::{Columns, LOOKED_UP_KEYS_MAX, at, uuid};
use crate::harvest::account::record_messages;
use crate::harvest::plan::batches_at_most;
use crate::harvest::window::tally_of;
use crate::harvest::{LeasedWindow, Scan, SeenMessage};
use crate::integrity::sealed::closed_hours;
use crate::{Ledger, LedgerError};
use granary_domain::{
    Fence, Hour, MigrationId, MigrationKind, MigrationState, ObjectKey, Priority, Tally, TimeRange, WindowId,
};
use granary_steps::Step;
use mysql_async::{Row, params};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::ops::Range;

/// The migration under which messages are recorded, or batches exported again, that nobody else is responsible for. It is
/// made when it is first needed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RepairMigration {
    /// Its id, chosen by the caller.
    pub id: MigrationId,
    /// What is verified, or otherwise looked at.
    pub range: TimeRange,
    /// Messages in a batch at most.
    pub batch_size: u32,
    /// How urgent it is.
    pub priority: Priority,
    /// Who asked, or what.
    pub requested_by: String,
}

/// What recording came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FoundAgain {
    /// So many of the messages are the repair's by now.
    Recorded {
        /// How many.
        messages: u64,
    },
    /// Somebody cancelled the repair, or is about to read its window as a whole: nothing was written.
    Refused,
}

impl Ledger {
    /// Records messages that nobody owns, in one transaction. Those that somebody owns by now, and those of sealed hours,
    /// are left alone.
    pub async fn record_found(
        &self,
        migration: &RepairMigration,
        part: TimeRange,
        messages: &[SeenMessage],
    ) -> Result<FoundAgain, LedgerError> {
        if messages.is_empty() {
            return Ok(FoundAgain::Recorded { messages: 0 });
        }
        let numbers = &self
            .take_numbers(batches_at_most(messages, migration.batch_size))
            .await?;
        self.change(Step::RecordFound, |doing| {
            self.try_record_found(doing, migration, part, (messages, None, numbers.clone()))
        })
        .await
    }

    /// The same for messages of an object that a person has adopted: they are exported by copying its lines, since the
    /// source may no longer have their documents.
    pub async fn record_copied(
        &self,
        migration: &RepairMigration,
        part: TimeRange,
        messages: &[SeenMessage],
        object: &ObjectKey,
    ) -> Result<FoundAgain, LedgerError> {
        if messages.is_empty() {
            return Ok(FoundAgain::Recorded { messages: 0 });
        }
        let numbers = &self
            .take_numbers(batches_at_most(messages, migration.batch_size))
            .await?;
        self.change(Step::RecordCopied, |doing| {
            self.try_record_found(doing, migration, part, (messages, Some(object), numbers.clone()))
        })
        .await
    }

    async fn try_record_found(
        &self,
        doing: Doing,
        migration: &RepairMigration,
        part: TimeRange,
        (messages, copied_from, numbers): (&[SeenMessage], Option<&ObjectKey>, Range<u64>),
    ) -> Result<FoundAgain, LedgerError> {
        let mut transaction = self.begin(doing).await?;
        let is_alive = ensure_migration(&mut transaction, doing, migration).await?;
        let window = window_of(&mut transaction, doing, migration, part).await?;
        let Some((window, batches)) = window.filter(|_| is_alive) else {
            transaction.rollback().await.during(doing)?;
            return Ok(FoundAgain::Refused);
        };
        let closed = closed_hours(&mut transaction, &window, messages, doing).await?;
        let mine = recorded_by(&mut transaction, doing, window.id, messages).await?;
        let is_new = |message: &&SeenMessage| {
            !mine.contains(message.message_id.as_str()) && !closed.contains(&Hour::of(message.event_time))
        };
        let news: Vec<SeenMessage> = messages.iter().filter(is_new).cloned().collect();
        let accounted = record_messages(&mut transaction, &window, &news, (batches, numbers)).await?;
        let found = Tally {
            found: news.len() as u64,
            ..accounted.tally
        };
        let tally = (window.tally + found)
            .balanced()
            .map_err(|mismatch| LedgerError::inconsistent(doing, mismatch.to_string()))?;
        account(&mut transaction, doing, &window, tally, accounted.batches_planned).await?;
        if let Some(object) = copied_from {
            transaction
                .exec_drop(
                    "UPDATE batch SET copied_from = ? WHERE window_id = ?",
                    (object.as_str(), window.id.0),
                )
                .await
                .during(doing)?;
        }
        transaction.commit().await.during(doing)?;
        let messages = mine.len() as u64 + found.recorded + found.adopted;
        Ok(FoundAgain::Recorded { messages })
    }
}

/// Makes the migration where it isn't there yet. Says whether it still is what it was made as.
pub(crate) async fn ensure_migration(
    transaction: &mut Transaction,
    doing: Doing,
    migration: &RepairMigration,
) -> Result<bool, LedgerError> {
    transaction
        .exec_drop(
            "INSERT INTO migration (id, kind, state, priority, batch_size, range_from, range_to, harvested_to, requested_by, \
             created_at) VALUES (:id, :kind, :state, :priority, :batch_size, :from, :to, :to, :by, UTC_TIMESTAMP(6)) \
             ON DUPLICATE KEY UPDATE id = VALUES(id)",
            params! {
                "id" => uuid(migration.id),
                "kind" => MigrationKind::Selection.as_str(),
                "state" => MigrationState::Draining.as_str(),
                "priority" => u8::from(migration.priority),
                "batch_size" => migration.batch_size,
                "from" => at(migration.range.from()),
                "to" => at(migration.range.to()),
                "by" => &migration.requested_by,
            },
        )
        .await
        .during(doing)?;
    let state: Option<String> = transaction
        .exec_first("SELECT state FROM migration WHERE id = ?", (uuid(migration.id),))
        .await
        .during(doing)?;
    Ok(state.is_some_and(|state| state != MigrationState::Cancelled.as_str()))
}

/// The repair's window over a part of its range, locked, with how many batches were planned in it. `None`: a harvester
/// is to read it, or reads it.
async fn window_of(
    transaction: &mut Transaction,
    doing: Doing,
    migration: &RepairMigration,
    part: TimeRange,
) -> Result<Option<(LeasedWindow, u32)>, LedgerError> {
    transaction
        .exec_drop(
            "INSERT INTO harvest_window (migration_id, range_from, range_to, state, is_read_once, created_at, recorded_at) \
             VALUES (?, ?, ?, 'recorded', TRUE, UTC_TIMESTAMP(6), UTC_TIMESTAMP(6)) ON DUPLICATE KEY UPDATE \
             range_to = GREATEST(range_to, VALUES(range_to))",
            (uuid(migration.id), at(part.from()), at(part.to())),
        )
        .await
        .during(doing)?;
    let row: Option<Row> = transaction
        .exec_first(
            "SELECT id, fence, pages, attempts, batches, found, recorded, adopted, owned_elsewhere, duplicates, \
             without_id FROM harvest_window WHERE migration_id = ? AND range_from = ? \
             AND state IN ('recorded', 'verified') FOR UPDATE",
            (uuid(migration.id), at(part.from())),
        )
        .await
        .during(doing)?;
    let Some(mut row) = row else { return Ok(None) };
    let batches = row.column("batches")?;
    let window = LeasedWindow {
        id: WindowId(row.column("id")?),
        migration_id: migration.id,
        range: part,
        filter: None,
        batch_size: migration.batch_size,
        priority: migration.priority,
        fence: Fence(row.column("fence")?),
        bookmark: None,
        tally: tally_of(&mut row)?,
        pages: row.column("pages")?,
        attempts: row.column("attempts")?,
        scan: Scan::First,
        left_out: Vec::new(),
    };
    Ok(Some((window, batches)))
}

/// The messages that this window recorded before, as when an answer was lost: they count once.
async fn recorded_by(
    transaction: &mut Transaction,
    doing: Doing,
    window: WindowId,
    messages: &[SeenMessage],
) -> Result<HashSet<String>, LedgerError> {
    let mut mine = HashSet::new();
    for chunk in messages.chunks(LOOKED_UP_KEYS_MAX) {
        let ids = Ids::of(chunk.iter().map(|message| &message.message_id));
        let statement = format!(
            "SELECT STRAIGHT_JOIN m.message_id FROM message m {BY_HASH} JOIN batch b ON b.id = m.batch_id \
             WHERE b.window_id = ? AND b.status <> 'cancelled' AND {}",
            ids.are_meant()
        );
        let rows: Vec<Row> = transaction
            .exec(statement, ids.params_after([window.0.into()]))
            .await
            .during(doing)?;
        for mut row in rows {
            mine.insert(row.text("message_id")?);
        }
    }
    Ok(mine)
}

async fn account(
    transaction: &mut Transaction,
    doing: Doing,
    window: &LeasedWindow,
    tally: Tally,
    batches_planned: u32,
) -> Result<(), LedgerError> {
    transaction
        .exec_drop(
            "UPDATE harvest_window SET state = 'recorded', found = :found, recorded = :recorded, adopted = :adopted, \
             owned_elsewhere = :owned_elsewhere, duplicates = :duplicates, pages = pages + 1, \
             batches = batches + :batches WHERE id = :id",
            params! {
                "found" => tally.found, "recorded" => tally.recorded, "adopted" => tally.adopted,
                "owned_elsewhere" => tally.owned_elsewhere, "duplicates" => tally.duplicate,
                "batches" => batches_planned, "id" => window.id.0,
            },
        )
        .await
        .during(doing)
}
