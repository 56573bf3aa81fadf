//! How fields are mapped, index by index.

use crate::Source;
use crate::error::SourceError;
use crate::reach::Reach;
use crate::wire::Call;
use elasticsearch::FieldCapsParts;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

const OPERATION: &str = "read how fields are mapped";
/// What Elasticsearch calls the type of a field in an index that doesn't have it.
const UNMAPPED: &str = "unmapped";
const VECTOR_TYPES: &str = "dense_vector,sparse_vector,rank_vectors";

/// How some fields are mapped in the indices that a name stands for.
#[derive(Deserialize)]
pub(crate) struct Mappings {
    /// The indices: none where a pattern matches none.
    pub(crate) indices: Vec<String>,
    #[serde(default)]
    fields: BTreeMap<String, BTreeMap<String, Capability>>,
}

/// One type that a field has, and where.
#[derive(Deserialize)]
struct Capability {
    #[serde(default)]
    searchable: bool,
    #[serde(default)]
    aggregatable: bool,
    /// Absent: all of them.
    indices: Option<Vec<String>>,
    /// Where it has no doc values though it has some elsewhere.
    non_aggregatable_indices: Option<Vec<String>>,
    /// Where it isn't indexed though it is elsewhere.
    non_searchable_indices: Option<Vec<String>>,
}

/// One type of a field in some indices.
pub(crate) struct FieldType {
    /// `keyword`, `date`, `text` …
    pub(crate) name: String,
    /// The indices that have it so.
    pub(crate) indices: Vec<String>,
    /// Those of them where it can't be sorted by or searched.
    pub(crate) unusable_in: Vec<String>,
}

/// How exact the time field is in the indices of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TimeResolution {
    /// Every index has `date`.
    Millis,
    /// Every index has `date_nanos`.
    Nanos,
    /// Some have `date`, others `date_nanos`.
    Mixed,
}

impl TimeResolution {
    /// Whether an index has `date_nanos`.
    pub(crate) fn has_nanos(self) -> bool {
        match self {
            Self::Millis => false,
            Self::Nanos | Self::Mixed => true,
        }
    }
}

impl Mappings {
    /// The types that a field has, without the indices that don't have it.
    pub(crate) fn types_of(&self, field: &str) -> Vec<FieldType> {
        let types = self.fields.get(field).into_iter().flatten();
        types
            .filter(|(name, _)| *name != UNMAPPED)
            .map(|(name, found)| self.field_type(name, found))
            .collect()
    }

    fn field_type(&self, name: &str, found: &Capability) -> FieldType {
        let indices = found.indices.clone().unwrap_or_else(|| self.indices.clone());
        let unusable_in = match (found.aggregatable && found.searchable, found) {
            (true, _) => Vec::new(),
            (
                false,
                Capability {
                    non_aggregatable_indices: None,
                    non_searchable_indices: None,
                    ..
                },
            ) => indices.clone(),
            (false, _) => {
                let (unsorted, unsearched) = (&found.non_aggregatable_indices, &found.non_searchable_indices);
                unsorted.iter().chain(unsearched).flatten().cloned().collect()
            }
        };
        FieldType {
            name: name.to_owned(),
            indices,
            unusable_in,
        }
    }
}

impl Source {
    /// How fields are mapped in every index that a name stands for.
    pub(crate) async fn mappings_of(&self, index: &str, fields: &str) -> Result<Mappings, SourceError> {
        let query = [("fields", fields), ("include_unmapped", "true")];
        self.ask_capabilities(index, &query).await
    }

    /// The indices that have a field of vectors. From 8.2 on.
    pub(crate) async fn indices_with_vectors(&self, index: &str) -> Result<BTreeSet<String>, SourceError> {
        let query = [("fields", "*"), ("types", VECTOR_TYPES), ("filters", "-metadata")];
        let mappings = self.ask_capabilities(index, &query).await?;
        let fields = mappings.fields.keys();
        let types = fields.flat_map(|field| mappings.types_of(field));
        Ok(types.flat_map(|found| found.indices).collect())
    }

    async fn ask_capabilities(&self, index: &str, query: &[(&str, &str)]) -> Result<Mappings, SourceError> {
        let path = FieldCapsParts::Index(&[index]).url();
        self.wire().read(&Call::get(OPERATION, &path, query)).await
    }

    /// The resolution of the time field, as the indices that are read are now.
    pub(crate) async fn time_resolution(&self, reach: &Reach) -> Result<TimeResolution, SourceError> {
        let field = &self.settings().time_field;
        let mappings = self.mappings_of(&reach.name, field).await?;
        Ok(reach.resolution(field, &mappings))
    }
}
