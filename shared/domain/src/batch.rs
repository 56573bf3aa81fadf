//! The state machine of a batch: every legal transition, in one exhaustive match.
//!
//! The ledger makes the same changes by conditional UPDATEs; this is the text they are checked against
//! (a test walks both side by side). Nothing else decides what a batch may become.

use crate::{Fence, Generation};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Where a batch stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BatchStatus {
    /// Recorded; to be sent, or sent and not yet claimed.
    Pending,
    /// A worker holds it by lease and fence.
    InProgress,
    /// Its object is on record.
    Completed,
    /// The last attempt failed. It is parked when it has no attempt left.
    Failed,
    /// Given up by an operator; its messages were released.
    Cancelled,
}

impl BatchStatus {
    /// All of them, in the order of a batch's life.
    pub const ALL: [Self; 5] = [
        Self::Pending,
        Self::InProgress,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
    ];

    /// The name in the ledger and in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for BatchStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for BatchStatus {
    type Err = crate::UnknownName;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or_else(|| {
                crate::UnknownName::new(
                    "batch status",
                    text,
                    "pending, in_progress, completed, failed, cancelled",
                )
            })
    }
}

/// The part of a batch that transitions change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch {
    /// Where it stands.
    pub status: BatchStatus,
    /// Who may write: the newest owner.
    pub fence: Fence,
    /// Attempts begun since it last became fresh.
    pub attempts: u32,
    /// Which export this is.
    pub generation: Generation,
    /// How often in a row the platform broke it off.
    pub deferrals: u32,
    /// Whether it was settled once: its messages are in the archive, whatever happens to the next export.
    pub is_on_record: bool,
}

/// Something that happens to a batch. `fence` is the one that the worker was given when it claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transition {
    /// A worker takes it. That it is due and not paused is the ledger's to know.
    Claim,
    /// Its object is written and verified.
    Settle {
        /// The worker's.
        fence: Fence,
    },
    /// The attempt failed through the batch's own fault.
    Fail {
        /// The worker's.
        fence: Fence,
    },
    /// The attempt failed through the platform's fault, or didn't fit into the worker's time: it did not count.
    Defer {
        /// The worker's.
        fence: Fence,
    },
    /// The batch didn't fit into the worker's time or disk, twice: it keeps half of its messages, under a new key. One
    /// whose old object is on record is deferred instead.
    Split {
        /// The worker's.
        fence: Fence,
    },
    /// The worker is being shut down: the attempt did not count, and says nothing about the batch.
    HandBack {
        /// The worker's.
        fence: Fence,
    },
    /// The worker's lease is over: it is taken for dead.
    Reap,
    /// The delay after a failure is over and an attempt is left.
    Retry,
    /// An operator sends a parked batch again.
    Unpark,
    /// An operator gives it up, unless its messages are on record.
    Cancel,
    /// An operator wants its object written anew.
    ReExport,
}

/// A transition that the state machine doesn't have. The caller's knowledge of the batch is out of date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{transition:?} is not possible for a batch that is {} (fence {}, attempts {})", from.status, from.fence, from.attempts)]
pub struct IllegalTransition {
    /// The batch as it was.
    pub from: Batch,
    /// What was tried.
    pub transition: Transition,
}

impl Batch {
    /// A batch as the harvester records it.
    pub const NEW: Self = Self {
        status: BatchStatus::Pending,
        fence: Fence(0),
        attempts: 0,
        generation: Generation(1),
        deferrals: 0,
        is_on_record: false,
    };

    /// Whether it failed and has no attempt left.
    pub fn is_parked(&self, attempts_max: u32) -> bool {
        self.status == BatchStatus::Failed && self.attempts >= attempts_max
    }

    /// The batch after `transition`, or why that can't be.
    pub fn after(self, transition: Transition, attempts_max: u32) -> Result<Self, IllegalTransition> {
        use BatchStatus::{Cancelled, Completed, Failed, InProgress, Pending};
        let next_fence = Fence(self.fence.0 + 1);
        let parked = self.is_parked(attempts_max);
        match (self.status, transition) {
            (Pending, Transition::Claim) => Ok(Self {
                status: InProgress,
                fence: next_fence,
                attempts: self.attempts + 1,
                ..self
            }),
            (InProgress, Transition::Settle { fence }) if fence == self.fence => Ok(self.settled()),
            (InProgress, Transition::Fail { fence }) if fence == self.fence => Ok(Self {
                status: Failed,
                deferrals: 0,
                ..self
            }),
            (InProgress, Transition::Defer { fence }) if fence == self.fence => Ok(self.deferred()),
            (InProgress, Transition::Split { fence }) if fence == self.fence => Ok(self.split()),
            (InProgress, Transition::HandBack { fence }) if fence == self.fence => Ok(Self {
                status: Pending,
                attempts: self.attempts - 1,
                ..self
            }),
            (InProgress, Transition::Reap) => Ok(Self {
                status: Failed,
                fence: next_fence,
                deferrals: 0,
                ..self
            }),
            (Failed, Transition::Retry) if !parked => Ok(Self {
                status: Pending,
                ..self
            }),
            (Failed, Transition::Unpark) if parked => Ok(Self {
                status: Pending,
                attempts: 0,
                ..self
            }),
            (Pending | Failed | InProgress, Transition::Cancel) if !self.is_on_record => Ok(Self {
                status: Cancelled,
                fence: next_fence,
                ..self
            }),
            (Completed, Transition::ReExport) => Ok(self.re_exported()),
            (Failed, Transition::ReExport) if parked => Ok(self.re_exported()),
            (
                Pending | InProgress | Completed | Failed | Cancelled,
                Transition::Claim
                | Transition::Settle { .. }
                | Transition::Fail { .. }
                | Transition::Defer { .. }
                | Transition::Split { .. }
                | Transition::HandBack { .. }
                | Transition::Reap
                | Transition::Retry
                | Transition::Unpark
                | Transition::Cancel
                | Transition::ReExport,
            ) => Err(IllegalTransition {
                from: self,
                transition,
            }),
        }
    }

