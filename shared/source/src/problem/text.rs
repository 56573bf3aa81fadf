//! What a problem of the source says: which index and field, what was found, what to do.
//!
//! Not here: which problems there are, and what they mean for the harvest (`problem.rs`).

use super::{FieldRole, Flaw, Kept, LeftOut, Role, SourceProblem};
use std::fmt;

const NAMED_INDICES_MAX: usize = 10;

impl fmt::Display for SourceProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&match self {
            Self::Unreachable { reason } => of_unreachable(reason),
            Self::NotElasticsearch { status, server } => of_server(*status, server.as_deref()),
            Self::TooOld { version } => of_old(version),
            Self::Denied { status, reason } => of_denied(*status, reason),
            Self::UnknownIndex { index } => of_unknown(index),
            Self::Remote { role, name } => of_remote(role, name),
            Self::Blocked { what } => format!("Elasticsearch refuses to read: {what}"),
            Self::Closed { reason } => of_closed(reason),
            Self::LeftOut { role, why, indices } => of_left_out(role, *why, indices),
            Self::SourceKept { role, kept, indices } => of_kept(role, *kept, indices),
            Self::FilteredAlias { aliases } => of_filtered_alias(aliases),
            Self::NeverRefreshed { indices } => of_never_refreshed(indices),
            Self::IndexLimit {
                role,
                setting,
                value,
                needed,
                indices,
            } => of_limit(role, (setting, *value, *needed), indices),
            Self::ClusterLimit {
                setting,
                value,
                needed,
            } => format!("the cluster's setting {setting} is {value}. {needed}"),
            Self::UnknownField { role, field, indices } => of_unknown_field(role, field, indices),
            Self::WrongType {
                role,
                field,
                found,
                indices,
            } => of_type(role, field, found, indices),
            Self::Unsorted { role, field, indices } => of_unsorted(role, field, indices),
            Self::Flawed {
                role,
                field,
                flaw,
                indices,
            } => of_flaw(role, field, *flaw, indices),
            Self::SeveralValues {
                role,
                field,
                sampled,
                several,
            } => of_several(role, field, *sampled, *several),
            Self::DocIdDiffers {
                field,
                sampled,
                differing,
            } => of_doc_ids(field, *sampled, *differing),
            Self::Routed { documents } => of_routed(*documents),
            Self::BadFilter { reason } => {
                format!("GRANARY_SOURCE_FILTER isn't a query that Elasticsearch takes: {reason}. Correct it")
            }
            Self::Lookup { reason } => reason.clone(),
            Self::Unchecked(error) => format!("the source could not be checked: {error}. Try again"),
        })
    }
}

impl FieldRole {
    fn variable(&self) -> String {
        match self {
            Self::Id => "GRANARY_SOURCE_ID_FIELD".to_owned(),
            Self::Time => "GRANARY_SOURCE_TIME_FIELD".to_owned(),
            Self::Key(name) => format!("the key of GRANARY_METADATA_SOURCES {:?}", name.as_str()),
        }
    }

    fn field(&self, field: &str) -> String {
        format!("field {field:?} ({})", self.variable())
    }

    fn wanted(&self) -> &'static str {
        match self {
            Self::Id | Self::Key(_) => "a keyword or a whole number",
            Self::Time => "a date or date_nanos",
        }
    }
}

impl Role {
    fn variable(&self) -> String {
        match self {
            Self::Messages => "GRANARY_SOURCE_INDEX".to_owned(),
            Self::Metadata(name) => format!("GRANARY_METADATA_SOURCES {:?}", name.as_str()),
        }
    }
}

fn of_unreachable(reason: &str) -> String {
    format!(
        "Elasticsearch can't be reached: {reason}. Check scheme, host and port in GRANARY_ES_URL, and that \
         this function's network may reach them"
    )
}

fn of_server(status: u16, server: Option<&str>) -> String {
    match server {
        Some(server) => format!(
            "{server} answers at GRANARY_ES_URL, and Granary reads Elasticsearch 7.17 or later alone: name an Elasticsearch"
        ),
        None => format!(
            "what answers ({status}) at GRANARY_ES_URL is not Elasticsearch 7.17 or later. Check host, port and \
             path; a proxy in between must keep the header X-Elastic-Product"
        ),
    }
}

