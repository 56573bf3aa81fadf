//! Looking for one message by its id: whether the source shows it now, and where.
//!
//! Not for exporting: a search sees what was refreshed, a second late at most, and reads no `_source`.

use crate::Source;
use crate::error::SourceError;
use crate::query::{Completeness, TIME_FORMAT};
use granary_domain::{MessageId, TimeRange};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const OPERATION: &str = "look for a message";

/// A message that the source shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownMessage {
    /// The concrete index.
    pub index: String,
    /// The document's `_id`.
    pub doc_id: String,
    /// Its event time; `None`: it has none that can be read, and is in no window.
    pub event_time: Option<ShownTime>,
}

/// The event time that a document shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShownTime {
    /// An instant that a window can hold.
    At(Timestamp),
    /// One that lies before the year 1 or after the year 9999, as Elasticsearch writes it: no window can hold it.
    Beyond(String),
}

impl ShownTime {
    fn of(text: &str) -> Self {
        let instant = text.parse().ok();
        match instant.filter(|instant| TimeRange::EVER.contains(*instant)) {
            Some(instant) => Self::At(instant),
            None => Self::Beyond(text.to_owned()),
        }
    }
}

#[derive(Deserialize)]
struct Answer {
    #[serde(flatten)]
    completeness: Completeness,
    hits: Hits,
}

#[derive(Deserialize)]
struct Hits {
    hits: Vec<Hit>,
}

#[derive(Deserialize)]
struct Hit {
    #[serde(rename = "_index")]
    index: String,
    #[serde(rename = "_id")]
    id: String,
    #[serde(default)]
    fields: BTreeMap<String, Vec<Value>>,
}

impl Source {
    /// The message with this id, as the source shows it now, if it does. One search.
    pub async fn find_message(&self, id: &MessageId) -> Result<Option<ShownMessage>, SourceError> {
        let settings = self.settings();
        let wanted = self.filter_of_ids(std::slice::from_ref(id));
        let filters: Vec<&Value> = [Some(&wanted), settings.filter.as_ref()]
            .into_iter()
            .flatten()
            .collect();
        let body = json!({
            "size": 1, "_source": false, "track_total_hits": false, "query": {"bool": {"filter": filters}},
            "docvalue_fields": [{"field": settings.time_field, "format": TIME_FORMAT}],
        });
        let answer: Answer = match self.search(OPERATION, &body).await {
            Err(error) if error.is_unknown_index() => return Ok(None),
            answer => answer?,
        };
        answer.completeness.require(OPERATION)?;
        Ok(answer.hits.hits.into_iter().next().map(|hit| ShownMessage {
            event_time: hit
                .fields
                .get(&settings.time_field)
                .and_then(|times| times.first()?.as_str())
                .map(ShownTime::of),
            index: hit.index,
            doc_id: hit.id,
        }))
    }
}
