//! Pages of ids: what a harvest and a verification read. Never `_source`.

use crate::error::SourceError;
use crate::fields::TimeResolution;
use crate::hit_fields::{HitFields, only};
use crate::pit::{KEEP_ALIVE, PointInTime};
use crate::query::{self, Completeness, DocValues, Order, PitBody, SearchBody};
use crate::stretch::{Stretch, Zone, stretches};
use crate::wire::{Call, CallBody};
use crate::{Source, settings::SourceSettings};
use bytes::Bytes;
use elasticsearch::http::Method;
use granary_domain::{MessageId, ROUTING_BYTES_MAX, TimeRange};
use jiff::Timestamp;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::sync::Arc;

const READ_PAGE: &str = "read a page of ids";
const COUNT: &str = "count messages";

/// What one page is asked for.
#[derive(Debug, Clone, Copy)]
pub struct PageRequest<'a> {
    /// The view to read.
    pub pit: &'a PointInTime,
    /// The event times, half-open.
    pub range: TimeRange,
    /// Query DSL besides the source's own filter.
    pub filter: Option<&'a Value>,
    /// Where the page begins.
    pub position: &'a Position,
    /// How many hits it has at most: 1 to 10,000, or fewer where `index.max_result_window` is smaller.
    pub size: u32,
}

/// Where a page begins. It can be put on record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Position {
    /// At the start of the range.
    Start,
    /// After a hit of the same point in time.
    After(SortValues),
}

/// The sort values of a hit, as Elasticsearch wrote them: a JSON array. They never go through a number type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SortValues {
    zone: Zone,
    values: String,
}

/// One page of ids.
#[derive(Debug)]
pub struct IdPage {
    /// The view under its newest id.
    pub pit: PointInTime,
    /// The hits, by event time. An empty page is the end only if the count agrees.
    pub hits: Vec<Hit>,
    /// The last hit's sort values: where the next page begins.
    pub next: Option<SortValues>,
}

/// One document that the source showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// The message's id; absent where the document has none, more than one, an empty one or one of over 512 bytes, and
    /// where its routing is longer than 512 bytes.
    pub message_id: Option<MessageId>,
    /// The document's `_id` where it isn't the message's id.
    pub doc_id: Option<String>,
    /// The concrete index that holds the document. Shared by the hits of a page.
    pub index: Arc<str>,
    /// The routing of its own, if it has one.
    pub routing: Option<String>,
    /// The event time.
    pub event_time: Timestamp,
}

impl Source {
    /// One page of ids, by event time to the millisecond. An answer that isn't complete is an error.
    pub async fn page(&self, request: &PageRequest<'_>) -> Result<IdPage, SourceError> {
        let (zone, mut after) = match request.position {
            Position::After(SortValues { zone, values }) => (*zone, Some(raw(values)?)),
            Position::Start => (Zone::BeforeNanos, None),
        };
        let mut pit = request.pit.clone();
        let stretches = stretches(request.range, pit.resolution);
        for stretch in stretches.iter().filter(|stretch| stretch.zone >= zone) {
            let after = after.take().filter(|_| stretch.zone == zone);
            let page = self.page_of(request, &pit, stretch, after.as_deref()).await?;
            if page.next.is_some() {
                return Ok(page);
            }
            pit = page.pit;
        }
        Ok(IdPage {
            pit,
            hits: Vec::new(),
            next: None,
        })
    }

    async fn page_of(
        &self,
        request: &PageRequest<'_>,
        pit: &PointInTime,
        stretch: &Stretch,
        search_after: Option<&RawValue>,
    ) -> Result<IdPage, SourceError> {
        let settings = self.settings();
        let by_time = query::by_time(settings, pit.resolution, Order::Asc);
        let id = (!settings.id_is_doc_id()).then_some(DocValues {
            field: &settings.id_field,
            format: None,
        });
        let mut body = SearchBody {
            pit: Some(PitBody {
                id: &pit.id,
                keep_alive: KEEP_ALIVE,
            }),
            size: request.size.min(self.hits_max().hits()),
            sort: json!([by_time, {"_shard_doc": "asc"}]),
            search_after,
            stored_fields: settings.hits_are_bare().then_some("_none_"),
            docvalue_fields: id
                .into_iter()
                .chain(query::exact_time(settings, pit.resolution))
                .collect(),
            ..SearchBody::of(query::messages(
                settings,
                pit.only.as_deref(),
                stretch,
                request.filter,
            ))
        };
        let answer = loop {
            match self.search_view(READ_PAGE, pit, stretch.zone, &body).await {
                Err(error) if self.hits_max().shrinks_after(&error, body.size) => {
                    body.size = self.hits_max().hits();
                }
                answer => break answer?,
            }
        };
        read_page(&answer, settings, pit, stretch.zone)
    }

    /// How many messages of a range a point in time shows, exactly: the count of the pages' own query.
    pub async fn count(
        &self,
        pit: &PointInTime,
        range: TimeRange,
        filter: Option<&Value>,
    ) -> Result<u64, SourceError> {
        let mut counted = 0;
        for stretch in stretches(range, pit.resolution) {
            counted += self.count_stretch(pit, &stretch, filter).await?;
        }
        Ok(counted)
    }

