//! What functions may do: all that their code asks of AWS, and nothing that the design forbids. The emulator refuses
//! nothing, so a missing permission would show in AWS alone.

use super::Template;
use super::document::{attribute, reference, several};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Statements about everything, each because AWS has no resource to name for its action.
const ABOUT_EVERYTHING: [(&str, &str); 2] = [
    ("Operator", "lambda:ListEventSourceMappings"),
    ("Reaper", "lambda:ListEventSourceMappings"),
];
const QUEUES: [&str; 2] = ["Batches", "BatchesPriority"];
const DEAD_LETTER_QUEUES: [&str; 2] = ["BatchesDeadLetters", "BatchesPriorityDeadLetters"];

/// A function's statements, those that it shares with all others too.
fn statements<'a>(template: &'a Template, function: &str) -> Vec<&'a Value> {
    let mut statements = Vec::new();
    for policy in several(&template.resource(function)["Policies"]) {
        match policy["Ref"].as_str() {
            Some(shared) => {
                statements.extend(several(&template.resource(shared)["PolicyDocument"]["Statement"]))
            }
            None => statements.extend(several(&policy["Statement"])),
        }
    }
    // `!If [condition, statement, nothing]`.
    let meant = |statement: &'a Value| statement.pointer("/Fn::If/1").unwrap_or(statement);
    statements.into_iter().map(meant).collect()
}

/// The function's own statements, with the conditions under which it has them.
fn statements_as_written<'a>(template: &'a Template, function: &str) -> Vec<&'a Value> {
    let policies = several(&template.resource(function)["Policies"]).into_iter();
    policies
        .flat_map(|policy| several(&policy["Statement"]))
        .collect()
}