fn of_old(version: &str) -> String {
    format!("Elasticsearch {version} is too old. Granary needs 7.17 or later: upgrade the cluster")
}

fn of_denied(status: u16, reason: &str) -> String {
    format!(
        "Elasticsearch denies access ({status}: {reason}). GRANARY_ES_SECRET_ARN must hold credentials with \
         the privileges `read` and `view_index_metadata` on GRANARY_SOURCE_INDEX"
    )
}

fn of_unknown(index: &str) -> String {
    format!(
        "{index:?} stands for no index, or one of its names doesn't. Create it, or correct \
         GRANARY_SOURCE_INDEX"
    )
}

fn of_remote(role: &Role, name: &str) -> String {
    match role {
        Role::Messages => format!(
            "{name:?} names a remote cluster, and Elasticsearch gives no documents by id across clusters. Set \
             GRANARY_ES_URL to that cluster, and its name without the prefix in GRANARY_SOURCE_INDEX"
        ),
        Role::Metadata(source) => format!(
            "{name:?} of GRANARY_METADATA_SOURCES {:?} names a remote cluster, and Elasticsearch answers as if it had no \
             entries while that cluster can't be reached. Name an index of the messages' own cluster",
            source.as_str()
        ),
    }
}

fn of_closed(reason: &str) -> String {
    format!(
        "an index that is named alone or by an alias is closed, and every search is refused ({reason}). Open it, or \
         take it out of GRANARY_SOURCE_INDEX"
    )
}

fn of_left_out(role: &Role, why: LeftOut, indices: &[String]) -> String {
    let (what, remedy) = match why {
        LeftOut::Blocked => ("blocked (index.blocks.read)", "Remove the block"),
        LeftOut::Closed => ("closed", "Open them"),
        LeftOut::Hidden => ("hidden", "Set index.hidden to false"),
        LeftOut::Frozen => ("frozen", "Unfreeze them"),
        LeftOut::Unknown => ("not searched", "Name each of them"),
    };
    format!(
        "{} matches indices that are {what}, and their documents are not archived: {}. {remedy}, or narrow the pattern",
        role.variable(),
        named(indices)
    )
}

fn of_kept(role: &Role, kept: Kept, indices: &[String]) -> String {
    let (variable, indices) = (role.variable(), named(indices));
    match kept {
        Kept::Nothing => format!(
            "`_source` is disabled in {indices} ({variable}): no document can be read back. Take these out, or reindex from \
             where the documents came"
        ),
        Kept::Part => format!(
            "`_source` leaves out fields (includes or excludes) in {indices} ({variable}): the archive has what the index \
             keeps, and no more. Reindex with the whole `_source` where these fields matter"
        ),
        Kept::AllButVectors => format!(
            "vectors are kept apart from `_source` in {indices} ({variable}): they are archived as Elasticsearch makes them anew, \
             and may differ in the last digits. Set index.mapping.exclude_source_vectors to false for new indices where that \
             matters"
        ),
        Kept::Values => format!(
            "`_source` is synthetic in {indices} ({variable}): documents are archived as Elasticsearch makes them anew, with \
             other order and notation than was indexed. Set index.mapping.source.mode to stored for new indices where that \
             matters"
        ),
    }
}

fn of_filtered_alias(aliases: &[String]) -> String {
    format!(
        "GRANARY_SOURCE_INDEX names aliases with a filter or a routing: {}. What these leave out is not archived, and is lost \
         with the indices. Name the indices, or an alias that shows all of them, where that matters",
        named(aliases)
    )
}

fn of_never_refreshed(indices: &[String]) -> String {
    format!(
        "index.refresh_interval is -1 in {}: searches don't show new documents before a refresh, and windows are recorded \
         without them. Set it to 1s, or run a verification with repair after each refresh",
        named(indices)
    )
}

fn of_limit(role: &Role, (setting, value, needed): (&str, u64, u64), indices: &[String]) -> String {
    format!(
        "{setting} is {value} in {} ({}), and Granary needs {needed}. Set it to {needed} or more",
        named(indices),
        role.variable()
    )
}

