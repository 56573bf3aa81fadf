//! What the functions are granted, in the template that SAM makes of ours: exactly what is listed here, each with its reason.
//!
//! A reason is the place in the code that asks AWS, or, where AWS asks in a function's name, a sentence. Whether a scenario takes
//! each of these ways is not looked at here.

use super::Template;
use super::document::{checkout, several};
use super::permissions::statements;
use Why::{Because, Call};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Why an action is needed.
#[derive(Debug, Clone, Copy)]
enum Why {
    /// A file has this request of the SDK.
    Call(&'static str, &'static str),
    /// AWS itself does it for the function, or judges by it.
    Because(&'static str),
}

/// On what, which action, and why.
type Need = (&'static [&'static str], &'static str, Why);

const OBJECTS: &[&str] = &["${Archive.Arn}/${Prefix}/*"];
const MARK: &[&str] = &["${Archive.Arn}/${Prefix}/source=${SourceName}/_ledger/batch-numbers.json"];
const BUCKET: &[&str] = &["Archive.Arn"];
const QUEUES: &[&str] = &["Batches.Arn", "BatchesPriority.Arn"];
const DEAD_LETTERS: &[&str] = &["BatchesDeadLetters.Arn", "BatchesPriorityDeadLetters.Arn"];
const SCHEDULES: &[&str] = &[
    "arn:${AWS::Partition}:scheduler:${AWS::Region}:${AWS::AccountId}:schedule/${HarvesterClock}/${AWS::StackName}-harvester-tick",
    "arn:${AWS::Partition}:scheduler:${AWS::Region}:${AWS::AccountId}:schedule/${ReaperClock}/${AWS::StackName}-reaper-tick",
];
const TRIGGERS: &[&str] = &[
    "arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:event-source-mapping:${ExporterBatches}",
    "arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:event-source-mapping:${ExporterBatchesPriority}",
];

const SECRET: Why = Call("shared/environment/src/secret.rs", "get_secret_value");
const READS_MARK: Why = Call("shared/archive/src/number_mark.rs", "get_object");
const WRITES_MARK: Why = Call("shared/archive/src/number_mark.rs", "put_object");
const READS_OBJECT: Why = Call("shared/archive/src/read.rs", "get_object");
const SENDS: Why = Call("shared/handoff/src/handoff.rs", "send_message_batch");
const COUNTS_MESSAGES: Why = Call("shared/handoff/src/handoff.rs", "get_queue_attributes");
const LISTS_OBJECTS: Why = Call("shared/archive/src/listing.rs", "list_objects_v2");
const LISTS_UPLOADS: Why = Call("shared/archive/src/listing.rs", "list_multipart_uploads");
const LISTS_TRIGGERS: Why = Call(
    "shared/switchboard/src/consumers.rs",
    "list_event_source_mappings",
);
const DELETES: Why = Call("shared/archive/src/listing.rs", "delete_object");
const ABORTS: Why = Call("shared/archive/src/listing.rs", "abort_multipart_upload");
const MISSING: Why = Because("without it, S3 answers 403 for an object that isn't there");
const ENCRYPTS: Why = Because("S3, SQS and SNS encrypt in the function's name");
const DECRYPTS: Why = Because("S3, SQS, SNS and Lambda decrypt in the function's name");
const POLLS: Why = Because("Lambda polls the queue in the exporter's name");
const MOVES: Why = Because("SQS moves dead letters in the name of the role that starts the move");
const BEFORE_THE_CODE: Why = Because("Lambda connects the function to the VPC; the code is denied it");
const TRACES: Why = Because("Lambda's runtime sends traces in the function's name; no resource to name");
const LOGS: Why = Because("Lambda writes the function's log in its name");

/// What all functions need.
const EACH: &[Need] = &[
    (
        &[
            "EsSecretArn",
            "EsCaSecretArn",
            "LedgerSecretArn",
            "LedgerCaSecretArn",
        ],
        "secretsmanager:GetSecretValue",
        SECRET,
    ),
    (&["KmsKeyArn", "SecretsKmsKeyArn"], "kms:Decrypt", DECRYPTS),
    (&["KmsKeyArn"], "kms:GenerateDataKey", ENCRYPTS),
    (&["*"], "xray:PutTraceSegments", TRACES),
    (&["*"], "xray:PutTelemetryRecords", TRACES),
    (&["*"], "ec2:CreateNetworkInterface", BEFORE_THE_CODE),
    (&["*"], "ec2:DescribeNetworkInterfaces", BEFORE_THE_CODE),
    (&["*"], "ec2:DescribeSubnets", BEFORE_THE_CODE),
    (&["*"], "ec2:DeleteNetworkInterface", BEFORE_THE_CODE),
    (&["*"], "ec2:AssignPrivateIpAddresses", BEFORE_THE_CODE),
    (&["*"], "ec2:UnassignPrivateIpAddresses", BEFORE_THE_CODE),
    (BUCKET, "s3:ListBucket", MISSING),
];

const HARVESTER: &[Need] = &[
    (&["HarvesterLog.Arn"], "logs:CreateLogStream", LOGS),
    (&["HarvesterLog.Arn"], "logs:PutLogEvents", LOGS),
    (QUEUES, "sqs:SendMessage", SENDS),
    (MARK, "s3:GetObject", READS_MARK),
    (MARK, "s3:PutObject", WRITES_MARK),
];

const EXPORTER: &[Need] = &[
    (&["ExporterLog.Arn"], "logs:CreateLogStream", LOGS),
    (&["ExporterLog.Arn"], "logs:PutLogEvents", LOGS),
    (
        OBJECTS,
        "s3:PutObject",
        Call("shared/archive/src/put.rs", "put_object"),
    ),
    (
        OBJECTS,
        "s3:GetObject",
        Call("shared/archive/src/look.rs", "head_object"),
    ),
    (OBJECTS, "s3:AbortMultipartUpload", ABORTS),
    (QUEUES, "sqs:ReceiveMessage", POLLS),
    (QUEUES, "sqs:DeleteMessage", POLLS),
    (QUEUES, "sqs:GetQueueAttributes", POLLS),
    (
        QUEUES,
        "sqs:ChangeMessageVisibility",
        Call("shared/handoff/src/handoff.rs", "change_message_visibility"),
    ),
];

const REAPER: &[Need] = &[
    (&["ReaperLog.Arn"], "logs:CreateLogStream", LOGS),
    (&["ReaperLog.Arn"], "logs:PutLogEvents", LOGS),
    (
        &["Alerts"],
        "sns:Publish",
        Call("shared/alert/src/publisher.rs", "publish"),
    ),
    (QUEUES, "sqs:SendMessage", SENDS),
    (QUEUES, "sqs:GetQueueAttributes", COUNTS_MESSAGES),
    (&["*"], "lambda:ListEventSourceMappings", LISTS_TRIGGERS),
    (
        &["Exporter.Arn"],
        "lambda:GetFunctionConcurrency",
        Call("shared/switchboard/src/consumers.rs", "get_function_concurrency"),
    ),
    (OBJECTS, "s3:GetObject", READS_OBJECT),
    (
        OBJECTS,
        "s3:DeleteObject",
        Call("shared/archive/src/remove.rs", "delete_object"),
    ),
    (OBJECTS, "s3:AbortMultipartUpload", ABORTS),
    (MARK, "s3:GetObject", READS_MARK),
    (MARK, "s3:PutObject", WRITES_MARK),
    (BUCKET, "s3:ListBucket", LISTS_OBJECTS),
    (BUCKET, "s3:ListBucketMultipartUploads", LISTS_UPLOADS),
    (&["SeedEsSecretArn"], "secretsmanager:GetSecretValue", SECRET),
];

const OPERATOR: &[Need] = &[
    (&["OperatorLog.Arn"], "logs:CreateLogStream", LOGS),
    (&["OperatorLog.Arn"], "logs:PutLogEvents", LOGS),
    (QUEUES, "sqs:SendMessage", SENDS),
    (QUEUES, "sqs:GetQueueAttributes", COUNTS_MESSAGES),
    (
        QUEUES,
        "sqs:PurgeQueue",
        Call("shared/handoff/src/emptying.rs", "purge_queue"),
    ),
    (DEAD_LETTERS, "sqs:ReceiveMessage", MOVES),
    (DEAD_LETTERS, "sqs:DeleteMessage", MOVES),
    (DEAD_LETTERS, "sqs:GetQueueAttributes", COUNTS_MESSAGES),
    (
        DEAD_LETTERS,
        "sqs:PurgeQueue",
        Call("shared/handoff/src/emptying.rs", "purge_queue"),
    ),
    (
        DEAD_LETTERS,
        "sqs:StartMessageMoveTask",
        Call("shared/handoff/src/redrive.rs", "start_message_move_task"),
    ),
    (
        DEAD_LETTERS,
        "sqs:ListMessageMoveTasks",
        Call("shared/handoff/src/redrive.rs", "list_message_move_tasks"),
    ),
    (OBJECTS, "s3:GetObject", READS_OBJECT),
    // Where test messages may be seeded.
    (OBJECTS, "s3:DeleteObject", DELETES),
    (MARK, "s3:GetObject", READS_MARK),
    (MARK, "s3:PutObject", WRITES_MARK),
    (BUCKET, "s3:ListBucket", LISTS_OBJECTS),
    (BUCKET, "s3:ListBucketMultipartUploads", LISTS_UPLOADS),
    (
        SCHEDULES,
        "scheduler:GetSchedule",
        Call("shared/switchboard/src/schedules.rs", "get_schedule"),
    ),
    (
        SCHEDULES,
        "scheduler:UpdateSchedule",
        Call("shared/switchboard/src/schedules.rs", "update_schedule"),
    ),
    (
        &["ClockRole.Arn"],
        "iam:PassRole",
        Because("updating a schedule names its role again"),
    ),
    (
        &["Alerts"],
        "sns:GetTopicAttributes",
        Call("shared/alert/src/publisher.rs", "get_topic_attributes"),
    ),
    (&["*"], "lambda:ListEventSourceMappings", LISTS_TRIGGERS),
    (
        TRIGGERS,
        "lambda:GetEventSourceMapping",
        Call("shared/switchboard/src/consumers.rs", "get_event_source_mapping"),
    ),
    (
        TRIGGERS,
        "lambda:UpdateEventSourceMapping",
        Call(
            "shared/switchboard/src/consumers.rs",
            "update_event_source_mapping",
        ),
    ),
    (
        &["TokensSecretArn", "SeedEsSecretArn"],
        "secretsmanager:GetSecretValue",
        SECRET,
    ),
];

const FUNCTIONS: [(&str, &[Need]); 4] = [
    ("Harvester", HARVESTER),
    ("Exporter", EXPORTER),
    ("Reaper", REAPER),
    ("Operator", OPERATOR),
];

/// A resource in a policy: `Batches.Arn`, `KmsKeyArn`, or the text of a `Fn::Sub`.
fn name_of(resource: &Value) -> String {
    let attribute = resource["Fn::GetAtt"].as_array().map(|path| {
        let parts: Vec<_> = path.iter().filter_map(Value::as_str).collect();
        parts.join(".")
    });
    let text = [resource, &resource["Ref"], &resource["Fn::Sub"]]
        .into_iter()
        .find_map(Value::as_str);
    attribute
        .or_else(|| text.map(str::to_owned))
        .unwrap_or_else(|| panic!("{resource} is named otherwise than this test thinks"))
}

#[test]
fn functions_are_granted_what_they_need_and_nothing_else() {
    let template = Template::transformed();
    for (function, needs) in FUNCTIONS {
        let needed: BTreeSet<(String, String)> = EACH
            .iter()
            .chain(needs)
            .flat_map(|(resources, action, _)| {
                resources
                    .iter()
                    .map(|on| ((*action).to_owned(), (*on).to_owned()))
            })
            .collect();
        let mut granted = BTreeSet::new();
        for statement in statements(&template, function) {
            for action in several(&statement["Action"]) {
                let action = action.as_str().expect("an action is a text");
                granted.extend(
                    several(&statement["Resource"])
                        .into_iter()
                        .map(|on| (action.to_owned(), name_of(on))),
                );
            }
        }
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
        for (_, action, why) in EACH.iter().chain(needs) {
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