fn may(template: &Template, function: &str, action: &str, resource: &Value) -> bool {
    statements(template, function).into_iter().any(|statement| {
        statement["Effect"] == "Allow"
            && several(&statement["Action"]).contains(&&json!(action))
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

#[test]
fn every_function_may_do_what_its_code_asks_of_aws() {
    let template = Template::read();
    let objects = json!({ "Fn::Sub": "${Archive.Arn}/${Prefix}/*" });
    let bucket = attribute("Archive", "Arn");
    let mut needed: Vec<(&str, &str, Value)> = Vec::new();
    for queue in QUEUES.map(|queue| attribute(queue, "Arn")) {
        for function in ["Harvester", "Reaper"] {
            needed.push((function, "sqs:SendMessage", queue.clone()));
        }
        for action in [
            "sqs:ReceiveMessage",
            "sqs:DeleteMessage",
            "sqs:ChangeMessageVisibility",
        ] {
            needed.push(("Exporter", action, queue.clone()));
        }
        for function in ["Exporter", "Reaper", "Operator"] {
            needed.push((function, "sqs:GetQueueAttributes", queue.clone()));
        }
    }
    for queue in QUEUES.map(|queue| attribute(queue, "Arn")) {
        for action in ["sqs:SendMessage", "sqs:PurgeQueue"] {
            needed.push(("Operator", action, queue.clone()));
        }
    }
    for queue in DEAD_LETTER_QUEUES.map(|queue| attribute(queue, "Arn")) {
        // Moving dead letters back is receiving and deleting for SQS itself, too, in the name of who asks for it.
        for action in [
            "sqs:GetQueueAttributes",
            "sqs:PurgeQueue",
            "sqs:ReceiveMessage",
            "sqs:DeleteMessage",
            "sqs:StartMessageMoveTask",
            "sqs:ListMessageMoveTasks",
        ] {
            needed.push(("Operator", action, queue.clone()));
        }
    }
    for schedule in ["harvester", "reaper"].map(schedule) {
        for action in ["scheduler:GetSchedule", "scheduler:UpdateSchedule"] {
            needed.push(("Operator", action, schedule.clone()));
        }
    }
    needed.push(("Operator", "iam:PassRole", attribute("ClockRole", "Arn")));
    for function in ["Operator", "Reaper"] {
        needed.push((function, "lambda:ListEventSourceMappings", json!("*")));
    }
    let exporter = attribute("Exporter", "Arn");
    needed.push(("Reaper", "lambda:GetFunctionConcurrency", exporter));
    for action in ["s3:PutObject", "s3:GetObject", "s3:AbortMultipartUpload"] {
        needed.push(("Exporter", action, objects.clone()));
    }
    for action in ["s3:GetObject", "s3:DeleteObject", "s3:AbortMultipartUpload"] {
        needed.push(("Reaper", action, objects.clone()));
    }
    needed.push(("Operator", "s3:GetObject", objects.clone()));
    for function in ["Reaper", "Operator"] {
        needed.push((function, "s3:ListBucketMultipartUploads", bucket.clone()));
    }
    // Who makes batches has their numbers on record in the archive first.
    for function in ["Harvester", "Reaper", "Operator"] {
        for action in ["s3:GetObject", "s3:PutObject"] {
            needed.push((function, action, number_mark()));
        }
    }
    for function in ["Harvester", "Exporter", "Reaper", "Operator"] {
        // Without it, what isn't there is answered with 403 and looks like a defect.
        needed.push((function, "s3:ListBucket", bucket.clone()));
    }
    needed.push(("Reaper", "sns:Publish", reference("Alerts")));
    needed.push(("Operator", "sns:GetTopicAttributes", reference("Alerts")));
    for (function, action, resource) in needed {
        assert!(
            may(&template, function, action, &resource),
            "{function} may not {action} on {resource}"
        );
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
    let schedules: Vec<Value> = ["harvester", "reaper"].map(schedule).into();
    assert_eq!(
        statement("scheduler:UpdateSchedule")["Resource"],
        json!(schedules)
    );
    assert_eq!(
        statement("iam:PassRole")["Condition"]["StringEquals"]["iam:PassedToService"],
        "scheduler.amazonaws.com"
    );
    for action in ["lambda:GetEventSourceMapping", "lambda:UpdateEventSourceMapping"] {
        assert_eq!(
            statement(action)["Condition"]["ArnLike"]["lambda:FunctionArn"],
            attribute("Exporter", "Arn"),
            "{action}"
        );
    }
}

/// The ARN of the schedule that starts a function, by the name that the function's event gives it.
fn schedule(function: &str) -> Value {
    let group = "arn:${AWS::Partition}:scheduler:${AWS::Region}:${AWS::AccountId}:schedule/${Clock}";
    json!({ "Fn::Sub": format!("{group}/${{AWS::StackName}}-{function}") })
}

/// Where the archive has on record how far batch numbers go.
fn number_mark() -> Value {
    json!({ "Fn::Sub": "${Archive.Arn}/${Prefix}/source=${SourceName}/_ledger/batch-numbers.json" })
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
fn secrets_can_be_read_wherever_they_are_named() {
    let template = Template::read();
    for (name, _) in template.at("/Parameters").as_object().expect("it has parameters") {
        if name.ends_with("SecretArn") {
            for (function, _) in template.functions() {
                let of_parameter = reference(name);
                let may_read = may(
                    &template,
                    function,
                    "secretsmanager:GetSecretValue",
                    &of_parameter,
                );
                assert!(may_read, "{function} may not read {name}");
            }
        }
    }
}

#[test]
fn no_statement_is_about_everything_but_those_that_can_be_about_nothing_else() {
    let template = Template::read();
    for (function, _) in template.functions() {
        for statement in statements(&template, function) {
            if several(&statement["Resource"]).contains(&&json!("*")) {
                for action in several(&statement["Action"]) {
                    let action = action.as_str().unwrap();
                    assert!(
                        ABOUT_EVERYTHING.contains(&(function, action)),
                        "{function}: {action}"
                    );
                }
            }
        }
    }
    for (name, role) in template.resources_of("AWS::IAM::Role") {
        assert!(!role.to_string().contains("\"Resource\":\"*\""), "{name}");
    }
}
