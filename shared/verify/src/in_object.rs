//! The messages of an object, as its lines tell them: for who puts them on record, not for a comparison.

use crate::Verifier;
use granary_archive::{ArchiveError, Contents};
use granary_domain::{Hour, MessageId, ObjectKey};
use granary_ledger::harvest::SeenMessage;
use jiff::Timestamp;
use serde_json::Value;
use std::sync::Arc;

/// Messages of one object: a batch has 10,000 at most.
const MESSAGES_MAX: usize = 100_000;

/// An object that was read to its end.
pub(crate) struct InObject {
    pub(crate) contents: Contents,
    /// The first 100,000 of them.
    pub(crate) lines: Vec<InLine>,
    count: usize,
}

impl InObject {
    /// Why it is no batch's: it holds more than is kept here.
    pub(crate) fn excess(&self) -> Option<String> {
        let count = self.count;
        (count > MESSAGES_MAX).then(|| format!("holds {count} messages, more than any batch"))
    }
}

impl Verifier {
    /// Reads an object of an hour. `None`: it isn't there.
    pub(crate) async fn messages_in(
        &self,
        key: &ObjectKey,
        hour: Hour,
    ) -> Result<Option<InObject>, ArchiveError> {
        let (mut lines, mut count) = (Vec::new(), 0_usize);
        let time_field = self.source.time_field();
        let contents = self
            .archive
            .read_lines(key, |id, line| {
                count += 1;
                if count <= MESSAGES_MAX {
                    lines.push(seen_in(line, id, hour, time_field));
                }
            })
            .await?;
        Ok(contents.map(|contents| InObject {
            contents,
            lines,
            count,
        }))
    }
}

/// A message as its line tells it.
pub(crate) struct InLine {
    pub(crate) message: SeenMessage,
    /// Whether the line has a time in the object's hour. If not, it is the hour's first instant.
    pub(crate) has_time: bool,
}

fn seen_in(line: &[u8], id: &MessageId, hour: Hour, time_field: &str) -> InLine {
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
