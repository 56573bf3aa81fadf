//! Telling people: alerts go from the ledger to SNS, alike ones in one message.
//!
//! Published first, marked afterwards: dying between the two tells twice, with the same number. SNS being down loses
//! nothing: the rows stay unpublished.

use crate::reap::{Reaper, Tick};
use anyhow::Context;
use granary_alert::Alert;
use granary_domain::{alert_headline, alert_remedy};
use granary_ledger::AlertRow;

const ALERTS_PER_TICK_MAX: u32 = 1_000;
/// Beyond these, of one cause: they are counted in its message. A fault that parks whatever it meets is one to people.
const MORE_OF_A_CAUSE_MAX: u32 = 100_000;
/// Numbers in one statement.
const MARKED_AT_ONCE_MAX: usize = 1_000;
/// Of one message; the rest are in the ledger.
const TEXTS_MAX: usize = 20;

impl Reaper {
    /// Publishes what nobody was told yet.
    pub(crate) async fn publish_alerts(&self, tick: &mut Tick) -> anyhow::Result<()> {
        let rows = self.ledger.unpublished_alerts(ALERTS_PER_TICK_MAX).await?;
        for alike in rows.chunk_by(|left, right| (&left.kind, &left.cause) == (&right.kind, &right.cause)) {
            let more = self.more_like(alike, &rows).await?;
            let Some(alert) = message_of(alike, more.len()) else {
                continue;
            };
            self.publisher
                .publish(&alert)
                .await
                .with_context(|| format!("alert {}", alert.number))?;
            let ids: Vec<u64> = alike.iter().map(|row| row.id).chain(more).collect();
            for some in ids.chunks(MARKED_AT_ONCE_MAX) {
                self.ledger.mark_published(some).await?;
                tick.published += some.len() as u64;
            }
        }
        Ok(())
    }

    /// The numbers of those that didn't fit among `rows`: of the last cause there, where the rows are as many as may be.
    async fn more_like(&self, alike: &[AlertRow], rows: &[AlertRow]) -> anyhow::Result<Vec<u64>> {
        let is_full = rows.len() >= ALERTS_PER_TICK_MAX as usize;
        match alike.last() {
            Some(last) if is_full && Some(last) == rows.last() => {
                Ok(self.ledger.unpublished_like(last, MORE_OF_A_CAUSE_MAX).await?)
            }
            Some(_) | None => Ok(Vec::new()),
        }
    }
}

/// One message for alerts of one kind and cause: these, and so many more.
fn message_of(alike: &[AlertRow], more: usize) -> Option<Alert> {
    let first = alike.first()?;
    let count = alike.len() + more;
    let subject = match count {
        1 => format!("Granary: {}", alert_headline(&first.kind)),
        _ => format!("Granary: {} ({count} times)", alert_headline(&first.kind)),
    };
    let mut text: Vec<String> = alike
        .iter()
        .take(TEXTS_MAX)
        .map(|row| format!("- [{}] {}", row.id, row.text))
        .collect();
    let untold = count.saturating_sub(text.len());
    if untold > 0 {
        text.push(format!("- and {untold} more of the same cause"));
    }
    text.push(String::new());
    text.push(format!("What to do: {}", alert_remedy(&first.kind, &first.cause)));
    Some(Alert {
        number: first.id,
        kind: first.kind.clone(),
        subject,
        text: text.join("\n"),
    })
}
