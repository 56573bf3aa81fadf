//! One exported line: a message with what is known about it, as one JSON document without a line break.
//!
//! What Elasticsearch gave as JSON passes through byte for byte: numbers beyond 2^53, duplicate keys, the order
//! of keys and every escape stay as they are. The one exception is the bytes `\n` and `\r`: inside a JSON
//! document they can only be insignificant white space (a string holds them escaped), and they would break a
//! file of lines. Each becomes a space, and they are counted. That a message is valid JSON is its source's to
//! know; nothing is parsed here.

use crate::contents::Sha256Sum;
use crate::exported::MetadataCounts;
use granary_domain::{MessageId, MetadataName};
use sha2::{Digest, Sha256};
use std::io::{self, Write};

/// No line is longer, message and metadata together. What is longer can't be read back with bounded memory; it
/// is refused before a byte of it is written.
pub(crate) const LINE_BYTES_MAX: usize = 256 * 1024 * 1024;

/// A message as it leaves: `{"message_id":…,"index":…,"version":…,"seq_no":…,"primary_term":…,"message":…,<metadata>}`, with
/// `"doc_id"` before `index` where the document's `_id` isn't the message's id, and `"routing"` after it where it has its own.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    /// Its id.
    pub message_id: &'a MessageId,
    /// The document's `_id`.
    pub doc_id: &'a str,
    /// The concrete index it was read from.
    pub index: &'a str,
    /// Its routing, if it has one of its own.
    pub routing: Option<&'a str>,
    /// The version of the document that was read.
    pub version: i64,
    /// The sequence number of that state.
    pub seq_no: u64,
    /// The primary term of that state.
    pub primary_term: u64,
    /// `_source`: raw JSON.
    pub message: &'a [u8],
    /// The related documents, one field each, in this order.
    pub metadata: &'a [(&'a MetadataName, MetadataValue<'a>)],
}

/// What one metadata source knows about a message. The written form tells apart "there is no such index" and
/// "the index has nothing":
///
/// | | a source with one value | a source with many |
/// |---|---|---|
/// | its index doesn't exist | `"status":null` | `"history":null` |
/// | it has nothing for this message | the field is absent | `"history":[]` |
/// | it has something | `"status":{…}` | `"history":[{…},{…}]` |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetadataValue<'a> {
    /// The index doesn't exist.
    IndexMissing,
    /// The index, of a source with one value, has nothing for this message.
    Nothing,
    /// The one document: raw JSON.
    One(&'a [u8]),
    /// The documents, each raw JSON, in their order.
    Many(&'a [&'a [u8]]),
}

impl Line<'_> {
    /// The bytes that come from Elasticsearch, which is nearly all of the line.
    pub(crate) fn bytes(&self) -> usize {
        let metadata = self.metadata.iter().map(|(_, value)| match value {
            MetadataValue::IndexMissing | MetadataValue::Nothing => 0,
            MetadataValue::One(document) => document.len(),
            MetadataValue::Many(documents) => documents.iter().map(|document| document.len()).sum(),
        });
        self.message.len() + metadata.sum::<usize>()
    }

    /// How many documents it holds of each metadata source.
    pub(crate) fn metadata_counts(&self) -> MetadataCounts {
        let mut counts = MetadataCounts::default();
        for (name, value) in self.metadata {
            let entries = match value {
                MetadataValue::IndexMissing | MetadataValue::Nothing => 0,
                MetadataValue::One(_) => 1,
                MetadataValue::Many(documents) => documents.len() as u64,
            };
            counts.add(name.as_str(), entries);
        }
        counts
    }

    /// Writes the line, without a line break at its end. Returns how many line breaks were replaced by spaces.
    pub(crate) fn write_to(&self, out: &mut impl Write) -> io::Result<u64> {
        out.write_all(b"{\"message_id\":")?;
        serde_json::to_writer(&mut *out, self.message_id)?;
        if self.doc_id != self.message_id.as_str() {
            out.write_all(b",\"doc_id\":")?;
            serde_json::to_writer(&mut *out, self.doc_id)?;
        }
        out.write_all(b",\"index\":")?;
        serde_json::to_writer(&mut *out, self.index)?;
        if let Some(routing) = self.routing {
            out.write_all(b",\"routing\":")?;
            serde_json::to_writer(&mut *out, routing)?;
        }
        write!(
            out,
            ",\"version\":{},\"seq_no\":{},\"primary_term\":{},\"message\":",
            self.version, self.seq_no, self.primary_term
        )?;
        let mut replaced = write_raw(out, self.message)?;
        for (name, value) in self.metadata {
            replaced += write_metadata(out, name, value)?;
        }
        out.write_all(b"}")?;
        Ok(replaced)
    }
}

