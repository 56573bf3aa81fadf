//! How far behind the archive is, as metrics.
//!
//! What there is nothing to measure of isn't recorded. **When it fails**, the tick fails as of any other step, and the metrics
//! that were not measured are missing from its line.

use crate::reap::Reaper;
use granary_telemetry::{Metric, record};
use std::time::Duration;

impl Reaper {
    pub(crate) async fn measure(&self) -> anyhow::Result<()> {
        let lag = self.ledger.lag().await?;
        record_secs(Metric::ArchiveLag, lag.archive);
        record_secs(Metric::ProvenLag, lag.proven);
        record_secs(Metric::OldestPending, lag.oldest_pending);
        record(Metric::BatchesParked, lag.parked);
        record(Metric::LedgerConnectionsUsed, lag.connections_percent);
        record(Metric::OpenAlerts, self.ledger.open_alerts().await?);
        Ok(())
    }
}

fn record_secs(metric: Metric, measured: Option<Duration>) {
    if let Some(measured) = measured {
        record(metric, measured.as_secs());
    }
}
