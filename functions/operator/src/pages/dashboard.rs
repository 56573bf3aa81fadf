//! The web dashboard: static files that are part of the program, for anybody who asks.
//!
//! They hold no data. The page asks for a token, keeps it in its own tab, and calls the API with it like any other
//! client; nothing of that happens here. No service is needed to serve them, so the page also loads while everything
//! else is down, and shows what is. Its modules go out as one script and its styles as one sheet: each answer is a call of
//! the function.

use crate::pages::bundle::{self, Module};
use crate::web::problem::{Kind, Problem};
use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

/// Nothing may run, be framed or be asked for but what stands here. The page makes its elements without `innerHTML`, so
/// that no text from the ledger can become markup; `require-trusted-types-for` holds it to that.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'; trusted-types 'none'";

/// The page is asked for again at each visit, and costs a few hundred bytes where it hasn't changed.
pub(crate) const ASK_EACH_TIME: &str = "no-cache";
/// A file whose address holds its version never changes.
const FOR_EVER: &str = "public, max-age=31536000, immutable";
/// While a deployment goes out, a page of one version may ask a program of another one. What it gets isn't kept.
const NOT_KEPT: &str = "no-store";

const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");

/// What stands in the page where the version belongs.
const VERSION_MARK: &str = "{version}";
const VERSION_BYTES: usize = 8;

const PAGE: &str = include_str!("../../dashboard/index.html");

macro_rules! files {
    ($($path:literal),* $(,)?) => {
        &[$(Module { path: $path, text: include_str!(concat!("../../dashboard/", $path)) }),*]
    };
}

const ICON: &str = include_str!("../../dashboard/icon.svg");

/// In the order in which one builds upon the other.
const STYLES: &[&str] = &[
    include_str!("../../dashboard/style/tokens.css"),
    include_str!("../../dashboard/style/frame.css"),
    include_str!("../../dashboard/style/parts.css"),
    include_str!("../../dashboard/style/data.css"),
];

/// Every module; a test compares them with the folder.
const MODULES: &[Module] = files![
    "act.js",
    "api.js",
    "app.js",
    "backfill.js",
    "badge.js",
    "causes.js",
    "chart.js",
    "clock.js",
    "consumers.js",
    "dialog.js",
    "element.js",
    "facts.js",
    "field.js",
    "format.js",
    "frame.js",
    "gate.js",
    "icons.js",
    "live.js",
    "meter.js",
    "notices.js",
    "panel.js",
    "report.js",
    "router.js",
    "runbook.js",
    "session.js",
    "settings.js",
    "slow.js",
    "table.js",
    "verifying.js",
    "watch.js",
    "pages/alerts.js",
    "pages/audit.js",
    "pages/batch.js",
    "pages/batches.js",
    "pages/calendar.js",
    "pages/controls.js",
    "pages/failures.js",
    "pages/migration.js",
    "pages/migrations.js",
    "pages/nowhere.js",
    "pages/operations.js",
    "pages/overview.js",
    "pages/pages.js",
    "pages/queues.js",
    "pages/trace.js",
    "pages/verify.js",
    "pages/windows.js",
];

/// The page with the version in it.
struct Page {
    text: String,
    tag: String,
}

static SCRIPT: LazyLock<String> = LazyLock::new(|| bundle::bundled(MODULES, "app.js"));
static STYLE: LazyLock<String> = LazyLock::new(|| STYLES.concat());

/// Changes with any byte of what is served.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let mut digest = Sha256::new();
    for text in [PAGE, &SCRIPT, &STYLE, ICON] {
        digest.update(text);
    }
    let digest = digest.finalize();
    digest
        .iter()
        .take(VERSION_BYTES)
        .map(|byte| format!("{byte:02x}"))
        .collect()
});

static THE_PAGE: LazyLock<Page> = LazyLock::new(|| Page {
    text: PAGE.replace(VERSION_MARK, &VERSION),
    tag: format!("\"{}\"", *VERSION),
});

/// The dashboard's routes. They need no token, like the runbook and the API's page of documents.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/", get(enter))
        .route("/dashboard", get(enter))
        .route("/dashboard/", get(page))
        .route("/dashboard/{version}/{*path}", get(file))
}

/// `GET /` and `GET /dashboard`: on to the page. The address is relative, since a stage or a proxy may stand before it.
async fn enter() -> Redirect {
    Redirect::temporary("dashboard/")
}

/// `GET /dashboard/`.
async fn page(headers: HeaderMap) -> Response {
    let page = &*THE_PAGE;
    if is_known(&headers, &page.tag) {
        return dressed(
            StatusCode::NOT_MODIFIED.into_response(),
            ASK_EACH_TIME,
            Some(&page.tag),
        );
    }
    let mut response = page.text.as_str().into_response();
    set(&mut response, CONTENT_TYPE, "text/html; charset=utf-8");
    dressed(response, ASK_EACH_TIME, Some(&page.tag))
}