/// The SHA-256 of raw JSON as a line holds it.
pub fn sha256_in_line(json: &[u8]) -> Sha256Sum {
    let mut sha256 = Sha256::new();
    let mut rest = json;
    while let Some(at) = memchr::memchr2(b'\n', b'\r', rest) {
        sha256.update(&rest[..at]);
        sha256.update(b" ");
        rest = &rest[at + 1..];
    }
    sha256.update(rest);
    Sha256Sum(sha256.finalize().into())
}

fn write_metadata(out: &mut impl Write, name: &MetadataName, value: &MetadataValue<'_>) -> io::Result<u64> {
    if *value == MetadataValue::Nothing {
        return Ok(0);
    }
    // A name is of a-z, 0-9 and _ alone: it needs no escape.
    write!(out, ",\"{}\":", name.as_str())?;
    match value {
        MetadataValue::IndexMissing => out.write_all(b"null").map(|()| 0),
        MetadataValue::Nothing => Ok(0),
        MetadataValue::One(document) => write_raw(out, document),
        MetadataValue::Many(documents) => {
            let mut replaced = 0;
            out.write_all(b"[")?;
            for (at, document) in documents.iter().enumerate() {
                if at > 0 {
                    out.write_all(b",")?;
                }
                replaced += write_raw(out, document)?;
            }
            out.write_all(b"]")?;
            Ok(replaced)
        }
    }
}

