//! A range of event time in the stretches that a search can ask for.
//!
//! `date_nanos` begins in 1970 and ends in 2262. An index that has it refuses a range with an edge beyond them, though
//! indices with `date` beside it may hold messages there. So a range is cut at both. In an outer stretch only the indices
//! with `date` answer: the refusal of another one says that it can't hold a message there. Every other failure is an error.

use crate::error::{SourceError, reason_of};
use crate::fields::TimeResolution;
use crate::query::{PRE_FILTER, TIME_FORMAT};
use granary_domain::TimeRange;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The last instant of `date_nanos`, and the first millisecond after it.
const NANOS_LAST: &str = "2262-04-11T23:47:16.854775807Z";
const AFTER_NANOS: Timestamp = Timestamp::constant(9_223_372_036, 855_000_000);
const BEYOND_NANOS: &str = "cannot be stored in nanosecond resolution";

/// Where a stretch lies, in order of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Zone {
    /// Before 1970, where `date_nanos` has nothing.
    BeforeNanos,
    /// Every index can be asked.
    Everywhere,
    /// After 2262, where `date_nanos` has nothing.
    AfterNanos,
}

/// A stretch of event time.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stretch {
    pub(crate) zone: Zone,
    /// The body of a `range` query.
    pub(crate) bounds: Value,
}

impl Zone {
    /// Whether a search may lack shards. Which ones, [`Zone::lacks`] says. Where it is of some indices `only`, a shard that
    /// can't match isn't asked, whatever it would refuse.
    pub(crate) fn shards(self, only: Option<&[String]>) -> Vec<(&'static str, &'static str)> {
        let may_lack = match self {
            Self::Everywhere => "false",
            Self::BeforeNanos | Self::AfterNanos => "true",
        };
        let pre_filter = only.is_some().then_some(PRE_FILTER);
        [("allow_partial_search_results", may_lack)]
            .into_iter()
            .chain(pre_filter)
            .collect()
    }

    /// Whether a search of this zone failed by chance: Elasticsearch told a shard with `date_nanos` about the time of a document
    /// of another shard, which has several and shows one beyond what the shard can hold. Asked again, the shards may answer
    /// in another order.
    pub(crate) fn failed_by_chance(self, error: &SourceError) -> bool {
        let beyond = |reason: &String| reason.contains(BEYOND_NANOS);
        self == Self::Everywhere
            && matches!(error, SourceError::Refused { status: 400, reason, .. } if beyond(reason))
    }

    /// Whether the failure of a shard says no more than that its index can't hold a message here.
    pub(crate) fn lacks(self, failure: &Value) -> bool {
        self != Self::Everywhere
            && reason_of(&failure["reason"]).is_some_and(|reason| reason.contains(BEYOND_NANOS))
    }
}

/// The stretches of a range, in order of time. None: there is no index that could have a message in it.
pub(crate) fn stretches(range: TimeRange, resolution: TimeResolution) -> Vec<Stretch> {
    cut(Some(range.from()), Some(range.to()), resolution)
}

/// All event times before an instant, also those that can't be on record.
pub(crate) fn stretches_before(to: Timestamp, resolution: TimeResolution) -> Vec<Stretch> {
    cut(None, Some(to), resolution)
}

/// All event times from an instant on, also those that can't be on record.
pub(crate) fn stretches_since(from: Timestamp, resolution: TimeResolution) -> Vec<Stretch> {
    cut(Some(from), None, resolution)
}

fn cut(from: Option<Timestamp>, to: Option<Timestamp>, resolution: TimeResolution) -> Vec<Stretch> {
    if resolution == TimeResolution::Millis {
        return vec![Stretch::new(Zone::Everywhere, from, to.map(before))];
    }
    let is_mixed = resolution == TimeResolution::Mixed;
    let begin = Timestamp::UNIX_EPOCH;
    let begins_before = |instant: Timestamp| from.is_none_or(|from| from < instant);
    let ends_after = |instant: Timestamp| to.is_none_or(|to| to > instant);
    let mut stretches = Vec::new();
    if begins_before(begin) && is_mixed {
        let end = to.map_or(begin, |to| to.min(begin));
        stretches.push(Stretch::new(Zone::BeforeNanos, from, Some(before(end))));
    }
    if begins_before(AFTER_NANOS) && ends_after(begin) {
        let start = from.map_or(begin, |from| from.max(begin));
        let end = to.filter(|to| *to < AFTER_NANOS);
        let end = end.map_or(json!({"lte": NANOS_LAST}), before);
        stretches.push(Stretch::new(Zone::Everywhere, Some(start), Some(end)));
    }
    if ends_after(AFTER_NANOS) && is_mixed {
        let start = from.map_or(AFTER_NANOS, |from| from.max(AFTER_NANOS));
        stretches.push(Stretch::new(Zone::AfterNanos, Some(start), to.map(before)));
    }
    stretches
}

fn before(to: Timestamp) -> Value {
    json!({"lt": to.to_string()})
}

impl Stretch {
    fn new(zone: Zone, from: Option<Timestamp>, end: Option<Value>) -> Self {
        let mut bounds = end.unwrap_or_else(|| json!({}));
        if let Some(from) = from {
            bounds["gte"] = json!(from.to_string());
        }
        bounds["format"] = json!(TIME_FORMAT);
        Self { zone, bounds }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut_range(from: &str, to: &str, resolution: TimeResolution) -> Vec<(Zone, String, String)> {
        let range = TimeRange::new(from.parse().unwrap(), to.parse().unwrap()).unwrap();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        stretches(range, resolution)
            .into_iter()
            .map(|Stretch { zone, bounds }| {
                (
                    zone,
                    text(&bounds["gte"]),
                    text(bounds.get("lt").unwrap_or(&bounds["lte"])),
                )
            })
            .collect()
    }

    #[test]
    fn h19_a_range_is_cut_where_date_nanos_begins_and_ends() {
        let (from, to) = ("1960-01-01T00:00:00Z", "2300-01-01T00:00:00Z");
        let stretch = |zone, from: &str, to: &str| (zone, from.to_owned(), to.to_owned());
        let inner = stretch(Zone::Everywhere, "1970-01-01T00:00:00Z", NANOS_LAST);
        assert_eq!(
            cut_range(from, to, TimeResolution::Millis),
            [stretch(Zone::Everywhere, from, to)]
        );
        assert_eq!(
            cut_range(from, to, TimeResolution::Nanos),
            std::slice::from_ref(&inner)
        );
        assert_eq!(
            cut_range(from, to, TimeResolution::Mixed),
            [
                stretch(Zone::BeforeNanos, from, "1970-01-01T00:00:00Z"),
                inner,
                stretch(Zone::AfterNanos, "2262-04-11T23:47:16.855Z", to),
            ]
        );
        assert_eq!(cut_range(from, "1970-01-01T00:00:00Z", TimeResolution::Nanos), []);
        let today = ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z");
        assert_eq!(
            cut_range(today.0, today.1, TimeResolution::Mixed),
            [stretch(Zone::Everywhere, today.0, today.1)]
        );
    }
}
