//! What only documents show, of a sample of their ids and times: several values, and `_id`s that differ.
//!
//! A sample proves that something is so, and never that it isn't.

use crate::Source;
use crate::error::SourceError;
use crate::hit_fields::text_of;
use crate::problem::{FieldRole, SourceProblem};
use crate::reach::Reach;
use crate::stretch::Zone;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::collections::BTreeMap;

const OPERATION: &str = "check the source";
const SAMPLE_SIZE: u32 = 1_000;
/// What one search takes of names of indices.
const INDICES_MAX: usize = 10_000;

#[derive(Deserialize)]
struct Sample<'a> {
    #[serde(borrow)]
    hits: SampleHits<'a>,
    #[serde(default)]
    aggregations: Aggregations,
}

#[derive(Deserialize)]
struct SampleHits<'a> {
    total: Option<SampleTotal>,
    #[serde(borrow)]
    hits: Vec<SampleHit<'a>>,
}

#[derive(Deserialize)]
struct SampleTotal {
    value: u64,
}

#[derive(Deserialize)]
struct SampleHit<'a> {
    #[serde(rename = "_id")]
    id: String,
    #[serde(borrow, default)]
    fields: BTreeMap<Cow<'a, str>, Vec<&'a RawValue>>,
}

#[derive(Deserialize, Default)]
struct Aggregations {
    indices: Option<Buckets>,
}

#[derive(Deserialize)]
struct Buckets {
    buckets: Vec<Bucket>,
}

#[derive(Deserialize)]
struct Bucket {
    key: String,
}

/// How many documents were looked at, and what they show.
#[derive(Default)]
struct Counts {
    sampled: u64,
    several_ids: u64,
    several_times: u64,
    differing: u64,
}

impl Source {
    /// Those of some indices that hold documents: one search.
    pub(crate) async fn with_documents(
        &self,
        name: &str,
        mut indices: Vec<String>,
    ) -> Result<Vec<String>, SourceError> {
        if indices.is_empty() {
            return Ok(indices);
        }
        indices.truncate(INDICES_MAX);
        let body = json!({
            "track_total_hits": false, "query": {"terms": {"_index": indices}},
            "aggs": {"indices": {"terms": {"field": "_index", "size": indices.len()}}},
        });
        let found = self
            .sample(&Reach::unknown(name), 0, body, |sample| {
                sample.aggregations.indices
            })
            .await?;
        let found = found.into_iter().flat_map(|found| found.buckets);
        let mut found: Vec<String> = found.map(|bucket| bucket.key).collect();
        found.sort_unstable();
        Ok(found)
    }

    pub(super) async fn filter_problem(&self, name: &str) -> Result<Option<SourceProblem>, SourceError> {
        let Some(filter) = &self.settings().filter else {
            return Ok(None);
        };
        let body = json!({"track_total_hits": false, "query": filter});
        match self.sample(&Reach::unknown(name), 0, body, |_| ()).await {
            Ok(()) => Ok(None),
            Err(SourceError::Refused {
                status: 400, reason, ..
            }) => Ok(Some(SourceProblem::BadFilter { reason })),
            Err(error) => Err(error),
        }
    }

    /// An arbitrary handful of documents, and, where hits show neither `_id` nor routing, the newest as well: that is
    /// enough only where the one equals the message's id and the other doesn't exist. Routing is looked for everywhere.
    pub(super) async fn sample_problems(&self, reach: &Reach) -> Result<Vec<SourceProblem>, SourceError> {
        let settings = self.settings();
        let handful = self.count_sample(reach, json!(["_doc"])).await?;
        let mut problems = Vec::new();
        for (role, field, several) in [
            (FieldRole::Id, &settings.id_field, handful.several_ids),
            (FieldRole::Time, &settings.time_field, handful.several_times),
        ] {
            if several > 0 {
                problems.push(SourceProblem::SeveralValues {
                    role,
                    field: field.clone(),
                    sampled: handful.sampled,
                    several,
                });
            }
        }
        if !settings.hits_are_bare() {
            return Ok(problems);
        }
        let newest = json!([{&settings.time_field: {"order": "desc", "unmapped_type": "date"}}]);
        let newest = self.count_sample(reach, newest).await?;
        let differing = handful.differing + newest.differing;
        if differing > 0 {
            problems.push(SourceProblem::DocIdDiffers {
                field: settings.id_field.clone(),
                sampled: handful.sampled + newest.sampled,
                differing,
            });
        }
        let routed = reach.query_of(json!({"exists": {"field": "_routing"}}));
        let routed = json!({"track_total_hits": SAMPLE_SIZE, "query": routed});
        let documents = self
            .sample(reach, 0, routed, |sample| {
                sample.hits.total.map_or(0, |total| total.value)
            })
            .await?;
        if documents > 0 {
            problems.push(SourceProblem::Routed { documents });
        }
        Ok(problems)
    }

    async fn count_sample(&self, reach: &Reach, sort: Value) -> Result<Counts, SourceError> {
        let settings = self.settings();
        let query = settings
            .filter
            .clone()
            .unwrap_or_else(|| json!({"match_all": {}}));
        let mut fields = vec![settings.time_field.as_str()];
        if !settings.id_is_doc_id() {
            fields.push(&settings.id_field);
        }
        let body = json!({
            "track_total_hits": false, "_source": false, "query": reach.query_of(query),
            "sort": sort, "docvalue_fields": fields,
        });
        let count = |sample: Sample<'_>| {
            let mut counts = Counts::default();
            for hit in &sample.hits.hits {
                let values = |field: &str| hit.fields.get(field).map_or(&[][..], Vec::as_slice);
                let ids = values(&settings.id_field);
                let id = match ids {
                    [id] => text_of(id),
                    _ => None,
                };
                counts.sampled += 1;
                counts.several_ids += u64::from(ids.len() > 1);
                counts.several_times += u64::from(values(&settings.time_field).len() > 1);
                counts.differing += u64::from(id.as_deref() != Some(hit.id.as_str()));
            }
            counts
        };
        self.sample(reach, SAMPLE_SIZE, body, count).await
    }

    /// A search for a few hits, or fewer where an index allows no more.
    async fn sample<T>(
        &self,
        reach: &Reach,
        size: u32,
        body: Value,
        read: impl FnOnce(Sample<'_>) -> T,
    ) -> Result<T, SourceError> {
        let shards = Zone::Everywhere.shards(reach.only());
        let answer = self
            .search_some(OPERATION, &reach.name, &shards, size, body)
            .await?;
        let sample: Sample<'_> =
            serde_json::from_slice(&answer).map_err(|error| SourceError::malformed(OPERATION, &error))?;
        Ok(read(sample))
    }
}
