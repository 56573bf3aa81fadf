//! What happens on a stage: documents come in, the clock ticks, somebody asks for a range, time passes.

use super::services::Held;
use super::source::Document;
use super::{
    Exports, FunctionError, HARVESTER_TIMEOUT, MIGRATOR_TIMEOUT, REAPER_TIMEOUT, SOURCE_NAME, Stage, source,
};
use granary_domain::{BatchStatus, MigrationId, MigrationKind, Priority};
use granary_ledger::harvest::NewMigration;
use granary_source::{DocId, Source, SourceSettings};
use granary_verify::{Report, Step, Verifier, VerifyArguments, Visibility};
use mysql_async::prelude::FromRow;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use uuid::Uuid;

const POLL_INTERVAL: Duration = Duration::from_millis(20);
const POLLS_MAX: u32 = 1_500;
const ROUNDS_MAX: u32 = 100;
const MESSAGES_PER_STEP_MAX: u64 = 10_000_000;

/// What is a minute old is looked at, and what is a week old has settled.
pub(crate) const VISIBILITY: Visibility = Visibility {
    lag: Duration::ZERO,
    horizon: Duration::from_secs(7 * 86_400),
};

impl Stage {
    /// The address of the ledger for a function whose attempts fail by themselves: it may not read messages.
    pub(crate) async fn blind_ledger(&self) -> String {
        self.database.blind().await
    }

    /// Writes messages to the source.
    pub(crate) async fn index_messages(&self, messages: &[Document]) {
        self.indices.write(&self.indices.messages, messages).await;
    }

    /// Asks for a range, as the operator does.
    pub(crate) async fn backfill(&self, from: &str, to: &str) -> MigrationId {
        let migration = NewMigration {
            id: MigrationId(Uuid::now_v7()),
            kind: MigrationKind::Backfill,
            priority: Priority::NORMAL,
            batch_size: self.environment["GRANARY_BATCH_SIZE"].parse().unwrap(),
            filter: None,
            from: super::instant(from),
            to: Some(super::instant(to)),
            requested_by: "test".into(),
        };
        self.migrate(&migration).await
    }

    pub(crate) async fn migrate(&self, migration: &NewMigration) -> MigrationId {
        self.ledger.make_migration(migration).await.unwrap();
        migration.id
    }

    /// One tick of the harvester; what it reports.
    pub(crate) async fn harvest(&self) -> Value {
        self.try_harvest().await.unwrap()
    }

    pub(crate) async fn try_harvest(&self) -> Result<Value, FunctionError> {
        let tick = serde_json::from_str(include_str!("../../events/harvester.tick.json")).unwrap();
        self.harvester.invoke(tick, HARVESTER_TIMEOUT).await
    }

    /// Takes the ledger's tables away, as before the first deployment.
    pub(crate) async fn empty_database(&self) {
        let tables: Vec<(String, String)> = self
            .rows("SELECT table_name, table_type FROM information_schema.tables WHERE table_schema = DATABASE()")
            .await;
        for (name, kind) in tables {
            let kind = if kind == "VIEW" { "VIEW" } else { "TABLE" };
            self.sql(&format!("DROP {kind} `{name}`")).await;
        }
    }

    /// Has the schema brought up to date, as `make up` does; what the migrator says.
    pub(crate) async fn migrate_schema(&self) -> Value {
        let asked = serde_json::json!({});
        self.migrator.invoke(asked, MIGRATOR_TIMEOUT).await.unwrap()
    }

    /// One tick of the reaper.
    pub(crate) async fn reap(&self) -> Value {
        self.try_reap().await.unwrap()
    }

    pub(crate) async fn try_reap(&self) -> Result<Value, FunctionError> {
        let tick = serde_json::from_str(include_str!("../../events/reaper.tick.json")).unwrap();
        self.reaper.invoke(tick, REAPER_TIMEOUT).await
    }

    /// Lets the clock tick until nothing is left to do: every batch is completed, cancelled or parked, and every
    /// window is recorded.
    pub(crate) async fn run_until_quiet(&self) -> Exports {
        for _ in 0..ROUNDS_MAX {
            self.harvest().await;
            let exports = self.export_all().await;
            self.reap().await;
            self.let_delays_end().await;
            if self.is_quiet().await {
                return exports;
            }
            self.let_visibility_end(&exports).await;
        }
        panic!(
            "not quiet after {ROUNDS_MAX} rounds: {:?}",
            self.batches_by_status().await
        );
    }

    /// Whether nothing is left to do.
    pub(crate) async fn is_quiet(&self) -> bool {
        let open: u64 = self
            .row(
                "SELECT (SELECT COUNT(*) FROM batch WHERE status IN ('pending', 'in_progress') \
                 OR (status = 'failed' AND parked_at IS NULL)) \
                 + (SELECT COUNT(*) FROM harvest_window w JOIN migration m ON m.id = w.migration_id \
                 WHERE w.state IN ('open', 'harvesting') AND m.state <> 'cancelled') \
                 + (SELECT COUNT(*) FROM migration WHERE kind <> 'continuous' AND state IN ('open', 'draining'))",
            )
            .await;
        open == 0
    }

