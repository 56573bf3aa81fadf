//! The template as a tree, its short intrinsic functions written out: `!Ref X` as `{"Ref":"X"}`, `!Sub x` as
//! `{"Fn::Sub":"x"}`.

use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A function of ours, as the template has it.
const FUNCTION: &str = "AWS::Serverless::Function";

/// The root of the repository.
pub(super) fn checkout() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests
        .parent()
        .expect("this crate lies in the checkout")
        .to_owned()
}

/// The Python of the local stack's tools.
pub(super) fn python() -> String {
    std::env::var("SAM_PYTHON")
        .expect("SAM_PYTHON is unset; start the local stack by `local/stack up`, then: . .local/env")
}

pub(super) struct Template(Value);

impl Template {
    pub(super) fn read() -> Self {
        let text = std::fs::read_to_string(checkout().join("template.yaml")).unwrap();
        let documents = Yaml::load_from_str(&text).unwrap();
        Self(written_out(&documents[0]))
    }

    /// What SAM makes of it, as AWS deploys it.
    pub(super) fn transformed() -> Self {
        let output = Command::new(python())
            .arg(checkout().join("local/lib/transformed_template.py"))
            .arg(checkout().join("template.yaml"))
            .env("AWS_DEFAULT_REGION", "us-east-1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "SAM doesn't transform the template: {said}"
        );
        Self(serde_json::from_slice(&output.stdout).unwrap())
    }

    /// What lies at a JSON pointer; `null` where there is nothing.
    pub(super) fn at(&self, pointer: &str) -> &Value {
        self.0.pointer(pointer).unwrap_or(&Value::Null)
    }

    /// The properties of a resource, which must be there.
    pub(super) fn resource(&self, name: &str) -> &Value {
        let properties = self.at(&format!("/Resources/{name}/Properties"));
        assert!(properties.is_object(), "the template has no resource {name}");
        properties
    }

    /// The names of all resources of a type, and their properties.
    pub(super) fn resources_of(&self, resource_type: &str) -> Vec<(&str, &Value)> {
        let resources = self.0["Resources"].as_object().expect("a template has resources");
        let of_type = resources
            .iter()
            .filter(|(_, resource)| resource["Type"] == resource_type);
        of_type
            .map(|(name, resource)| (name.as_str(), &resource["Properties"]))
            .collect()
    }

    /// The functions.
    pub(super) fn functions(&self) -> Vec<(&str, &Value)> {
        self.resources_of(FUNCTION)
    }

    /// The binary of a function: the name of its directory under `functions/`.
    pub(super) fn binary_of(&self, function: &str) -> &str {
        let pointer = format!("/Resources/{function}/Metadata/BuildProperties/Binary");
        self.at(&pointer).as_str().expect("a function has a binary")
    }

    /// A number, or the default of the parameter that stands for it.
    pub(super) fn number(&self, value: &Value) -> u64 {
        let number = match value["Ref"].as_str() {
            Some(parameter) => self.at(&format!("/Parameters/{parameter}/Default")),
            None => value,
        };
        number
            .as_u64()
            .unwrap_or_else(|| panic!("{value} is not a number"))
    }
}

/// `!Ref name`.
pub(super) fn reference(name: &str) -> Value {
    json!({ "Ref": name })
}

/// `!GetAtt name.attribute`.
pub(super) fn attribute(name: &str, attribute: &str) -> Value {
    json!({ "Fn::GetAtt": format!("{name}.{attribute}") })
}

/// The ARN of what lies below this path in the archive's bucket, whether the stack creates the bucket or is given one.
pub(super) fn in_the_archive(path: &str) -> Value {
    let bucket = json!({ "Fn::If": ["MakesArchive", reference("Archive"), reference("ArchiveBucketName")] });
    let arn = format!("arn:${{AWS::Partition}}:s3:::${{Bucket}}{path}");
    json!({ "Fn::Sub": [arn, { "Bucket": bucket }] })
}

/// A value that may stand alone or in a list.
pub(super) fn several(value: &Value) -> Vec<&Value> {
    value
        .as_array()
        .map_or_else(|| vec![value], |values| values.iter().collect())
}

fn written_out(node: &Yaml<'_>) -> Value {
    match node {
        Yaml::Value(Scalar::Null) => Value::Null,
        Yaml::Value(Scalar::Boolean(switch)) => (*switch).into(),
        Yaml::Value(Scalar::Integer(number)) => (*number).into(),
        Yaml::Value(Scalar::FloatingPoint(number)) => number.0.into(),
        Yaml::Value(Scalar::String(text)) => text.as_ref().into(),
        Yaml::Sequence(items) => items.iter().map(written_out).collect(),
        Yaml::Mapping(fields) => {
            let field = |(name, value): (&Yaml<'_>, &Yaml<'_>)| {
                let name = name.as_str().expect("a name is a text");
                (name.to_owned(), written_out(value))
            };
            Value::Object(fields.iter().map(field).collect())
        }
        Yaml::Tagged(tag, inner) => {
            let name = match tag.suffix.as_ref() {
                "Ref" | "Condition" => tag.suffix.to_string(),
                function => format!("Fn::{function}"),
            };
            Value::Object(Map::from_iter([(name, written_out(inner))]))
        }
        Yaml::Representation(..) | Yaml::Alias(_) | Yaml::BadValue => {
            panic!("the template has what this test can't read: {node:?}")
        }
    }
}
