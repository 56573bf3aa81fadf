//! Looking for messages that are not where they were seen: one search by ids through the whole source.
//!
//! It proves something only if every shard answered and no cluster was left out; else it is an error. A search sees what
//! was refreshed, a get what was written: so a place that a search shows has to be read before it is believed.

use crate::Source;
use crate::documents::DocumentRef;
use crate::error::SourceError;
use crate::hit_fields::HitFields;
use crate::query::{ALL_SHARDS, Completeness};
use crate::wire::{Call, CallBody};
use elasticsearch::SearchParts;
use elasticsearch::http::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::HashMap;

const OPERATION: &str = "search for messages that are not in their index";
/// Ids in one search. A message may lie in several indices; where these are more than an answer shows, fewer ids are asked for.
const IDS_MAX: usize = 250;
const HITS_MAX: u32 = 500;
/// Hidden indices as well: a message that was moved into one isn't missing.
const EVERYWHERE: [(&str, &str); 2] = [ALL_SHARDS[0], ("expand_wildcards", "open,hidden")];

/// Where a search shows messages.
pub(crate) enum Shown {
    /// By the message's id; those that aren't shown are absent.
    Places(HashMap<String, Vec<Place>>),
    /// The source stands for no index: that nothing is shown says little.
    NoIndex,
}

/// Where a document lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The concrete index.
    pub index: String,
    /// Its `_id`.
    pub doc_id: String,
    /// Its routing, if it has one of its own.
    pub routing: Option<String>,
}

impl Shown {
    /// Where a message lies besides the place that was asked already.
    pub(crate) fn place_of(&self, wanted: &DocumentRef<'_>) -> Option<&Place> {
        let Self::Places(places) = self else { return None };
        let was_asked = |place: &Place| {
            place.index == wanted.index
                && place.doc_id == wanted.doc_id
                && place.routing.as_deref() == wanted.routing
        };
        places
            .get(wanted.message_id)?
            .iter()
            .find(|place| !was_asked(place))
    }
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(flatten)]
    completeness: Completeness,
    #[serde(borrow)]
    hits: Hits<'a>,
}

#[derive(Deserialize)]
struct Hits<'a> {
    total: Total,
    #[serde(borrow)]
    hits: Vec<Hit<'a>>,
}

#[derive(Deserialize)]
struct Total {
    value: usize,
}

#[derive(Deserialize)]
struct Hit<'a> {
    #[serde(rename = "_index")]
    index: String,
    #[serde(rename = "_id")]
    id: String,
    #[serde(rename = "_routing")]
    routing: Option<String>,
    #[serde(borrow, default)]
    fields: HitFields<'a>,
}

impl Source {
    /// Searches for messages by their ids.
    pub(crate) async fn search_for(&self, lost: &[DocumentRef<'_>]) -> Result<Shown, SourceError> {
        let mut places: HashMap<String, Vec<Place>> = HashMap::new();
        let mut open: Vec<&[DocumentRef<'_>]> = lost.chunks(IDS_MAX).collect();
        while let Some(some) = open.pop() {
            let Some(answer) = self.search_by_ids(some).await? else {
                return Ok(Shown::NoIndex);
            };
            let page: Answer<'_> =
                serde_json::from_slice(&answer).map_err(|error| SourceError::malformed(OPERATION, &error))?;
            page.completeness.require(OPERATION)?;
            if page.completeness.is_of_nothing() {
                return Ok(Shown::NoIndex);
            }
            if page.hits.total.value > page.hits.hits.len() && some.len() > 1 {
                open.extend(some.chunks(some.len().div_ceil(2)));
                continue;
            }
            for hit in page.hits.hits {
                self.note(hit, some, &mut places)?;
            }
        }
        Ok(Shown::Places(places))
    }

    /// `None`: the source's name stands for no index.
    async fn search_by_ids(&self, lost: &[DocumentRef<'_>]) -> Result<Option<bytes::Bytes>, SourceError> {
        let settings = self.settings();
        let ids: Vec<&str> = lost.iter().map(|wanted| wanted.message_id).collect();
        let wanted = json!({"terms": {&settings.id_field: ids}});
        let filters: Vec<&Value> = [Some(&wanted), settings.filter.as_ref()]
            .into_iter()
            .flatten()
            .collect();
        let mut body = json!({
            "_source": false, "track_total_hits": true, "query": {"bool": {"filter": filters}},
        });
        if !settings.id_is_doc_id() {
            body["docvalue_fields"] = json!([settings.id_field]);
        }
        match self
            .search_some(OPERATION, &settings.index, &EVERYWHERE, HITS_MAX, body)
            .await
        {
            // Of a list, one name stands for no index and the others weren't searched.
            Err(error) if error.is_unknown_index() && !settings.index.contains([',', ':']) => Ok(None),
            answer => answer.map(Some),
        }
    }

    /// A search for a bounded number of hits, or for fewer where an index allows no more.
    pub(crate) async fn search_some(
        &self,
        operation: &'static str,
        index: &str,
        query: &[(&str, &str)],
        hits: u32,
        mut body: Value,
    ) -> Result<bytes::Bytes, SourceError> {
        let path = SearchParts::Index(&[index]).url();
        loop {
            let size = self.hits_max().at_most(hits);
            body["size"] = json!(size);
            let call = Call {
                operation,
                method: Method::Post,
                path: &path,
                query,
                body: CallBody::json(operation, &body)?,
            };
            match self.wire().ask(&call).await {
                Err(error) if self.hits_max().shrinks_after(&error, size) => {}
                answer => return answer,
            }
        }
    }

    /// Notes where a hit lies, for each message that it is. One that is none of those that were asked for would be lost
    /// without a word.
    fn note(
        &self,
        hit: Hit<'_>,
        asked_for: &[DocumentRef<'_>],
        places: &mut HashMap<String, Vec<Place>>,
    ) -> Result<(), SourceError> {
        let shown = if self.settings().id_is_doc_id() {
            vec![hit.id.clone()]
        } else {
            hit.fields.texts()
        };
        let place = Place {
            index: hit.index,
            doc_id: hit.id,
            routing: hit.routing,
        };
        let mut is_one = false;
        for id in shown {
            if asked_for.iter().any(|wanted| wanted.message_id == id) {
                is_one = true;
                places.entry(id).or_default().push(place.clone());
            }
        }
        if is_one {
            return Ok(());
        }
        Err(SourceError::Refused {
            operation: OPERATION,
            status: 200,
            reason: format!(
                "a document in {} is found by an id that it doesn't show: the field {:?} is mapped there in another way",
                place.index,
                self.settings().id_field
            ),
        })
    }
}
