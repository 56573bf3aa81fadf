//! The parameters: described, in groups, and checked before a resource is created.

use super::Template;
use serde_json::Value;
use std::collections::BTreeMap;

/// Parameters without a pattern: names that Elasticsearch allows, JSON, PEM, lists of a VPC, the emulator's tokens.
const FREE: [&str; 10] = [
    "EsCa",
    "JwtAudience",
    "LedgerCa",
    "LogLevel",
    "MetadataSources",
    "SecurityGroupIds",
    "SourceFilter",
    "SourceIdField",
    "SubnetIds",
    "Tokens",
];

#[test]
fn every_parameter_is_described_and_belongs_to_one_group() {
    let template = Template::read();
    let groups = template.at("/Metadata/AWS::CloudFormation::Interface/ParameterGroups");
    let mut seen: BTreeMap<&str, u32> = BTreeMap::new();
    for group in groups.as_array().expect("there are groups") {
        assert!(group["Label"]["default"].is_string(), "{group}");
        for name in group["Parameters"].as_array().expect("it has parameters") {
            *seen.entry(name.as_str().unwrap()).or_default() += 1;
        }
    }
    let parameters = parameters(&template);
    for (name, parameter) in &parameters {
        assert_eq!(seen.remove(name), Some(1), "{name}");
        let text = parameter["Description"].as_str();
        let text = text.unwrap_or_else(|| panic!("{name} has no description"));
        assert!(text.ends_with('.'), "{name}: {text}");
    }
    assert!(seen.is_empty(), "{seen:?}");
}

#[test]
fn every_parameter_that_can_be_checked_is_and_says_what_it_takes() {
    let template = Template::read();
    for (name, parameter) in parameters(&template) {
        let has = |what: &str| !parameter[what].is_null();
        let is_checked = ["AllowedValues", "AllowedPattern", "MinLength", "MinValue"]
            .into_iter()
            .any(has);
        assert_eq!(is_checked, !FREE.contains(&name), "{name}");
        assert_eq!(has("AllowedPattern"), has("ConstraintDescription"), "{name}");
        assert_eq!(has("MinValue"), has("MaxValue"), "{name}");
    }
}

#[test]
fn outside_of_the_emulator_secrets_are_named_by_their_arns_and_production_has_an_alert_email() {
    let template = Template::read();
    let secrets = template.at("/Rules/SecretsByArnOutsideOfTheEmulator");
    assert_eq!(
        secrets["RuleCondition"].to_string(),
        r#"{"Fn::Not":[{"Fn::Equals":[{"Ref":"Environment"},"local"]}]}"#
    );
    let refused = secrets["Assertions"].to_string();
    assert!(
        refused.contains(r#"{"Fn::Equals":[{"Ref":"Tokens"},""]}"#),
        "{refused}"
    );
    // The secret that RDS keeps has user and password alone: the URL says where.
    assert_eq!(
        secrets["Assertions"][0]["Assert"].to_string(),
        r#"{"Fn::Or":[{"Fn::Equals":[{"Ref":"LedgerUrl"},""]},{"Fn::Not":[{"Fn::Equals":[{"Ref":"LedgerSecretArn"},""]}]}]}"#
    );
    let told = template.at("/Rules/AlertEmailInProduction/Assertions/0/Assert");
    assert_eq!(
        told.to_string(),
        r#"{"Fn::Not":[{"Fn::Equals":[{"Ref":"AlertEmail"},""]}]}"#
    );
    let tokens = template.at("/Rules/TokensInProduction");
    assert_eq!(
        tokens["RuleCondition"].to_string(),
        r#"{"Fn::And":[{"Fn::Equals":[{"Ref":"Environment"},"production"]},{"Fn::Equals":[{"Ref":"ApiAccess"},"token"]}]}"#
    );
    assert_eq!(
        tokens["Assertions"][0]["Assert"].to_string(),
        r#"{"Fn::Not":[{"Fn::Equals":[{"Ref":"TokensSecretArn"},""]}]}"#
    );
    let of_issuer = template.at("/Rules/JwtOfAnIssuer/Assertions").to_string();
    assert!(
        of_issuer.contains(r#"{"Fn::Not":[{"Fn::Equals":[{"Ref":"JwtIssuer"},""]}]}"#)
            && of_issuer.contains(r#"{"Fn::Not":[{"Fn::Contains":[{"Ref":"JwtAudience"},""]}]}"#),
        "{of_issuer}"
    );
    let ledger = template.at("/Rules/TheLedgerIsNamed/Assertions/0/Assert/Fn::Or");
    assert_eq!(ledger.as_array().map(Vec::len), Some(2), "{ledger}");
}

/// What a function would refuse when it starts, or what would leave it without a network.
#[test]
fn combinations_that_no_function_starts_with_are_refused_before_a_resource_is_created() {
    let template = Template::read();
    let of = |rule: &str| template.at(&format!("/Rules/{rule}/Assertions")).to_string();
    for (rule, parameters) in [
        ("SubnetsAndSecurityGroups", ["SubnetIds", "SecurityGroupIds"]),
        ("CertificateAuthoritiesOnce", ["EsCa", "EsCaSecretArn"]),
        ("CertificateAuthoritiesOnce", ["LedgerCa", "LedgerCaSecretArn"]),
    ] {
        let assertions = of(rule);
        for parameter in parameters {
            let named = format!(r#"{{"Ref":"{parameter}"}}"#);
            assert!(assertions.contains(&named), "{rule}: {parameter}");
        }
    }
    assert!(of("SeedingHasATarget").contains(r#"{"Fn::Not":[{"Fn::Equals":[{"Ref":"SeedEsUrl"},""]}]}"#));
}

fn parameters(template: &Template) -> Vec<(&str, &Value)> {
    let parameters = template.at("/Parameters").as_object().expect("it has parameters");
    parameters
        .iter()
        .map(|(name, parameter)| (name.as_str(), parameter))
        .collect()
}
