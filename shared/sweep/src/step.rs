//! How far a sweep is, and the step that takes it one page further.

use crate::objects::Reached;
use crate::{SweepArguments, SweepError, SweepReport, Sweeper};
use granary_domain::ObjectKey;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// How far a sweep is: all that a later step needs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SweepProgress {
    /// What comes next.
    pub next: Next,
    /// What was found so far.
    pub report: SweepReport,
}

/// What comes next: objects and manifests in the order of their keys, then uploads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Next {
    /// The page after this key.
    Objects(Option<ObjectKey>),
    /// Uploads without an end.
    Uploads,
}

impl Default for Next {
    fn default() -> Self {
        Self::Objects(None)
    }
}

/// What one step came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SweepStep {
    /// There is more to look at.
    More(Box<SweepProgress>),
    /// There is more to look at, and no more may be deleted in this tick.
    Pause(Box<SweepProgress>),
    /// The end.
    Done(Box<SweepReport>),
}

impl Sweeper {
    /// Looks at up to 1,000 objects, or uploads.
    pub async fn step(
        &self,
        arguments: &SweepArguments,
        progress: Option<SweepProgress>,
    ) -> Result<SweepStep, SweepError> {
        let mut progress = progress.unwrap_or_default();
        if arguments.apply {
            if progress == SweepProgress::default() {
                self.numbering.note_used().await?;
            }
            self.refuse_if_restored().await?;
        }
        progress.report.apply = arguments.apply;
        progress.report.older_than_secs = self.older_than_secs(arguments);
        match progress.next {
            Next::Objects(after) => {
                let reached = self
                    .sweep_objects(arguments, after.as_ref(), &mut progress.report)
                    .await?;
                progress.next = match reached {
                    Reached::End => Next::Uploads,
                    Reached::Behind(after) => Next::Objects(after),
                    Reached::Allowance(after) => {
                        progress.next = Next::Objects(after);
                        return Ok(SweepStep::Pause(Box::new(progress)));
                    }
                };
            }
            Next::Uploads => match self.sweep_uploads(arguments, &mut progress.report).await? {
                AreLeft::Perhaps => progress.next = Next::Uploads,
                AreLeft::No => return Ok(SweepStep::Done(Box::new(progress.report))),
            },
        }
        Ok(SweepStep::More(Box::new(progress)))
    }

    /// What a restored ledger believes of the archive isn't enough to delete anything.
    pub(crate) async fn refuse_if_restored(&self) -> Result<(), SweepError> {
        match self.ledger.restored().await? {
            Some(restored) => Err(SweepError::Restored { text: restored.text }),
            None => Ok(()),
        }
    }

    /// Whatever somebody asks for: never less than the deployment's age.
    fn older_than_secs(&self, arguments: &SweepArguments) -> u64 {
        let asked_for = arguments.older_than_secs.unwrap_or(0);
        asked_for.max(self.age_min.as_secs())
    }

    /// What was written at this instant or before is old enough, by the database's clock. S3's may differ from it by far
    /// less than the age.
    pub(crate) async fn old_enough(&self, arguments: &SweepArguments) -> Result<Timestamp, SweepError> {
        let secs = i64::try_from(self.older_than_secs(arguments)).unwrap_or(i64::MAX);
        let now = self.ledger.now().await?;
        Ok(now
            .checked_sub(SignedDuration::from_secs(secs))
            .unwrap_or(Timestamp::MIN))
    }
}

/// Whether another page of uploads is worth a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AreLeft {
    Perhaps,
    No,
}
