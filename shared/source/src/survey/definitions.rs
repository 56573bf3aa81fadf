//! How the configured fields are defined, index by index: what `_field_caps` doesn't show of a mapping.
//!
//! Two requests at most: one for the fields, and one for what alias fields among them stand for.

use crate::Source;
use crate::error::SourceError;
use crate::problem::Kept;
use crate::wire::Call;
use elasticsearch::indices::{IndicesGetFieldMappingParts, IndicesGetMappingParts};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

const OPERATION: &str = "read how fields are defined";

/// The definitions of some fields, by index and field.
pub(crate) struct Definitions {
    by_index: BTreeMap<String, BTreeMap<String, Definition>>,
}

/// The definition of one field.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Definition {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) normalizer: Option<String>,
    pub(crate) null_value: Option<Value>,
    pub(crate) ignore_above: Option<u64>,
    pub(crate) coerce: Option<Value>,
    /// What an alias field stands for.
    path: Option<String>,
}

#[derive(Deserialize)]
struct Index<F> {
    mappings: F,
}

#[derive(Deserialize)]
struct Field {
    /// By the field's last name.
    mapping: BTreeMap<String, Definition>,
}

#[derive(Deserialize)]
struct WithSource {
    #[serde(rename = "_source")]
    source: SourceDefinition,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct SourceDefinition {
    enabled: Option<Value>,
    mode: Option<String>,
    includes: Vec<String>,
    excludes: Vec<String>,
}

impl SourceDefinition {
    fn kept(&self) -> Option<Kept> {
        let is_disabled = self.enabled.as_ref().is_some_and(|enabled| !is_true(enabled));
        match self.mode.as_deref() {
            _ if is_disabled => Some(Kept::Nothing),
            Some("disabled") => Some(Kept::Nothing),
            Some("synthetic") => Some(Kept::Values),
            _ if !self.includes.is_empty() || !self.excludes.is_empty() => Some(Kept::Part),
            _ => None,
        }
    }
}

impl Definitions {
    /// A field's definition in an index; `None`: the mapping doesn't define it there.
    pub(crate) fn of(&self, index: &str, field: &str) -> Option<&Definition> {
        let fields = self.by_index.get(index)?;
        let found = fields.get(field)?;
        match &found.path {
            Some(path) => fields.get(path),
            None => Some(found),
        }
    }

    /// The names under which indices know a field: its own, and those of the fields that it is an alias of.
    pub(crate) fn names_of(&self, field: &str) -> Vec<String> {
        let found = self.by_index.values().filter_map(|fields| fields.get(field));
        let mut names: Vec<String> = found.filter_map(|found| found.path.clone()).collect();
        names.push(field.to_owned());
        names.sort_unstable();
        names.dedup();
        names
    }

    fn paths(&self) -> Vec<String> {
        let found = self.by_index.values().flat_map(BTreeMap::values);
        let mut paths: Vec<String> = found.filter_map(|found| found.path.clone()).collect();
        paths.sort_unstable();
        paths.dedup();
        paths
    }
}

impl Source {
    /// How fields are defined in every open index that a name stands for.
    pub(crate) async fn definitions_of(
        &self,
        index: &str,
        fields: &[&str],
    ) -> Result<Definitions, SourceError> {
        let mut definitions = Definitions {
            by_index: self.ask_definitions(index, fields).await?,
        };
        let paths = definitions.paths();
        if !paths.is_empty() {
            let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
            for (index, fields) in self.ask_definitions(index, &paths).await? {
                definitions.by_index.entry(index).or_default().extend(fields);
            }
        }
        Ok(definitions)
    }

    async fn ask_definitions(
        &self,
        index: &str,
        fields: &[&str],
    ) -> Result<BTreeMap<String, BTreeMap<String, Definition>>, SourceError> {
        let path = IndicesGetFieldMappingParts::IndexFields(&[index], fields).url();
        let found: BTreeMap<String, Index<BTreeMap<String, Field>>> =
            self.wire().read(&Call::get(OPERATION, &path, &[])).await?;
        let definition = |field: Field| field.mapping.into_values().next();
        Ok(found
            .into_iter()
            .map(|(index, found)| {
                let fields = found.mappings.into_iter();
                let fields = fields.filter_map(|(name, field)| Some((name, definition(field)?)));
                (index, fields.collect())
            })
            .collect())
    }

    /// What the mappings say of `_source`, for the open indices that say something.
    pub(crate) async fn kept_by_mappings(&self, index: &str) -> Result<Vec<(String, Kept)>, SourceError> {
        let path = IndicesGetMappingParts::Index(&[index]).url();
        let query = [("filter_path", "*.mappings._source")];
        let found: BTreeMap<String, Index<WithSource>> =
            self.wire().read(&Call::get(OPERATION, &path, &query)).await?;
        Ok(found
            .into_iter()
            .filter_map(|(index, found)| Some((index, found.mappings.source.kept()?)))
            .collect())
    }
}

/// Mappings hold `true` and `"true"`.
pub(crate) fn is_true(value: &Value) -> bool {
    value.as_bool().unwrap_or_else(|| value.as_str() == Some("true"))
}
