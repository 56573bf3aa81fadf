//! What the template tells a function by its environment, against what the function's code reads.

use super::Template;
use super::settings::variables_read_by;
use serde_json::Value;
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
        let told: BTreeSet<String> = told_to_all(&template)
            .union(&told_to_one(function))
            .cloned()
            .collect();
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
fn every_variable_that_is_set_is_read() {
    let template = Template::read();
    let read = read_by_all(&template);
    let read_by_any: BTreeSet<String> = read.values().flatten().cloned().collect();
    let idle: Vec<String> = told_to_all(&template).difference(&read_by_any).cloned().collect();
    assert!(
        idle.is_empty(),
        "the template sets for all what nobody reads: {idle:?}"
    );
    for (name, function) in template.functions() {
        let told = told_to_one(function);
        let idle: Vec<&String> = told.difference(&read[name]).collect();
        assert!(
            idle.is_empty(),
            "the template sets for {name} what it doesn't read: {idle:?}"
        );
    }
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
