//! Which indices the source's name matches, open or not, and those of their settings that matter to a harvest.
//!
//! One request, whose answer is also what tells that the indices have changed. Mappings are not read here.

use crate::Source;
use crate::error::SourceError;
use crate::problem::{Kept, LeftOut, Role, SourceProblem};
use crate::survey::name;
use crate::wire::Call;
use elasticsearch::indices::IndicesGetSettingsParts;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

const OPERATION: &str = "read the settings of indices";
/// `expand_wildcards=all`: what is closed or hidden is reported, and never read.
const QUERY: [(&str, &str); 3] = [
    ("expand_wildcards", "all"),
    ("include_defaults", "true"),
    (
        "filter_path",
        "*.settings.index.uuid,*.settings.index.hidden,*.settings.index.verified_before_close,*.settings.index.frozen,\
         *.settings.index.search.throttled,*.settings.index.blocks.read,*.settings.index.refresh_interval,\
         *.settings.index.number_of_shards,*.settings.index.max_docvalue_fields_search,*.settings.index.mode,\
         *.settings.index.mapping.coerce,*.settings.index.mapping.ignore_above,*.settings.index.mapping.source.mode,\
         *.settings.index.mapping.exclude_source_vectors,*.defaults.index.mapping.exclude_source_vectors",
    ),
];
/// An id and a time, or a key and the field that sorts.
const DOCVALUE_FIELDS: u64 = 2;
/// What logs and metrics indices keep where nothing else is said.
const MODES_OF_VALUES: [&str; 2] = ["logsdb", "time_series"];

/// The indices that a name matches.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Indices {
    by_name: BTreeMap<String, Settings>,
}

#[derive(Deserialize)]
struct Index {
    settings: Outer,
    #[serde(default)]
    defaults: Outer,
}

#[derive(Deserialize, Default)]
struct Outer {
    index: Settings,
}

impl Index {
    /// The one default that matters depends on the version that made the index.
    fn settings(self) -> Settings {
        let mut settings = self.settings.index;
        let by_default = self.defaults.index.mapping.exclude_source_vectors;
        let explicit = settings.mapping.exclude_source_vectors.take();
        settings.mapping.exclude_source_vectors = explicit.or(by_default);
        settings
    }
}

/// Elasticsearch writes every value as a text.
#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Settings {
    uuid: String,
    hidden: Option<String>,
    verified_before_close: Option<String>,
    frozen: Option<String>,
    search: SearchSettings,
    blocks: BlockSettings,
    refresh_interval: Option<String>,
    number_of_shards: Option<String>,
    max_docvalue_fields_search: Option<String>,
    mode: Option<String>,
    mapping: MappingSettings,
}

#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct SearchSettings {
    throttled: Option<String>,
}

#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct BlockSettings {
    read: Option<String>,
}

#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct MappingSettings {
    coerce: Option<String>,
    ignore_above: Option<String>,
    source: SourceMode,
    exclude_source_vectors: Option<String>,
}

#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct SourceMode {
    mode: Option<String>,
}

impl Settings {
    fn why_left_out(&self) -> LeftOut {
        if is_true(&self.blocks.read) {
            LeftOut::Blocked
        } else if is_true(&self.verified_before_close) {
            LeftOut::Closed
        } else if self.is_frozen() {
            LeftOut::Frozen
        } else if is_true(&self.hidden) {
            LeftOut::Hidden
        } else {
            LeftOut::Unknown
        }
    }

    /// Searches leave it out without a word, though `_field_caps` knows its fields.
    fn is_frozen(&self) -> bool {
        is_true(&self.frozen) || is_true(&self.search.throttled)
    }

    fn kept(&self) -> Option<Kept> {
        match (self.mapping.source.mode.as_deref(), self.mode.as_deref()) {
            (Some("synthetic"), _) => Some(Kept::Values),
            (Some("disabled"), _) => Some(Kept::Nothing),
            (None, Some(mode)) if MODES_OF_VALUES.contains(&mode) => Some(Kept::Values),
            _ => None,
        }
    }
}

impl Indices {
    pub(crate) fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// The length beyond which an index leaves texts out, unless a field says otherwise.
    pub(crate) fn ignore_above(&self, index: &str) -> Option<u64> {
        self.by_name
            .get(index)?
            .mapping
            .ignore_above
            .as_deref()?
            .parse()
            .ok()
    }

    /// Whether an index takes texts and fractions for whole numbers, unless a field says otherwise.
    pub(crate) fn coerces(&self, index: &str) -> bool {
        let settings = self.by_name.get(index).map(|settings| &settings.mapping);
        settings.is_none_or(|mapping| mapping.coerce.as_deref() != Some("false"))
    }

    /// Shards of the indices that are read.
    pub(crate) fn shards(&self, read: &[String]) -> u64 {
        let shards =
            |index| -> Option<u64> { self.by_name.get(index)?.number_of_shards.as_deref()?.parse().ok() };
        read.iter().filter_map(shards).sum()
    }

    /// What Elasticsearch refuses to search for, whatever is asked.
    pub(crate) fn blocked(&self) -> Option<SourceProblem> {
        let blocked = self.names_of(|settings| is_true(&settings.blocks.read));
        (!blocked.is_empty()).then(|| SourceProblem::Blocked {
            what: format!(
                "index.blocks.read is set in {}. Remove the block",
                crate::problem::named(&blocked)
            ),
        })
    }

