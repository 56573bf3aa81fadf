//! What a rebuild found, in numbers and names.

use super::batch::Sound;
use granary_domain::{Hour, ObjectKey, Pile};
use granary_ledger::integrity::OwnedElsewhere;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Contradictions that a report names; the others are counted.
const CONTRADICTIONS_NAMED_MAX: usize = 50;
/// Messages that one contradiction names.
const IDS_NAMED_MAX: usize = 3;

/// What a rebuild found. After a dry run, the batches and messages are those that it would put on record.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RebuildReport {
    /// Whether it only looked.
    pub dry_run: bool,
    /// Why a rebuild is not possible now, where it only looked.
    pub obstacle: Option<String>,
    /// Manifests that were read, or left aside for a newer generation's.
    pub manifests: u64,
    /// Batches that are on record.
    pub batches: u64,
    /// Their messages.
    pub messages: u64,
    /// Bytes of their objects.
    pub bytes_stored: u64,
    /// Messages that the manifests name as missing or quarantined. They are not on record: what the source still shows is
    /// harvested again.
    pub exceptions: u64,
    /// Messages whose line and whose document don't tell their event time: the hour's first instant is on record instead.
    pub times_of_hour: u64,
    /// The first hour that has a batch.
    pub from: Option<Timestamp>,
    /// The end of the last one.
    pub to: Option<Timestamp>,
    /// Messages of an object that another batch owns. They are on record there.
    pub left_out: u64,
    /// What contradicts itself, and wasn't put on record for it.
    pub contradicting: u64,
    /// The first 50 of them.
    pub contradictions: Vec<Contradiction>,
    /// Data objects in the archive.
    pub objects: u64,
    /// Objects of an older generation than the one on record: replaced by a new export, or kept for messages that no other
    /// object has.
    pub older: Pile,
    /// Objects that no batch on record names: without a sound manifest, or redundant.
    pub without_batch: Pile,
}

/// What contradicts itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contradiction {
    /// The key of a manifest or of an object.
    pub key: ObjectKey,
    /// What is wrong with it, for people.
    pub text: String,
}

impl RebuildReport {
    /// A batch that is on record, with so many messages.
    pub(super) fn count(&mut self, sound: &Sound, messages: u64) {
        self.batches += 1;
        self.messages += messages;
        self.bytes_stored += sound.bytes_stored;
        self.exceptions += u64::from(sound.batch.exceptions);
        let hour: Hour = sound.batch.hour;
        let (from, to) = (hour.start(), hour.next().start());
        self.from = Some(self.from.map_or(from, |first| first.min(from)));
        self.to = Some(self.to.map_or(to, |last| last.max(to)));
    }

    pub(super) fn contradicts(&mut self, contradiction: Contradiction) {
        self.contradicting += 1;
        if self.contradictions.len() < CONTRADICTIONS_NAMED_MAX {
            self.contradictions.push(contradiction);
        }
    }

    /// Messages of a batch's object that another batch owns.
    pub(super) fn leave_out(&mut self, sound: &Sound, elsewhere: &[OwnedElsewhere]) {
        if elsewhere.is_empty() {
            return;
        }
        self.left_out += elsewhere.len() as u64;
        let named: Vec<String> = elsewhere
            .iter()
            .take(IDS_NAMED_MAX)
            .map(|one| format!("{} (batch {})", one.message_id, one.owner))
            .collect();
        self.contradicts(Contradiction {
            key: sound.key.clone(),
            text: format!(
                "{} of its {} messages are on record in other batches and were left out, such as {}",
                elsewhere.len(),
                sound.exported,
                named.join(", ")
            ),
        });
    }
}
