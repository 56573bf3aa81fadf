//! One request and its answer: connections, credentials, time limits, and trying again.
//!
//! Two clients stand side by side. The official one sends everything whose answer is small by nature. It only
//! hands out whole answers, so documents are read through a plain HTTP client, chunk by chunk, and left unread
//! past the caller's limit.

use crate::allowance::ByteAllowance;
use crate::authorization::{Authorization, without_credentials};
use crate::error::SourceError;
use bytes::{Bytes, BytesMut};
use elasticsearch::cert::{Certificate, CertificateValidation};
use elasticsearch::http::headers::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER,
};
use elasticsearch::http::transport::{SingleNodeConnectionPool, Transport, TransportBuilder};
use elasticsearch::http::{Method, StatusCode};
use granary_domain::Backoff;
use granary_environment::{Ca, Login, Renewed, SourceCredentials};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};
use url::Url;

const TRIES_MAX: u32 = 4;
const RETRY_BACKOFF: Backoff = Backoff {
    first: Duration::from_millis(200),
    ceiling: Duration::from_secs(5),
};
/// Of one call: the login that was held, and two others that its secret may hold.
const LOGINS_MAX: u32 = 3;
/// No new try begins later than this after the first, nor than one request may take.
const RETRY_WITHIN: Duration = Duration::from_secs(20);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A large document may take so many times as long as a request in all, over a slow network, as long as it keeps coming.
const LARGE_ANSWER_TIMES: u32 = 4;
/// The header by which Elasticsearch, from 7.14 on, says what it is.
const PRODUCT_HEADER: &str = "x-elastic-product";
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const NDJSON: HeaderValue = HeaderValue::from_static("application/x-ndjson");

/// One request. The path is encoded already.
pub(crate) struct Call<'a> {
    /// What is asked for, as a verb: for errors.
    pub(crate) operation: &'static str,
    pub(crate) method: Method,
    pub(crate) path: &'a str,
    pub(crate) query: &'a [(&'a str, &'a str)],
    pub(crate) body: CallBody,
}

impl<'a> Call<'a> {
    /// A request without a body.
    pub(crate) fn get(operation: &'static str, path: &'a str, query: &'a [(&'a str, &'a str)]) -> Self {
        Self {
            operation,
            method: Method::Get,
            path,
            query,
            body: CallBody::None,
        }
    }
}

/// What a request carries.
#[derive(Clone)]
pub(crate) enum CallBody {
    None,
    Json(Bytes),
    Ndjson(Bytes),
}

impl CallBody {
    /// A body of JSON.
    pub(crate) fn json(operation: &'static str, body: &impl Serialize) -> Result<Self, SourceError> {
        let bytes = serde_json::to_vec(body).map_err(|error| SourceError::malformed(operation, &error))?;
        Ok(Self::Json(bytes.into()))
    }

    fn content(&self) -> Option<(Bytes, HeaderValue)> {
        match self {
            Self::None => None,
            Self::Json(bytes) => Some((bytes.clone(), JSON)),
            Self::Ndjson(bytes) => Some((bytes.clone(), NDJSON)),
        }
    }
}

/// How much of an answer is wanted.
#[derive(Clone, Copy)]
enum AnswerSize<'a> {
    /// It is small by nature.
    Small,
    /// It is abandoned where it does not fit into what is left.
    Within(&'a ByteAllowance),
}

/// The connections to one Elasticsearch.
pub(crate) struct Wire {
    official: Transport,
    plain: reqwest::Client,
    base: Url,
    authorization: Authorization,
    retry_within: Duration,
}

impl Wire {
    /// Connects when it is first used. Answers come uncompressed: unpacking costs more than a near network.
    pub(crate) fn new(
        url: &Url,
        credentials: Option<Login<SourceCredentials>>,
        ca: Option<&Ca>,
        request_timeout: Duration,
    ) -> Result<Self, SourceError> {
        let (base, from_url) = without_credentials(url)?;
        let authorization = Authorization::new(credentials.or(from_url.map(Login::fixed)))?;
        let identity = HeaderValue::from_static("identity");
        let mut official = TransportBuilder::new(SingleNodeConnectionPool::new(base.clone()))
            .header(ACCEPT_ENCODING, identity.clone())
            .timeout(request_timeout);
        let mut plain = reqwest::Client::builder()
            .default_headers(HeaderMap::from_iter([
                (ACCEPT_ENCODING, identity),
                (ACCEPT, JSON),
            ]))
            .connect_timeout(CONNECT_TIMEOUT.min(request_timeout))
            .read_timeout(request_timeout)
            .timeout(request_timeout * LARGE_ANSWER_TIMES);
        if let Some(ca) = ca {
            official = official.cert_validation(CertificateValidation::Full(certificates(ca)?));
            plain = certificates(ca)?
                .into_iter()
                .fold(plain, reqwest::ClientBuilder::add_root_certificate);
        }
        Ok(Self {
            official: official.build().map_err(|error| unusable(error.to_string()))?,
            plain: plain.build().map_err(|error| unusable(error.to_string()))?,
            base,
            authorization,
            retry_within: RETRY_WITHIN.min(request_timeout),
        })
    }

