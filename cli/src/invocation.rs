//! The way to an operator that has no API Gateway before it: its function is invoked, with the event that API Gateway would send.
//!
//! IAM decides who may invoke it. The name that is sent along is for the audit, which marks it as unverified.

use crate::api::{ApiError, Asked, USER_AGENT};
use aws_sdk_lambda::Client;
use aws_sdk_lambda::primitives::Blob;
use granary_environment::aws;
use percent_encoding::percent_decode_str;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

/// By this the operator knows that no API Gateway has sent the event.
const API_ID: &str = "lambda-invoke";
const CALLED: &str = "granary-as";

/// The operator's function.
pub(crate) struct Invocation {
    function: String,
    /// What this person is called on this machine.
    called: String,
    client: OnceCell<Client>,
}

impl Invocation {
    /// Connects to nothing yet.
    pub(crate) fn new(function: String) -> Self {
        let called = ["USER", "LOGNAME", "USERNAME"]
            .into_iter()
            .find_map(|name| std::env::var(name).ok().filter(|text| !text.is_empty()));
        Self {
            function,
            called: called.unwrap_or_else(|| "unknown".to_owned()),
            client: OnceCell::new(),
        }
    }

    /// The function's name, the status and the body.
    #[expect(
        clippy::disallowed_methods,
        reason = "a request to the API, whose operator takes the steps"
    )]
    pub(crate) async fn ask(&self, asked: &Asked<'_>) -> Result<(String, StatusCode, String), ApiError> {
        let client = self
            .client
            .get_or_init(|| async { Client::new(&aws::sdk_config().await) })
            .await;
        let event = event_of(asked, &self.called).to_string();
        let invoke = client.invoke().function_name(&self.function);
        let answer = invoke.payload(Blob::new(event)).send().await;
        let answer = answer.map_err(|error| self.out_of_reach(aws::reason(&error)))?;
        let payload = answer.payload.map(Blob::into_inner).unwrap_or_default();
        let payload: Value = serde_json::from_slice(&payload).unwrap_or_default();
        if let Some(error) = answer.function_error {
            let reason = payload["errorMessage"].as_str().unwrap_or("no message");
            return Err(self.out_of_reach(format!("the function failed, {error}: {reason}")));
        }
        let status = payload["statusCode"]
            .as_u64()
            .and_then(|status| u16::try_from(status).ok());
        let status = status.and_then(|status| StatusCode::from_u16(status).ok());
        let Some(status) = status else {
            return Err(self.out_of_reach("it answered, and not as an operator does".to_owned()));
        };
        let body = payload["body"].as_str().unwrap_or_default().to_owned();
        Ok((self.function.clone(), status, body))
    }

    fn out_of_reach(&self, reason: String) -> ApiError {
        ApiError::NotInvoked {
            function: self.function.clone(),
            reason,
        }
    }
}

/// As API Gateway makes it (payload format 2.0): the path is decoded but for `%25`.
fn event_of(asked: &Asked<'_>, called: &str) -> Value {
    let kept = asked.path.replace("%25", "%2525");
    let path = percent_decode_str(&kept).decode_utf8_lossy();
    let mut headers = json!({ "user-agent": USER_AGENT, CALLED: called });
    for (name, value) in asked.headers_of_body() {
        headers[name] = value.into();
    }
    let query: serde_json::Map<String, Value> = url::form_urlencoded::parse(asked.query.as_bytes())
        .map(|(name, value)| (name.into_owned(), value.into()))
        .collect();
    json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": asked.query,
        "headers": headers,
        "queryStringParameters": query,
        "requestContext": {
            "apiId": API_ID,
            "stage": "$default",
            "timeEpoch": 0,
            "http": { "method": asked.method.as_str(), "path": path, "protocol": "HTTP/1.1", "userAgent": USER_AGENT },
        },
        "body": asked.body,
        "isBase64Encoded": false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::Method;

    #[test]
    fn the_event_is_what_api_gateway_would_send() {
        let asked = Asked {
            method: Method::POST,
            path: "/messages/a%20b%2541/trace",
            query: "limit=5&who=a%26b",
            body: Some("{}"),
        };
        let event = event_of(&asked, "ada");
        assert_eq!(event["rawPath"], "/messages/a b%2541/trace");
        assert_eq!(event["queryStringParameters"]["who"], "a&b");
        assert_eq!(event["headers"]["granary-body-bytes"], "2");
        assert_eq!(event["headers"]["granary-as"], "ada");
        assert_eq!(event["requestContext"]["apiId"], "lambda-invoke");
        assert_eq!(event["requestContext"]["http"]["method"], "POST");
        assert_eq!(event["body"], "{}");
    }
}
