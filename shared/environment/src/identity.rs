//! Whose ledger a function works on, as its environment says it: put together from sections that are read already.
//!
//! No service is asked for it. The account stands in the URL of a queue, the region in AWS's own variable; where one of them
//! says nothing, the setting isn't known here.

use crate::{ArchiveSection, MetadataSection, QueueSection, SourceSection};
use aws_config::SdkConfig;
use granary_domain::{Identity, IdentitySetting, SourceSetting};
use serde_json::json;
use url::Url;

/// `https://sqs.eu-west-1.amazonaws.com/123456789012/granary-batches`.
const ACCOUNT_DIGITS: usize = 12;

/// The settings that say whose ledger it is.
pub fn identity_of(
    archive: &ArchiveSection,
    source: &SourceSection,
    queues: &QueueSection,
    aws: &SdkConfig,
) -> Identity {
    let always = [
        (IdentitySetting::SourceName, archive.source_name.clone()),
        (IdentitySetting::Bucket, archive.bucket.clone()),
        (IdentitySetting::Prefix, archive.layout.prefix().to_owned()),
        (IdentitySetting::IdField, source.id_field.clone()),
        (IdentitySetting::TimeField, source.time_field.clone()),
    ];
    let account = account_of(&queues.queue_url);
    let region = aws.region().map(ToString::to_string);
    let known = account.map(|account| (IdentitySetting::Account, account));
    let known = known
        .into_iter()
        .chain(region.map(|region| (IdentitySetting::Region, region)));
    Identity::of(always.into_iter().chain(known))
}

/// The settings of the source that may change.
pub fn source_settings_of(
    source: &SourceSection,
    metadata: &MetadataSection,
) -> Vec<(SourceSetting, String)> {
    let filter = source.filter.as_ref();
    vec![
        (SourceSetting::Index, source.index.clone()),
        (
            SourceSetting::Filter,
            filter.map(ToString::to_string).unwrap_or_default(),
        ),
        (
            SourceSetting::MetadataSources,
            json!(metadata.sources).to_string(),
        ),
        (SourceSetting::ElasticsearchUrl, source.url.to_string()),
    ]
}

fn account_of(queue_url: &str) -> Option<String> {
    let url = Url::parse(queue_url).ok()?;
    let account = url.path_segments()?.next()?;
    let is_one = account.len() == ACCOUNT_DIGITS && account.bytes().all(|byte| byte.is_ascii_digit());
    is_one.then(|| account.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_stands_in_the_url_of_a_queue() {
        for (url, account) in [
            (
                "https://sqs.eu-west-1.amazonaws.com/123456789012/batches",
                Some("123456789012"),
            ),
            ("http://127.0.0.1:4566/000000000000/batches", Some("000000000000")),
            ("https://queue.example.com/batches", None),
            ("https://queue.example.com/", None),
        ] {
            assert_eq!(account_of(url).as_deref(), account, "{url}");
        }
    }
}