/// Writes raw JSON with its line breaks replaced, and returns how many there were.
fn write_raw(out: &mut impl Write, json: &[u8]) -> io::Result<u64> {
    let (mut rest, mut replaced) = (json, 0);
    while let Some(at) = memchr::memchr2(b'\n', b'\r', rest) {
        out.write_all(&rest[..at])?;
        out.write_all(b" ")?;
        rest = &rest[at + 1..];
        replaced += 1;
    }
    out.write_all(rest)?;
    Ok(replaced)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::value::RawValue;
    use std::collections::BTreeMap;

    fn id(text: &str) -> MessageId {
        MessageId::try_from(text.to_owned()).unwrap()
    }

    fn name(text: &str) -> MetadataName {
        MetadataName::try_from(text.to_owned()).unwrap()
    }

    #[test]
    fn a_hash_is_that_of_the_bytes_in_the_line() {
        let in_line = Sha256Sum(Sha256::digest(b"{ \"a\":  1}").into());
        assert_eq!(sha256_in_line(b"{\n\"a\":\r\n1}"), in_line);
    }

    fn written(line: &Line<'_>) -> (String, u64) {
        let mut out = Vec::new();
        let replaced = line.write_to(&mut out).unwrap();
        (String::from_utf8(out).unwrap(), replaced)
    }

    /// Field case 29: what people query with.
    #[test]
    fn e6_the_view_of_the_documentation_takes_every_field_out_of_a_line() {
        let documentation = include_str!("../../../docs/athena.md");
        let names = ["status", "history", "processing"].map(name);
        let metadata = names.each_ref().map(|name| (name, MetadataValue::One(b"{}")));
        let id = id("m-1");
        let line = Line {
            message_id: &id,
            doc_id: "d-1",
            index: "messages",
            routing: Some("r"),
            version: 1,
            seq_no: 2,
            primary_term: 3,
            message: b"{}",
            metadata: &metadata,
        };
        let (written, _) = written(&line);
        let fields: BTreeMap<String, Box<RawValue>> = serde_json::from_str(&written).unwrap();
        assert_eq!(fields.len(), 11);
        for field in fields.keys() {
            assert!(documentation.contains(&format!("(line, '$.{field}')")), "{field}");
        }
    }

    #[test]
    fn e5_null_and_nothing_are_told_apart() {
        let names = ["status", "history", "processing", "late", "gone"].map(name);
        let metadata = [
            (&names[0], MetadataValue::Nothing),
            (&names[1], MetadataValue::Many(&[])),
            (&names[2], MetadataValue::Many(&[b"{\"a\":1}", b"{\"a\":2}"])),
            (&names[3], MetadataValue::One(b"{}")),
            (&names[4], MetadataValue::IndexMissing),
        ];
        let id = id("a\"\u{1F33E}\n");
        let line = Line {
            message_id: &id,
            doc_id: "d\"1",
            index: "m-1",
            routing: Some("r\n"),
            version: -3,
            seq_no: 7,
            primary_term: 2,
            message: b"{}",
            metadata: &metadata,
        };
        assert_eq!(
            written(&line).0,
            r#"{"message_id":"a\"🌾\n","doc_id":"d\"1","index":"m-1","routing":"r\n","version":-3,"seq_no":7,"primary_term":2,"message":{},"history":[],"processing":[{"a":1},{"a":2}],"late":{},"gone":null}"#
        );
    }

    #[test]
    fn e6_odd_bytes_pass_through_and_only_line_breaks_become_spaces() {
        let odd = r#"{"n":9007199254740993,"e":1e400,"n":-0.0,"s":"\ud800\u0000\/\n\r","deep":[[[]]]}"#;
        let id = id("x");
        let line = Line {
            message_id: &id,
            doc_id: "x",
            index: "i",
            routing: None,
            version: 1,
            seq_no: 0,
            primary_term: 1,
            message: odd.as_bytes(),
            metadata: &[],
        };
        let (text, replaced) = written(&line);
        assert_eq!(
            text,
            format!(
                r#"{{"message_id":"x","index":"i","version":1,"seq_no":0,"primary_term":1,"message":{odd}}}"#
            )
        );
        assert_eq!(replaced, 0);

        let pretty = Line {
            message: b"{\r\n  \"a\": [\n]\n}",
            ..line
        };
        let (text, replaced) = written(&pretty);
        assert_eq!(
            text,
            r#"{"message_id":"x","index":"i","version":1,"seq_no":0,"primary_term":1,"message":{    "a": [ ] }}"#
        );
        assert_eq!(replaced, 4);
    }

    /// JSON as somebody may have written it: any numbers, any text, pretty or not.
    fn any_json() -> impl Strategy<Value = String> {
        let text = any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap());
        let escape = any::<u16>().prop_map(|unit| format!("\"\\u{unit:04x}\""));
        let number = "-?(0|[1-9][0-9]{0,40})(\\.[0-9]{1,30})?([eE][+-]?[0-9]{1,5})?";
        let leaf = prop_oneof![
            text,
            escape,
            number,
            Just("null".to_owned()),
            Just("true".to_owned())
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            let fields = prop::collection::vec(("[a-c]{1,2}", inner.clone()), 0..5).prop_map(|fields| {
                let fields: Vec<_> = fields
                    .iter()
                    .map(|(key, value)| format!("\"{key}\" : {value}"))
                    .collect();
                format!("{{\t{}}}", fields.join(", "))
            });
            let items =
                prop::collection::vec(inner, 0..5).prop_map(|items| format!("[{}]", items.join(",  ")));
            prop_oneof![fields, items]
        })
    }

    proptest! {
        #[test]
        fn e6_any_json_is_in_its_line_byte_for_byte(message in any_json(), related in any_json(), id in ".{1,80}") {
            let id = MessageId::try_from(id).unwrap();
            let history = name("history");
            let documents: &[&[u8]] = &[related.as_bytes(), related.as_bytes()];
            let metadata = [(&history, MetadataValue::Many(documents))];
            let line = Line {
                message_id: &id, doc_id: &id.as_str().to_uppercase(), index: "i", routing: Some(id.as_str()), version: i64::MAX,
                seq_no: u64::MAX, primary_term: 1, message: message.as_bytes(), metadata: &metadata,
            };
            let (text, _) = written(&line);
            prop_assert!(!text.contains(['\n', '\r']));
            let fields: BTreeMap<String, Box<RawValue>> = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(fields["message"].get(), message.as_str());
            let history: Vec<Box<RawValue>> = serde_json::from_str(fields["history"].get()).unwrap();
            prop_assert!(history.len() == 2 && history.iter().all(|document| document.get() == related));
            prop_assert_eq!(serde_json::from_str::<String>(fields["message_id"].get()).unwrap(), id.as_str());
        }
    }
}
