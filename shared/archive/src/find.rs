//! Finding one message's line in an object.
//!
//! The whole object is read, as a stream: only then is it known that what was found stands in a sound one. Nothing of a
//! message leaves this room, only where its line is and what it sums up to. Whoever has no time for a large object drops the
//! future.

use crate::contents::Sha256Sum;
use crate::error::ArchiveError;
use crate::store::Archive;
use granary_domain::{MessageId, ObjectKey};
use serde::Deserialize;
use sha2::{Digest, Sha256};

/// Where a message stands in an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundLine {
    /// The number of the message in the object, from 1 on.
    pub number: u64,
    /// The length of its line.
    pub bytes: u64,
    /// The SHA-256 of its line, without the line break and, in the format `json`, without the comma.
    pub sha256: Sha256Sum,
    /// The version of the document that was exported.
    pub version: i64,
}

#[derive(Deserialize)]
struct Versioned {
    version: i64,
}

impl Archive {
    /// Looks for a message's line. `None`: the object isn't there, or hasn't the message.
    pub async fn find_line(
        &self,
        key: &ObjectKey,
        id: &MessageId,
    ) -> Result<Option<FoundLine>, ArchiveError> {
        let (mut number, mut found) = (0, None);
        let contents = self
            .read_lines(key, |shown, line| {
                number += 1;
                if shown == id {
                    let version = serde_json::from_slice(line).map(|line: Versioned| line.version);
                    found = version.ok().map(|version| FoundLine {
                        number,
                        bytes: line.len() as u64,
                        sha256: Sha256Sum(Sha256::digest(line).into()),
                        version,
                    });
                }
            })
            .await?;
        Ok(found.filter(|_| contents.is_some()))
    }
}
