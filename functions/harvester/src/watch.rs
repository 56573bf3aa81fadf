//! What people must know of the source: how late its documents come, and how many never can, since they have no event
//! time that can be read.
//!
//! Told in the tick's log line, by the operator's API, and as a condition that the reaper publishes when it begins and
//! when it ends. Nothing is decided by it. Where Elasticsearch doesn't answer, the next tick counts.

use crate::harvest::{Harvester, Tick};
use granary_environment::Deadline;
use granary_ledger::Lateness;
use granary_source::WithoutTime;
use std::time::Duration;

const WITHOUT_TIME: &str = "documents_without_time";
/// A tick that records a window counts, and so does one after so long.
const COUNT_EVERY: Duration = Duration::from_secs(900);

const LATE: &str = "documents_late";
const LATE_OVER: Duration = Duration::from_secs(7 * 86_400);
/// Some late documents are what re-scans are for; more than this are for a longer lag.
const LATE_SHARE_MAX: f64 = 0.01;
/// Two of a hundred say nothing yet.
const LATE_MIN: u64 = 20;

impl Harvester {
    /// Looks at what the tick has shown, and counts what it can't show.
    pub(crate) async fn watch_source(&self, deadline: Deadline, tick: &mut Tick) -> anyhow::Result<()> {
        if tick.windows_rescanned > 0 || tick.late > 0 {
            self.watch_lateness(tick).await?;
        }
        let is_due = tick.windows_recorded > 0 || self.ledger.is_count_older(COUNT_EVERY).await?;
        if is_due && tick.windows_unfinished == 0 && !deadline.is_near() {
            self.watch_without_time(tick).await?;
        }
        Ok(())
    }

    async fn watch_lateness(&self, tick: &mut Tick) -> anyhow::Result<()> {
        let lateness = self.ledger.lateness(LATE_OVER, None).await?;
        let settings = self.settings.tuned(&self.ledger.tuning().await?);
        let recommended = lateness.recommended_lag(settings.lag);
        tick.lateness = Some(lateness);
        tick.recommended_lag_seconds = Some(recommended.as_secs());
        let figures = format!(
            "{} of {} messages that were looked at again in 7 days came late, the latest by up to {} s",
            lateness.late, lateness.messages, lateness.at_most_seconds
        );
        if are_too_many(lateness) {
            let text = format!(
                "{figures}; re-scans have recorded them. GRANARY_HARVEST_LAG_SECONDS={} would have been enough \
                 (or harvestLagSeconds of POST /tune)",
                recommended.as_secs()
            );
            self.ledger.begin_condition(LATE, &text).await?;
        } else {
            self.ledger.end_condition(LATE, &figures).await?;
        }
        Ok(())
    }

    async fn watch_without_time(&self, tick: &mut Tick) -> anyhow::Result<()> {
        let counted = match self.source.count_without_time().await {
            Ok(counted) => counted,
            Err(error) if error.is_platforms() => {
                tracing::warn!("documents without an event time were not counted: {error}");
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        let WithoutTime { documents, malformed } = counted;
        tick.without_time = Some(documents);
        self.ledger.record_without_time((documents, malformed)).await?;
        if documents > 0 {
            let text = format!(
                "{documents} documents of the source have no event time that can be read, {malformed} of them a \
                 malformed one: they are in no window, and are not archived"
            );
            self.ledger.begin_condition(WITHOUT_TIME, &text).await?;
        } else {
            let text = "every document of the source has an event time again";
            self.ledger.end_condition(WITHOUT_TIME, text).await?;
        }
        Ok(())
    }
}

fn are_too_many(lateness: Lateness) -> bool {
    lateness.late >= LATE_MIN && lateness.ratio() > LATE_SHARE_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h8_a_few_late_messages_are_what_re_scans_are_for() {
        let of = |late, messages| Lateness {
            late,
            messages,
            ..Lateness::default()
        };
        assert!(!are_too_many(of(19, 20)));
        assert!(!are_too_many(of(20, 2_000)));
        assert!(are_too_many(of(21, 2_000)));
        assert!(!are_too_many(of(0, 0)));
    }
}
