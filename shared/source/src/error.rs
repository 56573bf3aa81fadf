//! What can go wrong with a request, in the kinds that callers tell apart, and how an answer becomes one of them.
//!
//! Texts are made here alone, so that none holds an address, a credential or a piece of a message.

use crate::trouble::{is_outage, may_be_a_documents, types_of, with_remedy};
use bytes::Bytes;
use granary_domain::Cause;
use granary_environment::Service;
use serde_json::Value;
use std::error::Error;
use std::time::Duration;

const REASON_BYTES_MAX: usize = 500;

/// An answer as it came. It holds messages, so it shows its size alone.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct RawAnswer(pub Bytes);

impl std::fmt::Debug for RawAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

/// Why a request brought no answer that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// Out of reach, overloaded or throttling: the platform's fault. The call has tried several times already.
    #[error("Elasticsearch is unavailable: could not {operation}: {reason}")]
    Unavailable {
        /// What was asked for, as a verb.
        operation: &'static str,
        /// The status, where there was an answer.
        status: Option<u16>,
        /// How long Elasticsearch asks to be left alone.
        retry_after: Option<Duration>,
        /// Its error, or how the connection failed.
        reason: String,
    },
    /// A node had no memory or no time for so much at once: the platform's fault. The call has tried several times
    /// already; a smaller request may pass.
    #[error("Elasticsearch is overloaded: could not {operation}: {reason}")]
    TooHeavy {
        /// What was asked for, as a verb.
        operation: &'static str,
        /// The status, where there was an answer.
        status: Option<u16>,
        /// How long Elasticsearch asks to be left alone.
        retry_after: Option<Duration>,
        /// Its error, or how the connection failed.
        reason: String,
    },
    /// A setting of the cluster, or a proxy, limits requests to less than this one. A smaller one passes.
    #[error("could not {operation} ({status}): the request is over a limit: {reason}")]
    OverLimit {
        /// What was asked for, as a verb.
        operation: &'static str,
        /// The status.
        status: u16,
        /// Its error: type and reason.
        reason: String,
    },
    /// The connection broke off before the answer was whole, or a bare 500 or 502 was all of it: the platform's fault, in
    /// general. But a document that Elasticsearch can't write out as JSON ends each request for it in this way.
    #[error(
        "Elasticsearch is unavailable, or can't give what was asked for: could not {operation}: {reason}"
    )]
    BrokeOff {
        /// What was asked for, as a verb.
        operation: &'static str,
        /// The status, where there was one.
        status: Option<u16>,
        /// Its error, or how the connection failed.
        reason: String,
    },
    /// The point in time has expired, or a node that held it is gone: its cursors mean nothing in another one.
    #[error("the point in time is lost")]
    PitLost,
    /// The answer is larger than the caller can take. It was abandoned unread.
    #[error("could not {operation}: the answer is larger than {byte_limit} bytes")]
    TooLarge {
        /// What was asked for, as a verb.
        operation: &'static str,
        /// The caller's limit.
        byte_limit: u64,
        /// The size of the answer, where it was announced.
        bytes: Option<u64>,
    },
    /// Elasticsearch doesn't know who asks, also after the secret was read again: it was rotated, or is wrong.
    #[error("Elasticsearch refused the login: could not {operation}: {reason}")]
    LoginRefused {
        /// What was asked for, as a verb.
        operation: &'static str,
        /// Its error, and what to do.
        reason: String,
    },
    /// Elasticsearch understood the request and won't do it: mapping, permission, syntax, an absent index.
    #[error("Elasticsearch refused to {operation} ({status}): {reason}")]
    Refused {
        /// What was asked for, as a verb.
        operation: &'static str,
        /// The status.
        status: u16,
        /// Its error: type and reason.
        reason: String,
    },
    /// Something answered, but not in the way of Elasticsearch 7.17 or later.
    #[error("could not {operation}: what answered ({status}) is not Elasticsearch 7.17 or later")]
    NotElasticsearch {
        /// What was asked for, as a verb.
        operation: &'static str,
        /// The status.
        status: u16,
        /// What it says that it is: `OpenSearch 2.11.0`.
        server: Option<String>,
    },
    /// The answer isn't what this request has as an answer.
    #[error("could not {operation}: the answer can't be understood: {reason}")]
    Malformed {
        /// What was asked for, as a verb.
        operation: &'static str,
        /// What is wrong, and where.
        reason: String,
    },
    /// The answer has Elasticsearch's shape but isn't JSON: it repeats what somebody indexed, and Elasticsearch takes more
    /// for JSON than JSON is (comments, a byte order mark, bytes that aren't UTF-8). Ask for less to find the document.
    #[error("could not {operation}: the answer is not JSON at byte {column} of line {line}")]
    NotJson {
        /// What was asked for, as a verb.
        operation: &'static str,
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
        /// All of it, where it is of documents or their metadata.
        answer: RawAnswer,
    },
    /// The settings can't be used.
    #[error("the settings of the source can't be used: {reason}")]
    Misconfigured {
        /// What is wrong.
        reason: String,
    },
}

