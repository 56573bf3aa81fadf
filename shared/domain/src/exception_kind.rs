//! The kinds of messages that the source holds and the archive does not, and that an operator may accept.
//!
//! Not here: how they are found (`granary-verify`), and which are accepted (`granary-ledger`). Nothing here can fail but
//! the reading of an unknown name.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A kind of exception. A verification is INCOMPLETE as long as one is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExceptionKind {
    /// A document without a usable id.
    WithoutId,
    /// A message that can't be exported.
    Quarantined,
    /// A document whose id is another document's: only one of them is archived.
    MergedId,
    /// An index that mapping or settings keep from being read. It counts as one, however many documents it holds.
    LeftOut,
}

impl ExceptionKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::WithoutId, Self::Quarantined, Self::MergedId, Self::LeftOut];

    /// The name in the ledger, in the API and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::WithoutId => "without_id",
            Self::Quarantined => "quarantined",
            Self::MergedId => "merged_id",
            Self::LeftOut => "left_out",
        }
    }
}

impl fmt::Display for ExceptionKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for ExceptionKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| {
                let known = Self::ALL.map(Self::as_str).join(", ");
                format!("{text:?} is no kind of exception; the kinds are {known}")
            })
    }
}
