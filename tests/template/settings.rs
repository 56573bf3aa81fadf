//! Which variables a function reads, by its source: the sections that it reads, and what it names itself.

use super::document::checkout;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What a declaration of a variable looks like in the code.
const DECLARED: &str = "name: \"";
/// How telemetry, which can't fail, reads its variables.
const ASKED: &str = "variable(\"";
const PREFIX: &str = "GRANARY_";

/// The variables that a function reads.
pub(super) fn variables_read_by(binary: &str) -> BTreeSet<String> {
    let sections = variables_of_sections();
    let mut variables = BTreeSet::new();
    for file in sources(&checkout().join("functions").join(binary).join("src")) {
        let code = code_of(&file);
        variables.extend(quoted_after(&code, DECLARED));
        for section in sections_read(&code) {
            let of_section = sections.get(section);
            variables.extend(
                of_section
                    .unwrap_or_else(|| panic!("{}: no file has `impl {section}`", file.display()))
                    .clone(),
            );
        }
    }
    variables.extend(quoted_after(
        &code_of(&checkout().join("shared/telemetry/src/lib.rs")),
        ASKED,
    ));
    variables
}

/// What sections read by types of their own: each stands in a file with its variables.
/// A file may have more than what a section has read: of its variables, those that begin so.
const READ_BY_SECTIONS: [(&str, &str, &str); 4] = [
    ("Deployment::read(", "deployment.rs", PREFIX),
    ("Plaintext::read(", "transport.rs", PREFIX),
    ("Ca::of_elasticsearch(", "ca.rs", "GRANARY_ES_"),
    ("Ca::of_ledger(", "ca.rs", "GRANARY_LEDGER_"),
];

/// The variables that a file declares, and those that it has read for it.
fn variables_in(code: &str) -> BTreeSet<String> {
    let mut variables: BTreeSet<String> = quoted_after(code, DECLARED).collect();
    for (call, file, beginning) in READ_BY_SECTIONS {
        if code.contains(call) {
            let code = code_of(&checkout().join("shared/environment/src").join(file));
            let read = variables_in(&code).into_iter();
            variables.extend(read.filter(|name| name.starts_with(beginning)));
        }
    }
    variables
}

/// Each section stands in a file of its own, with its variables.
fn variables_of_sections() -> BTreeMap<String, BTreeSet<String>> {
    let mut sections = BTreeMap::new();
    for room in directories(&checkout().join("shared")) {
        for file in sources(&room.join("src")) {
            let code = code_of(&file);
            let implemented = code
                .split("impl ")
                .filter_map(|rest| rest.split_once(" {").map(|(name, _)| name));
            for name in implemented.filter(|name| is_section(name)) {
                sections.insert(name.to_owned(), variables_in(&code));
            }
        }
    }
    assert!(
        sections.len() >= 8,
        "sections are declared otherwise than this test thinks"
    );
    sections
}

/// `X` of every `X::read(` where X is a section.
fn sections_read(code: &str) -> Vec<&str> {
    let names = code
        .match_indices("::read(")
        .map(|(at, _)| code[..at].rsplit(|char: char| !char.is_alphanumeric()).next());
    names.flatten().filter(|name| is_section(name)).collect()
}

fn is_section(name: &str) -> bool {
    name.len() > "Section".len() && name.ends_with("Section") && name.chars().all(char::is_alphanumeric)
}

/// The names of ours that stand in quotes behind a marker.
fn quoted_after<'a>(code: &'a str, marker: &'a str) -> impl Iterator<Item = String> + 'a {
    let quoted = code
        .split(marker)
        .skip(1)
        .filter_map(|rest| rest.split('"').next());
    quoted
        .filter(|name| name.starts_with(PREFIX) && name.len() > PREFIX.len())
        .map(str::to_owned)
}

/// A file without its comments and its tests.
fn code_of(file: &Path) -> String {
    let text = std::fs::read_to_string(file).unwrap();
    let code = text.lines().take_while(|line| line.trim() != "#[cfg(test)]");
    let code: Vec<&str> = code.filter(|line| !line.trim_start().starts_with("//")).collect();
    code.join("\n")
}

fn directories(of: &Path) -> Vec<PathBuf> {
    entries(of).into_iter().filter(|path| path.is_dir()).collect()
}

fn sources(of: &Path) -> Vec<PathBuf> {
    let files = entries(of).into_iter();
    files
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}

fn entries(of: &Path) -> Vec<PathBuf> {
    let read = std::fs::read_dir(of).unwrap_or_else(|error| panic!("{}: {error}", of.display()));
    read.map(|entry| entry.unwrap().path()).collect()
}
