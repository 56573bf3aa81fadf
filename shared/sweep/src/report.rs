//! What a sweep found.

use granary_domain::{ObjectKey, Pile};
use serde::{Deserialize, Serialize};

/// Objects that fail the proof and are named; the others are counted.
const DOUBTS_NAMED_MAX: usize = 50;

/// An object that fails the proof, and why. A person decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doubt {
    /// Its key.
    pub key: ObjectKey,
    /// What would be lost with it, for people.
    pub text: String,
}

/// What a sweep found. Where it was not to apply, the orphans and uploads are those that it would have taken away.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SweepReport {
    /// Whether what was found was taken away.
    pub apply: bool,
    /// What was younger was left alone.
    pub older_than_secs: u64,
    /// Objects and manifests that were looked at.
    pub looked_at: u64,
    /// Their bytes.
    pub bytes_looked_at: u64,
    /// Data objects that nobody recorded, with the proof that all they hold is on record in sound objects.
    pub orphans: Pile,
    /// Data objects that nobody recorded and that fail the proof. They stay until a person decides.
    pub unproven: Pile,
    /// Why the first 50 of them do.
    pub doubts: Vec<Doubt>,
    /// Data objects that hold messages which wait for their export, and manifests of objects that stay. A later sweep
    /// looks at them.
    pub waiting: Pile,
    /// Manifests of what is no longer on record.
    pub manifests: Pile,
    /// Uploads that nobody will complete.
    pub uploads: Pile,
    /// What would be one of the above if it were older.
    pub young: Pile,
    /// What isn't ours by its name. It stays.
    pub foreign: Pile,
    /// What is ours by its name, of a batch that the ledger doesn't know. It stays unless a person wants it gone.
    pub unknown: Pile,
    /// What stands at a generation that its completed batch hasn't come to. It stays.
    pub ahead: Pile,
    /// What was to be taken away and S3 refuses to remove. It stays.
    pub refused: Pile,
    /// What was to be taken away and changed, or vanished, at the same moment.
    pub overtaken: u64,
}

impl SweepReport {
    pub(crate) fn doubt(&mut self, doubt: Doubt) {
        if self.doubts.len() < DOUBTS_NAMED_MAX {
            self.doubts.push(doubt);
        }
    }
}
