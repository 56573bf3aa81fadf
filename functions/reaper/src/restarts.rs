//! Telling people of a restart of the consumers that doesn't come to its end: until it does, nothing is exported.
//!
//! The reaper may not switch consumers, so it can't go on with a restart itself; each look at it through the operator
//! does. One alert for each restart. Where this step fails, the next tick does the same again.

use crate::reap::Reaper;
use granary_ledger::{CONSUMERS_RESTART, OperationFilter, OperationState};

/// An exporter's three minutes, and what AWS takes to switch.
const RESTART_SECS_MAX: i64 = 5 * 60;
/// More are never under way: who asks for a second one gets the first.
const RESTARTS_MAX: u32 = 5;
const KIND: &str = "consumers_off";

impl Reaper {
    /// Looks for restarts that have lasted too long, or were given up, and writes down what is to be told.
    pub(crate) async fn watch_restarts(&self) -> anyhow::Result<()> {
        let restarts = self
            .ledger
            .operations(&OperationFilter::newest(CONSUMERS_RESTART, RESTARTS_MAX))
            .await?;
        // One that was given up never switched them on.
        let is_done = |state| state == OperationState::Succeeded;
        if restarts.iter().all(|restart| is_done(restart.state)) {
            return Ok(());
        }
        let now = self.ledger.now().await?;
        for restart in restarts {
            let lasts_secs = now.duration_since(restart.created_at).as_secs();
            if is_done(restart.state) || lasts_secs < RESTART_SECS_MAX {
                continue;
            }
            let id = restart.id;
            let stands = if restart.state.is_over() {
                format!(
                    "was given up. GET /operations/{id} says why; POST /queue/consumers/start switches them on"
                )
            } else {
                format!(
                    "hasn't come to its end. GET /operations/{id} goes on with it and says what it waits for; \
                     POST /queue/consumers/start ends it and switches them on"
                )
            };
            let text = format!(
                "the consumers may be off: their restart, asked for by {} at {}, {stands}",
                restart.requested_by, restart.created_at
            );
            self.ledger
                .raise_alert(KIND, &id.to_string(), CONSUMERS_RESTART, &text)
                .await?;
        }
        Ok(())
    }
}
