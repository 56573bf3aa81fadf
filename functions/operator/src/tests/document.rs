//! The API's document, held against the router that it is made of: who gets in, which fields a route takes, and what it
//! says of itself.

use super::{Answered, OPERATOR, VIEWER, config_with, request};
use crate::router::router;
use crate::services::Services;
use crate::web::document::document;
use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use lambda_http::tower::ServiceExt;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// Whoever sets it has the committed document written anew (`make docs`).
pub(super) const WRITE: &str = "GRANARY_WRITE_DOCS";
const REFERENCE: &str = "#/components/";
/// No route takes it.
const NOBODYS: &str = "nobodysField";

/// What is refused is refused within it, also on a busy machine; a service that isn't there may take longer.
const AT_ONCE_SECS_MAX: u64 = 10;

/// Everything that may be off is on, so that each route comes as far as to look at what it was asked.
const ALL_ALLOWED: [(&str, &str); 7] = [
    ("GRANARY_ALLOW_SEEDING", "true"),
    ("GRANARY_SEED_ES_URL", "http://127.0.0.1:1"),
    ("GRANARY_EXPORTER_FUNCTION", "exporter"),
    ("GRANARY_HARVESTER_SCHEDULE", "harvester/tick"),
    ("GRANARY_REAPER_SCHEDULE", "reaper/tick"),
    (
        "GRANARY_DLQ_URL",
        "http://127.0.0.1:1/000000000000/batches-dead-letters",
    ),
    (
        "GRANARY_PRIORITY_DLQ_URL",
        "http://127.0.0.1:1/000000000000/batches-priority-dead-letters",
    ),
];

/// A route as the document has it.
pub(super) struct Operation {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) said: Value,
}

impl Operation {
    pub(super) fn line(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// The request with its documented examples in the path, and this behind it.
    fn line_with(&self, query: &str) -> String {
        let mut path = self.path.clone();
        for parameter in self.parameters("path") {
            let name = parameter["name"].as_str().unwrap();
            let example = parameter
                .get("example")
                .unwrap_or(&parameter["schema"]["examples"][0]);
            let example = match example {
                Value::String(text) => text.clone(),
                Value::Number(number) => number.to_string(),
                Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
                    panic!("{}: `{name}` in the path has no example: {example}", self.line())
                }
            };
            path = path.replace(&format!("{{{name}}}"), &example);
        }
        format!("{} {path}{query}", self.method)
    }

    pub(super) fn parameters(&self, place: &str) -> Vec<&Value> {
        let all = self.said["parameters"].as_array().into_iter().flatten();
        all.filter(|parameter| parameter["in"] == place).collect()
    }

    fn role(&self) -> Option<&str> {
        self.said["x-granary-role"].as_str()
    }

    fn documents(&self, status: StatusCode) -> bool {
        self.said["responses"][status.as_str()].is_object()
    }
}

pub(super) fn operations(document: &Value) -> Vec<Operation> {
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, said) in item.as_object().unwrap() {
            operations.push(Operation {
                method: method.to_ascii_uppercase(),
                path: path.clone(),
                said: said.clone(),
            });
        }
    }
    assert!(operations.len() > 60, "{} routes", operations.len());
    operations
}

/// An API without any service behind it.
#[derive(Clone)]
struct Api(Router);

impl Api {
    async fn new() -> Self {
        let aws = granary_environment::aws::sdk_config().await;
        let config = config_with(&ALL_ALLOWED).await.unwrap();
        Self(router(Arc::new(Services::new(config, &aws).unwrap())))
    }

    /// What a route says before it asks any service. `None`: it went on to one.
    async fn ask(self, request: Request<Body>) -> Option<Answered> {
        let asked = async { Answered::of(self.0.oneshot(request).await.unwrap()).await };
        let answered = timeout(Duration::from_secs(AT_ONCE_SECS_MAX), asked).await.ok()?;
        (answered.status != StatusCode::SERVICE_UNAVAILABLE).then_some(answered)
    }

