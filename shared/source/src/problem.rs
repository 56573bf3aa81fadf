//! What is wrong with a source: which problems there are, and which of them keep it from being harvested.
//!
//! A problem is refused where messages would be lost or mixed up, or where Elasticsearch would refuse every page. Where
//! mapping or settings show that only some indices have it, these are left out and the others are read. Else the problem is
//! reported: the harvest continues, and one alert is raised. What each says, and what to do, is `problem/text.rs`.

mod text;

pub(crate) use text::named;

use crate::SourceError;
use granary_domain::{IdDigest, MetadataName};

/// What a field is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldRole {
    /// It holds the message's id.
    Id,
    /// It holds the event time.
    Time,
    /// It holds the message's id in the entries of a metadata source.
    Key(MetadataName),
}

/// Which of the configured indices a problem is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// Those of GRANARY_SOURCE_INDEX.
    Messages,
    /// Those of one of GRANARY_METADATA_SOURCES.
    Metadata(MetadataName),
}

/// What a problem means for the harvest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The harvest continues. One alert is raised.
    Reported,
    /// The indices that it names are not read; the others are.
    LeftOut,
    /// Nothing is read until it is mended.
    Refused,
}

/// Why a field doesn't hold what a document has there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flaw {
    /// A normalizer makes one value of several.
    Normalized,
    /// Documents with a null get a value.
    NullValue,
    /// Every document has the same value.
    Constant,
    /// It lies in a nested object, where searches of documents don't see it.
    Nested,
    /// It lies below a flattened field, which holds texts alone.
    Flattened,
    /// It has another type than in other indices, and can't be searched for the same ids.
    SeveralTypes,
    /// It is computed whenever it is read.
    Runtime,
    /// Longer values are left out.
    Shortened {
        /// In characters.
        ignore_above: u64,
    },
    /// A text or a fraction becomes a whole number.
    Coerced,
}

/// What an index keeps of the documents that were indexed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kept {
    /// Nothing.
    Nothing,
    /// Only some fields.
    Part,
    /// The values, of which a document is made anew.
    Values,
    /// All but vectors, which are made anew of what their index keeps.
    AllButVectors,
}

