//! A route of the table: what answers it, and what the API's document says of it, both from the handler alone.
//!
//! Its method and path stand in the annotation over the handler, and what it answers in the handler's type, so that no
//! route can be there without its document. What is documented costs nothing until somebody asks for the document.

use crate::services::Services;
use axum::handler::Handler;
use axum::routing::{MethodFilter, MethodRouter};
use std::sync::Arc;
use utoipa::__dev::SchemaReferences;
use utoipa::Path;
use utoipa::openapi::RefOr;
use utoipa::openapi::path::{HttpMethod, Operation};
use utoipa::openapi::schema::Schema;

/// The routes of these handlers, each `module::function` with a `#[utoipa::path]` over it.
macro_rules! routes {
    ($($module:ident :: $handler:ident),* $(,)?) => {
        pastey::paste! {
            vec![$(
                $crate::web::route::Route::new::<$module::[<__path_ $handler>], _, _>($module::$handler)
            ),*]
        }
    };
}
pub(crate) use routes;

/// A route of the table.
pub(crate) struct Route {
    pub(crate) path: String,
    pub(crate) methods: MethodRouter<Arc<Services>>,
    pub(crate) describe: fn() -> Described,
}

/// What a handler's annotation and type say of its route.
pub(crate) struct Described {
    pub(crate) path: String,
    pub(crate) method: HttpMethod,
    pub(crate) operation: Operation,
    pub(crate) schemas: Vec<(String, RefOr<Schema>)>,
}

impl Route {
    pub(crate) fn new<P, H, T>(handler: H) -> Self
    where
        P: Path + SchemaReferences,
        H: Handler<T, Arc<Services>>,
        T: 'static,
    {
        let methods = P::methods();
        let methods = methods.iter().fold(MethodRouter::new(), |router, method| {
            router.on(filter(method), handler.clone())
        });
        Self {
            path: P::path(),
            methods,
            describe: described::<P>,
        }
    }
}

fn described<P: Path + SchemaReferences>() -> Described {
    let mut schemas = Vec::new();
    P::schemas(&mut schemas);
    Described {
        path: P::path(),
        // An annotation can't be without one.
        method: P::methods().into_iter().next().unwrap_or(HttpMethod::Get),
        operation: P::operation(),
        schemas,
    }
}

fn filter(method: &HttpMethod) -> MethodFilter {
    match method {
        HttpMethod::Get => MethodFilter::GET,
        HttpMethod::Put => MethodFilter::PUT,
        HttpMethod::Post => MethodFilter::POST,
        HttpMethod::Head => MethodFilter::HEAD,
        HttpMethod::Patch => MethodFilter::PATCH,
        HttpMethod::Trace => MethodFilter::TRACE,
        HttpMethod::Delete => MethodFilter::DELETE,
        HttpMethod::Options => MethodFilter::OPTIONS,
    }
}
