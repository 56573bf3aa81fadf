//! The bodies of answers: `{"success":true,"timestamp":…,"requestId":…, …}`.
//!
//! The type of an answer is what the API's document says of it, so that neither can change without the other.

use crate::web::problem::Problem;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value};
use std::any::TypeId;
use std::collections::BTreeMap;
use std::marker::PhantomData;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::schema::Schema;
use utoipa::openapi::{Ref, RefOr, ResponseBuilder};
use utoipa::{IntoResponses, ToSchema};

/// Where a documented answer has the schemas that its body is made of, until the document collects them.
pub(crate) const SCHEMAS: &str = "x-schemas";

/// A body that still lacks its timestamp and request id. It travels beside the response; the edge of the router
/// completes it.
#[derive(Debug, Clone)]
pub(crate) struct Unfinished {
    pub(crate) body: Map<String, Value>,
    pub(crate) media_type: &'static str,
}

/// What a route answers when it did what it was asked: 200 with a `Done`, or 202 with a `Later` where it may be on its
/// way instead.
#[derive(Debug)]
pub(crate) struct Answer<Done, Later = Never> {
    status: StatusCode,
    fields: Result<Map<String, Value>, String>,
    of: PhantomData<fn() -> (Done, Later)>,
}

/// The 202 of a route that has none.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) enum Never {}

impl<Done: Serialize, Later> Answer<Done, Later> {
    /// 200: done.
    pub(crate) fn ok(body: Done) -> Self {
        Self::new(StatusCode::OK, &body)
    }
}

impl<Done, Later: Serialize> Answer<Done, Later> {
    /// 202: asked for, and on its way.
    pub(crate) fn accepted(body: Later) -> Self {
        Self::new(StatusCode::ACCEPTED, &body)
    }
}

impl<Done, Later> Answer<Done, Later> {
    fn new(status: StatusCode, body: &impl Serialize) -> Self {
        let fields = match serde_json::to_value(body) {
            Ok(Value::Object(fields)) => Ok(fields),
            Ok(_) => Err("an answer's body is no object".to_owned()),
            Err(error) => Err(format!("an answer's body can't be written: {error}")),
        };
        Self {
            status,
            fields,
            of: PhantomData,
        }
    }
}

impl<Done, Later> IntoResponse for Answer<Done, Later> {
    fn into_response(self) -> Response {
        let mut body = match self.fields {
            Ok(fields) => fields,
            Err(why) => return Problem::from(anyhow::anyhow!(why)).into_response(),
        };
        let mut response = self.status.into_response();
        body.insert("success".to_owned(), true.into());
        response.extensions_mut().insert(Unfinished {
            body,
            media_type: "application/json",
        });
        response
    }
}

impl<Done: ToSchema + 'static, Later: ToSchema + 'static> IntoResponses for Answer<Done, Later> {
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        let mut responses = BTreeMap::from([("200".to_owned(), documented::<Done>("Done."))]);
        if TypeId::of::<Later>() != TypeId::of::<Never>() {
            let response = documented::<Later>("Asked for, and on its way.");
            responses.insert("202".to_owned(), response);
        }
        responses
    }
}

/// What the document says of a body, with every schema that it is made of.
fn documented<Body: ToSchema + 'static>(description: &str) -> RefOr<utoipa::openapi::Response> {
    let mut schemas: Vec<(String, RefOr<Schema>)> = vec![(Body::name().into_owned(), Body::schema())];
    Body::schemas(&mut schemas);
    let schema: RefOr<Schema> = Ref::from_schema_name(Body::name()).into();
    let schemas: Vec<Value> = schemas
        .into_iter()
        .map(|(name, schema)| serde_json::json!([name, schema]))
        .collect();
    ResponseBuilder::new()
        .description(description)
        .content(
            "application/json",
            ContentBuilder::new().schema(Some(schema)).build(),
        )
        .extensions(Some(ExtensionsBuilder::new().add(SCHEMAS, schemas).build()))
        .build()
        .into()
}

/// What a problem is, the document says once for all routes.
impl IntoResponses for Problem {
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        BTreeMap::new()
    }
}
