//! What functions may do: nothing that the design forbids. What each is granted, and why, is [`super::granted`]'s: the
//! emulator refuses nothing, so a missing permission would show in AWS alone.

use super::Template;
use super::document::{attribute, in_the_archive, reference, several};
use super::policies::{statements, statements_as_written};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const FUNCTIONS: [&str; 5] = ["Migrator", "Harvester", "Exporter", "Reaper", "Operator"];
/// All but the migrator, which has the ledger alone.
const OF_MESSAGES: [&str; 4] = ["Harvester", "Exporter", "Reaper", "Operator"];
/// Actions that are allowed on every resource, each because AWS has no resource to name for its action.
const ABOUT_EVERYTHING: [(&str, &str); 2] = [
    ("Operator", "lambda:ListEventSourceMappings"),
    ("Reaper", "lambda:ListEventSourceMappings"),
];
/// Actions of Lambda itself, before there is a resource to name. The same policy denies them to the function's code.
const BY_LAMBDA_ITSELF: [&str; 6] = [
    "ec2:CreateNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:DeleteNetworkInterface",
    "ec2:AssignPrivateIpAddresses",
    "ec2:UnassignPrivateIpAddresses",
];
/// Actions of X-Ray, which has no resource to name. They are granted where `Tracing` is `Active`.
const OF_TRACES: [&str; 2] = ["xray:PutTraceSegments", "xray:PutTelemetryRecords"];
/// Secrets that not every function reads, and who does.
const SECRETS_OF_SOME: [(&str, &[&str]); 2] = [
    ("TokensSecretArn", &["Operator"]),
    ("SeedEsSecretArn", &["Reaper", "Operator"]),
];
const QUEUES: [&str; 2] = ["Batches", "BatchesPriority"];

fn may(template: &Template, function: &str, action: &str, resource: &Value) -> bool {
    statements(template, function).into_iter().any(|statement| {
        several(&statement["Action"]).contains(&&json!(action))
            && several(&statement["Resource"]).contains(&resource)
    })
}

/// Every action that a function may take on anything.
fn actions<'a>(template: &'a Template, function: &str) -> BTreeSet<&'a str> {
    let statements = statements(template, function).into_iter();
    statements
        .flat_map(|statement| several(&statement["Action"]))
        .filter_map(Value::as_str)
        .collect()
}

/// Where a function names a role, SAM adds no policies to it.
#[test]
fn every_function_has_a_role_of_its_own_and_no_policy_of_aws() {
    let template = Template::read();
    let names: BTreeSet<&str> = template.functions().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, BTreeSet::from(FUNCTIONS));
    for (function, properties) in template.functions() {
        assert_eq!(
            properties["Role"],
            attribute(&format!("{function}Role"), "Arn"),
            "{function}"
        );
        assert_eq!(properties["Policies"], Value::Null, "{function}");
        for action in ["logs:CreateLogStream", "logs:PutLogEvents"] {
            let log = attribute(&format!("{function}Log"), "Arn");
            assert!(may(&template, function, action, &log), "{function}: {action}");
        }
    }
}

/// The operator switches the clock and the exporter's triggers of this very stack, and nobody else does.
#[test]
fn only_the_operator_switches_and_only_what_is_ours() {
    const SWITCHING: [&str; 4] = [
        "scheduler:UpdateSchedule",
        "lambda:UpdateEventSourceMapping",
        "sqs:PurgeQueue",
        "iam:PassRole",
    ];
    let template = Template::read();
    for (function, _) in template.functions() {
        for action in SWITCHING {
            assert_eq!(
                actions(&template, function).contains(action),
                function == "Operator",
                "{function}: {action}"
            );
        }
    }
    let statement = |action: &str| {
        let mut of_action = statements(&template, "Operator")
            .into_iter()
            .filter(|statement| several(&statement["Action"]).contains(&&json!(action)));
        let statement = of_action.next().expect("the operator may do it");
        assert!(of_action.next().is_none(), "{action}: two statements");
        statement
    };
    let schedules: Vec<Value> = [("Harvester", "harvester"), ("Reaper", "reaper")]
        .map(schedule)
        .into();
    assert_eq!(
        statement("scheduler:UpdateSchedule")["Resource"],
        json!(schedules)
    );
    assert_eq!(
        statement("iam:PassRole")["Condition"]["StringEquals"]["iam:PassedToService"],
        "scheduler.amazonaws.com"
    );
    for action in ["lambda:GetEventSourceMapping", "lambda:UpdateEventSourceMapping"] {
        let triggers: Vec<Value> = QUEUES.map(trigger).into();
        assert_eq!(statement(action)["Resource"], json!(triggers), "{action}");
    }
}

/// The ARN of the schedule that starts a function, by the group and the name that the function's event gives it.
fn schedule((function, name): (&str, &str)) -> Value {
    let schedules = "arn:${AWS::Partition}:scheduler:${AWS::Region}:${AWS::AccountId}:schedule";
    json!({ "Fn::Sub": format!("{schedules}/${{{function}Clock}}/${{AWS::StackName}}-{name}-run") })
}

/// The ARN of the exporter's trigger at a queue, by the name that SAM gives the resource.
fn trigger(queue: &str) -> Value {
    let mapping = "arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:event-source-mapping:";
    json!({ "Fn::Sub": format!("{mapping}${{Exporter{queue}}}") })
}

/// Where the archive has on record how far batch numbers go.
fn number_mark() -> Value {
    in_the_archive("/${Prefix}/source=${SourceName}/_ledger/batch-numbers.json")
}

