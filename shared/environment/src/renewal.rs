//! When a secret may be read again: at once after a long quiet time, then at most once in 60 seconds, doubling up to 10
//! minutes, with jitter.
//!
//! It only counts time. Who reads, and what follows from it, is the caller's business.

use std::time::{Duration, Instant};

/// The longest pause after the first reading. Jitter takes off a fifth at most, so no pause is shorter than 60 s.
const FIRST_PAUSE: Duration = Duration::from_secs(75);
const PAUSE_MAX: Duration = Duration::from_secs(600);
const JITTER_SHARE: f64 = 0.2;
/// What was quiet for so long begins anew with the first pause.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(1_800);

/// The readings of one secret.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    last: Option<Instant>,
    next: Option<Instant>,
    /// In a row.
    readings: u32,
}

impl Schedule {
    /// Whether the secret may be read now. If so, it counts as read: what fails counts as well. `random` is in `0.0..1.0`.
    pub(crate) fn begin(&mut self, now: Instant, random: f64) -> bool {
        if self.next.is_some_and(|next| now < next) {
            return false;
        }
        if self.last.is_some_and(|last| now - last > FORGOTTEN_AFTER) {
            self.readings = 0;
        }
        let doubled = FIRST_PAUSE.saturating_mul(1 << self.readings.min(8));
        let pause = doubled.min(PAUSE_MAX);
        self.next = Some(now + pause - pause.mul_f64(JITTER_SHARE * random.clamp(0.0, 1.0)));
        self.last = Some(now);
        self.readings += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When a secret is read by a caller that asks every second for this long, in seconds since the first refusal.
    fn read_at(secs: u64, random: f64) -> Vec<u64> {
        let (mut schedule, begin) = (Schedule::default(), Instant::now());
        (0..secs)
            .filter(|second| schedule.begin(begin + Duration::from_secs(*second), random))
            .collect()
    }

    #[test]
    fn a_secret_is_read_at_once_and_then_ever_less_often() {
        assert_eq!(read_at(3_000, 0.0), [0, 75, 225, 525, 1_125, 1_725, 2_325, 2_925]);
        assert_eq!(read_at(2_100, 1.0), [0, 60, 180, 420, 900, 1_380, 1_860]);
    }

    #[test]
    fn no_pause_is_shorter_than_a_minute_or_longer_than_ten() {
        for random in [0.0, 0.3, 0.7, 1.0] {
            let read = read_at(10_000, random);
            let mut pauses = read.windows(2).map(|pair| pair[1] - pair[0]);
            assert!(pauses.all(|pause| (60..=600).contains(&pause)), "{read:?}");
        }
    }

    #[test]
    fn after_a_quiet_time_it_begins_anew() {
        let (mut schedule, begin) = (Schedule::default(), Instant::now());
        let at = |secs| begin + Duration::from_secs(secs);
        for secs in [0, 75, 225, 525] {
            assert!(schedule.begin(at(secs), 0.0));
        }
        assert!(schedule.begin(at(10_000), 0.0));
        assert!(schedule.begin(at(10_075), 0.0));
    }
}
