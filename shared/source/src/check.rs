//! Whether a source can be harvested without losing anything: asked once, before the first page.
//!
//! All problems are found before any is reported, as far as one doesn't hide the other. It reads mappings and a
//! sample of documents' ids, never a message.

use crate::Source;
use crate::error::SourceError;
use crate::fields::Mappings;
use crate::page::OnlyField;
use crate::problem::{FieldRole, SourceProblem};
use crate::query::{ALL_SHARDS, SearchBody};
use crate::wire::{Call, CallBody};
use elasticsearch::SearchParts;
use elasticsearch::http::Method;
use serde::Deserialize;
use serde_json::json;

const OPERATION: &str = "check the source";
/// How many documents must prove that `_id` is the message's id.
const SAMPLE_SIZE: u32 = 1_000;
const ID_TYPES: [&str; 6] = ["keyword", "long", "integer", "short", "byte", "unsigned_long"];
const TIME_TYPES: [&str; 2] = ["date", "date_nanos"];

#[derive(Deserialize)]
struct Sample<'a> {
    #[serde(borrow)]
    hits: SampleHits<'a>,
}

#[derive(Deserialize)]
struct SampleHits<'a> {
    total: Option<SampleTotal>,
    #[serde(borrow)]
    hits: Vec<SampleHit<'a>>,
}

impl SampleHits<'_> {
    fn total_value(&self) -> u64 {
        self.total.as_ref().map_or(0, |total| total.value)
    }
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
    fields: OnlyField<'a>,
}

impl Source {
    /// Finds what would keep this source from being harvested: all problems at once.
    pub async fn check(&self) -> Result<(), Vec<SourceProblem>> {
        let problems = self
            .problems()
            .await
            .unwrap_or_else(|error| vec![self.problem_of(error)]);
        if problems.is_empty() {
            Ok(())
        } else {
            Err(problems)
        }
    }

    async fn problems(&self) -> Result<Vec<SourceProblem>, SourceError> {
        let settings = self.settings();
        if let Some(name) = remote_name(&settings.index) {
            return Ok(vec![SourceProblem::Remote {
                name: name.to_owned(),
            }]);
        }
        let mappings = self
            .mappings(&format!("{},{}", settings.id_field, settings.time_field))
            .await?;
        if mappings.indices.is_empty() {
            return Ok(vec![SourceProblem::UnknownIndex {
                index: settings.index.clone(),
            }]);
        }
        let mut problems = self.field_problems(&mappings, FieldRole::Time).await?;
        problems.extend(self.filter_problem().await?);
        if !settings.id_is_doc_id() {
            let of_id = self.field_problems(&mappings, FieldRole::Id).await?;
            if of_id.is_empty() && settings.hits_are_bare() {
                problems.extend(self.bare_hit_problems().await?);
            }
            problems.extend(of_id);
        }
        Ok(problems)
    }

    fn problem_of(&self, error: SourceError) -> SourceProblem {
        SourceProblem::from_error(error, &self.settings().index)
    }

    /// An index without documents may lack the field still: the first document brings it.
    async fn field_problems(
        &self,
        mappings: &Mappings,
        role: FieldRole,
    ) -> Result<Vec<SourceProblem>, SourceError> {
        let (field, accepted): (_, &[&str]) = match role {
            FieldRole::Id => (&self.settings().id_field, &ID_TYPES),
            FieldRole::Time => (&self.settings().time_field, &TIME_TYPES),
        };
        let mut problems = Vec::new();
        for found in mappings.types_of(field) {
            let field = field.clone();
            if !accepted.contains(&found.name.as_str()) {
                let (found, indices) = (found.name, found.indices);
                problems.push(SourceProblem::WrongType {
                    role,
                    field,
                    found,
                    indices,
                });
            } else if !found.unusable_in.is_empty() {
                problems.push(SourceProblem::Unsorted {
                    role,
                    field,
                    indices: found.unusable_in,
                });
            }
        }
        let mut indices = Vec::new();
        for index in mappings.without(field) {
            if self.has_documents(&index).await? {
                indices.push(index);
            }
        }
        if !indices.is_empty() {
            problems.push(SourceProblem::UnknownField {
                role,
                field: field.clone(),
                indices,
            });
        }
        Ok(problems)
    }

