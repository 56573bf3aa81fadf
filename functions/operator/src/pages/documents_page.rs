//! The interactive page of the API's document, at `/docs` and `/seed/docs`: Swagger UI, offline.
//!
//! Its files are part of the program. They hold no data and load without a token; whoever wants to try a route enters
//! one, which the page forgets when it is closed. The files are sent compressed, as every browser takes them.

use crate::pages::dashboard::{dressed, set};
use crate::services::Services;
use crate::web::problem::{Kind, Problem};
use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::http::header::{CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::sync::Arc;

/// Nothing may run, be framed or be asked for but what stands here. Swagger UI has pictures in its style sheet.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const PAGE: &str = include_str!("../../documents_page/index.html");
/// What stands in the page where the way to the API's root belongs.
const ROOT_MARK: &str = "{root}";
const VERSION_MARK: &str = "{version}";
/// The files change with a new version of the program alone.
const VERSION: &str = env!("CARGO_PKG_VERSION");

const ASK_EACH_TIME: &str = "no-cache";
const FOR_A_DAY: &str = "public, max-age=86400";

/// A file of the page.
struct File {
    name: &'static str,
    media_type: &'static str,
    bytes: &'static [u8],
    is_compressed: bool,
}

const FILES: [File; 5] = [
    File {
        name: "swagger-ui-bundle.js",
        media_type: "text/javascript; charset=utf-8",
        bytes: include_bytes!(concat!(env!("OUT_DIR"), "/swagger-ui-bundle.js.gz")),
        is_compressed: true,
    },
    File {
        name: "swagger-ui.css",
        media_type: "text/css; charset=utf-8",
        bytes: include_bytes!(concat!(env!("OUT_DIR"), "/swagger-ui.css.gz")),
        is_compressed: true,
    },
    File {
        name: "page.js",
        media_type: "text/javascript; charset=utf-8",
        bytes: include_bytes!("../../documents_page/page.js"),
        is_compressed: false,
    },
    File {
        name: "page.css",
        media_type: "text/css; charset=utf-8",
        bytes: include_bytes!("../../documents_page/page.css"),
        is_compressed: false,
    },
    File {
        name: "icon.svg",
        media_type: "image/svg+xml",
        bytes: include_bytes!("../../dashboard/icon.svg"),
        is_compressed: false,
    },
];

/// A page to read this document on, and to try its routes
///
/// It loads without a token, and takes one to try what needs it.
#[utoipa::path(get, path = "/docs", responses((status = 200, description = "The page.", content_type = "text/html", body = String)))]
pub(crate) async fn page() -> impl IntoResponse {
    page_below("")
}

/// The same page, under another path
#[utoipa::path(get, path = "/seed/docs", responses((status = 200, description = "The page.", content_type = "text/html", body = String)))]
pub(crate) async fn seed_page() -> impl IntoResponse {
    page_below("../")
}

/// Addresses are relative, since a stage or a proxy may stand before the API.
fn page_below(root: &str) -> Response {
    let page = PAGE.replace(ROOT_MARK, root).replace(VERSION_MARK, VERSION);
    let mut response = page.into_response();
    set(&mut response, CONTENT_TYPE, "text/html; charset=utf-8");
    dressed_here(response, ASK_EACH_TIME)
}

/// The files that the page loads.
pub(crate) fn files() -> Router<Arc<Services>> {
    Router::new().route("/docs/{version}/{name}", get(file))
}

async fn file(Path((_, name)): Path<(String, String)>) -> Result<Response, Problem> {
    let file = FILES.iter().find(|file| file.name == name).ok_or_else(|| {
        Problem::new(Kind::NoSuchRoute, format!("The page has no file {name:?}.")).remedy("Load it again.")
    })?;
    let mut response = Body::from(file.bytes).into_response();
    set(&mut response, CONTENT_TYPE, file.media_type);
    if file.is_compressed {
        set(&mut response, CONTENT_ENCODING, "gzip");
    }
    Ok(dressed_here(response, FOR_A_DAY))
}

fn dressed_here(response: Response, caching: &'static str) -> Response {
    let mut response = dressed(response, caching, None);
    set(&mut response, CONTENT_SECURITY_POLICY, POLICY);
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::to_bytes;
    use axum::http::StatusCode;

    async fn text(response: Response) -> String {
        let bytes = to_bytes(response.into_body(), 1_000_000).await.unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn every_address_of_the_page_leads_to_a_file_of_it() {
        for (response, root) in [(page_below(""), ""), (page_below("../"), "../")] {
            let policy = response.headers()[CONTENT_SECURITY_POLICY]
                .to_str()
                .unwrap()
                .to_owned();
            assert!(
                policy.contains("script-src 'self';") && !policy.contains("unsafe"),
                "{policy}"
            );
            let page = text(response).await;
            assert!(!page.contains('{'), "{page}");
            let beginning = format!("{root}docs/{VERSION}/");
            let addresses: Vec<&str> = page
                .split('"')
                .filter_map(|text| text.strip_prefix(&beginning))
                .collect();
            assert_eq!(addresses.len(), FILES.len(), "{page}");
            for name in addresses {
                let response = file(Path((VERSION.to_owned(), name.to_owned()))).await.unwrap();
                assert_eq!(response.status(), StatusCode::OK, "{name}");
            }
        }
    }

    #[tokio::test]
    async fn a_file_that_is_not_there_is_a_problem() {
        let problem = file(Path((VERSION.to_owned(), "nothing.js".to_owned())))
            .await
            .unwrap_err();
        assert!(problem.detail().contains("nothing.js"));
    }

    #[test]
    fn nothing_is_loaded_from_elsewhere() {
        for file in FILES.iter().filter(|file| !file.is_compressed) {
            let text = std::str::from_utf8(file.bytes)
                .unwrap()
                .replace("http://www.w3.org/", "");
            assert!(!text.contains("://"), "{}", file.name);
        }
        for inline in ["://", "<style", " style=", " onload=", "<script>"] {
            assert!(!PAGE.contains(inline), "{inline}");
        }
    }
}
