//! Batches of messages that only an adopted object still has: their lines are copied from it, byte for byte.
//!
//! A person decided so (`granary sweep adopt`), since no other object holds them and the source may have deleted their
//! documents. Once such a batch is settled its messages are on record in its own object, and the adopted one may go.
//! Where it is gone when the batch is exported again, the documents are fetched from the source, as any batch's are.

use crate::draft::Fetched;
use crate::export::Exporter;
use crate::failure::{archive_failure, spool_failure};
use crate::progress::Progress;
use granary_domain::{Cause, Failure, MessageId, ObjectKey};
use granary_ledger::export::{ClaimedBatch, OwnedMessage};
use std::collections::HashSet;

impl Exporter {
    /// The documents of a batch, from the source or from the object that was adopted.
    pub(crate) async fn fetch_or_copy(
        &self,
        batch: &ClaimedBatch,
        messages: &[OwnedMessage],
        progress: &Progress,
    ) -> Result<Fetched, Failure> {
        if let Some(object) = &batch.copied_from
            && let Some(copied) = self.copy(object, messages).await?
        {
            return Ok(copied);
        }
        self.fetch(batch, messages, progress).await
    }

    /// `None`: the object isn't there any more. What was copied counts only if the whole object turns out to be sound.
    async fn copy(&self, object: &ObjectKey, messages: &[OwnedMessage]) -> Result<Option<Fetched>, Failure> {
        let mut draft = self.writer.draft()?;
        let mut wanted: HashSet<&MessageId> = messages.iter().map(|message| &message.message_id).collect();
        let mut written = Ok(());
        let read = self
            .writer
            .archive
            .read_lines(object, |id, line| {
                if written.is_ok() && wanted.remove(id) {
                    written = draft.copy(id, line);
                }
            })
            .await;
        written.map_err(spool_failure)?;
        if read.map_err(archive_failure)?.is_none() {
            return Ok(None);
        }
        if !wanted.is_empty() {
            let text = format!(
                "{object} was adopted, and lacks {} of the batch's messages",
                wanted.len()
            );
            return Err(Failure {
                cause: Cause::ArchiveConflict,
                text,
            });
        }
        draft.seal().map(Some)
    }
}
