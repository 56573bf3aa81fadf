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

/// The path as the event has it. API Gateway decodes it but for `%25`, and `lambda_http` reads what comes of that as a URL, in
/// which a `?` of a message's id would begin the query: so it is encoded here again, byte by byte. What was `%2F` is a
/// slash now, and stays one.
///
/// A stage with a name may stand before the path. `$default`, which the template uses, doesn't.
fn without_stage(mut request: Request<Body>) -> Request<Body> {
    let stage = match request.request_context_ref() {
        Some(RequestContext::ApiGatewayV2(context)) => context.stage.clone(),
        Some(_) | None => None,
    };
    let raw = match request.raw_http_path() {
        "" => request.uri().path(),
        raw => raw,
    };
    let path = stage
        .and_then(|stage| {
            let rest = raw.strip_prefix('/')?.strip_prefix(&stage)?;
            (rest.is_empty() || rest.starts_with('/')).then(|| format!("/{}", rest.trim_start_matches('/')))
        })
        .unwrap_or_else(|| raw.to_owned());
    let query = if raw.contains(['?', '#']) {
        query_of(&request)
    } else {
        request.uri().query().map(str::to_owned)
    };
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    if let Ok(path) = format!("{}{query}", encoded(&path, b"/%")).parse::<PathAndQuery>() {
        *request.uri_mut() = Uri::from(path);
    }
    request
}

/// The query of a request whose path has eaten it.
fn query_of(request: &Request<Body>) -> Option<String> {
    let parameters = request.query_string_parameters_ref()?;
    let parameters = parameters
        .iter()
        .map(|(name, value)| format!("{}={}", encoded(name, b""), encoded(value, b"")));
    Some(parameters.collect::<Vec<_>>().join("&"))
}

/// A text as a URL can carry it, with these bytes as they are besides those that mean nothing anywhere.
fn encoded(text: &str, kept: &[u8]) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || kept.contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
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

    #[test]
    fn whatever_an_id_is_made_of_arrives() {
        for (raw, path) in [
            ("/messages/a b/trace", "/messages/a%20b/trace?limit=5"),
            ("/messages/a?b#c/trace", "/messages/a%3Fb%23c/trace?limit=5"),
            ("/messages/a%2541/trace", "/messages/a%2541/trace?limit=5"),
            ("/messages/ü\\\n/trace", "/messages/%C3%BC%5C%0A/trace?limit=5"),
            ("/messages/a/../b/trace", "/messages/a/../b/trace?limit=5"),
        ] {
            assert_eq!(path_of("$default", raw), path, "{raw}");
        }
    }
}
