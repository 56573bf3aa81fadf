//! Rebuilding a ledger from the archive: what a manifest accounts for is put on record as a completed batch.
//!
//! A batch keeps its number, generation and object. It belongs to the rebuild's own migration, which the ledger has once, and
//! to a window over its hour that was recorded from the beginning. One transaction for each batch, and each locks the
//! migration's row first: two workers at once take turns, and the second finds the batch.
//!
//! A message has one owner. One that another batch owns already is left out and named; a batch that is left with none of its
//! object's messages isn't recorded at all.
//!
//! Not responsible for what is in the archive, nor for whether it is sound (`granary-verify` reads it). Exceptions get no
//! rows: a manifest doesn't say where they were seen, and what the source still shows is harvested again.

mod messages;

use crate::db::connect::Doing;
use crate::db::connections::Transaction;
use crate::db::error::During;
use crate::db::row::{Columns, LOOKED_UP_KEYS_MAX, at, uuid};
use crate::db::shape::List;
use crate::harvest::SeenMessage;
use crate::harvest::plan::PlannedBatch;
use crate::{Ledger, LedgerError};
use granary_domain::{
    BatchId, BatchStatus, Generation, Hour, MessageId, MigrationId, MigrationKind, MigrationState, ObjectKey,
};
use granary_steps::Step;
use jiff::Timestamp;
use messages::insert_unowned;
use mysql_async::{Row, params};
use std::collections::HashMap;
use uuid::Uuid;

/// What the rebuild's migration has in `only_one`.
const ONLY_ONE: &str = "rebuild";
/// Who its attempts name as their worker.
const WORKER: &str = "rebuild";

/// Why a ledger can't be rebuilt now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RebuildObstacle {
    /// A harvester may record messages beside it.
    #[error("the harvest is not paused (granary pause harvest)")]
    HarvestRuns,
    /// An exporter may write objects beside it.
    #[error("the export is not paused (granary pause export)")]
    ExportRuns,
    /// It was in use before.
    #[error(
        "the ledger has batches or sealed hours that no rebuild has recorded; a rebuild needs an empty database with a \
         migrated schema"
    )]
    NotEmpty,
}

/// The migration that rebuilt batches belong to. It is made with the first of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RebuildMigration {
    /// Messages in a batch at most, for what may be recorded under it later.
    pub batch_size: u32,
    /// Who asked.
    pub requested_by: String,
}

/// A batch as its manifest accounts for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchivedBatch {
    /// Its number.
    pub id: BatchId,
    /// The hour of all its messages.
    pub hour: Hour,
    /// Which export of it.
    pub generation: Generation,
    /// The attempt that wrote the object.
    pub attempt: u32,
    /// When its manifest was written.
    pub settled_at: Timestamp,
    /// Its object; `None`: all of its messages were exceptions.
    pub object: Option<ArchivedObject>,
    /// Messages that the manifest names as exceptions.
    pub exceptions: u32,
}

/// The object of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchivedObject {
    /// Its key.
    pub key: ObjectKey,
    /// Its SHA-256.
    pub sha256: [u8; 32],
    /// Bytes before compression.
    pub bytes_raw: u64,
    /// Bytes of the object.
    pub bytes_stored: u64,
}

/// What became of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rebuilt {
    /// It is on record.
    Recorded {
        /// Messages that it owns.
        messages: u64,
        /// Messages of its object that another batch owns.
        elsewhere: Vec<OwnedElsewhere>,
    },
    /// It was on record before.
    AlreadyThere(RebuiltBatch),
    /// It isn't recorded: other batches own all that its object holds.
    Redundant {
        /// Which.
        elsewhere: Vec<OwnedElsewhere>,
    },
    /// It isn't recorded: an operator has cancelled the rebuild's migration.
    Cancelled,
}

/// A message of one batch's object that another batch owns, or that the object holds twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedElsewhere {
    /// The message.
    pub message_id: MessageId,
    /// Its owner.
    pub owner: BatchId,
}

