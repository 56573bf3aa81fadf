//! SIGTERM: whoever is at work hands its batch back, then the process ends.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The order to shut down, and the batches that are still in hand.
#[derive(Debug, Clone)]
pub(crate) struct Shutdown {
    ordered: CancellationToken,
    in_hand: TaskTracker,
}

impl Shutdown {
    /// Listens from now on.
    pub(crate) fn on_sigterm() -> std::io::Result<Self> {
        let mut terminate = signal(SignalKind::terminate())?;
        let shutdown = Self {
            ordered: CancellationToken::new(),
            in_hand: TaskTracker::new(),
        };
        let ordered = shutdown.ordered.clone();
        tokio::spawn(async move {
            terminate.recv().await;
            tracing::info!("shutting down");
            ordered.cancel();
        });
        Ok(shutdown)
    }

    /// When it is ordered.
    pub(crate) async fn ordered(&self) {
        self.ordered.cancelled().await;
    }

    /// Work that the end of the process waits for.
    pub(crate) async fn in_hand<T>(&self, work: impl Future<Output = T>) -> T {
        self.in_hand.track_future(work).await
    }

    /// When it is ordered and nothing is in hand.
    pub(crate) async fn and_idle(&self) {
        self.ordered.cancelled().await;
        self.in_hand.close();
        self.in_hand.wait().await;
    }
}
