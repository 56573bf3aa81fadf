//! Who asks, and from where: what the audit and the log say of a request's origin.
//!
//! Not responsible for whether they may (`auth`). What isn't known is left out.

use axum::extract::{ConnectInfo, Request};
use axum::http::header::USER_AGENT;
use granary_tokens::Role;
use lambda_http::RequestExt;
use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpRequestContext;
use lambda_http::request::RequestContext;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// What every column for a caller in the ledger holds.
const NAME_CHARS_MAX: usize = 64;
const USER_AGENT_CHARS_MAX: usize = 200;

/// A request's caller, once it is known whose request it is.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    name: Arc<str>,
    role: Role,
    address: Option<IpAddr>,
}

impl Caller {
    /// Of a name that is too long the end is kept: in an ARN that is the person.
    pub(crate) fn new(name: &str, role: Role, address: Option<IpAddr>) -> Self {
        let chars = name.chars().count();
        let name = if chars > NAME_CHARS_MAX {
            let end = name.chars().skip(chars - NAME_CHARS_MAX + 1);
            std::iter::once('…').chain(end).collect()
        } else {
            name.to_owned()
        };
        Self {
            name: name.into(),
            role,
            address,
        }
    }

    /// The token's name, or what the authorizer calls the caller.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// What it may do.
    pub(crate) fn role(&self) -> Role {
        self.role
    }

    /// Where the request comes from.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        self.address
    }

    #[cfg(test)]
    pub(crate) fn of_a_test() -> Self {
        Self {
            name: "ada".into(),
            role: Role::Operator,
            address: None,
        }
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// What API Gateway says of a request. `None`: it came in another way.
pub(crate) fn gateway_context(request: &Request) -> Option<&ApiGatewayV2httpRequestContext> {
    match request.request_context_ref() {
        Some(RequestContext::ApiGatewayV2(context)) => Some(context),
        Some(_) | None => None,
    }
}

/// What a request came from, before it is known whose it is.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(crate) address: Option<IpAddr>,
    /// Without control characters, and cut.
    pub(crate) user_agent: String,
}

impl Client {
    /// The address is the one that API Gateway saw or, outside of Lambda, the other end of the connection. Headers that name
    /// another one are not believed: every client can send them.
    pub(crate) fn of(request: &Request) -> Self {
        let address = match gateway_context(request) {
            Some(context) => {
                let address = context.http.source_ip.as_deref();
                address.and_then(|address| address.parse().ok())
            }
            None => {
                let connection = request.extensions().get::<ConnectInfo<SocketAddr>>();
                connection.map(|ConnectInfo(address)| address.ip())
            }
        };
        let user_agent = request.headers().get(USER_AGENT);
        let user_agent = user_agent.map(|text| String::from_utf8_lossy(text.as_bytes()));
        let visible = user_agent
            .iter()
            .flat_map(|text| text.chars())
            .filter(|char| !char.is_control());
        Self {
            address,
            user_agent: visible.take(USER_AGENT_CHARS_MAX).collect(),
        }
    }

    /// The address for the log.
    pub(crate) fn address_shown(&self) -> String {
        self.address
            .map_or_else(|| "unknown".to_owned(), |address| address.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpRequest;
    use lambda_http::request::LambdaRequest;

    #[test]
    fn the_address_is_the_one_that_api_gateway_saw() {
        let event = include_str!("../../../../events/operator.health.json");
        let event: ApiGatewayV2httpRequest = serde_json::from_str(event).unwrap();
        let request: axum::http::Request<lambda_http::Body> = LambdaRequest::ApiGatewayV2(event).into();
        let mut request = request.map(|_| Body::empty());
        let forged = "198.51.100.1".parse().unwrap();
        request.headers_mut().insert("x-forwarded-for", forged);
        let client = Client::of(&request);
        assert_eq!(client.address_shown(), "203.0.113.7");
        assert_eq!(client.user_agent, "curl/8.5.0");
    }

    #[test]
    fn a_user_agent_is_cut_and_has_no_control_characters() {
        let text = format!("a\tb{}", "x".repeat(500));
        let request = Request::builder().header(USER_AGENT, text);
        let client = Client::of(&request.body(Body::empty()).unwrap());
        assert!(client.user_agent.starts_with("abx"));
        assert_eq!(client.user_agent.len(), 200);
        assert_eq!(client.address_shown(), "unknown");
    }
}
