//! The runbook: `docs/operations.md` as a page, for anyone who follows a link from an alert.
//!
//! It holds no data and needs no token, no script and no service: the page also loads while everything else is down. It is
//! rendered once in each process, and goes out as one answer with its style inside. The headings have the ids that GitHub
//! gives them, so that alerts can link to `/runbook#alert-parked`.

use crate::pages::dashboard::{ASK_EACH_TIME, dressed, is_known, set};
use axum::Router;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pulldown_cmark::{CowStr, Event, HeadingLevel, LinkType, Options, Parser, Tag, TagEnd, html};
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::sync::LazyLock;

const TEXT: &str = include_str!("../../../../docs/operations.md");
const PAGE: &str = include_str!("../../runbook_page/index.html");
const STYLE: &str = concat!(
    include_str!("../../dashboard/style/tokens.css"),
    include_str!("../../runbook_page/style.css")
);

/// What stands in the page where its parts belong.
const STYLE_MARK: &str = "{style}";
const CONTENTS_MARK: &str = "{contents}";
const TEXT_MARK: &str = "{text}";

const DASHBOARD: &str = "dashboard/";

/// A heading, for the contents and for those who link to it.
#[derive(Debug, PartialEq, Eq)]
struct Heading {
    level: HeadingLevel,
    anchor: String,
    text: String,
}

/// The page, with what tells whether a browser has it already.
struct Page {
    html: String,
    tag: String,
    policy: String,
}

static THE_PAGE: LazyLock<Page> = LazyLock::new(|| {
    let (headings, text) = rendered(TEXT);
    // The text comes last, so that no mark in it is taken for one of the page's.
    let html = PAGE
        .replace(STYLE_MARK, STYLE)
        .replace(CONTENTS_MARK, &contents(&headings))
        .replace(TEXT_MARK, &text);
    Page {
        tag: format!("\"{}\"", digest(&html)),
        policy: policy(),
        html,
    }
});

/// The route of the runbook.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new().route("/runbook", get(page))
}

/// `GET /runbook`.
async fn page(headers: HeaderMap) -> Response {
    let page = &*THE_PAGE;
    let mut response = if is_known(&headers, &page.tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let mut response = page.html.as_str().into_response();
        set(&mut response, CONTENT_TYPE, "text/html; charset=utf-8");
        response
    };
    response = dressed(response, ASK_EACH_TIME, Some(&page.tag));
    set(&mut response, CONTENT_SECURITY_POLICY, &page.policy);
    response
}

/// Nothing runs and nothing is loaded. The page's own style is named by its digest.
fn policy() -> String {
    format!(
        "default-src 'none'; style-src 'sha256-{}'; img-src data:; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'",
        digest(STYLE)
    )
}

fn digest(text: &str) -> String {
    STANDARD.encode(Sha256::digest(text))
}

/// The headings and the HTML of a text.
fn rendered(text: &str) -> (Vec<Heading>, String) {
    let mut events: Vec<Event> = Parser::new_ext(text, Options::ENABLE_TABLES).collect();
    let headings = name_headings(&mut events);
    let mut page = String::with_capacity(text.len() * 2);
    html::push_html(&mut page, linked(events).into_iter());
    (headings, page)
}

/// Gives each heading its id.
fn name_headings(events: &mut [Event]) -> Vec<Heading> {
    let mut headings = Vec::new();
    for start in 0..events.len() {
        let (before, after) = events.split_at_mut(start + 1);
        let Some(Event::Start(Tag::Heading { level, id, .. })) = before.last_mut() else {
            continue;
        };
        let text: String = after
            .iter()
            .take_while(|event| !matches!(event, Event::End(TagEnd::Heading(_))))
            .filter_map(|event| text_of(event))
            .collect();
        let anchor = anchor(&text);
        *id = Some(CowStr::from(anchor.clone()));
        headings.push(Heading {
            level: *level,
            anchor,
            text,
        });
    }
    headings
}

fn text_of<'a>(event: &'a Event) -> Option<&'a str> {
    if let Event::Text(text) | Event::Code(text) = event {
        Some(text)
    } else {
        None
    }
}

/// As GitHub makes them, so that a link to a section works here and there.
fn anchor(heading: &str) -> String {
    let kept = heading.to_lowercase();
    let kept = kept
        .chars()
        .filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
    kept.collect::<String>().replace(' ', "-")
}

/// The same text with links that work here: a page of the dashboard becomes a link, and a link to another document becomes
/// its text and the document's name.
fn linked(events: Vec<Event>) -> Vec<Event> {
    let mut linked = Vec::with_capacity(events.len());
    let mut elsewhere: Option<String> = None;
    for event in events {
        if let Event::Start(Tag::Link { dest_url, .. }) = &event
            && is_document(dest_url)
        {
            let document = dest_url.split('#').next().unwrap_or_default();
            elsewhere = Some(format!(" (docs/{document})"));
        } else if let Event::End(TagEnd::Link) = &event
            && let Some(name) = elsewhere.take()
        {
            linked.push(Event::Text(name.into()));
        } else if let Event::Code(address) = &event
            && address.starts_with("#/")
        {
            linked.extend(to_dashboard(address.clone()));
        } else {
            linked.push(event);
        }
    }
    linked
}

fn is_document(address: &str) -> bool {
    !address.starts_with('#') && !address.contains("://")
}

fn to_dashboard(address: CowStr) -> [Event; 3] {
    let link = Tag::Link {
        link_type: LinkType::Inline,
        dest_url: format!("{DASHBOARD}{address}").into(),
        title: "".into(),
        id: "".into(),
    };
    [Event::Start(link), Event::Code(address), Event::End(TagEnd::Link)]
}

