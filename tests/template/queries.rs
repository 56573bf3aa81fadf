//! The saved queries: each is read by the small part of the language that they use, and names fields that the code logs.
//!
//! A clause that is not known here is an error, so that a query can't be saved with what no test reads.

use super::Template;
use super::document::checkout;
use serde_json::Value;
use std::collections::BTreeSet;

const QUERY: &str = "AWS::Logs::QueryDefinition";
const CLAUSES: [&str; 5] = ["fields", "filter", "stats", "sort", "limit"];
/// What belongs to the language.
const WORDS: [&str; 14] = [
    "as",
    "and",
    "or",
    "in",
    "like",
    "by",
    "asc",
    "desc",
    "count",
    "count_distinct",
    "sum",
    "bin",
    "5m",
    "message",
];
/// What a line has beside its fields.
const OF_EACH_LINE: [&str; 3] = ["@timestamp", "@message", "level"];

struct Clause {
    verb: String,
    rest: String,
}

fn clauses(query: &str) -> Vec<Clause> {
    let lines = query.trim().lines();
    let clauses = lines.map(|line| {
        let line = line.trim_start_matches("| ");
        let (verb, rest) = line
            .split_once(' ')
            .unwrap_or_else(|| panic!("{line} has no arguments"));
        assert!(CLAUSES.contains(&verb), "the clause {verb} is not known here");
        Clause {
            verb: verb.to_owned(),
            rest: rest.to_owned(),
        }
    });
    clauses.collect()
}

/// The words of a clause, without what is in quotes or between slashes.
fn words(clause: &str) -> Vec<String> {
    let outside =
        |text: &str, quote: char| -> String { text.split(quote).step_by(2).collect::<Vec<_>>().join(" ") };
    let text = outside(&outside(clause, '"'), '/');
    let words = text.split(|letter: char| !(letter.is_ascii_alphanumeric() || "_@".contains(letter)));
    words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn code() -> String {
    [
        "exporter/src/export.rs",
        "harvester/src/window.rs",
        "operator/src/web/edge.rs",
    ]
    .map(|file| std::fs::read_to_string(checkout().join("functions").join(file)).unwrap())
    .join("\n")
}

/// The lines of a log that the filters of a saved query let through, with its placeholder replaced as its user does.
pub(crate) fn found_by(query: &str, replaced: Option<(&str, &str)>, log: &[String]) -> Vec<Value> {
    let template = Template::read();
    let text = template.resource(query)["QueryString"].as_str().unwrap();
    let text = replaced.map_or_else(
        || text.to_owned(),
        |(placeholder, by)| text.replacen(placeholder, by, 1),
    );
    let filters: Vec<String> = clauses(&text)
        .into_iter()
        .filter(|clause| clause.verb == "filter")
        .map(|clause| clause.rest)
        .collect();
    let lines = log
        .iter()
        .filter(|line| filters.iter().all(|filter| lets_through(filter, line)));
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Conditions with `and`, and these with `or` between them.
fn lets_through(filter: &str, line: &str) -> bool {
    filter
        .split(" or ")
        .any(|conditions| conditions.split(" and ").all(|condition| holds(condition, line)))
}

/// `FIELD = VALUE`, `!=`, `in [VALUE, …]`, `like "TEXT"` or `like /TEXT|TEXT/`.
fn holds(condition: &str, line: &str) -> bool {
    let mut parts = condition.splitn(3, ' ');
    let (Some(field), Some(operation), Some(operand)) = (parts.next(), parts.next(), parts.next()) else {
        panic!("the condition {condition} is not known here");
    };
    let parsed: Value = serde_json::from_str(line).unwrap_or_default();
    let value = match field {
        "@message" => Value::from(line),
        field => parsed[field].clone(),
    };
    let read = |text: &str| -> Value { serde_json::from_str(text).unwrap() };
    match operation {
        "=" => value == read(operand),
        "!=" => value != read(operand),
        "in" => read(operand).as_array().unwrap().contains(&value),
        "like" => {
            let texts = operand.trim_matches(['/', '"']);
            let found = |text: &str| value.as_str().is_some_and(|value| value.contains(text));
            texts.split('|').any(found)
        }
        other => panic!("the operation {other} is not known here"),
    }
}

#[test]
fn every_saved_query_is_about_fields_that_are_logged() {
    let template = Template::read();
    let queries = template.resources_of(QUERY);
    assert_eq!(queries.len(), 7);
    let code = code();
    for (name, query) in queries {
        assert!(
            query["LogGroupNames"]
                .as_array()
                .is_some_and(|groups| !groups.is_empty()),
            "{name}"
        );
        let clauses = clauses(query["QueryString"].as_str().unwrap());
        assert_eq!(clauses[0].verb, "fields", "{name}");
        assert!(clauses.iter().any(|clause| clause.verb == "filter"), "{name}");
        let mut made: BTreeSet<String> = BTreeSet::new();
        for clause in &clauses {
            let words = words(&clause.rest);
            made.extend(
                words
                    .windows(2)
                    .filter(|pair| pair[0] == "as")
                    .map(|pair| pair[1].clone()),
            );
            for word in words {
                let is_number = word.chars().all(|letter| letter.is_ascii_digit());
                let is_known = WORDS.contains(&word.as_str())
                    || OF_EACH_LINE.contains(&word.as_str())
                    || made.contains(&word);
                assert!(
                    is_number || is_known || is_logged(&code, &word),
                    "{name}: no line has a field {word}"
                );
            }
        }
    }
}

/// Whether a line of the log is written with this field: `field = …`, or `field`, `%field` among others.
fn is_logged(code: &str, field: &str) -> bool {
    let named = [format!("{field} = "), format!("%{field},"), format!(" {field},")];
    let events = ["tracing::info!(", "tracing::warn!("]
        .into_iter()
        .flat_map(|event| code.split(event).skip(1));
    events
        .map(|rest| rest.split(");").next().unwrap_or_default())
        .any(|event| named.iter().any(|named| event.contains(named.as_str())))
}

#[test]
fn a_query_filters_by_messages_that_are_logged() {
    let template = Template::read();
    let code = code();
    for (name, query) in template.resources_of(QUERY) {
        for clause in clauses(query["QueryString"].as_str().unwrap()) {
            if clause.verb != "filter" || !clause.rest.starts_with("message ") {
                continue;
            }
            let (of_message, _) = clause.rest.split_once(" and ").unwrap_or((&clause.rest, ""));
            for text in of_message.split('"').skip(1).step_by(2) {
                assert!(
                    code.contains(&format!("\"{text}\"")),
                    "{name}: no line says {text:?}"
                );
            }
        }
    }
}
