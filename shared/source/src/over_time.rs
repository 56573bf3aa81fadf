//! How many messages there are over time: what a migration would find, hour by hour, without reading an id.
//!
//! One search, whatever their number. A document with several event times is counted under each of them, so that sums are
//! an estimate for such sources; the harvest counts exactly.

use crate::Source;
use crate::error::SourceError;
use crate::query::{self, Completeness, SearchBody};
use crate::reach::Reach;
use crate::stretch::{Stretch, stretches};
use granary_domain::TimeRange;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

const OPERATION: &str = "count messages over time";
/// Below what Elasticsearch allows in one answer (`search.max_buckets`: 65,536).
const SPANS_MAX: i64 = 50_000;

/// How finely time is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// UTC hours.
    Hour,
    /// UTC days, where a range has too many hours for one answer.
    Day,
}

impl Span {
    /// The finest that a range can be cut into.
    pub fn finest_for(range: TimeRange) -> Self {
        let hours = (range.to().as_second() - range.from().as_second()) / Self::Hour.secs();
        if hours < SPANS_MAX { Self::Hour } else { Self::Day }
    }

    fn secs(self) -> i64 {
        match self {
            Self::Hour => 3_600,
            Self::Day => 86_400,
        }
    }

    fn interval(self) -> &'static str {
        match self {
            Self::Hour => "1h",
            Self::Day => "1d",
        }
    }

    /// The first instant of the span that an instant lies in.
    pub fn start_of(self, instant: Timestamp) -> Timestamp {
        let seconds = instant.as_nanosecond().div_euclid(1_000_000_000) as i64;
        Timestamp::from_second(seconds - seconds.rem_euclid(self.secs())).unwrap_or(instant)
    }
}

/// A span of time that has messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CountedSpan {
    /// Its first instant.
    pub from: Timestamp,
    /// Messages in it, as far as it lies in the range that was asked for.
    pub messages: u64,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(flatten)]
    completeness: Completeness,
    // An answer of no shard at all has none.
    #[serde(default)]
    aggregations: Aggregations,
}

#[derive(Deserialize, Default)]
struct Aggregations {
    spans: Spans,
}

#[derive(Deserialize, Default)]
struct Spans {
    buckets: Vec<Bucket>,
}

#[derive(Deserialize)]
struct Bucket {
    /// Milliseconds since 1970.
    key: i64,
    doc_count: u64,
}

impl Source {
    /// How many messages of a range there are in each span that has any, in order of time.
    pub async fn count_over_time(
        &self,
        range: TimeRange,
        filter: Option<&Value>,
        span: Span,
    ) -> Result<Vec<CountedSpan>, SourceError> {
        let mut spans = Vec::new();
        let survey = self.surveyed().await?;
        let reach = survey.reach();
        for stretch in stretches(range, self.time_resolution(reach).await?) {
            spans.extend(self.spans_of(reach, &stretch, filter, span).await?);
        }
        // The last span of a stretch may be the first of the next one.
        spans.dedup_by(|next, last| {
            let is_one = next.key == last.key;
            last.doc_count += if is_one { next.doc_count } else { 0 };
            is_one
        });
        Ok(spans
            .into_iter()
            .filter_map(|bucket| counted(bucket, range, span))
            .collect())
    }

    async fn spans_of(
        &self,
        reach: &Reach,
        stretch: &Stretch,
        filter: Option<&Value>,
        span: Span,
    ) -> Result<Vec<Bucket>, SourceError> {
        let settings = self.settings();
        let histogram = json!({
            "field": settings.time_field, "fixed_interval": span.interval(), "min_doc_count": 1,
        });
        let body = SearchBody {
            aggs: json!({"spans": {"date_histogram": histogram}}),
            ..SearchBody::of(query::messages(settings, reach.only(), stretch, filter))
        };
        let answer: Answer = self.search_in(reach, stretch.zone, OPERATION, &body).await?;
        answer.completeness.require_in(stretch.zone, OPERATION)?;
        Ok(answer.aggregations.spans.buckets)
    }
}

/// Other times of documents that have several may lie outside of the range.
fn counted(bucket: Bucket, range: TimeRange, span: Span) -> Option<CountedSpan> {
    let from = Timestamp::from_millisecond(bucket.key).ok()?;
    let to = from.checked_add(SignedDuration::from_secs(span.secs())).ok()?;
    (from < range.to() && to > range.from()).then_some(CountedSpan {
        from,
        messages: bucket.doc_count,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(from: &str, to: &str) -> TimeRange {
        TimeRange::new(from.parse().unwrap(), to.parse().unwrap()).unwrap()
    }

    #[test]
    fn a_range_of_too_many_hours_is_cut_into_days() {
        let year = range("2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z");
        assert_eq!(Span::finest_for(year), Span::Hour);
        let century = range("1926-01-01T00:00:00Z", "2026-01-01T00:00:00Z");
        assert_eq!(Span::finest_for(century), Span::Day);
    }

    #[test]
    fn a_span_begins_on_the_hour_or_at_midnight_before_1970_too() {
        let instant: Timestamp = "1969-12-31T23:59:59.5Z".parse().unwrap();
        assert_eq!(Span::Hour.start_of(instant).to_string(), "1969-12-31T23:00:00Z");
        assert_eq!(Span::Day.start_of(instant).to_string(), "1969-12-31T00:00:00Z");
    }

    #[test]
    fn another_time_of_a_document_that_lies_outside_is_left_out() {
        let range = range("2026-01-01T10:30:00Z", "2026-01-01T12:00:00Z");
        let hour = |text: &str| {
            let at: Timestamp = text.parse().unwrap();
            let bucket = Bucket {
                key: at.as_millisecond(),
                doc_count: 1,
            };
            counted(bucket, range, Span::Hour).is_some()
        };
        assert!(!hour("2026-01-01T09:00:00Z"));
        assert!(hour("2026-01-01T10:00:00Z") && hour("2026-01-01T11:00:00Z"));
        assert!(!hour("2026-01-01T12:00:00Z"));
    }
}
