//! Documents of the source that lie outside a range, whatever the reason: without an event time, before it, after it.

use crate::Source;
use crate::error::SourceError;
use crate::query::{self, Completeness, SearchBody};
use granary_domain::TimeRange;
use serde::Deserialize;
use serde_json::json;

const OPERATION: &str = "count documents outside a range";

#[derive(Deserialize)]
struct Answer {
    #[serde(flatten)]
    completeness: Completeness,
    hits: Hits,
}

#[derive(Deserialize)]
struct Hits {
    total: Total,
}

#[derive(Deserialize)]
struct Total {
    value: u64,
}

impl Source {
    /// How many documents, of those that match the source's filter, no window of the range can hold. One search.
    pub async fn count_outside(&self, range: TimeRange) -> Result<u64, SourceError> {
        let settings = self.settings();
        let inside = query::messages(settings, Some(range.into()), None);
        let filters: Vec<_> = settings.filter.iter().collect();
        let body = SearchBody {
            track_total_hits: true,
            ..SearchBody::of(json!({"bool": {"filter": filters, "must_not": [inside]}}))
        };
        let answer: Answer = self.search(OPERATION, &body).await?;
        answer.completeness.require(OPERATION)?;
        Ok(answer.hits.total.value)
    }
}