    /// Asks everything at once: those that wait for a service do so side by side.
    async fn ask_all<'a>(
        &self,
        asked: Vec<(&'a Operation, Request<Body>)>,
    ) -> Vec<(&'a Operation, Option<Answered>)> {
        let (operations, requests): (Vec<_>, Vec<_>) = asked.into_iter().unzip();
        let asked = requests
            .into_iter()
            .map(|request| tokio::spawn(self.clone().ask(request)));
        let asked: Vec<_> = asked.collect();
        let mut answers = Vec::new();
        for (operation, answered) in operations.into_iter().zip(asked) {
            answers.push((operation, answered.await.unwrap()));
        }
        answers
    }
}

#[tokio::test]
async fn s1_every_documented_route_but_the_open_ones_wants_a_token() {
    let operations = operations(&document());
    let (open, guarded): (Vec<_>, Vec<_>) = operations.iter().partition(|one| one.role().is_none());
    for operation in &open {
        assert_eq!(operation.said["security"], Value::Array(Vec::new()));
    }
    let open: BTreeSet<&str> = open.iter().map(|one| one.path.as_str()).collect();
    assert_eq!(
        open,
        ["/docs", "/health/live", "/openapi.json", "/seed/docs"].into()
    );
    let mut asked = Vec::new();
    for operation in guarded {
        assert_eq!(operation.said["security"][0]["bearer"], Value::Array(Vec::new()));
        for token in [None, Some("nobodys")] {
            asked.push((operation, request(&operation.line_with(""), token, "")));
        }
    }
    for (operation, answered) in Api::new().await.ask_all(asked).await {
        let answered = answered.unwrap_or_else(|| panic!("{} asks a service first", operation.line()));
        assert_eq!(answered.problem(), "unauthenticated", "{}", operation.line());
        assert!(operation.documents(answered.status), "{}", operation.line());
    }
}

#[tokio::test]
async fn s1_a_viewer_is_let_in_where_the_document_says_so_and_nowhere_else() {
    let operations = operations(&document());
    let guarded = operations.iter().filter(|operation| operation.role().is_some());
    let asked = guarded.map(|operation| (operation, request(&operation.line_with(""), Some(VIEWER), "")));
    for (operation, answered) in Api::new().await.ask_all(asked.collect()).await {
        let (line, role) = (operation.line(), operation.role());
        assert_eq!(role == Some("viewer"), operation.method == "GET", "{line}");
        let is_refused = answered.as_ref().is_some_and(|answered| {
            answered.status == StatusCode::FORBIDDEN && answered.problem() == "role-too-small"
        });
        assert_eq!(is_refused, role == Some("operator"), "{line}");
        if let Some(answered) = answered {
            assert!(
                operation.documents(answered.status),
                "{line} answers {}",
                answered.body
            );
        }
    }
}

