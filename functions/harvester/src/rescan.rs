//! Reading recorded windows again, for documents that became visible late: soon after their first reading, and at night.
//!
//! Which windows are due is the ledger's to say, and how one is read is `window.rs`. Here it is decided that nothing new
//! waits for it: a tick takes a window to read again only where nothing is left to read for the first time, looks
//! for that again after each, and spends at most 45 seconds on all of them. What is left goes on from its
//! bookmark in the next tick, a minute later, behind whatever has become due by then.
//!
//! An error of one window is the caller's to report; the window is due again a while later.

use crate::harvest::{Harvester, Tick};
use crate::window::WindowEnd;
use granary_domain::{TimeRange, WindowId};
use granary_environment::Deadline;
use granary_ledger::{DueRescan, Fenced, LeasedWindow, RescanRules, Scan};
use granary_source::SourceError;
use std::collections::VecDeque;
use std::time::Duration;

const WINDOWS_PER_TICK_MAX: u32 = 200;
const SECS_PER_TICK_MAX: u64 = 45;

/// What a tick reads again.
pub(crate) struct Rescans {
    /// `None`: the ledger wasn't asked yet.
    due: Option<VecDeque<DueRescan>>,
    deadline: Deadline,
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
    pub(crate) fn until(deadline: Deadline) -> Self {
        Self {
            due: None,
            deadline: deadline.within(Duration::from_secs(SECS_PER_TICK_MAX)),
        }
    }
}

impl Harvester {
    /// The next window to read again. `None`: none is due, or there is no time left for it.
    pub(crate) async fn next_rescan(
        &self,
        holder: &str,
        rescans: &mut Rescans,
    ) -> anyhow::Result<Option<Rescan>> {
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
        while !rescans.deadline.is_near() {
            let Some(next) = due.pop_front() else { break };
            if let Some(window) = self.ledger.claim_rescan(&next, holder, self.lease.lease).await? {
                return Ok(Some(Rescan {
                    window,
                    deadline: rescans.deadline,
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
