//! Related documents that travel with each message: their indices, and how they are joined.

use serde::{Deserialize, Serialize};

/// The name of a metadata source: the field under which its documents stand in an exported line. Lower case
/// letters, digits and `_`, and none of the line's own fields, nor a name of the archive's partitions: a table over the
/// archive has both as columns.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct MetadataName(String);

const OF_THE_LINE: [&str; 8] = [
    "message_id",
    "index",
    "version",
    "message",
    "doc_id",
    "routing",
    "seq_no",
    "primary_term",
];
const OF_THE_PARTITIONS: [&str; 3] = ["source", "dt", "hour"];
const NAME_BYTES_MAX: usize = 64;

impl MetadataName {
    /// What has this name already in a table over the archive; `None`: nothing that every archive has.
    pub fn taken(name: &str) -> Option<String> {
        let whose = [
            (&OF_THE_LINE[..], "a line's own fields"),
            (&OF_THE_PARTITIONS, "the archive's partitions"),
        ];
        let (taken, whose) = whose.into_iter().find(|(taken, _)| taken.contains(&name))?;
        Some(format!("{whose} ({})", taken.join(", ")))
    }

    /// The name as it stands in a line.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for MetadataName {
    type Error = String;
    fn try_from(name: String) -> Result<Self, Self::Error> {
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(is_plain) {
            return Err(format!(
                "the name {name:?} must be 1 to {NAME_BYTES_MAX} of a-z, 0-9 and _"
            ));
        }
        if let Some(whose) = Self::taken(&name) {
            return Err(format!("the name {name:?} is one of {whose}: choose another"));
        }
        Ok(Self(name))
    }
}

impl<'de> Deserialize<'de> for MetadataName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::try_from(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// One index of related documents, as `GRANARY_METADATA_SOURCES` lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetadataSource {
    /// The field in the exported line.
    pub name: MetadataName,
    /// The index, alias or pattern.
    pub index: String,
    /// The field there that holds the message's id; a keyword.
    pub key: String,
    /// Whether a message has a list of these (`[…]`) or one (`{…}`; of several, the first by `sort`).
    #[serde(default)]
    pub many: bool,
    /// The field that orders them, ascending.
    #[serde(default)]
    pub sort: Option<String>,
}
