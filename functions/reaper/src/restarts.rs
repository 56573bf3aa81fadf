//! Alerts about a restart of the consumers that takes too long: until it is done, nothing is exported.
//!
//! The reaper may not switch consumers, so it can't continue a restart itself; each look at it through the operator does. One
//! alert for each restart, resolved when the restart is done. Where this step fails, the next tick does the same again.

use crate::reap::Reaper;
use granary_ledger::jobs::{CONSUMERS_RESTART, Operation, OperationFilter, OperationState};
use jiff::Timestamp;

/// An exporter's three minutes, and what AWS takes to switch.
const RESTART_SECS_MAX: i64 = 5 * 60;
/// More are never under way: a second request gets the first one's operation.
const RESTARTS_MAX: u32 = 5;
const KIND: &str = "consumers_off";

impl Reaper {
    /// Raises an alert for each restart that takes too long, and resolves those of restarts that are done.
    pub(crate) async fn watch_restarts(&self) -> anyhow::Result<()> {
        let mut restarts = self
            .ledger
            .operations(&OperationFilter::newest(CONSUMERS_RESTART, RESTARTS_MAX))
            .await?;
        let now = self.ledger.now().await?;
        restarts.retain(|restart| is_overdue(restart, now));
        for restart in &restarts {
            let id = restart.id;
            let text = format!(
                "the consumers may be off: their restart, requested by {} at {}, is not done. GET /operations/{id} continues it \
                 and says what it waits for; POST /queue/consumers/start ends it and switches them on",
                restart.requested_by, restart.created_at
            );
            self.ledger
                .raise_alert(KIND, &id.to_string(), CONSUMERS_RESTART, &text)
                .await?;
        }
        let lasting: Vec<String> = restarts.iter().map(|restart| restart.id.to_string()).collect();
        Ok(self.ledger.end_alerts_but(KIND, &lasting).await?)
    }
}

/// A restart is never given up: what isn't done may have left the consumers off.
fn is_overdue(restart: &Operation, now: Timestamp) -> bool {
    restart.state != OperationState::Succeeded
        && now.duration_since(restart.created_at).as_secs() >= RESTART_SECS_MAX
}
