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
/// Of one message; the rest are in the ledger.
const TEXTS_MAX: usize = 20;

impl Reaper {
    /// Publishes what nobody was told yet.
    pub(crate) async fn publish_alerts(&self, tick: &mut Tick) -> anyhow::Result<()> {
        let rows = self.ledger.unpublished_alerts(ALERTS_PER_TICK_MAX).await?;
        for alike in rows.chunk_by(|left, right| (&left.kind, &left.cause) == (&right.kind, &right.cause)) {
            let Some(alert) = message_of(alike) else { continue };
            self.publisher
                .publish(&alert)
                .await
                .with_context(|| format!("alert {}", alert.number))?;
            let ids: Vec<u64> = alike.iter().map(|row| row.id).collect();
            self.ledger.mark_published(&ids).await?;
            tick.published += ids.len() as u64;
        }
        Ok(())
    }
}

/// One message for alerts of one kind and cause.
fn message_of(alike: &[AlertRow]) -> Option<Alert> {
    let first = alike.first()?;
    let subject = match alike.len() {
        1 => format!("Granary: {}", alert_headline(&first.kind)),
        count => format!("Granary: {} ({count} times)", alert_headline(&first.kind)),
    };
    let mut text: Vec<String> = alike
        .iter()
        .take(TEXTS_MAX)
        .map(|row| format!("- [{}] {}", row.id, row.text))
        .collect();
    if alike.len() > TEXTS_MAX {
        text.push(format!(
            "- and {} more of the same cause",
            alike.len() - TEXTS_MAX
        ));
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
