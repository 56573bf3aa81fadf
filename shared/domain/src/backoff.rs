//! How long to wait before the next try: exponential, with a ceiling and full jitter.

use std::time::Duration;

/// A delay that doubles from `first` up to `ceiling`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The ceiling of the first delay.
    pub first: Duration,
    /// No delay is longer.
    pub ceiling: Duration,
}

impl Backoff {
    /// The upper bound of the delay after the `tries`-th try (from 1 on).
    pub fn bound(&self, tries: u32) -> Duration {
        let doublings = tries.saturating_sub(1).min(30);
        self.first.saturating_mul(1 << doublings).min(self.ceiling)
    }

    /// A delay after the `tries`-th try, `random` being in `0.0..1.0`. Full jitter: anything up to the bound, so
    /// that those who failed together don't come back together.
    pub fn delay(&self, tries: u32, random: f64) -> Duration {
        self.bound(tries).mul_f64(random.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_up_to_the_ceiling_and_never_overflows() {
        let backoff = Backoff {
            first: Duration::from_secs(5),
            ceiling: Duration::from_secs(600),
        };
        let bounds: Vec<u64> = [0, 1, 2, 3, 8, 9, u32::MAX]
            .map(|tries| backoff.bound(tries).as_secs())
            .into();
        assert_eq!(bounds, [5, 5, 10, 20, 600, 600, 600]);
        assert_eq!(backoff.delay(3, 0.5), Duration::from_secs(10));
    }
}
