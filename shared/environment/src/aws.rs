//! The one configuration that every AWS client is made from: one TLS provider, one connection pool, one set of
//! time limits. Addresses, region and credentials come from AWS's own variables (`AWS_ENDPOINT_URL`,
//! `AWS_REGION`, …). And what an error of any of them is: whether it passes, and why, in one line.

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_secretsmanager::config::interceptors::InterceptorContext;
use aws_sdk_secretsmanager::config::retry::{ClassifyRetry, RetryAction};
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use std::error::Error;
use std::time::Duration;

const CONNECT_SECS_MAX: u64 = 3;
const OPERATION_ATTEMPT_SECS_MAX: u64 = 30;
const OPERATION_ATTEMPTS_MAX: u32 = 4;
const SMALL_ATTEMPT_SECS_MAX: u64 = 10;
const SMALL_OPERATION_SECS_MAX: u64 = 20;

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

/// For requests that carry little and are answered within milliseconds, all tries together: to queues, topics and switches. A
/// service that takes connections and says nothing must not use up an invocation.
pub fn small_request_timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(CONNECT_SECS_MAX))
        .operation_attempt_timeout(Duration::from_secs(SMALL_ATTEMPT_SECS_MAX))
        .operation_timeout(Duration::from_secs(SMALL_OPERATION_SECS_MAX))
        .build()
}

/// What AWS says of a signature that is too old or too new, and of a token that has run out. A function that was frozen sends
/// such a request when it goes on: the next one is signed anew. What lasts is the platform's, never a batch's.
const CLOCK_AND_TOKEN: [&str; 12] = [
    "RequestTimeTooSkewed",
    "RequestExpired",
    "RequestInTheFuture",
    "InvalidSignatureException",
    "SignatureDoesNotMatch",
    "ExpiredToken",
    "ExpiredTokenException",
    "TokenRefreshRequired",
    "InvalidToken",
    "InvalidClientTokenId",
    "UnrecognizedClientException",
    "AuthFailure",
];

/// Whether an error code is about the clock or the credentials of the moment.
pub fn is_of_clock_or_token(code: &str) -> bool {
    CLOCK_AND_TOKEN.contains(&code)
}

/// Has the SDK try such a request again, which signs it anew. The SDK itself takes them for final.
#[derive(Debug, Clone, Copy, Default)]
pub struct RetryClockAndToken;

impl ClassifyRetry for RetryClockAndToken {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let Some(response) = context.response() else {
            return RetryAction::NoActionIndicated;
        };
        if !matches!(response.status().as_u16(), 400 | 401 | 403) {
            return RetryAction::NoActionIndicated;
        }
        let kind = response.headers().get("x-amzn-errortype").unwrap_or_default();
        let body = String::from_utf8_lossy(response.body().bytes().unwrap_or_default());
        let is_named = |code: &&str| kind.contains(*code) || body.contains(*code);
        if CLOCK_AND_TOKEN.iter().any(is_named) {
            RetryAction::transient_error()
        } else {
            RetryAction::NoActionIndicated
        }
    }

    fn name(&self) -> &'static str {
        "clock and token"
    }
}

/// Whether an AWS service or the way to it is at fault, rather than the request: it passes by itself.
pub fn is_passing<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    let SdkError::ServiceError(answer) = error else {
        return !matches!(error, SdkError::ConstructionFailure(_));
    };
    let status = answer.raw().status().as_u16();
    let code = error.code().unwrap_or_default();
    status >= 500 || status == 429 || code.contains("Throttl") || is_of_clock_or_token(code)
}

/// An AWS service's code and message, or the chain of causes where it gave no answer.
pub fn reason<E: ProvideErrorMetadata + Error + 'static>(error: &SdkError<E>) -> String {
    if let Some(code) = error.code() {
        return format!("{code}: {}", error.message().unwrap_or("no message"));
    }
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        source = inner.source();
    }
    text
}