/// A route names the fields that it takes where it refuses another one.
#[tokio::test]
async fn what_a_route_takes_is_what_the_document_says_that_it_takes() {
    let document = document();
    let operations = operations(&document);
    let guarded = || operations.iter().filter(|operation| operation.role().is_some());
    let api = Api::new().await;
    let asked = guarded().map(|operation| {
        let line = operation.line_with(&format!("?{NOBODYS}=1"));
        (operation, request(&line, Some(OPERATOR), ""))
    });
    for (operation, answered) in api.ask_all(asked.collect()).await {
        if operation.method == "GET" {
            let documented = operation.parameters("query").into_iter().map(name).collect();
            assert_taken(operation, answered.as_ref(), &documented);
        } else {
            assert_refused(operation, answered.as_ref(), NOBODYS);
        }
    }

    let changes = || guarded().filter(|operation| operation.method != "GET");

    let asked = changes().map(|operation| {
        let body = format!(r#"{{"{NOBODYS}":1}}"#);
        (operation, request(&operation.line_with(""), Some(OPERATOR), body))
    });
    for (operation, answered) in api.ask_all(asked.collect()).await {
        let schema = &operation.said["requestBody"]["content"]["application/json"]["schema"];
        let of_query = operation.parameters("query").into_iter().map(name);
        let documented: BTreeSet<String> = properties(&document, schema)
            .into_iter()
            .map(|(name, _)| name)
            .chain(of_query)
            .collect();
        assert!(
            !documented.is_empty(),
            "{} has no documented body",
            operation.line()
        );
        assert_taken(operation, answered.as_ref(), &documented);
    }
}

/// A dry run that may be asked for is never passed over: in the query of every change that has one, in the body of a POST
/// alone. Where the two contradict each other, nothing is done.
#[tokio::test]
async fn s4_a_dry_run_stands_in_the_query_of_every_change_and_in_the_body_of_no_delete() {
    let document = document();
    let operations = operations(&document);
    let changes = || {
        let guarded = operations.iter().filter(|operation| operation.role().is_some());
        guarded.filter(|operation| operation.method != "GET")
    };
    let has_dry_run = |operation: &Operation| {
        let of_query = operation.parameters("query").into_iter().map(name);
        of_query.into_iter().any(|name| name == "dryRun")
    };
    let api = Api::new().await;
    for (query, body) in [("?dryRun=perhaps", ""), ("?dryRun=true", r#"{"dryRun":false}"#)] {
        let asked = changes().map(|operation| {
            let line = format!("{}{query}", operation.line_with(""));
            (operation, request(&line, Some(OPERATOR), body))
        });
        for (operation, answered) in api.ask_all(asked.collect()).await {
            assert_refused(operation, answered.as_ref(), "dryRun");
        }
    }
    let asked = changes()
        .filter(|operation| !has_dry_run(operation))
        .map(|operation| {
            let line = format!("{}?dryRun=true", operation.line_with(""));
            (operation, request(&line, Some(OPERATOR), ""))
        });
    for (operation, answered) in api.ask_all(asked.collect()).await {
        assert_refused(operation, answered.as_ref(), "dryRun");
    }

    let deletes: Vec<&Operation> = changes()
        .filter(|operation| operation.method == "DELETE")
        .collect();
    assert!(!deletes.is_empty());
    for delete in &deletes {
        let has_twin = changes().any(|operation| operation.method == "POST" && operation.path == delete.path);
        assert!(has_twin && has_dry_run(delete), "{}", delete.line());
    }
    for body in [r#"{"dryRun":true}"#, r#"{"dryRun":false}"#, r#"{"dryRun":null}"#] {
        let asked = deletes.iter().map(|operation| {
            (
                *operation,
                request(&operation.line_with(""), Some(OPERATOR), body),
            )
        });
        for (operation, answered) in api.ask_all(asked.collect()).await {
            assert_refused(operation, answered.as_ref(), "dryRun");
            let remedy = answered.unwrap().body["remedy"].as_str().unwrap().to_owned();
            assert!(
                remedy.contains("?dryRun=true") && remedy.contains("POST"),
                "{remedy}"
            );
        }
    }
}

fn assert_refused(operation: &Operation, answered: Option<&Answered>, field: &str) {
    let line = operation.line();
    let answered = answered.unwrap_or_else(|| panic!("{line} takes no notice of `{field}`"));
    assert_eq!(
        (answered.status.as_u16(), &answered.body["field"]),
        (400, &json!(field)),
        "{line}: {}",
        answered.body
    );
}

/// Where nothing is documented, a route may also take no notice at all.
fn assert_taken(operation: &Operation, answered: Option<&Answered>, documented: &BTreeSet<String>) {
    let line = operation.line();
    let body = answered.map_or(&Value::Null, |answered| &answered.body);
    let detail = body["detail"].as_str().unwrap_or_default();
    let Some((_, possible)) = detail.split_once("Possible here: ") else {
        assert!(
            documented.is_empty(),
            "{line} doesn't refuse an unknown field: {}",
            body
        );
        return;
    };
    assert_eq!(body["field"], NOBODYS, "{line}");
    let taken: BTreeSet<String> = possible
        .trim_end_matches('.')
        .split(", ")
        .filter(|name| *name != "none")
        .map(str::to_owned)
        .collect();
    assert_eq!(*documented, taken, "{line}");
}

fn name(parameter: &Value) -> String {
    parameter["name"].as_str().unwrap().to_owned()
}

pub(super) fn properties(document: &Value, schema: &Value) -> Map<String, Value> {
    let schema = resolved(document, schema);
    schema["properties"].as_object().cloned().unwrap_or_default()
}

/// The schema itself, where another one stands for it, or it or nothing may come.
pub(super) fn resolved<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    if let Some(address) = schema["$ref"].as_str() {
        return document.pointer(&address[1..]).expect(address);
    }
    let several = schema["oneOf"].as_array().into_iter().flatten();
    let named = several
        .map(|one| resolved(document, one))
        .find(|one| one["type"] != "null");
    named.unwrap_or(schema)
}

#[test]
fn every_reference_in_the_document_leads_somewhere_and_no_two_types_share_a_name() {
    let document = document();
    let mut wrong = Vec::new();
    each(&document, &mut |value| {
        if let Some(address) = value.get("$ref").and_then(Value::as_str)
            && (!address.starts_with(REFERENCE) || document.pointer(&address[1..]).is_none())
        {
            wrong.push(address.to_owned());
        }
    });
    assert!(wrong.is_empty(), "lead nowhere: {wrong:?}");
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let shared: Vec<&String> = schemas.keys().filter(|name| name.contains('·')).collect();
    assert!(shared.is_empty(), "two types have the name: {shared:?}");
}

#[test]
fn every_route_and_every_field_is_described_and_every_answer_has_its_envelope() {
    let document = document();
    let mut names = BTreeMap::new();
    let mut bare = Vec::new();
    for operation in operations(&document) {
        let line = operation.line();
        let id = operation.said["operationId"].as_str().unwrap().to_owned();
        assert_eq!(names.insert(id, line.clone()), None, "{line}");
        let summary = operation.said["summary"].as_str().unwrap_or_default();
        if summary.is_empty() || summary.ends_with('.') || summary.contains('\n') || summary.contains('`') {
            bare.push(format!("{line}: the summary {summary:?}"));
        }
        for parameter in operation.said["parameters"].as_array().into_iter().flatten() {
            if parameter["description"].as_str().unwrap_or_default().is_empty() {
                bare.push(format!("{line}: {}", parameter["name"]));
            }
        }
        let body = operation.said["requestBody"]["content"]["application/json"].get("schema");
        for (name, property) in body.map(|body| properties(&document, body)).into_iter().flatten() {
            let of_type = resolved(&document, &property)["description"].as_str();
            if property["description"]
                .as_str()
                .or(of_type)
                .unwrap_or_default()
                .is_empty()
            {
                bare.push(format!("{line}: {name} of the body"));
            }
        }
        for status in ["200", "202"] {
            let answer = &operation.said["responses"][status]["content"]["application/json"];
            if answer.is_object() && operation.path != "/openapi.json" {
                let envelope = &answer["schema"]["allOf"][0]["$ref"];
                assert_eq!(
                    envelope, "#/components/schemas/Answered",
                    "{line} {status}: {answer}"
                );
            }
        }
    }
    assert!(bare.is_empty(), "not described:\n{}", bare.join("\n"));
}

fn each(value: &Value, visit: &mut impl FnMut(&Value)) {
    visit(value);
    match value {
        Value::Object(members) => members.values().for_each(|member| each(member, visit)),
        Value::Array(items) => items.iter().for_each(|item| each(item, visit)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[tokio::test]
async fn the_document_is_served_to_whoever_asks() {
    let asked = Api::new().await.ask(request("GET /openapi.json", None, ""));
    let answered = asked.await.unwrap();
    assert_eq!(answered.status, StatusCode::OK);
    assert_eq!(answered.headers["content-type"], "application/json");
    assert_eq!(answered.body, document());
}

#[test]
fn the_committed_document_is_what_the_code_says() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
    let made = format!("{:#}\n", document());
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = found
        .lines()
        .zip(made.lines())
        .find(|(found, made)| found != made);
    assert!(
        found == made,
        "docs/openapi.json is not what the code says, run `make docs`: {differs:?}"
    );
}
