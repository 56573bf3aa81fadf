//! The failure rate of the last hour: people are told when it becomes too high, and when it is over.

use crate::reap::Reaper;
use granary_ledger::FailureRate;
use std::time::Duration;

const CONDITION: &str = "failure_rate";
const STRETCH: Duration = Duration::from_secs(3_600);
/// Two of three attempts failing say nothing yet.
const ATTEMPTS_MIN: u64 = 20;

impl Reaper {
    /// Measures the rate and writes down where it crosses the threshold: one alert for a storm, one for its end.
    pub(crate) async fn watch_failure_rate(&self) -> anyhow::Result<f64> {
        let rate = self.ledger.failure_rate(STRETCH).await?;
        let (percent, threshold) = (rate.ratio() * 100.0, self.failure_rate_threshold * 100.0);
        let figures = format!(
            "{} of {} attempts of the last hour failed ({percent:.1} %, the threshold is {threshold:.1} %)",
            rate.failed, rate.attempts
        );
        if is_storm(rate, self.failure_rate_threshold) {
            self.ledger
                .begin_condition(CONDITION, CONDITION, &figures)
                .await?;
        } else {
            let end = end_of_storm(rate);
            self.ledger
                .end_condition(CONDITION, CONDITION, &format!("{end}: {figures}"))
                .await?;
        }
        Ok(rate.ratio())
    }
}

fn is_storm(rate: FailureRate, threshold: f64) -> bool {
    rate.attempts >= ATTEMPTS_MIN && rate.ratio() > threshold
}

/// Where hardly anybody tries any more, most of the few may still fail.
fn end_of_storm(rate: FailureRate) -> String {
    if rate.attempts < ATTEMPTS_MIN {
        return format!(
            "the storm is over, with fewer than {ATTEMPTS_MIN} attempts, which are too few to judge by"
        );
    }
    "the storm is over".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storm_that_ends_for_want_of_attempts_says_so() {
        let end = |attempts| end_of_storm(FailureRate { attempts, failed: 1 });
        assert!(end(19).contains("fewer than 20 attempts"), "{}", end(19));
        assert_eq!(end(20), "the storm is over");
    }

    /// A1: a tiny sample.
    #[test]
    fn a1_a_few_attempts_are_no_storm_however_many_failed() {
        assert!(!is_storm(
            FailureRate {
                attempts: 19,
                failed: 19
            },
            0.1
        ));
        assert!(is_storm(
            FailureRate {
                attempts: 20,
                failed: 3
            },
            0.1
        ));
        assert!(!is_storm(
            FailureRate {
                attempts: 20,
                failed: 2
            },
            0.1
        ));
    }
}
