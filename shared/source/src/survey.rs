//! A survey of the source: whether it can be harvested without losing anything, and what of it isn't archived.
//!
//! It reads mappings, settings and a sample of ids, never a message, and costs a fixed number of requests, however many
//! indices there are. All problems are found before any is reported, as far as one doesn't hide the other. What a caller
//! does about a problem its [severity](crate::Severity) says.
//!
//! Where a request fails, the problem is the failure, together with what was found before.

mod name;
mod aliases;
mod indices;
mod definitions;
mod fields;
mod limits;
mod sample;

use crate::Source;
use crate::error::SourceError;
use crate::fields::Mappings;
use crate::problem::{FieldRole, Flaw, Kept, Role, Severity, SourceProblem};
use crate::reach::Reach;
use fields::Field;
use granary_domain::MetadataSource;
use indices::Indices;
use limits::Needed;
pub(crate) use name::has_pattern;
use std::collections::{BTreeMap, BTreeSet};

/// What was found, and of which indices.
#[derive(Debug, Default)]
pub struct Survey {
    problems: Vec<SourceProblem>,
    indices: Indices,
    reach: Reach,
    /// Under which Elasticsearch says that it ignored an event time.
    time_names: Vec<String>,
}

/// An index that isn't read, as mapping or settings show that it can't be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeftOutIndex<'a> {
    /// Its name.
    pub index: &'a str,
    /// Why, and what to do.
    pub problem: &'a SourceProblem,
}

impl Survey {
    /// All problems.
    pub fn problems(&self) -> &[SourceProblem] {
        &self.problems
    }

    /// The problems of one severity.
    pub fn of(&self, severity: Severity) -> impl Iterator<Item = &SourceProblem> {
        self.problems
            .iter()
            .filter(move |problem| problem.severity() == severity)
    }

    /// The problems that keep everything from being read. Where no index is left to be read, these are also those of the
    /// indices.
    pub fn refusals(&self) -> Vec<&SourceProblem> {
        let refused = self.of(Severity::Refused);
        if self.reach.is_empty() {
            refused.chain(self.of(Severity::LeftOut)).collect()
        } else {
            refused.collect()
        }
    }

    /// The refusals as an error: what keeps a page from being read.
    pub fn refusal(&self) -> Option<SourceError> {
        let refused: Vec<String> = self.refusals().iter().map(ToString::to_string).collect();
        (!refused.is_empty()).then(|| SourceError::Refused {
            operation: "harvest the source",
            status: 200,
            reason: refused.join("; "),
        })
    }

    /// The indices that aren't read, by name, each with the first reason.
    pub fn left_out(&self) -> Vec<LeftOutIndex<'_>> {
        let problems = self.of(Severity::LeftOut);
        let all = problems.flat_map(|problem| {
            let indices = problem.indices().iter();
            indices.map(move |index| LeftOutIndex { index, problem })
        });
        let mut left_out: Vec<LeftOutIndex<'_>> = all.collect();
        left_out.sort_by_key(|left_out| left_out.index);
        left_out.dedup_by_key(|left_out| left_out.index);
        left_out
    }

    /// Their names alone.
    pub fn left_out_names(&self) -> &[String] {
        self.reach.left_out()
    }

    /// The platform's failure that kept the survey from its end, if there was one.
    pub(crate) fn outage(&self) -> Option<SourceError> {
        let outage = self.problems.iter().find(|problem| problem.is_outage())?;
        if let SourceProblem::Unchecked(error) = outage {
            return Some(error.clone());
        }
        Some(SourceError::Unavailable {
            operation: "survey the source",
            status: None,
            retry_after: None,
            reason: outage.to_string(),
        })
    }

    /// What of the source is read.
    pub(crate) fn reach(&self) -> &Reach {
        &self.reach
    }

    /// The names of the fields that hold event times.
    pub(crate) fn time_names(&self) -> &[String] {
        &self.time_names
    }
}

impl Source {
    /// Finds what is wrong with the indices of the messages, now.
    pub(crate) async fn survey_now(&self) -> Survey {
        let mut survey = Survey {
            reach: Reach::unknown(&self.settings().index),
            ..Survey::default()
        };
        if let Err(error) = self.look_at_messages(&mut survey).await {
            let problem = SourceProblem::from_error(error, &self.settings().index);
            survey.problems.push(problem);
        }
        survey
    }

