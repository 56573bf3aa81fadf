//! Whether the source can still change: which of its indices take writes, and which state those that don't are in.
//!
//! A state is the history of every shard: as long as it is equal, nothing was written, changed or deleted in between, whatever
//! became of the block meanwhile. It needs the index privilege `monitor`; without it the call is refused.

use crate::Source;
use crate::error::SourceError;
use crate::wire::{Call, CallBody};
use elasticsearch::http::Method;
use elasticsearch::indices::{IndicesGetSettingsParts, IndicesStatsParts};
use granary_domain::IdDigest;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

const OPERATION: &str = "ask whether the source is write-blocked";
/// Indices that are named.
const NAMED_MAX: usize = 10;
/// The last one is there in every index, so that each is in the answer.
const SETTINGS: [&str; 3] = ["index.blocks.write", "index.blocks.read_only", "index.uuid"];
const EVERYWHERE: (&str, &str) = ("expand_wildcards", "open,hidden");
const SEQUENCE_NUMBERS: &str =
    "indices.*.uuid,indices.*.shards.*.seq_no.max_seq_no,indices.*.shards.*.routing.primary,_shards";

/// Which indices of the source take writes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WriteBlock {
    /// The digest of all shards' histories. `None`: an index takes writes, or there is none.
    pub state: Option<String>,
    /// Indices that take writes: the first 10 of them by name.
    pub writable: Vec<String>,
}

#[derive(Deserialize)]
struct IndexSettings {
    settings: BTreeMap<String, String>,
}

impl IndexSettings {
    fn is_blocked(&self) -> bool {
        let is_set = |name| self.settings.get(name).is_some_and(|value| value == "true");
        is_set("index.blocks.write") || is_set("index.blocks.read_only")
    }
}

#[derive(Deserialize)]
struct Statistics {
    #[serde(rename = "_shards")]
    answered: Answered,
    #[serde(default)]
    indices: BTreeMap<String, IndexStatistics>,
}

#[derive(Deserialize)]
struct Answered {
    failed: u32,
}

#[derive(Deserialize)]
struct IndexStatistics {
    uuid: String,
    #[serde(default)]
    shards: BTreeMap<String, Vec<Copy>>,
}

/// A copy of a shard.
#[derive(Deserialize)]
struct Copy {
    routing: Routing,
    seq_no: Option<SequenceNumbers>,
}

#[derive(Deserialize)]
struct Routing {
    primary: bool,
}

#[derive(Deserialize)]
struct SequenceNumbers {
    max_seq_no: i64,
}

impl Source {
    /// Which indices take writes, and the state that the source is in where none does. Two requests.
    pub async fn write_blocked_state(&self) -> Result<WriteBlock, SourceError> {
        let index = &self.settings().index;
        let query = [("flat_settings", "true"), EVERYWHERE];
        let path = IndicesGetSettingsParts::IndexName(&[index], &SETTINGS).url();
        let settings: BTreeMap<String, IndexSettings> = self.ask_of_indices(&path, &query).await?;
        let open = settings.iter().filter(|(_, index)| !index.is_blocked());
        let writable: Vec<String> = open.map(|(name, _)| name.clone()).take(NAMED_MAX).collect();
        if !writable.is_empty() || settings.is_empty() {
            return Ok(WriteBlock {
                state: None,
                writable,
            });
        }
        let query = [("level", "shards"), ("filter_path", SEQUENCE_NUMBERS), EVERYWHERE];
        let path = IndicesStatsParts::IndexMetric(&[index], &["docs"]).url();
        let statistics: Statistics = self.ask_of_indices(&path, &query).await?;
        let is_whole = statistics.answered.failed == 0 && settings.keys().eq(statistics.indices.keys());
        Ok(WriteBlock {
            state: is_whole.then(|| state_of(&statistics)).flatten(),
            writable,
        })
    }

    async fn ask_of_indices<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<T, SourceError> {
        let call = Call {
            operation: OPERATION,
            method: Method::Get,
            path,
            query,
            body: CallBody::None,
        };
        let answer = self.wire().ask(&call).await?;
        serde_json::from_slice(&answer).map_err(|error| SourceError::malformed(OPERATION, &error))
    }
}

/// `None`: a shard has no primary that answers.
fn state_of(statistics: &Statistics) -> Option<String> {
    let mut digest = IdDigest::default();
    for index in statistics.indices.values() {
        for (shard, copies) in &index.shards {
            let primary = copies.iter().find(|copy| copy.routing.primary)?;
            let max = primary.seq_no.as_ref()?.max_seq_no;
            digest.add(format!("{} {shard} {max}", index.uuid).as_bytes());
        }
    }
    Some(digest.to_string())
}
