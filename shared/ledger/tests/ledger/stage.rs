//! A ledger for one test, and verbs: what harvesters, exporters and time do to it.

use granary_domain::{
    Backoff, BatchId, Cause, ExceptionKind, Failure, Generation, Hour, Layout, MigrationId, MigrationKind,
    NumberMark, ObjectKey, Priority, Tally, TimeRange,
};
use granary_ledger::export::{Claim, ClaimedBatch, Settlement};
use granary_ledger::harvest::{LeasedWindow, NewMigration, PageOfMessages, Recorded, SeenMessage};
use granary_ledger::integrity::{Acceptance, Verification};
use granary_ledger::{Ledger, LedgerSettings};
use granary_test_database::{processlist, server_of};
use jiff::Timestamp;
use mysql_async::prelude::{FromRow, Queryable};
use mysql_async::{Conn, Params};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;
use uuid::Uuid;

pub(crate) const LEASE: Duration = Duration::from_secs(90);
pub(crate) const ATTEMPTS_MAX: u32 = 5;
pub(crate) const BACKOFF: Backoff = Backoff {
    first: Duration::from_secs(5),
    ceiling: Duration::from_secs(600),
};

pub(crate) fn instant(text: &str) -> Timestamp {
    text.parse().unwrap()
}

const WAITS_MAX: u32 = 100;

/// A day of which every test uses as much as it needs.
pub(crate) fn a_day() -> TimeRange {
    TimeRange::new(instant("2026-01-01T00:00:00Z"), instant("2026-01-02T00:00:00Z")).unwrap()
}

/// The ledger's sources, of all folders.
pub(crate) fn sources() -> Vec<PathBuf> {
    let (mut sources, mut paths) = (
        Vec::new(),
        vec![PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))],
    );
    while let Some(path) = paths.pop() {
        if path.is_dir() {
            paths.extend(
                std::fs::read_dir(path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        } else {
            sources.push(path);
        }
    }
    sources
}

/// The server under test.
fn server() -> String {
    let url = std::env::var("LEDGER_URL").expect(
        "LEDGER_URL must name a running MySQL or MariaDB: start the local stack, then `. .local/env`",
    );
    server_of(&url).to_owned()
}

/// A database of a test's own, and what is done to it behind the ledger's back.
pub(crate) struct Database {
    database: granary_test_database::Database,
}

impl Database {
    pub(crate) async fn new() -> Self {
        Self {
            database: granary_test_database::Database::with_schema(&server()).await,
        }
    }

    /// One that no program has seen.
    pub(crate) async fn empty() -> Self {
        Self {
            database: granary_test_database::Database::empty(&server()).await,
        }
    }

    /// The same with this name.
    pub(crate) async fn named(name: &str) -> Self {
        Self {
            database: granary_test_database::Database::named(&server(), name).await,
        }
    }

    pub(crate) fn url(&self) -> String {
        self.database.url()
    }

    pub(crate) fn name(&self) -> &str {
        self.database.name()
    }

    pub(crate) fn settings(&self, connections_max: usize) -> LedgerSettings {
        LedgerSettings {
            url: self.database.url().into(),
            connections_max,
        }
    }

    /// Another program's ledger on this database, after a deployment.
    pub(crate) async fn ledger(&self) -> Ledger {
        let ledger = granary_test_database::deployed(&self.settings(8)).await;
        with_numbers(&ledger).await;
        ledger
    }

    pub(crate) async fn sql(&self, statement: &str) {
        self.try_sql(statement, Params::Empty).await.unwrap();
    }

    pub(crate) async fn try_sql(
        &self,
        statement: &str,
        params: impl Into<Params> + Send,
    ) -> Result<u64, mysql_async::Error> {
        let mut conn = self.database.connection().await;
        let outcome = conn.exec_drop(statement, params).await;
        let affected = conn.affected_rows();
        conn.disconnect().await.unwrap();
        outcome.map(|()| affected)
    }

    /// Statements that no constraint holds back, from here on.
    pub(crate) async fn tamper(&self, statements: &[&str]) {
        self.database.spoil();
        let mut conn = self.database.connection().await;
        let constraints: Vec<(String, String)> = conn
            .query(
                "SELECT table_name, CONCAT('DROP CONSTRAINT ', constraint_name) \
                 FROM information_schema.table_constraints \
                 WHERE constraint_schema = DATABASE() AND constraint_type = 'CHECK'",
            )
            .await
            .unwrap();
        let mut of_table: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (table, drop) in constraints {
            of_table.entry(table).or_default().push(drop);
        }
        for (table, drops) in of_table {
            let statement = format!("ALTER TABLE {table} {}", drops.join(", "));
            conn.query_drop(statement).await.unwrap();
        }
        for statement in statements {
            conn.query_drop(*statement).await.unwrap();
        }
        conn.disconnect().await.unwrap();
    }

    pub(crate) async fn rows<T: FromRow + Send + 'static>(&self, query: &str) -> Vec<T> {
        let mut conn = self.database.connection().await;
        let rows = conn.query(query).await.unwrap();
        conn.disconnect().await.unwrap();
        rows
    }

    /// A connection that holds what a statement locks, until it is disconnected.
    pub(crate) async fn held(&self, locking: &str) -> Conn {
        let mut conn = self.database.connection().await;
        conn.query_drop("START TRANSACTION").await.unwrap();
        conn.query_drop(locking).await.unwrap();
        conn
    }

    /// A connection that waits for a lock of somebody else's: nothing else takes a statement here so long.
    pub(crate) async fn until_a_connection_waits(&self) -> u64 {
        let query = format!(
            "SELECT id, info FROM {} WHERE db = '{}' AND id <> CONNECTION_ID() AND info IS NOT NULL",
            processlist(),
            self.database.name()
        );
        let mut before: Vec<(u64, Vec<u8>)> = Vec::new();
        for _ in 0..WAITS_MAX {
            let now: Vec<(u64, Vec<u8>)> = self.rows(&query).await;
            if let Some((id, _)) = now.iter().find(|at_work| before.contains(at_work)) {
                return *id;
            }
            before = now;
            tokio::time::sleep(Duration::from_millis(150)).await;
        }
        panic!("no connection waits for a lock");
    }

    pub(crate) async fn row<T: FromRow + Send + 'static>(&self, query: &str) -> T {
        self.rows(query).await.pop().expect("the query finds a row")
    }
}

