//! The query and the sort that every reading of the source shares, so that a page, its count and a verification
//! never differ in what they match.

use crate::error::{SourceError, reason_of};
use crate::fields::TimeResolution;
use crate::settings::SourceSettings;
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
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) docvalue_fields: Option<[&'a str; 1]>,
    #[serde(skip_serializing_if = "Value::is_null")]
    pub(crate) aggs: Value,
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
            docvalue_fields: None,
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

/// The event times that are asked for. `from` and `to` are in [`TIME_FORMAT`].
pub(crate) struct TimeClause {
    pub(crate) from: String,
    pub(crate) to: String,
}

impl From<TimeRange> for TimeClause {
    fn from(range: TimeRange) -> Self {
        Self {
            from: range.from().to_string(),
            to: range.to().to_string(),
        }
    }
}

/// The messages of the source that have an event time (in a range, if one is given) and match a filter.
pub(crate) fn messages(
    settings: &SourceSettings,
    range: Option<TimeClause>,
    filter: Option<&Value>,
) -> Value {
    let time = match range {
        Some(TimeClause { from, to }) => {
            json!({"range": {&settings.time_field: {"gte": from, "lt": to, "format": TIME_FORMAT}}})
        }
        None => json!({"exists": {"field": settings.time_field}}),
    };
    let filters: Vec<&Value> = [Some(&time), settings.filter.as_ref(), filter]
        .into_iter()
        .flatten()
        .collect();
    json!({"bool": {"filter": filters}})
}

/// The messages of the source that have no event time, and so are in no range.
pub(crate) fn messages_without_time(settings: &SourceSettings) -> Value {
    let filters: Vec<&Value> = settings.filter.iter().collect();
    json!({"bool": {"filter": filters, "must_not": [{"exists": {"field": settings.time_field}}]}})
}

/// `asc` or `desc`.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Order {
    Asc,
    Desc,
}

/// The sort by event time. Values come back as text, so they are exact. An index that hasn't seen a message yet may
/// not know the field.
pub(crate) fn by_time(settings: &SourceSettings, resolution: TimeResolution, order: Order) -> Value {
    let mut sort = json!({"order": order, "format": TIME_FORMAT, "unmapped_type": "date"});
    if resolution == TimeResolution::Nanos {
        sort["numeric_type"] = json!("date_nanos");
    }
    json!({ &settings.time_field: sort })
}

/// An event time as a sort gives it back.
pub(crate) fn parse_time(operation: &'static str, text: &str) -> Result<Timestamp, SourceError> {
    text.parse().map_err(|_| SourceError::Malformed {
        operation,
        reason: format!("the event time {text:?} is not between the years -9999 and 9999"),
    })
}
