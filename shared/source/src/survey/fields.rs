//! What mappings show of the fields that hold ids, event times and the keys of metadata.
//!
//! A field is fit if and only if each document's value can be read from doc values as it was indexed, and searched for.

use super::definitions::{Definition, Definitions, is_true};
use super::indices::Indices;
use crate::Source;
use crate::error::SourceError;
use crate::fields::{FieldType, Mappings};
use crate::metadata_key::parents;
use crate::problem::{FieldRole, Flaw, SourceProblem};
use crate::settings::DOC_ID_FIELD;
use std::collections::{BTreeMap, BTreeSet};

/// Where indices differ, the ones with the first of these are read.
const ID_TYPES: [&str; 6] = ["keyword", "long", "integer", "short", "byte", "unsigned_long"];
const FLATTENED: &str = "flattened";
const TIME_TYPES: [&str; 2] = ["date", "date_nanos"];
/// What Elasticsearch takes for a number that is none.
const COERCED_TYPES: [&str; 4] = ["long", "integer", "short", "byte"];
/// As long as a message's id may be, in bytes. `ignore_above` counts characters, which are no shorter.
const ID_LENGTH_MAX: u64 = 512;

/// One configured field in some indices.
pub(crate) struct Field<'a> {
    role: FieldRole,
    name: &'a str,
    mappings: &'a Mappings,
    definitions: &'a Definitions,
    indices: &'a Indices,
    /// Where searches know it.
    known_in: BTreeSet<String>,
    /// Where it lies in a nested object.
    nested_in: BTreeSet<String>,
    /// Where it lies below a flattened field.
    flattened_in: BTreeSet<String>,
}