/// The contents: the chapters, each with its sections.
fn contents(headings: &[Heading]) -> String {
    let mut list = "<ul>".to_owned();
    let mut chapters = headings
        .iter()
        .filter(|heading| heading.level != HeadingLevel::H1)
        .peekable();
    while let Some(chapter) = chapters.next() {
        list.push_str(&entry(chapter));
        let mut sections = String::new();
        while let Some(section) = chapters.next_if(|heading| heading.level != HeadingLevel::H2) {
            let _ = write!(sections, "{}</li>", entry(section));
        }
        if !sections.is_empty() {
            let _ = write!(list, "<ul>{sections}</ul>");
        }
        list.push_str("</li>");
    }
    list + "</ul>"
}

/// The beginning of an entry, up to its sections.
fn entry(heading: &Heading) -> String {
    let mut text = String::new();
    html::push_html(
        &mut text,
        std::iter::once(Event::Text(heading.text.as_str().into())),
    );
    format!("<li><a href=\"#{}\">{text}</a>", heading.anchor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use axum::http::header::{ETAG, IF_NONE_MATCH, X_CONTENT_TYPE_OPTIONS};
    use lambda_http::tower::ServiceExt;
    use std::collections::BTreeSet;

    async fn ask(known: Option<&str>) -> Response {
        let mut request = Request::builder().uri("/runbook");
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

    /// What the page links to, from each `href`.
    fn addresses(page: &str) -> Vec<&str> {
        let rests = page.split("href=\"").skip(1);
        rests.filter_map(|rest| rest.split('"').next()).collect()
    }

    #[test]
    fn headings_have_the_anchors_that_alerts_link_to() {
        for (heading, expected) in [
            ("Alert parked", "alert-parked"),
            ("Alert failure_rate_over", "alert-failure_rate_over"),
            ("Alarm ReaperSilent", "alarm-reapersilent"),
            ("The first five minutes", "the-first-five-minutes"),
            ("What's wrong?", "whats-wrong"),
        ] {
            assert_eq!(anchor(heading), expected);
        }
        let (_, page) = rendered("### Alert `failure_rate`\n\n### Cause `spool`\n");
        assert!(
            page.contains("<h3 id=\"alert-failure_rate\">Alert <code>failure_rate</code></h3>"),
            "{page}"
        );
        assert!(page.contains("<h3 id=\"cause-spool\">"), "{page}");
    }

    #[tokio::test]
    async fn every_link_within_the_page_leads_to_one_heading() {
        let (headings, _) = rendered(TEXT);
        let anchors: BTreeSet<&str> = headings.iter().map(|heading| heading.anchor.as_str()).collect();
        assert_eq!(anchors.len(), headings.len(), "two headings have one anchor");
        let page = text(ask(None).await).await;
        for address in addresses(&page) {
            if let Some(target) = address.strip_prefix('#') {
                assert!(target == "text" || anchors.contains(target), "#{target}");
            } else {
                let is_elsewhere = address.starts_with(DASHBOARD) || address.starts_with("https://");
                assert!(is_elsewhere || address == "data:,", "{address}");
            }
        }
        for heading in &headings {
            assert!(
                page.contains(&format!(" id=\"{}\"", heading.anchor)),
                "{heading:?}"
            );
        }
    }

    #[test]
    fn links_to_other_documents_become_their_names_and_pages_of_the_dashboard_become_links() {
        let (_, page) = rendered("See [the table](configuration.md#connections) and `#/failures`.");
        assert_eq!(
            page,
            "<p>See the table (docs/configuration.md) and <a href=\"dashboard/#/failures\"><code>#/failures</code></a>.</p>\n"
        );
    }

    #[test]
    fn the_contents_name_each_chapter_with_its_sections() {
        let (headings, _) =
            rendered("# Runbook\n\n## Alerts\n\n### Alert `a`\n\n### Alert `b`\n\n## Q & A\n");
        assert_eq!(
            contents(&headings),
            "<ul><li><a href=\"#alerts\">Alerts</a><ul><li><a href=\"#alert-a\">Alert a</a></li>\
             <li><a href=\"#alert-b\">Alert b</a></li></ul></li><li><a href=\"#q--a\">Q &amp; A</a></li></ul>"
        );
    }

    #[tokio::test]
    async fn nothing_runs_in_it_and_nothing_but_its_own_style_applies() {
        let response = ask(None).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()[CONTENT_TYPE], "text/html; charset=utf-8");
        assert_eq!(response.headers()[X_CONTENT_TYPE_OPTIONS], "nosniff");
        let policy = response.headers()[CONTENT_SECURITY_POLICY]
            .to_str()
            .unwrap()
            .to_owned();
        for rule in ["default-src 'none';", "frame-ancestors 'none'"] {
            assert!(policy.contains(rule), "{policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        let page = text(response).await;
        let style = page.split("<style>").nth(1).unwrap();
        let style = style.split("</style>").next().unwrap();
        assert!(
            policy.contains(&format!("'sha256-{}'", digest(style))),
            "{policy}"
        );
        for forbidden in [
            "<script",
            " style=",
            " onclick=",
            "@import",
            "url(",
            "http://",
            STYLE_MARK,
        ] {
            assert!(!page.contains(forbidden), "{forbidden}");
        }
    }

    #[tokio::test]
    async fn a_runbook_that_has_not_changed_is_not_sent_again() {
        let tag = ask(None).await.headers()[ETAG].to_str().unwrap().to_owned();
        let response = ask(Some(&tag)).await;
        assert_eq!(response.status(), StatusCode::NOT_MODIFIED);
        assert_eq!(response.headers()[ETAG], tag.as_str());
        assert!(text(response).await.is_empty());
    }
}
