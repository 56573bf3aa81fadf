//! Documents that are in no range, since they have no event time that can be read: counted, so that they are never
//! silently absent. Which ones they are is for a search by whoever mends them.

use crate::Source;
use crate::error::SourceError;
use crate::query::{self, Completeness, SearchBody};
use serde::Deserialize;
use serde_json::json;

const OPERATION: &str = "count documents without an event time";

/// Documents of the source that are in no range.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WithoutTime {
    /// Without an event time that can be read.
    pub documents: u64,
    /// Of those, the ones that have something in its place that isn't one, and that the index was told to ignore
    /// (`ignore_malformed`).
    pub malformed: u64,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(flatten)]
    completeness: Completeness,
    hits: Hits,
    // An answer of no shard at all has none.
    #[serde(default)]
    aggregations: Aggregations,
}

#[derive(Deserialize)]
struct Hits {
    total: Total,
}

#[derive(Deserialize)]
struct Total {
    value: u64,
}

#[derive(Deserialize, Default)]
struct Aggregations {
    malformed: Bucket,
}

#[derive(Deserialize, Default)]
struct Bucket {
    doc_count: u64,
}

impl Source {
    /// How many messages have no event time that can be read. One search, whatever their number.
    pub async fn count_without_time(&self) -> Result<WithoutTime, SourceError> {
        let settings = self.settings();
        let body = SearchBody {
            track_total_hits: true,
            aggs: json!({"malformed": {"filter": {"term": {"_ignored": settings.time_field}}}}),
            ..SearchBody::of(query::messages_without_time(settings))
        };
        let answer: Answer = self.search(OPERATION, &body).await?;
        answer.completeness.require(OPERATION)?;
        Ok(WithoutTime {
            documents: answer.hits.total.value,
            malformed: answer.aggregations.malformed.doc_count,
        })
    }
}
