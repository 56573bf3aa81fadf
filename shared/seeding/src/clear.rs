//! Clearing test messages away: their objects, their rows, their documents, in this order.
//!
//! In this order, because the documents say what was seeded: as long as they are there, a step that broke off finds
//! its work again. A batch goes only if the source shows every single message of it with the field `granary_seed`;
//! one that holds anything else stays, and is named.

use crate::indices::seeded;
use crate::{SeedError, Seeder};
use futures::stream::{self, StreamExt, TryStreamExt};
use granary_archive::ArchiveError;
use granary_domain::{BatchId, MessageId, QUARANTINE};
use granary_ledger::test_data::SeededBatch;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

const PAGE_SIZE: u32 = 5_000;
const IDS_PER_QUERY_MAX: usize = 5_000;
const PARALLEL_BATCHES: usize = 4;
const BATCHES_NAMED_MAX: usize = 100;

/// What was cleared away, so far or in all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClearReport {
    /// Documents deleted, by index.
    pub documents: BTreeMap<String, u64>,
    /// Messages that the ledger forgot.
    pub messages: u64,
    /// Batches that the ledger forgot.
    pub batches: u64,
    /// Objects and manifests deleted.
    pub objects: u64,
    /// Synthetic jobs that the ledger forgot.
    #[serde(default)]
    pub synthetic_jobs: u64,
    /// Batches that hold other messages too, so they and their objects are left: the first 100.
    pub batches_left: BTreeSet<BatchId>,
}

/// How far the clearing is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClearProgress {
    /// Indices that hold no seeded document any more: the messages' comes first.
    pub indices_done: usize,
    /// What was cleared away so far.
    pub cleared: ClearReport,
}

/// What one step came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClearStep {
    /// Some documents are gone.
    More(ClearProgress),
    /// Nothing seeded is left.
    Done(ClearReport),
}

impl Seeder {
    /// Clears some thousand seeded documents away, with what became of them.
    pub async fn clear_step(&self, progress: Option<ClearProgress>) -> Result<ClearStep, SeedError> {
        let mut progress = match progress {
            Some(progress) => progress,
            None => self.without_history().await?,
        };
        let indices = self.indices();
        let Some(index) = indices.get(progress.indices_done) else {
            return Ok(ClearStep::Done(progress.cleared));
        };
        self.refresh(index).await?;
        let ids = self.writer.search_ids(index, &seeded(), PAGE_SIZE).await?;
        if ids.is_empty() {
            progress.indices_done += 1;
            return Ok(ClearStep::More(progress));
        }
        if progress.indices_done == 0 {
            self.clear_messages(&ids, &mut progress.cleared).await?;
        }
        let deleted = self.writer.delete_ids(index, &ids).await?;
        SeedError::unless_all_taken(deleted.failed)?;
        *progress.cleared.documents.entry((*index).to_owned()).or_default() += deleted.indexed;
        Ok(ClearStep::More(progress))
    }

    /// The beginning: synthetic jobs go first, since nothing depends on them.
    async fn without_history(&self) -> Result<ClearProgress, SeedError> {
        let mut progress = ClearProgress::default();
        progress.cleared.synthetic_jobs = self.ledger.forget_history().await?;
        Ok(progress)
    }

    /// Takes seeded messages out of the archive and out of the ledger.
    async fn clear_messages(&self, doc_ids: &[String], cleared: &mut ClearReport) -> Result<(), SeedError> {
        let ids = doc_ids
            .iter()
            .filter_map(|id| MessageId::try_from(id.clone()).ok());
        let ids: Vec<MessageId> = ids.collect();
        let owners = self.ledger.owners_of(&ids).await?;
        let mut batches = stream::iter(owners)
            .map(|batch| self.clear_batch(batch))
            .buffer_unordered(PARALLEL_BATCHES);
        while let Some(batch) = batches.try_next().await? {
            match batch {
                ClearedBatch::Gone { messages, objects } => {
                    cleared.batches += 1;
                    cleared.messages += messages;
                    cleared.objects += objects;
                }
                ClearedBatch::Left(batch) if cleared.batches_left.len() < BATCHES_NAMED_MAX => {
                    cleared.batches_left.insert(batch);
                }
                ClearedBatch::Left(_) => {}
            }
        }
        cleared.messages += self.ledger.forget_unowned(&ids).await?;
        Ok(())
    }

    async fn clear_batch(&self, batch: SeededBatch) -> Result<ClearedBatch, SeedError> {
        if !self.is_seeded_throughout(&batch).await? {
            return Ok(ClearedBatch::Left(batch.batch_id));
        }
        let objects = match self.delete_objects(&batch).await {
            Ok(objects) => objects,
            // The batch stays on record as long as S3 refuses to remove one of its objects.
            Err(error) if error.fault_of_object().is_some() => {
                return Ok(ClearedBatch::Left(batch.batch_id));
            }
            Err(error) => return Err(error.into()),
        };
        let messages = self.ledger.forget_batch(batch.batch_id).await?;
        Ok(ClearedBatch::Gone { messages, objects })
    }

    /// Whether the source shows every message of a batch, and shows it as seeded.
    async fn is_seeded_throughout(&self, batch: &SeededBatch) -> Result<bool, SeedError> {
        let messages = self.ledger.messages_of(batch.batch_id).await?;
        let doc_ids: Vec<&str> = messages
            .iter()
            .map(|message| message.doc_id.as_deref().unwrap_or(message.message_id.as_str()))
            .collect();
        for some in doc_ids.chunks(IDS_PER_QUERY_MAX) {
            let query = json!({"bool": {"filter": [{"ids": {"values": some}}, seeded()]}});
            let size = u32::try_from(some.len()).unwrap_or(u32::MAX);
            let shown = self.writer.search_ids(&self.target.index, &query, size).await?;
            if shown.len() != some.len() {
                return Ok(false);
            }
        }
        Ok(messages.len() as u64 == u64::from(batch.message_count))
    }

    /// Deletes a batch's objects and manifests of every generation, whether they are on record or not, and what was kept
    /// of its quarantined messages.
    async fn delete_objects(&self, batch: &SeededBatch) -> Result<u64, ArchiveError> {
        let (date, hour, id) = (batch.hour.date(), batch.hour.hour_of_day(), batch.batch_id);
        let mut deleted = 0;
        for under in [
            format!("dt={date}/hour={hour}/batch-{id}-g"),
            format!("_manifests/dt={date}/batch-{id}-g"),
            format!("{QUARANTINE}dt={date}/batch-{id}-"),
        ] {
            let mut after = None;
            loop {
                let page = self.archive.list(&under, after.as_ref()).await?;
                for object in &page.objects {
                    self.archive.delete(&object.key).await?;
                    deleted += 1;
                }
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
        }
        Ok(deleted)
    }
}

enum ClearedBatch {
    Gone { messages: u64, objects: u64 },
    Left(BatchId),
}
