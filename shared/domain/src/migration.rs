//! Migrations and harvest windows: what was asked for, and how far the reading of ids has come.

use serde::{Deserialize, Serialize};

macro_rules! named {
    ($(#[$doc:meta])* $name:ident, $what:literal, { $($(#[$variant_doc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, ::serde::Serialize, ::serde::Deserialize)]
        pub enum $name { $($(#[$variant_doc])* #[serde(rename = $text)] $variant),+ }

        impl $name {
            /// All names, in the order of the variants.
            pub const NAMES: &'static [&'static str] = &[$($text),+];

            /// The name in the ledger and in the API.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::UnknownName;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    other => Err($crate::UnknownName::new($what, other, [$($text),+].join(", "))),
                }
            }
        }
    };
}
pub(crate) use named;

named! {
    /// Why a migration exists.
    MigrationKind, "migration kind", {
        /// The schedule's: one for each deployment, without an end.
        Continuous = "continuous",
        /// Somebody asked for a range.
        Backfill = "backfill",
        /// Somebody asked for a part of a range, by a filter.
        Selection = "selection",
    }
}

named! {
    /// How far a migration is. `open → draining → completed | cancelled`.
    MigrationState, "migration state", {
        /// Ids of its range are still being read.
        Open = "open",
        /// All ids are on record; batches are still being exported.
        Draining = "draining",
        /// Every message of its range is exported, missing or quarantined.
        Completed = "completed",
        /// Given up; what only it had asked for was released.
        Cancelled = "cancelled",
    }
}

named! {
    /// How far the harvest of a window is. `open → harvesting → recorded → verified`.
    WindowState, "window state", {
        /// Waiting for a harvester, or handed back by one.
        Open = "open",
        /// A harvester holds it by lease and fence.
        Harvesting = "harvesting",
        /// Every id that the source showed in it is accounted for.
        Recorded = "recorded",
        /// Compared with the source and the archive, and equal.
        Verified = "verified",
    }
}

/// How urgent a migration is, 0 to 9. From 5 on, its batches take the priority queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Priority(u8);

impl Priority {
    /// The default.
    pub const NORMAL: Self = Self(0);
    /// The least number that is urgent.
    pub const URGENT_FROM: u8 = 5;
    /// The greatest number.
    pub const MAX: u8 = 9;

    /// Whether its batches take the priority queue.
    pub fn is_urgent(self) -> bool {
        self.0 >= Self::URGENT_FROM
    }
}

impl TryFrom<u8> for Priority {
    type Error = String;
    fn try_from(number: u8) -> Result<Self, Self::Error> {
        if number <= Self::MAX {
            Ok(Self(number))
        } else {
            Err(format!("a priority is 0 to {}, not {number}", Self::MAX))
        }
    }
}

impl From<Priority> for u8 {
    fn from(priority: Priority) -> Self {
        priority.0
    }
}
