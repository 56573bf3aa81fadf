//! What a message says, and why one can't be read.

use granary_domain::{BatchId, MigrationId};
use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

/// The version that this code writes, and the only one that it reads.
const VERSION: u64 = 1;
/// The field that makes a message a probe.
const PROBE: &str = "probe";
/// Ours have about 100 bytes. What is much longer is not ours, and isn't parsed.
const BODY_BYTES_MAX: usize = 1_024;

/// What a body says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message {
    /// A batch is due.
    Batch(HandOffMessage),
    /// Nothing is: somebody wants to see whether messages arrive. `{"v":1,"probe":"0193…"}`
    Probe(Uuid),
}

/// The word that a batch is due: `{"v":1,"batch_id":7,"migration_id":"0193…"}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HandOffMessage {
    /// The batch.
    pub batch_id: BatchId,
    /// The migration that asked for it, for logs: the ledger doesn't need it to find the batch.
    pub migration_id: MigrationId,
}

/// Why a body can't be understood. It never quotes the body: that may be anybody's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnreadableMessage {
    /// Too long to be ours.
    #[error("the body has {bytes} bytes, more than the {BODY_BYTES_MAX} that a hand-off message may have")]
    Oversized {
        /// Its length.
        bytes: usize,
    },
    /// Not JSON.
    #[error("the body is not JSON: it goes wrong at column {column} of line {line}")]
    Malformed {
        /// From 1 on.
        line: usize,
        /// From 1 on, in bytes.
        column: usize,
    },
    /// JSON, but not a hand-off message.
    #[error("the body is not a hand-off message: {fault}")]
    Foreign {
        /// What it lacks.
        fault: &'static str,
    },
    /// A hand-off message of newer code. It can be read once this function is deployed again.
    #[error("the body is of version {version}, and this code reads version {VERSION} only")]
    FutureVersion {
        /// Its version.
        version: u64,
    },
}

/// The order of fields in a body.
#[derive(Serialize)]
struct Body {
    v: u64,
    batch_id: BatchId,
    migration_id: MigrationId,
}

impl HandOffMessage {
    /// The body as SQS carries it.
    pub fn to_body(&self) -> Result<String, serde_json::Error> {
        let Self {
            batch_id,
            migration_id,
        } = *self;
        serde_json::to_string(&Body {
            v: VERSION,
            batch_id,
            migration_id,
        })
    }

    /// Reads a body that says that a batch is due; a probe doesn't.
    pub fn parse(body: &str) -> Result<Self, UnreadableMessage> {
        match Message::parse(body)? {
            Message::Batch(message) => Ok(message),
            Message::Probe(_) => Err(UnreadableMessage::Foreign {
                fault: "it is a probe",
            }),
        }
    }

    fn of(fields: &Map<String, Value>) -> Result<Self, UnreadableMessage> {
        let batch_id = fields
            .get("batch_id")
            .and_then(Value::as_u64)
            .filter(|number| *number > 0);
        let migration_id = fields
            .get("migration_id")
            .and_then(Value::as_str)
            .and_then(|text| text.parse().ok());
        Ok(Self {
            batch_id: batch_id.map(BatchId).ok_or(UnreadableMessage::Foreign {
                fault: "batch_id is not the number of a batch",
            })?,
            migration_id: migration_id.ok_or(UnreadableMessage::Foreign {
                fault: "migration_id is not a UUID",
            })?,
        })
    }
}

impl Message {
    /// The longest message of a probe, in bytes of its JSON: with it, a body is still short enough to be read.
    pub const PROBE_MESSAGE_BYTES_MAX: usize = 800;

    /// The body of a probe, with a message for people who look into the queue. The exporter doesn't read it.
    pub fn probe_body(probe: Uuid, message: Option<&Value>) -> String {
        match message {
            None => format!("{{\"v\":{VERSION},\"{PROBE}\":\"{probe}\"}}"),
            Some(message) => format!("{{\"v\":{VERSION},\"{PROBE}\":\"{probe}\",\"message\":{message}}}"),
        }
    }

    /// Reads a body. Fields that this version doesn't know are left alone: newer code may add some. What names a batch is
    /// about that batch, whatever else it holds.
    pub fn parse(body: &str) -> Result<Self, UnreadableMessage> {
        if body.len() > BODY_BYTES_MAX {
            return Err(UnreadableMessage::Oversized { bytes: body.len() });
        }
        let value: Value = serde_json::from_str(body).map_err(|error| UnreadableMessage::Malformed {
            line: error.line(),
            column: error.column(),
        })?;
        let fields = value.as_object().ok_or(UnreadableMessage::Foreign {
            fault: "it is not an object",
        })?;
        match fields.get("v").and_then(Value::as_u64) {
            Some(VERSION) => Self::of(fields),
            Some(version) if version > VERSION => Err(UnreadableMessage::FutureVersion { version }),
            Some(_) | None => Err(UnreadableMessage::Foreign {
                fault: "v is not the number of a version",
            }),
        }
    }

