//! What routes have in common in the document: the envelope of their answers, their refusals, who may call them, their
//! names and groups. None of it is written at a route.

use crate::web::problem::Kind;
use axum::http::{Method, StatusCode};
use granary_tokens::Role;
use serde_json::{Map, Value, json};

/// The groups of routes, by how their paths begin. The longest beginning counts.
const GROUPS: [(&str, &str, &str); 10] = [
    ("/", "desk", "What is going on, and the few things to turn."),
    ("/health", "health", "Whether this deployment can do its work."),
    ("/db", "database", "The ledger's database."),
    ("/schema", "database", "The ledger's database."),
    (
        "/migrate",
        "migrations",
        "Migrations, and the batches that come of them.",
    ),
    (
        "/migrate/scheduler",
        "scheduler",
        "The clock that starts the harvester and the reaper.",
    ),
    ("/queue", "queue", "The queues, and who works on what is in them."),
    ("/seed", "test data", "Test messages, where they are allowed."),
    (
        "/openapi.json",
        "documents",
        "This document, and a page to try it on.",
    ),
    ("/docs", "documents", "This document, and a page to try it on."),
];

/// A route of the test data is refused wherever test data isn't allowed.
const TEST_DATA: &str = "/seed/";

pub(super) fn info() -> Value {
    json!({
        "title": "Granary",
        "version": env!("CARGO_PKG_VERSION"),
        "summary": "See, understand and steer the archiving of messages.",
        "description": "Answers are `{\"success\":true,\"timestamp\":…,\"requestId\":…, …}`; refusals are problems (RFC 9457) \
            with a stable `type`, the `field` at fault and a `remedy`. Lists have filters, a `limit` and an opaque `cursor`: \
            hand `nextCursor` back until it is null. Every change takes `dryRun` (it only says what it would do) and `reason` \
            (for the audit), may be repeated, and is written down. `?dryRun=true` in the query always works; in a body, \
            `dryRun` works by POST only, since some clients and proxies drop the body of a DELETE. Every DELETE has a POST \
            twin at the same path. With the header `granary-body-bytes` (the length of the body in bytes), a body that was \
            dropped or cut on its way is refused. Bodies are lenient in form (a number may come as text, null \
            is not given, no body is an empty one) and strict in meaning (a field that isn't known is refused, a time needs \
            its zone). What takes longer than some seconds is an operation: 202, and `GET /operations/{id}` tells how far it is.",
        "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
    })
}

pub(super) fn tags() -> Vec<Value> {
    let mut tags: Vec<Value> = Vec::new();
    for (_, name, description) in GROUPS {
        if tags.iter().all(|tag| tag["name"] != name) {
            tags.push(json!({ "name": name, "description": description }));
        }
    }
    tags
}

/// Adds to an operation what its method, its path and its role say. `None`: it needs no token.
pub(super) fn complete(operation: &mut Value, method: &Method, path: &str, role: Option<Role>) {
    operation["operationId"] = name_of(method, path).into();
    operation["tags"] = json!([group_of(path)]);
    let who = match role {
        None => "Needs no token.".to_owned(),
        Some(role) => format!("Needs the token of {}.", in_words(role)),
    };
    let said = operation["description"].as_str().unwrap_or_default().trim();
    operation["description"] = if said.is_empty() {
        who.into()
    } else {
        format!("{said}\n\n{who}").into()
    };
    operation["security"] = match role {
        None => json!([]),
        Some(_) => json!([{ "bearer": [] }]),
    };
    if let Some(role) = role {
        operation["x-granary-role"] = role.as_str().into();
    }
    let statuses = refusals_of(operation, method, path, role);
    if let Some(responses) = operation["responses"].as_object_mut() {
        for (status, response) in responses.iter_mut() {
            match status.parse::<u16>() {
                Ok(status) if status >= 400 => *response = refusal(status),
                Ok(_) | Err(_) => envelop(response),
            }
        }
        for status in statuses {
            responses.insert(status.as_u16().to_string(), refusal(status.as_u16()));
        }
    }
}

/// Routes whose body names an object, which may not be there.
const NAMES_AN_OBJECT: [&str; 2] = ["/sweep/adopt", "/sweep/discard"];

/// How a route may refuse, besides what its annotation says.
fn refusals_of(operation: &Value, method: &Method, path: &str, role: Option<Role>) -> Vec<StatusCode> {
    let Some(role) = role else {
        return Vec::new();
    };
    let mut statuses = vec![
        StatusCode::BAD_REQUEST,
        StatusCode::UNAUTHORIZED,
        StatusCode::INTERNAL_SERVER_ERROR,
        StatusCode::SERVICE_UNAVAILABLE,
    ];
    if operation["requestBody"].is_object() {
        statuses.push(StatusCode::PAYLOAD_TOO_LARGE);
    }
    if role > Role::Viewer || path.starts_with(TEST_DATA) {
        statuses.push(StatusCode::FORBIDDEN);
    }
    if path.contains("{id}") || NAMES_AN_OBJECT.contains(&path) {
        statuses.push(StatusCode::NOT_FOUND);
    }
    if *method != Method::GET {
        statuses.push(StatusCode::CONFLICT);
    }
    statuses
}

fn refusal(status: u16) -> Value {
    json!({ "$ref": format!("#/components/responses/{status}") })
}

/// Every answer of JSON has what the edge adds to it.
fn envelop(response: &mut Value) {
    let schema = &mut response["content"]["application/json"]["schema"];
    if schema.get("$ref").is_some() {
        *schema = json!({ "allOf": [{ "$ref": "#/components/schemas/Answered" }, schema.take()] });
    }
    if let Some(content) = response["content"].as_object_mut() {
        content.retain(|_, content| content["schema"].is_object());
    }
}

