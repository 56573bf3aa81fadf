//! The bucket: nobody reads it who shouldn't, and what a dead exporter began doesn't stay for ever.

use super::Template;
use super::document::{attribute, reference, several};
use serde_json::{Value, json};

#[test]
fn the_archive_is_closed_to_the_public_and_to_plain_http() {
    let template = Template::read();
    let bucket = template.resource("Archive");
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
fn no_current_object_in_the_archive_expires_and_it_outlives_the_stack() {
    let template = Template::read();
    let rules = &template.resource("Archive")["LifecycleConfiguration"]["Rules"];
    for rule in several(rules) {
        for expiry in ["ExpirationInDays", "ExpirationDate", "Transitions", "Transition"] {
            assert!(rule[expiry].is_null(), "{rule}");
        }
    }
    // A first deployment that fails leaves no bucket behind, whose name the next one needs.
    for (policy, keeps) in [
        ("DeletionPolicy", "RetainExceptOnCreate"),
        ("UpdateReplacePolicy", "Retain"),
    ] {
        assert_eq!(
            template.at(&format!("/Resources/Archive/{policy}")),
            keeps,
            "{policy}"
        );
    }
}

/// A name of ours would be taken when the stack is deployed a second time: the bucket outlives it.
#[test]
fn the_bucket_has_no_fixed_name_and_is_not_created_where_one_is_given() {
    let template = Template::read();
    assert_eq!(template.resource("Archive")["BucketName"], Value::Null);
    for resource in ["Archive", "ArchivePolicy"] {
        assert_eq!(
            template.at(&format!("/Resources/{resource}/Condition")),
            "MakesArchive",
            "{resource}"
        );
    }
    let given = json!({ "Fn::Equals": [reference("ArchiveBucketName"), ""] });
    assert_eq!(template.at("/Conditions/MakesArchive"), &given);
    let bucket = json!({ "Fn::If": ["MakesArchive", reference("Archive"), reference("ArchiveBucketName")] });
    for pointer in [
        "/Globals/Function/Environment/Variables/GRANARY_BUCKET",
        "/Outputs/BucketName/Value",
    ] {
        assert_eq!(template.at(pointer), &bucket, "{pointer}");
    }
}

#[test]
fn what_is_deleted_can_be_had_back_for_as_long_as_the_parameter_says() {
    let template = Template::read();
    let bucket = template.resource("Archive");
    assert_eq!(bucket["VersioningConfiguration"]["Status"], "Enabled");
    let rules = several(&bucket["LifecycleConfiguration"]["Rules"]);
    let expiry = rules
        .iter()
        .find_map(|rule| rule["NoncurrentVersionExpiration"].get("NoncurrentDays"));
    assert_eq!(expiry, Some(&reference("NoncurrentVersionDays")));
    assert!(template.number(&reference("NoncurrentVersionDays")) >= 7);
}

/// The bucket's own policy, so that a role that is given more one day can do no more here.
#[test]
fn the_bucket_denies_deletions_to_every_role_but_the_reapers_and_final_ones_to_all() {
    let template = Template::read();
    let statements = &template.resource("ArchivePolicy")["PolicyDocument"]["Statement"];
    let of = |sid: &str| -> &Value {
        let statements = several(statements);
        let statement = statements.into_iter().find(|statement| statement["Sid"] == sid);
        let statement = statement.unwrap_or_else(|| panic!("there is no statement {sid}"));
        assert_eq!(statement["Effect"], "Deny");
        statement
    };
    let others = of("OthersDeleteNothing");
    assert_eq!(others["Action"], "s3:Delete*");
    let role = |function: &str| attribute(&format!("{function}Role"), "Arn");
    let unless_seeding = json!({"Fn::If": ["SeedingAllowed", reference("AWS::NoValue"), role("Operator")]});
    assert_eq!(
        others["Principal"]["AWS"],
        json!([
            role("Migrator"),
            role("Harvester"),
            role("Exporter"),
            unless_seeding
        ])
    );
    let nobody = of("NobodyDeletesForGood");
    let roles: Vec<Value> = template
        .functions()
        .iter()
        .map(|(function, _)| role(function))
        .collect();
    let denied = several(&nobody["Principal"]["AWS"]);
    assert!(roles.iter().all(|role| denied.contains(&role)), "{nobody}");
    for action in [
        "s3:DeleteObjectVersion",
        "s3:DeleteBucketPolicy",
        "s3:PutBucketPolicy",
        "s3:PutBucketVersioning",
        "s3:PutLifecycleConfiguration",
    ] {
        assert!(several(&nobody["Action"]).contains(&&json!(action)), "{action}");
    }
    for statement in [others, nobody] {
        let archive = attribute("Archive", "Arn");
        assert!(several(&statement["Resource"]).contains(&&archive), "{statement}");
    }
}
