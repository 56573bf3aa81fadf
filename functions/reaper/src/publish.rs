//! Publishing: alerts go from the ledger to SNS, events of one cause in one message.
//!
//! Published first, marked afterwards: dying between the two sends twice, with the same number. SNS being down loses
//! nothing: the rows stay unpublished.

use crate::identity::is_told_from_abroad;
use crate::reap::{Reaper, Tick};
use anyhow::Context;
use granary_alert::Alert;
use granary_domain::resolved_kind;
use granary_ledger::jobs::AlertRow;
use std::time::{Duration, Instant};

/// Beyond these, of one cause: they are counted in its message.
const MORE_OF_A_CAUSE_MAX: u32 = 100_000;
/// Numbers in one statement.
const MARKED_AT_ONCE_MAX: usize = 1_000;
/// Of one message; the rest are in the ledger.
const TEXTS_MAX: u32 = 20;
/// Where SNS answers slowly or not at all, the rest is for the next tick.
const PUBLISHING_TIME_MAX: Duration = Duration::from_secs(20);

impl Reaper {
    /// Publishes what is unpublished. A message that SNS refuses stays unpublished, and holds up no other; the first
    /// error is the step's in the end.
    pub(crate) async fn publish_alerts(&self, tick: &mut Tick) -> anyhow::Result<()> {
        let until = Instant::now() + PUBLISHING_TIME_MAX;
        let mut rows = self.ledger.unpublished_alerts(TEXTS_MAX).await?;
        rows.retain(|row| tick.is_at_home || is_told_from_abroad(row));
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

    /// Publishes one alert, or events of one kind and cause, in one message.
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
            // Events of a cause were read up to this number, so there may be more.
            Some(last) if last.is_event() && alike.len() >= TEXTS_MAX as usize => {
                Ok(self.ledger.unpublished_like(last, MORE_OF_A_CAUSE_MAX).await?)
            }
            Some(_) | None => Ok(Vec::new()),
        }
    }
}

/// Whether alerts are sent in one message. What is resolved one by one is sent one by one.
fn is_alike(left: &AlertRow, right: &AlertRow) -> bool {
    left.is_event() && (&left.kind, &left.cause) == (&right.kind, &right.cause)
}

/// One message for alerts of one kind and cause: these, and so many more.
fn alert_of(alike: &[AlertRow], more: usize) -> Option<Alert> {
    let first = alike.first()?;
    let mut lines: Vec<String> = alike
        .iter()
        .take(TEXTS_MAX as usize)
        .map(|row| format!("[{}] {}", row.id, row.text))
        .collect();
    let omitted = alike.len() + more - lines.len();
    if omitted > 0 {
        lines.push(format!("and {omitted} more of the same cause"));
    }
    let occurrences: u64 = alike.iter().map(|row| u64::from(row.occurrences)).sum();
    Some(Alert {
        number: first.id,
        resolves: resolved_kind(&first.kind).and_then(|_| first.subject_key.parse().ok()),
        kind: first.kind.clone(),
        cause: first.cause.clone(),
        count: occurrences + more as u64,
        since: first.since,
        lines,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    fn row(id: u64, kind: &str, subject: &str, cause: &str) -> AlertRow {
        AlertRow {
            id,
            kind: kind.to_owned(),
            subject_key: subject.to_owned(),
            cause: cause.to_owned(),
            text: "text".to_owned(),
            since: Timestamp::UNIX_EPOCH,
            occurrences: 3,
        }
    }

    #[test]
    fn events_of_a_cause_are_one_message_and_what_is_resolved_is_not() {
        let alike = |kind| is_alike(&row(1, kind, "1", "cause"), &row(2, kind, "2", "cause"));
        assert!(alike("archive_conflict"));
        for kind in ["deferred", "source_problem", "parked_over", "test"] {
            assert!(!alike(kind), "{kind}");
        }
        assert!(!is_alike(
            &row(1, "invariant", "1", "one"),
            &row(2, "invariant", "2", "another")
        ));
    }

    #[test]
    fn an_alert_resolves_the_one_that_its_subject_names() {
        let over = alert_of(&[row(7, "parked_over", "5", "spool")], 0).unwrap();
        assert_eq!((over.number, over.resolves, over.count), (7, Some(5), 3));
        let begun = alert_of(&[row(5, "parked", "spool", "spool")], 0).unwrap();
        assert_eq!((begun.number, begun.resolves), (5, None));
    }

    #[test]
    fn events_beyond_the_first_twenty_are_counted() {
        let rows: Vec<AlertRow> = (1..=20).map(|id| row(id, "invariant", "x", "cause")).collect();
        let alert = alert_of(&rows, 5).unwrap();
        assert_eq!((alert.number, alert.count, alert.lines.len()), (1, 65, 21));
        assert_eq!(alert.lines[20], "and 5 more of the same cause");
    }
}
