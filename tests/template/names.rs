//! Names that are built from the stack's: each fits its service's limit for the longest name of a stack.

use super::Template;
use super::document::checkout;
use serde_json::Value;

/// The longest name of a stack, as docs/deploy.md says.
pub(super) const STACK_NAME_CHARS_MAX: usize = 50;
/// The property that names a resource of a type, and how long the name may be.
const NAMED: [(&str, &str, usize); 12] = [
    ("AWS::Lambda::Function", "FunctionName", 64),
    ("AWS::SQS::Queue", "QueueName", 80),
    ("AWS::SNS::Topic", "TopicName", 256),
    ("AWS::S3::Bucket", "BucketName", 63),
    ("AWS::IAM::Role", "RoleName", 64),
    ("AWS::IAM::ManagedPolicy", "ManagedPolicyName", 128),
    ("AWS::Logs::LogGroup", "LogGroupName", 512),
    ("AWS::Logs::QueryDefinition", "Name", 255),
    ("AWS::CloudWatch::Alarm", "AlarmName", 255),
    ("AWS::CloudWatch::Dashboard", "DashboardName", 255),
    ("AWS::Scheduler::ScheduleGroup", "Name", 64),
    ("AWS::Scheduler::Schedule", "Name", 64),
];

/// The characters of a name, where the stack's has as many as possible.
fn chars(name: &Value) -> usize {
    let text = match (name["Ref"].as_str(), name["Fn::Sub"].as_str()) {
        (Some("AWS::StackName"), _) => "${AWS::StackName}",
        (_, Some(text)) => text,
        _ => panic!("{name} is built otherwise than this test thinks"),
    };
    let built = text
        .replace("${AWS::StackName}", &"s".repeat(STACK_NAME_CHARS_MAX))
        .replace("${AWS::Region}", "ap-southeast-1");
    assert!(
        !built.contains('$'),
        "{text} is built of more than the names of stack and region"
    );
    built.chars().count()
}

#[test]
fn every_name_fits_for_the_longest_name_of_a_stack() {
    let template = Template::transformed();
    let mut named = 0;
    for (resource_type, property, chars_max) in NAMED {
        for (resource, properties) in template.resources_of(resource_type) {
            if properties[property].is_null() {
                continue;
            }
            named += 1;
            let chars = chars(&properties[property]);
            assert!(
                chars <= chars_max,
                "{resource}: {chars} of {chars_max} characters"
            );
        }
    }
    assert!(
        named >= 20,
        "resources are named otherwise than this test thinks: {named}"
    );
    let docs = std::fs::read_to_string(checkout().join("docs/deploy.md")).unwrap();
    let bound = format!("A stack's name has {STACK_NAME_CHARS_MAX} characters at most");
    assert!(docs.contains(&bound), "docs/deploy.md lacks: {bound}");
}

/// CloudFormation gives these names of its own, which fit and are never taken.
#[test]
fn buckets_roles_policies_and_alarms_have_no_fixed_name() {
    let template = Template::transformed();
    for (resource_type, property) in [
        ("AWS::S3::Bucket", "BucketName"),
        ("AWS::IAM::Role", "RoleName"),
        ("AWS::IAM::ManagedPolicy", "ManagedPolicyName"),
        ("AWS::CloudWatch::Alarm", "AlarmName"),
    ] {
        for (resource, properties) in template.resources_of(resource_type) {
            assert!(properties[property].is_null(), "{resource}");
        }
    }
}

/// An account has its dashboards in all regions at once.
#[test]
fn the_dashboards_name_has_the_region() {
    let template = Template::transformed();
    for (dashboard, properties) in template.resources_of("AWS::CloudWatch::Dashboard") {
        let name = properties["DashboardName"]["Fn::Sub"]
            .as_str()
            .unwrap_or_default();
        assert!(name.contains("${AWS::Region}"), "{dashboard}: {name}");
    }
}
