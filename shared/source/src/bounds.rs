//! The first and the last event time, exact (an aggregation would give them as floating point numbers).

use crate::Source;
use crate::error::SourceError;
use crate::fields::TimeResolution;
use crate::query::{self, Completeness, Order, SearchBody};
use crate::reach::Reach;
use crate::stretch::stretches;
use granary_domain::TimeRange;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

const OPERATION: &str = "read the first and the last event time";

#[derive(Deserialize)]
struct EdgeAnswer {
    #[serde(flatten)]
    completeness: Completeness,
    hits: EdgeHits,
}

#[derive(Deserialize)]
struct EdgeHits {
    hits: Vec<EdgeHit>,
}

#[derive(Deserialize)]
struct EdgeHit {
    sort: (String,),
}

impl Source {
    /// The first and the last event time of a range, to the millisecond. `None`: there is no message in it.
    pub async fn bounds(
        &self,
        range: TimeRange,
        filter: Option<&Value>,
    ) -> Result<Option<(Timestamp, Timestamp)>, SourceError> {
        let survey = self.surveyed().await?;
        let reach = survey.reach();
        let resolution = self.time_resolution(reach).await?;
        let edge = |order| self.edge(reach, resolution, order, range, filter);
        let Some(first) = edge(Order::Asc).await? else {
            return Ok(None);
        };
        let last = edge(Order::Desc).await?;
        Ok(last.map(|last| (first, last)))
    }

    /// The first event time of a range, to the millisecond. `None`: there is no message in it.
    pub async fn first_event(
        &self,
        range: TimeRange,
        filter: Option<&Value>,
    ) -> Result<Option<Timestamp>, SourceError> {
        let survey = self.surveyed().await?;
        let reach = survey.reach();
        let resolution = self.time_resolution(reach).await?;
        self.edge(reach, resolution, Order::Asc, range, filter).await
    }

    async fn edge(
        &self,
        reach: &Reach,
        resolution: TimeResolution,
        order: Order,
        range: TimeRange,
        filter: Option<&Value>,
    ) -> Result<Option<Timestamp>, SourceError> {
        let mut stretches = stretches(range, resolution);
        if order == Order::Desc {
            stretches.reverse();
        }
        for stretch in stretches {
            let settings = self.settings();
            let body = SearchBody {
                size: 1,
                sort: json!([query::by_time(settings, resolution, order)]),
                ..SearchBody::of(query::messages(settings, reach.only(), &stretch, filter))
            };
            let answer: EdgeAnswer = self.search_in(reach, stretch.zone, OPERATION, &body).await?;
            answer.completeness.require_in(stretch.zone, OPERATION)?;
            if let Some(hit) = answer.hits.hits.into_iter().next() {
                return query::parse_time(OPERATION, &hit.sort.0).map(Some);
            }
        }
        Ok(None)
    }
}
