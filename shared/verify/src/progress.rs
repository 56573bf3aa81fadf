//! How far a verification is, and the step that takes it one hour further.

use crate::hour::{Fit, HourProgress};
use crate::look::Look;
use crate::{Account, Report, Scope, Verdict, Verifier, VerifyArguments, VerifyError};
use granary_domain::{Hour, MigrationId, Priority, TimeRange};
use granary_ledger::RepairMigration;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Instant;

/// Messages in a batch of what is harvested again.
const BATCH_SIZE: u32 = 1_000;
/// Who asks for what is harvested again.
const REQUESTED_BY: &str = "verify --repair";

/// How far a verification is: all that a later step needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VerifyProgress {
    /// What is verified.
    pub scope: Scope,
    /// Everything before it was looked at.
    pub next: Timestamp,
    /// When it began, by the database's clock.
    #[serde(default)]
    pub(crate) began_at: Option<Timestamp>,
    /// 0 to 100, by event time.
    pub percent: u8,
    /// What was found so far.
    pub account: Account,
    /// The hour that was begun; `None`: the next one.
    #[serde(default)]
    pub(crate) hour: Option<HourProgress>,
    /// The migration under which is harvested again what was left out. It is made when it is needed.
    #[serde(default = "MigrationId::new")]
    repair_migration: MigrationId,
}

/// What one step came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// An hour was looked at, or a part of a large one.
    More(Box<VerifyProgress>),
    /// The next millisecond has more messages than the caller has time for: nothing was done.
    TooLarge {
        /// Messages in it.
        messages: u64,
    },
    /// The end.
    Done(Box<Report>),
}

impl Verifier {
    /// Looks at the next hour that has messages, or at up to `messages_max` messages of it. The first step fixes the
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
            None => {
                let began_at = self.ledger.now().await?;
                VerifyProgress::new(self.scope_of(arguments).await?, began_at)
            }
        };
        let mut hour = match progress.hour.take() {
            Some(hour) => hour,
            None => match self.next_part(&progress).await? {
                Some(range) => HourProgress::new(range),
                None => {
                    let report = self.conclude(progress).await?;
                    return Ok(Step::Done(Box::new(report)));
                }
            },
        };
        let heir = RepairMigration {
            id: progress.repair_migration,
            range: progress.scope.range,
            batch_size: BATCH_SIZE,
            priority: Priority::NORMAL,
            requested_by: REQUESTED_BY.to_owned(),
        };
        let account = &mut progress.account;
        let mut look = Look::new(&progress.scope, hour.range, heir, account, &self.limits);
        let fit = self.verify_hour(&mut look, &mut hour, messages_max).await?;
        self.record_difference(&mut progress, hour.hour()).await?;
        match fit {
            Fit::TooLarge { messages } => return Ok(Step::TooLarge { messages }),
            Fit::More => progress.hour = Some(hour),
            Fit::Done => {
                progress.account.hours += 1;
                progress.move_to(hour.range.to());
            }
        }
        progress.account.worked_ms += u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(Step::More(Box::new(progress)))
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
        let sealed = self.ledger.first_sealed_hour_of(rest).await?;
        let next = [in_ledger, at_source, sealed].into_iter().flatten().min();
        Ok(next.and_then(|hour| hour.range().intersection(&rest)))
    }

    /// Puts what a step found in an hour on the time line.
    async fn record_difference(&self, progress: &mut VerifyProgress, hour: Hour) -> Result<(), VerifyError> {
        let found = progress.account.take_difference();
        if let (Some(difference), false, Some(began_at)) = (found, progress.scope.quick, progress.began_at) {
            self.ledger.record_difference(hour, difference, began_at).await?;
        }
        Ok(())
    }

    async fn conclude(&self, progress: VerifyProgress) -> Result<Report, VerifyError> {
        let began_at = progress.began_at;
        let report = Report::new(progress.scope, progress.account);
        let range = report.scope.range;
        match (report.verdict, &report.scope.filter, began_at) {
            (Verdict::Complete, None, Some(began_at)) => {
                self.ledger.mark_verified(range, began_at).await?;
            }
            (Verdict::Incomplete | Verdict::Pending | Verdict::Drifted, None, Some(began_at)) => {
                self.ledger.keep_differences(range, began_at).await?;
            }
            // What was looked at by a filter, or by counts alone, says nothing of whole hours.
            (_, Some(_), _) | (_, _, None) | (Verdict::Consistent | Verdict::Inconsistent, _, _) => {}
        }
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
    fn new(scope: Scope, began_at: Timestamp) -> Self {
        Self {
            began_at: Some(began_at),
            next: scope.range.from(),
            scope,
            percent: 0,
            account: Account::default(),
            hour: None,
            repair_migration: MigrationId::new(),
        }
    }

    fn move_to(&mut self, next: Timestamp) {
        let whole = self.scope.range.to().as_second() - self.scope.range.from().as_second();
        let done = next.as_second() - self.scope.range.from().as_second();
        self.next = next;
        self.percent = u8::try_from(done * 100 / whole.max(1)).unwrap_or(100).min(100);
    }
}
