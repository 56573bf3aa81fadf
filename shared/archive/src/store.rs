//! The bucket, and the retry policy of every call to it.

use crate::error::ArchiveError;
use aws_config::SdkConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{Builder, ResponseChecksumValidation};
use granary_domain::Layout;
use granary_environment::aws::RetryClockAndToken;
use std::time::Duration;

/// A bucket, and the part of it that belongs to one source.
#[derive(Debug, Clone)]
pub struct Archive {
    pub(crate) client: Client,
    pub(crate) bucket: String,
    pub(crate) layout: Layout,
}

impl Archive {
    /// Talks to nobody yet; [`check`](Self::check) does.
    pub fn new(config: &SdkConfig, bucket: impl Into<String>, layout: Layout) -> Self {
        Self {
            client: client(config),
            bucket: bucket.into(),
            layout,
        }
    }

    /// The same for whoever can't wait: a call gives up after this time, with all its tries. What is read or written in
    /// a stream is bounded up to its beginning.
    pub fn within(self, timeout: Duration) -> Self {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT.min(timeout))
            .operation_attempt_timeout(timeout)
            .operation_timeout(timeout)
            .build();
        let config = self.client.config().to_builder().timeout_config(timeouts).build();
        Self {
            client: Client::from_conf(config),
            ..self
        }
    }

    /// Where things lie in the bucket.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Whether the bucket is there and may be used; the error says what to do.
    pub async fn check(&self) -> Result<(), ArchiveError> {
        let answer = self.client.head_bucket().bucket(&self.bucket).send().await;
        answer
            .map(drop)
            .map_err(|error| ArchiveError::of("open the bucket", &self.bucket, error))
    }
}

const TRIES_MAX: u32 = 5;
const FIRST_DELAY: Duration = Duration::from_millis(200);
const DELAY_MAX: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const TRY_TIMEOUT: Duration = Duration::from_secs(60);

/// SlowDown, 5xx, timeouts and lost connections are retried here, by the SDK, and nowhere above: five tries with
/// exponential backoff and full jitter, some seconds of waiting in all. Every call can be repeated; what becomes of a
/// PUT whose answer was lost is [`put`](Archive::put)'s to say. After the last try the caller gets
/// [`ArchiveError::Unavailable`] and gives the batch back; whoever runs out of time before that drops the future.
///
/// The SDK doesn't validate checksums of what it reads: [`read_lines`](Archive::read_lines) hashes every byte itself.
/// Behind an address of its own (an emulator), a bucket has no host name: its name goes into the path.
fn client(config: &SdkConfig) -> Client {
    let retries = RetryConfig::standard()
        .with_max_attempts(TRIES_MAX)
        .with_initial_backoff(FIRST_DELAY)
        .with_max_backoff(DELAY_MAX);
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(TRY_TIMEOUT)
        .build();
    let config = Builder::from(config)
        .force_path_style(config.endpoint_url().is_some())
        .retry_config(retries)
        .retry_classifier(RetryClockAndToken)
        .timeout_config(timeouts)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .build();
    Client::from_conf(config)
}
