//! The bodies of answers: `{"success":true,"timestamp":…,"requestId":…, …}`.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};

/// A body that still lacks its timestamp and request id. It travels beside the response; the edge of the router
/// completes it.
#[derive(Debug, Clone)]
pub(crate) struct Unfinished {
    pub(crate) body: Map<String, Value>,
    pub(crate) media_type: &'static str,
}

/// What a route answers when it did what it was asked.
#[derive(Debug)]
pub(crate) struct Answer {
    status: StatusCode,
    fields: Map<String, Value>,
}

impl Answer {
    /// 200: done.
    pub(crate) fn ok(fields: Value) -> Self {
        Self::new(StatusCode::OK, fields)
    }

    /// 202: asked for, and on its way.
    pub(crate) fn accepted(fields: Value) -> Self {
        Self::new(StatusCode::ACCEPTED, fields)
    }

    fn new(status: StatusCode, fields: Value) -> Self {
        let fields = match fields {
            Value::Object(fields) => fields,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                Map::from_iter([("result".to_owned(), fields)])
            }
        };
        Self { status, fields }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        let mut body = self.fields;
        body.insert("success".to_owned(), true.into());
        response.extensions_mut().insert(Unfinished {
            body,
            media_type: "application/json",
        });
        response
    }
}