/// As many as the largest page of a test has batches.
const NUMBERS_OF_A_TEST: u64 = 100_000;

/// A program reserves batch numbers; the archive's mark is somebody else's to test.
pub(crate) async fn with_numbers(ledger: &Ledger) {
    let block = ledger
        .intend_block(NumberMark::default(), NUMBERS_OF_A_TEST)
        .await
        .unwrap();
    ledger.open_block(block).await.unwrap();
}

/// A database with the ledger's schema, and a ledger on it.
pub(crate) struct Stage {
    pub(crate) database: Database,
    pub(crate) ledger: Ledger,
}

impl Stage {
    pub(crate) async fn new() -> Self {
        let database = Database::new().await;
        let ledger = database.ledger().await;
        Self { database, ledger }
    }

    /// Every window was recorded two hours ago, with ten messages, and waits for its proof.
    pub(crate) async fn let_windows_be_recorded(&self) {
        let recorded = "UPDATE harvest_window SET state = 'recorded', found = 10, recorded = 10, \
             recorded_at = UTC_TIMESTAMP(6) - INTERVAL 2 HOUR";
        let waiting = "INSERT IGNORE INTO window_proof (window_id) SELECT id FROM harvest_window";
        for statement in [recorded, waiting] {
            self.database.sql(statement).await;
        }
    }

    /// An operator accepts exceptions of a kind in an index.
    pub(crate) async fn accept(&self, kind: ExceptionKind, index: &str, max: u64) {
        let acceptance = Acceptance {
            kind,
            index,
            max,
            reason: "a test",
        };
        self.ledger
            .accept_exceptions(&acceptance, "operator")
            .await
            .unwrap();
    }

    /// A backfill of a range with batches of up to `batch_size`, its whole range in one window.
    pub(crate) async fn backfill(&self, range: TimeRange, batch_size: u32) -> MigrationId {
        self.urgent_backfill(range, batch_size, 0).await
    }

    pub(crate) async fn urgent_backfill(
        &self,
        range: TimeRange,
        batch_size: u32,
        priority: u8,
    ) -> MigrationId {
        let migration = NewMigration {
            id: MigrationId(Uuid::now_v7()),
            kind: MigrationKind::Backfill,
            priority: Priority::try_from(priority).unwrap(),
            batch_size,
            filter: None,
            from: range.from(),
            to: Some(range.to()),
            requested_by: "test".into(),
        };
        self.ledger.make_migration(&migration).await.unwrap();
        assert!(self.ledger.open_window(migration.id, range).await.unwrap());
        migration.id
    }

    /// The next window that waits for a harvester.
    pub(crate) async fn take_window(&self) -> LeasedWindow {
        let holder = Uuid::now_v7().to_string();
        let window = self.ledger.claim_window(&holder, LEASE).await.unwrap();
        window.expect("a window waits for a harvester")
    }

    /// A window over a day, held, of a migration of its own.
    pub(crate) async fn window(&self, batch_size: u32) -> LeasedWindow {
        let migration = self.backfill(a_day(), batch_size).await;
        let window = self.take_window().await;
        assert_eq!(window.migration_id, migration);
        window
    }

    /// Records a page as a harvester does, and goes on behind it.
    pub(crate) async fn record(&self, window: &mut LeasedWindow, messages: &[SeenMessage]) -> Tally {
        let recorded = record_page(&self.ledger, window, messages).await;
        let Recorded::Done { tally, .. } = recorded else {
            panic!("the window is somebody else's");
        };
        window.pages += 1;
        window.tally = tally;
        tally
    }

    /// One batch of these ids, recorded by a window of its own.
    pub(crate) async fn batch(&self, ids: &[&str]) -> BatchId {
        let mut window = self.window(1_000).await;
        let messages: Vec<_> = ids.iter().map(|id| seen(id)).collect();
        self.record(&mut window, &messages).await;
        self.ledger.finish_window(&window).await.unwrap();
        let query = format!("SELECT id FROM batch WHERE window_id = {}", window.id);
        BatchId(self.database.row(&query).await)
    }

