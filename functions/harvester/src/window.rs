//! Reading one window: page after page of ids under one point in time, each recorded before the next counts.
//!
//! The end of a window is not an empty page but the count: what was found must be what the same view counts. A view
//! that is lost takes its cursors with it, so the window is read again from its start in a new one; what was recorded
//! stays, and finds its owner to be this window.
//!
//! When Elasticsearch is unavailable the window goes back with its bookmark, for a while and at least for as long as
//! Elasticsearch asks for, and nothing else is touched. Any other error is the caller's to report; the window is then due
//! again after a while as well. Either way the ledger says since when the window waits, and why.

use crate::bookmark::Bookmark;
use crate::harvest::{Harvester, Tick};
use crate::heartbeat::Heartbeat;
use crate::rescan::Look;
use granary_domain::{Backoff, Cause, Failure, Tally};
use granary_environment::Deadline;
use granary_handoff::Sending;
use granary_ledger::LedgerError;
use granary_ledger::export::Fenced;
use granary_ledger::harvest::{LeasedWindow, PageOfMessages, Recorded, SeenMessage};
use granary_numbering::NumberingError;
use granary_source::{Hit, IdPage, PageRequest, PointInTime, Position, SourceError};
use std::time::Duration;

/// By how often the window was taken. Windows are read one after the other, so they don't press a source that comes back.
const BACKOFF: Backoff = Backoff {
    first: Duration::from_secs(5),
    ceiling: Duration::from_secs(120),
};
const RETRY_AFTER_MAX: Duration = Duration::from_secs(600);
/// How often one tick reads a window from its start before it leaves it to a later one.
const READINGS_MAX: u32 = 3;

/// How the work on a window ended.
pub(crate) enum WindowEnd {
    /// Every hit is accounted for.
    Recorded,
    /// The rest is for the next tick.
    Unfinished,
    /// Elasticsearch doesn't answer: no other window is worth trying.
    SourceUnavailable,
    /// Somebody else holds it now.
    Lost,
}

/// How one reading ended.
enum Reading {
    Complete,
    DeadlineNear,
    /// The view is gone, or shows more than was found.
    StartAgain(&'static str),
    Lost,
}

impl Harvester {
    /// Reads a held window to its end, or as far as time allows.
    pub(crate) async fn harvest_window(
        &self,
        mut window: LeasedWindow,
        deadline: Deadline,
        tick: &mut Tick,
    ) -> anyhow::Result<WindowEnd> {
        let _heartbeat = Heartbeat::start(self.ledger.clone(), &window, self.lease);
        let before = window.tally;
        let end = self.read_window(&mut window, deadline, tick).await;
        if !window.scan.is_again() {
            tick.tally = tick.tally + since(before, window.tally);
            tick.windows_recorded += u32::from(matches!(end, Ok(WindowEnd::Recorded)));
        }
        match end {
            Ok(end) => Ok(end),
            Err(error) => {
                let of_numbers = error.downcast_ref().map(NumberingError::cause);
                let platforms = error.downcast_ref().is_some_and(SourceError::is_platforms)
                    || of_numbers == Some(Cause::ArchiveUnavailable);
                if error.downcast_ref().is_some_and(LedgerError::wants_less) {
                    self.page_size.shrink();
                }
                let failure = failure_of(&error);
                let delay = delay_after(&error, window.attempts, rand::random());
                self.ledger.defer_window(&window, &failure, delay).await?;
                if platforms {
                    let (reason, secs) = (failure.text, delay.as_secs());
                    tracing::warn!(
                        window = window.id.0,
                        reason,
                        secs,
                        "the window is left for a while"
                    );
                    Ok(WindowEnd::SourceUnavailable)
                } else {
                    Err(error)
                }
            }
        }
    }

