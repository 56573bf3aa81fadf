//! What Elasticsearch's error types say: an outage, which passes by itself, or a refusal, which a person has to mend.
//!
//! The lists name what is known. A type on none of them is a refusal: it defers work and raises an alert, and costs
//! neither a message nor an attempt. Nothing here says anything about a single document.

use crate::error::reason_of;
use serde_json::Value;

/// An item of an `_mget` that has an error instead of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ItemError {
    /// Its index was deleted. (One that is closed, blocked or of another cluster answers in another way.)
    IndexDeleted,
    /// The document can't be asked for in this way: its routing isn't known, or its index's name is by now an alias of several.
    Unaddressable { reason: String },
    /// A shard, a node or the connection between nodes: it passes.
    Outage { reason: String },
    /// A block, a privilege, a closed index, or anything unknown.
    Refusal { reason: String },
}

impl ItemError {
    /// Sorts an item's error. Only the item's own type says that its index is gone: the same type as the cause of
    /// another error says that a node doesn't know the index at this moment.
    pub(crate) fn of(error: &Value, index: &str) -> Self {
        let own = error["type"].as_str().unwrap_or_default();
        let types = types_of(error);
        let reason = reason_of(error).unwrap_or_else(|| "an error without a reason".to_owned());
        let is_alone = types.iter().all(|name| *name == INDEX_NOT_FOUND);
        if own == INDEX_NOT_FOUND && is_alone && !index.contains(':') {
            Self::IndexDeleted
        } else if is_outage(&types, &reason) {
            Self::Outage { reason }
        } else if own == "routing_missing_exception" || reason.contains("more than one index") {
            Self::Unaddressable {
                reason: with_remedy(reason),
            }
        } else {
            Self::Refusal {
                reason: with_remedy(reason),
            }
        }
    }
}

const INDEX_NOT_FOUND: &str = "index_not_found_exception";

/// Whether an error passes by itself. A block has two meanings: of a cluster that is starting, or set by a person.
pub(crate) fn is_outage(types: &[&str], reason: &str) -> bool {
    let is_starting = types.contains(&"cluster_block_exception") && reason.contains("SERVICE_UNAVAILABLE");
    is_starting || types.iter().any(|name| PASSING.contains(name))
}

/// Busy nodes; shards and indices that can't be read for the moment; disks, repositories and connections between nodes.
const PASSING: [&str; 33] = [
    "circuit_breaking_exception",
    "es_rejected_execution_exception",
    "no_shard_available_action_exception",
    "unavailable_shards_exception",
    "node_not_connected_exception",
    "node_disconnected_exception",
    "node_closed_exception",
    "receive_timeout_transport_exception",
    "connect_transport_exception",
    "send_request_transport_exception",
    "transport_serialization_exception",
    "no_node_available_exception",
    "process_cluster_event_timeout_exception",
    "master_not_discovered_exception",
    "not_master_exception",
    "shard_not_found_exception",
    "shard_not_in_primary_mode_exception",
    "illegal_index_shard_state_exception",
    "index_shard_closed_exception",
    "index_shard_recovering_exception",
    "timeout_exception",
    "elasticsearch_timeout_exception",
    "task_cancelled_exception",
    "already_closed_exception",
    "engine_closed_exception",
    "i_o_exception",
    "e_o_f_exception",
    "no_such_file_exception",
    "file_system_exception",
    "corrupt_index_exception",
    "repository_exception",
    "repository_missing_exception",
    "connect_exception",
];

/// What Elasticsearch answers (with 500) where it can't write out as JSON what somebody indexed as YAML, CBOR or SMILE.
const NOT_WRITABLE: [&str; 6] = [
    "json_parse_exception",
    "json_generation_exception",
    "x_content_parse_exception",
    "x_content_generation_exception",
    "json_e_o_f_exception",
    "input_coercion_exception",
];

/// Whether an answer of 500 may be a document's fault: it has no word of Elasticsearch in it, or says that something can't
/// be written out.
pub(crate) fn may_be_a_documents(types: &[&str]) -> bool {
    types.is_empty() || types.iter().any(|name| NOT_WRITABLE.contains(name))
}

