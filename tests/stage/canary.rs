//! The canary: a word that documents of tests hold, and that may be in nothing that Granary writes but the archive.
//!
//! Here is what is searched for and how; where is in `discretion.rs`. Not responsible for addresses and secrets:
//! `scenarios/faults/secrecy.rs` is. What is found fails the test that wrote it, with the place and a few characters around it.

use aho_corasick::AhoCorasick;
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

/// The word. It survives JSON and URLs as it is. It is a text, an item of a list, and the name of a field.
pub(crate) const CANARY: &str = "canary-text";
/// A number that nothing else has.
pub(crate) const CANARY_NUMBER: u64 = 7_319_402_846_173;
/// In each of the product's own test messages, which the deployed functions seed.
const SEEDED: &str = "@example.com";

/// Ids and times are no content: the ledger keeps them.
const FIELDS_ON_RECORD: [&str; 2] = ["message_id", "created_at"];
/// Shorter values may be anywhere by chance.
const VALUE_CHARS_MIN: usize = 12;
/// Services quote the beginning of a value.
const VALUE_CHARS_MAX: usize = 24;
/// So that neither a time nor a row of zeros is a value.
const LETTERS_MIN: usize = 5;
/// More would slow down every search.
const VALUES_MAX: usize = 512;
/// Of one write: what documents look like shows in the first ones.
const DOCUMENTS_MAX: usize = 100;
const DOCUMENT_BYTES_MAX: usize = 1024 * 1024;
const SHOWN_BYTES: usize = 80;

/// Lines that one writes while another may search them.
pub(crate) type Lines = Arc<Mutex<Vec<String>>>;

/// What documents with bodies of their own say.
#[derive(Debug, Clone, Default)]
pub(crate) struct Values(Arc<Mutex<BTreeSet<String>>>);

impl Values {
    /// Remembers some values of documents, given by `_id` and body.
    pub(crate) fn learn<'a>(&self, documents: impl Iterator<Item = (&'a str, &'a str)>) {
        let mut values = self.0.lock().unwrap();
        for (doc_id, body) in documents.take(DOCUMENTS_MAX) {
            // What Elasticsearch takes and no parser of JSON does has the canary in it.
            if body.len() <= DOCUMENT_BYTES_MAX
                && let Ok(body) = serde_json::from_str::<Value>(body)
            {
                let mut of_document = BTreeSet::new();
                collect("", &body, &mut of_document);
                // The canary is searched for anyway.
                let own = |value: &String| !doc_id.contains(value) && !value.contains(CANARY);
                values.extend(of_document.into_iter().filter(own));
            }
        }
        assert!(values.len() <= VALUES_MAX, "a search for {} values", values.len());
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().iter().cloned().collect()
    }
}

fn collect(field: &str, value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::String(text) if !FIELDS_ON_RECORD.contains(&field) => {
            into.extend(distinctive(text).map(str::to_owned));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(field, item, into)),
        Value::Object(fields) => fields.iter().for_each(|(name, item)| collect(name, item, into)),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The first piece of a text that is the same in every notation and that no other text has.
fn distinctive(text: &str) -> Option<&str> {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || "-_. ".contains(char);
    let pieces = text.split(|char| !is_plain(char)).map(str::trim);
    let pieces = pieces.map(|piece| &piece[..piece.len().min(VALUE_CHARS_MAX)]);
    let mut pieces = pieces.filter(|piece| {
        let letters: BTreeSet<u8> = piece.bytes().filter(u8::is_ascii_alphabetic).collect();
        piece.len() >= VALUE_CHARS_MIN && letters.len() >= LETTERS_MIN
    });
    pieces.next()
}

/// Whether a text says what only messages say.
pub(crate) struct Search(AhoCorasick);

impl Search {
    /// For the canaries, and for the values of these documents.
    pub(crate) fn of(values: &Values) -> Self {
        let mut words = values.all();
        words.extend([CANARY.to_owned(), CANARY_NUMBER.to_string(), SEEDED.to_owned()]);
        Self(AhoCorasick::new(words).unwrap())
    }

    /// The place and what is there, where a text says it.
    pub(crate) fn leak(&self, place: &str, text: &[u8]) -> Option<String> {
        let found = self.0.find(text)?;
        let (from, to) = (
            found.start().saturating_sub(SHOWN_BYTES),
            text.len().min(found.end() + SHOWN_BYTES),
        );
        let around = String::from_utf8_lossy(&text[from..to]);
        Some(format!("{place}: …{around}…"))
    }
}

/// Everything that a stage has heard, by its place: logs, answers, messages.
#[derive(Debug, Clone, Default)]
pub(crate) struct Heard(Arc<Mutex<Vec<(String, Lines)>>>);

impl Heard {
    /// What is in these lines is heard, and what will be.
    pub(crate) fn listen(&self, place: impl Into<String>, lines: &Lines) {
        self.0.lock().unwrap().push((place.into(), lines.clone()));
    }

    /// The first leak of each place.
    pub(crate) fn leaks(&self, search: &Search) -> Vec<String> {
        let places = self.0.lock().unwrap();
        let leak = |(place, lines): &(String, Lines)| {
            let lines = lines.lock().unwrap();
            lines.iter().find_map(|line| search.leak(place, line.as_bytes()))
        };
        places.iter().filter_map(leak).collect()
    }
}

/// The columns of a ledger that can hold a text, with their tables: all but ids, which are on record, and those of a schema that is
/// a migration ahead, of which no program knows.
pub(crate) const COLUMNS_WITH_TEXT: &str = "SELECT c.table_name, c.column_name FROM information_schema.columns c \
     JOIN information_schema.tables t ON t.table_schema = c.table_schema AND t.table_name = c.table_name \
     WHERE c.table_schema = DATABASE() AND t.table_type = 'BASE TABLE' AND c.character_maximum_length >= 11 \
     AND c.column_name NOT IN ('message_id', 'doc_id', 'index_name', 'routing', 'of_tomorrow') \
     AND c.table_name <> 'of_tomorrow' \
     ORDER BY c.table_name, c.ordinal_position";

/// One statement for all of these columns: the texts of each row that has one, and its table.
pub(crate) fn texts_of(columns: &[(String, String)]) -> String {
    let tables: BTreeSet<&str> = columns.iter().map(|(table, _)| table.as_str()).collect();
    let of_table = |table: &str| {
        let columns = columns.iter().filter(|(of, _)| of == table);
        let names: Vec<&str> = columns.map(|(_, column)| column.as_str()).collect();
        // As bytes: character sets and collations differ.
        let texts: Vec<String> = names
            .iter()
            .map(|name| format!("CAST(`{name}` AS BINARY)"))
            .collect();
        let has_one: Vec<String> = names.iter().map(|name| format!("`{name}` IS NOT NULL")).collect();
        format!(
            "SELECT '{table}', CONCAT_WS(X'0A', {}) FROM `{table}` WHERE {}",
            texts.join(", "),
            has_one.join(" OR ")
        )
    };
    let selects: Vec<String> = tables.into_iter().map(of_table).collect();
    selects.join(" UNION ALL ")
}
