//! Verification by schedule: windows that are due are verified in full, so that what is proven never waits for a person.
//!
//! A verification is asked for if and only if a window is due, none is under way, and the hour isn't a quiet one. It rests in
//! quiet hours. Otherwise it runs with all other operations, in slices, one request at a time. For windows that were final
//! before, it compares the ledger with the archive only, since the source may be cleaned up by then. Failing windows are one alert, which names them; it
//! ends once none is failing.

use crate::daily::SCHEDULE;
use crate::reap::{Reaper, Tick};
use granary_environment::ProofSection;
use granary_ledger::integrity::{FailingWindow, ProofRules};
use granary_ledger::jobs::{OperationFilter, OperationState};
use granary_operations::Job;
use granary_telemetry::{Metric, record};
use granary_verify::VerifyArguments;
use jiff::tz::TimeZone;
use std::time::Duration;
use uuid::Uuid;

/// Verifications that are looked through for those of the schedule, of which one is under way at a time.
const UNDER_WAY_MAX: u32 = 1_000;
const CONDITION: &str = "unproven";
/// Failing windows that the alert names.
const NAMED_MAX: usize = 5;

/// When windows are verified.
pub(crate) struct Schedule {
    pub(crate) section: ProofSection,
    pub(crate) horizon: Duration,
}

impl Schedule {
    fn rules(&self) -> ProofRules {
        ProofRules {
            after: self.section.after,
            horizon: self.horizon,
            every: self.section.every,
        }
    }
}

impl Reaper {
    /// Asks for a verification of what is due, counts what is failing, and raises or ends the alert about it.
    pub(crate) async fn prove(&self, tick: &mut Tick) -> anyhow::Result<()> {
        self.watch_failing().await?;
        let is_due = self
            .ledger
            .is_operation_due(Job::VERIFY, SCHEDULE, Duration::ZERO)
            .await?;
        if !is_due || self.is_quiet().await? {
            return Ok(());
        }
        let Some(due) = self.ledger.due_proof(&self.schedule.rules()).await? else {
            return Ok(());
        };
        self.ledger.note_proof_asked(&due.windows).await?;
        tracing::info!(from = %due.range.from(), to = %due.range.to(), pass = ?due.pass, "windows are due for a verification");
        self.ask_for(&Job::Verify(VerifyArguments {
            from: Some(due.range.from()),
            to: Some(due.range.to()),
            archive_only: due.are_final,
            ..VerifyArguments::default()
        }))
        .await?;
        tick.verifications_asked += 1;
        Ok(())
    }

    /// In quiet hours a verification that the schedule asked for rests. One that a person asked for goes on.
    pub(crate) async fn resting_verifications(&self) -> anyhow::Result<Vec<Uuid>> {
        if !self.is_quiet().await? {
            return Ok(Vec::new());
        }
        let under_way = OperationFilter {
            states: vec![OperationState::Waiting, OperationState::Running],
            ..OperationFilter::newest(Job::VERIFY, UNDER_WAY_MAX)
        };
        let under_way = self.ledger.operations_by(&under_way).await?.into_iter();
        let of_schedule = under_way.filter(|operation| operation.requested_by == SCHEDULE);
        Ok(of_schedule.map(|operation| operation.id).collect())
    }

    async fn is_quiet(&self) -> anyhow::Result<bool> {
        let Some(quiet) = &self.schedule.section.quiet else {
            return Ok(false);
        };
        let now = self.ledger.now().await?;
        Ok(quiet.contain(now.to_zoned(TimeZone::UTC).hour()))
    }

    async fn watch_failing(&self) -> anyhow::Result<()> {
        let failing = self.ledger.failing_windows().await?;
        record(Metric::BadVerdicts, failing.len() as u64);
        if failing.is_empty() {
            self.ledger
                .end_condition(CONDITION, CONDITION, "no window is failing any more")
                .await?;
        } else {
            self.ledger
                .begin_condition(CONDITION, CONDITION, &named(&failing))
                .await?;
        }
        Ok(())
    }
}

/// Which windows are failing.
fn named(failing: &[FailingWindow]) -> String {
    let named: Vec<String> = failing
        .iter()
        .take(NAMED_MAX)
        .map(|window| {
            let found = if window.as_of.is_some() {
                "INCOMPLETE"
            } else {
                "no verification of it ended"
            };
            format!("{} to {} ({found})", window.range.from(), window.range.to())
        })
        .collect();
    let more = match failing.len().saturating_sub(NAMED_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("windows are not proven: {}{more}", named.join(", "))
}
