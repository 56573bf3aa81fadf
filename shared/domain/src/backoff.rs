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
    use proptest::prelude::*;

    const DEFERRAL: Backoff = Backoff {
        first: Duration::from_secs(5),
        ceiling: Duration::from_secs(600),
    };

    proptest! {
        /// E12: full jitter, so nothing up to the bound is left out, and the bound itself never passes 10 minutes.
        #[test]
        fn e12_a_delay_is_any_part_of_a_bound_that_ends_at_ten_minutes(tries in any::<u32>(), random in 0.0..1.0f64) {
            let (delay, bound) = (DEFERRAL.delay(tries, random), DEFERRAL.bound(tries));
            prop_assert!(delay <= bound && bound <= Duration::from_secs(600));
            prop_assert!((delay.as_secs_f64() - bound.as_secs_f64() * random).abs() < 0.001);
            prop_assert!(DEFERRAL.bound(tries.saturating_add(1)) >= bound, "it never becomes shorter");
        }

        #[test]
        fn e12_a_random_number_that_is_none_makes_no_longer_delay(tries in any::<u32>(), random in any::<f64>()) {
            prop_assert!(DEFERRAL.delay(tries, random) <= Duration::from_secs(600));
        }
    }

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
