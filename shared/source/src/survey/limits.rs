//! What the cluster's settings allow, held against what Granary asks of it.
//!
//! One request. Credentials without the cluster privilege `monitor`, and services that have no such settings, don't
//! answer it: then nothing is known, and a refusal is reported when it comes.

use crate::Source;
use crate::error::SourceError;
use crate::pit::KEEP_ALIVE_SECS;
use crate::problem::SourceProblem;
use crate::wire::Call;
use serde::Deserialize;
use serde_json::Value;

const OPERATION: &str = "read the cluster's settings";
const QUERY: [(&str, &str); 2] = [
    ("include_defaults", "true"),
    (
        "filter_path",
        "*.search.max_keep_alive,*.search.allow_expensive_queries,*.rest.action.multi.allow_explicit_index,\
         *.action.search.shard_count.limit",
    ),
];

/// The settings that were asked for, as far as they are known.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(crate) struct Limits {
    transient: Value,
    persistent: Value,
    defaults: Value,
}

/// What the source needs of the cluster.
pub(crate) struct Needed {
    /// In all indices that are searched at once.
    pub(crate) shards: u64,
    /// Whether a configured field is computed by each search.
    pub(crate) has_runtime_field: bool,
}

impl Limits {
    /// What doesn't suffice.
    pub(crate) fn problems(&self, needed: &Needed) -> Vec<SourceProblem> {
        let mut problems = Vec::new();
        let mut refuse = |setting, value: &str, needed: String| {
            problems.push(SourceProblem::ClusterLimit {
                setting,
                value: value.to_owned(),
                needed,
            });
        };
        if let Some(value) = self.of("/rest/action/multi/allow_explicit_index")
            && value == "false"
        {
            refuse(
                "rest.action.multi.allow_explicit_index",
                value,
                "Granary reads documents of several indices in one request: set it to true on the nodes"
                    .to_owned(),
            );
        }
        if let Some(value) = self.of("/search/max_keep_alive")
            && secs_of(value).is_some_and(|secs| secs < KEEP_ALIVE_SECS)
        {
            let needed =
                format!("Granary keeps points in time for {KEEP_ALIVE_SECS}s: set it to that or more");
            refuse("search.max_keep_alive", value, needed);
        }
        if let Some(value) = self.of("/action/search/shard_count/limit")
            && value.parse::<u64>().is_ok_and(|limit| limit < needed.shards)
        {
            let needed = format!(
                "GRANARY_SOURCE_INDEX has {} shards: set it to that or more, or narrow the pattern",
                needed.shards
            );
            refuse("action.search.shard_count.limit", value, needed);
        }
        if let Some(value) = self.of("/search/allow_expensive_queries")
            && value == "false"
            && needed.has_runtime_field
        {
            let needed = "A configured field is a runtime field, and can't be searched then: index it, or set this to true";
            refuse("search.allow_expensive_queries", value, needed.to_owned());
        }
        problems
    }

    /// The value that is in force.
    fn of(&self, path: &str) -> Option<&str> {
        [&self.transient, &self.persistent, &self.defaults]
            .into_iter()
            .find_map(|settings| settings.pointer(path)?.as_str())
    }
}

impl Source {
    pub(crate) async fn cluster_limits(&self) -> Result<Limits, SourceError> {
        let call = Call::get(OPERATION, "/_cluster/settings", &QUERY);
        match self.wire().read(&call).await {
            Err(error) if !error.is_platforms() => {
                tracing::debug!(%error, "the cluster's settings are not known");
                Ok(Limits::default())
            }
            limits => limits,
        }
    }
}

/// Whole seconds of a time as Elasticsearch writes it: `90s`, `5m`, `24h`.
fn secs_of(text: &str) -> Option<u64> {
    const UNITS: [(&str, f64); 7] = [
        ("nanos", 1e-9),
        ("micros", 1e-6),
        ("ms", 1e-3),
        ("s", 1.0),
        ("m", 60.0),
        ("h", 3_600.0),
        ("d", 86_400.0),
    ];
    let (unit, factor) = UNITS.into_iter().find(|(unit, _)| text.ends_with(unit))?;
    let number: f64 = text.strip_suffix(unit)?.parse().ok()?;
    Some((number * factor) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn h15_times_are_read_in_all_their_units() {
        let read = ["90s", "5m", "24h", "1.5h", "400ms", "1d", "-1", "x"].map(secs_of);
        let known = [90, 300, 86_400, 5_400, 0, 86_400].map(Some);
        assert_eq!(read[..6], known);
        assert_eq!(read[6..], [None, None]);
    }

    #[test]
    fn h15_the_setting_in_force_is_the_transient_one_and_what_is_unknown_is_no_problem() {
        let needed = Needed {
            shards: 3,
            has_runtime_field: false,
        };
        let limits = |settings: Value| {
            serde_json::from_value::<Limits>(settings)
                .unwrap()
                .problems(&needed)
        };
        let of = |alive: &str| json!({"search": {"max_keep_alive": alive}});
        assert_eq!(limits(json!({})), []);
        assert_eq!(
            limits(json!({"defaults": of("24h"), "persistent": of("1m"), "transient": of("5m")})),
            []
        );
        assert_eq!(
            limits(json!({"defaults": of("24h"), "persistent": of("1m")})).len(),
            1
        );
        let shards =
            |limit: &str| json!({"defaults": {"action": {"search": {"shard_count": {"limit": limit}}}}});
        assert_eq!(limits(shards("9223372036854775807")), []);
        assert_eq!(limits(shards("2")).len(), 1);
    }
}