    /// Asks, and gives the body of a successful answer.
    pub(crate) async fn ask(&self, call: &Call<'_>) -> Result<Bytes, SourceError> {
        self.ask_until_answered(call, AnswerSize::Small).await
    }

    /// The same for an answer that may be larger than memory: it is abandoned where it does not fit into the allowance,
    /// and takes its bytes from it where it does.
    pub(crate) async fn ask_within(
        &self,
        call: &Call<'_>,
        allowance: &ByteAllowance,
    ) -> Result<Bytes, SourceError> {
        self.ask_until_answered(call, AnswerSize::Within(allowance)).await
    }

    /// Reads a small answer as what it has to be.
    pub(crate) async fn read<A: DeserializeOwned>(&self, call: &Call<'_>) -> Result<A, SourceError> {
        let answer = self.ask(call).await?;
        serde_json::from_slice(&answer).map_err(|error| SourceError::malformed(call.operation, &error))
    }

    /// Tries again what may pass by itself: at most 4 tries, 200 ms doubling up to 5 s with full jitter or as long as
    /// Retry-After says, and never beyond 20 s, or what one request may take. What lasts longer is for the caller, which knows its own deadline.
    ///
    /// A refused login is tried again at once where another one was found meanwhile.
    async fn ask_until_answered(&self, call: &Call<'_>, size: AnswerSize<'_>) -> Result<Bytes, SourceError> {
        let begun = Instant::now();
        let (mut tries, mut logins) = (0, 1);
        loop {
            let presented = self.authorization.present()?;
            let error = match self.ask_once(call, size, presented.header.clone()).await {
                Ok(body) => return Ok(body),
                Err(error) => error,
            };
            if let SourceError::LoginRefused { .. } = error
                && logins < LOGINS_MAX
                && self.authorization.renew(&presented).await == Renewed::Changed
            {
                logins += 1;
                continue;
            }
            tries += 1;
            let Some(pause) =
                pause_before_retry(&error, tries, self.retry_within.saturating_sub(begun.elapsed()))
            else {
                return Err(error);
            };
            tracing::debug!(operation = call.operation, tries, ?pause, %error, "asking Elasticsearch again");
            tokio::time::sleep(pause).await;
        }
    }

    async fn ask_once(
        &self,
        call: &Call<'_>,
        size: AnswerSize<'_>,
        authorization: Option<HeaderValue>,
    ) -> Result<Bytes, SourceError> {
        let headers = HeaderMap::from_iter(authorization.map(|header| (AUTHORIZATION, header)));
        match size {
            AnswerSize::Small => self.ask_officially(call, headers).await,
            AnswerSize::Within(allowance) => self.ask_in_chunks(call, allowance, headers).await,
        }
    }

    async fn ask_officially(&self, call: &Call<'_>, mut headers: HeaderMap) -> Result<Bytes, SourceError> {
        let body = call.body.content().map(|(body, kind)| {
            headers.insert(CONTENT_TYPE, kind);
            body
        });
        let response = self
            .official
            .send(call.method, call.path, headers, Some(call.query), body, None)
            .await
            .map_err(|error| SourceError::disconnected(call.operation, &error))?;
        let (status, headers) = (response.status_code(), response.headers().clone());
        let body = response
            .bytes()
            .await
            .map_err(|error| SourceError::disconnected(call.operation, &error))?;
        accept(call.operation, status, &headers, body)
    }

