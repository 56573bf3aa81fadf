//! Exceptions of a range: messages that the source shows and the archive doesn't hold, by kind and index, and whether an
//! operator accepts them.
//!
//! As many as are accepted, in all hours of an index together, leave a verdict as it is; one more makes it INCOMPLETE. Not here: how each is found, and how it
//! is accepted (`Ledger::accept_exceptions`). Nothing here can fail.

use granary_domain::ExceptionKind;
use granary_ledger::integrity::{AcceptedException, CountedExceptions};
use serde::{Deserialize, Serialize};

/// Indices and kinds that are listed. What is beyond them is counted under [`OTHERS`], and can't be accepted.
const LISTED_MAX: usize = 1_000;
/// No index has such a name.
const OTHERS: &str = "(other indices)";

/// The exceptions of a kind in an index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FoundExceptions {
    /// The kind of exception.
    pub kind: ExceptionKind,
    /// The concrete index.
    pub index: String,
    /// Messages of them.
    pub messages: u64,
    /// Whether an operator accepts so many.
    pub accepted: bool,
}

/// All that were found so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Exceptions {
    found: Vec<FoundExceptions>,
    /// As it stood when the step began; nothing between steps.
    #[serde(skip)]
    accepted: Vec<AcceptedException>,
    /// What other hours have of the accepted ones.
    #[serde(skip)]
    elsewhere: Vec<CountedExceptions>,
}

impl Exceptions {
    /// By kind and index.
    pub fn found(&self) -> &[FoundExceptions] {
        &self.found
    }

    /// Messages of kinds and indices of which so many are accepted.
    pub fn accepted_messages(&self) -> u64 {
        let accepted = self.found.iter().filter(|found| found.accepted);
        accepted.map(|found| found.messages).sum()
    }

    /// What is accepted of those that were found.
    pub(crate) fn relied_on(&self) -> Vec<AcceptedException> {
        let is_found = |accepted: &&AcceptedException| self.messages_of(accepted.kind, &accepted.index) > 0;
        self.accepted.iter().filter(is_found).cloned().collect()
    }

    /// Whether there are any that aren't accepted.
    pub(crate) fn are_open(&self) -> bool {
        self.found.iter().any(|found| !found.accepted)
    }

    /// Whether an index isn't read, and that isn't accepted.
    pub(crate) fn are_left_out(&self) -> bool {
        let mut open = self.found.iter().filter(|found| !found.accepted);
        open.any(|found| found.kind == ExceptionKind::LeftOut)
    }

    /// Messages of a kind in an index so far.
    pub(crate) fn messages_of(&self, kind: ExceptionKind, index: &str) -> u64 {
        self.place_of(kind, index).map_or(0, |at| self.found[at].messages)
    }

    /// Judges by what is accepted now, and what hours outside of this verification have of it.
    pub(crate) fn accept(&mut self, accepted: Vec<AcceptedException>, elsewhere: Vec<CountedExceptions>) {
        self.accepted = accepted;
        self.elsewhere = elsewhere;
        for at in 0..self.found.len() {
            self.found[at].accepted = self.is_accepted(at);
        }
    }

    /// The step is over: the next one reads again what is accepted.
    pub(crate) fn end_step(&mut self) {
        self.accepted.clear();
        self.elsewhere.clear();
    }

    /// What was found since, where these were found before.
    pub(crate) fn since(&self, before: &Self) -> Vec<CountedExceptions> {
        let of_hours = self
            .found
            .iter()
            .filter(|found| found.kind != ExceptionKind::LeftOut);
        let counted = of_hours.map(|found| CountedExceptions {
            kind: found.kind,
            index: found.index.clone(),
            messages: found.messages - before.messages_of(found.kind, &found.index),
        });
        counted.filter(|counted| counted.messages > 0).collect()
    }

    /// Counts messages. Says whether so many are accepted.
    pub(crate) fn add(&mut self, kind: ExceptionKind, index: &str, messages: u64) -> bool {
        let known = self.place_of(kind, index);
        let at = match known {
            Ok(at) => at,
            Err(_) if self.found.len() >= LISTED_MAX && index != OTHERS => {
                return self.add(kind, OTHERS, messages);
            }
            Err(at) => {
                let new = FoundExceptions {
                    kind,
                    index: index.to_owned(),
                    messages: 0,
                    accepted: false,
                };
                self.found.insert(at, new);
                at
            }
        };
        self.found[at].messages += messages;
        self.found[at].accepted = self.is_accepted(at);
        self.found[at].accepted
    }

    fn place_of(&self, kind: ExceptionKind, index: &str) -> Result<usize, usize> {
        self.found
            .binary_search_by(|found| (found.kind, found.index.as_str()).cmp(&(kind, index)))
    }

    fn is_accepted(&self, at: usize) -> bool {
        let found = &self.found[at];
        let is_it = |kind, index: &str| (kind, index) == (found.kind, found.index.as_str());
        let elsewhere = self
            .elsewhere
            .iter()
            .filter(|other| is_it(other.kind, &other.index));
        let messages = found.messages + elsewhere.map(|other| other.messages).sum::<u64>();
        self.accepted
            .iter()
            .any(|accepted| is_it(accepted.kind, &accepted.index) && messages <= accepted.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    fn accepted(kind: ExceptionKind, index: &str, max: u64) -> AcceptedException {
        AcceptedException {
            kind,
            index: index.to_owned(),
            max,
            reason: "a test".to_owned(),
            accepted_at: Timestamp::UNIX_EPOCH,
            accepted_by: "operator".to_owned(),
        }
    }

    #[test]
    fn one_more_than_is_accepted_is_open_and_each_kind_and_index_counts_alone() {
        use ExceptionKind::{MergedId, WithoutId};
        let mut exceptions = Exceptions::default();
        exceptions.accept(vec![accepted(WithoutId, "a", 2)], Vec::new());
        assert!(exceptions.add(WithoutId, "a", 1) && exceptions.add(WithoutId, "a", 1));
        assert_eq!(
            (exceptions.are_open(), exceptions.accepted_messages()),
            (false, 2)
        );
        assert!(!exceptions.add(WithoutId, "b", 1) && !exceptions.add(MergedId, "a", 1));
        assert!(!exceptions.add(WithoutId, "a", 1), "the third");
        assert_eq!(exceptions.accepted_messages(), 0);
        let all = [(WithoutId, "a", 3), (WithoutId, "b", 1), (MergedId, "a", 1)];
        let all = || all.map(|(kind, index, max)| accepted(kind, index, max)).into();
        exceptions.accept(all(), Vec::new());
        assert_eq!(
            (exceptions.are_open(), exceptions.accepted_messages()),
            (false, 5)
        );
        let other_hours = CountedExceptions {
            kind: WithoutId,
            index: "a".to_owned(),
            messages: 1,
        };
        exceptions.accept(all(), vec![other_hours]);
        assert!(
            exceptions.are_open(),
            "the fourth of the index lies in another hour"
        );
    }

    #[test]
    fn indices_beyond_the_bound_are_counted_and_never_accepted() {
        let mut exceptions = Exceptions::default();
        for number in 0..LISTED_MAX + 5 {
            exceptions.add(ExceptionKind::WithoutId, &format!("i-{number:05}"), 1);
        }
        assert_eq!(exceptions.found().len(), LISTED_MAX + 1);
        let others = exceptions.found().iter().find(|found| found.index == OTHERS);
        assert_eq!(
            others.map(|others| (others.messages, others.accepted)),
            Some((5, false))
        );
    }
}
