//! Telling people: alerts go from the ledger to SNS, alike ones in one message.
//!
//! Published first, marked afterwards: dying between the two tells twice, with the same number. SNS being down loses
//! nothing: the rows stay unpublished.

use crate::reap::{Reaper, Tick};
use anyhow::Context;
use granary_alert::Alert;
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
        1 => format!("Granary: {}", headline(&first.kind)),
        count => format!("Granary: {} ({count} times)", headline(&first.kind)),
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
    text.push(format!("What to do: {}", remedy(first)));
    Some(Alert {
        number: first.id,
        kind: first.kind.clone(),
        subject,
        text: text.join("\n"),
    })
}

fn headline(kind: &str) -> &str {
    match kind {
        "parked" => "batches are parked",
        "failure_rate" => "too many attempts fail",
        "failure_rate_over" => "attempts succeed again",
        "deferred" => "work has been waiting for 30 minutes",
        "deferred_over" => "nothing waits any more",
        "documents_late" => "many documents come late",
        "documents_late_over" => "few documents come late again",
        "documents_without_time" => "the source has documents without an event time",
        "documents_without_time_over" => "all documents have an event time again",
        crate::inspect::ALERT => "what always holds doesn't hold",
        "archive_conflict" => "an object in the archive is not what it should be",
        "unreadable_message" => "a message in the queue can't be read",
        "replaced_object_kept" => "an object was replaced by one that holds less, and both were kept",
        other => other,
    }
}

fn remedy(alert: &AlertRow) -> &'static str {
    match alert.kind.as_str() {
        "parked" => {
            "read the cause above, remove it, then POST /migrate/retry-failed; nothing is lost meanwhile."
        }
        "failure_rate" => {
            "look at the causes in the exporter's log; failed batches are retried by themselves."
        }
        "deferred" => crate::deferrals::remedy(&alert.cause),
        "failure_rate_over" | "deferred_over" => "nothing.",
        "documents_late" => {
            "set GRANARY_HARVEST_LAG_SECONDS to what is named above, if that is worth waiting for; nothing is lost \
             meanwhile."
        }
        "documents_without_time" => {
            "mend them at the source, or take them out of it by GRANARY_SOURCE_FILTER; `granary status` counts them."
        }
        "documents_late_over" | "documents_without_time_over" => "nothing.",
        crate::inspect::ALERT => {
            "it is a defect, or somebody changed ledger or bucket by hand: pause the export, and look at what is named above \
             before anything else is changed."
        }
        "archive_conflict" => {
            "nothing at once: the batch has a new object. Find out who wrote the other one."
        }
        "unreadable_message" => {
            "look at the dead-letter queue: who else sends to this queue, or was a newer version rolled back?"
        }
        "replaced_object_kept" => {
            "look at both objects: what only the old one holds is gone at the source. Delete the one that you don't want \
             in S3; queries see both meanwhile."
        }
        _ => "look into the ledger's alert table and the functions' logs.",
    }
}