    /// The batch in the hands of `worker`, who must win it.
    pub(crate) async fn claim(&self, batch: BatchId, worker: &str) -> ClaimedBatch {
        match self.ledger.claim(batch, worker, LEASE).await.unwrap() {
            Claim::Won(claimed) => *claimed,
            Claim::Lost(why) => panic!("batch {batch} was not claimed: {why:?}"),
        }
    }

    /// A batch of three messages in a worker's hands.
    pub(crate) async fn claimed(&self) -> ClaimedBatch {
        let batch = self.batch(&["m1", "m2", "m3"]).await;
        self.claim(batch, "worker").await
    }

    /// Lets a batch's lease be over.
    pub(crate) async fn let_lease_end(&self, batch: BatchId) {
        let statement =
            format!("UPDATE batch SET lease_until = UTC_TIMESTAMP(6) - INTERVAL 1 SECOND WHERE id = {batch}");
        self.database.sql(&statement).await;
    }

    /// Lets every delay be over.
    pub(crate) async fn let_delays_end(&self) {
        self.database.sql("UPDATE batch SET not_before = NULL").await;
    }

    /// Cancels a migration that wasn't over, and releases what it holds; how many messages.
    pub(crate) async fn give_up(&self, migration: MigrationId) -> u64 {
        assert!(self.ledger.cancel_migration(migration).await.unwrap());
        let mut released = 0;
        while let Some(step) = self.ledger.release_cancelled().await.unwrap() {
            released += step.messages;
        }
        released
    }

    /// Lets a worker die with a batch in its hands, and takes the batch back.
    pub(crate) async fn reap(&self, batch: BatchId) {
        self.let_lease_end(batch).await;
        let reaped = self.ledger.reap_dead(BACKOFF, ATTEMPTS_MAX).await.unwrap();
        assert_eq!(reaped.batches, [batch]);
    }

    pub(crate) async fn status_of(&self, batch: BatchId) -> String {
        let query = format!("SELECT status FROM batch WHERE id = {batch}");
        self.database.row(&query).await
    }
}

/// Records a page behind what the window's harvester knows, whatever comes of it.
pub(crate) async fn record_page(
    ledger: &Ledger,
    window: &LeasedWindow,
    messages: &[SeenMessage],
) -> Recorded {
    let bookmark = format!("page {}", window.pages + 1);
    let page = PageOfMessages {
        messages,
        without_id: 0,
        tally_before: window.tally,
        bookmark: &bookmark,
    };
    ledger.record_page(window, &page, LEASE).await.unwrap()
}

/// A message at noon of the day.
pub(crate) fn seen(id: &str) -> SeenMessage {
    seen_at(id, "2026-01-01T12:00:00Z")
}

pub(crate) fn seen_at(id: &str, time: &str) -> SeenMessage {
    SeenMessage {
        message_id: id.to_owned().try_into().unwrap(),
        doc_id: None,
        index: "messages".into(),
        routing: None,
        event_time: instant(time),
    }
}

/// `count` messages with ids that begin alike.
pub(crate) fn many(name: &str, count: usize) -> Vec<SeenMessage> {
    (0..count)
        .map(|number| seen(&format!("{name}{number:06}")))
        .collect()
}

pub(crate) fn object_of(batch: &ClaimedBatch) -> ObjectKey {
    let form = (granary_domain::Format::Ndjson, granary_domain::Compression::Zstd);
    Layout::new("archive", "messages").object(batch.hour, batch.id, batch.generation, form)
}

/// An export of the whole batch.
pub(crate) fn whole(batch: &ClaimedBatch) -> Settlement {
    Settlement {
        object: Some(object_of(batch)),
        sha256: Some([7; 32]),
        bytes_raw: 300,
        bytes_stored: 100,
        exported: batch.message_count,
        missing: 0,
        quarantined: 0,
        timings: "{\"read\":1}".into(),
    }
}

pub(crate) fn failure() -> Failure {
    Failure {
        cause: Cause::Spool,
        text: "the disk is full".into(),
    }
}

/// What a batch that nobody ever claimed would be in a worker's hands.
pub(crate) fn as_if_claimed(id: BatchId, fence: u32) -> ClaimedBatch {
    ClaimedBatch {
        id,
        migration_id: MigrationId(Uuid::nil()),
        window_id: granary_domain::WindowId(0),
        hour: Hour::of(instant("2026-01-01T12:00:00Z")),
        message_count: 3,
        fence: granary_domain::Fence(fence),
        attempts: 1,
        generation: Generation(1),
        deferrals: 0,
        copied_from: None,
    }
}

/// A full verification of a range that began then. What is a week old has settled.
pub(crate) fn verification(range: TimeRange, as_of: Timestamp) -> Verification {
    Verification {
        is_incomplete_everywhere: false,
        is_of_archive_only: false,
        range,
        as_of,
        horizon: Duration::from_secs(7 * 86_400),
        source_at: None,
        accepted: Vec::new(),
    }
}
