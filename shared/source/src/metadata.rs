//! Related documents of many messages at once: their status, their history, whatever is joined to them by id.
//!
//! What fits into one search is read by one. More is paged through a point in time, so that no entry is skipped or
//! read twice, and counted at the end.

use crate::Source;
use crate::allowance::ByteAllowance;
use crate::error::SourceError;
use crate::page::{OnlyField, text_of};
use crate::pit::{self, KEEP_ALIVE};
use crate::query::{ALL_SHARDS, Completeness};
use crate::settings::DOC_ID_FIELD;
use crate::wire::{Call, CallBody};
use bytes::Bytes;
use elasticsearch::SearchParts;
use elasticsearch::http::Method;
use granary_domain::{MessageId, MetadataSource};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::collections::HashMap;

const OPERATION: &str = "read metadata";

/// The entries that one metadata source has for some messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Metadata {
    /// There is no such index: that nothing was found says nothing.
    IndexMissing,
    /// For each message, in the order in which they were asked for: the `_source` of its entries, byte for byte, in
    /// the source's order. At most one where a message has one.
    Found(Vec<Vec<Bytes>>),
}

/// A search for entries.
#[derive(Serialize)]
struct Search<'a> {
    size: u32,
    query: &'a Value,
    sort: Value,
    track_total_hits: bool,
    docvalue_fields: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pit: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    search_after: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Answer<'a> {
    pit_id: Option<String>,
    #[serde(flatten)]
    completeness: Completeness,
    #[serde(borrow)]
    hits: Hits<'a>,
}

impl Answer<'_> {
    fn total(&self) -> u64 {
        self.hits.total.as_ref().map_or(0, |total| total.value)
    }
}

#[derive(Deserialize)]
struct Hits<'a> {
    total: Option<Total>,
    #[serde(borrow)]
    hits: Vec<Entry<'a>>,
}

#[derive(Deserialize)]
struct Total {
    value: u64,
}

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(rename = "_id")]
    id: String,
    #[serde(rename = "_source", borrow)]
    source: Option<&'a RawValue>,
    #[serde(borrow, default)]
    fields: OnlyField<'a>,
    #[serde(borrow)]
    sort: &'a RawValue,
}

/// The entries read so far, and to which message they belong.
struct Collected<'a> {
    places: HashMap<&'a str, usize>,
    entries: Vec<Vec<Bytes>>,
    is_keyed_by_doc_id: bool,
    many: bool,
    read: u64,
}

impl Source {
    /// Reads what a metadata source has for messages (distinct ids). Answers that do not fit into the
    /// allowance are abandoned: ask for fewer messages then.
    pub async fn metadata(
        &self,
        from: &MetadataSource,
        ids: &[&MessageId],
        allowance: &ByteAllowance,
    ) -> Result<Metadata, SourceError> {
        let query = json!({"bool": {"filter": [{"terms": {&from.key: ids}}]}});
        let path = SearchParts::Index(&[&from.index]).url();
        let mut collected = Collected::new(from, ids);
        let mut first = search(from, &query);
        let answer = match self.search_metadata(&path, &mut first, allowance).await {
            Err(error) if error.is_unknown_index() => return Ok(Metadata::IndexMissing),
            answer => answer?,
        };
        match collected.add_only_page(&answer, first.size)? {
            OnlyPage::OfNoIndex => return Ok(Metadata::IndexMissing),
            OnlyPage::Whole { total } => return collected.all_of(total),
            OnlyPage::TooMany => {
                allowance.give_back(answer.len() as u64);
                drop(answer);
            }
        }
        let pit_id = pit::open(self.wire(), &from.index).await?;
        let (pit_id, collected) = self
            .page_metadata(pit_id, from, (&query, allowance), collected)
            .await;
        let closed = pit::close(self.wire(), &pit_id).await;
        if let Err(error) = closed {
            tracing::debug!(%error, "a point in time is left to expire");
        }
        collected
    }

    /// Pages to the end. Gives the newest id of the point in time back in any case.
    async fn page_metadata(
        &self,
        mut pit_id: String,
        from: &MetadataSource,
        (query, allowance): (&Value, &ByteAllowance),
        mut collected: Collected<'_>,
    ) -> (String, Result<Metadata, SourceError>) {
        let mut after: Option<Box<RawValue>> = None;
        loop {
            let mut search = search(from, query);
            search.pit = Some(json!({"id": pit_id, "keep_alive": KEEP_ALIVE}));
            if let Some(tie_break) = search.sort.as_array_mut() {
                tie_break.push(json!({"_shard_doc": "asc"}));
            }
            search.search_after = after.as_deref();
            let step = match self.search_metadata("/_search", &mut search, allowance).await {
                Ok(answer) => collected.add_page(&answer, &mut pit_id),
                Err(error) => Err(error),
            };
            match step {
                Ok(Step::Next(sort)) => after = Some(sort),
                Ok(Step::End { total }) => return (pit_id, collected.all_of(total)),
                Err(error) => return (pit_id, Err(error)),
            }
        }
    }

