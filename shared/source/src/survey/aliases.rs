//! Aliases that show a part of their indices: by a filter, or by a routing, which leads searches to some of the shards. What they
//! leave out is in no window, and is lost with the indices.
//!
//! One request. An index that the name also stands for by itself is read as a whole; that isn't told apart here.

use crate::Source;
use crate::error::SourceError;
use crate::problem::SourceProblem;
use crate::wire::Call;
use elasticsearch::indices::IndicesGetAliasParts;
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

const OPERATION: &str = "read what aliases show";
const QUERY: [(&str, &str); 1] = [("filter_path", "*.aliases.*.filter,*.aliases.*.search_routing")];

#[derive(Deserialize)]
struct Index {
    aliases: BTreeMap<String, Alias>,
}

#[derive(Deserialize)]
struct Alias {
    filter: Option<Value>,
    search_routing: Option<String>,
}

impl Source {
    /// The aliases that show a part of their indices, among the names of a list.
    pub(super) async fn filtered_aliases(&self, name: &str) -> Result<Option<SourceProblem>, SourceError> {
        let path = IndicesGetAliasParts::Index(&[name]).url();
        let indices: BTreeMap<String, Index> = self.wire().read(&Call::get(OPERATION, &path, &QUERY)).await?;
        let aliases = indices.into_values().flat_map(|index| index.aliases);
        let filtered = aliases.filter(|(alias, of_alias)| {
            (of_alias.filter.is_some() || of_alias.search_routing.is_some())
                && name.split(',').any(|part| part.trim() == alias)
        });
        let filtered: BTreeSet<String> = filtered.map(|(alias, _)| alias).collect();
        Ok((!filtered.is_empty()).then(|| SourceProblem::FilteredAlias {
            aliases: filtered.into_iter().collect(),
        }))
    }
}
