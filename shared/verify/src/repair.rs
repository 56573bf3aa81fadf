//! The remedies: messages that nobody owns are harvested again, batches whose object or manifest isn't sound are
//! exported again. What is drifted, foreign or quarantined is named, and left to people.
//!
//! Nothing is written in S3 here: the ledger is told what is to be done, and the functions do it, as they do everything.
//! Every remedy holds for what was found: asking twice, by two verifications or by one that died in the middle, is
//! asking once.

use crate::look::Look;
use crate::report::Remedy;
use crate::{FindingKind, Repair, Verifier, VerifyError};
use granary_domain::{BatchId, Fence, MessageId};
use granary_ledger::{FoundAgain, ObjectOnRecord, ReExport, ReExported, SeenMessage};
use granary_source::Hit;

/// As wide as the ledger's column.
const ROUTING_BYTES_MAX: usize = 512;
/// As many as a page has; the ledger answers for 5,000 at once.
const IDS_PER_QUESTION_MAX: usize = 5_000;

impl Verifier {
    /// Has messages recorded that nobody owns.
    pub(crate) async fn harvest_again(&self, look: &mut Look<'_>, hits: Vec<Hit>) -> Result<(), VerifyError> {
        if look.repair() == Repair::Off || hits.is_empty() {
            return Ok(());
        }
        let mut messages: Vec<SeenMessage> = hits.into_iter().filter_map(seen_message).collect();
        let allowed = look.allow_messages(messages.len() as u64);
        messages.truncate(usize::try_from(allowed).unwrap_or(usize::MAX));
        if look.repair() == Repair::DryRun {
            look.count(Remedy::Harvest, allowed);
            return Ok(());
        }
        let found = self
            .ledger
            .record_found(&look.heir, look.range, &messages)
            .await?;
        match found {
            FoundAgain::Recorded { messages } => look.count(Remedy::Harvest, messages),
            FoundAgain::Refused => look.account.repairs.left_messages += messages.len() as u64,
        }
        Ok(())
    }

    /// Has batches exported again whose messages were gone and are there again.
    pub(crate) async fn export_owners_again(
        &self,
        look: &mut Look<'_>,
        ids: &[MessageId],
    ) -> Result<(), VerifyError> {
        if look.repair() == Repair::Off {
            return Ok(());
        }
        for ids in ids.chunks(IDS_PER_QUESTION_MAX) {
            for (batch, fence) in self.ledger.completed_owners_of(ids).await? {
                let reason = "messages that were gone are at the source again";
                self.export_again(look, (batch, fence), reason).await?;
            }
        }
        Ok(())
    }

    /// Has a batch exported again whose object or manifest isn't what it should be.
    pub(crate) async fn replace(
        &self,
        look: &mut Look<'_>,
        batch: &ObjectOnRecord,
        kind: FindingKind,
    ) -> Result<Option<Remedy>, VerifyError> {
        if look.repair() == Repair::Off {
            return Ok(None);
        }
        if batch.is_being_replaced {
            look.count(Remedy::UnderWay, 1);
            return Ok(Some(Remedy::UnderWay));
        }
        let reason = kind.complaint();
        self.export_again(look, (batch.batch_id, batch.fence), reason)
            .await
            .map(Some)
    }

    async fn export_again(
        &self,
        look: &mut Look<'_>,
        (batch, fence): (BatchId, Fence),
        reason: &str,
    ) -> Result<Remedy, VerifyError> {
        if !look.allow_batch() {
            return Ok(Remedy::Later);
        }
        if look.repair() == Repair::DryRun {
            look.count(Remedy::ReExport, 1);
            return Ok(Remedy::ReExport);
        }
        let wanted = ReExport {
            batch,
            fence,
            reason,
            heir: &look.heir,
        };
        let remedy = match self.ledger.re_export(&wanted).await? {
            ReExported::Asked => Remedy::ReExport,
            ReExported::UnderWay => Remedy::UnderWay,
            // It isn't what was looked at any more: the next verification sees what it is.
            ReExported::Changed => Remedy::Later,
        };
        look.count(remedy, 1);
        Ok(remedy)
    }
}

/// A hit as the ledger takes it; `None`: it has a routing that can't be put on record, as the harvest finds.
fn seen_message(hit: Hit) -> Option<SeenMessage> {
    let routing_fits = hit
        .routing
        .as_ref()
        .is_none_or(|routing| routing.len() <= ROUTING_BYTES_MAX);
    let message_id = hit.message_id.filter(|_| routing_fits)?;
    Some(SeenMessage {
        message_id,
        doc_id: hit.doc_id,
        index: hit.index,
        routing: hit.routing,
        event_time: hit.event_time,
    })
}
