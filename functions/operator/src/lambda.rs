//! Behind API Gateway: the event becomes a request of the router, with the path that the caller meant.

use anyhow::anyhow;
use axum::Router;
use axum::http::{Request, Uri, uri::PathAndQuery};
use lambda_http::request::RequestContext;
use lambda_http::tower::{Service, ServiceExt};
use lambda_http::{Body, RequestExt, service_fn};

/// Whether Lambda started this process.
pub(crate) fn is_where_we_run() -> bool {
    std::env::var_os("AWS_LAMBDA_RUNTIME_API").is_some()
}

/// Serves one event after the other, until Lambda ends the process.
pub(crate) async fn run(router: Router) -> anyhow::Result<()> {
    let handler = service_fn(move |request: Request<Body>| {
        let mut router = router.clone();
        async move {
            router
                .as_service()
                .ready()
                .await?
                .call(without_stage(request))
                .await
        }
    });
    lambda_http::run(handler)
        .await
        .map_err(|error| anyhow!("the Lambda runtime ended: {error}"))
}

/// A stage with a name stands before the path, in the event itself or put there by `lambda_http`. `$default`, which
/// the template uses, doesn't.
fn without_stage(mut request: Request<Body>) -> Request<Body> {
    let stage = match request.request_context_ref() {
        Some(RequestContext::ApiGatewayV2(context)) => context.stage.clone(),
        Some(_) | None => None,
    };
    let path = stage
        .and_then(|stage| {
            let rest = request.uri().path().strip_prefix('/')?.strip_prefix(&stage)?;
            (rest.is_empty() || rest.starts_with('/')).then(|| format!("/{}", rest.trim_start_matches('/')))
        })
        .unwrap_or_else(|| request.uri().path().to_owned());
    let query = request
        .uri()
        .query()
        .map(|query| format!("?{query}"))
        .unwrap_or_default();
    if let Ok(path) = format!("{path}{query}").parse::<PathAndQuery>() {
        *request.uri_mut() = Uri::from(path);
    }
    request
}

#[cfg(test)]
mod tests {
    use super::*;
    use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpRequest;
    use lambda_http::request::LambdaRequest;

    fn path_of(stage: &str, raw_path: &str) -> String {
        let event = serde_json::json!({
            "version": "2.0", "rawPath": raw_path, "rawQueryString": "limit=5",
            "headers": {"host": "api.example"},
            "requestContext": {"stage": stage, "http": {"method": "GET", "path": raw_path}},
        });
        let event: ApiGatewayV2httpRequest = serde_json::from_value(event).unwrap();
        let request: Request<Body> = LambdaRequest::ApiGatewayV2(event).into();
        without_stage(request).uri().to_string()
    }

    #[test]
    fn the_stage_is_no_part_of_the_path() {
        assert_eq!(path_of("$default", "/migrate"), "/migrate?limit=5");
        assert_eq!(path_of("prod", "/prod/migrate"), "/migrate?limit=5");
        assert_eq!(path_of("prod", "/migrate"), "/migrate?limit=5");
        assert_eq!(path_of("mig", "/mig/migrate"), "/migrate?limit=5");
    }
}
