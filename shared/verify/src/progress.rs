//! How far a verification is, and the step that takes it one hour further.

use crate::hour::Fit;
use crate::{Account, Report, Scope, Verifier, VerifyArguments, VerifyError};
use granary_domain::{Hour, TimeRange};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Instant;

/// How far a verification is: all that a later step needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VerifyProgress {
    /// What is verified.
    pub scope: Scope,
    /// Everything before it was looked at.
    pub next: Timestamp,
    /// 0 to 100, by event time.
    pub percent: u8,
    /// What was found so far.
    pub account: Account,
}

/// What one step came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// An hour was looked at.
    More(Box<VerifyProgress>),
    /// The next hour has more messages than the caller has time for: nothing was done.
    TooLarge {
        /// Messages in it.
        messages: u64,
    },
    /// The end.
    Done(Box<Report>),
}

impl Verifier {
    /// Looks at the next hour that has messages, if it has `messages_max` of them at most. The first step fixes the
    /// scope; the last one writes the verdict down where it is a migration's.
    pub async fn step(
        &self,
        arguments: &VerifyArguments,
        progress: Option<VerifyProgress>,
        messages_max: u64,
    ) -> Result<Step, VerifyError> {
        let began = Instant::now();
        let mut progress = match progress {
            Some(progress) => progress,
            None => VerifyProgress::new(self.scope_of(arguments).await?),
        };
        let Some(part) = self.next_part(&progress).await? else {
            return self
                .conclude(progress)
                .await
                .map(|report| Step::Done(Box::new(report)));
        };
        match self
            .verify_hour(&progress.scope, part, messages_max, &mut progress.account)
            .await?
        {
            Fit::TooLarge { messages } => Ok(Step::TooLarge { messages }),
            Fit::Done => {
                progress.account.worked_ms += u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
                progress.move_to(part.to());
                Ok(Step::More(Box::new(progress)))
            }
        }
    }

    /// The next hour in which the source or the ledger has messages, as far as it is in the scope.
    async fn next_part(&self, progress: &VerifyProgress) -> Result<Option<TimeRange>, VerifyError> {
        let scope = &progress.scope;
        let Ok(rest) = TimeRange::new(progress.next, scope.range.to()) else {
            return Ok(None);
        };
        let in_ledger = self.ledger.first_hour_of(rest).await?;
        let at_source = self.source.first_event(rest, scope.filter.as_ref()).await?;
        // A document with several times is shown under the earliest of them, which may lie before the rest.
        let at_source = at_source.map(|first| Hour::of(first.max(rest.from())));
        let next = [in_ledger, at_source].into_iter().flatten().min();
        Ok(next.and_then(|hour| hour.range().intersection(&rest)))
    }

    async fn conclude(&self, progress: VerifyProgress) -> Result<Report, VerifyError> {
        let report = Report::new(progress.scope, progress.account);
        if let (Some(migration), true, false) = (
            report.scope.migration,
            report.scope.is_whole_migration,
            report.scope.quick,
        ) {
            self.ledger
                .record_verdict(migration, report.verdict.as_str(), report.scope.range)
                .await?;
        }
        Ok(report)
    }
}

impl VerifyProgress {
    fn new(scope: Scope) -> Self {
        Self {
            next: scope.range.from(),
            scope,
            percent: 0,
            account: Account::default(),
        }
    }

    fn move_to(&mut self, next: Timestamp) {
        let whole = self.scope.range.to().as_second() - self.scope.range.from().as_second();
        let done = next.as_second() - self.scope.range.from().as_second();
        self.next = next;
        self.percent = u8::try_from(done * 100 / whole.max(1)).unwrap_or(100).min(100);
    }
}