    async fn read_window(
        &self,
        window: &mut LeasedWindow,
        deadline: Deadline,
        tick: &mut Tick,
    ) -> anyhow::Result<WindowEnd> {
        if let Some(error) = self.unfitness().await? {
            return Err(error.into());
        }
        if window.scan.is_again() && window.bookmark.is_none() {
            match self.look_again(window).await? {
                Look::AsBefore => return self.finish(window).await,
                Look::Lost => return Ok(WindowEnd::Lost),
                Look::ToRead => {}
            }
        }
        for _ in 0..READINGS_MAX {
            match self.read_view(window, deadline, tick).await? {
                Reading::Complete => {
                    self.page_size.grow();
                    return self.finish(window).await;
                }
                Reading::DeadlineNear => {
                    self.ledger.release_window(window, Duration::ZERO, None).await?;
                    return Ok(WindowEnd::Unfinished);
                }
                Reading::Lost => return Ok(WindowEnd::Lost),
                Reading::StartAgain(reason) => {
                    tracing::info!(window = window.id.0, reason, "the window is read from its start");
                    if self.ledger.restart_window(window).await? == Fenced::Refused {
                        return Ok(WindowEnd::Lost);
                    }
                }
            }
        }
        anyhow::bail!("read {READINGS_MAX} times without finding as many messages as the source counts")
    }

    async fn finish(&self, window: &LeasedWindow) -> anyhow::Result<WindowEnd> {
        Ok(match self.ledger.finish_window(window).await? {
            Fenced::Done => WindowEnd::Recorded,
            Fenced::Refused => WindowEnd::Lost,
        })
    }

    /// Reads one view of the window from its bookmark on. The next page is fetched while the last is recorded.
    async fn read_view(
        &self,
        window: &mut LeasedWindow,
        deadline: Deadline,
        tick: &mut Tick,
    ) -> anyhow::Result<Reading> {
        let Bookmark {
            mut pit,
            mut position,
        } = match &window.bookmark {
            Some(text) => serde_json::from_str(text)?,
            None => Bookmark {
                pit: self.source.open_pit().await?,
                position: Position::Start,
            },
        };
        window.left_out = pit.left_out().to_vec();
        let mut page = match self.fetch(window, &pit, &position).await {
            Err(SourceError::PitLost) => return Ok(Reading::StartAgain("the point in time is lost")),
            page => page?,
        };
        while let Some(next) = page.next.take() {
            position = Position::After(next);
            pit = page.pit;
            let bookmark = serde_json::to_string(&Bookmark {
                pit: pit.clone(),
                position: position.clone(),
            })?;
            let (recorded, fetched) = tokio::join!(
                self.record_and_send(window, page.hits, &bookmark, (deadline, &mut tick.sending)),
                self.fetch(window, &pit, &position)
            );
            let Recorded::Done { tally, .. } = recorded? else {
                return Ok(Reading::Lost);
            };
            window.tally = tally;
            window.pages += 1;
            window.bookmark = Some(bookmark);
            page = match fetched {
                Err(SourceError::PitLost) => return Ok(Reading::StartAgain("the point in time is lost")),
                page => page?,
            };
            if deadline.is_near() && page.next.is_some() {
                return Ok(Reading::DeadlineNear);
            }
        }
        let counted = self
            .source
            .count(&page.pit, window.range, window.filter.as_ref())
            .await;
        let counted = match counted {
            Err(SourceError::PitLost) => return Ok(Reading::StartAgain("the point in time is lost")),
            counted => counted?,
        };
        self.source.close_pit(page.pit).await?;
        if window.tally.found == counted {
            Ok(Reading::Complete)
        } else {
            tracing::warn!(
                window = window.id.0,
                found = window.tally.found,
                counted,
                "pages and count differ"
            );
            Ok(Reading::StartAgain("the source counts other than was found"))
        }
    }

    async fn fetch(
        &self,
        window: &LeasedWindow,
        pit: &PointInTime,
        position: &Position,
    ) -> Result<IdPage, SourceError> {
        loop {
            let request = PageRequest {
                pit,
                range: window.range,
                filter: window.filter.as_ref(),
                position,
                size: self.page_size.ids(window.batch_size),
            };
            match self.source.page(&request).await {
                Err(error) if error.wants_less() && self.page_size.shrink() => {
                    tracing::warn!(
                        window = window.id.0,
                        ids = request.size,
                        "the page was too heavy: {error}"
                    );
                }
                page => return page,
            }
        }
    }

