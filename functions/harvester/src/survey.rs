//! Whether the source is fit to be read, asked at start, when its indices change, and every 15 minutes.
//!
//! Nothing is read of a source with a problem that is refused: windows are deferred, and their reason names index, field
//! and remedy. A problem that is reported stops nothing: it is logged, and an alert is raised once. What is wrong is
//! `granary_source`'s to find.
//!
//! Where Elasticsearch doesn't answer, nothing is known, and the next read fails with that outage.

use crate::harvest::Harvester;
use granary_domain::MetadataSource;
use granary_ledger::{Ledger, LedgerError};
use granary_source::{Severity, Source, SourceError, SourceProblem, Survey};
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

const ALERT: &str = "source_problem";
/// Mappings change with the documents that come.
const SURVEY_EVERY: Duration = Duration::from_secs(900);
/// A tick looks for new indices before its first page, and then so often.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// What is known of the source.
pub(crate) struct Surveyed {
    metadata: Vec<MetadataSource>,
    last: Mutex<Last>,
}

struct Last {
    survey: Survey,
    surveyed_at: Instant,
    /// `None`: not in this tick.
    looked_at: Option<Instant>,
}

impl Surveyed {
    /// A first survey: refuses a source that can't be harvested, with all problems at once.
    pub(crate) async fn first(
        source: &Source,
        ledger: &Ledger,
        metadata: Vec<MetadataSource>,
    ) -> anyhow::Result<Self> {
        let survey = source.survey().await;
        tell(source, ledger, &survey, &metadata).await?;
        let refused: Vec<String> = survey
            .of(Severity::Refused)
            .map(|problem| format!("- {problem}"))
            .collect();
        if !refused.is_empty() {
            anyhow::bail!("the source can't be harvested:\n{}", refused.join("\n"));
        }
        let last = Last {
            survey,
            surveyed_at: Instant::now(),
            looked_at: None,
        };
        Ok(Self {
            metadata,
            last: Mutex::new(last),
        })
    }
}

impl Harvester {
    /// A new tick looks at the indices before it reads.
    pub(crate) async fn look_anew(&self) {
        self.surveyed.last.lock().await.looked_at = None;
    }

    /// Why nothing can be read of the source now, if so.
    pub(crate) async fn unfitness(&self) -> anyhow::Result<Option<SourceError>> {
        let surveyed = &self.surveyed;
        let mut last = surveyed.last.lock().await;
        if last.looked_at.is_some_and(|at| at.elapsed() < LOOK_EVERY) {
            return Ok(last.survey.refusal());
        }
        let is_due = last.surveyed_at.elapsed() >= SURVEY_EVERY || last.survey.refusal().is_some();
        if is_due || self.has_changed(&last.survey).await {
            let survey = self.source.survey().await;
            if survey.problems().iter().any(SourceProblem::is_outage) {
                return Ok(None);
            }
            tell(&self.source, &self.ledger, &survey, &surveyed.metadata).await?;
            last.survey = survey;
            last.surveyed_at = Instant::now();
        }
        last.looked_at = Some(Instant::now());
        Ok(last.survey.refusal())
    }

    /// An error is a reason to look closer.
    async fn has_changed(&self, survey: &Survey) -> bool {
        self.source.has_changed_since(survey).await.unwrap_or(true)
    }
}

/// Logs what was found, and writes an alert for each problem that has none. An outage has its own alert.
async fn tell(
    source: &Source,
    ledger: &Ledger,
    survey: &Survey,
    metadata: &[MetadataSource],
) -> Result<(), LedgerError> {
    let mut problems: Vec<SourceProblem> = survey.problems().to_vec();
    for from in metadata {
        problems.extend(source.survey_metadata(from).await);
    }
    for problem in problems.iter().filter(|problem| !problem.is_outage()) {
        let cause = match problem.severity() {
            Severity::Reported => "reported",
            Severity::Refused => "refused",
        };
        tracing::warn!(cause, "the source has a problem: {problem}");
        ledger
            .raise_alert(ALERT, &problem.key(), cause, &problem.to_string())
            .await?;
    }
    Ok(())
}