fn of_unknown_field(role: &FieldRole, field: &str, indices: &[String]) -> String {
    format!(
        "the {} isn't mapped in {}, which hold documents. Correct the name, or map it there",
        role.field(field),
        named(indices)
    )
}

fn of_unsorted(role: &FieldRole, field: &str, indices: &[String]) -> String {
    format!(
        "the {} isn't indexed or has no doc values in {}. Reindex these with `index` and `doc_values` on, or name \
         another field",
        role.field(field),
        named(indices)
    )
}

fn of_doc_ids(field: &str, sampled: u64, differing: u64) -> String {
    format!(
        "GRANARY_SOURCE_DOC_ID says that `_id` equals {field:?}, but it doesn't in {differing} of {sampled} \
         documents. Remove the setting"
    )
}

fn of_routed(documents: u64) -> String {
    format!(
        "GRANARY_SOURCE_DOC_ID says that the id is enough to find a document, but {documents} or more have a \
         routing of their own. Remove the setting"
    )
}

fn of_type(role: &FieldRole, field: &str, found: &str, indices: &[String]) -> String {
    let remedy = match role {
        FieldRole::Id | FieldRole::Key(_) if found == "text" => {
            format!(
                "Name its keyword sub-field (often \"{field}.keyword\") if every index has one, or reindex these"
            )
        }
        FieldRole::Id | FieldRole::Key(_) | FieldRole::Time => {
            "Name another field, or reindex these".to_owned()
        }
    };
    format!(
        "the {} must be {}, but is {found} in {}. {remedy}",
        role.field(field),
        role.wanted(),
        named(indices),
    )
}

fn of_flaw(role: &FieldRole, field: &str, flaw: Flaw, indices: &[String]) -> String {
    let shortened;
    let (what, remedy) = match flaw {
        Flaw::Normalized => (
            "has a normalizer, which makes one id of several,",
            "Name a keyword without a normalizer (a sub-field, for instance), or reindex these",
        ),
        Flaw::NullValue if *role == FieldRole::Time => (
            "has a null_value, under which documents with a null are archived,",
            "Remove null_value if these documents have no time",
        ),
        Flaw::NullValue => (
            "has a null_value, which makes one message of all documents with a null,",
            "Remove null_value from the mapping, or name another field",
        ),
        Flaw::Constant => (
            "has the same value for every document",
            "Name the field that tells messages apart",
        ),
        Flaw::Nested => (
            "lies in a nested object, where searches don't see it,",
            "Name a field of the document itself, or map the object without `nested`",
        ),
        Flaw::Flattened => (
            "lies below a flattened field, which holds texts and no dates,",
            "Map it as a date of its own",
        ),
        Flaw::SeveralTypes => (
            "has another type than in other indices, and can't be searched for the same ids,",
            "Reindex these with the type of the others",
        ),
        Flaw::Runtime => (
            "is a runtime field, computed by every search,",
            "Index it: reading is slow, and stops where search.allow_expensive_queries is false",
        ),
        Flaw::Shortened { ignore_above } => {
            shortened = format!("leaves out ids of more than {ignore_above} characters (ignore_above)");
            (
                shortened.as_str(),
                "Documents with such ids are not found by them. Set ignore_above to 512 or more, and reindex",
            )
        }
        Flaw::Coerced => (
            "takes texts and fractions for whole numbers (\"007\", 7.9 and 7 are one id)",
            "Set coerce to false in the mapping",
        ),
    };
    format!("the {} {what} in {}. {remedy}", role.field(field), named(indices))
}

fn of_several(role: &FieldRole, field: &str, sampled: u64, several: u64) -> String {
    let meaning = match role {
        FieldRole::Id | FieldRole::Key(_) => "Documents with several ids are not archived: index one each",
        FieldRole::Time => {
            "A document is in the windows of all its times, and is archived under the earliest: index one each"
        }
    };
    format!(
        "the {} has more than one value in {several} of {sampled} sampled documents. {meaning}",
        role.field(field)
    )
}

/// Indices by name: all of a few, the first of many.
pub(crate) fn named(indices: &[String]) -> String {
    let shown = indices
        .iter()
        .take(NAMED_INDICES_MAX)
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(", ");
    match indices.len().saturating_sub(NAMED_INDICES_MAX) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