/// A batch that is on record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RebuiltBatch {
    /// Which export of it.
    pub generation: Generation,
    /// Messages of its object that it owns.
    pub messages: u64,
}

impl Ledger {
    /// Why it can't be rebuilt now; `None`: it can.
    pub async fn rebuild_obstacle(&self) -> Result<Option<RebuildObstacle>, LedgerError> {
        self.read("ask whether it can be rebuilt", |mut reader| async move {
            let own: Option<Vec<u8>> = reader
                .first("SELECT id FROM migration WHERE only_one = ?", (ONLY_ONE,))
                .await?;
            let own = own.unwrap_or_else(|| Uuid::nil().as_bytes().to_vec());
            let row: Option<(bool, bool, bool)> = reader
                .first(
                    "SELECT EXISTS (SELECT 1 FROM control WHERE name = 'harvest.paused'), \
                     EXISTS (SELECT 1 FROM control WHERE name = 'export.paused'), \
                     EXISTS (SELECT 1 FROM batch WHERE migration_id < :own) \
                     OR EXISTS (SELECT 1 FROM batch WHERE migration_id > :own) \
                     OR EXISTS (SELECT 1 FROM sealed_range)",
                    params! { "own" => own },
                )
                .await?;
            Ok(match row {
                Some((_, _, true)) => Some(RebuildObstacle::NotEmpty),
                Some((false, _, _)) => Some(RebuildObstacle::HarvestRuns),
                Some((true, false, _)) => Some(RebuildObstacle::ExportRuns),
                Some((true, true, false)) | None => None,
            })
        })
        .await
    }

    /// Those of some batches that are on record.
    pub async fn rebuilt_batches(
        &self,
        batches: &[BatchId],
    ) -> Result<HashMap<BatchId, RebuiltBatch>, LedgerError> {
        let mut rebuilt = HashMap::with_capacity(batches.len());
        for chunk in batches.chunks(LOOKED_UP_KEYS_MAX) {
            let list = &List::of(chunk.iter().map(|id| id.0));
            let query = &format!("SELECT id, generation, exported FROM batch WHERE id IN ({list})");
            let rows: Vec<Row> = self
                .read("look up rebuilt batches", |mut reader| async move {
                    reader.rows(query, list.params()).await
                })
                .await?;
            for mut row in rows {
                rebuilt.insert(row.batch_id("id")?, rebuilt_batch(&mut row)?);
            }
        }
        Ok(rebuilt)
    }

    /// Puts a batch on record as completed, with the messages of its object, in one transaction.
    pub async fn rebuild_batch(
        &self,
        rebuild: &RebuildMigration,
        batch: &ArchivedBatch,
        messages: &[SeenMessage],
    ) -> Result<Rebuilt, LedgerError> {
        self.change(Step::RebuildBatch, |doing| {
            self.try_rebuild_batch(doing, rebuild, (batch, messages))
        })
        .await
    }

    async fn try_rebuild_batch(
        &self,
        doing: Doing,
        rebuild: &RebuildMigration,
        (batch, messages): (&ArchivedBatch, &[SeenMessage]),
    ) -> Result<Rebuilt, LedgerError> {
        let mut transaction = self.begin(doing).await?;
        let rebuilt = rebuild_within(&mut transaction, doing, rebuild, (batch, messages)).await?;
        let ended = match &rebuilt {
            Rebuilt::Recorded { .. } => transaction.commit().await,
            Rebuilt::AlreadyThere(_) | Rebuilt::Redundant { .. } | Rebuilt::Cancelled => {
                transaction.rollback().await
            }
        };
        ended.during(doing)?;
        Ok(rebuilt)
    }
}

