//! Uploads in parts that nobody will complete. Their parts are paid for and seen by nobody.
//!
//! The bucket's lifecycle rule ends them after two days, also where no reaper runs.

use crate::step::AreLeft;
use crate::{SweepArguments, SweepError, SweepReport, Sweeper};
use granary_archive::UnfinishedUpload;
use granary_domain::{BatchId, Place};
use std::collections::HashMap;

/// S3 lists so many at a time.
const UPLOADS_PER_PAGE: usize = 1_000;

impl Sweeper {
    /// Ends up to 1,000 uploads. There are never more that stay than workers at work, so one page shows all of those.
    pub(crate) async fn sweep_uploads(
        &self,
        arguments: &SweepArguments,
        report: &mut SweepReport,
    ) -> Result<AreLeft, SweepError> {
        let old_enough = self.old_enough(arguments).await?;
        let uploads = self.archive.unfinished_uploads().await?;
        let is_full = uploads.len() >= UPLOADS_PER_PAGE;
        let batches: Vec<BatchId> = uploads
            .iter()
            .filter_map(|upload| self.batch_of(upload))
            .collect();
        let known = self.ledger.batches_at_keys(&batches).await?;
        let is_held: HashMap<BatchId, bool> = known
            .into_iter()
            .map(|(batch, known)| (batch, known.is_held))
            .collect();
        let mut ended = 0;
        let (mut foreign, mut young, mut refused) = (Vec::new(), Vec::new(), Vec::new());
        for upload in &uploads {
            let Some(batch) = self.batch_of(upload) else {
                foreign.push(&upload.key);
                continue;
            };
            let is_held = is_held.get(&batch).copied().unwrap_or(false);
            if upload.initiated > old_enough || is_held {
                young.push(&upload.key);
                continue;
            }
            if arguments.apply {
                if let Err(error) = self.archive.abort_upload(&upload.key, &upload.upload_id).await {
                    if error.fault_of_object().is_none() {
                        return Err(error.into());
                    }
                    tracing::warn!(key = %upload.key, "{error}");
                    refused.push(&upload.key);
                    continue;
                }
                tracing::info!(key = %upload.key, upload_id = upload.upload_id, "ended an upload that nobody completed");
                ended += 1;
            }
            report.uploads.add(&upload.key, 0);
        }
        if is_full && ended > 0 {
            return Ok(AreLeft::Perhaps);
        }
        // Named once, when nothing else is left on the page.
        foreign.into_iter().for_each(|key| report.foreign.add(key, 0));
        young.into_iter().for_each(|key| report.young.add(key, 0));
        refused.into_iter().for_each(|key| report.refused.add(key, 0));
        Ok(AreLeft::No)
    }

    fn batch_of(&self, upload: &UnfinishedUpload) -> Option<BatchId> {
        match self.archive.layout().place_of(&upload.key) {
            Some(Place::Object { batch, .. }) => Some(batch),
            Some(Place::Manifest { .. } | Place::Quarantine | Place::NumberMark) | None => None,
        }
    }
}
