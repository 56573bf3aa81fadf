//! The schema of the ledger: brought up to date by one function, before all others change.

use super::Template;
use super::document::{attribute, checkout, reference, several};
use granary_ledger::db::needed_schema;
use serde_json::{Value, json};

/// The resource that has the migrator invoked.
const SCHEMA: &str = "Schema";

/// CloudFormation invokes the migrator where a property changes: for another schema, and for another ledger.
#[test]
fn a_deployment_has_the_migrator_invoked_for_a_new_schema_and_for_another_ledger() {
    let template = Template::read();
    let schema = template.resource(SCHEMA);
    assert_eq!(
        template.at("/Resources/Schema/Type"),
        "AWS::CloudFormation::CustomResource"
    );
    assert_eq!(schema["ServiceToken"], attribute("Migrator", "Arn"));
    assert_eq!(
        schema["SchemaVersion"],
        needed_schema().to_string(),
        "the newest file of shared/ledger/migrations"
    );
    for ledger in ["LedgerUrl", "LedgerSecretArn"] {
        assert_eq!(schema[ledger], reference(ledger));
    }
}

#[test]
fn every_function_but_the_migrator_is_changed_after_the_schema() {
    let template = Template::read();
    for (name, _) in template.functions() {
        let waits_for = template.at(&format!("/Resources/{name}/DependsOn"));
        let is_after = several(waits_for).contains(&&json!(SCHEMA));
        assert_eq!(is_after, name != "Migrator", "{name}");
    }
}

/// The migrator stops waiting at 80 % of its time.
#[test]
fn cloudformation_waits_for_as_long_as_the_migrator_may_take_and_no_longer() {
    let template = Template::read();
    let waits = template.number(&template.resource(SCHEMA)["ServiceTimeout"]);
    let takes = template.number(&template.resource("Migrator")["Timeout"]);
    assert_eq!((waits, takes), (900, 900));
}

/// What a deployment of an older release leaves alone, and what `sam local invoke` shows.
#[test]
fn the_sample_event_is_of_this_release() {
    let text = std::fs::read_to_string(checkout().join("events/migrator.update.json")).unwrap();
    let event: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        event["ResourceProperties"]["SchemaVersion"],
        needed_schema().to_string()
    );
}