    pub(crate) async fn has_documents(&self, index: &str) -> Result<bool, SourceError> {
        let body = json!({"size": 0, "track_total_hits": 1, "query": {"match_all": {}}});
        self.sample(index, &body, |sample| sample.total_value() > 0).await
    }

    async fn filter_problem(&self) -> Result<Option<SourceProblem>, SourceError> {
        let Some(filter) = &self.settings().filter else {
            return Ok(None);
        };
        let body = SearchBody::of(filter.clone());
        match self.sample(&self.settings().index, &body, |_| ()).await {
            Ok(()) => Ok(None),
            Err(SourceError::Refused {
                status: 400, reason, ..
            }) => Ok(Some(SourceProblem::BadFilter { reason })),
            Err(error) => Err(error),
        }
    }

    /// Hits that show neither `_id` nor routing are enough only where the one equals the message's id and the other
    /// doesn't exist. The newest documents and an arbitrary handful are looked at; routing is looked for everywhere.
    async fn bare_hit_problems(&self) -> Result<Vec<SourceProblem>, SourceError> {
        let settings = self.settings();
        let newest = json!([{&settings.time_field: {"order": "desc", "unmapped_type": "date"}}]);
        let (mut sampled, mut differing) = (0, 0);
        for sort in [newest, json!(["_doc"])] {
            let body = SearchBody {
                size: SAMPLE_SIZE,
                sort,
                docvalue_fields: Some([settings.id_field.as_str()]),
                ..SearchBody::of(
                    settings
                        .filter
                        .clone()
                        .unwrap_or_else(|| json!({"match_all": {}})),
                )
            };
            let (looked_at, unequal) = self.sample(&settings.index, &body, count_differing).await?;
            (sampled, differing) = (sampled + looked_at, differing + unequal);
        }
        let mut problems = Vec::new();
        if differing > 0 {
            let field = settings.id_field.clone();
            problems.push(SourceProblem::DocIdDiffers {
                field,
                sampled,
                differing,
            });
        }
        let routed =
            json!({"size": 0, "track_total_hits": SAMPLE_SIZE, "query": {"exists": {"field": "_routing"}}});
        let documents = self
            .sample(&settings.index, &routed, |sample| sample.total_value())
            .await?;
        if documents > 0 {
            problems.push(SourceProblem::Routed { documents });
        }
        Ok(problems)
    }

    async fn sample<T>(
        &self,
        index: &str,
        body: &impl serde::Serialize,
        read: impl FnOnce(&SampleHits<'_>) -> T,
    ) -> Result<T, SourceError> {
        let path = SearchParts::Index(&[index]).url();
        let body = CallBody::json(OPERATION, body)?;
        let call = Call {
            operation: OPERATION,
            method: Method::Post,
            path: &path,
            query: &ALL_SHARDS,
            body,
        };
        let answer = self.wire().ask(&call).await?;
        let sample: Sample<'_> =
            serde_json::from_slice(&answer).map_err(|error| SourceError::malformed(OPERATION, &error))?;
        Ok(read(&sample.hits))
    }
}

/// The first name of a list that has a cluster's prefix. Date math (`<logs-{now/d}>`) may hold colons of its own.
fn remote_name(index: &str) -> Option<&str> {
    let is_remote = |name: &&str| name.split('<').next().is_some_and(|prefix| prefix.contains(':'));
    index.split(',').map(str::trim).find(is_remote)
}

/// How many documents a sample has, and in how many of them `_id` isn't the message's id.
fn count_differing(sample: &SampleHits<'_>) -> (u64, u64) {
    let differs = |hit: &&SampleHit<'_>| hit.fields.text().as_deref() != Some(hit.id.as_str());
    (
        sample.hits.len() as u64,
        sample.hits.iter().filter(differs).count() as u64,
    )
}
