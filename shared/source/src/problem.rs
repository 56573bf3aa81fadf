//! Why a source can't be harvested: what is wrong, and what to do about it.

use crate::SourceError;
use std::fmt;

const NAMED_INDICES_MAX: usize = 10;

/// What a field is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldRole {
    /// It holds the message's id.
    Id,
    /// It holds the event time.
    Time,
}

impl FieldRole {
    fn variable(self) -> &'static str {
        match self {
            Self::Id => "GRANARY_SOURCE_ID_FIELD",
            Self::Time => "GRANARY_SOURCE_TIME_FIELD",
        }
    }

    fn wanted(self) -> &'static str {
        match self {
            Self::Id => "a keyword or a whole number",
            Self::Time => "a date or date_nanos",
        }
    }
}

/// One thing that is wrong with a source. Its text says what, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceProblem {
    /// Nothing answers, or nothing that can.
    Unreachable {
        /// How the connection failed.
        reason: String,
    },
    /// Something else answers.
    NotElasticsearch {
        /// The status it answered with.
        status: u16,
    },
    /// The credentials are absent, wrong, or not enough.
    Denied {
        /// 401 or 403.
        status: u16,
        /// What Elasticsearch says.
        reason: String,
    },
    /// The name stands for no index, or one of a list isn't there.
    UnknownIndex {
        /// The name.
        index: String,
    },
    /// The source lies in another cluster. Ids can be read across clusters, documents can't.
    Remote {
        /// The name with the cluster's prefix.
        name: String,
    },
    /// A field isn't in the mapping of indices that hold documents.
    UnknownField {
        /// What it is for.
        role: FieldRole,
        /// Its name.
        field: String,
        /// Where it isn't.
        indices: Vec<String>,
    },
    /// A field has a type that doesn't do.
    WrongType {
        /// What it is for.
        role: FieldRole,
        /// Its name.
        field: String,
        /// The type.
        found: String,
        /// Where it has it.
        indices: Vec<String>,
    },
    /// A field has a type that does, but isn't indexed or has no doc values.
    Unsorted {
        /// What it is for.
        role: FieldRole,
        /// Its name.
        field: String,
        /// Where.
        indices: Vec<String>,
    },
    /// `_id` and the id field differ, though the settings say that they don't.
    DocIdDiffers {
        /// The id field.
        field: String,
        /// How many documents were looked at.
        sampled: u64,
        /// How many of these differ.
        differing: u64,
    },
    /// Documents have a routing of their own, though the settings say that their id is enough to find them.
    Routed {
        /// How many at least.
        documents: u64,
    },
    /// The source's filter is no query.
    BadFilter {
        /// What Elasticsearch says.
        reason: String,
    },
    /// The check itself failed.
    Unchecked(SourceError),
}

impl SourceProblem {
    /// What a failed request means where nothing better is known.
    pub(crate) fn from_error(error: SourceError, index: &str) -> Self {
        if error.is_unknown_index() {
            return Self::UnknownIndex {
                index: index.to_owned(),
            };
        }
        match error {
            SourceError::Unavailable {
                status: None, reason, ..
            }
            | SourceError::TooHeavy {
                status: None, reason, ..
            }
            | SourceError::BrokeOff {
                status: None, reason, ..
            } => Self::Unreachable { reason },
            SourceError::NotElasticsearch { status, .. } => Self::NotElasticsearch { status },
            SourceError::Refused {
                status: status @ (401 | 403),
                reason,
                ..
            } => Self::Denied { status, reason },
            SourceError::Unavailable { .. }
            | SourceError::TooHeavy { .. }
            | SourceError::OverLimit { .. }
            | SourceError::BrokeOff { .. }
            | SourceError::PitLost
            | SourceError::TooLarge { .. }
            | SourceError::Refused { .. }
            | SourceError::Malformed { .. }
            | SourceError::NotJson { .. }
            | SourceError::Misconfigured { .. } => Self::Unchecked(error),
        }
    }
}

impl fmt::Display for SourceProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable { reason } => write!(
                f,
                "Elasticsearch can't be reached: {reason}. Check scheme, host and port in GRANARY_ES_URL, and that \
                 this function's network may reach them"
            ),
            Self::NotElasticsearch { status } => write!(
                f,
                "what answers ({status}) at GRANARY_ES_URL is not Elasticsearch 7.17 or later. Check host, port and \
                 path; a proxy in between must keep the header X-Elastic-Product"
            ),
            Self::Denied { status, reason } => write!(
                f,
                "Elasticsearch denies access ({status}: {reason}). GRANARY_ES_SECRET_ARN must hold credentials with \
                 the privileges `read` and `view_index_metadata` on GRANARY_SOURCE_INDEX"
            ),
            Self::UnknownIndex { index } => write!(
                f,
                "{index:?} stands for no index, or one of its names doesn't. Create it, or correct \
                 GRANARY_SOURCE_INDEX"
            ),
            Self::Remote { name } => f.write_str(&of_remote(name)),
            Self::UnknownField { role, field, indices } => write!(
                f,
                "the field {field:?} ({}) isn't mapped in {}, which hold documents. Correct the name, or map it there",
                role.variable(),
                named(indices)
            ),
            Self::WrongType {
                role,
                field,
                found,
                indices,
            } => write!(
                f,
                "the field {field:?} ({}) must be {}, but is {found} in {}. {}",
                role.variable(),
                role.wanted(),
                named(indices),
                remedy(*role, field, found)
            ),
            Self::Unsorted { role, field, indices } => write!(
                f,
                "the field {field:?} ({}) isn't indexed or has no doc values in {}. Reindex these with `index` and \
                 `doc_values` on, or name another field",
                role.variable(),
                named(indices)
            ),
            Self::DocIdDiffers {
                field,
                sampled,
                differing,
            } => write!(
                f,
                "GRANARY_SOURCE_DOC_ID says that `_id` equals {field:?}, but it doesn't in {differing} of {sampled} \
                 documents. Remove the setting"
            ),
            Self::Routed { documents } => write!(
                f,
                "GRANARY_SOURCE_DOC_ID says that the id is enough to find a document, but {documents} or more have a \
                 routing of their own. Remove the setting"
            ),
            Self::BadFilter { reason } => write!(
                f,
                "GRANARY_SOURCE_FILTER isn't a query that Elasticsearch takes: {reason}. Correct it"
            ),
            Self::Unchecked(error) => write!(f, "the source could not be checked: {error}. Try again"),
        }
    }
}

impl std::error::Error for SourceProblem {}

fn of_remote(name: &str) -> String {
    format!(
        "{name:?} names a remote cluster, and Elasticsearch gives no documents by id across clusters. Set \
         GRANARY_ES_URL to that cluster, and its name without the prefix in GRANARY_SOURCE_INDEX"
    )
}

fn remedy(role: FieldRole, field: &str, found: &str) -> String {
    match role {
        FieldRole::Id if found == "text" => {
            format!(
                "Name its keyword sub-field (often \"{field}.keyword\") if every index has one, or reindex these"
            )
        }
        FieldRole::Id | FieldRole::Time => "Name another field, or reindex these".to_owned(),
    }
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
