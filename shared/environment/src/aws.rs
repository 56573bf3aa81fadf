//! The one configuration that every AWS client is made from: one TLS provider, one connection pool, one set of
//! time limits. Addresses, region and credentials come from AWS's own variables (`AWS_ENDPOINT_URL`,
//! `AWS_REGION`, …).

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use std::time::Duration;

const CONNECT_SECS_MAX: u64 = 3;
const OPERATION_ATTEMPT_SECS_MAX: u64 = 30;
const OPERATION_ATTEMPTS_MAX: u32 = 4;

/// Made once at cold start and shared: each call makes a connection pool of its own.
///
/// The SDK retries what is throttled or unavailable by itself, up to four attempts; what comes back as an error
/// has been retried already.
pub async fn sdk_config() -> SdkConfig {
    // rustls with ring, named here: left to the defaults, a second provider comes in and the two clash at run time.
    let http_client = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https();
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(CONNECT_SECS_MAX))
        .operation_attempt_timeout(Duration::from_secs(OPERATION_ATTEMPT_SECS_MAX))
        .build();
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(http_client)
        .timeout_config(timeouts)
        .retry_config(RetryConfig::standard().with_max_attempts(OPERATION_ATTEMPTS_MAX))
        .load()
        .await
}
