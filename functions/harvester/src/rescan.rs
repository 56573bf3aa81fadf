//! Reading recorded windows again, for documents that became visible late: soon after their first reading, and at night.
//!
//! Which windows are due is the ledger's to say, and how one is read is `window.rs`. Here it is decided how much time they
//! have: up to 45 seconds where nothing is left to read for the first time, and otherwise the last part of the tick, which
//! nothing new may use. So new windows come first, and a backfill of weeks doesn't keep late documents from being found. What is
//! left goes on from its bookmark in the next tick, before whatever has become due by then.
//!
//! An error of one window is the caller's to report; the window is due again a while later.

use crate::harvest::{Harvester, Tick};
use crate::window::WindowEnd;
use granary_domain::{TimeRange, WindowId};
use granary_environment::Deadline;
use granary_ledger::export::Fenced;
use granary_ledger::harvest::{DueRescan, LeasedWindow, RescanRules, Scan};
use granary_source::SourceError;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

const WINDOWS_PER_TICK_MAX: u32 = 200;
const SECS_PER_TICK_MAX: u64 = 45;
/// Of a tick's working time, where something new would use all of it.
const SHARE: u32 = 5;
const SHARE_SECS_MAX: u64 = 20;

/// What a tick reads again.
pub(crate) struct Rescans {
    /// `None`: the ledger wasn't asked yet.
    due: Option<VecDeque<DueRescan>>,
    tick: Deadline,
    /// From the first one on.
    deadline: Option<Deadline>,
}

/// A window in hand, to be read again.
pub(crate) struct Rescan {
    window: LeasedWindow,
    deadline: Deadline,
    late_before: u64,
}

/// What a first look at a window that was recorded shows.
pub(crate) enum Look {
    /// As many messages as were found: what an overlap re-scan wants to know.
    AsBefore,
    /// Its account is empty, and its ids are to be read.
    ToRead,
    /// Somebody else holds it now.
    Lost,
}

impl Rescan {
    pub(crate) fn id(&self) -> WindowId {
        self.window.id
    }

    pub(crate) fn range(&self) -> TimeRange {
        self.window.range
    }
}

impl Rescans {
    /// None so far.
    pub(crate) fn until(tick: Deadline) -> Self {
        Self {
            due: None,
            tick,
            deadline: None,
        }
    }

    /// When to begin nothing new any more: the rest of the tick is theirs.
    pub(crate) fn deadline_of_new(&self) -> Deadline {
        let left = self.tick.stop().saturating_duration_since(Instant::now());
        let share = (left / SHARE).min(Duration::from_secs(SHARE_SECS_MAX));
        self.tick.within(left.saturating_sub(share))
    }

    fn deadline(&mut self) -> Deadline {
        let most = Duration::from_secs(SECS_PER_TICK_MAX);
        *self.deadline.get_or_insert_with(|| self.tick.within(most))
    }
}

impl Harvester {
    /// The next window to read again. `None`: none is due, or there is no time left for it.
    pub(crate) async fn next_rescan(
        &self,
        holder: &str,
        rescans: &mut Rescans,
    ) -> anyhow::Result<Option<Rescan>> {
        let deadline = rescans.deadline();
        if deadline.is_near() {
            return Ok(None);
        }
        let due = match &mut rescans.due {
            Some(due) => due,
            None => {
                let Some(left_out) = self.left_out().await else {
                    return Ok(None);
                };
                let due = self
                    .ledger
                    .due_rescans(self.rules(), &left_out, WINDOWS_PER_TICK_MAX)
                    .await?;
                rescans.due.insert(due.into())
            }
        };
        while !deadline.is_near() {
            let Some(next) = due.pop_front() else { break };
            if let Some(window) = self.ledger.claim_rescan(&next, holder, self.lease.lease).await? {
                return Ok(Some(Rescan {
                    window,
                    deadline,
                    late_before: next.late_before(),
                }));
            }
        }
        Ok(None)
    }

    fn rules(&self) -> RescanRules {
        RescanRules {
            after: self.rescan.after,
            horizon: self.rescan.horizon,
            night_hour: self.rescan.hour,
        }
    }

    /// Reads a window again, and counts what nobody had seen.
    pub(crate) async fn read_again(&self, rescan: Rescan, tick: &mut Tick) -> anyhow::Result<WindowEnd> {
        let id = rescan.window.id;
        let end = self.harvest_window(rescan.window, rescan.deadline, tick).await;
        let late = self.ledger.late_in(id).await?;
        tick.late += late.saturating_sub(rescan.late_before);
        let end = end?;
        if matches!(end, WindowEnd::Recorded) {
            tick.windows_rescanned += 1;
        }
        Ok(end)
    }

    /// A first look at a held window whose ids aren't being read yet. An overlap re-scan is content with a count. It may
    /// be wrong about it, where documents were deleted and as many came late: the next night tells.
    pub(crate) async fn look_again(&self, window: &mut LeasedWindow) -> anyhow::Result<Look> {
        if window.scan == Scan::Overlap && self.counts_as_before(window).await? {
            return Ok(Look::AsBefore);
        }
        Ok(match self.ledger.restart_window(window).await? {
            Fenced::Done => Look::ToRead,
            Fenced::Refused => Look::Lost,
        })
    }

    async fn counts_as_before(&self, window: &mut LeasedWindow) -> Result<bool, SourceError> {
        let pit = self.source.open_pit().await?;
        window.left_out = pit.left_out().to_vec();
        let counted = self
            .source
            .count(&pit, window.range, window.filter.as_ref())
            .await;
        self.source.close_pit(pit).await?;
        match counted {
            Ok(counted) => Ok(counted == window.tally.found),
            Err(SourceError::PitLost) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
