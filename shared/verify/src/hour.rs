//! One hour: the source, then the ledger, then the objects, then what they have in common.
//!
//! An hour is looked at in one step if it is small, and in as many as it takes if it isn't: first its event times,
//! slice by slice, then its objects, some batches at a time, then what only the hour as a whole can show. How far
//! that is stands in [`HourProgress`], so any step may be the last one of a process.

use crate::look::Look;
use crate::{Verifier, VerifyError};
use granary_domain::{BatchId, CutBy, Hour, IdDigest, Part, TimeRange};
use granary_ledger::integrity::CountedExceptions;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How far an hour is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HourProgress {
    /// The hour, or the part of it that is in the scope.
    pub(crate) range: TimeRange,
    /// The ids of everything before it were compared.
    pub(crate) ids_to: Timestamp,
    /// Objects of batches up to this one were read back.
    pub(crate) objects_to: BatchId,
    /// The ids in sound objects.
    pub(crate) archived: IdDigest,
    /// Exceptions so far.
    #[serde(default)]
    pub(crate) exceptions: Vec<CountedExceptions>,
}

/// How far a step got.
pub(crate) enum Fit {
    /// The hour is over.
    Done,
    /// There is more of it.
    More,
    /// The next millisecond has more messages than the caller has time for: nothing was done.
    TooLarge { messages: u64 },
}

/// What a step may still look at.
struct Allowed {
    messages: u64,
    at_first: u64,
    is_untouched: bool,
}

impl Allowed {
    fn new(messages: u64) -> Self {
        Self {
            messages,
            at_first: messages,
            is_untouched: true,
        }
    }

    /// Too little is left to look for a slice that fits.
    fn is_nearly_spent(&self) -> bool {
        !self.is_untouched && self.messages <= self.at_first / 4
    }

    fn spend(&mut self, messages: u64) {
        self.messages = self.messages.saturating_sub(messages);
        self.is_untouched = false;
    }
}

impl HourProgress {
    pub(crate) fn new(range: TimeRange) -> Self {
        Self {
            range,
            ids_to: range.from(),
            objects_to: BatchId(0),
            archived: IdDigest::default(),
            exceptions: Vec::new(),
        }
    }

    /// Counts what a step has found.
    pub(crate) fn add_exceptions(&mut self, found: Vec<CountedExceptions>) {
        for counted in found {
            let is_it =
                |known: &&mut CountedExceptions| (known.kind, &known.index) == (counted.kind, &counted.index);
            match self.exceptions.iter_mut().find(is_it) {
                Some(known) => known.messages += counted.messages,
                None => self.exceptions.push(counted),
            }
        }
    }

    pub(crate) fn hour(&self) -> Hour {
        Hour::of(self.range.from())
    }
}

impl Verifier {
    /// Looks at an hour, from where the step before left off, at up to `messages_max` messages.
    pub(crate) async fn verify_hour(
        &self,
        look: &mut Look<'_>,
        hour: &mut HourProgress,
        messages_max: u64,
    ) -> Result<Fit, VerifyError> {
        let seals = self.seals_of(look.hour()).await?;
        if look.scope.quick {
            self.compare_counts(look, seals.as_ref()).await?;
            return Ok(Fit::Done);
        }
        if let Some(seals) = seals {
            return self.verify_sealed(look, hour, &seals, messages_max).await;
        }
        let mut allowed = Allowed::new(self.limits.step_messages_max.min(messages_max));
        while let Ok(rest) = TimeRange::new(hour.ids_to, hour.range.to()) {
            if allowed.is_nearly_spent() {
                return Ok(Fit::More);
            }
            match self.compare_slice(look, rest, &mut allowed, messages_max).await? {
                Slice::Compared { to } => hour.ids_to = to,
                Slice::NextTime => return Ok(Fit::More),
                Slice::TooLarge { messages } => return Ok(Fit::TooLarge { messages }),
            }
        }
        while let Some(messages) = self.check_some_objects(look, hour, allowed.messages).await? {
            allowed.spend(messages);
            if allowed.messages == 0 {
                return Ok(Fit::More);
            }
        }
        self.check_whole_hour(look).await?;
        Ok(Fit::Done)
    }

    /// The first part of what is left that fits into the step.
    async fn compare_slice(
        &self,
        look: &mut Look<'_>,
        rest: TimeRange,
        allowed: &mut Allowed,
        messages_max: u64,
    ) -> Result<Slice, VerifyError> {
        let mut range = rest;
        let mut at_most = allowed.messages;
        loop {
            let recorded = self.ledger.count_messages_in(range).await?;
            let compared = if recorded > at_most {
                Err(recorded)
            } else if look.scope.archive_only {
                Ok(self.count_recorded(look, range).await?)
            } else {
                self.compare(look, range, at_most).await?
            };
            let messages = match compared {
                Ok(messages) => {
                    allowed.spend(messages);
                    return Ok(Slice::Compared { to: range.to() });
                }
                Err(messages) => messages,
            };
            match first_half(range) {
                Some(half) => range = half,
                None if !allowed.is_untouched => return Ok(Slice::NextTime),
                None if at_most < messages_max => at_most = messages_max,
                None => return Ok(Slice::TooLarge { messages }),
            }
        }
    }

    /// What only the whole hour shows. Other looks at a whole hour go here.
    async fn check_whole_hour(&self, look: &mut Look<'_>) -> Result<(), VerifyError> {
        let hour = look.hour();
        self.find_orphans(hour, look.account).await?;
        self.check_invariants(hour, look.account).await
    }
}

/// What became of a slice.
enum Slice {
    Compared { to: Timestamp },
    NextTime,
    TooLarge { messages: u64 },
}

/// Its first half, on a whole millisecond; `None`: it is no longer than one.
fn first_half(range: TimeRange) -> Option<TimeRange> {
    let cut = Part::of(range).cut()?;
    match cut.by() {
        CutBy::Time { .. } if cut.pieces() > 1 => Some(cut.run(0, cut.pieces() / 2 - 1).range()),
        CutBy::Time { .. } | CutBy::Hash { .. } => None,
    }
}
