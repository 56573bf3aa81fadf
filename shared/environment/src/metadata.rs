//! Which related documents travel with each message.

use crate::archive::{self, partitions_of};
use crate::environment::{Environment, Reading, Variable};
use granary_domain::MetadataSource;
use std::collections::BTreeSet;

const SOURCES: Variable = Variable {
    name: "GRANARY_METADATA_SOURCES",
    holds: "a JSON list such as [{\"name\":\"history\",\"index\":\"message-history\",\"key\":\"message_id\",\
            \"many\":true,\"sort\":\"at\"}]; many and sort may be left out",
};
/// Each is one more request for every group of messages.
const SOURCES_MAX: usize = 16;

/// Which related documents travel with each message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetadataSection {
    /// In the order in which they stand in an exported line; no two have the same name. May be empty.
    pub sources: Vec<MetadataSource>,
}

impl MetadataSection {
    /// Reads `GRANARY_METADATA_SOURCES`.
    pub fn read(env: &mut Environment) -> Reading<Self> {
        let prefix = env.optional(archive::PREFIX).unwrap_or_default();
        let parse = |text: &str| parse_sources(text, &prefix);
        let sources = env.optional_parsed(SOURCES, parse)?.unwrap_or_default();
        Ok(Self { sources })
    }
}

/// What isn't JSON or isn't a source is named with its line and column.
fn parse_sources(text: &str, prefix: &str) -> Result<Vec<MetadataSource>, String> {
    let sources: Vec<MetadataSource> = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if sources.len() > SOURCES_MAX {
        return Err(format!(
            "there are {} of them, {SOURCES_MAX} at most are possible",
            sources.len()
        ));
    }
    let mut names = BTreeSet::new();
    for source in &sources {
        let name = source.name.as_str();
        if !names.insert(name) {
            return Err(format!("two of them have the name {name:?}"));
        }
        if partitions_of(prefix).any(|partition| partition == name) {
            return Err(format!(
                "the name {name:?} is also a folder of {} ({name}=…), which query engines read as a column: choose another name",
                archive::PREFIX.name
            ));
        }
        if source.index.is_empty() || source.key.is_empty() {
            return Err(format!("the index and the key of {name:?} may not be empty"));
        }
    }
    Ok(sources)
}
