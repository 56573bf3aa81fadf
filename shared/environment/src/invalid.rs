//! Everything that is wrong with an environment, for the person who deploys it.

use std::fmt;

/// How much of a value is shown. A long one is recognised by its beginning.
const SHOWN_CHARS_MAX: usize = 200;

/// Settings that are missing or wrong: all of them, one a line, numbered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct InvalidEnvironment {
    problems: Vec<Problem>,
}

impl InvalidEnvironment {
    pub(crate) fn new(problems: Vec<Problem>) -> Self {
        Self { problems }
    }
}

impl fmt::Display for InvalidEnvironment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problems.len() {
            1 => write!(f, "one setting is missing or wrong:")?,
            count => write!(f, "{count} settings are missing or wrong:")?,
        }
        for (number, problem) in (1..).zip(&self.problems) {
            write!(f, "\n{number}. {problem}")?;
        }
        Ok(())
    }
}

/// One setting that is missing or wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) name: String,
    pub(crate) found: Found,
    /// Completes the sentence "Set it to …".
    pub(crate) holds: String,
}

/// What was found instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    Nothing,
    NotText,
    Text {
        text: String,
        why: Option<String>,
    },
    /// The value may be a secret, or isn't what is at fault; `why` never quotes it.
    Hidden {
        why: String,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match &self.found {
            Found::Nothing => write!(f, "{name} is not set.")?,
            Found::NotText => write!(f, "{name} is not text.")?,
            Found::Text { text, why: None } => write!(f, "{name} is {}.", shortened(text))?,
            Found::Text { text, why: Some(why) } => write!(f, "{name} is {} ({why}).", shortened(text))?,
            Found::Hidden { why } => write!(f, "{name} can't be used: {why}.")?,
        }
        write!(f, " Set it to {}.", self.holds)
    }
}

/// As it was written where that is one readable line, so that a position in it can be found; escaped where not.
fn shortened(text: &str) -> String {
    let (start, rest) = match text.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => (&text[..end], "…"),
        None => (text, ""),
    };
    if start.contains(char::is_control) {
        format!("`{}{rest}`", start.escape_debug())
    } else {
        format!("`{start}{rest}`")
    }
}