/// `GET /dashboard/{version}/{path}`.
async fn file(Path((version, path)): Path<(String, String)>) -> Result<Response, Problem> {
    let (text, media_type) = served(&path).ok_or_else(|| {
        Problem::new(Kind::NoSuchRoute, format!("The dashboard has no file {path:?}."))
            .remedy("Load the dashboard again: it may be of another version than the API.")
    })?;
    let caching = if version == *VERSION { FOR_EVER } else { NOT_KEPT };
    let mut response = Body::from(text).into_response();
    set(&mut response, CONTENT_TYPE, media_type);
    Ok(dressed(response, caching, None))
}

fn served(path: &str) -> Option<(&'static str, &'static str)> {
    match path {
        "app.js" => Some((&SCRIPT, "text/javascript; charset=utf-8")),
        "style.css" => Some((&STYLE, "text/css; charset=utf-8")),
        "icon.svg" => Some((ICON, "image/svg+xml")),
        _ => None,
    }
}

/// Whether the caller has it already.
pub(crate) fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let given = headers.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    given.is_some_and(|given| {
        given
            .split(',')
            .any(|one| one.trim().trim_start_matches("W/") == tag)
    })
}

/// What every answer of the dashboard carries.
pub(crate) fn dressed(mut response: Response, caching: &'static str, tag: Option<&str>) -> Response {
    set(&mut response, CACHE_CONTROL, caching);
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
        (OPENER_POLICY, "same-origin"),
        (RESOURCE_POLICY, "same-origin"),
        (PERMISSIONS_POLICY, "camera=(), geolocation=(), microphone=()"),
    ] {
        set(&mut response, name, value);
    }
    if let Some(tag) = tag.and_then(|tag| HeaderValue::from_str(tag).ok()) {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}

