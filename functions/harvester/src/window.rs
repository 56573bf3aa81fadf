//! Reading one window: page after page of ids under one point in time, each recorded before the next counts.
//!
//! The end of a window is not an empty page but the count: what was found must be what the same view counts. A view
//! that is lost takes its cursors with it, so the window is read again from its start in a new one; what was recorded
//! stays, and finds its owner to be this window.
//!
//! When Elasticsearch is unavailable the window goes back with its bookmark, for a minute, and nothing else is
//! touched. Any other error is the caller's to report; the window is then due again a minute later.

use crate::bookmark::Bookmark;
use crate::harvest::{Harvester, Tick};
use granary_domain::{MessageId, Tally};
use granary_environment::Deadline;
use granary_ledger::{Fenced, LeasedWindow, PageOfMessages, Recorded, SeenMessage};
use granary_source::{Hit, IdPage, PageRequest, PointInTime, Position, SourceError};
use std::time::Duration;

const IDS_PER_PAGE_MAX: u32 = 10_000;
const RETRY_AFTER: Duration = Duration::from_secs(60);
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
        let before = window.tally;
        let end = self.read_window(&mut window, deadline, tick).await;
        tick.tally = tick.tally + since(before, window.tally);
        match end {
            Ok(end) => Ok(end),
            Err(error) => {
                let platforms = error.downcast_ref().is_some_and(SourceError::is_platforms);
                let reason = format!("{error:#}");
                self.ledger
                    .release_window(&window, RETRY_AFTER, Some(&reason))
                    .await?;
                if platforms {
                    tracing::warn!(window = window.id.0, reason, "the window is left for a minute");
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
        for _ in 0..READINGS_MAX {
            match self.read_view(window, deadline, tick).await? {
                Reading::Complete => {
                    return Ok(match self.ledger.finish_window(window).await? {
                        Fenced::Done => WindowEnd::Recorded,
                        Fenced::Refused => WindowEnd::Lost,
                    });
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
                self.record_and_send(window, page.hits, &bookmark, deadline),
                self.fetch(window, &pit, &position)
            );
            let (Recorded::Done { tally, .. }, batches_sent) = recorded? else {
                return Ok(Reading::Lost);
            };
            tick.batches_sent += batches_sent;
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
        // Whole batches, so that only the last page of an hour leaves a smaller one.
        let size = IDS_PER_PAGE_MAX - IDS_PER_PAGE_MAX % window.batch_size.max(1);
        let request = PageRequest {
            pit,
            range: window.range,
            filter: window.filter.as_ref(),
            position,
            size,
        };
        self.source.page(&request).await
    }

    async fn record_and_send(
        &self,
        window: &LeasedWindow,
        hits: Vec<Hit>,
        bookmark: &str,
        deadline: Deadline,
    ) -> anyhow::Result<(Recorded, u64)> {
        let found = hits.len();
        let messages: Vec<SeenMessage> = hits.into_iter().filter_map(seen_message).collect();
        let page = PageOfMessages {
            messages: &messages,
            without_id: (found - messages.len()) as u64,
            tally_before: window.tally,
            bookmark,
        };
        let recorded = self.ledger.record_page(window, &page, self.lease.lease).await?;
        let sent = match recorded {
            Recorded::Done { batches: 1.., .. } => self.send_unsent(deadline).await?,
            Recorded::Done { .. } | Recorded::Refused => 0,
        };
        Ok((recorded, sent))
    }
}

/// As wide as the ledger's column.
const ROUTING_BYTES_MAX: usize = 512;

/// A hit as the ledger takes it; `None`: it has no usable id, or a routing that can't be put on record.
fn seen_message(hit: Hit) -> Option<SeenMessage> {
    let Hit {
        message_id,
        doc_id,
        index,
        routing,
        event_time,
    } = hit;
    let message_id: MessageId = message_id?;
    let routing_fits = routing
        .as_ref()
        .is_none_or(|routing| routing.len() <= ROUTING_BYTES_MAX);
    if !routing_fits {
        return None;
    }
    Some(SeenMessage {
        message_id,
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