    /// Finds what is wrong with the indices of a metadata source. One that has none yet is fine.
    pub async fn survey_metadata(&self, from: &MetadataSource) -> Vec<SourceProblem> {
        let mut problems = Vec::new();
        match self.look_at_metadata(from, &mut problems).await {
            Ok(()) => {}
            Err(error) if error.is_unknown_index() => {}
            Err(error) => problems.push(SourceProblem::from_error(error, &from.index)),
        }
        problems
    }

    /// Whether the indices behind the source's name, or their settings, are others than when they were surveyed.
    pub async fn has_changed_since(&self, survey: &Survey) -> Result<bool, SourceError> {
        Ok(self.indices_of(&self.settings().index).await? != survey.indices)
    }

    async fn look_at_messages(&self, survey: &mut Survey) -> Result<(), SourceError> {
        let settings = self.settings();
        if let Some(remote) = remote_name(Role::Messages, &settings.index) {
            survey.problems.push(remote);
            return Ok(());
        }
        if let Err(
            problem @ (SourceProblem::TooOld { .. }
            | SourceProblem::Unreachable { .. }
            | SourceProblem::NotElasticsearch { server: Some(_), .. }),
        ) = self.version().await
        {
            survey.problems.push(problem);
            return Ok(());
        }
        survey.indices = self.indices_of(&settings.index).await?;
        if survey.indices.is_empty() {
            let index = settings.index.clone();
            survey.problems.push(SourceProblem::UnknownIndex { index });
            return Ok(());
        }
        let filtered = self.filtered_aliases(&settings.index).await?;
        let Some(name) = survey.indices.searchable(&settings.index, filtered.is_some()) else {
            survey.problems.extend(survey.indices.blocked());
            // Without a block a closed index is all there is: what Elasticsearch says of it is the problem.
            if survey.problems.is_empty() {
                self.mappings_of(&settings.index, &settings.time_field).await?;
            }
            return Ok(());
        };
        self.look_into_messages(survey, &name, filtered).await
    }

    /// The indices are there. `name`: without those that Elasticsearch refuses to search.
    async fn look_into_messages(
        &self,
        survey: &mut Survey,
        name: &str,
        filtered: Option<SourceProblem>,
    ) -> Result<(), SourceError> {
        let settings = self.settings();
        let indices = &survey.indices;
        let configured: Vec<(FieldRole, &str)> = match settings.id_is_doc_id() {
            true => vec![(FieldRole::Time, settings.time_field.as_str())],
            false => vec![
                (FieldRole::Time, settings.time_field.as_str()),
                (FieldRole::Id, settings.id_field.as_str()),
            ],
        };
        let names: Vec<&str> = configured.iter().map(|(_, field)| *field).collect();
        let all = with_parents(&names);
        let (mappings, definitions, limits) = tokio::try_join!(
            self.mappings_of(name, &all),
            self.definitions_of(name, &names),
            self.cluster_limits(),
        )?;
        let mut found = Vec::new();
        if mappings.indices.is_empty() {
            found.push(SourceProblem::UnknownIndex {
                index: name.to_owned(),
            });
        }
        for of_field in configured {
            let field = Field::new(of_field, &mappings, &definitions, indices);
            found.extend(field.problems());
            found.extend(self.unknown_field(name, &field).await?);
        }
        let is_runtime = |problem: &SourceProblem| {
            matches!(
                problem,
                SourceProblem::Flawed {
                    flaw: Flaw::Runtime,
                    ..
                }
            )
        };
        let needed = Needed {
            shards: indices.shards(&mappings.indices),
            has_runtime_field: found.iter().any(is_runtime),
        };
        found.extend(limits.problems(&needed));
        found.extend(indices.problems(&Role::Messages, &mappings.indices, &settings.index));
        found.extend(
            self.kept_problems(&Role::Messages, name, indices, &mappings.indices)
                .await?,
        );
        survey.problems.extend(found);
        survey.time_names = definitions.names_of(&settings.time_field);
        let left_out: Vec<String> = survey.left_out().iter().map(|out| out.index.to_owned()).collect();
        survey.reach = Reach::new(name, mappings.indices, left_out);
        survey.problems.extend(self.filter_problem(name).await?);
        survey.problems.extend(filtered);
        if survey.refusals().is_empty() {
            let sample = self.sample_problems(&survey.reach).await?;
            survey.problems.extend(sample);
        }
        Ok(())
    }

