//! A line of an object as it is read back: its id, and how many entries of metadata it holds. A line that isn't an exported one
//! is an error, which never quotes it.

use granary_domain::MessageId;
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

/// What every line has beside its id. A line may have `doc_id` and `routing` as well; every other field is a metadata source's.
const REQUIRED: [&str; 5] = ["index", "version", "seq_no", "primary_term", "message"];
const OPTIONAL: [&str; 2] = ["doc_id", "routing"];

/// An exported line, without its content.
pub(crate) struct Exported {
    pub(crate) message_id: MessageId,
    pub(crate) metadata: MetadataCounts,
}

/// Entries of metadata by source. A source without any isn't listed. Mostly no more than a handful.
#[derive(Debug, Default)]
pub(crate) struct MetadataCounts(Vec<(String, u64)>);

impl MetadataCounts {
    pub(crate) fn add(&mut self, source: &str, entries: u64) {
        if entries == 0 {
            return;
        }
        match self.0.iter_mut().find(|(known, _)| known == source) {
            Some((_, counted)) => *counted += entries,
            None => self.0.push((source.to_owned(), entries)),
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (source, entries) in &other.0 {
            self.add(source, *entries);
        }
    }

    pub(crate) fn into_map(self) -> BTreeMap<String, u64> {
        self.0.into_iter().collect()
    }
}

impl<'de> Deserialize<'de> for Exported {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(OfLine)
    }
}

struct OfLine;

impl<'de> Visitor<'de> for OfLine {
    type Value = Exported;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an exported line")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut line: A) -> Result<Exported, A::Error> {
        let (mut message_id, mut metadata) = (None, MetadataCounts::default());
        let mut is_there = [false; REQUIRED.len()];
        while let Some(name) = line.next_key::<Cow<'de, str>>()? {
            if name == "message_id" {
                message_id = Some(line.next_value()?);
            } else if let Some(at) = REQUIRED.iter().position(|required| *required == name) {
                is_there[at] = true;
                line.next_value::<IgnoredAny>()?;
            } else if OPTIONAL.contains(&name.as_ref()) {
                line.next_value::<IgnoredAny>()?;
            } else {
                metadata.add(&name, line.next_value::<Entries>()?.0);
            }
        }
        if let Some(at) = is_there.iter().position(|is_there| !is_there) {
            return Err(A::Error::missing_field(REQUIRED[at]));
        }
        let message_id = message_id.ok_or_else(|| A::Error::missing_field("message_id"))?;
        Ok(Exported { message_id, metadata })
    }
}

/// How many documents a metadata field holds: none (`null`), one, or those of a list. Anything else is a field of another
/// version, and holds none.
struct Entries(u64);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OfField)
    }
}

struct OfField;

impl<'de> Visitor<'de> for OfField {
    type Value = Entries;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a document, a list of documents, or null")
    }

    fn visit_unit<E: Error>(self) -> Result<Entries, E> {
        Ok(Entries(0))
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Entries, E> {
        Ok(Entries(0))
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Entries, E> {
        Ok(Entries(0))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Entries, E> {
        Ok(Entries(0))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Entries, E> {
        Ok(Entries(0))
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Entries, E> {
        Ok(Entries(0))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut document: A) -> Result<Entries, A::Error> {
        while document.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Entries(1))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut documents: A) -> Result<Entries, A::Error> {
        let mut entries = 0;
        while documents.next_element::<IgnoredAny>()?.is_some() {
            entries += 1;
        }
        Ok(Entries(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str =
        r#""message_id":"m","index":"i","version":1,"seq_no":0,"primary_term":1,"message":{"history":[1]}"#;

    fn read(metadata: &str) -> Result<BTreeMap<String, u64>, String> {
        let line = format!("{{{LINE}{metadata}}}");
        let exported: Result<Exported, _> = serde_json::from_str(&line);
        exported
            .map(|exported| exported.metadata.into_map())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn e5_entries_are_counted_by_source_and_nothing_of_the_message_is() {
        let counted =
            read(r#","status":{"a":1},"history":[{"b":[]},{"c":2}],"gone":null,"empty":[],"routing":"r","newer":7"#)
                .unwrap();
        let expected = [("history".to_owned(), 2), ("status".to_owned(), 1)];
        assert_eq!(counted, expected.into());
        let without: Result<Exported, _> =
            serde_json::from_str(&format!("{{{LINE}}}").replace("seq_no", "seqno"));
        assert!(without.is_err_and(|error| error.to_string().contains("seq_no")));
    }
}
