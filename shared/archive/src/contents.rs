//! What an object holds, in numbers: the same account whether it was just written or read back.

use crate::exported::MetadataCounts;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use granary_domain::{IdDigest, MessageId};
use std::collections::BTreeMap;
use std::fmt;

/// The account of an object's bytes and messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    /// Messages in it.
    pub exported: u64,
    /// The digest of their ids.
    pub id_digest: IdDigest,
    /// Entries of metadata, by metadata source. A source without any isn't listed.
    pub metadata: BTreeMap<String, u64>,
    /// The first id, in the order of the file.
    pub first_id: Option<MessageId>,
    /// The last id, in the order of the file.
    pub last_id: Option<MessageId>,
    /// Bytes before compression.
    pub bytes_raw: u64,
    /// Bytes of the object.
    pub bytes_stored: u64,
    /// The SHA-256 of the object's bytes.
    pub sha256: Sha256Sum,
}

/// A SHA-256. It is displayed in hexadecimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sha256Sum(pub [u8; 32]);

impl Sha256Sum {
    /// As S3's checksum headers take it.
    pub(crate) fn to_base64(self) -> String {
        STANDARD.encode(self.0)
    }
}

impl fmt::Display for Sha256Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The lines that went by: how many, which ids came first and last, the digest of the ids, and their metadata. Allocates
/// nothing for each line.
#[derive(Debug, Default)]
pub(crate) struct LineAccount {
    digest: IdDigest,
    metadata: MetadataCounts,
    first: Option<MessageId>,
    last: String,
}

impl LineAccount {
    pub(crate) fn add(&mut self, id: &MessageId, metadata: &MetadataCounts) {
        self.metadata.merge(metadata);
        self.digest.add(id.as_str().as_bytes());
        self.first.get_or_insert_with(|| id.clone());
        self.last.clear();
        self.last.push_str(id.as_str());
    }

    pub(crate) fn count(&self) -> u64 {
        self.digest.count
    }

    /// The account of an object with these ids and these bytes.
    pub(crate) fn into_contents(self, bytes: ByteAccount) -> Contents {
        Contents {
            exported: self.digest.count,
            id_digest: self.digest,
            metadata: self.metadata.into_map(),
            first_id: self.first,
            last_id: MessageId::try_from(self.last).ok(),
            bytes_raw: bytes.raw,
            bytes_stored: bytes.stored,
            sha256: bytes.sha256,
        }
    }
}

/// The bytes that went by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ByteAccount {
    pub(crate) raw: u64,
    pub(crate) stored: u64,
    pub(crate) sha256: Sha256Sum,
}
