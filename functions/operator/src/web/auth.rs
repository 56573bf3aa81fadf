//! Who may do what: bearer tokens and two roles.
//!
//! A viewer may look, an operator may change things besides. Where no token is configured, every request is refused. Tokens are read
//! again every minute: one that was replaced opens nothing a minute later.

use crate::services::Services;
use crate::web::problem::{Kind, Problem};
use axum::extract::{Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use granary_environment::Token;
use secrecy::{ExposeSecret, SecretString};
use std::fmt;
use std::sync::Arc;
use subtle::ConstantTimeEq;

/// What a caller may do. Each includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    /// Look.
    Viewer,
    /// Look and change.
    Operator,
}

impl Role {
    /// The name in the ledger and in the log.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
        }
    }

    /// The smallest role that a method needs. What isn't known to only look counts as a change.
    pub(crate) fn needed_for(method: &Method) -> Self {
        match *method {
            Method::GET | Method::HEAD => Self::Viewer,
            _ => Self::Operator,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The tokens of this deployment.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    /// Of those who may change things.
    pub(crate) operator: Option<Token>,
    /// Of those who may only look.
    pub(crate) viewer: Option<Token>,
}

/// The tokens as they are at one moment.
#[derive(Debug, Default)]
struct TokensNow {
    operator: Option<SecretString>,
    viewer: Option<SecretString>,
}

impl Tokens {
    /// The role of a request, if it is enough for what it wants.
    async fn admit(&self, method: &Method, headers: &HeaderMap) -> Result<Role, Problem> {
        let of = async |token: &Option<Token>| match token {
            Some(token) => token.now().await,
            None => None,
        };
        let (operator, viewer) = tokio::join!(of(&self.operator), of(&self.viewer));
        let is_configured = self.operator.is_some() || self.viewer.is_some();
        if is_configured && operator.is_none() && viewer.is_none() {
            return Err(Problem::new(
                Kind::Unavailable,
                "The tokens could not be read from Secrets Manager for ten minutes, so requests are refused.",
            )
            .remedy("The operator's log says why; look at its network, and at its role's secretsmanager:GetSecretValue."));
        }
        TokensNow { operator, viewer }.admit(method, headers)
    }
}

impl TokensNow {
    fn are_absent(&self) -> bool {
        self.operator.is_none() && self.viewer.is_none()
    }

    /// The role of a token. Both are compared in full, in a time that tells nothing but their lengths.
    fn role_of(&self, token: &str) -> Option<Role> {
        let is = |known: &Option<SecretString>| {
            known
                .as_ref()
                .is_some_and(|known| known.expose_secret().as_bytes().ct_eq(token.as_bytes()).into())
        };
        let (is_operator, is_viewer) = (is(&self.operator), is(&self.viewer));
        match (is_operator, is_viewer) {
            (true, _) => Some(Role::Operator),
            (false, true) => Some(Role::Viewer),
            (false, false) => None,
        }
    }

    /// The role of a request, if it is enough for what it wants.
    fn admit(&self, method: &Method, headers: &HeaderMap) -> Result<Role, Problem> {
        if self.are_absent() {
            return Err(Problem::new(
                Kind::Unauthenticated,
                "No token is configured at this deployment, so nobody gets in.",
            )
            .remedy("Set GRANARY_OPERATOR_TOKEN or GRANARY_OPERATOR_TOKEN_SECRET_ARN of the operator."));
        }
        let Some(token) = bearer_token(headers) else {
            return Err(
                Problem::new(Kind::Unauthenticated, "The request has no bearer token.")
                    .remedy("Send the header `Authorization: Bearer <token>`."),
            );
        };
        let Some(role) = self.role_of(token) else {
            return Err(Problem::new(
                Kind::Unauthenticated,
                "The bearer token is not one of this deployment's.",
            )
            .remedy("Check the token: it may have been changed, or belong to another deployment."));
        };
        if role < Role::needed_for(method) {
            return Err(Problem::new(
                Kind::RoleTooSmall,
                "A viewer's token may look, not change anything.",
            )
            .remedy("Use an operator's token."));
        }
        Ok(role)
    }
}

fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Lets a request pass whose token is enough. The role goes with the request, and with the answer for the log.
pub(crate) async fn require_role(
    State(services): State<Arc<Services>>,
    mut request: Request,
    next: Next,
) -> Response {
    let role = match services
        .config
        .tokens
        .admit(request.method(), request.headers())
        .await
    {
        Ok(role) => role,
        Err(problem) => return problem.into_response(),
    };
    request.extensions_mut().insert(role);
    let mut response = next.run(request).await;
    response.extensions_mut().insert(role);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens() -> TokensNow {
        TokensNow {
            operator: Some("can-change".into()),
            viewer: Some("can-look".into()),
        }
    }

    #[test]
    fn s1_a_token_is_compared_as_a_whole() {
        let role = |token| tokens().role_of(token);
        assert_eq!(role("can-change"), Some(Role::Operator));
        assert_eq!(role("can-look"), Some(Role::Viewer));
        for wrong in ["", "can", "can-chang", "can-change ", "CAN-CHANGE", "can-changed"] {
            assert_eq!(role(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn s1_an_empty_token_gets_nobody_in_where_none_is_configured() {
        assert_eq!(TokensNow::default().role_of(""), None);
    }

    #[test]
    fn s1_whatever_is_not_known_to_only_look_needs_an_operator() {
        let needed = |name: &[u8]| Role::needed_for(&Method::from_bytes(name).unwrap());
        assert_eq!(needed(b"GET"), Role::Viewer);
        for method in [&b"POST"[..], b"DELETE", b"PUT", b"PATCH", b"PURGE"] {
            assert_eq!(needed(method), Role::Operator);
        }
    }
}