impl SourceError {
    /// Whether the platform is at fault: the same request may succeed later, and the attempt doesn't count.
    ///
    /// A proxy's page (404 "default backend", a maintenance page with 200) is an outage of what stands behind it, and so is an
    /// answer that is cut off or damaged: the transport's. A wrong address looks the same: an alert is raised after half
    /// an hour.
    pub fn is_platforms(&self) -> bool {
        match self {
            Self::Unavailable { .. }
            | Self::TooHeavy { .. }
            | Self::BrokeOff { .. }
            | Self::LoginRefused { .. }
            | Self::PitLost
            | Self::Malformed { .. }
            | Self::NotJson { .. }
            | Self::NotElasticsearch { .. } => true,
            Self::TooLarge { .. }
            | Self::OverLimit { .. }
            | Self::Refused { .. }
            | Self::Misconfigured { .. } => false,
        }
    }

    /// Whether a request for less may pass where this one did not.
    pub fn wants_less(&self) -> bool {
        matches!(
            self,
            Self::TooLarge { .. } | Self::TooHeavy { .. } | Self::OverLimit { .. }
        )
    }

    /// The cause under which an attempt that ended so is recorded.
    pub fn cause(&self) -> Cause {
        if let Self::LoginRefused { .. } = self {
            Cause::SourceLogin
        } else if self.is_platforms() {
            Cause::SourceUnavailable
        } else {
            Cause::SourceRefused
        }
    }

    /// An answer that isn't what it should be. Says where, and nothing of what stands there.
    pub(crate) fn malformed(operation: &'static str, error: &serde_json::Error) -> Self {
        let kind = match error.classify() {
            serde_json::error::Category::Syntax => {
                return Self::NotJson {
                    operation,
                    line: error.line(),
                    column: error.column(),
                    answer: RawAnswer::default(),
                };
            }
            serde_json::error::Category::Io => "unreadable",
            serde_json::error::Category::Data => "JSON of another shape",
            serde_json::error::Category::Eof => "cut off",
        };
        Self::Malformed {
            operation,
            reason: format!("{kind} at byte {} of line {}", error.column(), error.line()),
        }
    }

    /// The same error with the answer that it is about.
    pub(crate) fn carrying(mut self, bytes: &Bytes) -> Self {
        if let Self::NotJson { answer, .. } = &mut self {
            *answer = RawAnswer(bytes.clone());
        }
        self
    }