async fn rebuild_within(
    transaction: &mut Transaction,
    doing: Doing,
    rebuild: &RebuildMigration,
    (batch, messages): (&ArchivedBatch, &[SeenMessage]),
) -> Result<Rebuilt, LedgerError> {
    let Some(migration) = lock_migration(transaction, doing, rebuild, batch.hour).await? else {
        return Ok(Rebuilt::Cancelled);
    };
    if let Some(known) = on_record(transaction, doing, batch.id).await? {
        return Ok(Rebuilt::AlreadyThere(known));
    }
    let (kept, elsewhere) = insert_unowned(transaction, doing, batch.id, messages).await?;
    if kept.is_none() && batch.object.is_some() {
        return Ok(Rebuilt::Redundant { elsewhere });
    }
    let window = lock_window(transaction, doing, migration, batch.hour).await?;
    insert_batch(transaction, doing, (migration, window), (batch, kept)).await?;
    insert_attempt(transaction, doing, batch).await?;
    let messages = kept.map_or(0, |kept| u64::from(kept.planned));
    account(transaction, doing, window, messages).await?;
    Ok(Rebuilt::Recorded { messages, elsewhere })
}

/// The rebuild's migration, made where there is none, with a range that holds the hour. `None`: it was cancelled. Its row is
/// locked until the transaction ends.
async fn lock_migration(
    transaction: &mut Transaction,
    doing: Doing,
    rebuild: &RebuildMigration,
    hour: Hour,
) -> Result<Option<MigrationId>, LedgerError> {
    transaction
        .exec_drop(
            "INSERT INTO migration (id, kind, state, batch_size, range_from, range_to, harvested_to, requested_by, only_one, \
             created_at) VALUES (:id, :kind, :state, :batch_size, :from, :to, :to, :by, :only_one, UTC_TIMESTAMP(6)) \
             ON DUPLICATE KEY UPDATE range_from = LEAST(range_from, VALUES(range_from)), \
             range_to = GREATEST(range_to, VALUES(range_to)), harvested_to = GREATEST(harvested_to, VALUES(harvested_to))",
            params! {
                "id" => uuid(MigrationId::new()),
                "kind" => MigrationKind::Selection.as_str(),
                "state" => MigrationState::Draining.as_str(),
                "batch_size" => rebuild.batch_size,
                "from" => at(hour.start()),
                "to" => at(hour.next().start()),
                "by" => &rebuild.requested_by,
                "only_one" => ONLY_ONE,
            },
        )
        .await
        .during(doing)?;
    let row: Option<Row> = transaction
        .exec_first("SELECT id, state FROM migration WHERE only_one = ?", (ONLY_ONE,))
        .await
        .during(doing)?;
    let mut row = row.ok_or_else(|| LedgerError::inconsistent(doing, "the rebuild has no migration"))?;
    let state: MigrationState = row.parsed("state")?;
    let id = row.migration_id("id")?;
    Ok((state != MigrationState::Cancelled).then_some(id))
}

async fn on_record(
    transaction: &mut Transaction,
    doing: Doing,
    batch: BatchId,
) -> Result<Option<RebuiltBatch>, LedgerError> {
    let row: Option<Row> = transaction
        .exec_first("SELECT generation, exported FROM batch WHERE id = ?", (batch.0,))
        .await
        .during(doing)?;
    row.map(|mut row| rebuilt_batch(&mut row)).transpose()
}

fn rebuilt_batch(row: &mut Row) -> Result<RebuiltBatch, LedgerError> {
    Ok(RebuiltBatch {
        generation: Generation(row.column("generation")?),
        messages: row.column::<Option<u32>>("exported")?.map_or(0, u64::from),
    })
}

/// The rebuild's window over an hour, locked, and the ordinal of its next batch.
async fn lock_window(
    transaction: &mut Transaction,
    doing: Doing,
    migration: MigrationId,
    hour: Hour,
) -> Result<(u64, u32), LedgerError> {
    transaction
        .exec_drop(
            "INSERT INTO harvest_window (migration_id, range_from, range_to, state, is_read_once, created_at, recorded_at) \
             VALUES (?, ?, ?, 'recorded', TRUE, UTC_TIMESTAMP(6), UTC_TIMESTAMP(6)) \
             ON DUPLICATE KEY UPDATE range_to = VALUES(range_to)",
            (uuid(migration), at(hour.start()), at(hour.next().start())),
        )
        .await
        .during(doing)?;
    let window: Option<(u64, u32)> = transaction
        .exec_first(
            "SELECT id, batches FROM harvest_window WHERE migration_id = ? AND range_from = ? FOR UPDATE",
            (uuid(migration), at(hour.start())),
        )
        .await
        .during(doing)?;
    window.ok_or_else(|| LedgerError::inconsistent(doing, "the rebuild has no window"))
}

