//! Errors as people and programs read them: RFC 9457, `application/problem+json`.
//!
//! `type` is stable and made for programs; `detail` says what is wrong with this request, and `remedy` what to do. A
//! problem of ours carries its cause to the log, never to the caller.

use crate::web::answer::Unfinished;
use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use granary_handoff::HandoffError;
use granary_ledger::{LedgerError, Remedy};
use granary_numbering::NumberingError;
use granary_source::SourceError;
use granary_switchboard::SwitchError;
use serde_json::{Map, Value};
use std::error::Error;

/// The kinds of problems. The API's documentation lists them; a client may branch on their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    InvalidParameter,
    UnreadableBody,
    BodyTooLarge,
    NotConfirmed,
    Unauthenticated,
    RoleTooSmall,
    SeedingNotAllowed,
    NoSuchRoute,
    MethodNotAllowed,
    NotFound,
    NotPossible,
    OperationFailed,
    Internal,
    NotReady,
    Unavailable,
}

impl Kind {
    pub(crate) const ALL: [Self; 15] = [
        Self::InvalidParameter,
        Self::UnreadableBody,
        Self::BodyTooLarge,
        Self::NotConfirmed,
        Self::Unauthenticated,
        Self::RoleTooSmall,
        Self::SeedingNotAllowed,
        Self::NoSuchRoute,
        Self::MethodNotAllowed,
        Self::NotFound,
        Self::NotPossible,
        Self::OperationFailed,
        Self::Internal,
        Self::NotReady,
        Self::Unavailable,
    ];

    /// The `type` of its problems.
    pub(crate) fn urn(self) -> String {
        format!("urn:granary:problem:{}", self.name())
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::InvalidParameter => "invalid-parameter",
            Self::UnreadableBody => "unreadable-body",
            Self::BodyTooLarge => "body-too-large",
            Self::NotConfirmed => "not-confirmed",
            Self::Unauthenticated => "unauthenticated",
            Self::RoleTooSmall => "role-too-small",
            Self::SeedingNotAllowed => "seeding-not-allowed",
            Self::NoSuchRoute => "no-such-route",
            Self::MethodNotAllowed => "method-not-allowed",
            Self::NotFound => "not-found",
            Self::NotPossible => "not-possible",
            Self::OperationFailed => "operation-failed",
            Self::Internal => "internal",
            Self::NotReady => "not-ready",
            Self::Unavailable => "unavailable",
        }
    }

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::InvalidParameter => "A parameter can't be used",
            Self::UnreadableBody => "The body can't be read",
            Self::BodyTooLarge => "The body is too large",
            Self::NotConfirmed => "The confirmation is missing",
            Self::Unauthenticated => "A token is needed",
            Self::RoleTooSmall => "This token may not do that",
            Self::SeedingNotAllowed => "Test data is not allowed here",
            Self::NoSuchRoute => "There is no such route",
            Self::MethodNotAllowed => "The route has another method",
            Self::NotFound => "There is no such thing",
            Self::NotPossible => "That isn't possible as things stand",
            Self::OperationFailed => "The operation failed",
            Self::Internal => "Something went wrong here",
            Self::NotReady => "A service is ill",
            Self::Unavailable => "A service is out of reach",
        }
    }

    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::InvalidParameter | Self::UnreadableBody | Self::NotConfirmed => StatusCode::BAD_REQUEST,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::RoleTooSmall | Self::SeedingNotAllowed => StatusCode::FORBIDDEN,
            Self::NoSuchRoute | Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotPossible => StatusCode::CONFLICT,
            Self::OperationFailed | Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::NotReady | Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

const RETRY_AFTER_SECS: u32 = 5;
const TRY_AGAIN: &str = "Try again in a few seconds. GET /health says which service is unhealthy.";

/// Why a request was not done.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    kind: Kind,
    detail: String,
    members: Map<String, Value>,
    cause: Option<String>,
}

/// The cause of a problem that isn't the caller's, on its way to the log.
#[derive(Debug, Clone)]
pub(crate) struct Reported {
    pub(crate) cause: String,
}

