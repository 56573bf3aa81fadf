//! What always holds, in one place: each invariant has a name and a sentence.
//!
//! Tests, the reaper at each of its ticks and `verify` check the same list. Not here: how each one is checked. The
//! ledger checks its own rows (`granary-ledger`), objects are looked at where the bucket is (`granary-invariants`), ids
//! are compared with the source's by a verification, and what nobody recorded is the sweep's to find.

use crate::migration::named;
use crate::{BatchId, MessageId, WindowId};
use std::fmt;

named! {
    /// Something that always holds. [`sentence`](Invariant::sentence) says what.
    Invariant, "invariant", {
        /// A message's standing is one, and only one.
        OneStanding = "one_standing",
        /// What batches count is what stands in rows.
        CountsAreRows = "counts_are_rows",
        /// Nothing is lost on the way to the objects, and nothing is there twice.
        IdsAreTheSources = "ids_are_the_sources",
        /// No batch is tried for ever.
        AttemptsAreBounded = "attempts_are_bounded",
        /// A batch is in one pair of hands.
        OneWorker = "one_worker",
        /// Nobody completes what was taken from him.
        NoStaleCompletion = "no_stale_completion",
        /// What is completed can be found.
        RecordIsWhole = "record_is_whole",
        /// What is on record is there.
        ObjectsAreThere = "objects_are_there",
        /// What is there is on record.
        NothingUnrecorded = "nothing_unrecorded",
        /// People know of what waits for them.
        ParkedIsTold = "parked_is_told",
        /// What a window met is accounted for.
        WindowsAddUp = "windows_add_up",
    }
}

impl Invariant {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::OneStanding,
        Self::CountsAreRows,
        Self::IdsAreTheSources,
        Self::AttemptsAreBounded,
        Self::OneWorker,
        Self::NoStaleCompletion,
        Self::RecordIsWhole,
        Self::ObjectsAreThere,
        Self::NothingUnrecorded,
        Self::ParkedIsTold,
        Self::WindowsAddUp,
    ];

    /// What always holds, for people.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::OneStanding => {
                "every harvested id is exported, missing, quarantined, open or released, and exactly one of these"
            }
            Self::CountsAreRows => {
                "a batch owns as many messages as it counts, and a completed one as many exported, missing and quarantined ones"
            }
            Self::IdsAreTheSources => {
                "the ids in the objects on record are the source's ids less the explained ones, each of them once"
            }
            Self::AttemptsAreBounded => {
                "a batch has no more attempts than it may have, and no more than the log of attempts shows"
            }
            Self::OneWorker => {
                "a batch in progress has exactly one open attempt, its fence's; any other batch has none"
            }
            Self::NoStaleCompletion => {
                "each generation is completed at most once, by the attempt whose number is the batch's fence"
            }
            Self::RecordIsWhole => {
                "a completed batch names its object with size and checksum, at the key of its own hour, number and generation"
            }
            Self::ObjectsAreThere => {
                "every object on record exists with its size and checksum, and so does its manifest"
            }
            Self::NothingUnrecorded => "after a sweep no object is left that nobody recorded",
            Self::ParkedIsTold => "an alert is open about the cause of every parked batch",
            Self::WindowsAddUp => {
                "what a window found was recorded, adopted, owned elsewhere, there twice, or without an id"
            }
        }
    }
}

/// What an invariant doesn't hold for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// A batch, known or not.
    Batch(BatchId),
    /// A window.
    Window(WindowId),
    /// Messages that nobody owns.
    Released,
    /// The bucket.
    Archive,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Batch(id) => write!(f, "batch {id}"),
            Self::Window(id) => write!(f, "window {id}"),
            Self::Released => f.write_str("released messages"),
            Self::Archive => f.write_str("the archive"),
        }
    }
}

/// An invariant that doesn't hold: a defect, or somebody changed what isn't theirs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which one.
    pub invariant: Invariant,
    /// For what.
    pub subject: Subject,
    /// What is to be seen instead, for people. Never a message's content.
    pub text: String,
    /// Messages concerned, as far as they can be named: [`Violation::IDS_NAMED_MAX`] at most.
    pub ids: Vec<MessageId>,
    /// Messages concerned that aren't named.
    pub unnamed: u64,
}

impl Violation {
    /// A violation names no more messages than this; the others are counted.
    pub const IDS_NAMED_MAX: usize = 20;

    /// A violation that isn't about single messages.
    pub fn new(invariant: Invariant, subject: Subject, text: impl Into<String>) -> Self {
        Self {
            invariant,
            subject,
            text: text.into(),
            ids: Vec::new(),
            unnamed: 0,
        }
    }

    /// The same, about these messages of `count` in all.
    pub fn of_messages(mut self, mut ids: Vec<MessageId>, count: u64) -> Self {
        ids.truncate(Self::IDS_NAMED_MAX);
        self.unnamed = count.saturating_sub(ids.len() as u64);
        self.ids = ids;
        self
    }
}

impl fmt::Display for Violation {
    /// The subject and what is wrong come first, since a text that is too long is cut at its end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.subject, self.text)?;
        if !self.ids.is_empty() {
            let ids: Vec<&str> = self.ids.iter().map(MessageId::as_str).collect();
            write!(f, " ({}", ids.join(", "))?;
            match self.unnamed {
                0 => f.write_str(")")?,
                more => write!(f, " and {more} more)")?,
            }
        }
        write!(f, "; but {}", self.invariant.sentence())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_invariant_has_a_name_and_a_sentence_of_its_own() {
        let names: HashSet<_> = Invariant::ALL
            .iter()
            .map(|invariant| invariant.as_str())
            .collect();
        let sentences: HashSet<_> = Invariant::ALL
            .iter()
            .map(|invariant| invariant.sentence())
            .collect();
        assert_eq!(
            (names.len(), sentences.len()),
            (Invariant::ALL.len(), Invariant::ALL.len())
        );
        // As long as an alert's cause may be.
        assert!(names.iter().all(|name| name.len() <= 32));
    }

    #[test]
    fn a_violation_names_a_few_messages_and_counts_the_others() {
        let ids = (0..30).map(|number| MessageId::try_from(format!("m{number:02}")).unwrap());
        let violation = Violation::new(
            Invariant::OneStanding,
            Subject::Batch(BatchId(7)),
            "it is cancelled",
        );
        let violation = violation.of_messages(ids.collect(), 30);
        assert_eq!(
            (violation.ids.len(), violation.unnamed),
            (Violation::IDS_NAMED_MAX, 10)
        );
        let text = violation.to_string();
        assert!(text.starts_with("batch 7: it is cancelled (m00, m01, "), "{text}");
        assert!(
            text.contains("m19 and 10 more); but every harvested id is"),
            "{text}"
        );
    }
}
