//! What stands beside each data object: enough to check it without the ledger.
//!
//! A manifest is a function of the object and of the ledger's row, so writing it twice is harmless.

use crate::migration::named;
use crate::{BatchId, Generation, Hour, IdDigest, MessageId, MigrationId, ObjectKey, WindowId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

named! {
    /// What became of a message that isn't in its batch's object.
    Outcome, "outcome", {
        /// Gone at the source between harvest and export: a tombstone.
        Missing = "missing",
        /// Can't be exported; the reason says why.
        Quarantined = "quarantined",
    }
}

/// A message that isn't in the object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestException {
    /// Its id.
    pub message_id: MessageId,
    /// What became of it.
    pub outcome: Outcome,
    /// Why, for people. Never a message's content.
    pub reason: String,
}

/// One batch's account: what its object holds, and what it doesn't.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of this form: 1.
    pub v: u32,
    /// `GRANARY_SOURCE_NAME`.
    pub source: String,
    /// The batch.
    pub batch_id: BatchId,
    /// Which export of it.
    pub generation: Generation,
    /// The migration that recorded it.
    pub migration_id: MigrationId,
    /// The window that it was harvested in.
    pub window_id: WindowId,
    /// The UTC hour of event time that all its messages are in.
    pub hour: Hour,
    /// The attempt that wrote the object, or adopted it.
    pub attempt: u32,
    /// The data object; absent when no message was left to write.
    pub object: Option<ObjectKey>,
    /// Messages in the batch.
    pub messages: u64,
    /// Messages in the object.
    pub exported: u64,
    /// Messages that aren't, each with its reason.
    pub exceptions: Vec<ManifestException>,
    /// The first id in the object.
    pub first_id: Option<MessageId>,
    /// The last id in the object.
    pub last_id: Option<MessageId>,
    /// The digest of the ids in the object.
    pub id_digest: IdDigest,
    /// Entries of metadata in the object, by metadata source. A source without any isn't listed.
    #[serde(default)]
    pub metadata: BTreeMap<String, u64>,
    /// The SHA-256 of the object's bytes, in hexadecimal.
    pub sha256: Option<String>,
    /// Bytes before compression.
    pub bytes_raw: u64,
    /// Bytes of the object.
    pub bytes_stored: u64,
}