#[test]
fn only_the_reaper_deletes_and_the_operator_where_test_messages_may_be_seeded() {
    let template = Template::read();
    for (function, _) in template.functions() {
        let statements = statements_as_written(&template, function);
        for statement in statements {
            let text = statement.to_string();
            assert!(
                !text.contains("s3:DeleteObjectVersion"),
                "{function}: {statement}"
            );
            assert!(!text.contains("s3:PutLifecycle"), "{function}: {statement}");
            if text.contains("s3:DeleteObject") {
                let is_seeding = statement["Fn::If"][0] == "SeedingAllowed";
                assert!(
                    function == "Reaper" || (function == "Operator" && is_seeding),
                    "{function}: {statement}"
                );
            }
        }
    }
}

#[test]
fn only_the_exporter_writes_objects_and_it_never_sends() {
    let template = Template::read();
    for (function, _) in template.functions() {
        let actions = actions(&template, function);
        for statement in statements(&template, function) {
            let writes = several(&statement["Action"]).contains(&&json!("s3:PutObject"));
            let is_mark = statement["Resource"] == number_mark();
            assert!(
                !writes || is_mark || function == "Exporter",
                "{function}: {statement}"
            );
        }
        if function == "Exporter" {
            // A function that feeds its own queue is stopped by Lambda after 16 rounds.
            assert!(!actions.contains("sqs:SendMessage"));
            assert!(!actions.contains("s3:DeleteObject"));
        }
        for action in actions {
            assert!(!action.contains('*'), "{function}: {action}");
        }
    }
}

#[test]
fn a_secret_can_be_read_by_the_functions_that_need_it_and_by_no_other() {
    let template = Template::read();
    for (name, _) in template.at("/Parameters").as_object().expect("it has parameters") {
        if !name.ends_with("SecretArn") {
            continue;
        }
        let of_some = SECRETS_OF_SOME.iter().find(|(secret, _)| secret == name);
        let readers = of_some.map_or_else(
            || match name.starts_with("Ledger") {
                true => FUNCTIONS.as_slice(),
                false => OF_MESSAGES.as_slice(),
            },
            |(_, readers)| readers,
        );
        for function in FUNCTIONS {
            assert_eq!(
                may(
                    &template,
                    function,
                    "secretsmanager:GetSecretValue",
                    &reference(name)
                ),
                readers.contains(&function),
                "{function}, {name}"
            );
        }
    }
}

/// In an existing bucket, other things may lie outside of the prefix.
#[test]
fn whatever_a_function_may_do_to_objects_is_limited_to_the_prefix_of_the_archives_bucket() {
    let template = Template::read();
    let ours = [
        in_the_archive(""),
        in_the_archive("/${Prefix}/source=${SourceName}/*"),
        number_mark(),
    ];
    for function in FUNCTIONS {
        for statement in statements(&template, function) {
            if statement["Action"].to_string().contains("\"s3:") {
                for resource in several(&statement["Resource"]) {
                    assert!(ours.contains(resource), "{function}: {resource}");
                }
            }
        }
    }
}

#[test]
fn only_the_operator_invokes_and_the_migrator_alone() {
    let template = Template::read();
    for function in FUNCTIONS {
        for statement in statements(&template, function) {
            if several(&statement["Action"]).contains(&&json!("lambda:InvokeFunction")) {
                assert_eq!(function, "Operator");
                assert_eq!(statement["Resource"], attribute("Migrator", "Arn"));
            }
        }
    }
}

#[test]
fn only_the_reaper_publishes() {
    let template = Template::read();
    for function in FUNCTIONS {
        let publishes = actions(&template, function).contains("sns:Publish");
        assert_eq!(publishes, function == "Reaper", "{function}");
    }
}

#[test]
fn no_statement_is_about_everything_but_those_that_can_be_about_nothing_else() {
    let template = Template::read();
    for function in FUNCTIONS {
        for statement in statements(&template, function) {
            if several(&statement["Resource"]).contains(&&json!("*")) {
                for action in several(&statement["Action"]) {
                    let action = action.as_str().unwrap();
                    assert!(
                        ABOUT_EVERYTHING.contains(&(function, action))
                            || BY_LAMBDA_ITSELF.contains(&action)
                            || OF_TRACES.contains(&action),
                        "{function}: {action}"
                    );
                }
            }
        }
    }
    let of_functions = FUNCTIONS.map(|function| format!("{function}Role"));
    for (name, role) in template.resources_of("AWS::IAM::Role") {
        let is_read_above = of_functions.iter().any(|role| role == name);
        assert!(
            is_read_above || !role.to_string().contains("\"Resource\":\"*\""),
            "{name}"
        );
    }
}

#[test]
fn the_network_interfaces_are_lambdas_and_out_of_reach_for_the_functions() {
    let template = Template::read();
    let statements = &template.resource("JoinVpc")["PolicyDocument"]["Statement"];
    assert_eq!(statements[0]["Action"], json!(BY_LAMBDA_ITSELF));
    let denied = &statements[1];
    assert_eq!(
        (&denied["Effect"], &denied["Action"], &denied["Resource"]),
        (&json!("Deny"), &json!("ec2:*"), &json!("*"))
    );
    let ours = "arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:function:${AWS::StackName}-*";
    assert_eq!(
        denied["Condition"]["ArnLike"]["lambda:SourceFunctionArn"],
        json!({ "Fn::Sub": ours })
    );
}

#[test]
fn traces_are_sent_where_tracing_is_active_and_by_our_own_policy() {
    let template = Template::read();
    assert_eq!(template.at("/Globals/Function/Tracing"), &reference("Tracing"));
    assert_eq!(template.at("/Parameters/Tracing/Default"), "PassThrough");
    assert_eq!(template.at("/Resources/Trace/Condition"), "Traced");
    let statement = &template.resource("Trace")["PolicyDocument"]["Statement"][0];
    assert_eq!(statement["Action"], json!(OF_TRACES));
}