    /// A name without the indices that Elasticsearch refuses to search, or the names of all others where it takes none away.
    /// `None`: there is none for what is left, as it `shows_a_part` of its indices, which by their own names show all.
    pub(crate) fn searchable(&self, name: &str, shows_a_part: bool) -> Option<String> {
        let blocked = self.names_of(|settings| is_true(&settings.blocks.read));
        let closed = self.names_of(|settings| is_true(&settings.verified_before_close));
        name::without(name, &blocked, &closed).or_else(|| {
            let is_away = |index: &String| blocked.contains(index) || closed.contains(index);
            let left: Vec<String> = self
                .by_name
                .keys()
                .filter(|index| !is_away(index))
                .cloned()
                .collect();
            let may_be_named = !shows_a_part && !name::has_pattern(name);
            may_be_named.then(|| name::list(&left)).flatten()
        })
    }

    /// What the settings show of the indices that are read, and those that aren't.
    pub(crate) fn problems(&self, role: &Role, read: &[String], pattern: &str) -> Vec<SourceProblem> {
        let read: BTreeSet<&String> = read.iter().collect();
        let mut problems = self.left_out(role, &read, pattern);
        let mut few: BTreeMap<u64, Vec<String>> = BTreeMap::new();
        for index in &read {
            let settings = self.by_name.get(*index);
            let value = settings
                .and_then(|settings| settings.max_docvalue_fields_search.as_deref()?.parse().ok())
                .filter(|value| *value < DOCVALUE_FIELDS);
            if let Some(value) = value {
                few.entry(value).or_default().push((*index).clone());
            }
        }
        let limits = few.into_iter().map(|(value, indices)| SourceProblem::IndexLimit {
            role: role.clone(),
            setting: "index.max_docvalue_fields_search",
            value,
            needed: DOCVALUE_FIELDS,
            indices,
        });
        problems.extend(limits);
        let never = self.names_of(|settings| settings.refresh_interval.as_deref() == Some("-1"));
        let never: Vec<String> = never.into_iter().filter(|index| read.contains(index)).collect();
        if *role == Role::Messages && !never.is_empty() {
            problems.push(SourceProblem::NeverRefreshed { indices: never });
        }
        problems
    }

    /// What the settings say of `_source`, for the indices that say something.
    pub(crate) fn kept(&self) -> impl Iterator<Item = (String, Kept)> {
        let all = self.by_name.iter();
        all.filter_map(|(index, settings)| Some((index.clone(), settings.kept()?)))
    }

    /// Whether any index keeps vectors apart from `_source`.
    pub(crate) fn keep_vectors_apart(&self) -> bool {
        self.by_name.keys().any(|index| self.keeps_vectors_apart(index))
    }

    /// Whether an index keeps vectors apart from `_source`.
    pub(crate) fn keeps_vectors_apart(&self, index: &str) -> bool {
        let settings = self.by_name.get(index).map(|settings| &settings.mapping);
        settings.is_some_and(|mapping| is_true(&mapping.exclude_source_vectors))
    }

    /// Those that the pattern matches and that are not read. What Elasticsearch keeps for itself under a dot isn't
    /// meant by a pattern that doesn't begin with one; a blocked index was taken away, whatever its name.
    fn left_out(&self, role: &Role, read: &BTreeSet<&String>, pattern: &str) -> Vec<SourceProblem> {
        let means_dots = pattern.split(',').any(|part| part.trim().starts_with('.'));
        let mut left_out: BTreeMap<LeftOut, Vec<String>> = BTreeMap::new();
        for (index, settings) in &self.by_name {
            let is_blocked = is_true(&settings.blocks.read);
            let is_meant = means_dots || is_blocked || !index.starts_with('.') || index.starts_with(".ds-");
            if is_meant && (!read.contains(index) || settings.is_frozen()) {
                let why = settings.why_left_out();
                left_out.entry(why).or_default().push(index.clone());
            }
        }
        left_out
            .into_iter()
            .map(|(why, indices)| SourceProblem::LeftOut {
                role: role.clone(),
                why,
                indices,
            })
            .collect()
    }

    fn names_of(&self, is_one: impl Fn(&Settings) -> bool) -> Vec<String> {
        let found = self.by_name.iter().filter(|(_, settings)| is_one(settings));
        found.map(|(index, _)| index.clone()).collect()
    }
}

impl Source {
    /// The indices that a name matches.
    pub(crate) async fn indices_of(&self, name: &str) -> Result<Indices, SourceError> {
        let path = IndicesGetSettingsParts::Index(&[name]).url();
        let indices: BTreeMap<String, Index> = self.wire().read(&Call::get(OPERATION, &path, &QUERY)).await?;
        Ok(Indices {
            by_name: indices
                .into_iter()
                .map(|(name, index)| (name, index.settings()))
                .collect(),
        })
    }
}

fn is_true(setting: &Option<String>) -> bool {
    setting.as_deref() == Some("true")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// As Elasticsearch 7.17 writes the settings of an index that was frozen, or mounted partially.
    #[test]
    fn h12_a_frozen_index_is_left_out_though_its_fields_are_known() {
        for frozen in [
            json!({"frozen": "true"}),
            json!({"search": {"throttled": "true"}}),
        ] {
            let settings = |index| serde_json::from_value(index).unwrap();
            let by_name = [
                ("q-1".to_owned(), settings(json!({}))),
                ("q-2".to_owned(), settings(frozen)),
            ];
            let indices = Indices {
                by_name: by_name.into(),
            };
            let read = ["q-1", "q-2"].map(str::to_owned);
            assert_eq!(
                indices.problems(&Role::Messages, &read, "q-*"),
                [SourceProblem::LeftOut {
                    role: Role::Messages,
                    why: LeftOut::Frozen,
                    indices: vec!["q-2".to_owned()],
                }]
            );
        }
    }
}
