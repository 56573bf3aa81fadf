//! What a source is: where it lies, who asks, and how its messages are told apart.

use granary_environment::{Ca, Login, SourceCredentials, SourceSection};
use serde_json::Value;
use std::fmt;
use std::time::Duration;
use url::Url;

/// The field that Elasticsearch itself gives every document.
pub(crate) const DOC_ID_FIELD: &str = "_id";

/// The settings of one source.
#[derive(Clone)]
pub struct SourceSettings {
    /// Where Elasticsearch answers. A user and a password in it serve as credentials where there are no others.
    pub url: Url,
    /// Who asks.
    pub credentials: Option<Login<SourceCredentials>>,
    /// Whom to trust beside the public certificate authorities.
    pub ca: Option<Ca>,
    /// An index, an alias, a pattern, or a list of these separated by commas.
    pub index: String,
    /// The field with the message's id: `_id` or a keyword field.
    pub id_field: String,
    /// How a document's `_id` and the message's id relate.
    pub doc_id_is_message_id: DocId,
    /// The field with the event time: `date` or `date_nanos`.
    pub time_field: String,
    /// Query DSL that every message of this source matches.
    pub filter: Option<Value>,
    /// How long one request may take, from connecting to the last byte of the answer.
    pub request_timeout: Duration,
}

impl SourceSettings {
    /// [`request_timeout`](Self::request_timeout) where nothing else is said.
    pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

    /// Whether the message's id is the document's `_id` by definition.
    pub(crate) fn id_is_doc_id(&self) -> bool {
        self.id_field == DOC_ID_FIELD
    }

    /// Whether hits are read without their `_id` and routing: twice as fast, and possible only where the id field
    /// has the same value.
    pub(crate) fn hits_are_bare(&self) -> bool {
        self.doc_id_is_message_id == DocId::IsMessageId && !self.id_is_doc_id()
    }
}

/// The settings that the environment holds.
impl From<SourceSection> for SourceSettings {
    fn from(section: SourceSection) -> Self {
        Self {
            url: section.url,
            credentials: section.credentials,
            ca: section.ca,
            index: section.index,
            id_field: section.id_field,
            doc_id_is_message_id: if section.doc_id_is_message_id {
                DocId::IsMessageId
            } else {
                DocId::IsItsOwn
            },
            time_field: section.time_field,
            filter: section.filter,
            request_timeout: Self::REQUEST_TIMEOUT,
        }
    }
}

/// Without the URL (which may hold a password) and the credentials.
impl fmt::Debug for SourceSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceSettings")
            .field("index", &self.index)
            .field("id_field", &self.id_field)
            .field("doc_id_is_message_id", &self.doc_id_is_message_id)
            .field("time_field", &self.time_field)
            .field("filter", &self.filter)
            .field("request_timeout", &self.request_timeout)
            .finish_non_exhaustive()
    }
}

/// How a document's `_id` and the message's id relate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DocId {
    /// Every document's `_id` equals its id field and none has a routing of its own. [`survey`](crate::Source::survey)
    /// proves it on a sample.
    IsMessageId,
    /// They are unrelated: hits carry both.
    IsItsOwn,
}
