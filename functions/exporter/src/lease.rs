//! The heartbeat: a claimed batch stays this worker's only as long as its lease is renewed.
//!
//! It runs as a task of its own, on a connection of its own. When the ledger says that the batch is somebody else's,
//! or nothing at all for two thirds of a lease, the work is to stop before its next side effect: whoever waits on
//! [`Heartbeat::lost`] drops it. It goes on until the attempt's end is on record; only that is still written where the lease
//! is lost, since the ledger decides by the fence whether it counts.

use granary_domain::{Cause, Failure};
use granary_environment::LeaseSection;
use granary_ledger::Ledger;
use granary_ledger::export::{ClaimedBatch, Fenced};
use std::time::Instant;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// The heartbeat of one claimed batch. It ends when it is dropped.
pub(crate) struct Heartbeat {
    task: JoinHandle<()>,
    lost: oneshot::Receiver<&'static str>,
}

impl Heartbeat {
    /// Renews the lease from now on. The claim itself was the first renewal.
    pub(crate) fn start(ledger: Ledger, batch: &ClaimedBatch, lease: LeaseSection) -> Self {
        let (tell, lost) = oneshot::channel();
        let (id, fence) = (batch.id, batch.fence);
        let task = tokio::spawn(async move {
            let mut renewed = Instant::now();
            let reason = loop {
                tokio::time::sleep(lease.renewal_interval()).await;
                let left = lease.silence_max().saturating_sub(renewed.elapsed());
                let asked = Instant::now();
                match tokio::time::timeout(left, ledger.renew_lease(id, fence, lease.lease)).await {
                    Ok(Ok(Fenced::Done)) => renewed = asked,
                    Ok(Ok(Fenced::Refused)) => break "the batch belongs to somebody else now",
                    Ok(Err(error)) => tracing::warn!(batch = id.0, "the lease was not renewed: {error}"),
                    Err(_) => {}
                }
                if renewed.elapsed() >= lease.silence_max() {
                    break "the lease could not be renewed in time";
                }
            };
            // The worker may be done in the same moment: then nobody listens any more.
            let _nobody_listens = tell.send(reason);
        });
        Self { task, lost }
    }

    /// When the lease is lost, and why.
    pub(crate) async fn lost(&mut self) -> Failure {
        let reason = (&mut self.lost).await;
        let text = reason.unwrap_or("the heartbeat ended by itself");
        Failure {
            cause: Cause::LeaseLost,
            text: text.to_owned(),
        }
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.task.abort();
    }
}
