//! How bodies of requests are lenient, said in their schemas: a number or a switch may come as text, and `null` is not
//! given. And how they are strict: no field may come besides. `Fields` does what is said here.

use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

const REFERENCE: &str = "#/components/schemas/";
const SCHEMA_OF_BODY: &str = "/requestBody/content/application~1json/schema";

/// Loosens the form of every body that a request may have, and says which requests may have none.
pub(super) fn loosen(paths: &mut Map<String, Value>, schemas: &mut Map<String, Value>) {
    loosen_schemas(paths, schemas);
    let operations = paths.values_mut().filter_map(Value::as_object_mut);
    for (method, operation) in operations.flatten() {
        let schema = operation.pointer(SCHEMA_OF_BODY).and_then(reference);
        let Some(schema) = schema.and_then(|name| schemas.get(name)) else {
            continue;
        };
        let needs_some = schema["required"]
            .as_array()
            .is_some_and(|names| !names.is_empty());
        let has_dry_run = schema["properties"]["dryRun"].is_object();
        operation["requestBody"]["required"] = needs_some.into();
        if let Some(schema) = operation.pointer_mut(SCHEMA_OF_BODY)
            && !needs_some
        {
            *schema = json!({ "oneOf": [{ "type": "null" }, { "$ref": reference(schema).map(|name| format!("{REFERENCE}{name}")) }] });
        }
        if has_dry_run || method == "delete" {
            add_dry_run_to_query(operation);
        }
    }
}

/// Every dry run may be asked for in the query, where no proxy drops it; that of a DELETE only there.
fn add_dry_run_to_query(operation: &mut Value) {
    let parameter = json!({
        "name": "dryRun",
        "in": "query",
        "required": false,
        "description": "`true`: only say what it would do. It mustn't contradict a `dryRun` of the body.",
        "schema": { "type": "boolean" },
    });
    match operation["parameters"].as_array_mut() {
        Some(parameters) => parameters.push(parameter),
        None => operation["parameters"] = json!([parameter]),
    }
}

fn loosen_schemas(paths: &Map<String, Value>, schemas: &mut Map<String, Value>) {
    let operations = paths.values().filter_map(Value::as_object).flat_map(Map::values);
    let names: BTreeSet<&str> = operations
        .filter_map(|operation| operation.pointer(SCHEMA_OF_BODY))
        .filter_map(reference)
        .collect();
    let known = schemas.clone();
    for name in names {
        let Some(schema) = schemas.get_mut(name) else {
            continue;
        };
        flatten(schema, &known);
        schema["additionalProperties"] = false.into();
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        for (name, property) in schema["properties"].as_object_mut().into_iter().flatten() {
            loosen_property(property);
            if required.iter().any(|required| required == name.as_str()) {
                forbid_null(property);
            }
        }
    }
}

/// The component that a schema names, where it names one, or one or nothing.
fn reference(schema: &Value) -> Option<&str> {
    let named = schema
        .get("$ref")
        .or_else(|| schema["oneOf"].as_array()?.iter().find_map(|one| one.get("$ref")));
    named?.as_str()?.strip_prefix(REFERENCE)
}

/// What a body shares with others stands in it like all the rest: only so can it be said that nothing comes besides.
fn flatten(schema: &mut Value, known: &Map<String, Value>) {
    let Some(Value::Array(parts)) = schema.as_object_mut().and_then(|schema| schema.remove("allOf")) else {
        return;
    };
    schema["type"] = "object".into();
    for part in parts {
        let part = reference(&part).and_then(|name| known.get(name)).unwrap_or(&part);
        for (name, property) in part["properties"].as_object().into_iter().flatten() {
            schema["properties"][name] = property.clone();
        }
        for name in part["required"].as_array().into_iter().flatten() {
            match schema["required"].as_array_mut() {
                Some(required) if required.contains(name) => {}
                Some(required) => required.push(name.clone()),
                None => schema["required"] = json!([name]),
            }
        }
    }
}

fn loosen_property(property: &mut Value) {
    let types: Vec<&str> = match &property["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => return,
    };
    if types.contains(&"integer") {
        property["type"] = json!(["integer", "string", "null"]);
        property["pattern"] = "^[0-9]+$".into();
    } else if types.contains(&"boolean") {
        property["type"] = json!(["boolean", "string", "null"]);
        property["enum"] = json!([true, false, "true", "false", null]);
    } else if let [one] = types[..] {
        property["type"] = json!([one, "null"]);
    }
}

/// What has to be there can't be taken for not given.
fn forbid_null(property: &mut Value) {
    if let Some(types) = property["type"].as_array_mut() {
        types.retain(|one| one != "null");
    }
    if let Some(values) = property.get_mut("enum").and_then(Value::as_array_mut) {
        values.retain(|one| !one.is_null());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_may_come_as_text_and_nothing_may_come_besides() {
        let body = json!({ "requestBody": { "content": { "application/json": { "schema":
            { "oneOf": [{ "type": "null" }, { "$ref": "#/components/schemas/Body" }] } } } } });
        let mut paths = Map::from_iter([("/tune".to_owned(), json!({ "post": body }))]);
        let of_both = json!({ "required": ["id"], "properties": {
            "id": { "type": "string" },
            "limit": { "type": ["integer", "null"], "minimum": 1 },
            "dryRun": { "type": "boolean" },
            "reason": { "type": "string" },
        } });
        let mut schemas = Map::from_iter([
            ("Body".to_owned(), of_both.clone()),
            ("Answer".to_owned(), of_both.clone()),
        ]);
        loosen(&mut paths, &mut schemas);
        assert_eq!(paths["/tune"]["post"]["requestBody"]["required"], true);
        assert_eq!(schemas["Answer"], of_both);
        let body = &schemas["Body"];
        assert_eq!(body["additionalProperties"], false);
        assert_eq!(
            body["properties"]["limit"]["type"],
            json!(["integer", "string", "null"])
        );
        assert_eq!(body["properties"]["limit"]["minimum"], 1);
        assert_eq!(
            body["properties"]["dryRun"]["enum"],
            json!([true, false, "true", "false", null])
        );
        assert_eq!(body["properties"]["id"]["type"], json!(["string"]));
        assert_eq!(body["properties"]["reason"]["type"], json!(["string", "null"]));
    }
}