/// Why an index that a pattern matches isn't read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeftOut {
    /// A person has blocked reading.
    Blocked,
    /// It is closed.
    Closed,
    /// It is hidden.
    Hidden,
    /// It is frozen.
    Frozen,
    /// Elasticsearch doesn't say.
    Unknown,
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
        /// What it says that it is: `OpenSearch 2.11.0`.
        server: Option<String>,
    },
    /// An Elasticsearch before 7.17.
    TooOld {
        /// Its version.
        version: String,
    },
    /// The credentials are not enough.
    Denied {
        /// 403.
        status: u16,
        /// What Elasticsearch says.
        reason: String,
    },
    /// The name stands for no index, or one of a list isn't there.
    UnknownIndex {
        /// The name.
        index: String,
    },
    /// It lies in another cluster. Ids can be read across clusters, documents can't; and a cluster that can't be reached
    /// has no entries.
    Remote {
        /// Which indices it is about.
        role: Role,
        /// The name with the cluster's prefix.
        name: String,
    },
    /// A person has blocked reading, and the name can't be searched without the indices that are blocked.
    Blocked {
        /// The indices and their block, or what Elasticsearch says.
        what: String,
    },
    /// A closed index is named alone or by an alias: each search is refused.
    Closed {
        /// What Elasticsearch says.
        reason: String,
    },
    /// Indices that the name matches and that aren't read.
    LeftOut {
        /// Whose.
        role: Role,
        /// Why.
        why: LeftOut,
        /// Their names.
        indices: Vec<String>,
    },
    /// What was indexed can't be read back, or not as it was.
    SourceKept {
        /// Whose.
        role: Role,
        /// What is kept.
        kept: Kept,
        /// Where.
        indices: Vec<String>,
    },
    /// Aliases show only what matches a filter of theirs, or what lies where a routing leads.
    FilteredAlias {
        /// Their names.
        aliases: Vec<String>,
    },
    /// Searches don't show new documents by themselves.
    NeverRefreshed {
        /// Where.
        indices: Vec<String>,
    },
    /// A setting of indices allows less than Granary needs.
    IndexLimit {
        /// Whose.
        role: Role,
        /// Its name.
        setting: &'static str,
        /// What it allows.
        value: u64,
        /// What is needed.
        needed: u64,
        /// Where.
        indices: Vec<String>,
    },
    /// A setting of the cluster allows less than Granary needs.
    ClusterLimit {
        /// Its name.
        setting: &'static str,
        /// Its value.
        value: String,
        /// What Granary needs of it.
        needed: String,
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
    /// A field doesn't hold what documents have there.
    Flawed {
        /// What it is for.
        role: FieldRole,
        /// Its name.
        field: String,
        /// In which way.
        flaw: Flaw,
        /// Where.
        indices: Vec<String>,
    },
    /// Documents of a sample have more than one value in a field, where a message has one.
    SeveralValues {
        /// What it is for.
        role: FieldRole,
        /// Its name.
        field: String,
        /// How many documents were looked at.
        sampled: u64,
        /// How many of these have several.
        several: u64,
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
    /// A metadata source can't be looked up by the messages' ids.
    Lookup {
        /// What is wrong with which field, and what to do.
        reason: String,
    },
    /// The check itself failed.
    Unchecked(SourceError),
}

impl SourceProblem {
    /// What it means for the harvest.
    pub fn severity(&self) -> Severity {
        match self {
            Self::FilteredAlias { .. } | Self::NeverRefreshed { .. } | Self::SeveralValues { .. } => {
                Severity::Reported
            }
            Self::LeftOut { role, .. } => match role {
                Role::Messages => Severity::LeftOut,
                Role::Metadata(_) => Severity::Reported,
            },
            Self::SourceKept { role, kept, .. } => match kept {
                Kept::Nothing => role.without_indices(),
                Kept::Part | Kept::Values | Kept::AllButVectors => Severity::Reported,
            },
            Self::IndexLimit { role, .. } => role.without_indices(),
            Self::Flawed { role, flaw, .. } => severity_of(role, *flaw),
            Self::UnknownField { role, .. } | Self::WrongType { role, .. } | Self::Unsorted { role, .. } => {
                role.without_indices()
            }
            Self::Unreachable { .. }
            | Self::NotElasticsearch { .. }
            | Self::TooOld { .. }
            | Self::Denied { .. }
            | Self::UnknownIndex { .. }
            | Self::Remote { .. }
            | Self::Blocked { .. }
            | Self::Closed { .. }
            | Self::ClusterLimit { .. }
            | Self::DocIdDiffers { .. }
            | Self::Routed { .. }
            | Self::BadFilter { .. }
            | Self::Lookup { .. }
            | Self::Unchecked(_) => Severity::Refused,
        }
    }

    /// Whether it is the platform's and may pass by itself: nothing answers now.
    pub fn is_outage(&self) -> bool {
        let is_away = matches!(
            self,
            Self::Unreachable { .. } | Self::NotElasticsearch { server: None, .. }
        );
        is_away || matches!(self, Self::Unchecked(error) if error.is_platforms())
    }

    /// The indices that have it, where it is known of which it is.
    pub fn indices(&self) -> &[String] {
        match self {
            Self::LeftOut { indices, .. }
            | Self::SourceKept { indices, .. }
            | Self::NeverRefreshed { indices }
            | Self::IndexLimit { indices, .. }
            | Self::UnknownField { indices, .. }
            | Self::WrongType { indices, .. }
            | Self::Unsorted { indices, .. }
            | Self::Flawed { indices, .. } => indices,
            Self::Unreachable { .. }
            | Self::NotElasticsearch { .. }
            | Self::TooOld { .. }
            | Self::Denied { .. }
            | Self::UnknownIndex { .. }
            | Self::Remote { .. }
            | Self::Blocked { .. }
            | Self::Closed { .. }
            | Self::FilteredAlias { .. }
            | Self::ClusterLimit { .. }
            | Self::SeveralValues { .. }
            | Self::DocIdDiffers { .. }
            | Self::Routed { .. }
            | Self::BadFilter { .. }
            | Self::Lookup { .. }
            | Self::Unchecked(_) => &[],
        }
    }

    /// The same problem has the same key, so that it raises one alert: also where a new index has it. Each index that is
    /// left out raises its own.
    pub fn key(&self) -> String {
        let mut same = self.clone();
        if let (
            Severity::Reported,
            Self::Flawed { indices, .. }
            | Self::SourceKept { indices, .. }
            | Self::NeverRefreshed { indices },
        ) = (self.severity(), &mut same)
        {
            indices.clear();
        }
        if let Self::SeveralValues {
            sampled,
            several: counted,
            ..
        }
        | Self::DocIdDiffers {
            sampled,
            differing: counted,
            ..
        } = &mut same
        {
            (*sampled, *counted) = (0, 0);
        }
        if let Self::Routed { documents } = &mut same {
            *documents = 0;
        }
        format!("{:032x}", IdDigest::hash(same.to_string().as_bytes()))
    }

    /// Whether it is about fields, and not about the server, the cluster or whole indices.
    pub fn is_of_fields(&self) -> bool {
        match self {
            Self::UnknownField { .. }
            | Self::WrongType { .. }
            | Self::Unsorted { .. }
            | Self::Flawed { .. }
            | Self::SeveralValues { .. }
            | Self::DocIdDiffers { .. }
            | Self::Routed { .. } => true,
            Self::Unreachable { .. }
            | Self::NotElasticsearch { .. }
            | Self::TooOld { .. }
            | Self::Denied { .. }
            | Self::UnknownIndex { .. }
            | Self::Remote { .. }
            | Self::Blocked { .. }
            | Self::Closed { .. }
            | Self::LeftOut { .. }
            | Self::SourceKept { .. }
            | Self::FilteredAlias { .. }
            | Self::NeverRefreshed { .. }
            | Self::IndexLimit { .. }
            | Self::ClusterLimit { .. }
            | Self::BadFilter { .. }
            | Self::Lookup { .. }
            | Self::Unchecked(_) => false,
        }
    }

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
            SourceError::NotElasticsearch { status, server, .. } => Self::NotElasticsearch { status, server },
            SourceError::Refused { reason, .. } if says_closed(&reason) => Self::Closed { reason },
            SourceError::Refused { reason, .. } if reason.starts_with("cluster_block_exception") => {
                Self::Blocked { what: reason }
            }
            SourceError::Refused {
                status: 403, reason, ..
            } => Self::Denied { status: 403, reason },
            SourceError::Unavailable { .. }
            | SourceError::TooHeavy { .. }
            | SourceError::OverLimit { .. }
            | SourceError::BrokeOff { .. }
            | SourceError::LoginRefused { .. }
            | SourceError::PitLost
            | SourceError::TooLarge { .. }
            | SourceError::Refused { .. }
            | SourceError::Malformed { .. }
            | SourceError::NotJson { .. }
            | SourceError::Misconfigured { .. } => Self::Unchecked(error),
        }
    }
}

