//! The operator's HTTP API, as a client meets it.
//!
//! Errors say what to do next. Nothing is tried again here: whoever waits for something decides how patient it is.
//!
//! A body that a proxy drops never makes a change of a dry run, or a larger change of a smaller one: what deletes is asked
//! for by POST, a dry run is in the query as well, and a header has the length of the body.

use crate::cli::Connection;
use crate::invocation::Invocation;
use reqwest::{Client, Method, StatusCode};
use serde_json::Value;
use std::fmt;
use std::time::Duration;
use url::Url;

/// What the operator logs of this program.
pub(crate) const USER_AGENT: &str = concat!("granary/", env!("CARGO_PKG_VERSION"));
/// API Gateway gives up after 30 seconds.
const REQUEST_SECS_MAX: u64 = 35;
const CONNECT_SECS_MAX: u64 = 5;
/// The API refuses a body of another length.
const BODY_BYTES: &str = "granary-body-bytes";
const SHOWN_CHARS_MAX: usize = 200;

/// Why a request brought no answer that can be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    /// Neither an option nor a variable says where the API is, or who asks.
    #[error(
        "{what} is not known. Set {variable} (the local stack writes it: `. .local/env`), or give {option}"
    )]
    NotTold {
        what: &'static str,
        variable: &'static str,
        option: &'static str,
    },
    /// The variable isn't an address.
    #[error("{variable} is not a URL: {reason}")]
    NotAUrl {
        variable: &'static str,
        reason: url::ParseError,
    },
    /// Nothing answers, or the answer broke off.
    #[error(
        "{url} does not answer ({reason}). Is API_URL the output ApiUrl of the stack, and what does the operator's log say? `make up` starts a \
         local stack; then `. .local/env`"
    )]
    OutOfReach { url: String, reason: String },
    /// The function can't be invoked, or failed.
    #[error(
        "the function {function} could not be invoked ({reason}). Check --function or GRANARY_FUNCTION, and your AWS credentials"
    )]
    NotInvoked { function: String, reason: String },
    /// The API says no.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// Something else answers.
    #[error("{url} answered {status}, and not as Granary's API does: {beginning}. Check the API's URL")]
    NotOurs {
        url: String,
        status: StatusCode,
        beginning: String,
    },
}

/// A problem as the API tells it (RFC 9457).
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    problem: Value,
}

impl ApiError {
    /// Whether it may pass by itself.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::OutOfReach { .. } | Self::NotInvoked { .. } => true,
            Self::Refused(refusal) => refusal.status.is_server_error(),
            Self::NotOurs { status, .. } => status.is_server_error(),
            Self::NotTold { .. } | Self::NotAUrl { .. } => false,
        }
    }

    /// Whether the deployment is older than this program, and doesn't know what it asks for.
    pub(crate) fn is_no_such_route(&self) -> bool {
        match self {
            Self::Refused(refusal) => refusal.is("no-such-route"),
            Self::NotTold { .. }
            | Self::NotAUrl { .. }
            | Self::OutOfReach { .. }
            | Self::NotInvoked { .. }
            | Self::NotOurs { .. } => false,
        }
    }
}

impl Refusal {
    fn is(&self, name: &str) -> bool {
        self.problem["type"]
            .as_str()
            .is_some_and(|of_problem| of_problem.rsplit(':').next() == Some(name))
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |member: &str| self.problem[member].as_str().unwrap_or_default();
        write!(f, "{}", text("detail"))?;
        let remedy = match self.status {
            StatusCode::UNAUTHORIZED => {
                "The token comes from GRANARY_API_TOKEN or API_TOKEN; for the local stack: `. .local/env`"
            }
            _ => text("remedy"),
        };
        if !remedy.is_empty() {
            write!(f, "\n  {remedy}")?;
        }
        if self.status.is_server_error() {
            write!(f, "\n  request {}", text("requestId"))?;
        }
        Ok(())
    }
}

/// The API of one deployment.
pub(crate) struct Api {
    way: Way,
}

/// The way to it.
enum Way {
    Http {
        http: Client,
        base: String,
        token: String,
    },
    /// Where there is no API Gateway.
    Invocation(Invocation),
}

/// A request, whatever its way.
pub(crate) struct Asked<'a> {
    pub(crate) method: Method,
    pub(crate) path: &'a str,
    /// Without its question mark.
    pub(crate) query: &'a str,
    pub(crate) body: Option<&'a str>,
}

impl Asked<'_> {
    /// What goes with a body.
    pub(crate) fn headers_of_body(&self) -> Vec<(&'static str, String)> {
        match self.body {
            Some(body) => vec![
                ("content-type", "application/json".to_owned()),
                (BODY_BYTES, body.len().to_string()),
            ],
            None => Vec::new(),
        }
    }
}

