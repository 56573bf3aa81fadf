//! How much time an invocation has.

use std::time::{Duration, Instant, SystemTime};

/// The share of an invocation's time that is spent on work; the rest is for ending it well.
const WORKING_SHARE: f64 = 0.8;
/// No Lambda function runs for longer. A deadline further away, or in the past, isn't one: `cargo lambda watch` passes a
/// duration where the real runtime passes a time.
const TIMEOUT_MAX: Duration = Duration::from_secs(900);

/// The end of an invocation, by the monotonic clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline {
    stop: Instant,
}

impl Deadline {
    /// The deadline of an invocation that begins now. `epoch_ms` is the runtime's, in milliseconds since 1970.
    pub fn of_invocation(epoch_ms: u64) -> Self {
        let end = SystemTime::UNIX_EPOCH + Duration::from_millis(epoch_ms);
        let left = end
            .duration_since(SystemTime::now())
            .ok()
            .filter(|left| *left <= TIMEOUT_MAX);
        Self::after(left.unwrap_or(TIMEOUT_MAX).mul_f64(WORKING_SHARE))
    }

    /// A deadline `time` from now.
    pub fn after(time: Duration) -> Self {
        Self {
            stop: Instant::now() + time,
        }
    }

    /// The same, or `time` from now where that is earlier: for work that must not take all of it.
    pub fn within(self, time: Duration) -> Self {
        Self {
            stop: self.stop.min(Instant::now() + time),
        }
    }

    /// When to begin no more work.
    pub fn stop(&self) -> Instant {
        self.stop
    }

    /// Whether it is time to stop.
    pub fn is_near(&self) -> bool {
        Instant::now() >= self.stop
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_in_place_of_a_time_is_not_a_deadline() {
        assert!(!Deadline::of_invocation(600_000).is_near());
        assert!(!Deadline::of_invocation(u64::MAX / 1_000_000).is_near());
    }

    #[test]
    fn a_fifth_of_the_time_is_left_for_the_end() {
        let in_ten_secs = SystemTime::now() + Duration::from_secs(10);
        let epoch_ms = in_ten_secs
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap()
            .as_millis();
        let deadline = Deadline::of_invocation(u64::try_from(epoch_ms).unwrap());
        let left = deadline.stop() - Instant::now();
        assert!(
            left > Duration::from_secs(7) && left <= Duration::from_secs(8),
            "{left:?}"
        );
    }
}
