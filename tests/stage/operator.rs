//! The operator's door: requests as API Gateway hands them over.

use super::{OPERATOR_TIMEOUT, REAPER_TIMEOUT, Stage};
use serde_json::{Value, json};

/// The token `operator`, which may change things.
pub(crate) const OPERATOR_TOKEN: &str = "granary_operator-of-this-stage-00000000000000000000";
/// The token `viewer`, which may look.
pub(crate) const VIEWER_TOKEN: &str = "granary_viewer-of-this-stage-0000000000000000000000";
/// Both of them: `printf %s TOKEN | sha256sum`.
pub(super) const TOKENS: &str = r#"{"tokens":[{"name":"operator","role":"operator","sha256":"73eb057659fdecb6ac689cd421987e352d535f7d4399db5b0025076a6d5682b4"},{"name":"viewer","role":"viewer","sha256":"953ff15fa0484a647ef9ed5fa5ca08462212cd20bc6db011c321aecb8b9911aa"}]}"#;

impl Stage {
    /// What the operator answers to a request, in the time that it has in AWS.
    pub(crate) async fn ask(&self, event: Value) -> Value {
        self.operator.invoke(event, OPERATOR_TIMEOUT).await.unwrap()
    }

    /// What the API answers to a viewer who asks for a path.
    pub(crate) async fn look_at(&self, path: &str) -> Value {
        let event = request_with(VIEWER_TOKEN, "GET", path, "");
        let answer = self.operator.invoke(event, REAPER_TIMEOUT).await.unwrap();
        assert_eq!(answer["statusCode"], 200, "{answer}");
        serde_json::from_str(answer["body"].as_str().expect("it has a body")).unwrap()
    }
}

/// A request of somebody who may change things.
pub(crate) fn request(method: &str, path: &str, body: &str) -> Value {
    request_with(OPERATOR_TOKEN, method, path, body)
}

/// The sample's shape.
fn request_with(token: &str, method: &str, path: &str, body: &str) -> Value {
    let mut event: Value = serde_json::from_str(include_str!("../../events/operator.health.json")).unwrap();
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    event["rawPath"] = json!(path);
    event["rawQueryString"] = json!(query);
    event["headers"]["authorization"] = json!(format!("Bearer {token}"));
    event["requestContext"]["http"]["method"] = json!(method);
    event["requestContext"]["http"]["path"] = json!(path);
    event["pathParameters"]["proxy"] = json!(path.trim_start_matches('/'));
    event["body"] = json!(body);
    event
}