    async fn record_and_send(
        &self,
        window: &LeasedWindow,
        hits: Vec<Hit>,
        bookmark: &str,
        (deadline, sending): (Deadline, &mut Sending),
    ) -> anyhow::Result<Recorded> {
        let found = hits.len();
        let messages: Vec<SeenMessage> = hits.into_iter().filter_map(seen_message).collect();
        let page = PageOfMessages {
            messages: &messages,
            without_id: (found - messages.len()) as u64,
            tally_before: window.tally,
            bookmark,
        };
        let recorded = loop {
            let recorded = self.ledger.record_page(window, &page, self.lease.lease).await;
            if let Some(recorded) = self.numbering.unless_out(recorded).await? {
                break recorded;
            }
        };
        if let Recorded::Done { batches: 1.., .. } = recorded {
            self.send_unsent(deadline, sending).await?;
        }
        Ok(recorded)
    }
}

/// Why a window waits, with the whole chain of causes.
fn failure_of(error: &anyhow::Error) -> Failure {
    let of_source = error.downcast_ref().map(SourceError::cause);
    let of_numbers = error.downcast_ref().map(NumberingError::cause);
    let of_ledger = error
        .downcast_ref()
        .map(|error: &LedgerError| match error.is_platforms() {
            true => Cause::LedgerUnavailable,
            false => Cause::Unexpected,
        });
    Failure {
        cause: of_source
            .or(of_ledger)
            .or(of_numbers)
            .unwrap_or(Cause::Unexpected),
        text: format!("{error:#}"),
    }
}

/// As long as Elasticsearch asks to be left alone, and any part of a bound that grows; `random` is in `0.0..1.0`.
fn delay_after(error: &anyhow::Error, attempts: u32, random: f64) -> Duration {
    let rest = match error.downcast_ref() {
        Some(
            SourceError::Unavailable {
                retry_after: Some(asked),
                ..
            }
            | SourceError::TooHeavy {
                retry_after: Some(asked),
                ..
            },
        ) => *asked,
        _ => Duration::ZERO,
    };
    (rest + BACKOFF.delay(attempts, random)).min(RETRY_AFTER_MAX)
}

/// A hit as the ledger takes it; `None`: it has no usable id.
fn seen_message(hit: Hit) -> Option<SeenMessage> {
    let Hit {
        message_id,
        doc_id,
        index,
        routing,
        event_time,
    } = hit;
    Some(SeenMessage {
        message_id: message_id?,
        doc_id,
        index,
        routing,
        event_time,
    })
}

/// What was added to an account; the whole of it where it began anew.
fn since(before: Tally, after: Tally) -> Tally {
    if after.found < before.found {
        return after;
    }
    Tally {
        found: after.found - before.found,
        recorded: after.recorded.saturating_sub(before.recorded),
        adopted: after.adopted.saturating_sub(before.adopted),
        owned_elsewhere: after.owned_elsewhere.saturating_sub(before.owned_elsewhere),
        duplicate: after.duplicate.saturating_sub(before.duplicate),
        without_id: after.without_id.saturating_sub(before.without_id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn throttled(retry_after: Option<Duration>) -> anyhow::Error {
        SourceError::Unavailable {
            operation: "read a page of ids",
            status: Some(429),
            retry_after,
            reason: "busy".to_owned(),
        }
        .into()
    }

    #[test]
    fn h7_a_window_waits_for_any_part_of_a_bound_that_ends_at_two_minutes() {
        let secs = |attempts, random| delay_after(&throttled(None), attempts, random).as_secs();
        assert_eq!([secs(1, 0.0), secs(1, 1.0), secs(2, 1.0)], [0, 5, 10]);
        assert_eq!([secs(9, 1.0), secs(u32::MAX, 0.5)], [120, 60]);
    }

    #[test]
    fn h7_a_window_leaves_elasticsearch_alone_for_as_long_as_it_asks_up_to_ten_minutes() {
        let asked = |secs| delay_after(&throttled(Some(Duration::from_secs(secs))), 1, 1.0).as_secs();
        assert_eq!([asked(0), asked(90), asked(3_600)], [5, 95, 600]);
    }
}