    fn deferred(self) -> Self {
        Self {
            status: BatchStatus::Pending,
            attempts: self.attempts - 1,
            deferrals: self.deferrals + 1,
            ..self
        }
    }

    fn split(self) -> Self {
        if self.is_on_record {
            return self.deferred();
        }
        Self {
            status: BatchStatus::Pending,
            attempts: self.attempts - 1,
            generation: Generation(self.generation.0 + 1),
            deferrals: 0,
            ..self
        }
    }

    fn settled(self) -> Self {
        Self {
            status: BatchStatus::Completed,
            deferrals: 0,
            is_on_record: true,
            ..self
        }
    }

    fn re_exported(self) -> Self {
        let generation = Generation(self.generation.0 + 1);
        Self {
            status: BatchStatus::Pending,
            attempts: 0,
            generation,
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ATTEMPTS_MAX: u32 = 5;

    fn any_transition() -> impl Strategy<Value = Transition> {
        let fence = (0..8u32).prop_map(Fence);
        prop_oneof![
            Just(Transition::Claim),
            fence.clone().prop_map(|fence| Transition::Settle { fence }),
            fence.clone().prop_map(|fence| Transition::Fail { fence }),
            fence.clone().prop_map(|fence| Transition::Defer { fence }),
            fence.clone().prop_map(|fence| Transition::Split { fence }),
            fence.prop_map(|fence| Transition::HandBack { fence }),
            Just(Transition::Reap),
            Just(Transition::Retry),
            Just(Transition::Unpark),
            Just(Transition::Cancel),
            Just(Transition::ReExport),
        ]
    }

    proptest! {
        #[test]
        fn no_history_breaks_the_invariants(history in prop::collection::vec(any_transition(), 0..60)) {
            let mut batch = Batch::NEW;
            for transition in history {
                let Ok(next) = batch.after(transition, ATTEMPTS_MAX) else { continue };
                prop_assert!(next.fence >= batch.fence, "a fence never goes back");
                prop_assert!(next.generation >= batch.generation, "nor does a generation");
                prop_assert!(next.attempts <= ATTEMPTS_MAX, "attempts are bounded");
                prop_assert!(batch.status != BatchStatus::Cancelled, "cancelled is the end");
                prop_assert!(
                    next.deferrals == 0 || !matches!(next.status, BatchStatus::Completed | BatchStatus::Failed),
                    "what is completed or failed waits for no platform"
                );
                prop_assert!(
                    next.status != BatchStatus::InProgress || next.fence > batch.fence,
                    "each owner has a fence of its own"
                );
                batch = next;
            }
        }

        #[test]
        fn a_stale_fence_changes_nothing(stale in 0..8u32, current in 0..8u32) {
            prop_assume!(stale != current);
            let batch = Batch { status: BatchStatus::InProgress, fence: Fence(current), attempts: 1, ..Batch::NEW };
            let fence = Fence(stale);
            let writes = [
                Transition::Settle { fence },
                Transition::Fail { fence },
                Transition::Defer { fence },
                Transition::Split { fence },
                Transition::HandBack { fence },
            ];
            for transition in writes {
                prop_assert!(batch.after(transition, ATTEMPTS_MAX).is_err());
            }
        }

        /// E9, E12: by a fault of the platform, or for want of time.
        #[test]
        fn e12_deferrals_however_many_burn_no_attempt_and_park_nothing(deferrals in 1..200u32) {
            let mut batch = Batch::NEW;
            for _ in 0..deferrals {
                let claimed = batch.after(Transition::Claim, ATTEMPTS_MAX).unwrap();
                batch = claimed.after(Transition::Defer { fence: claimed.fence }, ATTEMPTS_MAX).unwrap();
            }
            prop_assert_eq!((batch.status, batch.attempts), (BatchStatus::Pending, 0));
            prop_assert_eq!(batch.deferrals, deferrals);
        }
    }

    #[test]
    fn a_batch_is_parked_after_its_last_attempt_and_only_a_person_sends_it_again() {
        let failed = Batch {
            status: BatchStatus::Failed,
            attempts: ATTEMPTS_MAX,
            ..Batch::NEW
        };
        assert!(failed.after(Transition::Retry, ATTEMPTS_MAX).is_err());
        let again = failed.after(Transition::Unpark, ATTEMPTS_MAX).unwrap();
        assert_eq!((again.status, again.attempts), (BatchStatus::Pending, 0));
    }
}
