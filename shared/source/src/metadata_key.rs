//! How a metadata source is looked up: what its key and its sort field can hold, by their mappings.
//!
//! A key that can't find what it should (a `text`, which is indexed word by word; a field that isn't mapped) would leave
//! each message without its metadata and say nothing. So it is refused, with index, field and remedy. Mappings are
//! asked for again after a minute, since indices come and change.

use crate::Source;
use crate::error::SourceError;
use crate::fields::{FieldType, Mappings};
use crate::problem::{Role, named};
use crate::settings::DOC_ID_FIELD;
use crate::survey::remote_name;
use granary_domain::MetadataSource;
use std::time::{Duration, Instant};

const OPERATION: &str = "read metadata";
const KNOWN_FOR: Duration = Duration::from_secs(60);
/// As `_field_caps` names them; `constant_keyword` and `wildcard` count as `keyword` there.
const TEXT_KEYS: [&str; 2] = ["keyword", "flattened"];
const DATES: [&str; 2] = ["date", "date_nanos"];

/// How one metadata source is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lookup {
    pub(crate) key: KeyForm,
    pub(crate) order: EntryOrder,
}

/// Which ids a key can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyForm {
    /// Every id.
    Text,
    /// Whole numbers in a range, in their plain digits. No entry has another id, and Elasticsearch refuses to look for one.
    WholeNumber { min: i128, max: i128 },
}

/// How entries are ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EntryOrder {
    /// As Elasticsearch sorts them.
    Elasticsearchs,
    /// By instant, here: Elasticsearch compares milliseconds of a `date` with nanoseconds of a `date_nanos`, and can't
    /// turn every instant of the one into the other.
    ByInstant,
}

impl KeyForm {
    /// Whether an entry may have this id.
    pub(crate) fn can_hold(self, id: &str) -> bool {
        match self {
            Self::Text => true,
            Self::WholeNumber { min, max } => id
                .parse::<i128>()
                .is_ok_and(|number| (min..=max).contains(&number) && number.to_string() == id),
        }
    }

    fn of(type_name: &str) -> Option<Self> {
        let whole = |min, max| Some(Self::WholeNumber { min, max });
        match type_name {
            "long" => whole(i64::MIN.into(), i64::MAX.into()),
            "integer" => whole(i32::MIN.into(), i32::MAX.into()),
            "short" => whole(i16::MIN.into(), i16::MAX.into()),
            "byte" => whole(i8::MIN.into(), i8::MAX.into()),
            "unsigned_long" => whole(0, u64::MAX.into()),
            name if TEXT_KEYS.contains(&name) => Some(Self::Text),
            _ => None,
        }
    }
}

impl Source {
    /// How a metadata source is looked up now. `None`: there is no such index.
    pub(crate) async fn lookup_of(&self, from: &MetadataSource) -> Result<Option<Lookup>, SourceError> {
        let name = format!("{}\n{}\n{:?}", from.index, from.key, from.sort);
        if let Some((asked_at, lookup)) = self.lookups().get(&name)
            && asked_at.elapsed() < KNOWN_FOR
        {
            return Ok(Some(*lookup));
        }
        if let Some(remote) = remote_name(Role::Metadata(from.name.clone()), &from.index) {
            return Err(refused(remote.to_string()));
        }
        let fields = asked_for(from);
        let mappings = match self.mappings_of(&from.index, &fields).await {
            Err(error) if error.is_unknown_index() => return Ok(None),
            mappings => mappings.map_err(|error| naming(from, error))?,
        };
        if mappings.indices.is_empty() {
            return Ok(None);
        }
        if let Some(problem) = self.key_refusal(from, &mappings).await? {
            return Err(refused(problem.to_string()));
        }
        let lookup = Lookup {
            key: self.key_form(from, &mappings).await?,
            order: order_of(from, &mappings)?,
        };
        self.lookups().insert(name, (Instant::now(), lookup));
        Ok(Some(lookup))
    }

    async fn key_form(&self, from: &MetadataSource, mappings: &Mappings) -> Result<KeyForm, SourceError> {
        if from.key == DOC_ID_FIELD {
            return Ok(KeyForm::Text);
        }
        let types = mappings.types_of(&from.key);
        match types.as_slice() {
            [] => self.form_of_unmapped(from, mappings).await,
            [found] if !found.unusable_in.is_empty() && found.name != "text" => Err(refused_key(
                from,
                &found.unusable_in,
                "isn't indexed or has no doc values",
                "Reindex these with `index` and `doc_values` on",
            )),
            [found] => KeyForm::of(&found.name).ok_or_else(|| wrong_type(from, found)),
            [first, ..] => {
                let wrong = types.iter().find(|found| KeyForm::of(&found.name).is_none());
                Err(wrong.map_or_else(
                    || {
                        let indices: Vec<String> =
                            types.iter().flat_map(|found| found.indices.clone()).collect();
                        refused_key(from, &indices, "has several types", "Reindex these with one type")
                    },
                    |wrong| wrong_type(from, if wrong.indices.is_empty() { first } else { wrong }),
                ))
            }
        }
    }

