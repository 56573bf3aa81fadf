//! Objects that a report counts, and of which it names some.

use crate::ObjectKey;
use serde::{Deserialize, Serialize};

const KEYS_NAMED_MAX: usize = 50;

/// Objects that had the same fate.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Pile {
    /// How many.
    pub count: u64,
    /// Their bytes; of uploads they are unknown.
    pub bytes: u64,
    /// The first 50 of them.
    pub keys: Vec<ObjectKey>,
}

impl Pile {
    /// Puts one more there.
    pub fn add(&mut self, key: &ObjectKey, bytes: u64) {
        self.count += 1;
        self.bytes += bytes;
        if self.keys.len() < KEYS_NAMED_MAX {
            self.keys.push(key.clone());
        }
    }
}
