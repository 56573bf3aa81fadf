//! The query and the sort that every reading of the source shares, so that a page, its count and a verification
//! never differ in what they match.

use crate::error::{SourceError, reason_of};
use crate::fields::TimeResolution;
use crate::settings::SourceSettings;
use crate::stretch::{Stretch, Zone};
use crate::trouble::types_of;
use granary_domain::TimeRange;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// The format in which times are sent and come back: UTC, and exact to the nanosecond.
pub(crate) const TIME_FORMAT: &str = "strict_date_optional_time_nanos";
/// For every search: a shard that can't answer makes it fail.
pub(crate) const ALL_SHARDS: [(&str, &str); 1] = [("allow_partial_search_results", "false")];
/// Shards that can't match aren't asked.
pub(crate) const PRE_FILTER: (&str, &str) = ("pre_filter_shard_size", "1");

/// The body of a search.
#[derive(Serialize)]
pub(crate) struct SearchBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pit: Option<PitBody<'a>>,
    pub(crate) size: u32,
    pub(crate) query: Value,
    #[serde(skip_serializing_if = "Value::is_null")]
    pub(crate) sort: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) search_after: Option<&'a RawValue>,
    pub(crate) track_total_hits: bool,
    #[serde(rename = "_source")]
    pub(crate) source: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stored_fields: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) docvalue_fields: Vec<DocValues<'a>>,
    #[serde(skip_serializing_if = "Value::is_null")]
    pub(crate) aggs: Value,
}

/// A field whose values hits show.
#[derive(Serialize)]
pub(crate) struct DocValues<'a> {
    pub(crate) field: &'a str,
    /// Of times.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) format: Option<&'static str>,
}

/// The point in time that a search looks at, and for how long it lives on.
#[derive(Serialize)]
pub(crate) struct PitBody<'a> {
    pub(crate) id: &'a str,
    pub(crate) keep_alive: &'static str,
}

impl<'a> SearchBody<'a> {
    /// A search that gives no more than counts, until something is added.
    pub(crate) fn of(query: Value) -> SearchBody<'a> {
        SearchBody {
            pit: None,
            size: 0,
            query,
            sort: Value::Null,
            search_after: None,
            track_total_hits: false,
            source: false,
            stored_fields: None,
            docvalue_fields: Vec::new(),
            aggs: Value::Null,
        }
    }
}

/// What stands about its completeness in every answer to a search.
#[derive(Deserialize)]
pub(crate) struct Completeness {
    timed_out: bool,
    #[serde(rename = "_shards")]
    shards: Shards,
    /// Of a search across clusters.
    #[serde(rename = "_clusters", default)]
    clusters: Clusters,
}

/// Clusters that were left out, or answered in part.
#[derive(Deserialize, Default)]
struct Clusters {
    #[serde(default)]
    skipped: u32,
    #[serde(default)]
    partial: u32,
    #[serde(default)]
    failed: u32,
}

#[derive(Deserialize)]
struct Shards {
    total: u32,
    failed: u32,
    #[serde(default)]
    failures: Vec<Value>,
}

impl Completeness {
    /// The same of a search in a stretch of event time: an index that can't hold a message there isn't left out.
    pub(crate) fn require_in(&self, zone: Zone, operation: &'static str) -> Result<(), SourceError> {
        let Shards { failed, failures, .. } = &self.shards;
        let lacks = |failure: &Value| zone.lacks(failure);
        let is_whole = *failed == 0 || (!failures.is_empty() && failures.iter().all(lacks));
        let Clusters {
            skipped,
            partial,
            failed: broken,
        } = self.clusters;
        if is_whole && !self.timed_out && skipped + partial + broken == 0 {
            return Ok(());
        }
        self.require(operation)
    }

    /// An answer that leaves out a shard or a cluster, or ran out of time is an error, whatever its status.
    pub(crate) fn require(&self, operation: &'static str) -> Result<(), SourceError> {
        let Clusters {
            skipped,
            partial,
            failed: broken,
        } = self.clusters;
        let clusters = skipped + partial + broken;
        if !self.timed_out && self.shards.failed == 0 && clusters == 0 {
            return Ok(());
        }
        let failures = &self.shards.failures;
        if failures
            .iter()
            .flat_map(types_of)
            .any(|name| name == "search_context_missing_exception")
        {
            return Err(SourceError::PitLost);
        }
        let cause = failures
            .first()
            .and_then(|failure| reason_of(&failure["reason"]))
            .unwrap_or_default();
        let Shards { total, failed, .. } = self.shards;
        if self.timed_out {
            return Err(SourceError::TooHeavy {
                operation,
                status: Some(200),
                retry_after: None,
                reason: "the search ran out of time".to_owned(),
            });
        }
        let reason = if failed == 0 {
            format!("{clusters} clusters were left out, or answered in part")
        } else {
            format!("{failed} of {total} shards failed: {cause}")
        };
        Err(SourceError::Unavailable {
            operation,
            status: Some(200),
            retry_after: None,
            reason,
        })
    }

