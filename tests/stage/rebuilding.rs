//! The ledger's database is lost, and made again from the archive.

use super::Stage;
use granary_ledger::settings::Stage as Part;

const ROUNDS_MAX: u32 = 100;
const AT_WORK: &str =
    "SELECT COUNT(*) FROM operation WHERE kind = 'rebuild' AND state IN ('waiting', 'running')";

impl Stage {
    /// Drops the ledger with all that it knows, and makes an empty one, whose harvest and export are paused. The functions
    /// start anew.
    pub(crate) async fn lose_the_database(&self) {
        for function in self.functions() {
            function.kill().await;
        }
        self.empty_database().await;
        self.migrate_schema().await;
        for stage in [Part::Harvest, Part::Export] {
            self.ledger
                .pause_because(stage, "test", Some("a rebuild"))
                .await
                .unwrap();
        }
    }

    /// Lets the reaper work on the rebuild until it is over.
    pub(crate) async fn rebuild_to_its_end(&self) {
        for _ in 0..ROUNDS_MAX {
            self.sql(
                "UPDATE operation SET lease_until = UTC_TIMESTAMP(6) - INTERVAL 1 SECOND WHERE lease_until IS NOT NULL",
            )
            .await;
            self.reap().await;
            if self.row::<u64>(AT_WORK).await == 0 {
                let state: String = self
                    .row(
                        "SELECT state FROM operation WHERE kind = 'rebuild' ORDER BY created_at DESC LIMIT 1",
                    )
                    .await;
                assert_eq!(state, "succeeded");
                return;
            }
        }
        panic!("the rebuild has no end");
    }

    /// In the order of the runbook: both stages are resumed, what the new ledger's harvest doesn't reach is backfilled, and the
    /// restored ledger is confirmed.
    pub(crate) async fn resume_after_a_rebuild(&self, from: &str, to: &str) {
        for stage in [Part::Harvest, Part::Export] {
            self.ledger.resume(stage).await.unwrap();
        }
        self.backfill(from, to).await;
        self.ledger.confirm_restored().await.unwrap();
    }
}