    fn of(fields: &Map<String, Value>) -> Result<Self, UnreadableMessage> {
        match fields.get(PROBE) {
            Some(probe) if !fields.contains_key("batch_id") => {
                let probe = probe.as_str().and_then(|text| text.parse().ok());
                probe.map(Self::Probe).ok_or(UnreadableMessage::Foreign {
                    fault: "probe is not a UUID",
                })
            }
            Some(_) | None => HandOffMessage::of(fields).map(Self::Batch),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIGRATION: &str = "01935e7a-3c00-7000-8000-000000000001";

    fn body(fields: &str) -> String {
        format!("{{{fields},\"migration_id\":\"{MIGRATION}\"}}")
    }

    #[test]
    fn a_body_is_read_as_it_was_written() {
        let message = HandOffMessage {
            batch_id: BatchId(7),
            migration_id: MIGRATION.parse().unwrap(),
        };
        let body = message.to_body().unwrap();
        assert_eq!(
            body,
            format!("{{\"v\":1,\"batch_id\":7,\"migration_id\":\"{MIGRATION}\"}}")
        );
        assert_eq!(HandOffMessage::parse(&body), Ok(message));
    }

    #[test]
    fn a_probe_is_read_as_it_was_written_and_is_no_batch() {
        let probe: Uuid = MIGRATION.parse().unwrap();
        let body = Message::probe_body(probe, None);
        assert_eq!(body, format!("{{\"v\":1,\"probe\":\"{MIGRATION}\"}}"));
        assert_eq!(Message::parse(&body), Ok(Message::Probe(probe)));
        let longest = Value::from("x".repeat(Message::PROBE_MESSAGE_BYTES_MAX - 2));
        let body = Message::probe_body(probe, Some(&longest));
        assert_eq!(Message::parse(&body), Ok(Message::Probe(probe)));
        assert!(matches!(
            HandOffMessage::parse(&body),
            Err(UnreadableMessage::Foreign { .. })
        ));
        assert!(matches!(
            Message::parse("{\"v\":1,\"probe\":7}"),
            Err(UnreadableMessage::Foreign { .. })
        ));
    }

    #[test]
    fn what_names_a_batch_is_about_that_batch_whatever_else_it_holds() {
        let text =
            format!("{{\"v\":1,\"batch_id\":7,\"probe\":\"{MIGRATION}\",\"migration_id\":\"{MIGRATION}\"}}");
        assert!(
            matches!(Message::parse(&text), Ok(Message::Batch(message)) if message.batch_id == BatchId(7))
        );
    }

    #[test]
    fn fields_that_newer_code_may_add_are_tolerated() {
        let read = HandOffMessage::parse(&body(
            "\"v\":1,\"batch_id\":18446744073709551615,\"trace\":{\"a\":[1]}",
        ));
        assert_eq!(read.unwrap().batch_id, BatchId(u64::MAX));
    }

    /// Q1, the part of it that this room decides.
    #[test]
    fn q1_a_body_that_is_not_json_is_malformed() {
        for text in [
            "",
            "batch 7",
            "{\"v\":1,",
            "{\"v\":1e400}",
            "\u{0}",
            &"[".repeat(1_000),
        ] {
            let read = HandOffMessage::parse(text);
            assert!(
                matches!(read, Err(UnreadableMessage::Malformed { .. })),
                "{text:?}: {read:?}"
            );
        }
    }

    #[test]
    fn q1_json_that_is_not_a_hand_off_message_is_foreign() {
        let foreign = [
            "null".to_owned(),
            "[1]".to_owned(),
            "{\"Records\":[{\"eventSource\":\"aws:s3\"}]}".to_owned(),
            body("\"batch_id\":7"),
            body("\"v\":0,\"batch_id\":7"),
            body("\"v\":\"1\",\"batch_id\":7"),
            body("\"v\":1,\"batch_id\":0"),
            body("\"v\":1,\"batch_id\":-7"),
            body("\"v\":1,\"batch_id\":7.5"),
            body("\"v\":1,\"batch_id\":\"7\""),
            body("\"v\":1,\"batch_id\":18446744073709551616"),
            body("\"v\":1,\"batch_id\":1e300"),
            "{\"v\":1,\"batch_id\":7,\"migration_id\":\"the first\"}".to_owned(),
            "{\"v\":1,\"batch_id\":7}".to_owned(),
        ];
        for text in foreign {
            let read = HandOffMessage::parse(&text);
            assert!(
                matches!(read, Err(UnreadableMessage::Foreign { .. })),
                "{text}: {read:?}"
            );
        }
    }

    #[test]
    fn q1_a_message_of_a_future_version_says_so_whatever_else_it_holds() {
        let read = HandOffMessage::parse("{\"v\":2,\"batches\":[7,8]}");
        assert_eq!(read, Err(UnreadableMessage::FutureVersion { version: 2 }));
    }

    #[test]
    fn q1_an_oversized_body_is_not_parsed_and_never_quoted() {
        let text = body(&format!(
            "\"v\":1,\"batch_id\":7,\"secret\":\"{}\"",
            "hunter2".repeat(200)
        ));
        let error = HandOffMessage::parse(&text).unwrap_err();
        assert_eq!(error, UnreadableMessage::Oversized { bytes: text.len() });
        assert!(!error.to_string().contains("hunter2"));
    }
}
