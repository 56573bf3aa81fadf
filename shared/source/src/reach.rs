//! What of the source is read now: a survey's answer, kept for as long as it holds.
//!
//! An index that mapping or settings show to be unfit is left out, and every reading of event times says which ones it left
//! out ([`PointInTime::left_out`](crate::PointInTime::left_out)). What may pass by itself never leaves an index out: the
//! reading fails. Documents by their ids are not read here; they are where their index is.
//!
//! The indices are looked at every 30 seconds, and surveyed anew where they have changed, where one is left out, and
//! every 15 minutes, since mappings change with the documents that come.

use crate::Source;
use crate::error::SourceError;
use crate::fields::{Mappings, TimeResolution};
use crate::query::of_indices;
use crate::survey::{Survey, has_pattern};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

const SURVEY_EVERY: Duration = Duration::from_secs(900);
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// What of the source is read.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Reach {
    /// Without the indices that Elasticsearch refuses to search: for the path of a request.
    pub(crate) name: String,
    /// The indices that a search of the name reaches. `None`: not known.
    open: Option<BTreeSet<String>>,
    /// Those of them that are read, where any is left out, sorted: for the body of a request.
    only: Option<Vec<String>>,
    /// All that are left out, also what no search reaches.
    left_out: Vec<String>,
}

impl Reach {
    /// Nothing is known but the name.
    pub(crate) fn unknown(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ..Self::default()
        }
    }

    /// What a search of `name` reaches, without what is left out.
    pub(crate) fn new(name: &str, open: Vec<String>, left_out: Vec<String>) -> Self {
        let open: BTreeSet<String> = open.into_iter().collect();
        let fit: Vec<String> = open
            .difference(&left_out.iter().cloned().collect())
            .cloned()
            .collect();
        Self {
            name: name.to_owned(),
            only: (fit.len() < open.len()).then_some(fit),
            left_out,
            open: Some(open),
        }
    }

    /// Whether nothing is left to be read.
    pub(crate) fn is_empty(&self) -> bool {
        let is_of_nothing = self.open.as_ref().is_some_and(BTreeSet::is_empty);
        is_of_nothing || self.only().is_some_and(<[String]>::is_empty)
    }

    /// All that are left out.
    pub(crate) fn left_out(&self) -> &[String] {
        &self.left_out
    }

    /// A query that matches what another one matches of what is read.
    pub(crate) fn query_of(&self, query: Value) -> Value {
        let filters: Vec<Value> = [Some(query), of_indices(self.only())]
            .into_iter()
            .flatten()
            .collect();
        json!({"bool": {"filter": filters}})
    }

    /// The indices whose documents may be matched; `None`: all of the name. The shards of others aren't asked
    /// (`Zone::shards`), and so don't refuse.
    pub(crate) fn only(&self) -> Option<&[String]> {
        self.only.as_deref()
    }

    /// How exact the time field is in what is read.
    pub(crate) fn resolution(&self, time_field: &str, mappings: &Mappings) -> TimeResolution {
        let is_read = |index: &String| self.only().is_none_or(|only| only.binary_search(index).is_ok());
        let types = mappings.types_of(time_field).into_iter();
        let read = types.filter(|found| found.indices.iter().any(is_read));
        let (nanos, others): (Vec<_>, Vec<_>) = read.partition(|found| found.name == "date_nanos");
        match (nanos.is_empty(), others.is_empty()) {
            (true, _) => TimeResolution::Millis,
            (false, true) => TimeResolution::Nanos,
            (false, false) => TimeResolution::Mixed,
        }
    }

    /// Whether indices are named in place of the source's name, so that no other one comes to them.
    pub(crate) fn is_by_name(&self, source: &str) -> bool {
        self.name != source && !has_pattern(&self.name)
    }

    /// Whether a search reaches other indices than it did.
    pub(crate) fn differs_from(&self, mappings: &Mappings) -> bool {
        self.open.as_ref().is_some_and(|open| {
            open.len() != mappings.indices.len() || !mappings.indices.iter().all(|index| open.contains(index))
        })
    }
}

/// The newest survey.
pub(crate) struct Surveyed {
    survey: Arc<Survey>,
    surveyed_at: Instant,
    /// `None`: look before the next reading.
    looked_at: Option<Instant>,
}

impl Surveyed {
    fn now(survey: Arc<Survey>) -> Self {
        let now = Instant::now();
        Self {
            survey,
            surveyed_at: now,
            looked_at: Some(now),
        }
    }
}

impl Source {
    /// What is known of the indices, no older than 30 seconds. An error says that Elasticsearch doesn't answer.
    pub async fn surveyed(&self) -> Result<Arc<Survey>, SourceError> {
        let mut surveyed = self.last_survey().lock().await;
        if let Some(last) = surveyed.as_mut() {
            if last.looked_at.is_some_and(|at| at.elapsed() < LOOK_EVERY) {
                return Ok(last.survey.clone());
            }
            let may_be_mended = last.survey.refusal().is_some() || !last.survey.reach().left_out().is_empty();
            let is_due = last.surveyed_at.elapsed() >= SURVEY_EVERY || may_be_mended;
            // An error is a reason to look closer.
            if !is_due && !self.has_changed_since(&last.survey).await.unwrap_or(true) {
                last.looked_at = Some(Instant::now());
                return Ok(last.survey.clone());
            }
        }
        let survey = Arc::new(self.survey_now().await);
        if let Some(outage) = survey.outage() {
            return Err(outage);
        }
        *surveyed = Some(Surveyed::now(survey.clone()));
        Ok(survey)
    }

    /// Finds what is wrong with the indices of the messages, now.
    pub async fn survey(&self) -> Arc<Survey> {
        let survey = Arc::new(self.survey_now().await);
        if survey.outage().is_none() {
            *self.last_survey().lock().await = Some(Surveyed::now(survey.clone()));
        }
        survey
    }

    /// The next reading looks at the indices first.
    pub async fn look_anew(&self) {
        if let Some(last) = self.last_survey().lock().await.as_mut() {
            last.looked_at = None;
        }
    }
}
