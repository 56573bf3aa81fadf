//! Proving that a document is the message that was asked for: its id field holds the message's id.
//!
//! `_source` shows it in most cases. Where it doesn't (a normalizer, `copy_to`, an alias field, another document), the
//! document's own doc values decide, as they did when it was harvested; but only those of the very state that was read.

use crate::Source;
use crate::answered::{Read, State};
use crate::documents::{Absence, Document, DocumentRef, Extent};
use crate::error::SourceError;
use crate::hit_fields::HitFields;
use crate::query::{ALL_SHARDS, Completeness};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::json;
use std::collections::BTreeMap;
use std::fmt;

const OPERATION: &str = "read the ids of documents";
const IDS_MAX: usize = 250;
/// Twice as many: documents of one `_id` may lie in several shards.
const HITS_MAX: u32 = 500;

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
    #[serde(rename = "_id")]
    id: String,
    #[serde(rename = "_seq_no")]
    seq_no: u64,
    #[serde(rename = "_primary_term")]
    primary_term: u64,
    #[serde(borrow, default)]
    fields: HitFields<'a>,
}

/// The state of a document that a search shows, and its ids.
type Indexed = (State, Vec<String>);

impl Source {
    /// Whether `_source` itself shows that it is a message's. `false`: other fields of the document may.
    pub fn shows_id(&self, source: &[u8], message_id: &str) -> bool {
        let settings = self.settings();
        settings.id_is_doc_id() || shows(source, &settings.id_field, message_id)
    }

    /// Makes each document that was found a proved one, an absent one, or one that is awaited.
    pub(crate) async fn prove_identity(
        &self,
        wanted: &[DocumentRef<'_>],
        read: Vec<Read>,
        extent: Extent,
    ) -> Result<Vec<Read>, SourceError> {
        let field = &self.settings().id_field;
        let mut read: Vec<Read> = read
            .into_iter()
            .zip(wanted)
            .map(|(read, wanted)| match read {
                Read::Found(content) => {
                    if extent == Extent::Whole && shows(&content.source, field, wanted.message_id) {
                        Read::Found(content)
                    } else {
                        Read::Unproved(content)
                    }
                }
                read @ (Read::Unproved(_)
                | Read::Absent(_)
                | Read::Unaddressable { .. }
                | Read::Judged(_)) => read,
            })
            .collect();
        let mut by_index: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (at, (read, wanted)) in read.iter().zip(wanted).enumerate() {
            if let Read::Unproved(content) = read {
                let index = content.place.as_ref().map_or(wanted.index, |place| &place.index);
                by_index.entry(index.to_owned()).or_default().push(at);
            }
        }
        for (index, places) in by_index {
            let mut open: Vec<&[usize]> = places.chunks(IDS_MAX).collect();
            while let Some(places) = open.pop() {
                let doc_ids: Vec<&str> = places.iter().map(|at| wanted[*at].doc_id).collect();
                let Some(shown) = self.ids_shown(&index, &doc_ids).await? else {
                    open.extend(places.chunks(places.len().div_ceil(2)));
                    continue;
                };
                for at in places {
                    let indexed = shown.get(wanted[*at].doc_id).map_or(&[][..], Vec::as_slice);
                    let unproved = std::mem::replace(&mut read[*at], Read::Absent(Absence::Replaced));
                    read[*at] = decided(unproved, indexed, wanted[*at].message_id);
                }
            }
        }
        Ok(read)
    }

    /// The ids that documents of one index have, by their `_id`. `None`: there are more than one answer shows.
    async fn ids_shown(
        &self,
        index: &str,
        doc_ids: &[&str],
    ) -> Result<Option<BTreeMap<String, Vec<Indexed>>>, SourceError> {
        let body = json!({
            "_source": false, "track_total_hits": true, "seq_no_primary_term": true, "query": {"ids": {"values": doc_ids}},
            "docvalue_fields": [self.settings().id_field],
        });
        let answer = self
            .search_some(OPERATION, index, &ALL_SHARDS, HITS_MAX, body)
            .await?;
        let answer: Answer<'_> =
            serde_json::from_slice(&answer).map_err(|error| SourceError::malformed(OPERATION, &error))?;
        answer.completeness.require(OPERATION)?;
        if answer.hits.total.value > answer.hits.hits.len() && doc_ids.len() > 1 {
            return Ok(None);
        }
        let mut shown: BTreeMap<String, Vec<Indexed>> = BTreeMap::new();
        for hit in answer.hits.hits {
            let state = State {
                seq_no: hit.seq_no,
                primary_term: hit.primary_term,
            };
            shown.entry(hit.id).or_default().push((state, hit.fields.texts()));
        }
        Ok(Some(shown))
    }
}

/// The verdict on a document whose `_source` doesn't show the id, by what the index says of the same state.
fn decided(unproved: Read, indexed: &[Indexed], message_id: &str) -> Read {
    let Read::Unproved(content) = unproved else {
        return unproved;
    };
    let mut same_state = indexed
        .iter()
        .filter(|(state, _)| *state == content.state)
        .peekable();
    if same_state.peek().is_none() {
        return Read::Judged(Document::Unavailable {
            reason: "it was changed, and a search doesn't show its newest state yet".to_owned(),
        });
    }
    if same_state.any(|(_, ids)| ids.iter().any(|id| id == message_id)) {
        Read::Found(content)
    } else {
        Read::Absent(Absence::Replaced)
    }
}

/// Whether `_source` shows an id in a field, as a text or as the digits of a number. `false`: it can't be told from
/// `_source`.
fn shows(source: &[u8], field: &str, id: &str) -> bool {
    let mut json = serde_json::Deserializer::from_slice(source);
    let search = Search { path: field, id };
    search.deserialize(&mut json).unwrap_or(false)
}

/// Looks for an id at a path of field names. Names may hold dots, values may stand in lists, and the path's last
/// names may be those of a multi-field (`id.keyword`), whose value stands one name before.
#[derive(Clone, Copy)]
struct Search<'a> {
    path: &'a str,
    id: &'a str,
}

impl Search<'_> {
    /// What is left to look for below a key; `None`: nothing.
    fn below(&self, key: &str) -> Option<Self> {
        let rest = self.path.strip_prefix(key)?;
        let path = if rest.is_empty() {
            rest
        } else {
            rest.strip_prefix('.')?
        };
        Some(Self { path, ..*self })
    }
}

impl<'de> DeserializeSeed<'de> for Search<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Search<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a document")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        let mut is_shown = false;
        while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            match self.below(&key) {
                Some(search) => is_shown |= map.next_value_seed(search)?,
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(is_shown)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<bool, A::Error> {
        let mut is_shown = false;
        while let Some(found) = list.next_element_seed(self)? {
            is_shown |= found;
        }
        Ok(is_shown)
    }

    fn visit_str<E>(self, text: &str) -> Result<bool, E> {
        Ok(text == self.id)
    }

    fn visit_u64<E>(self, number: u64) -> Result<bool, E> {
        Ok(self.id.parse() == Ok(number) && number.to_string() == self.id)
    }

    fn visit_i64<E>(self, number: i64) -> Result<bool, E> {
        Ok(number.to_string() == self.id)
    }

    fn visit_f64<E>(self, _: f64) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_bool<E>(self, _: bool) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_unit<E>(self) -> Result<bool, E> {
        Ok(false)
    }
}
