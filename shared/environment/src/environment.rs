//! Typed readers that collect what is wrong instead of stopping at the first problem.

use crate::invalid::{Found, InvalidEnvironment, Problem};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

const PREFIX: &str = "GRANARY_";

/// A setting: its name, and what people are told that it should hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variable {
    /// In full, as in `GRANARY_BUCKET`.
    pub name: &'static str,
    /// Completes the sentence "Set it to …": `the name of the S3 bucket that the archive lies in`.
    pub holds: &'static str,
}

/// What a reader gives: the value, or the sign that a problem is on the list.
pub type Reading<T> = Result<T, Rejected>;

/// The sign that a problem was put on the list. Nothing but a reader makes one, so none goes unreported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rejected(());

/// The variables of the process, and what is wrong with those that were read.
#[derive(Debug)]
pub struct Environment {
    values: BTreeMap<String, String>,
    problems: Vec<Problem>,
}

impl Environment {
    /// The environment of this process. Ours must be UTF-8; others that aren't are left out.
    pub fn from_process() -> Self {
        let mut environment = Self {
            values: BTreeMap::new(),
            problems: Vec::new(),
        };
        for (name, value) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            match value.into_string() {
                Ok(value) => {
                    environment.values.insert(name, value);
                }
                Err(_) if name.starts_with(PREFIX) => {
                    environment.report(Problem {
                        name,
                        found: Found::NotText,
                        holds: "UTF-8 text".to_owned(),
                    });
                }
                Err(_) => {}
            }
        }
        environment.check_fault();
        environment
    }

    /// An environment of these variables alone.
    pub fn from_variables<'a>(variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Self {
            values: variables.into_iter().map(owned).collect(),
            problems: Vec::new(),
        }
    }

    /// The text of a variable that must be there.
    pub fn required(&mut self, variable: Variable) -> Reading<String> {
        self.required_parsed(variable, |text| Ok::<_, String>(text.to_owned()))
    }

    /// The text of a variable that may be absent.
    pub fn optional(&self, variable: Variable) -> Option<String> {
        self.text(variable.name)
    }

    /// The value of a variable that must be there. What `parse` finds wrong is shown in brackets, the text too.
    pub fn required_parsed<T, E: Display>(
        &mut self,
        variable: Variable,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Reading<T> {
        match self.optional_parsed(variable, parse)? {
            Some(value) => Ok(value),
            None => Err(self.reject(variable, Found::Nothing)),
        }
    }

    /// The value of a variable that may be absent. What `parse` finds wrong is shown in brackets, the text too.
    pub fn optional_parsed<T, E: Display>(
        &mut self,
        variable: Variable,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Reading<Option<T>> {
        let Some(text) = self.text(variable.name) else {
            return Ok(None);
        };
        match parse(&text) {
            Ok(value) => Ok(Some(value)),
            Err(why) => Err(self.reject(
                variable,
                Found::Text {
                    text,
                    why: Some(why.to_string()),
                },
            )),
        }
    }

    /// A whole number within `range`, and `default` where the variable is absent.
    pub fn number<N>(&mut self, variable: Variable, default: N, range: RangeInclusive<N>) -> Reading<N>
    where
        N: FromStr + PartialOrd + Display,
    {
        let Some(text) = self.text(variable.name) else {
            return Ok(default);
        };
        match text.parse() {
            Ok(number) if range.contains(&number) => Ok(number),
            Ok(_) | Err(_) => {
                let (least, most) = range.into_inner();
                let holds = format!(
                    "{}: a whole number from {least} to {most}, {default} if unset",
                    variable.holds
                );
                let name = variable.name.to_owned();
                Err(self.report(Problem {
                    name,
                    found: Found::Text { text, why: None },
                    holds,
                }))
            }
        }
    }

    /// `true` or `false`, and `false` where the variable is absent.
    pub fn switch(&mut self, variable: Variable) -> Reading<bool> {
        let read = self.optional_parsed(variable, |text| match text {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err("it is neither true nor false"),
        })?;
        Ok(read.unwrap_or(false))
    }

    /// Puts a problem on the list that shows only between settings, or that only the caller can see.
    pub fn refuse(&mut self, variable: Variable, why: impl Display) -> Rejected {
        self.reject(variable, Found::Hidden { why: why.to_string() })
    }

    /// Ends the reading: what `assemble` makes of the values, or everything that is wrong.
    pub fn finish<T>(self, assemble: impl FnOnce() -> Reading<T>) -> Result<T, InvalidEnvironment> {
        match assemble() {
            Ok(configuration) if self.problems.is_empty() => Ok(configuration),
            Ok(_) | Err(Rejected(())) => Err(InvalidEnvironment::new(self.problems)),
        }
    }

    /// A test that misspells its fault must not pass for the lack of it. Release builds know no faults.
    fn check_fault(&mut self) {
        let variable = Variable {
            name: granary_steps::VARIABLE,
            holds: "a step, before, after or twice, and perhaps the how-manieth time, as in settle_batch:after:2",
        };
        // What is wrong with it is on the list.
        let _ = self.optional_parsed(variable, granary_steps::check_fault);
    }

    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.values.get(name).filter(|text| !text.is_empty()).cloned()
    }

    pub(crate) fn reject(&mut self, variable: Variable, found: Found) -> Rejected {
        self.report(Problem {
            name: variable.name.to_owned(),
            found,
            holds: variable.holds.to_owned(),
        })
    }

    /// Once, also where several sections read the same setting.
    pub(crate) fn report(&mut self, problem: Problem) -> Rejected {
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
        Rejected(())
    }
}