    /// Lets every delay (backoff, deferral) be over.
    pub(crate) async fn let_delays_end(&self) {
        self.sql("UPDATE batch SET not_before = NULL").await;
        self.sql("UPDATE harvest_window SET not_before = NULL").await;
    }

    /// Lets time pass for what was sent and for what the reaper saw of the queues: `2 MINUTE`.
    pub(crate) async fn let_the_queues_idle(&self, interval: &str) {
        let sent = "enqueued_at IS NOT NULL AND status = 'pending'";
        self.sql(&format!(
            "UPDATE batch SET enqueued_at = enqueued_at - INTERVAL {interval} WHERE {sent}"
        ))
        .await;
        self.sql(&format!(
            "UPDATE control SET changed_at = changed_at - INTERVAL {interval} WHERE name LIKE 'idle.%'"
        ))
        .await;
    }

    /// Lets every lease be over, whoever holds it.
    pub(crate) async fn let_leases_end(&self) {
        let past = "lease_until = UTC_TIMESTAMP(6) - INTERVAL 1 SECOND";
        self.sql(&format!("UPDATE batch SET {past} WHERE lease_until IS NOT NULL"))
            .await;
        self.sql(&format!(
            "UPDATE harvest_window SET {past} WHERE lease_until IS NOT NULL"
        ))
        .await;
    }

    /// Compares source, ledger and archive in full.
    pub(crate) async fn verify(&self, from: &str, to: &str) -> Report {
        let verifier = Verifier::new(
            self.ledger.clone(),
            self.source(),
            self.bucket.archive.clone(),
            VISIBILITY,
        );
        let arguments = VerifyArguments {
            from: Some(super::instant(from)),
            to: Some(super::instant(to)),
            ..VerifyArguments::default()
        };
        let mut progress = None;
        loop {
            match verifier
                .step(&arguments, progress, MESSAGES_PER_STEP_MAX)
                .await
                .unwrap()
            {
                Step::More(next) => progress = Some(*next),
                Step::Done(report) => return *report,
                Step::TooLarge { messages } => panic!("an hour of {messages} messages"),
            }
        }
    }

    /// The source as the functions see it, past every proxy.
    pub(crate) fn source(&self) -> Source {
        let settings = SourceSettings {
            url: self.indices.url.clone(),
            credentials: None,
            ca: None,
            index: self.environment["GRANARY_SOURCE_INDEX"].clone(),
            id_field: source::ID_FIELD.into(),
            doc_id_is_message_id: DocId::IsItsOwn,
            time_field: source::TIME_FIELD.into(),
            filter: None,
            request_timeout: SourceSettings::REQUEST_TIMEOUT,
        };
        Source::new(settings).unwrap()
    }

    /// What stands in the ledger, by status of the batches: batches and messages.
    pub(crate) async fn batches_by_status(&self) -> BTreeMap<&'static str, (u64, u64)> {
        let counts = self.ledger.batches_by_status().await.unwrap();
        counts
            .iter()
            .map(|count| (count.status.as_str(), (count.batches, count.messages)))
            .collect()
    }

    /// Batches of one status.
    pub(crate) async fn batches(&self, status: BatchStatus) -> u64 {
        self.batches_by_status()
            .await
            .get(status.as_str())
            .map_or(0, |(batches, _)| *batches)
    }

    /// The ledger, past the ledger's functions.
    pub(crate) async fn sql(&self, statement: &str) -> u64 {
        self.database.sql(statement).await
    }

    /// Has batches say the digest of the message rows that were tampered with, and no other count than before: so the rows
    /// contradict the source, and not only their batches.
    pub(crate) async fn digest_rows(&self) {
        self.sql(
            "UPDATE batch b JOIN (SELECT batch_id, CAST(SUM(hash_high) % 18446744073709551616 AS UNSIGNED) AS high, \
             CAST(SUM(hash_low) % 18446744073709551616 AS UNSIGNED) AS low FROM message GROUP BY batch_id) m \
             ON m.batch_id = b.id SET b.digest_high = m.high, b.digest_low = m.low",
        )
        .await;
    }

    pub(crate) async fn rows<T: FromRow + Send + 'static>(&self, query: &str) -> Vec<T> {
        self.database.rows(query).await
    }

    pub(crate) async fn row<T: FromRow + Send + 'static>(&self, query: &str) -> T {
        self.rows(query).await.pop().expect("the query finds a row")
    }

    /// Holds what a statement locks (`SELECT … FOR UPDATE`): whoever needs it waits there until it is let go.
    pub(crate) async fn hold(&self, locking: &str) -> Held {
        self.database.hold(locking).await
    }

    /// Kills every connection to the ledger, again and again; how many were.
    pub(crate) async fn kill_connections_until(&self, is_over: &AtomicBool) -> u64 {
        self.database.kill_connections_until(is_over).await
    }

    /// Waits until a query counts something: the one way to wait for what a function does by itself.
    pub(crate) async fn until(&self, counting: &str) {
        for _ in 0..POLLS_MAX {
            let count: u64 = self.row(counting).await;
            if count > 0 {
                return;
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        panic!("it never came to be: {counting}");
    }

    /// The beginning of every key of this source.
    pub(crate) fn archive_root(&self) -> String {
        format!("{}/source={SOURCE_NAME}/", super::PREFIX)
    }
}
