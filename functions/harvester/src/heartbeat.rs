//! The heartbeat: a window that is being read stays this harvester's, however long Elasticsearch or SQS take to answer.
//!
//! It runs as a task of its own. That the window is another harvester's is found by the next page, whose fence is refused:
//! nothing has to be told. Where the ledger doesn't answer, the lease runs out, and the next harvester goes on from the
//! bookmark.

use granary_environment::LeaseSection;
use granary_ledger::Ledger;
use granary_ledger::export::Fenced;
use granary_ledger::harvest::LeasedWindow;
use tokio::task::JoinHandle;

/// The heartbeat of one window. It ends when it is dropped.
pub(crate) struct Heartbeat {
    task: JoinHandle<()>,
}

impl Heartbeat {
    /// Renews the lease from now on. The claim itself was the first renewal.
    pub(crate) fn start(ledger: Ledger, window: &LeasedWindow, lease: LeaseSection) -> Self {
        let (id, fence) = (window.id, window.fence);
        let task = tokio::spawn(async move {
            loop {
                tokio::time::sleep(lease.renewal_interval()).await;
                match ledger.renew_window(id, fence, lease.lease).await {
                    Ok(Fenced::Done) => {}
                    Ok(Fenced::Refused) => break,
                    Err(error) => tracing::warn!(window = id.0, "the lease was not renewed: {error}"),
                }
            }
        });
        Self { task }
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.task.abort();
    }
}