/// The envelope and the problem.
pub(super) fn schemas() -> Map<String, Value> {
    let types: Vec<String> = Kind::ALL.map(Kind::urn).into();
    let time = json!({ "type": "string", "format": "date-time", "description": "When this was answered." });
    let id =
        json!({ "type": "string", "description": "The request's id, in the log and the audit as well." });
    let envelope = json!({
        "type": "object",
        "description": "What every answer carries.",
        "required": ["success", "timestamp", "requestId"],
        "properties": { "success": { "const": true }, "timestamp": time, "requestId": id },
    });
    let problem = json!({
        "type": "object",
        "description": "Why a request was not done (RFC 9457). A program branches on `type`, which never changes.",
        "required": ["type", "title", "status", "detail", "instance", "success", "timestamp", "requestId"],
        "properties": {
            "type": { "type": "string", "enum": types },
            "title": { "type": "string" },
            "status": { "type": "integer", "minimum": 400, "maximum": 599 },
            "detail": { "type": "string", "description": "What is wrong with this very request." },
            "instance": { "type": "string", "description": "The path that was asked for." },
            "field": { "type": "string", "description": "The parameter at fault." },
            "remedy": { "type": "string", "description": "What to do about it." },
            "service": { "type": "string", "description": "The service that is ill or out of reach." },
            "success": { "const": false },
            "timestamp": time,
            "requestId": id,
        },
    });
    Map::from_iter([("Answered".to_owned(), envelope), ("Problem".to_owned(), problem)])
}

/// The refusals by status, each with the kinds of problems that have it.
pub(super) fn refusals() -> Map<String, Value> {
    let mut refusals = Map::new();
    for kind in Kind::ALL {
        let status = kind.status().as_u16().to_string();
        let refusal = refusals.entry(status).or_insert_with(|| {
            json!({
                "description": "",
                "content": { "application/problem+json": {
                    "schema": { "$ref": "#/components/schemas/Problem" }, "examples": {},
                } },
            })
        });
        let said = refusal["description"].as_str().unwrap_or_default();
        let gap = if said.is_empty() { "" } else { " " };
        refusal["description"] = format!("{said}{gap}`{}`: {}.", kind.urn(), kind.title()).into();
        refusal["content"]["application/problem+json"]["examples"][kind.name()] =
            json!({ "value": example(kind) });
        if let Some((name, header)) = header_of(kind) {
            refusal["headers"][name] = header;
        }
    }
    refusals
}

fn example(kind: Kind) -> Value {
    json!({
        "type": kind.urn(),
        "title": kind.title(),
        "status": kind.status().as_u16(),
        "detail": "What is wrong with this very request.",
        "remedy": "What to do about it.",
        "instance": "/overview",
        "success": false,
        "timestamp": "2026-11-22T06:00:00Z",
        "requestId": "019ab1c2-0000-7000-8000-000000000000",
    })
}

/// The header that comes with a kind of problems.
fn header_of(kind: Kind) -> Option<(&'static str, Value)> {
    let header = |description: &str| json!({ "description": description, "schema": { "type": "string" } });
    match kind.status() {
        StatusCode::UNAUTHORIZED => Some(("WWW-Authenticate", header("What to send: a bearer token."))),
        StatusCode::SERVICE_UNAVAILABLE => {
            Some(("Retry-After", header("After how many seconds to try again.")))
        }
        StatusCode::METHOD_NOT_ALLOWED => Some(("Allow", header("The methods that the route has."))),
        _ => None,
    }
}

fn in_words(role: Role) -> &'static str {
    match role {
        Role::Viewer => "a viewer",
        Role::Operator => "an operator",
    }
}

fn group_of(path: &str) -> &'static str {
    let of = GROUPS
        .iter()
        .filter(|(beginning, ..)| path.starts_with(beginning))
        .max_by_key(|(beginning, ..)| beginning.len());
    of.map_or("desk", |(_, name, _)| name)
}

/// `GET /migrate/status/{id}` is `get_migrate_status_id`, and a hyphen is told from a slash.
fn name_of(method: &Method, path: &str) -> String {
    let mut name = method.as_str().to_ascii_lowercase();
    for part in path.split('/').filter(|part| !part.is_empty()) {
        name.push('_');
        let mut begins = false;
        for letter in part.trim_matches(['{', '}']).chars() {
            match letter {
                _ if !letter.is_ascii_alphanumeric() => begins = true,
                _ if begins => {
                    name.push(letter.to_ascii_uppercase());
                    begins = false;
                }
                _ => name.push(letter),
            }
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_is_named_and_grouped_by_its_path() {
        assert_eq!(
            name_of(&Method::GET, "/migrate/status/{id}"),
            "get_migrate_status_id"
        );
        assert_eq!(
            name_of(&Method::POST, "/queue/test-batch"),
            "post_queue_testBatch"
        );
        for (path, group) in [
            ("/migrate", "migrations"),
            ("/migrate/scheduler/stop", "scheduler"),
            ("/tune", "desk"),
            ("/db/ping", "database"),
            ("/seed/docs", "test data"),
        ] {
            assert_eq!(group_of(path), group, "{path}");
        }
    }

    #[test]
    fn every_kind_of_problem_has_an_example_at_its_status() {
        let refusals = refusals();
        for kind in Kind::ALL {
            let refusal = &refusals[&kind.status().as_u16().to_string()];
            let examples = &refusal["content"]["application/problem+json"]["examples"];
            assert_eq!(examples[kind.name()]["value"]["type"], kind.urn());
        }
    }
}
