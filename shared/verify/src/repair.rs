//! The remedies: messages that nobody owns are harvested again, missing and quarantined messages that the source shows are
//! recalled into a batch of their own, batches whose object or manifest isn't sound are re-exported. What is drifted or
//! foreign is named, and left to people.
//!
//! Nothing is written in S3 here: the ledger is told what is to be done, and the functions do it, as they do everything.
//! A batch is exported again from what the source has now. Where its object is sound and holds messages that the source
//! no longer shows, a new one would hold less: such a batch is named, and left to people.
//!
//! Every remedy holds for what was found: asking twice, by two verifications or by one that died in the middle, is
//! asking once.

use crate::look::Look;
use crate::report::Remedy;
use crate::{FindingKind, Repair, Verifier, VerifyError};
use granary_archive::ObjectFault;
use granary_domain::{BatchId, Fence, MessageId, ObjectKey, TimeRange};
use granary_ledger::export::{ReExport, ReExported, Recall, Recalled, WhichExceptions};
use granary_ledger::harvest::SeenMessage;
use granary_ledger::integrity::{FoundAgain, ObjectOnRecord, RepairMigration};
use granary_source::{DocumentRef, Hit};
use std::collections::HashSet;

/// As many as a page has; the ledger answers for 5,000 at once.
const IDS_PER_QUESTION_MAX: usize = 5_000;

/// What became of a batch that isn't sound.
pub(crate) enum Replacing {
    /// Nobody asked for a repair.
    NotWanted,
    /// This.
    Done(Remedy),
    /// Nothing: a new object would lack these messages.
    WouldLose(Vec<MessageId>),
}

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
        let found = self.record_found(&look.heir, look.range, &messages).await?;
        match found {
            FoundAgain::Recorded { messages } => look.count(Remedy::Harvest, messages),
            FoundAgain::Refused => look.account.repairs.left_messages += messages.len() as u64,
        }
        Ok(())
    }

    /// Records messages that nobody owns, under numbers that were never given out.
    pub async fn record_found(
        &self,
        heir: &RepairMigration,
        part: TimeRange,
        messages: &[SeenMessage],
    ) -> Result<FoundAgain, VerifyError> {
        loop {
            let found = self.ledger.record_found(heir, part, messages).await;
            if let Some(found) = self.numbering.unless_out(found).await? {
                return Ok(found);
            }
        }
    }

    /// Recalls exceptions that the source shows: they leave their batches, which stay as they are, for batches of their own.
    pub(crate) async fn recall_exceptions(
        &self,
        look: &mut Look<'_>,
        ids: &[MessageId],
    ) -> Result<(), VerifyError> {
        if look.repair() == Repair::Off {
            return Ok(());
        }
        for ids in ids.chunks(IDS_PER_QUESTION_MAX) {
            for (batch, fence) in self.ledger.completed_owners_of(ids).await? {
                if !look.allow_batch() {
                    continue;
                }
                if look.repair() == Repair::DryRun {
                    look.count(Remedy::ReExport, 1);
                    continue;
                }
                let wanted = Recall {
                    batch,
                    fence,
                    which: WhichExceptions::These(ids),
                    reason: "the source shows them",
                    heir: &look.heir,
                };
                let recalled = loop {
                    let recalled = self.ledger.recall(&wanted).await;
                    if let Some(recalled) = self.numbering.unless_out(recalled).await? {
                        break recalled;
                    }
                };
                match recalled {
                    Recalled::Asked { .. } => look.count(Remedy::ReExport, 1),
                    Recalled::NothingLeft => look.count(Remedy::UnderWay, 1),
                    // The next verification sees what it is.
                    Recalled::Changed => look.account.repairs.left_batches += 1,
                }
            }
        }
        Ok(())
    }

    /// Has a batch exported again whose object or manifest isn't what it should be, unless its object is sound and holds
    /// messages that the source no longer has.
    pub(crate) async fn replace(
        &self,
        look: &mut Look<'_>,
        batch: &ObjectOnRecord,
        kind: FindingKind,
    ) -> Result<Replacing, VerifyError> {
        if look.repair() == Repair::Off {
            return Ok(Replacing::NotWanted);
        }
        if batch.is_being_replaced {
            look.count(Remedy::UnderWay, 1);
            return Ok(Replacing::Done(Remedy::UnderWay));
        }
        let only_archived = self.only_archived(batch.batch_id, batch.object.as_ref()).await?;
        if !only_archived.is_empty() {
            return Ok(Replacing::WouldLose(only_archived));
        }
        let reason = kind.complaint();
        self.export_again(look, (batch.batch_id, batch.fence), reason)
            .await
            .map(Replacing::Done)
    }

    /// The messages of a batch that its object holds, if that is whole, and that the source no longer has. Where S3
    /// refuses to give the object, it counts as holding what the ledger has on record for it.
    pub(crate) async fn only_archived(
        &self,
        batch: BatchId,
        object: Option<&ObjectKey>,
    ) -> Result<Vec<MessageId>, VerifyError> {
        let Some(key) = object else {
            return Ok(Vec::new());
        };
        let mut held: HashSet<MessageId> = HashSet::new();
        let hold = |id: &MessageId| {
            held.insert(id.clone());
        };
        let is_read = match self.archive.read_ids(key, hold).await {
            Ok(Some(_)) => true,
            Ok(None) => return Ok(Vec::new()),
            Err(error) => match error.fault_of_object() {
                Some(ObjectFault::Corrupt(_)) => return Ok(Vec::new()),
                Some(ObjectFault::Denied(_) | ObjectFault::Locked(_)) => false,
                None => return Err(error.into()),
            },
        };
        let mut owned = self.ledger.messages_of(batch).await?;
        owned.retain(|message| {
            if is_read {
                held.contains(&message.message_id)
            } else {
                message.exception.is_none()
            }
        });
        let wanted: Vec<DocumentRef<'_>> = owned
            .iter()
            .map(|message| DocumentRef {
                message_id: message.message_id.as_str(),
                index: &message.index,
                doc_id: message.doc_id.as_deref().unwrap_or(message.message_id.as_str()),
                routing: message.routing.as_deref(),
            })
            .collect();
        let are_there = self.source.are_there(&wanted).await?;
        let owned = owned.iter().zip(are_there);
        Ok(owned
            .filter(|(_, is_there)| !is_there)
            .map(|(message, _)| message.message_id.clone())
            .collect())
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

/// A hit as the ledger takes it; `None`: it has no usable id.
pub(crate) fn seen_message(hit: Hit) -> Option<SeenMessage> {
    Some(SeenMessage {
        message_id: hit.message_id?,
        doc_id: hit.doc_id,
        index: hit.index,
        routing: hit.routing,
        event_time: hit.event_time,
    })
}
