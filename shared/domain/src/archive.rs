//! Where things lie in the bucket, and in which form.

use crate::migration::named;
use crate::{BatchId, Generation, Hour, MessageId};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;

/// A name that isn't one of a closed list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is not a {what}; it is one of: {expected}")]
pub struct UnknownName {
    what: &'static str,
    found: String,
    expected: String,
}

impl UnknownName {
    pub(crate) fn new(what: &'static str, found: &str, expected: impl Into<String>) -> Self {
        Self {
            what,
            found: found.to_owned(),
            expected: expected.into(),
        }
    }
}

named! {
    /// How an object is compressed.
    Compression, "compression", {
        /// Zstandard, level 1.
        Zstd = "zstd",
        /// Gzip, level 1.
        Gzip = "gzip",
        /// Not at all.
        None = "none",
    }
}

impl Compression {
    /// What it adds to the end of a key: `.zst`, `.gz` or nothing.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Zstd => ".zst",
            Self::Gzip => ".gz",
            Self::None => "",
        }
    }
}

named! {
    /// How the messages of an object are written down.
    Format, "format", {
        /// One JSON document a line.
        Ndjson = "ndjson",
        /// One JSON document for the file: `{"messages":[…]}`.
        Json = "json",
    }
}

/// The name of an object in the bucket.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ObjectKey(String);

impl ObjectKey {
    /// A key that stands in the ledger, in a manifest or in a listing of the bucket.
    pub fn from_record(key: String) -> Self {
        Self(key)
    }

    /// The key as S3 takes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// How the object is compressed, by its name.
    pub fn compression(&self) -> Compression {
        match self.0.rsplit_once('.').map(|(_, extension)| extension) {
            Some("zst") => Compression::Zstd,
            Some("gz") => Compression::Gzip,
            _ => Compression::None,
        }
    }

    /// How its messages are written down, by its name.
    pub fn format(&self) -> Format {
        let bare = self.0.trim_end_matches(self.compression().extension());
        if bare.ends_with(".json") {
            Format::Json
        } else {
            Format::Ndjson
        }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Under a source's root: raw bytes of messages that can't be exported. What begins with an underscore is hidden from
/// Athena and its kind.
pub const QUARANTINE: &str = "_quarantine/";
/// Under a source's root: what outlives the ledger, to tell that it was restored.
pub const LEDGER: &str = "_ledger/";
/// Of an id's digest in a key. A batch has at most 10,000 ids.
const QUARANTINE_DIGEST_BYTES: usize = 8;

/// The part of the bucket that belongs to one source: `<prefix>/source=<name>/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    prefix: String,
    root: String,
}

impl Layout {
    /// `prefix` may be empty or end in a slash; `source_name` is `GRANARY_SOURCE_NAME`.
    pub fn new(prefix: &str, source_name: &str) -> Self {
        let prefix = prefix.trim_matches('/');
        let slash = if prefix.is_empty() { "" } else { "/" };
        Self {
            prefix: prefix.to_owned(),
            root: format!("{prefix}{slash}source={source_name}/"),
        }
    }

    /// The prefix without slashes around it; may be empty.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Everything of this source begins with it. Ends in a slash.
    pub fn root(&self) -> &str {
        &self.root
    }

    /// The key of a batch's data object: one for each generation, so that two writers meet at the same key.
    pub fn object(
        &self,
        hour: Hour,
        id: BatchId,
        generation: Generation,
        form: (Format, Compression),
    ) -> ObjectKey {
        let (format, compression) = form;
        ObjectKey(format!(
            "{}dt={}/hour={}/batch-{id}-g{generation}.{format}{}",
            self.root,
            hour.date(),
            hour.hour_of_day(),
            compression.extension()
        ))
    }

    /// The key of its manifest.
    pub fn manifest(&self, hour: Hour, id: BatchId, generation: Generation) -> ObjectKey {
        ObjectKey(format!(
            "{}_manifests/dt={}/batch-{id}-g{generation}.json",
            self.root,
            hour.date()
        ))
    }

    /// The key of the mark of batch numbers.
    pub fn number_mark(&self) -> ObjectKey {
        ObjectKey(format!("{}{LEDGER}batch-numbers.json", self.root))
    }

    /// Where the raw bytes of a message that can't be exported are kept. Ids may hold any character, so the name has
    /// the beginning of the id's SHA-256.
    pub fn quarantine(&self, hour: Hour, id: BatchId, message: &MessageId) -> ObjectKey {
        let digest = Sha256::digest(message.as_str().as_bytes());
        let digest: String = digest[..QUARANTINE_DIGEST_BYTES]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        ObjectKey(format!(
            "{}{QUARANTINE}dt={}/batch-{id}-{digest}.bin",
            self.root,
            hour.date()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_hive_partitions_of_the_utc_hour() {
        let hour = Hour::of("2026-11-22T06:59:59Z".parse().unwrap());
        let layout = Layout::new("/archive/", "messages");
        let key = layout.object(
            hour,
            BatchId(7),
            Generation(2),
            (Format::Ndjson, Compression::Zstd),
        );
        assert_eq!(
            key.as_str(),
            "archive/source=messages/dt=2026-11-22/hour=06/batch-7-g2.ndjson.zst"
        );
        assert_eq!(
            (key.format(), key.compression()),
            (Format::Ndjson, Compression::Zstd)
        );
        assert_eq!(layout.prefix(), "archive");
        let bare =
            Layout::new("", "m").object(hour, BatchId(7), Generation(1), (Format::Json, Compression::None));
        assert_eq!(bare.as_str(), "source=m/dt=2026-11-22/hour=06/batch-7-g1.json");
        assert_eq!(
            (bare.format(), bare.compression()),
            (Format::Json, Compression::None)
        );
        let manifest = layout.manifest(hour, BatchId(7), Generation(2));
        assert_eq!(
            manifest.as_str(),
            "archive/source=messages/_manifests/dt=2026-11-22/batch-7-g2.json"
        );
        let message = MessageId::try_from("a/\u{1F33E} b".to_owned()).unwrap();
        let raw = layout.quarantine(hour, BatchId(7), &message);
        assert_eq!(
            raw.as_str(),
            "archive/source=messages/_quarantine/dt=2026-11-22/batch-7-14d61468f12705db.bin"
        );
    }
}
