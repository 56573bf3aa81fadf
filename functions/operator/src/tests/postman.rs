//! The Postman collection, made of the API's document: a folder for each group, a request for each route. What changes
//! something is a dry run until somebody says otherwise.

use crate::web::document::document;
use serde_json::{Map, Value, json};
use std::path::PathBuf;

use super::document::{Operation, WRITE, operations, properties, resolved};

/// In the query, so that a body that is lost changes nothing.
const DRY_RUN: &str = "dryRun";
const SCHEMA: &str = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json";

#[test]
fn the_committed_postman_collection_is_what_the_document_says() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/granary.postman_collection.json");
    let made = format!("{:#}\n", collection(&document()));
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == made,
        "docs/granary.postman_collection.json is not what the document says, run `make docs`"
    );
}

#[test]
fn every_route_is_a_request_that_changes_nothing_by_itself() {
    let document = document();
    let collection = collection(&document);
    let folders = collection["item"].as_array().unwrap();
    let requests: Vec<&Value> = folders
        .iter()
        .flat_map(|folder| folder["item"].as_array().unwrap())
        .collect();
    let operations = operations(&document);
    assert_eq!(requests.len(), operations.len());
    for operation in operations {
        let takes_dry_run = operation
            .parameters("query")
            .iter()
            .any(|parameter| parameter["name"] == DRY_RUN);
        let request = requests
            .iter()
            .find(|request| request["id"] == operation.said["operationId"])
            .unwrap();
        let url = &request["request"]["url"];
        let is_dry_run = url["raw"].as_str().unwrap().ends_with("?dryRun=true");
        assert_eq!(is_dry_run, takes_dry_run, "{}", operation.line());
        let query = url["query"].as_array().unwrap();
        let is_sent = query
            .iter()
            .any(|one| one["key"] == DRY_RUN && one["value"] == "true" && one["disabled"] != true);
        assert_eq!(is_sent, takes_dry_run, "{}", operation.line());
    }
}

fn collection(document: &Value) -> Value {
    let operations = operations(document);
    let folders: Vec<Value> = document["tags"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tag| {
            let of_group = operations
                .iter()
                .filter(|operation| operation.said["tags"][0] == tag["name"]);
            let items: Vec<Value> = of_group.map(|operation| item(document, operation)).collect();
            json!({ "name": tag["name"], "description": tag["description"], "item": items })
        })
        .collect();
    let mut collection = json!({
        "info": {
            "name": document["info"]["title"],
            "description": document["info"]["description"],
            "version": document["info"]["version"],
            "schema": SCHEMA,
        },
        "auth": { "type": "bearer", "bearer": [{ "key": "token", "value": "{{token}}", "type": "string" }] },
        "variable": [
            { "key": "baseUrl", "value": "http://127.0.0.1:8787", "description": "Where the API is." },
            { "key": "token", "value": "", "description": "A viewer's or an operator's token." },
        ],
        "item": folders,
    });
    // Whether maps keep an order is for other crates to say.
    collection.sort_all_objects();
    collection
}

fn item(document: &Value, operation: &Operation) -> Value {
    let said = &operation.said;
    let mut request = json!({
        "method": operation.method,
        "description": said["description"],
        "header": [{ "key": "Accept", "value": "application/json" }],
        "url": url(operation),
    });
    if said["security"] == json!([]) {
        request["auth"] = json!({ "type": "noauth" });
    }
    if let Some(schema) = body_schema(operation) {
        let header = json!({ "key": "Content-Type", "value": "application/json" });
        request["header"].as_array_mut().unwrap().push(header);
        let body = Value::Object(body(document, schema));
        request["body"] = json!({
            "mode": "raw", "raw": format!("{body:#}"), "options": { "raw": { "language": "json" } },
        });
    }
    json!({ "id": said["operationId"], "name": said["summary"], "request": request, "response": [] })
}

fn body_schema(operation: &Operation) -> Option<&Value> {
    operation.said["requestBody"]["content"]["application/json"].get("schema")
}

/// With `/migrate/status/:id`, as Postman has it.
fn url(operation: &Operation) -> Value {
    let path: Vec<String> = operation
        .path
        .split('/')
        .skip(1)
        .map(
            |part| match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
                Some(name) => format!(":{name}"),
                None => part.to_owned(),
            },
        )
        .collect();
    let of_place = |place| {
        let parameters = operation.parameters(place).into_iter();
        parameters.map(|parameter| {
            let value = match example_of(parameter).or_else(|| example_of(&parameter["schema"])) {
                None => String::new(),
                Some(Value::String(text)) => text,
                Some(other) => other.to_string(),
            };
            json!({ "key": parameter["name"], "value": value, "description": parameter["description"] })
        })
    };
    let mut raw = format!("{{{{baseUrl}}}}/{}", path.join("/"));
    let query: Vec<Value> = of_place("query")
        .map(|mut parameter| {
            if parameter["key"] == DRY_RUN {
                parameter["value"] = "true".into();
                raw.push_str("?dryRun=true");
            } else {
                parameter["disabled"] = true.into();
            }
            parameter
        })
        .collect();
    json!({
        "raw": raw,
        "host": ["{{baseUrl}}"],
        "path": path,
        "query": query,
        "variable": of_place("path").collect::<Vec<_>>(),
    })
}

fn example_of(said: &Value) -> Option<Value> {
    let example = said.get("example").or_else(|| said["examples"].get(0));
    example
        .or_else(|| said.get("default"))
        .filter(|example| !example.is_null())
        .cloned()
}

/// What must be there, with its examples.
fn body(document: &Value, schema: &Value) -> Map<String, Value> {
    let mut body = Map::new();
    let required = resolved(document, schema)["required"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    for (name, property) in properties(document, schema) {
        if required.iter().any(|required| *required == name) {
            body.insert(name, example_of(&property).unwrap_or_default());
        }
    }
    body
}
