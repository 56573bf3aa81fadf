//! Encryption at rest: everything that holds data or settings is under the key that a parameter names.

use super::Template;
use super::document::reference;
use super::policies::statements;
use serde_json::{Value, json};

/// `!If [HasKmsKey, with, without]`.
fn with_key(with: &Value, without: &Value) -> Value {
    json!({ "Fn::If": ["HasKmsKey", with, without] })
}

/// The key of the parameter; without one, none is named.
fn key() -> Value {
    with_key(&reference("KmsKeyArn"), &reference("AWS::NoValue"))
}

#[test]
fn every_queue_topic_and_log_is_under_the_key_of_the_parameter() {
    let template = Template::read();
    for (resource_type, property) in [
        ("AWS::SQS::Queue", "KmsMasterKeyId"),
        ("AWS::SNS::Topic", "KmsMasterKeyId"),
        ("AWS::Logs::LogGroup", "KmsKeyId"),
    ] {
        let resources = template.resources_of(resource_type);
        assert!(!resources.is_empty(), "{resource_type}");
        for (name, properties) in resources {
            assert_eq!(properties[property], key(), "{name}");
        }
    }
    assert_eq!(template.at("/Globals/Function/KmsKeyArn"), &key());
    for (name, properties) in template.functions() {
        assert!(properties["KmsKeyArn"].is_null(), "{name}");
    }
}

/// SQS takes one of the two.
#[test]
fn a_queue_without_a_key_is_encrypted_by_sqs_itself() {
    let template = Template::read();
    for (name, properties) in template.resources_of("AWS::SQS::Queue") {
        let by_sqs = with_key(&json!(false), &json!(true));
        assert_eq!(properties["SqsManagedSseEnabled"], by_sqs, "{name}");
    }
}

#[test]
fn the_archive_is_under_the_key_and_asks_kms_once_for_many_objects() {
    let template = Template::read();
    let rule = &template.resource("Archive")["BucketEncryption"]["ServerSideEncryptionConfiguration"][0];
    let by_default = &rule["ServerSideEncryptionByDefault"];
    assert_eq!(
        by_default["SSEAlgorithm"],
        with_key(&json!("aws:kms"), &json!("AES256"))
    );
    assert_eq!(by_default["KMSMasterKeyID"], key());
    assert_eq!(
        rule["BucketKeyEnabled"],
        with_key(&json!(true), &reference("AWS::NoValue"))
    );
}

/// Each function encrypts for the services that it writes to. Decrypting is shared: the services ask in a function's name.
#[test]
fn keys_are_used_by_the_services_of_the_stack_alone_and_no_function_encrypts_for_more_than_it_writes_to() {
    let template = Template::read();
    let by = |services: &[&str]| -> Value {
        let service =
            |name: &&str| json!({ "Fn::Sub": format!("{name}.${{AWS::Region}}.${{AWS::URLSuffix}}") });
        services.iter().map(service).collect()
    };
    for (function, writes_to) in [
        ("Harvester", ["s3", "sqs"].as_slice()),
        ("Exporter", &["s3"]),
        ("Reaper", &["s3", "sqs", "sns"]),
        ("Operator", &["s3", "sqs"]),
    ] {
        let of_keys: Vec<_> = statements(&template, function)
            .into_iter()
            .filter(|statement| statement["Action"].to_string().contains("kms:"))
            .map(|statement| {
                let by = &statement["Condition"]["StringEquals"]["kms:ViaService"];
                (&statement["Action"], &statement["Resource"], by)
            })
            .collect();
        let (encrypt, decrypt) = (json!("kms:GenerateDataKey"), json!("kms:Decrypt"));
        let (key, of_secrets) = (reference("KmsKeyArn"), reference("SecretsKmsKeyArn"));
        let by_secrets_manager = json!({ "Fn::Sub": "secretsmanager.${AWS::Region}.${AWS::URLSuffix}" });
        assert_eq!(
            of_keys,
            [
                (&encrypt, &key, &by(writes_to)),
                (&decrypt, &of_secrets, &by_secrets_manager),
                (&decrypt, &key, &by(&["lambda", "s3", "sns", "sqs"])),
            ],
            "{function}"
        );
    }
}

/// It writes nowhere but to the ledger.
#[test]
fn the_migrator_uses_keys_for_its_environment_and_its_secrets_alone() {
    let template = Template::read();
    let services: Vec<&Value> = statements(&template, "Migrator")
        .into_iter()
        .filter(|statement| statement["Action"] == "kms:Decrypt")
        .map(|statement| &statement["Condition"]["StringEquals"]["kms:ViaService"]["Fn::Sub"])
        .collect();
    assert_eq!(
        services,
        [
            "secretsmanager.${AWS::Region}.${AWS::URLSuffix}",
            "lambda.${AWS::Region}.${AWS::URLSuffix}"
        ]
    );
}

/// Each says why, beside the resource that it is about.
#[test]
fn every_skipped_check_has_its_reason_beside_it() {
    let template = Template::read();
    let resources = template.at("/Resources").as_object().expect("it has resources");
    let mut skips = 0;
    for (name, resource) in resources {
        for skip in resource["Metadata"]["checkov"]["skip"]
            .as_array()
            .into_iter()
            .flatten()
        {
            skips += 1;
            let comment = skip["comment"].as_str().unwrap_or_default();
            assert!(comment.ends_with('.'), "{name}: {skip}");
        }
    }
    assert!(
        skips > 0,
        "checkov skips are written otherwise than this test thinks"
    );
}
