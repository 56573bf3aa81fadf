//! How far a verification is, and the step that takes it one hour further.

use crate::hour::{Fit, HourProgress};
use crate::look::Look;
use crate::{Account, Outside, Report, Scope, Verdict, Verifier, VerifyArguments, VerifyError};
use granary_domain::{Hour, MigrationId, Priority, TimeRange};
use granary_ledger::integrity::{ProofOutcome, RepairMigration, Verification};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Instant;

/// Messages in a batch of what is harvested again.
const BATCH_SIZE: u32 = 1_000;
/// Who asks for what is harvested again.
const REQUESTED_BY: &str = "verify --repair";

/// What a verdict says about the windows in its range; nothing, where only counts were compared. What only the archive has
/// doesn't make a window less proven.
fn outcome_of(verdict: Verdict) -> Option<ProofOutcome> {
    match verdict {
        Verdict::Complete | Verdict::Drifted => Some(ProofOutcome::Proven),
        Verdict::Pending => Some(ProofOutcome::Waiting),
        Verdict::Incomplete => Some(ProofOutcome::Failing),
        Verdict::Consistent | Verdict::Inconsistent => None,
    }
}

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
    /// The state of the source when it began, where every index of it was write-blocked.
    #[serde(default)]
    pub(crate) source_at: Option<String>,
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
                self.source.look_anew().await;
                let began_at = self.ledger.now().await?;
                let scope = self.scope_of(arguments).await?;
                let source_at = self.source_at(&scope).await?;
                VerifyProgress::new(scope, began_at, source_at)
            }
        };
        let accepted = self.ledger.accepted_exceptions().await?;
        let elsewhere = match accepted.is_empty() {
            true => Vec::new(),
            false => self.ledger.accepted_outside(progress.scope.range).await?,
        };
        progress.account.exceptions.accept(accepted, elsewhere);
        let first_hour = Hour::of(progress.scope.range.from());
        self.note_left_out(&mut progress, first_hour).await?;
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
        let exceptions_before = account.exceptions.clone();
        let mut look = Look::new(&progress.scope, hour.range, heir, account, &self.limits);
        let fit = self.verify_hour(&mut look, &mut hour, messages_max).await?;
        // One may have been closed meanwhile.
        self.note_left_out(&mut progress, hour.hour()).await?;
        hour.add_exceptions(progress.account.exceptions.since(&exceptions_before));
        self.record_difference(&mut progress, hour.hour()).await?;
        match fit {
            Fit::TooLarge { messages } => return Ok(Step::TooLarge { messages }),
            Fit::More => progress.hour = Some(hour),
            Fit::Done => {
                if progress.scope.shows_exceptions_of(hour.range) {
                    self.ledger
                        .count_exceptions(hour.hour(), &hour.exceptions)
                        .await?;
                }
                progress.account.hours += 1;
                progress.move_to(hour.range.to());
            }
        }
        progress.account.exceptions.end_step();
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
        let at_source = match scope.archive_only {
            true => None,
            false => self.source.first_event(rest, scope.filter.as_ref()).await?,
        };
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

    /// Which state a write-blocked source is in: nothing is written to it before that changes. Read for a verification that
    /// may prove windows.
    async fn source_at(&self, scope: &Scope) -> Result<Option<String>, VerifyError> {
        if scope.quick || scope.archive_only || scope.filter.is_some() {
            return Ok(None);
        }
        match self.source.write_blocked_state().await {
            Ok(blocked) => Ok(blocked.state),
            Err(error) if error.is_platforms() => Err(error.into()),
            // Without the privilege `monitor` nothing shows that it is blocked. `GET /proof` says why.
            Err(_) => Ok(None),
        }
    }

    async fn conclude(&self, progress: VerifyProgress) -> Result<Report, VerifyError> {
        let (began_at, source_at) = (progress.began_at, progress.source_at);
        let mut report = Report::new(progress.scope, progress.account);
        let outside = self.ledger.outside().await?;
        report.outside = outside.map(|(counts, counted_at)| Outside { counts, counted_at });
        // Without the source nothing is proven that it didn't prove before.
        let says_something = !report.scope.archive_only || self.ledger.were_final(report.scope.range).await?;
        if let (true, Some(outcome), None, Some(as_of)) = (
            says_something,
            outcome_of(report.verdict),
            &report.scope.filter,
            began_at,
        ) {
            let verification = Verification {
                range: report.scope.range,
                as_of,
                horizon: self.visibility.horizon,
                source_at,
                is_of_archive_only: report.scope.archive_only,
                is_incomplete_everywhere: report.account.exceptions.are_left_out(),
                accepted: report.account.exceptions.relied_on(),
            };
            if report.verdict == Verdict::Complete {
                self.ledger.mark_verified(&verification).await?;
            } else {
                self.ledger.keep_differences(&verification, outcome).await?;
            }
        }
        if let (Some(migration), true, false) = (
            report.scope.migration,
            report.scope.is_whole_migration,
            report.scope.quick || report.scope.archive_only,
        ) {
            self.ledger
                .record_verdict(migration, report.verdict.as_str(), report.scope.range)
                .await?;
        }
        Ok(report)
    }
}

impl VerifyProgress {
    fn new(scope: Scope, began_at: Timestamp, source_at: Option<String>) -> Self {
        Self {
            began_at: Some(began_at),
            source_at,
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
