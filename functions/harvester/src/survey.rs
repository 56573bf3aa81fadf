//! What is wrong with the source, told at start and whenever it changes.
//!
//! Nothing is read of a source with a problem that is refused: windows are deferred, and their reason names index, field
//! and remedy. An index that can't be read is left out of the windows, which record it. A problem that is reported stops nothing.
//! Each is logged, and raises one alert, which ends once the problem is gone. What is wrong, and when it is looked for, is `granary_source`'s to decide.
//!
//! Where Elasticsearch doesn't answer, nothing is known, and the next read fails with that outage.

use crate::harvest::Harvester;
use granary_domain::MetadataSource;
use granary_ledger::{Ledger, LedgerError};
use granary_source::{Severity, Source, SourceError, SourceProblem, Survey};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

const ALERT: &str = "source_problem";
/// The metadata's problems are looked for when the messages' change, and so often.
const TELL_EVERY: Duration = Duration::from_secs(900);

/// What was told last.
pub(crate) struct Told {
    metadata: Vec<MetadataSource>,
    last: Mutex<(Arc<Survey>, Instant)>,
}

impl Told {
    /// A first survey: refuses a source that can't be harvested, with all problems at once.
    pub(crate) async fn first(
        source: &Source,
        ledger: &Ledger,
        metadata: Vec<MetadataSource>,
    ) -> anyhow::Result<Self> {
        let survey = source.survey().await;
        tell(source, ledger, &survey, &metadata).await?;
        let refused = survey.refusals();
        if !refused.is_empty() {
            let refused: Vec<String> = refused.iter().map(|problem| format!("- {problem}")).collect();
            anyhow::bail!("the source can't be harvested:\n{}", refused.join("\n"));
        }
        Ok(Self {
            metadata,
            last: Mutex::new((survey, Instant::now())),
        })
    }
}

impl Harvester {
    /// Why nothing can be read of the source now, if so.
    pub(crate) async fn unfitness(&self) -> anyhow::Result<Option<SourceError>> {
        let Ok(survey) = self.source.surveyed().await else {
            return Ok(None);
        };
        let mut last = self.told.last.lock().await;
        let (told, at) = &*last;
        if told.problems() != survey.problems() || at.elapsed() >= TELL_EVERY {
            tell(&self.source, &self.ledger, &survey, &self.told.metadata).await?;
            *last = (survey.clone(), Instant::now());
        }
        Ok(survey.refusal())
    }

    /// The indices that aren't read now, by name. `None`: Elasticsearch doesn't answer, or nothing can be read.
    pub(crate) async fn left_out(&self) -> Option<Vec<String>> {
        let survey = self.source.surveyed().await.ok()?;
        if survey.refusal().is_some() {
            return None;
        }
        Some(survey.left_out_names().to_vec())
    }
}

/// Logs what was found, writes an alert for each problem that has none, and ends those of other problems. An outage has its
/// own alert, and says nothing about other problems.
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
    let refusals = survey.refusals();
    for problem in problems.iter().filter(|problem| !problem.is_outage()) {
        let (cause, text) = match problem.severity() {
            Severity::LeftOut if !refusals.contains(&problem) => ("left_out", left_out(problem)),
            Severity::Reported => ("reported", problem.to_string()),
            Severity::LeftOut | Severity::Refused => ("refused", problem.to_string()),
        };
        tracing::warn!(cause, "the source has a problem: {text}");
        ledger.raise_alert(ALERT, &problem.key(), cause, &text).await?;
    }
    if problems.iter().any(SourceProblem::is_outage) {
        return Ok(());
    }
    let lasting: Vec<String> = problems.iter().map(SourceProblem::key).collect();
    ledger.end_alerts_but(ALERT, &lasting).await
}

fn left_out(problem: &SourceProblem) -> String {
    format!(
        "{problem}. Until it is repaired, each of these indices is left out: the others are harvested, and verifications are \
         INCOMPLETE. After the repair, the windows that lack the index are re-read"
    )
}