impl Problem {
    /// `detail` is a sentence, or more, about this very request.
    pub(crate) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            members: Map::new(),
            cause: None,
        }
    }

    /// A parameter of the body, the query or the path that can't be used.
    pub(crate) fn invalid(field: &str, detail: impl Into<String>) -> Self {
        Self::new(Kind::InvalidParameter, detail).with("field", field.into())
    }

    /// What the reader can do about it.
    pub(crate) fn remedy(self, remedy: &str) -> Self {
        self.with("remedy", remedy.into())
    }

    /// Another member of the body.
    pub(crate) fn with(mut self, name: &str, value: Value) -> Self {
        self.members.insert(name.to_owned(), value);
        self
    }

    /// What a service's error means to the caller: it may pass by itself, or somebody has to look. The rooms promise
    /// that their texts hold no address, secret or message; what stands behind them goes to the log alone.
    fn of_service(service: &'static str, passes: bool, error: &(dyn Error + 'static)) -> Self {
        let (kind, remedy) = if passes {
            (Kind::Unavailable, TRY_AGAIN)
        } else {
            (
                Kind::Internal,
                "GET /health may say what is wrong; the operator's log has the reason under this requestId.",
            )
        };
        let mut problem = Self::new(
            kind,
            format!("The {service} did not do what it was asked: {error}."),
        )
        .remedy(remedy);
        problem.cause = Some(chain(error));
        problem.with("service", service.into())
    }

    /// A service that said nothing for as long as this request waits for it.
    pub(crate) fn silent(service: &'static str, millis: u64) -> Self {
        let detail = format!("The {service} gave no answer within {millis} ms.");
        Self::new(Kind::Unavailable, detail)
            .remedy(TRY_AGAIN)
            .with("service", service.into())
    }

    /// What is wrong, for people who may know of our own troubles: the cause where there is one.
    pub(crate) fn reason(&self) -> &str {
        self.cause.as_deref().unwrap_or(&self.detail)
    }

    /// What the reader can do about it, where that was said.
    pub(crate) fn what_to_do(&self) -> Option<&str> {
        self.members.get("remedy").and_then(Value::as_str)
    }

    #[cfg(test)]
    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    #[cfg(test)]
    pub(crate) fn field(&self) -> Option<&str> {
        self.members.get("field").and_then(Value::as_str)
    }
}

impl From<LedgerError> for Problem {
    fn from(error: LedgerError) -> Self {
        let problem = Self::of_service("ledger", error.is_platforms(), &error);
        match error.remedy() {
            Remedy::Migrate => problem.remedy(
                "GET /schema (granary schema status) shows what the ledger has and what this version needs.",
            ),
            Remedy::Repeat
            | Remedy::Reconnect
            | Remedy::FetchSecret
            | Remedy::Trust
            | Remedy::Wait
            | Remedy::Smaller
            | Remedy::Refuse
            | Remedy::Report => problem,
        }
    }
}

impl From<NumberingError> for Problem {
    fn from(error: NumberingError) -> Self {
        match error {
            NumberingError::Ledger(error) => error.into(),
            NumberingError::Archive(_) | NumberingError::Contended => {
                Self::of_service("archive", error.cause().is_platforms(), &error)
            }
        }
    }
}

impl From<SourceError> for Problem {
    fn from(error: SourceError) -> Self {
        Self::of_service("source", error.is_platforms(), &error)
    }
}

impl From<HandoffError> for Problem {
    fn from(error: HandoffError) -> Self {
        Self::of_service("queue", error.is_platforms(), &error)
    }
}

impl From<SwitchError> for Problem {
    fn from(error: SwitchError) -> Self {
        let remedy = error.remedy();
        if let SwitchError::BeingChanged { .. } = error {
            return Self::new(Kind::NotPossible, format!("{error}.")).remedy(remedy);
        }
        Self::of_service("switch", error.is_platforms(), &error).remedy(remedy)
    }
}

impl From<anyhow::Error> for Problem {
    fn from(error: anyhow::Error) -> Self {
        let mut problem = Self::new(Kind::Internal, "The request could not be done.")
            .remedy("The operator's log has the reason under this requestId.");
        problem.cause = Some(format!("{error:#}"));
        problem
    }
}

/// An error and all that it is caused by.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        source = inner.source();
    }
    text
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.kind.status();
        let mut body = self.members;
        let members: [(&str, Value); 5] = [
            ("type", self.kind.urn().into()),
            ("title", self.kind.title().into()),
            ("status", status.as_u16().into()),
            ("detail", self.detail.into()),
            ("success", false.into()),
        ];
        body.extend(members.map(|(name, value)| (name.to_owned(), value)));
        let mut response = status.into_response();
        match self.kind {
            Kind::Unauthenticated => {
                let scheme = HeaderValue::from_static("Bearer realm=\"granary\"");
                response.headers_mut().insert(WWW_AUTHENTICATE, scheme);
            }
            Kind::Unavailable | Kind::NotReady => {
                response
                    .headers_mut()
                    .insert(RETRY_AFTER, RETRY_AFTER_SECS.into());
            }
            Kind::InvalidParameter
            | Kind::UnreadableBody
            | Kind::BodyTooLarge
            | Kind::NotConfirmed
            | Kind::RoleTooSmall
            | Kind::SeedingNotAllowed
            | Kind::NoSuchRoute
            | Kind::MethodNotAllowed
            | Kind::NotFound
            | Kind::NotPossible
            | Kind::OperationFailed
            | Kind::Internal => {}
        }
        if let Some(cause) = self.cause {
            response.extensions_mut().insert(Reported { cause });
        }
        response.extensions_mut().insert(Unfinished {
            body,
            media_type: "application/problem+json",
        });
        response
    }
}
