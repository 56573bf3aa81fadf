//! Related documents of many messages at once: their status, their history, whatever is joined to them by id.
//!
//! What fits into one search is read by one. More is paged through a point in time, so that no entry is skipped or
//! read twice, and counted at the end. An entry that is found and belongs to none of the messages is never dropped: it
//! shows that the key is mapped in another way than the ids, and is refused.

use crate::Source;
use crate::allowance::ByteAllowance;
use crate::error::SourceError;
use crate::hit_fields::text_of;
use crate::metadata_key::{EntryOrder, Lookup};
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
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

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
    docvalue_fields: Vec<Value>,
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
    fields: BTreeMap<Cow<'a, str>, Vec<&'a RawValue>>,
    #[serde(borrow)]
    sort: &'a RawValue,
}

/// The entries read so far, and to which message they belong.
struct Collected<'a> {
    from: &'a MetadataSource,
    places: HashMap<&'a str, usize>,
    entries: Vec<Vec<(Instant, Bytes)>>,
    order: EntryOrder,
    read: u64,
}

/// When an entry is, in nanoseconds since 1970; later than all others where it has no time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Instant {
    At(i128),
    Unknown,
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
        let Some(lookup) = self.lookup_of(from).await? else {
            return Ok(Metadata::IndexMissing);
        };
        let mut collected = Collected::new(from, lookup, ids);
        let holdable: Vec<&&MessageId> = ids.iter().filter(|id| lookup.key.can_hold(id.as_str())).collect();
        if holdable.is_empty() {
            return collected.all_of(0);
        }
        let query = json!({"bool": {"filter": [{"terms": {&from.key: holdable}}]}});
        let path = SearchParts::Index(&[&from.index]).url();
        let mut first = search(from, lookup, &query);
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
        let (pit_id, collected) = self.page_metadata(pit_id, (first, allowance), collected).await;
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
        (first, allowance): (Search<'_>, &ByteAllowance),
        mut collected: Collected<'_>,
    ) -> (String, Result<Metadata, SourceError>) {
        let mut after: Option<Box<RawValue>> = None;
        let mut sort = first.sort;
        if let Some(tie_break) = sort.as_array_mut() {
            tie_break.push(json!({"_shard_doc": "asc"}));
        }
        loop {
            let mut search = Search {
                sort: sort.clone(),
                docvalue_fields: first.docvalue_fields.clone(),
                pit: Some(json!({"id": pit_id, "keep_alive": KEEP_ALIVE})),
                search_after: after.as_deref(),
                ..first
            };
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
            let query: Vec<(&str, &str)> = ALL_SHARDS
                .into_iter()
                .chain(self.vectors_parameter().await)
                .collect();
            let call = Call {
                operation: OPERATION,
                method: Method::Post,
                path,
                query: &query,
                body: CallBody::json(OPERATION, search)?,
            };
            match self.wire().ask_within(&call, allowance).await {
                Err(error) if self.hits_max().shrinks_after(&error, search.size) => {}
                Err(error) if self.vectors().are_refused_by(&error) => {}
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
    fn new(from: &'a MetadataSource, lookup: Lookup, ids: &[&'a MessageId]) -> Self {
        Self {
            from,
            places: ids
                .iter()
                .enumerate()
                .map(|(place, id)| (id.as_str(), place))
                .collect(),
            entries: vec![Vec::new(); ids.len()],
            order: lookup.order,
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
                let what =
                    "an index of it doesn't keep `_source`. Take that index out of the source, or reindex it";
                return Err(refused(self.from, what));
            };
            let source = answer.slice_ref(source.get().as_bytes());
            let at = self.instant_of(entry);
            let ids: Vec<String> = if self.from.key == DOC_ID_FIELD {
                vec![entry.id.clone()]
            } else {
                let values = entry.fields.get(self.from.key.as_str()).into_iter().flatten();
                values.filter_map(|key| text_of(key)).collect()
            };
            let mut given = 0;
            for id in ids {
                given += usize::from(self.give(&id, at, &source));
            }
            if given == 0 {
                let what = "an entry is found by an id that its key doesn't show: its key must be a keyword without \
                            a normalizer";
                return Err(refused(self.from, what));
            }
        }
        Ok(())
    }

    fn instant_of(&self, entry: &Entry<'_>) -> Instant {
        match (self.order, &self.from.sort) {
            (EntryOrder::ByInstant, Some(field)) => {
                let times = entry.fields.get(field.as_str()).into_iter().flatten();
                let times = times.filter_map(|time| nanos_of(&text_of(time)?));
                times.min().map_or(Instant::Unknown, Instant::At)
            }
            (EntryOrder::ByInstant | EntryOrder::Elasticsearchs, _) => Instant::Unknown,
        }
    }

    /// An entry that names several messages goes to each of them. Says whether it is one that was asked for.
    fn give(&mut self, id: &str, at: Instant, source: &Bytes) -> bool {
        let place = self.places.get(id);
        if let Some(place) = place {
            self.entries[*place].push((at, source.clone()));
        }
        place.is_some()
    }

    /// The end, if as many entries were read as there are.
    fn all_of(self, total: u64) -> Result<Metadata, SourceError> {
        if self.read != total {
            let reason = format!("{} of {total} entries were shown", self.read);
            return Err(SourceError::Malformed {
                operation: OPERATION,
                reason,
            });
        }
        let entries_max = if self.from.many { usize::MAX } else { 1 };
        let in_order = |mut entries: Vec<(Instant, Bytes)>| {
            // Stable: those of one instant stay as they came.
            entries.sort_by_key(|(at, _)| *at);
            entries.truncate(entries_max);
            entries.into_iter().map(|(_, source)| source).collect()
        };
        Ok(Metadata::Found(self.entries.into_iter().map(in_order).collect()))
    }
}

