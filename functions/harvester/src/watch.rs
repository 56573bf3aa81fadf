//! What people must know of the source: how late its documents come, and how many are in no window, since they have no
//! event time that can be read, one in the future, or one before the first window.
//!
//! Told in the tick's log line, by the operator's API, and as conditions that the reaper publishes when they begin and
//! when they end. Nothing is decided by it. Where Elasticsearch doesn't answer, the next tick counts.

use crate::harvest::{Harvester, Tick};
use granary_domain::TimeRange;
use granary_environment::Deadline;
use granary_ledger::harvest::{Lateness, OutsideCounts};
use jiff::SignedDuration;
use std::time::Duration;

const WITHOUT_TIME: &str = "documents_without_time";
const IN_FUTURE: &str = "documents_in_future";
const TOO_EARLY: &str = "documents_too_early";
/// Clocks differ: what is no further ahead is harvested in its time.
const AHEAD_MAX: SignedDuration = SignedDuration::from_hours(1);
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
        if !deadline.is_near() && self.ledger.is_count_older(COUNT_EVERY).await? {
            self.watch_outside(tick).await?;
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
            self.ledger.begin_condition(LATE, LATE, &text).await?;
        } else {
            self.ledger.end_condition(LATE, LATE, &figures).await?;
        }
        Ok(())
    }

    async fn watch_outside(&self, tick: &mut Tick) -> anyhow::Result<()> {
        let first_window = self.ledger.first_window_from().await?;
        let first_window = first_window.unwrap_or(TimeRange::EVER.from());
        let windows = TimeRange::new(first_window, self.ledger.now().await? + AHEAD_MAX)?;
        let counted = match self.source.count_outside(windows).await {
            Ok(counted) => counted,
            Err(error) if error.is_platforms() => {
                tracing::warn!("documents outside of every window were not counted: {error}");
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        let counts = OutsideCounts {
            without_time: counted.without_time,
            malformed: counted.malformed,
            before_first_window: counted.before,
            in_future: counted.after,
        };
        tick.outside = Some(counts);
        self.ledger.record_outside(counts).await?;
        let (timeless, malformed) = (counts.without_time, counts.malformed);
        let (early, ahead) = (counts.before_first_window, counts.in_future);
        let not_archived = "they are in no window, and are not archived";
        self.tell_of(
            (WITHOUT_TIME, timeless),
            format!(
                "{timeless} documents of the source have no event time that can be read, {malformed} of them a \
                 malformed one: {not_archived}"
            ),
            "every document of the source has an event time again",
        )
        .await?;
        self.tell_of(
            (IN_FUTURE, ahead),
            format!("{ahead} documents of the source have an event time in the future: {not_archived}"),
            "no document of the source has an event time in the future any more",
        )
        .await?;
        self.tell_of(
            (TOO_EARLY, early),
            format!(
                "{early} documents of the source have an event time before {first_window}, where the first window begins: \
                 {not_archived}"
            ),
            "no document of the source lies before the first window any more",
        )
        .await
    }

    /// A condition lasts as long as any document is counted for it.
    async fn tell_of(&self, (kind, documents): (&str, u64), begun: String, over: &str) -> anyhow::Result<()> {
        if documents > 0 {
            self.ledger.begin_condition(kind, kind, &begun).await?;
        } else {
            self.ledger.end_condition(kind, kind, over).await?;
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
