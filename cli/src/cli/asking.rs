//! Options that many commands have.

use clap::Args;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};
use std::time::Duration;

/// How a change is asked for.
#[derive(Debug, Clone, Args)]
pub(crate) struct Change {
    /// Say what would change, and change nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Why, for the audit.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
}

/// A page of a list.
#[derive(Debug, Args)]
pub(crate) struct Page {
    /// How many at most.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub(crate) limit: u32,
    /// Where the list before left off.
    #[arg(long)]
    pub(crate) cursor: Option<String>,
}

/// A range of time.
#[derive(Debug, Args)]
pub(crate) struct Span {
    /// From this time on, with its zone, or so long ago: 2026-11-22T06:00:00Z, 24h.
    #[arg(long, value_name = "TIME", value_parser = instant)]
    pub(crate) from: Option<Timestamp>,
    /// Up to, but without, this time.
    #[arg(long, value_name = "TIME", value_parser = instant)]
    pub(crate) to: Option<Timestamp>,
}

/// An instant with its zone, or how long ago it is.
pub(super) fn instant(text: &str) -> Result<Timestamp, String> {
    if let Ok(instant) = text.parse() {
        return Ok(instant);
    }
    let ago = age(text).map_err(|_| {
        "it is neither a time with its zone, such as 2026-11-22T06:00:00Z, nor how long ago, such as 24h"
            .to_owned()
    })?;
    let ago = SignedDuration::try_from(ago).map_err(|error| error.to_string())?;
    Timestamp::now()
        .checked_sub(ago)
        .map_err(|_| "nothing was that long ago".to_owned())
}

pub(super) fn age(text: &str) -> Result<Duration, String> {
    let span: SignedDuration = text
        .parse()
        .map_err(|error| format!("it is not a duration such as 24h: {error}"))?;
    Duration::try_from(span).map_err(|_| "an age can't be negative".to_owned())
}

pub(super) fn json_object(text: &str) -> Result<Map<String, Value>, String> {
    serde_json::from_str(text).map_err(|error| format!("it is not a JSON object: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_has_its_zone_or_is_so_long_ago() {
        assert_eq!(
            instant("2026-11-22T08:00:00+02:00").unwrap().to_string(),
            "2026-11-22T06:00:00Z"
        );
        let an_hour_ago = Timestamp::now().duration_since(instant("1h").unwrap());
        assert!((3_599..3_605).contains(&an_hour_ago.as_secs()), "{an_hour_ago}");
        for wrong in ["2026-11-22T06:00:00", "yesterday", "-1h", ""] {
            assert!(instant(wrong).is_err(), "{wrong}");
        }
    }
}