pub(crate) fn set(response: &mut Response, name: HeaderName, value: &'static str) {
    response
        .headers_mut()
        .insert(name, HeaderValue::from_static(value));
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::to_bytes;
    use axum::http::Request;
    use lambda_http::tower::ServiceExt;
    use std::collections::BTreeSet;
    use std::path::PathBuf;

    fn files_below(folder: &std::path::Path) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
        folders
            .iter()
            .flat_map(|folder| files_below(folder))
            .chain(files)
            .collect()
    }

    async fn ask(path: &str, known: Option<&str>) -> Response {
        let mut request = Request::builder().uri(path);
        if let Some(tag) = known {
            request = request.header(IF_NONE_MATCH, tag);
        }
        let request = request.body(Body::empty()).unwrap();
        routes().with_state(()).oneshot(request).await.unwrap()
    }

    async fn text(response: Response) -> String {
        let bytes = to_bytes(response.into_body(), 1_000_000).await.unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn the_page_loads_without_a_token_and_holds_nothing_but_addresses_of_its_version() {
        let response = ask("/dashboard/", None).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()[CONTENT_TYPE], "text/html; charset=utf-8");
        assert_eq!(response.headers()[CACHE_CONTROL], ASK_EACH_TIME);
        let page = text(response).await;
        assert!(!page.contains(VERSION_MARK));
        let addresses = page
            .split(['"'])
            .filter(|text| text.starts_with(VERSION.as_str()))
            .collect::<Vec<_>>();
        assert!(addresses.len() > 2, "{page}");
        for address in addresses {
            let response = ask(&format!("/dashboard/{address}"), None).await;
            assert_eq!(response.status(), StatusCode::OK, "{address}");
            assert_eq!(response.headers()[CACHE_CONTROL], FOR_EVER, "{address}");
        }
    }

    #[tokio::test]
    async fn nothing_may_frame_it_and_nothing_foreign_may_run_in_it() {
        let app = format!("/dashboard/{}/app.js", *VERSION);
        for path in ["/dashboard/", app.as_str()] {
            let response = ask(path, None).await;
            let policy = response.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap();
            for rule in [
                "default-src 'none'",
                "script-src 'self'",
                "frame-ancestors 'none'",
            ] {
                assert!(policy.contains(rule), "{rule} at {path}");
            }
            assert!(!policy.contains("unsafe"), "{path}");
            assert_eq!(response.headers()[X_CONTENT_TYPE_OPTIONS], "nosniff", "{path}");
        }
    }

    #[tokio::test]
    async fn a_page_that_has_not_changed_is_not_sent_again() {
        let tag = ask("/dashboard/", None).await.headers()[ETAG]
            .to_str()
            .unwrap()
            .to_owned();
        let response = ask("/dashboard/", Some(&tag)).await;
        assert_eq!(response.status(), StatusCode::NOT_MODIFIED);
        assert_eq!(response.headers()[ETAG], tag.as_str());
        assert!(text(response).await.is_empty());
        assert_eq!(
            ask("/dashboard/", Some("\"other\"")).await.status(),
            StatusCode::OK
        );
    }

    #[tokio::test]
    async fn a_file_of_another_version_is_not_kept_and_one_that_is_not_there_is_a_problem() {
        let response = ask("/dashboard/0123456789abcdef/app.js", None).await;
        assert_eq!(response.headers()[CACHE_CONTROL], NOT_KEPT);
        for path in ["/dashboard/x/nothing.js", "/dashboard/x/../../Cargo.toml"] {
            assert_eq!(ask(path, None).await.status(), StatusCode::NOT_FOUND, "{path}");
        }
    }

    #[tokio::test]
    async fn whoever_comes_to_the_root_is_sent_on_by_a_relative_address() {
        for path in ["/", "/dashboard"] {
            let response = ask(path, None).await;
            assert_eq!(response.status(), StatusCode::TEMPORARY_REDIRECT);
            assert_eq!(response.headers()["location"], "dashboard/");
        }
    }

    #[test]
    fn every_file_of_the_folder_is_served() {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("dashboard");
        let (mut scripts, mut others) = (BTreeSet::new(), BTreeSet::new());
        for path in files_below(&folder) {
            let name = path.strip_prefix(&folder).unwrap().display().to_string();
            if name.ends_with(".js") {
                scripts.insert(name);
            } else {
                others.insert(name);
            }
            let text = std::fs::read_to_string(&path).unwrap();
            if path.extension().is_some_and(|kind| kind == "css") {
                assert!(STYLE.contains(&text), "{}", path.display());
            }
        }
        let known: BTreeSet<String> = MODULES.iter().map(|module| module.path.to_owned()).collect();
        assert_eq!(scripts, known);
        assert_eq!(
            others.len(),
            STYLES.len() + 2,
            "the icon, the page and {others:?}"
        );
        for path in scripts {
            assert!(
                SCRIPT.contains(&format!("modules['{path}'] = (")),
                "no module imports {path}"
            );
        }
    }

    #[test]
    fn every_module_that_another_one_imports_is_there() {
        for module in MODULES {
            for path in bundle::imports_of(*module) {
                assert!(
                    MODULES.iter().any(|known| known.path == path),
                    "{path}, imported by {}",
                    module.path
                );
            }
        }
    }

    #[test]
    fn no_import_and_no_export_is_left_in_the_script() {
        let left: Vec<_> = SCRIPT
            .lines()
            .filter(|line| line.starts_with("import ") || line.starts_with("export "))
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }

    #[test]
    fn nothing_is_loaded_from_elsewhere_and_no_text_becomes_markup() {
        for text in [PAGE, &SCRIPT, &STYLE, ICON] {
            let text = text.replace("http://www.w3.org/", "");
            for forbidden in ["https://", "http://", "innerHTML", "eval(", "document.write"] {
                assert!(!text.contains(forbidden), "{forbidden}");
            }
        }
        for inline in ["<style", " style=", " onclick=", "<script>"] {
            assert!(!PAGE.contains(inline), "{inline}");
        }
    }

    /// `api.js` alone asks the API, and puts each dry run into the query.
    #[test]
    fn s4_no_dry_run_and_no_deletion_of_the_dashboard_relies_on_the_body_of_a_delete() {
        for method in ["DELETE", "'delete'"] {
            assert!(!SCRIPT.contains(method), "{method}");
        }
        let asking = MODULES.iter().filter(|module| module.text.contains("fetch("));
        let asking: Vec<_> = asking.map(|module| module.path).collect();
        assert_eq!(asking, ["api.js"]);
        for part in ["searchParams.set('dryRun', 'true')", "granary-body-bytes"] {
            assert!(SCRIPT.contains(part), "{part}");
        }
    }

    #[test]
    fn the_causes_that_can_be_chosen_are_the_domains() {
        let module = MODULES.iter().find(|module| module.path == "causes.js").unwrap();
        let chosen: Vec<&str> = module
            .text
            .lines()
            .filter_map(|line| line.trim().strip_prefix('\'')?.strip_suffix("',"))
            .collect();
        let refusal = "x".parse::<granary_domain::Cause>().unwrap_err().to_string();
        assert!(refusal.contains(&chosen.join(", ")), "{refusal}");
    }

    #[test]
    fn a_tag_is_known_among_others_and_when_a_proxy_weakened_it() {
        let known = |given: &'static str| {
            let headers = HeaderMap::from_iter([(IF_NONE_MATCH, HeaderValue::from_static(given))]);
            is_known(&headers, "\"a\"")
        };
        assert!(known("\"a\"") && known("\"b\", W/\"a\""));
        assert!(!known("\"b\"") && !known("a"));
        assert!(!is_known(&HeaderMap::new(), "\"a\""));
    }
}
