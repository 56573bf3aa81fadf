//! The operator's door: requests as API Gateway hands them over.

use super::{REAPER_TIMEOUT, Stage};
use serde_json::{Value, json};

impl Stage {
    /// What the API answers to a viewer who asks for a path.
    pub(crate) async fn look_at(&self, path: &str) -> Value {
        let event = request_with("viewer-token", "GET", path, "");
        let answer = self.operator.invoke(event, REAPER_TIMEOUT).await.unwrap();
        assert_eq!(answer["statusCode"], 200, "{answer}");
        serde_json::from_str(answer["body"].as_str().expect("it has a body")).unwrap()
    }
}

/// A request of somebody who may change things.
pub(crate) fn request(method: &str, path: &str, body: &str) -> Value {
    request_with("operator-token", method, path, body)
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