/// A refusal with what a person can do about it, where that is known.
pub(crate) fn with_remedy(reason: String) -> String {
    let remedies = [
        ("index_closed_exception", "Open the index, or delete it"),
        (
            "cluster_block_exception",
            "Remove the block (index.blocks.*) from the index or the cluster",
        ),
        (
            "security_exception",
            "Grant the user of GRANARY_ES_SECRET_ARN `read` and `view_index_metadata` on every index of \
             GRANARY_SOURCE_INDEX and GRANARY_METADATA_SOURCES",
        ),
        (
            "Cross-cluster calls are not supported",
            "Granary exports from one cluster: set GRANARY_ES_URL to the remote one, and name its indices without a prefix",
        ),
        (
            "no_such_remote_cluster_exception",
            "Granary exports from one cluster: name indices without a cluster's prefix",
        ),
        (
            "explicit index in multi get is not allowed",
            "Set rest.action.multi.allow_explicit_index to true on the nodes",
        ),
    ];
    let known = remedies.iter().find(|(sign, _)| reason.contains(sign));
    match known {
        Some((_, remedy)) => format!("{reason}. {remedy}"),
        None => reason,
    }
}

/// Every type that an error names: its own, its root causes', its shards'.
pub(crate) fn types_of(error: &Value) -> Vec<&str> {
    let mut types: Vec<&str> = error["type"].as_str().into_iter().collect();
    for part in ["root_cause", "failed_shards"] {
        types.extend(error[part].as_array().into_iter().flatten().flat_map(types_of));
    }
    for part in ["caused_by", "reason"] {
        if error[part].is_object() {
            types.extend(types_of(&error[part]));
        }
    }
    types
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn sorted(error: Value) -> ItemError {
        ItemError::of(&error, "messages")
    }

    fn own(kind: &str, reason: &str) -> Value {
        json!({"root_cause": [{"type": kind, "reason": reason}], "type": kind, "reason": reason})
    }

    #[test]
    fn e1_an_index_is_deleted_only_where_its_item_says_so_itself() {
        let gone = own("index_not_found_exception", "no such index [messages]");
        assert_eq!(sorted(gone.clone()), ItemError::IndexDeleted);
        let wrapped = json!({
            "root_cause": [{"type": "index_not_found_exception", "reason": "no such index"}],
            "type": "no_shard_available_action_exception", "reason": "No shard available",
            "caused_by": {"type": "index_not_found_exception", "reason": "no such index"},
        });
        assert!(matches!(sorted(wrapped), ItemError::Outage { .. }));
        let by_unknown = json!({
            "type": "index_not_found_exception", "reason": "no such index", "caused_by": {"type": "new_exception"},
        });
        assert!(matches!(sorted(by_unknown), ItemError::Refusal { .. }));
        assert!(
            matches!(ItemError::of(&gone, "remote:messages"), ItemError::Refusal { .. }),
            "7.17 says this of a remote index that is there"
        );
    }

    #[test]
    fn e2_what_is_unknown_is_a_refusal_and_never_a_documents_fault() {
        for kind in [
            "security_exception",
            "illegal_argument_exception",
            "brand_new_exception",
        ] {
            assert!(
                matches!(sorted(own(kind, "no")), ItemError::Refusal { .. }),
                "{kind}"
            );
        }
        assert!(matches!(sorted(json!({})), ItemError::Refusal { .. }));
    }

    #[test]
    fn h7_disks_breakers_and_nodes_are_outages() {
        for kind in PASSING {
            assert!(
                matches!(sorted(own(kind, "x")), ItemError::Outage { .. }),
                "{kind}"
            );
        }
        let block = |reason| sorted(own("cluster_block_exception", reason));
        let starting = "blocked by: [SERVICE_UNAVAILABLE/1/state not recovered / initialized];";
        assert!(matches!(block(starting), ItemError::Outage { .. }));
        let ItemError::Refusal { reason } = block("index [a] blocked by: [FORBIDDEN/7/index read (api)];")
        else {
            panic!("a person set it")
        };
        assert!(
            reason.ends_with("Remove the block (index.blocks.*) from the index or the cluster"),
            "{reason}"
        );
    }

    #[test]
    fn e8_a_500_blames_a_document_only_for_what_can_not_be_written_out() {
        assert!(
            may_be_a_documents(&[])
                && may_be_a_documents(&["json_parse_exception", "number_format_exception"])
        );
        assert!(!may_be_a_documents(&["null_pointer_exception"]));
    }
}
