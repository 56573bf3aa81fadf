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
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;

/// Messages of one object: a batch has 10,000 at most.
const MESSAGES_MAX: usize = 100_000;
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
        let mut lines: Vec<SeenMessage> = Vec::new();
        let mut count = 0_usize;
        let time_field = self.source.time_field().to_owned();
        let read = self
            .archive
            .read_lines(key, |id, line| {
                count += 1;
                if count <= MESSAGES_MAX {
                    lines.push(seen_in(line, id, hour, &time_field).message);
                }
            })
            .await;
        match read {
            Ok(Some(_)) if count <= MESSAGES_MAX => {}
            Ok(Some(_)) => {
                return Ok(Adopted::Refused(format!(
                    "{key} holds {count} messages, more than any batch"
                )));
            }
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
        }
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

/// A message as its line tells it.
pub(crate) struct InLine {
    pub(crate) message: SeenMessage,
    /// Whether the line has a time in the object's hour. If not, the hour's first instant stands for it.
    pub(crate) has_time: bool,
}

pub(crate) fn seen_in(line: &[u8], id: &MessageId, hour: Hour, time_field: &str) -> InLine {
    let line: Value = serde_json::from_slice(line).unwrap_or_default();
    let time = time_at(&line["message"], time_field).filter(|time| Hour::of(*time) == hour);
    let message = SeenMessage {
        message_id: id.clone(),
        doc_id: line["doc_id"].as_str().map(str::to_owned),
        index: Arc::from(line["index"].as_str().unwrap_or_default()),
        routing: line["routing"].as_str().map(str::to_owned),
        event_time: time.unwrap_or_else(|| hour.start()),
    };
    InLine {
        message,
        has_time: time.is_some(),
    }
}

/// The instant in a field, by its whole name or by its path, as text or as milliseconds.
fn time_at(message: &Value, field: &str) -> Option<Timestamp> {
    let by_path = || field.split('.').try_fold(message, |value, name| value.get(name));
    let value = message.get(field).or_else(by_path)?;
    match value {
        Value::String(text) => text.parse().ok(),
        Value::Number(number) => Timestamp::from_millisecond(number.as_i64()?).ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_time_is_read_by_name_or_path_as_text_or_milliseconds() {
        let expected: Timestamp = "2026-03-01T10:00:00.5Z".parse().unwrap();
        for (message, field) in [
            (json!({"at": "2026-03-01T10:00:00.500Z"}), "at"),
            (json!({"at": 1_772_359_200_500_i64}), "at"),
            (json!({"meta": {"at": "2026-03-01T11:00:00.5+01:00"}}), "meta.at"),
            (json!({"meta.at": "2026-03-01T10:00:00.5Z"}), "meta.at"),
        ] {
            assert_eq!(time_at(&message, field), Some(expected), "{message}");
        }
        for message in [json!({}), json!({"at": "yesterday"}), json!({"at": [1]})] {
            assert_eq!(time_at(&message, "at"), None, "{message}");
        }
    }
}
