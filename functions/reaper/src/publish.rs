//! Telling people: alerts go from the ledger to SNS, alike ones in one message.
//!
//! Published first, marked afterwards: dying between the two tells twice, with the same number. SNS being down loses
//! nothing: the rows stay unpublished.

use crate::reap::{Reaper, Tick};
use anyhow::Context;
use granary_alert::Alert;
use granary_domain::resolved_kind;
use granary_ledger::AlertRow;
use std::time::{Duration, Instant};

/// Beyond these, of one cause: they are counted in its message. A fault that parks whatever it meets is one to people.
const MORE_OF_A_CAUSE_MAX: u32 = 100_000;
/// Numbers in one statement.
const MARKED_AT_ONCE_MAX: usize = 1_000;
const SOURCE_PROBLEM: &str = "source_problem";
/// Of one message; the rest are in the ledger.
const TEXTS_MAX: u32 = 20;
/// Where SNS answers slowly or not at all, the rest is for the next tick.
const PUBLISHING_TIME_MAX: Duration = Duration::from_secs(20);

impl Reaper {
    /// Publishes what is unpublished. A message that SNS refuses stays unpublished, and holds up no other; the first
    /// error is the step's in the end.
    pub(crate) async fn publish_alerts(&self, tick: &mut Tick) -> anyhow::Result<()> {
        let until = Instant::now() + PUBLISHING_TIME_MAX;
        let rows = self.ledger.unpublished_alerts(TEXTS_MAX).await?;
        let mut first_error = None;
        for alike in rows.chunk_by(is_alike) {
            if let Err(error) = self.publish_alike(alike, tick).await {
                first_error.get_or_insert(error);
            }
            if Instant::now() >= until {
                break;
            }
        }
        first_error.map_or(Ok(()), Err)
    }

    /// Publishes alerts of one kind and cause, in one message.
    async fn publish_alike(&self, alike: &[AlertRow], tick: &mut Tick) -> anyhow::Result<()> {
        let more = self.more_like(alike).await?;
        let Some(alert) = alert_of(alike, more.len()) else {
            return Ok(());
        };
        self.publisher
            .publish(&self.sender.message(&alert))
            .await
            .with_context(|| format!("alert {}", alert.number))?;
        let ids: Vec<u64> = alike.iter().map(|row| row.id).chain(more).collect();
        for some in ids.chunks(MARKED_AT_ONCE_MAX) {
            self.ledger.mark_published(some).await?;
            tick.published += some.len() as u64;
        }
        Ok(())
    }

    /// The numbers of those whose texts are not in the message.
    async fn more_like(&self, alike: &[AlertRow]) -> anyhow::Result<Vec<u64>> {
        match alike.last() {
            // Alike ones were read up to this number, so there may be more.
            Some(last) if alike.len() >= TEXTS_MAX as usize => {
                Ok(self.ledger.unpublished_like(last, MORE_OF_A_CAUSE_MAX).await?)
            }
            Some(_) | None => Ok(Vec::new()),
        }
    }
}

/// Whether alerts of one kind are told in one message. Those that are resolved one by one are told one by one.
fn is_alike(left: &AlertRow, right: &AlertRow) -> bool {
    let is_single = left.kind == SOURCE_PROBLEM || resolved_kind(&left.kind).is_some();
    !is_single && (&left.kind, &left.cause) == (&right.kind, &right.cause)
}

/// One message for alerts of one kind and cause: these, and so many more.
fn alert_of(alike: &[AlertRow], more: usize) -> Option<Alert> {
    let first = alike.first()?;
    let mut lines: Vec<String> = alike
        .iter()
        .take(TEXTS_MAX as usize)
        .map(|row| format!("[{}] {}", row.id, row.text))
        .collect();
    let untold = alike.len() + more - lines.len();
    if untold > 0 {
        lines.push(format!("and {untold} more of the same cause"));
    }
    let occurrences: u64 = alike.iter().map(|row| u64::from(row.occurrences)).sum();
    Some(Alert {
        number: first.id,
        resolves: resolved_kind(&first.kind).and_then(|_| first.subject_key.parse().ok()),
        kind: first.kind.clone(),
        cause: first.cause.clone(),
        count: occurrences + more as u64,
        since: first.created_at,
        lines,
    })
}