    /// A key below a `flattened` field isn't in the mapping. Any other has to be, once there are documents.
    async fn form_of_unmapped(
        &self,
        from: &MetadataSource,
        mappings: &Mappings,
    ) -> Result<KeyForm, SourceError> {
        let is_flattened = |parent: &str| {
            mappings
                .types_of(parent)
                .iter()
                .any(|found| found.name == "flattened")
        };
        if parents(&from.key).any(is_flattened) {
            return Ok(KeyForm::Text);
        }
        let indices = self.with_documents(&from.index, mappings.indices.clone()).await?;
        if indices.is_empty() {
            return Ok(KeyForm::Text);
        }
        Err(refused_key(
            from,
            &indices,
            "isn't mapped, though there are documents",
            "Correct the name, or map it as a keyword",
        ))
    }
}

fn asked_for(from: &MetadataSource) -> String {
    let mut fields = vec![from.key.as_str()];
    fields.extend(parents(&from.key));
    fields.extend(from.sort.as_deref());
    fields.join(",")
}

/// `a` and `a.b` of `a.b.c`.
pub(crate) fn parents(field: &str) -> impl Iterator<Item = &str> {
    field.match_indices('.').map(|(end, _)| &field[..end])
}

fn order_of(from: &MetadataSource, mappings: &Mappings) -> Result<EntryOrder, SourceError> {
    let Some(field) = &from.sort else {
        return Ok(EntryOrder::Elasticsearchs);
    };
    let types = mappings.types_of(field);
    let dates = types
        .iter()
        .filter(|found| DATES.contains(&found.name.as_str()))
        .count();
    match (dates, types.len()) {
        (0, _) => Ok(EntryOrder::Elasticsearchs),
        (dates, all) if dates == all => Ok(EntryOrder::ByInstant),
        (_, _) => {
            let indices: Vec<String> = types.iter().flat_map(|found| found.indices.clone()).collect();
            Err(refused(format!(
                "GRANARY_METADATA_SOURCES {:?} is sorted by {field:?}, which is a date in some of {} and none in others. \
                 Reindex these with one type",
                from.name.as_str(),
                named(&indices)
            )))
        }
    }
}

fn wrong_type(from: &MetadataSource, found: &FieldType) -> SourceError {
    let remedy = if found.name == "text" {
        format!(
            "Name its keyword sub-field (often \"{}.keyword\") if every index has one, or reindex these",
            from.key
        )
    } else {
        "Name another field, or reindex these".to_owned()
    };
    refused_key(
        from,
        &found.indices,
        &format!("must be a keyword or a whole number, but is {}", found.name),
        &remedy,
    )
}

fn refused_key(from: &MetadataSource, indices: &[String], what: &str, remedy: &str) -> SourceError {
    refused(format!(
        "the key {:?} of GRANARY_METADATA_SOURCES {:?} {what} in {}. {remedy}",
        from.key,
        from.name.as_str(),
        named(indices)
    ))
}

/// Elasticsearch doesn't say of which index it refuses the mappings.
fn naming(from: &MetadataSource, mut error: SourceError) -> SourceError {
    if let SourceError::Refused { reason, .. } = &mut error {
        *reason = format!(
            "{reason} ({} of GRANARY_METADATA_SOURCES {:?})",
            from.index,
            from.name.as_str()
        );
    }
    error
}

fn refused(reason: String) -> SourceError {
    SourceError::Refused {
        operation: OPERATION,
        status: 200,
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e5_a_key_of_numbers_holds_their_plain_digits_within_its_range() {
        let long = KeyForm::of("long").unwrap();
        assert!(
            ["7", "-1", "9223372036854775807"]
                .iter()
                .all(|id| long.can_hold(id))
        );
        let others = [
            "msg-8",
            "007",
            "+7",
            "7.0",
            "-0",
            "",
            "9223372036854775808",
            "99999999999999999999",
        ];
        assert!(others.iter().all(|id| !long.can_hold(id)));
        assert!(
            KeyForm::of("unsigned_long")
                .unwrap()
                .can_hold("18446744073709551615")
        );
        assert!(!KeyForm::of("byte").unwrap().can_hold("128"));
        assert!(KeyForm::of("keyword").unwrap().can_hold("msg-8"));
        assert_eq!(["text", "date", "double", "ip"].map(KeyForm::of), [None; 4]);
    }
}
