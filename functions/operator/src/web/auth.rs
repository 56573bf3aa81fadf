//! Who may do what: two roles, and named bearer tokens unless another way is set (`access`).
//!
//! A viewer may look, an operator may change things besides. Where no token is configured, every request is refused. Tokens are read
//! again every minute: one that was revoked opens nothing a minute later. A wrong token is answered late, and logged with the
//! address that it came from, never with its text.

use crate::services::Services;
use crate::web::access::{self, Access};
use crate::web::caller::{Caller, Client};
use crate::web::problem::{Kind, Problem};
use axum::extract::{Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use granary_telemetry::{Metric, record};
use granary_tokens::{Role, TokenList};
use jiff::Timestamp;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Answers to wrong tokens that wait at once in this process. Further ones don't wait, so that a flood holds nothing else.
const WAITS_MAX: usize = 8;
const WAIT_MILLIS_MIN: u64 = 100;
const WAIT_MILLIS_MAX: u64 = 200;
static WAITS: Semaphore = Semaphore::const_new(WAITS_MAX);

/// The smallest role that a method needs. What isn't known to only look counts as a change.
pub(crate) fn role_needed_for(method: &Method) -> Role {
    match *method {
        Method::GET | Method::HEAD => Role::Viewer,
        _ => Role::Operator,
    }
}

/// Why a request isn't let in.
enum Refusal {
    /// It isn't known whose it is, although it brought a token, or what looks like one.
    WrongToken(Problem),
    /// Anything else.
    Other(Problem),
}

/// Whose request it is, if that is enough for what it wants.
fn admit(access: &Access, tokens: &TokenList, request: &Request, client: &Client) -> Result<Caller, Refusal> {
    let caller = match access {
        Access::Token(_) => admit_by(tokens, request.headers(), client, Timestamp::now())?,
        Access::Iam => access::by_iam(request, client).map_err(Refusal::Other)?,
        Access::Jwt { role_claim } => access::by_jwt(request, client, role_claim).map_err(Refusal::Other)?,
        Access::Invoke => access::by_invocation(request).map_err(Refusal::Other)?,
    };
    if caller.role() < role_needed_for(request.method()) {
        let problem = Problem::new(
            Kind::RoleTooSmall,
            "A viewer's token may look, not change anything.",
        );
        return Err(Refusal::Other(problem.remedy("Use an operator's token.")));
    }
    Ok(caller)
}

/// The list of tokens as it is now; empty where callers prove who they are in another way.
async fn tokens_now(access: &Access) -> Result<Arc<TokenList>, Problem> {
    let tokens = match access {
        Access::Token(tokens) => tokens.as_ref(),
        Access::Iam | Access::Jwt { .. } | Access::Invoke => return Ok(Arc::default()),
    };
    let Some(tokens) = tokens else {
        let problem = Problem::new(
            Kind::Unauthenticated,
            "No token is configured at this deployment, so every request is refused.",
        );
        return Err(problem.remedy(
            "Create one with `granary token create`, and set the template's parameter TokensSecretArn.",
        ));
    };
    tokens.now().await.ok_or_else(|| {
        Problem::new(
            Kind::Unavailable,
            "The tokens could not be read from Secrets Manager for ten minutes, so requests are refused.",
        )
        .remedy("The operator's log says why; look at its network, and at its role's secretsmanager:GetSecretValue.")
    })
}

fn admit_by(
    tokens: &TokenList,
    headers: &HeaderMap,
    client: &Client,
    now: Timestamp,
) -> Result<Caller, Refusal> {
    let Some(presented) = bearer_token(headers) else {
        let problem = Problem::new(Kind::Unauthenticated, "The request has no bearer token.");
        return Err(Refusal::Other(
            problem.remedy("Send the header `Authorization: Bearer <token>`."),
        ));
    };
    let Some(token) = tokens.find(presented) else {
        let problem = Problem::new(
            Kind::Unauthenticated,
            "The bearer token is not one of this deployment's.",
        );
        return Err(Refusal::WrongToken(problem.remedy(
            "Check the token: it may have been revoked, or belong to another deployment.",
        )));
    };
    if token.is_expired(now) {
        let expires = token.expires.map(|time| time.to_string()).unwrap_or_default();
        let detail = format!("The token `{}` expired at {expires}.", token.name);
        let problem = Problem::new(Kind::Unauthenticated, detail);
        return Err(Refusal::WrongToken(problem.remedy(
            "Revoke it, and create another one: `granary token revoke`, `granary token create`.",
        )));
    }
    Ok(Caller::new(token.name.as_str(), token.role, client.address))
}

fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// A login that failed: logged, counted, and answered after a while.
async fn login_refused(client: &Client) {
    let (address, user_agent) = (client.address_shown(), client.user_agent.as_str());
    tracing::warn!(address, user_agent, "login refused");
    record(Metric::LoginsFailed, 1);
    if let Ok(_waiting) = WAITS.try_acquire() {
        let millis = WAIT_MILLIS_MIN + rand::random::<u64>() % (WAIT_MILLIS_MAX - WAIT_MILLIS_MIN);
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }
}

/// Lets a request pass whose token is enough. The caller goes with the request, and with the answer for the log.
pub(crate) async fn require_role(
    State(services): State<Arc<Services>>,
    mut request: Request,
    next: Next,
) -> Response {
    let client = Client::of(&request);
    let access = &services.config.access;
    let tokens = match tokens_now(access).await {
        Ok(tokens) => tokens,
        Err(problem) => return problem.into_response(),
    };
    // Before anything is waited for: a body can't be shared between threads.
    let admitted = admit(access, &tokens, &request, &client);
    let caller = match admitted {
        Ok(caller) => caller,
        Err(Refusal::WrongToken(problem)) => {
            login_refused(&client).await;
            return problem.into_response();
        }
        Err(Refusal::Other(problem)) => return problem.into_response(),
    };
    request.extensions_mut().insert(caller.clone());
    let mut response = next.run(request).await;
    response.extensions_mut().insert(caller);
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use granary_tokens::{NamedToken, TokenHash};

    const ADA: &str = "granary_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

    fn asks(scheme: &str, token: &str, now: &str) -> Result<Caller, String> {
        let mut tokens = TokenList::default();
        let ada = NamedToken {
            name: "ada".parse().unwrap(),
            role: Role::Viewer,
            hash: TokenHash::of(ADA),
            expires: Some("2027-01-01T00:00:00Z".parse().unwrap()),
        };
        tokens.add(ada).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, format!("{scheme} {token}").parse().unwrap());
        let client = Client {
            address: "203.0.113.7".parse().ok(),
            user_agent: String::new(),
        };
        admit_by(&tokens, &headers, &client, now.parse().unwrap()).map_err(|refusal| match refusal {
            Refusal::WrongToken(problem) | Refusal::Other(problem) => problem.detail().to_owned(),
        })
    }

    #[test]
    fn s1_a_caller_has_the_name_and_role_of_its_token_and_the_clients_address() {
        let caller = asks("bearer", ADA, "2026-12-01T00:00:00Z").unwrap();
        assert_eq!((caller.name(), caller.role()), ("ada", Role::Viewer));
        assert_eq!(caller.address().unwrap().to_string(), "203.0.113.7");
        assert!(asks("Basic", ADA, "2026-12-01T00:00:00Z").is_err());
    }

    #[test]
    fn s1_an_expired_token_is_refused_in_its_own_words_and_only_to_those_who_have_it() {
        let expired = asks("Bearer", ADA, "2027-01-01T00:00:00Z").unwrap_err();
        assert_eq!(expired, "The token `ada` expired at 2027-01-01T00:00:00Z.");
        let wrong = asks("Bearer", &ADA.to_lowercase(), "2027-01-01T00:00:00Z").unwrap_err();
        assert!(!wrong.contains("ada"), "{wrong}");
    }

    #[test]
    fn s1_whatever_is_not_known_to_only_look_needs_an_operator() {
        let needed = |name: &[u8]| role_needed_for(&Method::from_bytes(name).unwrap());
        assert_eq!(needed(b"GET"), Role::Viewer);
        for method in [&b"POST"[..], b"DELETE", b"PUT", b"PATCH", b"PURGE"] {
            assert_eq!(needed(method), Role::Operator);
        }
    }
}
