//! What the policies of a function's role say: its own, and those that it shares.

use super::document::{Template, several};
use serde_json::Value;
use std::collections::BTreeSet;

/// The policies of a function's role: its own, and those that it shares with others.
fn policies<'a>(template: &'a Template, function: &str) -> Vec<&'a Value> {
    let role = template.resource(&format!("{function}Role"));
    let own = several(&role["Policies"]).into_iter();
    let shared = several(&role["ManagedPolicyArns"]).into_iter().map(|policy| {
        // `!If [condition, !Ref policy, nothing]`. An ARN would be a policy of AWS.
        let name = policy.pointer("/Fn::If/1/Ref").and_then(Value::as_str);
        template.resource(name.unwrap_or_else(|| panic!("{function}: {policy} is no policy of ours")))
    });
    own.chain(shared).collect()
}

/// What the policies of a function's role say, with the conditions under which they say it.
pub(super) fn statements_as_written<'a>(template: &'a Template, function: &str) -> Vec<&'a Value> {
    let policies = policies(template, function).into_iter();
    policies
        .flat_map(|policy| several(&policy["PolicyDocument"]["Statement"]))
        .collect()
}

/// What a function is allowed, whatever the conditions.
pub(super) fn statements<'a>(template: &'a Template, function: &str) -> Vec<&'a Value> {
    let statements = statements_as_written(template, function).into_iter();
    // `!If [condition, statement, nothing]`.
    let meant = |statement: &'a Value| statement.pointer("/Fn::If/1").unwrap_or(statement);
    statements
        .map(meant)
        .filter(|statement| statement["Effect"] == "Allow")
        .collect()
}

/// What a function is allowed, as actions and the names of what they may be taken on.
pub(super) fn granted_to(template: &Template, function: &str) -> BTreeSet<(String, String)> {
    let mut granted = BTreeSet::new();
    for statement in statements(template, function) {
        for action in several(&statement["Action"]) {
            let action = action.as_str().expect("an action is a text");
            granted.extend(
                several(&statement["Resource"])
                    .into_iter()
                    .map(|on| (action.to_owned(), name_of(on))),
            );
        }
    }
    granted
}

/// A resource in a policy: `Batches.Arn`, `KmsKeyArn`, or the text of a `Fn::Sub`.
fn name_of(resource: &Value) -> String {
    let attribute = resource["Fn::GetAtt"].as_array().map(|path| {
        let parts: Vec<_> = path.iter().filter_map(Value::as_str).collect();
        parts.join(".")
    });
    let text = [
        resource,
        &resource["Ref"],
        &resource["Fn::Sub"],
        &resource["Fn::Sub"][0],
    ]
    .into_iter()
    .find_map(Value::as_str);
    attribute
        .or_else(|| text.map(str::to_owned))
        .unwrap_or_else(|| panic!("{resource} is named otherwise than this test thinks"))
}