impl<'a> Field<'a> {
    pub(crate) fn new(
        (role, name): (FieldRole, &'a str),
        mappings: &'a Mappings,
        definitions: &'a Definitions,
        indices: &'a Indices,
    ) -> Self {
        let parents_of = |kind: &str| {
            let found = parents(name).flat_map(|parent| mappings.types_of(parent));
            let of_kind = found.filter(|found| found.name == kind);
            of_kind.flat_map(|found| found.indices).collect()
        };
        Self {
            role,
            name,
            mappings,
            definitions,
            indices,
            known_in: mappings
                .types_of(name)
                .into_iter()
                .flat_map(|found| found.indices)
                .collect(),
            nested_in: parents_of("nested"),
            flattened_in: parents_of(FLATTENED),
        }
    }

    /// What its types and definitions show.
    pub(crate) fn problems(&self) -> Vec<SourceProblem> {
        let mut problems = self.wrong_types();
        problems.extend(self.flaws());
        problems
    }

    fn wrong_types(&self) -> Vec<SourceProblem> {
        let accepted: &[&str] = match self.role {
            FieldRole::Id => &ID_TYPES,
            FieldRole::Time => &TIME_TYPES,
            // What a key may be is decided where it is looked up.
            FieldRole::Key(_) => return Vec::new(),
        };
        let mut problems = Vec::new();
        for found in self.mappings.types_of(self.name) {
            // Elasticsearch 7 names a field below a flattened one so, and later ones don't name it.
            if found.name == FLATTENED && !self.flattened_in.is_empty() {
                continue;
            }
            let (role, field) = (self.role.clone(), self.name.to_owned());
            if !accepted.contains(&found.name.as_str()) {
                problems.push(SourceProblem::WrongType {
                    role,
                    field,
                    found: found.name,
                    indices: found.indices,
                });
            } else if !found.unusable_in.is_empty() {
                problems.push(SourceProblem::Unsorted {
                    role,
                    field,
                    indices: found.unusable_in,
                });
            }
        }
        problems
    }

    /// The flaws, each with all indices that have it.
    pub(crate) fn flaws(&self) -> Vec<SourceProblem> {
        let mut found: BTreeMap<Flaw, Vec<String>> = BTreeMap::new();
        for index in &self.mappings.indices {
            for flaw in self.flaws_in(index) {
                found.entry(flaw).or_default().push(index.clone());
            }
        }
        let types = self.mappings.types_of(self.name);
        if self.role == FieldRole::Id {
            let others = others_than_first(types);
            if !others.is_empty() {
                found.insert(Flaw::SeveralTypes, others);
            }
        }
        found
            .into_iter()
            .map(|(flaw, indices)| SourceProblem::Flawed {
                role: self.role.clone(),
                field: self.name.to_owned(),
                flaw,
                indices,
            })
            .collect()
    }

    fn flaws_in(&self, index: &str) -> Vec<Flaw> {
        if self.nested_in.contains(index) {
            return vec![Flaw::Nested];
        }
        let Some(definition) = self.definitions.of(index, self.name) else {
            return self.flaw_of_undefined(index).into_iter().collect();
        };
        match self.role {
            FieldRole::Time => definition
                .has_null_value()
                .then_some(Flaw::NullValue)
                .into_iter()
                .collect(),
            FieldRole::Id | FieldRole::Key(_) => {
                let is_coerced = COERCED_TYPES.contains(&definition.kind.as_str())
                    && definition
                        .coerce
                        .as_ref()
                        .map_or_else(|| self.indices.coerces(index), is_true);
                let is_constant = self.role == FieldRole::Id && definition.kind == "constant_keyword";
                let own = [
                    definition.has_null_value().then_some(Flaw::NullValue),
                    is_constant.then_some(Flaw::Constant),
                    is_coerced.then_some(Flaw::Coerced),
                ];
                own.into_iter()
                    .flatten()
                    .chain(self.text_flaws(index, definition))
                    .collect()
            }
        }
    }

    /// What keeps a keyword from holding every id as it is.
    fn text_flaws(&self, index: &str, definition: &Definition) -> impl Iterator<Item = Flaw> {
        let ignore_above = definition.ignore_above.or_else(|| {
            let is_text = definition.kind == "keyword";
            is_text.then(|| self.indices.ignore_above(index)).flatten()
        });
        let shortened = ignore_above
            .filter(|ignore_above| *ignore_above < ID_LENGTH_MAX)
            .map(|ignore_above| Flaw::Shortened { ignore_above });
        let normalized = definition.normalizer.is_some().then_some(Flaw::Normalized);
        [normalized, shortened].into_iter().flatten()
    }

    /// A field that searches know and the mapping doesn't define is a runtime field. One below a flattened field is in
    /// neither.
    fn flaw_of_undefined(&self, index: &str) -> Option<Flaw> {
        if self.flattened_in.contains(index) {
            return (self.role == FieldRole::Time).then_some(Flaw::Flattened);
        }
        (self.known_in.contains(index) && self.name != DOC_ID_FIELD).then_some(Flaw::Runtime)
    }

    /// The indices that don't know the field in any way.
    fn unknown_in(&self) -> Vec<String> {
        let knows = |index: &&String| self.known_in.contains(*index) || self.flattened_in.contains(*index);
        let indices = self.mappings.indices.iter();
        indices.filter(|index| !knows(index)).cloned().collect()
    }
}

/// The indices whose ids have another type than those that count: of the types that are there the first of [`ID_TYPES`].
fn others_than_first(types: Vec<FieldType>) -> Vec<String> {
    let place = |found: &FieldType| ID_TYPES.iter().position(|name| *name == found.name);
    let Some(first) = types.iter().filter_map(place).min() else {
        return Vec::new();
    };
    let others = types
        .into_iter()
        .filter(|found| place(found).is_some_and(|place| place > first));
    others.flat_map(|found| found.indices).collect()
}

impl Definition {
    fn has_null_value(&self) -> bool {
        self.null_value.as_ref().is_some_and(|value| !value.is_null())
    }
}

impl Source {
    /// An index without documents may lack the field still: the first document brings it.
    pub(crate) async fn unknown_field(
        &self,
        name: &str,
        field: &Field<'_>,
    ) -> Result<Option<SourceProblem>, SourceError> {
        let unknown = field.unknown_in();
        let indices = self.with_documents(name, unknown).await?;
        Ok((!indices.is_empty()).then(|| SourceProblem::UnknownField {
            role: field.role.clone(),
            field: field.name.to_owned(),
            indices,
        }))
    }
}