impl Api {
    /// Takes options first, then variables. Asks nothing yet.
    pub(crate) fn new(connection: Connection) -> anyhow::Result<Self> {
        let function = match (&connection.api_url, connection.function) {
            (Some(_), _) => None,
            (None, Some(function)) => Some(function),
            (None, None) => variable(["GRANARY_FUNCTION"]).map(|(_, name)| name),
        };
        if let Some(function) = function {
            return Ok(Self {
                way: Way::Invocation(Invocation::new(function)),
            });
        }
        let url = match connection.api_url {
            Some(url) => url,
            None => url_of_environment()?,
        };
        let token = connection
            .api_token
            .or_else(|| variable(["GRANARY_API_TOKEN", "API_TOKEN"]).map(|(_, text)| text));
        let token = token.ok_or(ApiError::NotTold {
            what: "the API's token",
            variable: "GRANARY_API_TOKEN",
            option: "--api-token",
        })?;
        let http = Client::builder()
            .timeout(Duration::from_secs(REQUEST_SECS_MAX))
            .connect_timeout(Duration::from_secs(CONNECT_SECS_MAX))
            .user_agent(USER_AGENT)
            .build()?;
        let base = url.as_str().trim_end_matches('/').to_owned();
        Ok(Self {
            way: Way::Http { http, base, token },
        })
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Value, ApiError> {
        self.ask(Method::GET, path, None).await
    }

    /// What a look at the services' health comes to: that one is ill is an answer too.
    pub(crate) async fn get_or_not_ready(&self, path: &str) -> Result<Value, ApiError> {
        match self.get(path).await {
            Err(ApiError::Refused(refusal)) if refusal.is("not-ready") => {
                let mut problem = refusal.problem;
                problem["status"] = "degraded".into();
                Ok(problem)
            }
            other => other,
        }
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value, ApiError> {
        self.ask(Method::POST, path, Some(body)).await
    }

    async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, ApiError> {
        let is_dry_run = body.is_some_and(|body| body["dryRun"] == true);
        let body = body.map(Value::to_string);
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let query = match (is_dry_run, query) {
            (false, query) => query.to_owned(),
            (true, "") => "dryRun=true".to_owned(),
            (true, query) => format!("{query}&dryRun=true"),
        };
        let asked = Asked {
            method,
            path,
            query: &query,
            body: body.as_deref(),
        };
        let (url, status, text) = match &self.way {
            Way::Http { http, base, token } => by_http(http, base, token, &asked).await?,
            Way::Invocation(invocation) => invocation.ask(&asked).await?,
        };
        let body: Option<Value> = serde_json::from_str(&text).ok();
        match body {
            Some(body) if status.is_success() && body["success"] == true => Ok(body),
            Some(problem)
                if problem["type"]
                    .as_str()
                    .is_some_and(|name| name.starts_with("urn:granary:")) =>
            {
                Err(ApiError::Refused(Box::new(Refusal { status, problem })))
            }
            Some(_) | None => Err(ApiError::NotOurs {
                url,
                status,
                beginning: text.chars().take(SHOWN_CHARS_MAX).collect(),
            }),
        }
    }
}

/// The address that was asked, the status and the body.
async fn by_http(
    http: &Client,
    base: &str,
    token: &str,
    asked: &Asked<'_>,
) -> Result<(String, StatusCode, String), ApiError> {
    let mark = if asked.query.is_empty() { "" } else { "?" };
    let url = format!("{base}{}{mark}{}", asked.path, asked.query);
    let mut request = http.request(asked.method.clone(), &url).bearer_auth(token);
    for (name, value) in asked.headers_of_body() {
        request = request.header(name, value);
    }
    if let Some(body) = asked.body {
        request = request.body(body.to_owned());
    }
    let out_of_reach = |error: reqwest::Error| ApiError::OutOfReach {
        url: base.to_owned(),
        reason: innermost(&error),
    };
    let response = request.send().await.map_err(out_of_reach)?;
    let status = response.status();
    let text = response.text().await.map_err(out_of_reach)?;
    Ok((url, status, text))
}

fn url_of_environment() -> Result<Url, ApiError> {
    let (name, text) = variable(["GRANARY_API_URL", "API_URL"]).ok_or(ApiError::NotTold {
        what: "the API's address",
        variable: "GRANARY_API_URL",
        option: "--api-url",
    })?;
    text.parse().map_err(|reason| ApiError::NotAUrl {
        variable: name,
        reason,
    })
}

/// The first of these variables that is set and not empty.
fn variable<const N: usize>(names: [&'static str; N]) -> Option<(&'static str, String)> {
    names
        .into_iter()
        .find_map(|name| Some((name, std::env::var(name).ok().filter(|text| !text.is_empty())?)))
}

/// What the system said: the outer texts repeat the address.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refusal(status: u16, problem: Value) -> String {
        Refusal {
            status: StatusCode::from_u16(status).unwrap(),
            problem,
        }
        .to_string()
    }

    #[test]
    fn a_refusal_says_what_to_do_next() {
        let text = refusal(
            403,
            json!({"detail": "Seeding is off.", "remedy": "Switch it on."}),
        );
        assert_eq!(text, "Seeding is off.\n  Switch it on.");
        let text = refusal(401, json!({"detail": "The token is wrong.", "remedy": "x"}));
        assert!(
            text.contains("API_TOKEN") && text.contains(".local/env"),
            "{text}"
        );
        let text = refusal(503, json!({"detail": "The ledger is down.", "requestId": "r-1"}));
        assert!(text.ends_with("request r-1"), "{text}");
    }

    #[tokio::test]
    async fn a_silent_address_is_answered_with_the_command_that_starts_the_stack() {
        let connection = Connection {
            api_url: Some("http://127.0.0.1:1".parse().unwrap()),
            api_token: Some("token".to_owned()),
            function: None,
        };
        let error = Api::new(connection).unwrap().get("/health").await.unwrap_err();
        assert!(error.may_pass());
        assert!(error.to_string().contains("make up"), "{error}");
    }
}