    async fn count_stretch(
        &self,
        pit: &PointInTime,
        stretch: &Stretch,
        filter: Option<&Value>,
    ) -> Result<u64, SourceError> {
        let body = SearchBody {
            pit: Some(PitBody {
                id: &pit.id,
                keep_alive: KEEP_ALIVE,
            }),
            track_total_hits: true,
            ..SearchBody::of(query::messages(
                self.settings(),
                pit.only.as_deref(),
                stretch,
                filter,
            ))
        };
        let answer = self.search_view(COUNT, pit, stretch.zone, &body).await?;
        let counted: Counted =
            serde_json::from_slice(&answer).map_err(|error| SourceError::malformed(COUNT, &error))?;
        counted.completeness.require_in(stretch.zone, COUNT)?;
        Ok(counted.hits.total.value)
    }

    /// Searches a point in time. An index that was deleted under it makes it a lost one: a new one shows what is left.
    async fn search_view(
        &self,
        operation: &'static str,
        pit: &PointInTime,
        zone: Zone,
        body: &SearchBody<'_>,
    ) -> Result<Bytes, SourceError> {
        let body = CallBody::json(operation, body)?;
        let call = Call {
            operation,
            method: Method::Post,
            path: "/_search",
            query: &zone.shards(pit.only.as_deref()),
            body,
        };
        match self.ask_in(zone, &call).await {
            Err(error) if error.is_unknown_index() => Err(SourceError::PitLost),
            answer => answer,
        }
    }
}

fn raw(values: &str) -> Result<Box<RawValue>, SourceError> {
    RawValue::from_string(values.to_owned()).map_err(|error| SourceError::malformed(READ_PAGE, &error))
}

fn read_page(
    answer: &[u8],
    settings: &SourceSettings,
    pit: &PointInTime,
    zone: Zone,
) -> Result<IdPage, SourceError> {
    let malformed = |error: serde_json::Error| SourceError::malformed(READ_PAGE, &error);
    let page: PageAnswer<'_> = serde_json::from_slice(answer).map_err(malformed)?;
    page.completeness.require_in(zone, READ_PAGE)?;
    let mut hits = Vec::with_capacity(page.hits.hits.len());
    let (mut indices, mut last) = (Indices::default(), None);
    for found in page.hits.hits {
        let event_time = event_time_of(settings, pit.resolution, &found)?;
        let index = indices.shared(&found.index);
        let routing_fits = |routing: &String| routing.len() <= ROUTING_BYTES_MAX;
        let (message_id, doc_id) = if found.routing.as_ref().is_none_or(routing_fits) {
            ids_of(settings, found.id, &found.fields)
        } else {
            (None, found.id)
        };
        hits.push(Hit {
            message_id,
            doc_id,
            index,
            routing: found.routing,
            event_time,
        });
        last = Some(found.sort);
    }
    let pit = pit.renamed(page.pit_id);
    let next = last.map(|sort| SortValues {
        zone,
        values: sort.get().to_owned(),
    });
    Ok(IdPage { pit, hits, next })
}

/// Of several times the earliest. Elasticsearch shows the last instant of `date_nanos` as `null`: there the sort has to do.
fn event_time_of(
    settings: &SourceSettings,
    resolution: TimeResolution,
    found: &FoundHit<'_>,
) -> Result<Timestamp, SourceError> {
    let exact = query::exact_time(settings, resolution)
        .and_then(|time| found.fields.values(time.field).first())
        .filter(|time| time.get().starts_with('"'));
    let malformed = |error: serde_json::Error| SourceError::malformed(READ_PAGE, &error);
    let time: Cow<'_, str> = match exact {
        Some(exact) => serde_json::from_str(exact.get()).map_err(malformed)?,
        None => {
            let (time, _): (Cow<'_, str>, IgnoredAny) =
                serde_json::from_str(found.sort.get()).map_err(malformed)?;
            time
        }
    };
    query::parse_time(READ_PAGE, &time)
}

/// The message's id, and the document's where it is another.
fn ids_of(
    settings: &SourceSettings,
    doc_id: Option<String>,
    fields: &HitFields<'_>,
) -> (Option<MessageId>, Option<String>) {
    if settings.id_is_doc_id() {
        return (doc_id.and_then(|id| MessageId::try_from(id).ok()), None);
    }
    let id = only(fields.values(&settings.id_field));
    let message_id = id.and_then(|id| MessageId::try_from(id).ok());
    let is_its_own = doc_id.as_deref() != message_id.as_ref().map(MessageId::as_str);
    (message_id, doc_id.filter(|_| is_its_own))
}

/// The names of indices in a page: few, and mostly the one before.
#[derive(Default)]
struct Indices {
    known: Vec<Arc<str>>,
}

impl Indices {
    fn shared(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.known.iter().find(|known| &***known == name) {
            return known.clone();
        }
        let new: Arc<str> = name.into();
        self.known.push(new.clone());
        new
    }
}

#[derive(Deserialize)]
struct PageAnswer<'a> {
    pit_id: Option<String>,
    #[serde(flatten)]
    completeness: Completeness,
    #[serde(borrow)]
    hits: FoundHits<'a>,
}

#[derive(Deserialize)]
struct FoundHits<'a> {
    #[serde(borrow)]
    hits: Vec<FoundHit<'a>>,
}

#[derive(Deserialize)]
struct FoundHit<'a> {
    #[serde(rename = "_index", borrow)]
    index: Cow<'a, str>,
    #[serde(rename = "_id")]
    id: Option<String>,
    #[serde(rename = "_routing")]
    routing: Option<String>,
    #[serde(borrow, default)]
    fields: HitFields<'a>,
    #[serde(borrow)]
    sort: &'a RawValue,
}

#[derive(Deserialize)]
struct Counted {
    #[serde(flatten)]
    completeness: Completeness,
    hits: CountedHits,
}

#[derive(Deserialize)]
struct CountedHits {
    total: Total,
}

#[derive(Deserialize)]
struct Total {
    value: u64,
}
