//! The failure rate of the last hour: people are told when it becomes too high, and when it is over.

use crate::reap::Reaper;
use granary_ledger::jobs::FailureRate;
use std::time::Duration;

const CONDITION: &str = "failure_rate";
const STRETCH: Duration = Duration::from_secs(3_600);
/// Two of three attempts failing say nothing yet.
const ATTEMPTS_MIN: u64 = 20;
/// A storm is over at this share of the threshold, so that a rate about the threshold does not alert again and again.
const END_RATIO: f64 = 0.5;

impl Reaper {
    /// Measures the rate: one alert where it rises above the threshold, and one where it has fallen to half of it.
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
        } else if is_over(rate, self.failure_rate_threshold) {
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

/// Fewer attempts than a storm needs are its end, too: there is nothing left to judge by.
fn is_over(rate: FailureRate, threshold: f64) -> bool {
    rate.attempts < ATTEMPTS_MIN || rate.ratio() <= threshold * END_RATIO
}

/// Of few attempts, most may still fail.
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

    #[test]
    fn a_rate_about_the_threshold_neither_begins_a_storm_nor_ends_it() {
        let rate = |failed| FailureRate {
            attempts: 100,
            failed,
        };
        let judged = |failed| (is_storm(rate(failed), 0.1), is_over(rate(failed), 0.1));
        assert_eq!(judged(11), (true, false));
        assert_eq!(judged(10), (false, false));
        assert_eq!(judged(6), (false, false));
        assert_eq!(judged(5), (false, true));
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