/// A search without a place to begin. An index that hasn't seen an entry yet may not know the field to sort by.
fn search<'a>(from: &'a MetadataSource, lookup: Lookup, query: &'a Value) -> Search<'a> {
    let mut docvalue_fields = Vec::new();
    if from.key != DOC_ID_FIELD {
        docvalue_fields.push(json!(from.key));
    }
    let sort = match (lookup.order, &from.sort) {
        (EntryOrder::Elasticsearchs, Some(field)) => {
            json!([{field: {"order": "asc", "unmapped_type": "long"}}])
        }
        (EntryOrder::ByInstant, Some(field)) => {
            // Exact for both kinds of dates, and for all their instants.
            docvalue_fields.push(json!({"field": field, "format": "epoch_millis"}));
            json!(["_doc"])
        }
        (EntryOrder::Elasticsearchs | EntryOrder::ByInstant, None) => json!(["_doc"]),
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

/// Nanoseconds since 1970 of milliseconds with up to six decimals: `1767261600123.456789`.
fn nanos_of(millis: &str) -> Option<i128> {
    let (whole, fraction) = millis.split_once('.').unwrap_or((millis, ""));
    let whole: i128 = whole.parse().ok()?;
    let fraction: i128 = format!("{fraction:0<6}").get(..6)?.parse().ok()?;
    let fraction = if millis.starts_with('-') {
        -fraction
    } else {
        fraction
    };
    Some(whole * 1_000_000 + fraction)
}

fn refused(from: &MetadataSource, what: &str) -> SourceError {
    SourceError::Refused {
        operation: OPERATION,
        status: 200,
        reason: format!("GRANARY_METADATA_SOURCES {:?}: {what}", from.name.as_str()),
    }
}

fn read(answer: &Bytes) -> Result<Answer<'_>, SourceError> {
    serde_json::from_slice(answer).map_err(|error| SourceError::malformed(OPERATION, &error).carrying(answer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e5_instants_of_both_kinds_of_dates_are_one_scale() {
        assert_eq!(nanos_of("1767261600123.456789"), Some(1_767_261_600_123_456_789));
        assert_eq!(nanos_of("-147034494877"), Some(-147_034_494_877_000_000));
        assert_eq!(nanos_of("1767261600000000"), Some(1_767_261_600_000_000_000_000));
        assert_eq!([nanos_of("1.5"), nanos_of("x")], [Some(1_500_000), None]);
    }
}