    async fn ask_in_chunks(
        &self,
        call: &Call<'_>,
        allowance: &ByteAllowance,
        headers: HeaderMap,
    ) -> Result<Bytes, SourceError> {
        let operation = call.operation;
        let too_large = |bytes| SourceError::TooLarge {
            operation,
            byte_limit: allowance.bytes_max(),
            bytes,
        };
        let mut response = self
            .plain_request(call)?
            .headers(headers)
            .send()
            .await
            .map_err(|error| SourceError::disconnected(operation, &error))?;
        let announced = response.content_length();
        if announced.is_some_and(|bytes| bytes > allowance.left()) {
            return Err(too_large(announced));
        }
        let (status, headers) = (response.status(), response.headers().clone());
        let mut body = BytesMut::with_capacity(announced.unwrap_or_default() as usize);
        let mut taken = allowance.begin();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| SourceError::disconnected(operation, &error))?
        {
            if !taken.take(chunk.len() as u64) {
                return Err(too_large(None));
            }
            body.extend_from_slice(&chunk);
        }
        let body = accept(operation, status, &headers, body.freeze())?;
        taken.keep();
        Ok(body)
    }

    fn plain_request(&self, call: &Call<'_>) -> Result<reqwest::RequestBuilder, SourceError> {
        let url = self
            .base
            .join(call.path.trim_start_matches('/'))
            .map_err(|error| unusable(error.to_string()))?;
        let mut request = self.plain.post(url).query(call.query);
        if let Some((body, kind)) = call.body.content() {
            request = request.header(CONTENT_TYPE, kind).body(body);
        }
        Ok(request)
    }
}

/// `None`: not again, because it wouldn't help or there is no time left.
fn pause_before_retry(error: &SourceError, tries: u32, left: Duration) -> Option<Duration> {
    let retry_after = if let SourceError::Unavailable { retry_after, .. }
    | SourceError::TooHeavy { retry_after, .. } = error
    {
        *retry_after
    } else if let SourceError::BrokeOff { .. } = error {
        None
    } else {
        return None;
    };
    if tries >= TRIES_MAX {
        return None;
    }
    let pause = RETRY_BACKOFF
        .delay(tries, rand::random())
        .max(retry_after.unwrap_or_default());
    (pause < left).then_some(pause)
}

fn accept(
    operation: &'static str,
    status: StatusCode,
    headers: &HeaderMap,
    body: Bytes,
) -> Result<Bytes, SourceError> {
    let is_elasticsearch = headers.contains_key(PRODUCT_HEADER);
    if status.is_success() && is_elasticsearch {
        return Ok(body);
    }
    let is_foreign =
        status.is_success() || status.is_redirection() || matches!(status.as_u16(), 400 | 404 | 405);
    if is_foreign && !is_elasticsearch {
        return Err(SourceError::NotElasticsearch {
            operation,
            status: status.as_u16(),
            server: server_of(&body),
        });
    }
    let seconds = headers
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.trim().parse().ok());
    Err(SourceError::from_answer(
        operation,
        status.as_u16(),
        seconds.map(Duration::from_secs),
        &body,
    ))
}

/// What a server says of itself where it is asked for `/`: what came of Elasticsearch has its answer's shape.
fn server_of(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Root {
        version: Version,
    }
    #[derive(Deserialize)]
    struct Version {
        distribution: String,
        number: String,
    }
    let version = serde_json::from_slice::<Root>(body).ok()?.version;
    let name = match version.distribution.as_str() {
        "opensearch" => "OpenSearch",
        other => other,
    };
    Some(format!("{name} {}", version.number))
}

fn certificates(ca: &Ca) -> Result<Certificate, SourceError> {
    Certificate::from_pem(ca.pem().as_bytes()).map_err(|error| {
        unusable(format!(
            "GRANARY_ES_CA is no certificate that can be read: {error}"
        ))
    })
}

fn unusable(reason: String) -> SourceError {
    SourceError::Misconfigured { reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn throttled(retry_after: Option<Duration>) -> SourceError {
        SourceError::Unavailable {
            operation: "read",
            status: Some(429),
            retry_after,
            reason: String::new(),
        }
    }

    #[test]
    fn h7_only_what_may_pass_is_tried_again_and_within_limits() {
        let pause = |error, tries| pause_before_retry(&error, tries, RETRY_WITHIN);
        assert!(pause(throttled(None), 1).is_some_and(|pause| pause <= Duration::from_millis(200)));
        assert_eq!(
            pause(throttled(Some(Duration::from_secs(7))), 1),
            Some(Duration::from_secs(7))
        );
        assert_eq!(pause(throttled(Some(Duration::from_secs(60))), 1), None);
        assert_eq!(pause(throttled(None), TRIES_MAX), None);
        assert_eq!(pause(SourceError::PitLost, 1), None);
        assert_eq!(pause_before_retry(&throttled(None), 1, Duration::ZERO), None);
    }
}
