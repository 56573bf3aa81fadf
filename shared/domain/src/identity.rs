//! Whose ledger it is: the settings that a deployment keeps for good. And the settings of the source that may change.
//!
//! Not responsible for where a value comes from (the environment), nor for the record (the ledger).

use crate::migration::named;

named! {
    /// A setting that says whose ledger it is. It is recorded once; a function with another value does no work.
    IdentitySetting, "identity setting", {
        /// The name of the source in the archive.
        SourceName = "source_name",
        /// The S3 bucket.
        Bucket = "bucket",
        /// What every key begins with.
        Prefix = "prefix",
        /// The AWS account of the queues.
        Account = "account",
        /// The AWS region.
        Region = "region",
        /// The field of the message id.
        IdField = "id_field",
        /// The field of the event time.
        TimeField = "time_field",
    }
}

named! {
    /// A setting of the source that may change. Each change is recorded with its date.
    SourceSetting, "source setting", {
        /// The index, alias, pattern or list that is read.
        Index = "index",
        /// The query that all messages match; empty: there is none.
        Filter = "filter",
        /// The related documents that travel with each message.
        MetadataSources = "metadata_sources",
        /// Elasticsearch's address, without user and password.
        ElasticsearchUrl = "elasticsearch_url",
    }
}

impl IdentitySetting {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::SourceName,
        Self::Bucket,
        Self::Prefix,
        Self::Account,
        Self::Region,
        Self::IdField,
        Self::TimeField,
    ];

    /// The variable that says it.
    pub fn variable(self) -> &'static str {
        match self {
            Self::SourceName => "GRANARY_SOURCE_NAME",
            Self::Bucket => "GRANARY_BUCKET",
            Self::Prefix => "GRANARY_PREFIX",
            Self::Account => "GRANARY_QUEUE_URL",
            Self::Region => "AWS_REGION",
            Self::IdField => "GRANARY_SOURCE_ID_FIELD",
            Self::TimeField => "GRANARY_SOURCE_TIME_FIELD",
        }
    }

    /// What a new value means for what is archived already, for people.
    pub fn on_adoption(self) -> &'static str {
        match self {
            Self::SourceName | Self::Bucket | Self::Prefix => {
                "Objects that are archived stay where they are, and the ledger keeps their keys. Verifications and sweeps look in \
                 the new place: copy the objects, the manifests and the mark of batch numbers there first."
            }
            Self::Account | Self::Region => {
                "Batches that were sent to the old queues are sent to the new ones by themselves."
            }
            Self::IdField => {
                "Messages that are archived keep their ids. Later readings know a document by its new id, so that what has \
                 another id in the new field is archived again."
            }
            Self::TimeField => {
                "Windows that were read keep their messages. A document whose time differs between the two fields may lie in a \
                 window that was read before: verify all of it."
            }
        }
    }
}

/// A function's settings of those that identify a ledger. One that it doesn't have is neither recorded nor compared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity(Vec<(IdentitySetting, String)>);

impl Identity {
    /// Each setting once, at most.
    pub fn of(settings: impl IntoIterator<Item = (IdentitySetting, String)>) -> Self {
        Self(settings.into_iter().collect())
    }

    /// The settings with their values.
    pub fn settings(&self) -> impl Iterator<Item = (IdentitySetting, &str)> {
        self.0.iter().map(|(setting, value)| (*setting, value.as_str()))
    }

    /// The value of a setting, where it is known.
    pub fn value(&self, setting: IdentitySetting) -> Option<&str> {
        self.settings()
            .find(|(known, _)| *known == setting)
            .map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_means_one_setting_and_each_has_a_variable_and_a_consequence() {
        assert_eq!(IdentitySetting::ALL.len(), IdentitySetting::NAMES.len());
        for setting in IdentitySetting::ALL {
            assert_eq!(setting.as_str().parse::<IdentitySetting>(), Ok(setting));
            assert!(!setting.variable().is_empty() && setting.on_adoption().ends_with('.'));
        }
    }

    #[test]
    fn a_setting_that_is_not_told_has_no_value() {
        let identity = Identity::of([(IdentitySetting::Bucket, "a".to_owned())]);
        assert_eq!(identity.value(IdentitySetting::Bucket), Some("a"));
        assert_eq!(identity.value(IdentitySetting::Region), None);
    }
}
