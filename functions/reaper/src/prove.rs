//! Verification by schedule: windows that are due are verified in full, so that what is proven never waits for a person.
//!
//! A verification is asked for if and only if a window is due, none is under way, and the hour isn't a quiet one. It is
//! worked on with all other operations, in slices, one request at a time. Failing windows are one alert, which names them; it
//! ends once none is failing.

use crate::reap::{Reaper, Tick};
use granary_environment::ProofSection;
use granary_ledger::{ProofRules, ProofState};
use granary_operations::Job;
use granary_verify::VerifyArguments;
use jiff::tz::TimeZone;
use std::time::Duration;

const REQUESTED_BY: &str = "schedule";
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
    /// Asks for a verification of what is due, and raises or ends the alert about what is failing.
    pub(crate) async fn prove(&self, tick: &mut Tick) -> anyhow::Result<()> {
        self.watch_failing(&self.ledger.proof_state(None).await?).await?;
        let now = self.ledger.now().await?;
        let quiet = &self.schedule.section.quiet;
        if quiet.is_some_and(|quiet| quiet.contain(now.to_zoned(TimeZone::UTC).hour())) {
            return Ok(());
        }
        if !self
            .ledger
            .is_operation_due(Job::VERIFY, REQUESTED_BY, Duration::ZERO)
            .await?
        {
            return Ok(());
        }
        let Some(due) = self.ledger.due_proof(&self.schedule.rules()).await? else {
            return Ok(());
        };
        self.ledger.note_proof_asked(&due.windows).await?;
        let job = Job::Verify(VerifyArguments {
            from: Some(due.range.from()),
            to: Some(due.range.to()),
            ..VerifyArguments::default()
        });
        let operation = self.desk.ask(&job, REQUESTED_BY).await?;
        tracing::info!(%operation, from = %due.range.from(), to = %due.range.to(), pass = ?due.pass, "asked for a verification");
        tick.verifications_asked += 1;
        Ok(())
    }

    async fn watch_failing(&self, state: &ProofState) -> anyhow::Result<()> {
        if state.failing.is_empty() {
            self.ledger
                .end_condition(CONDITION, "no window is failing any more")
                .await?;
        } else {
            self.ledger.begin_condition(CONDITION, &told(state)).await?;
        }
        Ok(())
    }
}

/// Which windows are failing, and what to do.
fn told(state: &ProofState) -> String {
    let named: Vec<String> = state
        .failing
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
    let more = match state.failing.len().saturating_sub(NAMED_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("windows are not proven: {}{more}", named.join(", "))
}
