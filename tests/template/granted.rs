//! What the functions are granted, in the template that SAM makes of ours: exactly what is listed here, each with its reason.
//!
//! A reason is the place in the code that asks AWS, or, where AWS asks in a function's name, a sentence. That scenarios send each of
//! these requests, and no other, is looked at when all of them have run: `tests/afterwards`.

use super::Template;
use super::document::checkout;
use super::grants::Why::{Because, Call};
use super::grants::{FUNCTIONS, Need, UNRECORDED};
use super::policies::granted_to;
use serde_json::json;
use std::collections::BTreeSet;

#[test]
fn functions_are_granted_what_they_need_and_nothing_else() {
    let template = Template::transformed();
    for (function, needs) in FUNCTIONS {
        let needed: BTreeSet<(String, String)> = needs
            .concat()
            .into_iter()
            .flat_map(|(resources, action, _)| {
                resources
                    .iter()
                    .map(move |on| (action.to_owned(), (*on).to_owned()))
            })
            .collect();
        let granted = granted_to(&template, function);
        let extra: Vec<_> = granted.difference(&needed).collect();
        let lacking: Vec<_> = needed.difference(&granted).collect();
        assert!(
            extra.is_empty() && lacking.is_empty(),
            "{function} is granted without a need: {extra:?}, needs and isn't granted: {lacking:?}"
        );
    }
}

/// SAM attaches policies of AWS to a role that it makes itself, and makes one wherever a function names none.
#[test]
fn sam_makes_no_role_of_its_own_and_attaches_no_policy_of_aws() {
    let (ours, transformed) = (Template::read(), Template::transformed());
    for resource_type in ["AWS::IAM::Role", "AWS::IAM::ManagedPolicy", "AWS::IAM::Policy"] {
        let names = |template: &Template| -> BTreeSet<String> {
            let resources = template.resources_of(resource_type).into_iter();
            resources.map(|(name, _)| name.to_owned()).collect()
        };
        assert_eq!(names(&ours), names(&transformed), "{resource_type}");
    }
    for (name, role) in transformed.resources_of("AWS::IAM::Role") {
        assert!(!role.to_string().contains(":iam::aws:policy"), "{name}");
    }
    for (name, function) in transformed.resources_of("AWS::Lambda::Function") {
        assert_eq!(
            function["Role"],
            json!({ "Fn::GetAtt": [format!("{name}Role"), "Arn"] }),
            "{name}"
        );
    }
}

/// So that a grant goes when the request does for which it was made.
#[test]
fn every_request_that_a_grant_is_for_is_in_the_code_and_the_function_has_that_code() {
    let template = Template::read();
    for (function, needs) in FUNCTIONS {
        let manifest = format!("functions/{}/Cargo.toml", template.binary_of(function));
        let manifest = std::fs::read_to_string(checkout().join(manifest)).unwrap();
        for (_, action, why) in needs.concat() {
            match why {
                Call(file, request) => {
                    let code = std::fs::read_to_string(checkout().join(file)).unwrap();
                    assert!(
                        code.contains(&format!(".{request}()")),
                        "{action}: {file} has no {request}"
                    );
                    let room = file.split('/').nth(1).expect("it lies in a room");
                    let dependency = format!("granary-{room}.workspace");
                    assert!(
                        manifest.contains(&dependency),
                        "{action}: the {function} hasn't {room}"
                    );
                }
                Because(reason) => assert!(reason.len() > 20, "{action}: {reason}"),
            }
        }
    }
}

#[test]
fn what_no_scenario_sends_is_a_request_of_the_table_and_has_a_reason() {
    for (function, action, reason) in UNRECORDED {
        let (_, needs) = FUNCTIONS
            .iter()
            .find(|(name, _)| name == function)
            .unwrap_or_else(|| panic!("there is no function {function}"));
        let is_call = |(_, of, why): &Need| of == action && matches!(why, Call(..));
        assert!(
            needs.concat().iter().any(is_call) && reason.len() > 20,
            "{function}, {action}: {reason}"
        );
    }
}
