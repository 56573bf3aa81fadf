//! The API's document, OpenAPI 3.1: `GET /openapi.json`.
//!
//! It is made of the table of routes, when somebody asks for it. What each route has to itself stands at its handler; what
//! they have in common (who may call them, how they refuse, what every answer carries) is added here by rules, from the code
//! that does it. Two types of one name would be one in the document: a test refuses them.

mod common;
mod request;

use crate::router;
use crate::web::answer::SCHEMAS;
use crate::web::auth::role_needed_for;
use crate::web::route::{Described, Route};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, Method};
use axum::response::{IntoResponse, Response};
use granary_tokens::Role;
use serde_json::{Map, Value, json};
use std::sync::LazyLock;
use utoipa::openapi::path::HttpMethod;

/// An id may hold slashes, and so the router takes everything behind `/messages/`.
const PATHS_IN_OTHER_WORDS: [(&str, &str); 1] = [("/messages/{*id_and_trace}", "/messages/{id}/trace")];

static DOCUMENT: LazyLock<String> = LazyLock::new(|| document().to_string());

/// This document
///
/// OpenAPI 3.1, made from the code of this very version. Needs no token, since it holds no data.
#[utoipa::path(get, path = "/openapi.json", responses((status = 200, description = "The document.", body = Value)))]
pub(crate) async fn openapi() -> impl IntoResponse {
    let mut response: Response = DOCUMENT.as_str().into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// The document of all routes.
pub(crate) fn document() -> Value {
    let mut writing = Writing::default();
    for route in router::open() {
        writing.add(&route, None);
    }
    for route in router::guarded() {
        let method = method_of(&(route.describe)().method);
        writing.add(&route, Some(role_needed_for(&method)));
    }
    // Whether maps keep an order is for other crates to say.
    let mut document = writing.finish();
    document.sort_all_objects();
    document
}

/// A document under way.
#[derive(Default)]
struct Writing {
    paths: Map<String, Value>,
    schemas: Map<String, Value>,
}

impl Writing {
    fn add(&mut self, route: &Route, role: Option<Role>) {
        let Described {
            path,
            method,
            operation,
            schemas,
        } = (route.describe)();
        let method = method_of(&method);
        let path = PATHS_IN_OTHER_WORDS
            .iter()
            .find(|(routed, _)| *routed == path)
            .map_or(path, |(_, said)| (*said).to_owned());
        for (name, schema) in schemas {
            self.add_schema(name, json!(schema));
        }
        let mut operation = json!(operation);
        self.collect_schemas(&mut operation);
        common::complete(&mut operation, &method, &path, role);
        let verb = method.as_str().to_ascii_lowercase();
        let item = self.paths.entry(path).or_insert_with(|| json!({}));
        item[&verb] = operation;
    }

    /// Takes the schemas that the answers brought along.
    fn collect_schemas(&mut self, operation: &mut Value) {
        let Some(responses) = operation["responses"].as_object_mut() else {
            return;
        };
        for response in responses.values_mut().filter_map(Value::as_object_mut) {
            let Some(Value::Array(schemas)) = response.remove(SCHEMAS) else {
                continue;
            };
            for mut pair in schemas {
                if let Some(name) = pair[0].as_str().map(str::to_owned) {
                    self.add_schema(name, pair[1].take());
                }
            }
        }
    }

    /// Two types of one name are told apart by nobody: the second one gets a name that no test lets pass.
    fn add_schema(&mut self, name: String, schema: Value) {
        match self.schemas.get(&name) {
            None => {
                self.schemas.insert(name, schema);
            }
            Some(known) if *known == schema => {}
            Some(_) => {
                self.schemas.insert(format!("{name}{TWICE}"), schema);
            }
        }
    }

    fn finish(mut self) -> Value {
        self.schemas.extend(common::schemas());
        request::loosen(&mut self.paths, &mut self.schemas);
        json!({
            "openapi": "3.1.0",
            "info": common::info(),
            "servers": [{ "url": "./", "description": "Where this document came from" }],
            "tags": common::tags(),
            "paths": self.paths,
            "components": {
                "schemas": self.schemas,
                "responses": common::refusals(),
                "securitySchemes": { "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A token of this deployment: a viewer's may look, an operator's may change things besides.",
                } },
            },
        })
    }
}

/// Marks a name that two types have.
const TWICE: &str = "·twice";

fn method_of(method: &HttpMethod) -> Method {
    match method {
        HttpMethod::Get => Method::GET,
        HttpMethod::Put => Method::PUT,
        HttpMethod::Post => Method::POST,
        HttpMethod::Head => Method::HEAD,
        HttpMethod::Patch => Method::PATCH,
        HttpMethod::Trace => Method::TRACE,
        HttpMethod::Delete => Method::DELETE,
        HttpMethod::Options => Method::OPTIONS,
    }
}
