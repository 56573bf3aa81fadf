//! Documents that lie outside of a range: they have no event time that can be read, or one before it or after it. They are
//! counted, so that they are never silently absent. Which ones they are, a search shows.

use crate::Source;
use crate::error::SourceError;
use crate::query::{self, Completeness, SearchBody};
use crate::reach::Reach;
use crate::stretch::{Stretch, Zone, stretches_before, stretches_since};
use granary_domain::TimeRange;
use serde::Deserialize;
use serde_json::{Value, json};

const OPERATION: &str = "count documents outside of a range";

/// Documents of the source that lie outside of a range.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outside {
    /// Without an event time that can be read.
    pub without_time: u64,
    /// Of those, the ones that have something in its place that isn't one, and that the index was told to ignore
    /// (`ignore_malformed`).
    pub malformed: u64,
    /// With an event time before the range.
    pub before: u64,
    /// With an event time after it.
    pub after: u64,
}

impl Outside {
    /// All of them.
    pub fn documents(&self) -> u64 {
        self.without_time + self.before + self.after
    }
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
    #[serde(default)]
    malformed: Bucket,
}

#[derive(Deserialize, Default)]
struct Bucket {
    doc_count: u64,
}

impl Source {
    /// How many documents `GRANARY_SOURCE_FILTER` leaves out, whatever their event time.
    pub async fn count_filtered_out(&self) -> Result<u64, SourceError> {
        let Some(filter) = &self.settings().filter else {
            return Ok(0);
        };
        let survey = self.surveyed().await?;
        let reach = survey.reach();
        let indices: Vec<Value> = query::of_indices(reach.only()).into_iter().collect();
        let left_out = json!({"bool": {"filter": indices, "must_not": [filter]}});
        let answer = self
            .count_all(reach, Zone::Everywhere, left_out, Value::Null)
            .await?;
        Ok(answer.hits.total.value)
    }

    /// How many documents, of those that match the source's filter, lie outside of a range. A few searches, whatever their
    /// number.
    pub async fn count_outside(&self, range: TimeRange) -> Result<Outside, SourceError> {
        let settings = self.settings();
        let survey = self.surveyed().await?;
        let reach = survey.reach();
        let malformed = json!({"malformed": {"filter": {"terms": {"_ignored": survey.time_names()}}}});
        let timeless = query::messages_without_time(settings, reach.only());
        let timeless = self
            .count_all(reach, Zone::Everywhere, timeless, malformed)
            .await?;
        let resolution = self.time_resolution(reach).await?;
        Ok(Outside {
            without_time: timeless.hits.total.value,
            malformed: timeless.aggregations.malformed.doc_count,
            before: self
                .count_in(reach, stretches_before(range.from(), resolution))
                .await?,
            after: self
                .count_in(reach, stretches_since(range.to(), resolution))
                .await?,
        })
    }

    async fn count_in(&self, reach: &Reach, stretches: Vec<Stretch>) -> Result<u64, SourceError> {
        let mut counted = 0;
        for stretch in stretches {
            let query = query::messages(self.settings(), reach.only(), &stretch, None);
            let answer = self.count_all(reach, stretch.zone, query, Value::Null).await?;
            counted += answer.hits.total.value;
        }
        Ok(counted)
    }

    async fn count_all(
        &self,
        reach: &Reach,
        zone: Zone,
        query: Value,
        aggs: Value,
    ) -> Result<Answer, SourceError> {
        let body = SearchBody {
            track_total_hits: true,
            aggs,
            ..SearchBody::of(query)
        };
        let answer: Answer = self.search_in(reach, zone, OPERATION, &body).await?;
        answer.completeness.require_in(zone, OPERATION)?;
        Ok(answer)
    }
}