    /// Whether the name that was searched stands for no index at all.
    pub(crate) fn is_of_nothing(&self) -> bool {
        self.shards.total == 0
    }
}

/// The messages of the source, of some indices or of all, that have an event time in a stretch and match a filter.
pub(crate) fn messages(
    settings: &SourceSettings,
    only: Option<&[String]>,
    stretch: &Stretch,
    filter: Option<&Value>,
) -> Value {
    let time = json!({"range": {&settings.time_field: stretch.bounds}});
    let indices = of_indices(only);
    let filters: Vec<&Value> = [Some(&time), indices.as_ref(), settings.filter.as_ref(), filter]
        .into_iter()
        .flatten()
        .collect();
    json!({"bool": {"filter": filters}})
}

/// The messages of the source, of some indices or of all, that have no event time, and so are in no range.
pub(crate) fn messages_without_time(settings: &SourceSettings, only: Option<&[String]>) -> Value {
    let indices = of_indices(only);
    let filters: Vec<&Value> = [indices.as_ref(), settings.filter.as_ref()]
        .into_iter()
        .flatten()
        .collect();
    json!({"bool": {"filter": filters, "must_not": [{"exists": {"field": settings.time_field}}]}})
}

/// What matches the documents of some indices; `None`: all are meant. Before version 8 Elasticsearch sees by such a clause that a
/// shard can't match, and not by its contrary.
pub(crate) fn of_indices(only: Option<&[String]>) -> Option<Value> {
    only.map(|indices| json!({"terms": {"_index": indices}}))
}

/// `asc` or `desc`.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Order {
    Asc,
    Desc,
}

/// The sort by event time, to the millisecond: finer times of `date_nanos` are for [`exact_time`], since an instant
/// before 1970 beside them can't be sorted as such. Values come back as text. An index that hasn't seen a message yet may
/// not know the field.
pub(crate) fn by_time(settings: &SourceSettings, resolution: TimeResolution, order: Order) -> Value {
    let mut sort = json!({"order": order, "format": TIME_FORMAT, "unmapped_type": "date"});
    if resolution.has_nanos() {
        sort["numeric_type"] = json!("date");
    }
    json!({ &settings.time_field: sort })
}

/// What shows an event time exactly where the sort doesn't.
pub(crate) fn exact_time(settings: &SourceSettings, resolution: TimeResolution) -> Option<DocValues<'_>> {
    resolution.has_nanos().then_some(DocValues {
        field: &settings.time_field,
        format: Some(TIME_FORMAT),
    })
}

/// An event time as Elasticsearch writes it. A document that has several may show one beyond [`TimeRange::EVER`], such as
/// `-0090-03-27T…` or `+57972-04-16T…`: it counts as the nearest inside.
pub(crate) fn parse_time(operation: &'static str, text: &str) -> Result<Timestamp, SourceError> {
    let (first, end) = (TimeRange::EVER.from(), TimeRange::EVER.to());
    match text.parse::<Timestamp>() {
        Ok(instant) => Ok(instant.clamp(first, end)),
        Err(_) if text.starts_with('-') => Ok(first),
        Err(_) if text.starts_with('+') || text.starts_with("9999-12-3") => Ok(end),
        Err(_) => Err(SourceError::Malformed {
            operation,
            reason: format!("the event time {text:?} can't be read"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h19_times_beyond_all_that_can_be_on_record_count_as_the_nearest_inside() {
        let parsed = |text| parse_time("test", text).unwrap().to_string();
        for early in [
            "-0090-03-27T04:26:40.000Z",
            "0000-06-01T00:00:00.000Z",
            "-292275055-05-16T16:47:04.192Z",
        ] {
            assert_eq!(parsed(early), "0001-01-01T00:00:00Z");
        }
        for late in [
            "+57972-04-16T16:00:00.000Z",
            "9999-12-31T23:59:59.000Z",
            "9999-12-30T22:00:00.001Z",
        ] {
            assert_eq!(parsed(late), "9999-12-30T22:00:00Z");
        }
        assert_eq!(
            parsed("2026-01-01T10:00:00.123456789Z"),
            "2026-01-01T10:00:00.123456789Z"
        );
        assert!(parse_time("test", "yesterday").is_err());
    }
}
