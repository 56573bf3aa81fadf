//! How long a batch waits that was broken off without its own fault.
//!
//! Exponential from 5 s on, with full jitter, 10 minutes at most, however often it is deferred. Where Elasticsearch said for
//! how long it wants to be left alone, the wait begins after that. A batch that ran out of time is due at once the
//! first time: it may have been begun late, or been slowed down by others. From then on it waits like all others,
//! since a batch that never fits must not keep a worker busy for good. A batch most of which is missing is looked for once
//! more after a quarter of an hour.

use granary_domain::{Backoff, Cause, Failure};
use granary_source::SourceError;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const BACKOFF: Backoff = Backoff {
    first: Duration::from_secs(5),
    ceiling: Duration::from_secs(600),
};

/// Long enough for a person to notice, and for an index to be restored.
const BEFORE_LOOKING_AGAIN: Duration = Duration::from_secs(15 * 60);

/// What this process was told about waiting.
#[derive(Debug, Default)]
pub(crate) struct DeferralDelay {
    /// Until when Elasticsearch asked to be left alone (`Retry-After`).
    source_rests_until: Mutex<Option<Instant>>,
}

impl DeferralDelay {
    /// Takes note of what an error asks for, and makes it the attempt's failure.
    pub(crate) fn source_failure(&self, error: &SourceError) -> Failure {
        if let SourceError::Unavailable {
            retry_after: Some(rest),
            ..
        }
        | SourceError::TooHeavy {
            retry_after: Some(rest),
            ..
        } = error
        {
            let until = Instant::now() + (*rest).min(BACKOFF.ceiling);
            *self.rests_until() = Some(until);
        }
        Failure::new(error.cause(), error)
    }

    /// The delay of a batch that was deferred so often in a row before, `random` being in `0.0..1.0`.
    pub(crate) fn of(&self, cause: Cause, deferrals_before: u32, random: f64) -> Duration {
        if cause == Cause::Deadline && deferrals_before == 0 {
            return Duration::ZERO;
        }
        if cause == Cause::MostlyMissing {
            return BEFORE_LOOKING_AGAIN;
        }
        let rest = match (cause, *self.rests_until()) {
            (Cause::SourceUnavailable, Some(until)) => until.saturating_duration_since(Instant::now()),
            _ => Duration::ZERO,
        };
        let delay = BACKOFF.delay(deferrals_before.saturating_add(1), random);
        (rest + delay).min(BACKOFF.ceiling)
    }

    fn rests_until(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.source_rests_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN_MINUTES: Duration = Duration::from_secs(600);

    fn throttled(rest: Duration) -> SourceError {
        SourceError::Unavailable {
            operation: "read documents",
            status: Some(429),
            retry_after: Some(rest),
            reason: "busy".into(),
        }
    }

    #[test]
    fn e12_a_delay_grows_with_full_jitter_and_never_passes_ten_minutes() {
        let delay = DeferralDelay::default();
        let of = |deferrals, random| delay.of(Cause::ArchiveUnavailable, deferrals, random);
        assert_eq!((of(0, 0.0), of(20, 0.0)), (Duration::ZERO, Duration::ZERO));
        assert_eq!(of(0, 1.0), Duration::from_secs(5));
        assert_eq!(of(1, 0.5), Duration::from_secs(5));
        assert_eq!((of(8, 1.0), of(u32::MAX, 1.0)), (TEN_MINUTES, TEN_MINUTES));
    }

    #[test]
    fn h7_elasticsearch_is_left_alone_for_as_long_as_it_asked_but_ten_minutes_at_most() {
        let delay = DeferralDelay::default();
        let failure = delay.source_failure(&throttled(Duration::from_secs(90)));
        assert_eq!(failure.cause, Cause::SourceUnavailable);
        let shortest = delay.of(Cause::SourceUnavailable, 0, 0.0);
        assert!(
            shortest > Duration::from_secs(85) && shortest <= Duration::from_secs(90),
            "{shortest:?}"
        );
        assert_eq!(
            delay.of(Cause::ArchiveUnavailable, 0, 0.0),
            Duration::ZERO,
            "S3 never asked"
        );
        delay.source_failure(&throttled(Duration::from_secs(86_400)));
        assert!(delay.of(Cause::SourceUnavailable, 5, 1.0) <= TEN_MINUTES);
    }

    #[test]
    fn e9_a_batch_that_ran_out_of_time_is_due_at_once_and_waits_only_when_it_does_so_again() {
        let delay = DeferralDelay::default();
        assert_eq!(delay.of(Cause::Deadline, 0, 1.0), Duration::ZERO);
        assert_eq!(delay.of(Cause::Deadline, 1, 1.0), Duration::from_secs(10));
        assert_eq!(delay.of(Cause::Deadline, 50, 1.0), TEN_MINUTES);
    }
}
