//! Finding tests in the sources of the workspace, and the edge cases that they name.
//!
//! A test names a case by the first words of its name (`e11_…`, `h15_h9_…`) or in its doc comment ("H5, H6"). Sources are
//! read as lines, not parsed: what the compiler sees as a test stands under an attribute that ends in `test]` or
//! `test(…)]`, one attribute or comment a line, as rustfmt leaves it.

use anyhow::Context;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Where no test of the product is: this crate's own are about the page.
const SKIPPED: [&str; 4] = ["target", ".local", ".git", "reliability"];
const DEPTH_MAX: u32 = 12;
/// The letters of the edge cases' groups.
const LETTERS: &str = "HEQDAS";
/// What Amazon calls its store, and no case.
const NOT_A_CASE: &str = "S3";

/// A test function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Test {
    /// From the root of the workspace.
    pub(crate) path: String,
    pub(crate) name: String,
    /// The edge cases that it names.
    pub(crate) cases: BTreeSet<String>,
}

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// All tests of the workspace, by path.
pub(crate) fn tests(root: &Path) -> anyhow::Result<Vec<Test>> {
    let mut files = Vec::new();
    collect(root, 0, &mut files)?;
    files.sort();
    let mut tests = Vec::new();
    for file in files {
        let source = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        let path = file.strip_prefix(root).unwrap_or(&file);
        tests.extend(tests_in(&path.display().to_string(), &source));
    }
    Ok(tests)
}

fn collect(directory: &Path, depth: u32, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let entries = std::fs::read_dir(directory).with_context(|| directory.display().to_string())?;
    for entry in entries.flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let is_skipped = SKIPPED.iter().any(|skipped| name == *skipped);
        if path.is_dir() && !is_skipped && depth < DEPTH_MAX {
            collect(&path, depth + 1, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

/// The tests in one source.
pub(crate) fn tests_in(path: &str, source: &str) -> Vec<Test> {
    let mut tests = Vec::new();
    let (mut doc, mut is_test) = (String::new(), false);
    for line in source.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("///") {
            doc.push_str(text);
            doc.push(' ');
        } else if line.starts_with("#[") {
            is_test |= is_test_attribute(line);
        } else if line.starts_with("//") {
            // A comment between an attribute and its function changes nothing.
        } else {
            if let (true, Some(name)) = (is_test, function_name(line)) {
                let cases = named_by(name).into_iter().chain(mentioned_in(&doc)).collect();
                let (path, name) = (path.to_owned(), name.to_owned());
                tests.push(Test { path, name, cases });
            }
            (doc, is_test) = (String::new(), false);
        }
    }
    tests
}

fn is_test_attribute(line: &str) -> bool {
    let attribute = line.trim_start_matches("#[");
    let name = attribute.split(['(', ']']).next().unwrap_or_default();
    name == "test" || name.ends_with("::test")
}

fn function_name(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("pub ").unwrap_or(line);
    let rest = rest.strip_prefix("async ").unwrap_or(rest);
    rest.strip_prefix("fn ")?.split(['(', '<']).next()
}

/// `h15_h9_a_source…`: H15 and H9.
fn named_by(name: &str) -> Vec<String> {
    name.split('_')
        .map(str::to_uppercase)
        .take_while(|word| is_case(word))
        .collect()
}

fn mentioned_in(doc: &str) -> Vec<String> {
    doc.split(|letter: char| !letter.is_ascii_alphanumeric())
        .filter(|word| is_case(word))
        .map(str::to_owned)
        .collect()
}

/// A letter of a group, and a number.
fn is_case(word: &str) -> bool {
    let Some((letter, number)) = word.split_at_checked(1) else {
        return false;
    };
    LETTERS.contains(letter)
        && (1..=2).contains(&number.len())
        && number.bytes().all(|byte| byte.is_ascii_digit())
        && word != NOT_A_CASE
}