    async fn look_at_metadata(
        &self,
        from: &MetadataSource,
        problems: &mut Vec<SourceProblem>,
    ) -> Result<(), SourceError> {
        let role = Role::Metadata(from.name.clone());
        if let Some(remote) = remote_name(role.clone(), &from.index) {
            problems.push(remote);
            return Ok(());
        }
        let indices = self.indices_of(&from.index).await?;
        if indices.is_empty() {
            return Ok(());
        }
        if let Some(blocked) = indices.blocked() {
            problems.push(blocked);
            return Ok(());
        }
        match self.lookup_of(from).await {
            Ok(_) => {}
            Err(SourceError::Refused {
                status: 200, reason, ..
            }) => problems.push(SourceProblem::Lookup { reason }),
            Err(error) => return Err(error),
        }
        let fields = with_parents(&[&from.key]);
        let mappings = self.mappings_of(&from.index, &fields).await?;
        let flaws = self.key_flaws(from, &mappings, &indices).await?;
        problems.extend(
            flaws
                .into_iter()
                .filter(|flaw| flaw.severity() == Severity::Reported),
        );
        problems.extend(indices.problems(&role, &mappings.indices, &from.index));
        problems.extend(
            self.kept_problems(&role, &from.index, &indices, &mappings.indices)
                .await?,
        );
        Ok(())
    }

    /// What settings and mappings say of `_source` in the indices that are read. A mapping overrules the mode of an index.
    async fn kept_problems(
        &self,
        role: &Role,
        name: &str,
        indices: &Indices,
        read: &[String],
    ) -> Result<Vec<SourceProblem>, SourceError> {
        let read: BTreeSet<&String> = read.iter().collect();
        let mut by_index: BTreeMap<String, Kept> = indices.kept().collect();
        by_index.extend(self.kept_by_mappings(name).await?);
        by_index.retain(|index, _| read.contains(index));
        let mut by_kind: BTreeMap<Kept, Vec<String>> = BTreeMap::new();
        for (index, kept) in by_index {
            by_kind.entry(kept).or_default().push(index);
        }
        if indices.keep_vectors_apart() {
            let mut with_vectors = self.indices_with_vectors(name).await?;
            with_vectors.retain(|index| indices.keeps_vectors_apart(index));
            if !with_vectors.is_empty() {
                by_kind.insert(Kept::AllButVectors, with_vectors.into_iter().collect());
            }
        }
        let problem = |(kept, indices)| SourceProblem::SourceKept {
            role: role.clone(),
            kept,
            indices,
        };
        Ok(by_kind.into_iter().map(problem).collect())
    }

    /// What keeps the key of a metadata source from finding every entry.
    async fn key_flaws(
        &self,
        from: &MetadataSource,
        mappings: &Mappings,
        indices: &Indices,
    ) -> Result<Vec<SourceProblem>, SourceError> {
        let definitions = self.definitions_of(&from.index, &[&from.key]).await?;
        let role = FieldRole::Key(from.name.clone());
        Ok(Field::new((role, &from.key), mappings, &definitions, indices).flaws())
    }

    /// What keeps the key of a metadata source from being searched for at all.
    pub(crate) async fn key_refusal(
        &self,
        from: &MetadataSource,
        mappings: &Mappings,
    ) -> Result<Option<SourceProblem>, SourceError> {
        let flaws = self.key_flaws(from, mappings, &Indices::default()).await?;
        Ok(flaws
            .into_iter()
            .find(|flaw| flaw.severity() == Severity::Refused))
    }
}

/// Fields together with the objects that they lie in, as a list.
fn with_parents(fields: &[&str]) -> String {
    let mut all: Vec<&str> = fields.to_vec();
    for field in fields {
        all.extend(crate::metadata_key::parents(field));
    }
    all.join(",")
}

/// The first name of a list that has a cluster's prefix. Date math (`<logs-{now/d}>`) may hold colons of its own.
pub(crate) fn remote_name(role: Role, index: &str) -> Option<SourceProblem> {
    let is_remote = |name: &&str| name.split('<').next().is_some_and(|prefix| prefix.contains(':'));
    let name = index.split(',').map(str::trim).find(is_remote)?.to_owned();
    Some(SourceProblem::Remote { role, name })
}
