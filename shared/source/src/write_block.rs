//! Whether the source can still change: which of its indices take writes, and which state those that don't are in.
//!
//! A state is the history of every shard: as long as it is equal, nothing was written, changed or deleted in between, whatever
//! became of the block meanwhile. Searches show only what was refreshed, so a blocked source is refreshed first. This needs the
//! index privileges `monitor` and `maintenance`; without them the call is refused.

use crate::Source;
use crate::error::SourceError;
use crate::wire::{Call, CallBody};
use elasticsearch::http::Method;
use elasticsearch::indices::{IndicesGetSettingsParts, IndicesRefreshParts, IndicesStatsParts};
use granary_domain::IdDigest;
use serde::Deserialize;
use std::collections::BTreeMap;

const OPERATION: &str = "ask whether the source is write-blocked";
/// Indices that are named.
const NAMED_MAX: usize = 10;
/// The last one is there in every index, so that each is in the answer.
const SETTINGS: [&str; 3] = ["index.blocks.write", "index.blocks.read_only", "index.uuid"];
/// Closed and hidden indices as well: a search through a pattern doesn't read them.
const EVERYWHERE: (&str, &str) = ("expand_wildcards", "all");
const SEQUENCE_NUMBERS: &str =
    "indices.*.uuid,indices.*.shards.*.seq_no.max_seq_no,indices.*.shards.*.routing.primary,_shards";

/// Which indices of the source take writes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WriteBlock {
    /// The digest of all shards' histories. `None`: an index takes writes, or there is none.
    pub state: Option<String>,
    /// Indices that take writes: the first 10 of them by name.
    pub writable: Vec<String>,
    /// Indices that a search through the source's name doesn't read, since they are closed or hidden: the first 10 of them by
    /// name.
    pub unread: Vec<String>,
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
struct Refreshed {
    #[serde(rename = "_shards")]
    answered: Answered,
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
    /// Which indices take writes, and the state that the source is in where none does. Three requests.
    pub async fn write_blocked_state(&self) -> Result<WriteBlock, SourceError> {
        let index = &self.settings().index;
        let query = [("flat_settings", "true"), EVERYWHERE];
        let path = IndicesGetSettingsParts::IndexName(&[index], &SETTINGS).url();
        let settings: BTreeMap<String, IndexSettings> =
            self.wire().read(&Call::get(OPERATION, &path, &query)).await?;
        let open = settings.iter().filter(|(_, index)| !index.is_blocked());
        let writable: Vec<String> = open.map(|(name, _)| name.clone()).take(NAMED_MAX).collect();
        if !writable.is_empty() || settings.is_empty() {
            return Ok(WriteBlock {
                writable,
                ..WriteBlock::default()
            });
        }
        self.refresh_blocked().await?;
        // Of the indices that searches read.
        let query = [("level", "shards"), ("filter_path", SEQUENCE_NUMBERS)];
        let path = IndicesStatsParts::IndexMetric(&[index], &["docs"]).url();
        let statistics: Statistics = self.wire().read(&Call::get(OPERATION, &path, &query)).await?;
        let is_read = |name: &&String| statistics.indices.contains_key(*name);
        let unread = settings.keys().filter(|name| !is_read(name));
        let unread: Vec<String> = unread.take(NAMED_MAX).cloned().collect();
        let is_whole = statistics.answered.failed == 0 && unread.is_empty();
        Ok(WriteBlock {
            state: is_whole.then(|| state_of(&statistics)).flatten(),
            writable,
            unread,
        })
    }

    /// Makes visible what was written before the block.
    async fn refresh_blocked(&self) -> Result<(), SourceError> {
        let path = IndicesRefreshParts::Index(&[&self.settings().index]).url();
        let call = Call {
            operation: OPERATION,
            method: Method::Post,
            path: &path,
            query: &[],
            body: CallBody::None,
        };
        let refreshed: Refreshed = self.wire().read(&call).await?;
        match refreshed.answered.failed {
            0 => Ok(()),
            failed => Err(SourceError::Unavailable {
                operation: OPERATION,
                status: Some(200),
                retry_after: None,
                reason: format!("{failed} shards were not refreshed"),
            }),
        }
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