async fn insert_batch(
    transaction: &mut Transaction,
    doing: Doing,
    (migration, (window, ordinal)): (MigrationId, (u64, u32)),
    (batch, kept): (&ArchivedBatch, Option<PlannedBatch>),
) -> Result<(), LedgerError> {
    let (high, low) = kept.map_or((0, 0), |kept| kept.digest.sums());
    let object = batch.object.as_ref();
    transaction
        .exec_drop(
            "INSERT INTO batch (id, migration_id, window_id, window_ordinal, hour_start, status, message_count, digest_high, \
             digest_low, time_from, time_to, attempts, fence, generation, object_key, bytes_raw, bytes_stored, \
             sha256, exported, missing, quarantined, recalled, created_at, settled_at) \
             VALUES (:id, :migration, :window, :ordinal, :hour, :status, :messages, :high, :low, :first, :last, 1, :fence, \
             :generation, :object, :raw, :stored, :sha256, :messages, 0, 0, :exceptions, \
             LEAST(:settled, UTC_TIMESTAMP(6)), LEAST(:settled, UTC_TIMESTAMP(6)))",
            params! {
                "id" => batch.id.0,
                "migration" => uuid(migration),
                "window" => window,
                "ordinal" => ordinal,
                "hour" => at(batch.hour.start()),
                "status" => BatchStatus::Completed.as_str(),
                "messages" => kept.map_or(0, |kept| kept.planned),
                "high" => high,
                "low" => low,
                "first" => kept.map(|kept| at(kept.time_from)),
                "last" => kept.map(|kept| at(kept.time_to)),
                "fence" => fence_of(batch),
                "generation" => batch.generation.0,
                "settled" => at(batch.settled_at),
                "object" => object.map(|object| object.key.as_str()),
                "raw" => object.map(|object| object.bytes_raw),
                "stored" => object.map(|object| object.bytes_stored),
                "sha256" => object.map(|object| object.sha256.to_vec()),
                "exceptions" => batch.exceptions,
            },
        )
        .await
        .during(doing)
}

/// The attempt that wrote the object: a completed batch has one under its fence.
async fn insert_attempt(
    transaction: &mut Transaction,
    doing: Doing,
    batch: &ArchivedBatch,
) -> Result<(), LedgerError> {
    transaction
        .exec_drop(
            "INSERT INTO attempt (batch_id, number, generation, worker, started_at, ended_at, outcome) \
             VALUES (:batch, :number, :generation, :worker, LEAST(:settled, UTC_TIMESTAMP(6)), \
             LEAST(:settled, UTC_TIMESTAMP(6)), 'completed')",
            params! {
                "batch" => batch.id.0,
                "number" => fence_of(batch),
                "generation" => batch.generation.0,
                "worker" => WORKER,
                "settled" => at(batch.settled_at),
            },
        )
        .await
        .during(doing)
}

fn fence_of(batch: &ArchivedBatch) -> u32 {
    batch.attempt.max(1)
}

async fn account(
    transaction: &mut Transaction,
    doing: Doing,
    (window, _): (u64, u32),
    messages: u64,
) -> Result<(), LedgerError> {
    transaction
        .exec_drop(
            "UPDATE harvest_window SET found = found + :messages, recorded = recorded + :messages, pages = pages + 1, \
             batches = batches + 1 WHERE id = :id",
            params! { "messages" => messages, "id" => window },
        )
        .await
        .during(doing)
}
