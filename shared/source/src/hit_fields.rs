//! The values that hits show of fields (`docvalue_fields`), as Elasticsearch wrote them. They are borrowed from the answer.

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// The values of some fields.
#[derive(Default)]
pub(crate) struct HitFields<'a> {
    fields: Vec<(Cow<'a, str>, Vec<&'a RawValue>)>,
}

impl<'a> HitFields<'a> {
    /// The values of a field, in Elasticsearch's order: none where the document has none.
    pub(crate) fn values(&self, field: &str) -> &[&'a RawValue] {
        let found = self.fields.iter().find(|(name, _)| name == field);
        found.map(|(_, values)| values.as_slice()).unwrap_or_default()
    }

    /// All its values as ids where one field was asked for.
    pub(crate) fn texts(&self) -> Vec<String> {
        let values = self.fields.iter().flat_map(|(_, values)| values);
        values.filter_map(|value| text_of(value)).collect()
    }
}

/// The one value, as an id.
pub(crate) fn only(values: &[&RawValue]) -> Option<String> {
    match values {
        [value] => text_of(value),
        _ => None,
    }
}

/// A value as an id: a text as it is, a number by its digits.
pub(crate) fn text_of(value: &RawValue) -> Option<String> {
    match value.get() {
        text if text.starts_with('"') => serde_json::from_str(text).ok(),
        number => Some(number.to_owned()),
    }
}

#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for HitFields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = HitFields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the fields of a hit")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(Name(name)) = map.next_key()? {
                    fields.push((name, map.next_value()?));
                }
                Ok(HitFields { fields })
            }
        }
        deserializer.deserialize_map(Fields)
    }
}
