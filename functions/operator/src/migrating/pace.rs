//! How fast a migration goes, and when nothing of it would be open at that pace.
//!
//! By what was settled in the hours of its range lately, whoever owns it, as its progress is counted. It is no promise: what
//! waits for people has no end that could be foretold, and is left out.

use granary_ledger::reports::RangePace;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

/// How far back its throughput is shown.
pub(crate) const SHOWN_MINUTES: u32 = 60;
const RATE_MINUTES: i64 = 15;

/// How fast a migration goes.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ShownPace {
    /// Messages of the hours of its range that were archived in a second, in the last 15 minutes.
    #[schema(examples(10.0))]
    messages_per_second: f64,
    /// Seconds until nothing of it is open at that pace, but for parked batches; `null`: nothing moved lately, or nothing else
    /// is open.
    #[schema(examples(100.0))]
    eta_seconds: Option<f64>,
    /// Minutes that the throughput looks back.
    minutes: u32,
    /// Minutes in which something of the hours of its range was archived, the oldest first.
    throughput: Vec<ShownMinute>,
}

/// A minute in which something was archived.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ShownMinute {
    /// Its first instant.
    at: Timestamp,
    /// Batches that were archived in it.
    batches: u64,
    /// Messages in their objects.
    messages: u64,
}

/// The pace, and what follows from it for so many open messages that don't wait for people.
pub(crate) fn shown(pace: &RangePace, open: u64) -> ShownPace {
    let since = pace.now.checked_sub(SignedDuration::from_mins(RATE_MINUTES)).ok();
    let lately: u64 = pace
        .minutes
        .iter()
        .filter(|minute| since.is_some_and(|since| minute.at >= since))
        .map(|minute| minute.messages)
        .sum();
    let rate = lately as f64 / (RATE_MINUTES * 60) as f64;
    let eta = (lately > 0 && open > 0).then(|| (open as f64 / rate).ceil());
    let throughput = pace.minutes.iter().map(|minute| ShownMinute {
        at: minute.at,
        batches: minute.batches,
        messages: minute.messages,
    });
    ShownPace {
        messages_per_second: (rate * 10.0).round() / 10.0,
        eta_seconds: eta,
        minutes: SHOWN_MINUTES,
        throughput: throughput.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use granary_ledger::reports::SettledMinute;

    fn pace(minutes: &[(&str, u64)]) -> RangePace {
        RangePace {
            now: "2026-11-22T10:30:30Z".parse().unwrap(),
            minutes: minutes
                .iter()
                .map(|(at, messages)| SettledMinute {
                    at: at.parse::<Timestamp>().unwrap(),
                    batches: 1,
                    messages: *messages,
                })
                .collect(),
        }
    }

    #[test]
    fn the_rate_is_that_of_the_last_quarter_of_an_hour() {
        let pace = pace(&[("2026-11-22T10:10:00Z", 5_000), ("2026-11-22T10:20:00Z", 9_000)]);
        let shown = shown(&pace, 1_000);
        assert_eq!(
            (shown.messages_per_second, shown.eta_seconds),
            (10.0, Some(100.0))
        );
        assert_eq!(shown.throughput.len(), 2);
    }

    #[test]
    fn what_stands_still_or_is_done_has_no_end_to_be_foretold() {
        let still = pace(&[("2026-11-22T10:10:00Z", 5_000)]);
        assert_eq!(shown(&still, 1_000).eta_seconds, None);
        let moving = pace(&[("2026-11-22T10:20:00Z", 9_000)]);
        assert_eq!(shown(&moving, 0).eta_seconds, None);
    }
}