    /// A connection that failed, or an answer that broke off or stalled.
    pub(crate) fn disconnected(operation: &'static str, error: &(dyn Error + 'static)) -> Self {
        let reason = connection_reason(error);
        if is_broken_off(error) {
            return Self::BrokeOff {
                operation,
                status: None,
                reason,
            };
        }
        if is_timeout(error) {
            return Self::TooHeavy {
                operation,
                status: None,
                retry_after: None,
                reason,
            };
        }
        Self::Unavailable {
            operation,
            status: None,
            retry_after: None,
            reason,
        }
    }

    /// An answer whose status says that it is none.
    pub(crate) fn from_answer(
        operation: &'static str,
        status: u16,
        retry_after: Option<Duration>,
        body: &[u8],
    ) -> Self {
        let error = serde_json::from_slice::<Value>(body)
            .map(|mut body| body["error"].take())
            .unwrap_or_default();
        let types = types_of(&error);
        if types.contains(&"search_context_missing_exception") {
            return Self::PitLost;
        }
        let reason = reason_of(&error).unwrap_or_else(|| format!("status {status}"));
        if status == 413 || is_over_limit(&reason) {
            return Self::OverLimit {
                operation,
                status,
                reason,
            };
        }
        if status == 401 {
            return Self::LoginRefused {
                operation,
                reason: format!("{reason}. {LOGIN_REMEDY}"),
            };
        }
        let too_heavy = types.iter().any(|name| is_too_heavy(name)) || matches!(status, 408 | 504);
        match status {
            _ if too_heavy => Self::TooHeavy {
                operation,
                status: Some(status),
                retry_after,
                reason,
            },
            _ if is_outage(&types, &reason) => Self::Unavailable {
                operation,
                status: Some(status),
                retry_after,
                reason,
            },
            500 | 502 if may_be_a_documents(&types) => Self::BrokeOff {
                operation,
                status: Some(status),
                reason,
            },
            429 | 500.. => Self::Unavailable {
                operation,
                status: Some(status),
                retry_after,
                reason,
            },
            _ => Self::Refused {
                operation,
                status,
                reason: with_remedy(reason),
            },
        }
    }

    /// Whether an index that was named isn't there.
    pub(crate) fn is_unknown_index(&self) -> bool {
        matches!(self, Self::Refused { status: 404, reason, .. } if reason.starts_with("index_not_found_exception"))
    }
}

const LOGIN_REMEDY: &str = "See that the secret of GRANARY_ES_SECRET_ARN holds a credential that Elasticsearch takes; it is \
     read again by itself";

/// Whether an error type says that a node has no memory or no time for so much at once.
pub(crate) fn is_too_heavy(error_type: &str) -> bool {
    matches!(error_type, "circuit_breaking_exception" | "timeout_exception")
}

/// What the refusals say that a smaller request avoids: `index.max_result_window` and `index.max_terms_count`.
const OVER_LIMIT: [&str; 2] = ["Result window is too large", "The number of terms ["];

fn is_over_limit(reason: &str) -> bool {
    OVER_LIMIT.iter().any(|limit| reason.contains(limit))
}

/// `type: reason` of what an error goes back to, short and without values of fields.
pub(crate) fn reason_of(error: &Value) -> Option<String> {
    if let Some(text) = error.as_str() {
        return Some(short(text));
    }
    let root = error["root_cause"].get(0).unwrap_or(error);
    let kind = root["type"].as_str().or_else(|| error["type"].as_str())?;
    let reason = root["reason"]
        .as_str()
        .or_else(|| error["reason"].as_str())
        .unwrap_or_default();
    Some(short(&format!("{kind}: {reason}")))
}

/// Where Elasticsearch begins to quote what a field or a request held.
const QUOTES: [&str; 5] = [
    "Preview of field's value",
    "at [Source:",
    "value '",
    "token '",
    "For input string:",
];

/// Cuts a reason short, and before a quotation.
fn short(reason: &str) -> String {
    let quoted = QUOTES
        .iter()
        .filter_map(|quote| reason.find(quote))
        .min()
        .unwrap_or(reason.len());
    let end = reason.floor_char_boundary(quoted.min(REASON_BYTES_MAX));
    reason[..end].trim_end().to_owned()
}

/// How a connection failed, from the innermost causes out. The client's own text is left aside: it has the address.
fn connection_reason(error: &(dyn Error + 'static)) -> String {
    let mut parts = Vec::new();
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(http) = error.downcast_ref::<reqwest::Error>() {
            parts = vec![kind_of(http).to_owned()];
        } else if !parts.is_empty() {
            parts.push(error.to_string());
        }
        cause = error.source();
    }
    if parts.is_empty() {
        "the request could not be sent".to_owned()
    } else {
        let reason = short(&parts.join(": "));
        Service::Elasticsearch.distrust(&reason).unwrap_or(reason)
    }
}

/// Whether a connection was there and no answer came in time.
fn is_timeout(error: &(dyn Error + 'static)) -> bool {
    http_error(error).is_some_and(|http| http.is_timeout() && !http.is_connect())
}

/// Whether there was a connection and the other side ended it.
fn is_broken_off(error: &(dyn Error + 'static)) -> bool {
    http_error(error).is_some_and(|http| !http.is_timeout() && !http.is_connect())
}

/// The HTTP client's error in a chain of causes.
fn http_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a reqwest::Error> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(http) = error.downcast_ref() {
            return Some(http);
        }
        cause = error.source();
    }
    None
}

