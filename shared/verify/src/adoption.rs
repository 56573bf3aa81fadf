//! Adopting an object that no batch has on record: a person decides that what only it holds is to stay.
//!
//! The messages that the ledger doesn't know, or that nobody owns, are recorded in a batch of their own, which the exporter
//! completes by copying their lines from the object. So each message keeps one owner and each owner one object, and the
//! adopted object needs no exception anywhere: once the batch is settled, all that it holds is on record elsewhere, and the
//! sweep removes it with the usual proof. What is known of a message besides its id comes from the source where that
//! still shows it, else from the line.
//!
//! Messages that the ledger counts as missing or quarantined keep their batch and are only counted here. Asking twice is
//! asking once: the second time nobody's messages are left.

use crate::asked_for::Intent;
use crate::{Verifier, VerifyError};
use granary_domain::{Hour, MessageId, ObjectKey, Place};
use granary_ledger::harvest::SeenMessage;
use granary_ledger::integrity::{FoundAgain, RepairMigration, Standing};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// That the source is asked for at once.
const IDS_PER_LOOK_MAX: usize = 10_000;

/// What an adopted object holds, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectAdoption {
    /// The object.
    pub key: ObjectKey,
    /// Whether it only looked: then the numbers are what would be done.
    pub dry_run: bool,
    /// Messages in the object.
    pub messages: u64,
    /// Of those, the ones that another object has on record.
    pub on_record: u64,
    /// Of those, the ones that wait for their export.
    pub waiting: u64,
    /// Of those, the ones that the ledger counts as missing or quarantined. They keep their batch.
    pub excepted: u64,
    /// Of those, the ones that are in a new batch now, to be copied from the object.
    pub recorded: u64,
    /// Of those, the ones that can't be recorded: their hour is sealed, or the adoption's migration was cancelled.
    pub left: u64,
}

/// What came of asking for an adoption.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Adopted {
    /// This.
    Done(ObjectAdoption),
    /// Nothing: why, for people.
    Refused(String),
}

impl Verifier {
    /// Records what only this object holds. `heir` is the adoption's own migration.
    pub async fn adopt_object(
        &self,
        key: &ObjectKey,
        heir: &RepairMigration,
        intent: Intent,
    ) -> Result<Adopted, VerifyError> {
        let Some(Place::Object { hour, .. }) = self.archive.layout().place_of(key) else {
            return Ok(Adopted::Refused(format!(
                "{key} is not the key of a data object of this archive"
            )));
        };
        let object = match self.messages_in(key, hour).await {
            Ok(Some(object)) => object,
            Ok(None) => return Ok(Adopted::Refused(format!("nothing stands at {key}"))),
            Err(error) => match error.fault_of_object() {
                Some(fault) => {
                    return Ok(Adopted::Refused(format!(
                        "{key} can't be read: {}",
                        fault.into_reason()
                    )));
                }
                None => return Err(error.into()),
            },
        };
        if let Some(text) = object.excess() {
            return Ok(Adopted::Refused(format!("{key} {text}")));
        }
        let lines: Vec<SeenMessage> = object.lines.into_iter().map(|line| line.message).collect();
        let mut adoption = ObjectAdoption {
            key: key.clone(),
            dry_run: intent == Intent::Look,
            messages: lines.len() as u64,
            on_record: 0,
            waiting: 0,
            excepted: 0,
            recorded: 0,
            left: 0,
        };
        let nobodys = self.nobodys(lines, &mut adoption).await?;
        if intent == Intent::Look {
            adoption.recorded = nobodys.len() as u64;
            return Ok(Adopted::Done(adoption));
        }
        let messages = self.as_the_source_shows_them(hour, nobodys).await?;
        let recorded = loop {
            let recorded = self
                .ledger
                .record_copied(heir, hour.range(), &messages, key)
                .await;
            if let Some(recorded) = self.numbering.unless_out(recorded).await? {
                break recorded;
            }
        };
        adoption.recorded = match recorded {
            FoundAgain::Recorded { messages } => messages,
            FoundAgain::Refused => 0,
        };
        adoption.left = (messages.len() as u64).saturating_sub(adoption.recorded);
        Ok(Adopted::Done(adoption))
    }

    /// Those that the ledger doesn't know, or that nobody owns. Counts the others.
    async fn nobodys(
        &self,
        mut messages: Vec<SeenMessage>,
        adoption: &mut ObjectAdoption,
    ) -> Result<Vec<SeenMessage>, VerifyError> {
        let ids: Vec<&MessageId> = messages.iter().map(|message| &message.message_id).collect();
        let known: HashMap<MessageId, Standing> =
            self.ledger.standings_of_ids(&ids).await?.into_iter().collect();
        messages.retain(|message| match known.get(&message.message_id) {
            Some(Standing::OnRecord) => {
                adoption.on_record += 1;
                false
            }
            Some(Standing::Open) => {
                adoption.waiting += 1;
                false
            }
            Some(Standing::Missing | Standing::Quarantined) => {
                adoption.excepted += 1;
                false
            }
            Some(Standing::Released) | None => true,
        });
        Ok(messages)
    }

    /// A document may have moved, or have a time that its line doesn't tell. Only what is in the object's hour.
    async fn as_the_source_shows_them(
        &self,
        hour: Hour,
        mut messages: Vec<SeenMessage>,
    ) -> Result<Vec<SeenMessage>, VerifyError> {
        for some in messages.chunks_mut(IDS_PER_LOOK_MAX) {
            let ids: Vec<MessageId> = some.iter().map(|message| message.message_id.clone()).collect();
            let shown = self.look_for(&ids).await?.settled.into_iter();
            let shown: HashMap<MessageId, SeenMessage> = shown
                .filter(|shown| Hour::of(shown.event_time) == hour)
                .map(|shown| (shown.message_id.clone(), shown))
                .collect();
            for message in some {
                if let Some(shown) = shown.get(&message.message_id) {
                    *message = shown.clone();
                }
            }
        }
        Ok(messages)
    }
}