impl std::error::Error for SourceProblem {}

/// Elasticsearch 7 says that the index is blocked, as it is closed.
fn says_closed(reason: &str) -> bool {
    reason.starts_with("index_closed_exception") || reason.contains("index closed")
}

impl Role {
    /// What a problem means that keeps indices from being read. Metadata has to be read as a whole.
    fn without_indices(&self) -> Severity {
        match self {
            Self::Messages => Severity::LeftOut,
            Self::Metadata(_) => Severity::Refused,
        }
    }
}

impl FieldRole {
    /// What a problem means that keeps indices from being read.
    fn without_indices(&self) -> Severity {
        match self {
            Self::Id | Self::Time => Severity::LeftOut,
            Self::Key(_) => Severity::Refused,
        }
    }
}

/// One document for two messages, or none: the indices are left out. What may concern some documents alone: reported.
fn severity_of(role: &FieldRole, flaw: Flaw) -> Severity {
    match (flaw, role) {
        (Flaw::Normalized | Flaw::Constant | Flaw::Nested | Flaw::Flattened | Flaw::SeveralTypes, _)
        | (Flaw::NullValue, FieldRole::Id | FieldRole::Key(_)) => role.without_indices(),
        (Flaw::NullValue, FieldRole::Time) | (Flaw::Runtime | Flaw::Shortened { .. } | Flaw::Coerced, _) => {
            Severity::Reported
        }
    }
}