fn kind_of(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        "no answer within the time limit"
    } else if error.is_connect() {
        "could not connect"
    } else if error.is_body() || error.is_decode() {
        "the answer broke off"
    } else {
        "the connection failed"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn answer(status: u16, error: Value) -> SourceError {
        SourceError::from_answer(
            "read",
            status,
            None,
            json!({ "error": error }).to_string().as_bytes(),
        )
    }

    #[test]
    fn a_lost_point_in_time_is_known_by_its_root_cause() {
        let cause =
            json!([{"type": "search_context_missing_exception", "reason": "No search context found"}]);
        assert_eq!(
            answer(404, json!({"type": "x", "reason": "y", "root_cause": cause})),
            SourceError::PitLost
        );
    }

    #[test]
    fn h7_overload_is_the_platforms_fault_whatever_its_status() {
        let breaker = json!({"type": "circuit_breaking_exception", "reason": "Data too large"});
        assert!(answer(400, breaker).is_platforms());
        assert!(
            [429, 500, 502, 503, 504]
                .iter()
                .all(|status| answer(*status, json!("busy")).is_platforms())
        );
        let operation = "read documents";
        for status in [200, 404] {
            let page = SourceError::NotElasticsearch {
                operation,
                status,
                server: None,
            };
            assert_eq!(page.cause(), Cause::SourceUnavailable);
        }
        let refusal = answer(
            400,
            json!({"type": "parsing_exception", "reason": "unknown query"}),
        );
        assert!(!refusal.is_platforms());
        assert_eq!(refusal.cause(), Cause::SourceRefused);
    }

    #[test]
    fn e8_an_answer_without_a_word_is_told_apart_from_overload() {
        let is_bare = |status| matches!(answer(status, json!("x")), SourceError::BrokeOff { .. });
        assert_eq!([500, 502].map(is_bare), [true; 2]);
        assert_eq!([429, 503, 504].map(is_bare), [false; 3]);
        let breaker = json!({"type": "circuit_breaking_exception", "reason": "Data too large"});
        assert!(matches!(answer(500, breaker), SourceError::TooHeavy { .. }));
    }

    #[test]
    fn e7_what_a_smaller_request_avoids_is_told_apart() {
        let window = json!({"type": "illegal_argument_exception", "reason": "Result window is too large, from + size"});
        assert!(matches!(answer(400, window), SourceError::OverLimit { .. }));
        assert!(matches!(answer(413, json!("x")), SourceError::OverLimit { .. }));
        assert!(matches!(answer(504, json!("x")), SourceError::TooHeavy { .. }));
        assert!(!answer(503, json!("x")).wants_less());
    }

    #[test]
    fn s2_an_answer_is_not_shown() {
        let error = serde_json::from_str::<Value>("secret").unwrap_err();
        let error = SourceError::malformed("read", &error).carrying(&Bytes::from_static(b"secret"));
        assert!(!format!("{error:?} {error}").contains("secret"));
    }

    #[test]
    fn s2_a_reason_is_short_and_quotes_no_field() {
        let reason = format!(
            "failed to parse. Preview of field's value: 'secret' {}",
            "é".repeat(600)
        );
        let text = answer(
            400,
            json!({"type": "document_parsing_exception", "reason": reason}),
        )
        .to_string();
        assert!(
            text.contains("failed to parse") && !text.contains("secret") && text.len() < 600,
            "{text}"
        );
        let number = json!({"type": "x", "reason": "Malformed numeric value 'secret'"});
        assert!(!answer(500, number).to_string().contains("secret"));
        let token = json!({"type": "x", "reason": "Unrecognized token 'secret': was expecting null"});
        assert!(!answer(400, token).to_string().contains("secret"));
        let input = json!({"type": "number_format_exception", "reason": "For input string: \"secret\""});
        assert!(!answer(400, input).to_string().contains("secret"));
        let quoting = json!({"type": "x", "reason": "Duplicate field 'a'\n at [Source: (byte[])\"secret\"]"});
        assert!(!answer(400, quoting).to_string().contains("secret"));
        assert!(answer(400, json!("é".repeat(600))).to_string().len() < 600);
    }
}