    async fn search_metadata(
        &self,
        path: &str,
        search: &mut Search<'_>,
        allowance: &ByteAllowance,
    ) -> Result<Bytes, SourceError> {
        loop {
            search.size = self.hits_max().hits();
            let call = Call {
                operation: OPERATION,
                method: Method::Post,
                path,
                query: &ALL_SHARDS,
                body: CallBody::json(OPERATION, search)?,
            };
            match self.wire().ask_within(&call, allowance).await {
                Err(error) if self.hits_max().shrinks_after(&error, search.size) => {}
                answer => return answer,
            }
        }
    }
}

/// What a search without a point in time brought.
enum OnlyPage {
    OfNoIndex,
    Whole { total: u64 },
    TooMany,
}

/// Where a reading by pages stands.
enum Step {
    Next(Box<RawValue>),
    End { total: u64 },
}

impl<'a> Collected<'a> {
    fn new(from: &MetadataSource, ids: &[&'a MessageId]) -> Self {
        Self {
            places: ids
                .iter()
                .enumerate()
                .map(|(place, id)| (id.as_str(), place))
                .collect(),
            entries: vec![Vec::new(); ids.len()],
            is_keyed_by_doc_id: from.key == DOC_ID_FIELD,
            many: from.many,
            read: 0,
        }
    }

    /// Takes the entries if they are all there are.
    fn add_only_page(&mut self, answer: &Bytes, size: u32) -> Result<OnlyPage, SourceError> {
        let page = read(answer)?;
        if page.completeness.is_of_nothing() {
            return Ok(OnlyPage::OfNoIndex);
        }
        let total = page.total();
        if total > u64::from(size) {
            return Ok(OnlyPage::TooMany);
        }
        self.add(&page, answer)?;
        Ok(OnlyPage::Whole { total })
    }

    fn add_page(&mut self, answer: &Bytes, pit_id: &mut String) -> Result<Step, SourceError> {
        let page = read(answer)?;
        self.add(&page, answer)?;
        let total = page.total();
        if let Some(newest) = page.pit_id {
            *pit_id = newest;
        }
        match page.hits.hits.last() {
            Some(last) if self.read < total => Ok(Step::Next(last.sort.to_owned())),
            Some(_) | None => Ok(Step::End { total }),
        }
    }

    fn add(&mut self, page: &Answer<'_>, answer: &Bytes) -> Result<(), SourceError> {
        page.completeness.require(OPERATION)?;
        for entry in &page.hits.hits {
            self.read += 1;
            let Some(source) = entry.source else {
                let reason = "an index of metadata doesn't keep `_source`".to_owned();
                return Err(SourceError::Malformed {
                    operation: OPERATION,
                    reason,
                });
            };
            let source = answer.slice_ref(source.get().as_bytes());
            if self.is_keyed_by_doc_id {
                self.give(&entry.id, &source);
            } else {
                entry
                    .fields
                    .values
                    .iter()
                    .filter_map(|key| text_of(key))
                    .for_each(|id| self.give(&id, &source));
            }
        }
        Ok(())
    }

    /// An entry that names several messages goes to each of them.
    fn give(&mut self, id: &str, source: &Bytes) {
        if let Some(place) = self.places.get(id)
            && (self.many || self.entries[*place].is_empty())
        {
            self.entries[*place].push(source.clone());
        }
    }

    /// The end, if as many entries were read as there are.
    fn all_of(self, total: u64) -> Result<Metadata, SourceError> {
        if self.read == total {
            return Ok(Metadata::Found(self.entries));
        }
        let reason = format!("{} of {total} entries were shown", self.read);
        Err(SourceError::Malformed {
            operation: OPERATION,
            reason,
        })
    }
}

/// A search without a place to begin. An index that hasn't seen an entry yet may not know the field to sort by.
fn search<'a>(from: &'a MetadataSource, query: &'a Value) -> Search<'a> {
    let sort = match &from.sort {
        Some(field) => json!([{field: {"order": "asc", "unmapped_type": "long"}}]),
        None => json!(["_doc"]),
    };
    let is_keyed_by_doc_id = from.key == DOC_ID_FIELD;
    let docvalue_fields = if is_keyed_by_doc_id {
        Vec::new()
    } else {
        vec![from.key.as_str()]
    };
    Search {
        size: 0,
        query,
        sort,
        track_total_hits: true,
        docvalue_fields,
        pit: None,
        search_after: None,
    }
}

fn read(answer: &Bytes) -> Result<Answer<'_>, SourceError> {
    serde_json::from_slice(answer).map_err(|error| SourceError::malformed(OPERATION, &error).carrying(answer))
}
