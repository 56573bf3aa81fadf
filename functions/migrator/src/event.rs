//! What the migrator is invoked for: CloudFormation's request about the schema of a stack, or a person who asks.
//!
//! Not responsible for what is done then. An event that is neither is an error of its sender.

use anyhow::Context;
use granary_ledger::db::needed_schema;
use serde::Deserialize;
use serde_json::{Value, json};

const NOT_AN_EVENT: &str = "the event is neither CloudFormation's nor a person's";

/// Who waits for an answer.
pub(crate) enum Event {
    /// CloudFormation, at an address of its own.
    Stack(StackRequest),
    /// A person, by the operator or by hand.
    Person(Asked),
}

/// What a person says of themselves.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Asked {
    /// Who, as the API knows them.
    pub(crate) who: Option<String>,
    pub(crate) address: Option<String>,
    pub(crate) reason: Option<String>,
    pub(crate) request_id: Option<String>,
}

/// A request of CloudFormation. Its address is a secret: with it, anyone can answer.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct StackRequest {
    pub(crate) request_type: RequestType,
    #[serde(rename = "ResponseURL")]
    pub(crate) response_url: String,
    pub(crate) stack_id: String,
    pub(crate) request_id: String,
    pub(crate) logical_resource_id: String,
    /// `None`: the resource is created.
    pub(crate) physical_resource_id: Option<String>,
    #[serde(default)]
    resource_properties: Properties,
    #[serde(default)]
    old_resource_properties: Properties,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(crate) enum RequestType {
    Create,
    Update,
    Delete,
}

/// CloudFormation sends each value as text.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Properties {
    schema_version: Option<String>,
}

impl Properties {
    fn version(&self) -> Option<u32> {
        self.schema_version.as_deref()?.parse().ok()
    }
}

/// What is to be done for a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Nothing is to be done, and why.
    Leave(&'static str),
    /// The schema is to be what this program needs.
    Migrate,
}

impl Event {
    pub(crate) fn parse(payload: Value) -> anyhow::Result<Self> {
        // A list would be read as the fields in their order.
        anyhow::ensure!(payload.is_object(), NOT_AN_EVENT);
        let is_of_stack = payload.get("ResponseURL").is_some();
        let event = match is_of_stack {
            true => serde_json::from_value(payload).map(Self::Stack),
            false => serde_json::from_value(payload).map(Self::Person),
        };
        event.context(NOT_AN_EVENT)
    }
}

impl StackRequest {
    /// Whether the schema is to be changed. A stack that is deleted, or goes back to an older release, leaves the ledger as it
    /// is: a schema never goes back, and CloudFormation must come to its end also where the ledger is out of reach.
    pub(crate) fn wish(&self) -> anyhow::Result<Wish> {
        if self.request_type == RequestType::Delete {
            return Ok(Wish::Leave("the stack is deleted, and the ledger stays as it is"));
        }
        let wanted = self.resource_properties.version();
        let wanted = wanted.context("the template gives the schema's resource no SchemaVersion")?;
        let before = self.old_resource_properties.version();
        if before.is_some_and(|before| before > wanted) {
            return Ok(Wish::Leave(
                "an older release is deployed, and the ledger's schema stays",
            ));
        }
        let known = needed_schema();
        anyhow::ensure!(
            wanted == known,
            "the template asks for schema {wanted}, and this function has {known}: deploy functions and template of one version"
        );
        Ok(Wish::Migrate)
    }

    /// The name of the stack, in the ARN that identifies it.
    pub(crate) fn stack(&self) -> &str {
        self.stack_id.split('/').nth(1).unwrap_or(&self.stack_id)
    }

    /// CloudFormation's answer, whatever came of it.
    pub(crate) fn answer(&self, status: &str, reason: &str) -> Value {
        json!({
            "Status": status,
            "Reason": reason,
            // Always the same: with another one CloudFormation would delete the resource that it had.
            "PhysicalResourceId": self.physical_resource_id.as_deref().unwrap_or("granary-schema"),
            "StackId": self.stack_id,
            "RequestId": self.request_id,
            "LogicalResourceId": self.logical_resource_id,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(request_type: &str, wanted: u32, before: Option<u32>) -> StackRequest {
        let mut event: Value =
            serde_json::from_str(include_str!("../../../events/migrator.update.json")).unwrap();
        event["RequestType"] = request_type.into();
        event["ResourceProperties"]["SchemaVersion"] = wanted.to_string().into();
        match before {
            Some(before) => event["OldResourceProperties"]["SchemaVersion"] = before.to_string().into(),
            None => event["OldResourceProperties"] = json!({}),
        }
        let Event::Stack(request) = Event::parse(event).unwrap() else {
            panic!("CloudFormation waits for an answer");
        };
        request
    }

    #[test]
    fn a_release_that_is_deployed_has_its_schema_migrated() {
        let known = needed_schema();
        for (request_type, before) in [
            ("Create", None),
            ("Update", Some(known - 1)),
            ("Update", Some(known)),
        ] {
            let wish = request(request_type, known, before).wish().unwrap();
            assert_eq!(wish, Wish::Migrate, "{request_type} {before:?}");
        }
    }

    #[test]
    fn a_deletion_and_a_rollback_leave_the_ledger_as_it_is() {
        let known = needed_schema();
        for (request_type, wanted, before) in [("Delete", known, None), ("Update", known - 1, Some(known))] {
            let wish = request(request_type, wanted, before).wish().unwrap();
            assert!(matches!(wish, Wish::Leave(_)), "{request_type}: {wish:?}");
        }
    }

    #[test]
    fn a_template_of_another_release_than_the_functions_is_refused() {
        let wanted = needed_schema() + 1;
        let refused = request("Update", wanted, None).wish().unwrap_err().to_string();
        assert!(
            refused.contains("deploy functions and template of one version"),
            "{refused}"
        );
    }

    #[test]
    fn the_stack_is_known_by_its_name() {
        assert_eq!(request("Update", 1, None).stack(), "granary-staging");
    }

    #[test]
    fn whoever_gives_no_address_for_the_answer_is_a_person() {
        let Ok(Event::Person(asked)) = Event::parse(json!({"who": "ada", "requestId": "1"})) else {
            panic!("the event is a person's");
        };
        assert_eq!(
            (asked.who.as_deref(), asked.request_id.as_deref()),
            (Some("ada"), Some("1"))
        );
        assert!(Event::parse(json!([])).is_err());
    }
}
