//! The bucket: nobody reads it who shouldn't, and what a dead exporter began doesn't stay for ever.

use super::Template;
use super::document::several;
use serde_json::json;

#[test]
fn the_archive_is_encrypted_closed_to_the_public_and_to_plain_http() {
    let template = Template::read();
    let bucket = template.resource("Archive");
    let encryption = &bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"][0];
    assert!(encryption["ServerSideEncryptionByDefault"]["SSEAlgorithm"].is_string());
    assert_eq!(
        bucket["PublicAccessBlockConfiguration"],
        json!({
            "BlockPublicAcls": true, "BlockPublicPolicy": true,
            "IgnorePublicAcls": true, "RestrictPublicBuckets": true,
        })
    );
    let statements = &template.resource("ArchivePolicy")["PolicyDocument"]["Statement"];
    let refuses_plain_http = several(statements).into_iter().any(|statement| {
        statement["Effect"] == "Deny" && statement["Condition"]["Bool"]["aws:SecureTransport"] == "false"
    });
    assert!(refuses_plain_http);
}

#[test]
fn uploads_that_nobody_will_complete_are_aborted() {
    let template = Template::read();
    let rules = &template.resource("Archive")["LifecycleConfiguration"]["Rules"];
    let aborts = several(rules).into_iter().any(|rule| {
        rule["Status"] == "Enabled"
            && rule["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"]
                .as_u64()
                .is_some()
    });
    assert!(aborts);
}

#[test]
fn nothing_in_the_archive_expires_and_it_outlives_the_stack() {
    let template = Template::read();
    let rules = &template.resource("Archive")["LifecycleConfiguration"]["Rules"];
    for rule in several(rules) {
        for expiry in [
            "ExpirationInDays",
            "ExpirationDate",
            "NoncurrentVersionExpiration",
        ] {
            assert!(rule[expiry].is_null(), "{rule}");
        }
    }
    for policy in ["DeletionPolicy", "UpdateReplacePolicy"] {
        assert_eq!(
            template.at(&format!("/Resources/Archive/{policy}")),
            "Retain",
            "{policy}"
        );
    }
}
