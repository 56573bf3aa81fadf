//! What each function needs of AWS, and why: the one list that grants are held against, and recorded requests.

use Why::{Because, Call};

/// Why an action is needed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Why {
    /// A file has this request of the SDK, and a scenario has it sent.
    Call(&'static str, &'static str),
    /// AWS itself does it for the function, or judges by it: no scenario has to.
    Because(&'static str),
}

/// On what, which action, and why.
pub(crate) type Need = (&'static [&'static str], &'static str, Why);

pub(crate) const OBJECTS: &[&str] =
    &["arn:${AWS::Partition}:s3:::${Bucket}/${Prefix}/source=${SourceName}/*"];
pub(crate) const MARK: &[&str] =
    &["arn:${AWS::Partition}:s3:::${Bucket}/${Prefix}/source=${SourceName}/_ledger/batch-numbers.json"];
pub(crate) const BUCKET: &[&str] = &["arn:${AWS::Partition}:s3:::${Bucket}"];
pub(crate) const QUEUES: &[&str] = &["Batches.Arn", "BatchesPriority.Arn"];
pub(crate) const DEAD_LETTERS: &[&str] = &["BatchesDeadLetters.Arn", "BatchesPriorityDeadLetters.Arn"];
const SCHEDULES: &[&str] = &[
    "arn:${AWS::Partition}:scheduler:${AWS::Region}:${AWS::AccountId}:schedule/${HarvesterClock}/${AWS::StackName}-harvester-run",
    "arn:${AWS::Partition}:scheduler:${AWS::Region}:${AWS::AccountId}:schedule/${ReaperClock}/${AWS::StackName}-reaper-run",
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
        &["LedgerSecretArn", "LedgerCaSecretArn"],
        "secretsmanager:GetSecretValue",
        SECRET,
    ),
    (&["KmsKeyArn", "SecretsKmsKeyArn"], "kms:Decrypt", DECRYPTS),
    (&["*"], "xray:PutTraceSegments", TRACES),
    (&["*"], "xray:PutTelemetryRecords", TRACES),
    (&["*"], "ec2:CreateNetworkInterface", BEFORE_THE_CODE),
    (&["*"], "ec2:DescribeNetworkInterfaces", BEFORE_THE_CODE),
    (&["*"], "ec2:DescribeSubnets", BEFORE_THE_CODE),
    (&["*"], "ec2:DeleteNetworkInterface", BEFORE_THE_CODE),
    (&["*"], "ec2:AssignPrivateIpAddresses", BEFORE_THE_CODE),
    (&["*"], "ec2:UnassignPrivateIpAddresses", BEFORE_THE_CODE),
];

/// What those need that have messages in hand: all but the migrator.
const OF_MESSAGES: &[Need] = &[
    (
        &["EsSecretArn", "EsCaSecretArn"],
        "secretsmanager:GetSecretValue",
        SECRET,
    ),
    (&["KmsKeyArn"], "kms:GenerateDataKey", ENCRYPTS),
    (BUCKET, "s3:ListBucket", MISSING),
];

const MIGRATOR: &[Need] = &[
    (&["MigratorLog.Arn"], "logs:CreateLogStream", LOGS),
    (&["MigratorLog.Arn"], "logs:PutLogEvents", LOGS),
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
        &["Migrator.Arn"],
        "lambda:InvokeFunction",
        Call("shared/switchboard/src/migrator.rs", "invoke"),
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

/// Each function, and the tables that have its needs.
pub(crate) const FUNCTIONS: [(&str, &[&[Need]]); 5] = [
    ("Migrator", &[EACH, MIGRATOR]),
    ("Harvester", &[EACH, OF_MESSAGES, HARVESTER]),
    ("Exporter", &[EACH, OF_MESSAGES, EXPORTER]),
    ("Reaper", &[EACH, OF_MESSAGES, REAPER]),
    ("Operator", &[EACH, OF_MESSAGES, OPERATOR]),
];

/// Requests in the code that no scenario has sent: function, action, and why none has. With each of them the table above
/// trusts the text of the code alone.
pub(crate) const UNRECORDED: &[(&str, &str, &str)] = &[
    (
        "Reaper",
        "s3:AbortMultipartUpload",
        "a sweep leaves uploads of the last hour, and no server lets a test make an older one; tests/scenarios/sweep.rs aborts some \
         in the process of the test",
    ),
    (
        "Operator",
        "sqs:ListMessageMoveTasks",
        "the emulator moves no messages by itself, so there is no task to list",
    ),
    (
        "Operator",
        "s3:DeleteObject",
        "for seeded messages alone, which the deployed operator removes: the record has no deployed functions",
    ),
];
