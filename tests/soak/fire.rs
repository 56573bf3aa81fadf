//! What dies: a function every few seconds, the ledger's server or Elasticsearch every minute or so. All of it by SIGKILL.

use super::Library;
use super::round::Play;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::Instant;

const BETWEEN_KILLS_MIN: Duration = Duration::from_secs(1);
const BETWEEN_KILLS_MAX: Duration = Duration::from_secs(5);
/// Of the time that rounds last: one is shorter than that.
const BETWEEN_RESTARTS_MIN: Duration = Duration::from_secs(30);
const BETWEEN_RESTARTS_MAX: Duration = Duration::from_secs(60);
const DOWN_MAX: Duration = Duration::from_secs(3);
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// How the restarts of one round go on in the next.
#[derive(Default)]
pub(super) struct Restarts {
    until_next: Duration,
    done: u64,
}

impl Play<'_> {
    /// Kills functions, until the round is over.
    pub(super) async fn kill(&self) {
        while self.goes_on_for(BETWEEN_KILLS_MIN, BETWEEN_KILLS_MAX).await {
            // Most of the work, and so most of the deaths, are the exporters'.
            let victim = usize::try_from(self.dice.below(self.exporters as u64 * 2)).unwrap();
            let (victim, deaths) = match victim {
                0 => (&self.stage.reaper, &self.killed.reapers),
                1 | 2 => (&self.stage.harvester, &self.killed.harvesters),
                number => (
                    self.stage.exporter(number % self.exporters),
                    &self.killed.exporters,
                ),
            };
            victim.end();
            deaths.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Kills the ledger's server and Elasticsearch in turn, and starts them again after a while.
    pub(super) async fn restart(&self, library: &Library) {
        let mut restarts = library.restarts.lock().await;
        loop {
            let due = Instant::now() + restarts.until_next;
            if !self.goes_on_until(due).await {
                restarts.until_next = due.saturating_duration_since(Instant::now());
                return;
            }
            let down = self.between(Duration::ZERO, DOWN_MAX);
            if restarts.done % 2 == 0 {
                let _nobody_looks_at_the_ledger = self.looking.write().await;
                let mut ledger_server = library.ledger_server.lock().await;
                ledger_server.kill();
                tokio::time::sleep(down).await;
                ledger_server.restart().await;
                self.killed.ledger_servers.fetch_add(1, Ordering::Relaxed);
            } else {
                let mut elasticsearch = library.elasticsearch.lock().await;
                elasticsearch.kill().await;
                tokio::time::sleep(down).await;
                elasticsearch.restart().await;
                self.killed.elasticsearches.fetch_add(1, Ordering::Relaxed);
            }
            restarts.done += 1;
            restarts.until_next = self.between(BETWEEN_RESTARTS_MIN, BETWEEN_RESTARTS_MAX);
        }
    }

    fn between(&self, least: Duration, most: Duration) -> Duration {
        let spread = u64::try_from((most - least).as_millis()).unwrap();
        least + Duration::from_millis(self.dice.below(spread + 1))
    }

    async fn goes_on_for(&self, least: Duration, most: Duration) -> bool {
        self.goes_on_until(Instant::now() + self.between(least, most))
            .await
    }

    /// Waits; whether the round still goes on then.
    async fn goes_on_until(&self, due: Instant) -> bool {
        while Instant::now() < due && !self.is_over() {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        !self.is_over()
    }
}
