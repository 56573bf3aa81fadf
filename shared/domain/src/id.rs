//! Identifiers. Each is a type of its own, so that a window's number can't be passed for a batch's.

use serde::{Deserialize, Serialize};
use std::fmt;
use uuid::Uuid;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = std::num::ParseIntError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

number! {
    /// The number of a batch: unique in one ledger, in the order in which batches were recorded.
    BatchId(u64)
}
number! {
    /// The number of a harvest window.
    WindowId(u64)
}
number! {
    /// Grows with every change of a row's owner. A write that carries an older fence is refused.
    Fence(u32)
}
number! {
    /// Which export of a batch this is: 1 at first, one more for every re-export. Part of the object's key.
    Generation(u32)
}

/// A migration: a UUID v7, so ids sort by the time they were made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MigrationId(pub Uuid);

impl MigrationId {
    /// A new id of this moment.
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }
}

impl Default for MigrationId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for MigrationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::str::FromStr for MigrationId {
    type Err = uuid::Error;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::parse_str(text).map(Self)
    }
}

/// Elasticsearch's own limit for an `_id`, in bytes of UTF-8; the ledger's column is as wide.
pub const MESSAGE_ID_BYTES_MAX: usize = 512;
/// A longer routing can't be put on record.
pub const ROUTING_BYTES_MAX: usize = 512;

/// The id of a message: 1 to 512 bytes of UTF-8, compared byte by byte (upper and lower case differ, trailing
/// spaces count).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct MessageId(String);

/// Why a text can't be a message id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMessageId {
    /// The text is empty.
    #[error("a message id may not be empty")]
    Empty,
    /// The text is longer than [`MESSAGE_ID_BYTES_MAX`].
    #[error("a message id may have {MESSAGE_ID_BYTES_MAX} bytes at most, this one has {bytes}")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
}

impl MessageId {
    /// The text as it stands in the ledger and in the archive.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for MessageId {
    type Error = InvalidMessageId;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        match text.len() {
            0 => Err(InvalidMessageId::Empty),
            1..=MESSAGE_ID_BYTES_MAX => Ok(Self(text)),
            bytes => Err(InvalidMessageId::TooLong { bytes }),
        }
    }
}

impl<'de> Deserialize<'de> for MessageId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::try_from(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
