//! What the template tells a function by its environment, against what the function's code reads.

use super::Template;
use super::document::{checkout, several};
use super::names::STACK_NAME_CHARS_MAX;
use super::settings::variables_read_by;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Read by a function, and nothing that a deployment sets.
const NOT_FOR_DEPLOYMENTS: [(&str, &str); 3] = [
    ("GRANARY_LISTEN", "where the operator listens outside of Lambda"),
    ("GRANARY_LOG_FORMAT", "what Lambda needs is its default there"),
    (
        "GRANARY_SEED_ES_SECRET",
        "in the clear, for local use; a deployment names a secret",
    ),
];

fn names(variables: &Value) -> BTreeSet<String> {
    let names = variables.as_object().into_iter().flat_map(|names| names.keys());
    names.cloned().collect()
}

/// What all functions are told.
fn told_to_all(template: &Template) -> BTreeSet<String> {
    names(template.at("/Globals/Function/Environment/Variables"))
}

/// What one function is told besides.
fn told_to_one(function: &Value) -> BTreeSet<String> {
    names(&function["Environment"]["Variables"])
}

/// The variables of all functions, and those of this one. It may do without those of all.
fn variables_of<'a>(template: &'a Template, name: &str, function: &'a Value) -> [&'a Value; 2] {
    let ignored = template.at(&format!("/Resources/{name}/IgnoreGlobals"));
    let of_all = match several(ignored).contains(&&json!("Environment")) {
        true => &Value::Null,
        false => template.at("/Globals/Function/Environment/Variables"),
    };
    [of_all, &function["Environment"]["Variables"]]
}

/// All variables of a function.
fn told_to(template: &Template, name: &str, function: &Value) -> BTreeSet<String> {
    variables_of(template, name, function)
        .into_iter()
        .flat_map(names)
        .collect()
}

fn read_by_all(template: &Template) -> BTreeMap<&str, BTreeSet<String>> {
    let functions = template.functions().into_iter();
    functions
        .map(|(name, _)| (name, variables_read_by(template.binary_of(name))))
        .collect()
}

#[test]
fn every_variable_that_a_function_reads_is_set_for_it() {
    let template = Template::read();
    let read = read_by_all(&template);
    for (name, function) in template.functions() {
        let told = told_to(&template, name, function);
        let untold = read[name].difference(&told).filter(|variable| {
            !NOT_FOR_DEPLOYMENTS
                .iter()
                .any(|(exempt, _)| exempt == &variable.as_str())
        });
        let untold: Vec<&String> = untold.collect();
        assert!(
            untold.is_empty(),
            "{name} reads what the template doesn't set: {untold:?}"
        );
    }
}

#[test]
fn every_variable_that_is_set_for_a_function_is_read_by_it() {
    let template = Template::read();
    let read = read_by_all(&template);
    for (name, function) in template.functions() {
        let told = told_to(&template, name, function);
        let idle: Vec<&String> = told.difference(&read[name]).collect();
        assert!(
            idle.is_empty(),
            "the template sets for {name} what it doesn't read: {idle:?}"
        );
    }
}

/// Bytes of the largest sensible value: of a resource by its name, of a parameter by its kind. Certificate authorities are in
/// secrets then, as docs/deploy.md says, and no test messages are written.
fn bytes_max(template: &Template, variable: &str, value: &Value) -> usize {
    const URL_OF_QUEUE: usize = "https://sqs.ap-southeast-1.amazonaws.com/123456789012/".len() + 80;
    const ARN: usize = 112;
    const NAME: usize = 64;
    let Some(parameter) = value["Ref"].as_str() else {
        let text = value["Fn::Sub"].as_str().unwrap_or_default();
        // Each of these is built of the stack's name.
        let names = text.matches("${").count() * STACK_NAME_CHARS_MAX;
        return NAME.max(names + "-harvester/-harvester-run".len());
    };
    let definition = template.at(&format!("/Parameters/{parameter}"));
    if let Some(values) = definition["AllowedValues"].as_array() {
        let lengths = values.iter().filter_map(Value::as_str).map(str::len);
        return lengths.max().unwrap_or(NAME);
    }
    match parameter {
        _ if parameter.starts_with("Batches") => URL_OF_QUEUE,
        "EsCa" | "LedgerCa" | "Tokens" | "SeedEsUrl" | "SeedEsSecretArn" => 0,
        "SourceIndex" | "EsUrl" | "LedgerUrl" => 100,
        "SourceFilter" | "MetadataSources" => FREE_BYTES / 2,
        _ if variable.ends_with("_ARN") => ARN,
        _ if definition["AllowedPattern"]
            .as_str()
            .is_some_and(|pattern| pattern.contains("[0-9]{0,")) =>
        {
            7
        }
        _ => NAME,
    }
}

/// For `SourceFilter` and `MetadataSources` together, as docs/deploy.md says.
const FREE_BYTES: usize = 560;
const LAMBDA_BYTES_MAX: usize = 4_096;

#[test]
fn the_environment_of_each_function_fits_lambdas_4_kb() {
    let template = Template::read();
    for (name, function) in template.functions() {
        let variables = variables_of(&template, name, function);
        let variables = variables.into_iter().filter_map(Value::as_object).flatten();
        let bytes: usize = variables
            .map(|(variable, value)| variable.len() + bytes_max(&template, variable, value))
            .sum();
        assert!(bytes <= LAMBDA_BYTES_MAX, "{name}: {bytes} bytes");
    }
    let docs = std::fs::read_to_string(checkout().join("docs/deploy.md")).unwrap();
    assert!(
        docs.contains(&format!(
            "leave {FREE_BYTES} bytes for `SourceFilter` and `MetadataSources`"
        )),
        "docs/deploy.md says another number"
    );
}

#[test]
fn exemptions_are_still_needed() {
    let template = Template::read();
    let told: BTreeSet<String> = template
        .functions()
        .into_iter()
        .flat_map(|(_, function)| told_to_one(function))
        .chain(told_to_all(&template))
        .collect();
    for (variable, why) in NOT_FOR_DEPLOYMENTS {
        assert!(!told.contains(variable), "{variable} is set now, though {why}");
    }
}
