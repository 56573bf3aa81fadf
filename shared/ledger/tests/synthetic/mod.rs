//! A ledger full of synthetic messages, made by the database itself in a few statements.
//!
//! It looks as a continuous migration leaves it: windows of an hour that are verified, batches that are completed but
//! for the youngest, ids that tell nothing about their messages' time (neighbours in the primary key are hours apart,
//! as with real ids). Every row agrees with every other: an hour of it can be verified, sealed and purged.

use granary_domain::{Hour, MigrationId, MigrationKind, Priority, TimeRange};
use granary_ledger::Ledger;
use granary_ledger::harvest::{LeasedWindow, NewMigration};
use jiff::{SignedDuration, Timestamp};
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use std::time::Duration;
use uuid::Uuid;

/// A multiplier that no size used here has a divisor in common with.
const STRIDE: u64 = 7_368_787;
const ROWS_PER_STATEMENT_MAX: u64 = 1_000_000;
/// Numbers from 1 on, a row each, while the ledger is filled.
const NUMBERS: &str = "synthetic_number";
/// Both halves of the hash of an id, as the ledger computes them.
const HASH: &str = "CAST(CONV(SUBSTR(hash, 1, 16), 16, 10) AS UNSIGNED), CAST(CONV(SUBSTR(hash, 17, 16), 16, 10) AS UNSIGNED)";
/// Has batches say what their rows hold.
const DIGESTS: &str = "UPDATE batch b JOIN (SELECT batch_id, CAST(SUM(hash_high) % 18446744073709551616 AS UNSIGNED) AS high, \
     CAST(SUM(hash_low) % 18446744073709551616 AS UNSIGNED) AS low FROM message GROUP BY batch_id) m ON m.batch_id = b.id \
     SET b.digest_high = m.high, b.digest_low = m.low";
/// One batch of so many has a message that is missing.
const BATCHES_PER_MISSING: u64 = 97;

/// How much there is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Synthetic {
    pub(crate) hours: u64,
    pub(crate) batches_per_hour: u64,
    pub(crate) batch_size: u64,
    /// Of the youngest batches, those that are pending; half of them are sent.
    pub(crate) pending: u64,
    /// Before these, batches in the hands of workers, half of them dead.
    pub(crate) in_progress: u64,
    /// Before these, batches that failed and are due, and as many that are parked.
    pub(crate) failed: u64,
    /// What years leave behind, as many of each: windows of empty hours long before the first message; windows and batches
    /// of a migration that was cancelled; and its messages, which nobody owns, all of them long after the last one. That is
    /// where a plan that counts on an even spread reads everything.
    pub(crate) leftovers: u64,
}

impl Synthetic {
    pub(crate) fn batches(&self) -> u64 {
        self.hours * self.batches_per_hour
    }

    pub(crate) fn messages(&self) -> u64 {
        self.batches() * self.batch_size
    }

    /// Between two messages.
    fn micros(&self) -> u64 {
        3_600_000_000 / (self.batches_per_hour * self.batch_size)
    }

    /// Bytes that are characters, so that a log shows them as they are.
    pub(crate) fn migration(&self) -> MigrationId {
        MigrationId(Uuid::from_bytes(*b"granarysynthetic"))
    }

    /// The first batch that isn't completed.
    pub(crate) fn first_open(&self) -> u64 {
        self.batches() - self.pending - self.in_progress - 2 * self.failed + 1
    }

    pub(crate) fn first_pending(&self) -> u64 {
        self.batches() - self.pending + 1
    }

    pub(crate) fn start() -> Timestamp {
        "2026-01-01T00:00:00Z".parse().unwrap()
    }

    pub(crate) fn hour(&self, number: u64) -> Hour {
        let hours = SignedDuration::from_hours(i64::try_from(number).unwrap());
        Hour::of(Self::start() + hours)
    }

    pub(crate) fn range(&self) -> TimeRange {
        TimeRange::new(Self::start(), self.hour(self.hours).start()).unwrap()
    }

    /// The id of a message: numbers are 1 to all, and neighbours are far apart in time. The one with the number `n` has the place
    /// `n * STRIDE`, modulo all, in the order of time.
    pub(crate) fn id(place: u64) -> String {
        format!("{place:08X}-89ab-7cde-8f01-23456789abcd")
    }

    /// The id and the event time of the message with this place in the order of time: 0 to all but one.
    #[allow(dead_code, reason = "the plans don't need it")]
    pub(crate) fn at(&self, place: u64) -> (String, Timestamp) {
        let all = self.messages();
        let number = (place * inverse(STRIDE, all) + all - 1) % all + 1;
        let micros = i64::try_from(place * self.micros()).unwrap();
        (
            Self::id(number),
            Self::start() + SignedDuration::from_micros(micros),
        )
    }

    /// Fills an empty ledger. Messages come batch by batch, and their other index afterwards, sorted: many times faster than row by
    /// row.
    pub(crate) async fn fill(&self, conn: &mut Conn) {
        sql(conn, "SET unique_checks = 0").await;
        self.fill_numbers(conn).await;
        self.fill_migration(conn).await;
        self.fill_batches(conn).await;
        sql(conn, "INSERT INTO source_index (id, name) VALUES (1, 'messages')").await;
        sql(conn, "ALTER TABLE message DROP INDEX message_hash").await;
        let messages = self.messages();
        let (micros, inverse) = (self.micros(), inverse(STRIDE, messages));
        let mut from = 1;
        while from <= messages {
            let to = messages.min(from + ROWS_PER_STATEMENT_MAX - 1);
            let statement = format!(
                "INSERT INTO message (batch_id, hash_high, hash_low, message_id, index_id, event_time, outcome) \
                 SELECT 1 + (place - 1) DIV {size}, {HASH}, id, 1, '2026-01-01' + INTERVAL (place - 1) * {micros} MICROSECOND, \
                 IF((place - 1) MOD {every} = {last}, 'missing', NULL) FROM \
                 (SELECT place, id, SHA2(id, 256) AS hash FROM (SELECT seq + {from} - 1 AS place, \
                 CONCAT(LPAD(HEX(1 + ((seq + {from} - 2) * {inverse} + {messages} - 1) MOD {messages}), 8, '0'), \
                 '-89ab-7cde-8f01-23456789abcd') AS id \
                 FROM {NUMBERS} WHERE seq <= {to} - {from} + 1 ORDER BY seq) n) h",
                size = self.batch_size,
                every = self.batch_size * BATCHES_PER_MISSING,
                last = self.batch_size * (BATCHES_PER_MISSING - 1),
            );
            sql(conn, &statement).await;
            from = to + 1;
        }
        // Only batches that are completed have exceptions.
        let open = format!(
            "UPDATE message SET outcome = NULL WHERE batch_id >= {} AND outcome IS NOT NULL",
            self.first_open()
        );
        self.fill_leftovers(conn).await;
        sql(
            conn,
            "ALTER TABLE message ADD UNIQUE KEY message_hash (hash_high, hash_low)",
        )
        .await;
        sql(conn, &open).await;
        sql(conn, DIGESTS).await;
        sql(conn, &format!("DROP TABLE {NUMBERS}")).await;
        sql(
            conn,
            "ANALYZE TABLE message, batch, attempt, harvest_window, window_proof, migration",
        )
        .await;
    }

    /// Moves the settling of all completed batches into the last 24 hours, evenly.
    #[allow(dead_code, reason = "the plans don't need it")]
    pub(crate) async fn settle_lately(&self, conn: &mut Conn) {
        let completed = self.first_open() - 1;
        let statement = format!(
            "UPDATE batch SET settled_at = UTC_TIMESTAMP(6) - INTERVAL (id * 86000) DIV {completed} SECOND \
             WHERE status = 'completed'"
        );
        sql(conn, &statement).await;
        sql(conn, "ANALYZE TABLE batch").await;
    }

    /// Moves it back to where it was.
    #[allow(dead_code, reason = "the plans don't need it")]
    pub(crate) async fn settle_long_ago(&self, conn: &mut Conn) {
        sql(
            conn,
            "UPDATE batch SET settled_at = '2026-01-02' WHERE status = 'completed'",
        )
        .await;
        sql(conn, "ANALYZE TABLE batch").await;
    }

    async fn fill_numbers(&self, conn: &mut Conn) {
        let wanted = self.messages().min(ROWS_PER_STATEMENT_MAX);
        let wanted = wanted.max(self.batches()).max(self.leftovers);
        sql(
            conn,
            &format!("CREATE TABLE {NUMBERS} (seq BIGINT UNSIGNED NOT NULL PRIMARY KEY)"),
        )
        .await;
        sql(conn, &format!("INSERT INTO {NUMBERS} VALUES (1)")).await;
        let mut there = 1;
        while there < wanted {
            sql(
                conn,
                &format!("INSERT INTO {NUMBERS} SELECT seq + {there} FROM {NUMBERS}"),
            )
            .await;
            there *= 2;
        }
    }

    async fn fill_migration(&self, conn: &mut Conn) {
        let hours = self.hours;
        sql(
            conn,
            &format!(
                "INSERT INTO migration (id, kind, state, batch_size, range_from, harvested_to, requested_by, only_one, \
                 created_at) VALUES ('granarysynthetic', 'continuous', 'open', {size}, '2026-01-01' - INTERVAL {leftovers} HOUR, \
                 '2026-01-01' + INTERVAL {hours} HOUR, 'synthetic', 'continuous', '2026-01-01')",
                size = self.batch_size,
                leftovers = self.leftovers,
            ),
        )
        .await;
        sql(
            conn,
            &format!(
                "INSERT INTO harvest_window (id, migration_id, range_from, range_to, state, found, recorded, pages, \
                 batches, created_at, recorded_at, verified_at) SELECT seq, 'granarysynthetic', \
                 '2026-01-01' + INTERVAL seq - 1 HOUR, '2026-01-01' + INTERVAL seq HOUR, 'verified', {found}, {found}, \
                 1, {batches}, '2026-06-01', '2026-06-01', '2026-06-01' FROM {NUMBERS} WHERE seq <= {hours}",
                found = self.batches_per_hour * self.batch_size,
                batches = self.batches_per_hour,
            ),
        )
        .await;
    }

    async fn fill_batches(&self, conn: &mut Conn) {
        let (batches, per_hour, size) = (self.batches(), self.batches_per_hour, self.batch_size);
        let (open, micros) = (self.first_open(), self.micros());
        let parked = open + self.failed;
        let in_progress = parked + self.failed;
        let pending = self.first_pending();
        let statement = format!(
            "INSERT INTO batch (id, migration_id, window_id, window_ordinal, hour_start, status, message_count, digest_high, \
             digest_low, time_from, time_to, attempts, fence, holder, claimed_at, lease_until, not_before, enqueued_at, sends, parked_at, object_key, bytes_raw, \
             bytes_stored, sha256, exported, missing, quarantined, error_code, error_text, created_at, settled_at) \
             SELECT seq, 'granarysynthetic', 1 + (seq - 1) DIV {per_hour}, (seq - 1) MOD {per_hour}, \
             '2026-01-01' + INTERVAL (seq - 1) DIV {per_hour} HOUR, \
             CASE WHEN seq < {open} THEN 'completed' WHEN seq < {in_progress} THEN 'failed' \
                  WHEN seq < {pending} THEN 'in_progress' ELSE 'pending' END, {size}, 0, 0, \
             '2026-01-01' + INTERVAL (seq - 1) * {size} * {micros} MICROSECOND, \
             '2026-01-01' + INTERVAL (seq * {size} - 1) * {micros} MICROSECOND, \
             IF(seq < {pending}, 1, 0), IF(seq < {pending}, 1, 0), \
             IF(seq >= {in_progress} AND seq < {pending}, CONCAT('worker-', seq), NULL), \
             IF(seq < {pending}, '2026-01-02', NULL), \
             IF(seq >= {in_progress} AND seq < {pending}, UTC_TIMESTAMP(6) + INTERVAL IF(seq MOD 2, -1, 1) HOUR, NULL), \
             IF(seq >= {open} AND seq < {in_progress}, '2026-01-02', NULL), \
             IF(seq < {pending} OR seq MOD 2, '2026-01-02', NULL), 1, \
             IF(seq >= {parked} AND seq < {in_progress}, '2026-01-02', NULL), \
             IF(seq < {open}, CONCAT('archive/source=messages/dt=2026-01-01/hour=00/batch-', seq, '-g1.ndjson.zst'), NULL), \
             IF(seq < {open}, 1900000, NULL), IF(seq < {open}, 500000, NULL), IF(seq < {open}, REPEAT('x', 32), NULL), \
             IF(seq < {open}, {size} - (seq MOD {BATCHES_PER_MISSING} = 0), NULL), \
             IF(seq < {open}, seq MOD {BATCHES_PER_MISSING} = 0, NULL), IF(seq < {open}, 0, NULL), \
             IF(seq >= {open} AND seq < {in_progress}, 'spool', NULL), \
             IF(seq >= {open} AND seq < {in_progress}, 'the disk is full', NULL), '2026-01-01', \
             IF(seq < {open}, '2026-01-02', NULL) FROM {NUMBERS} WHERE seq <= {batches}"
        );
        sql(conn, &statement).await;
        sql(
            conn,
            "INSERT INTO attempt (batch_id, number, generation, worker, started_at, ended_at, outcome, timings) \
             SELECT id, 1, 1, CONCAT('worker-', id), '2026-01-02', IF(status = 'in_progress', NULL, '2026-01-02'), \
             CASE status WHEN 'completed' THEN 'completed' WHEN 'failed' THEN 'failed' END, '{\"read\":1}' \
             FROM batch WHERE status <> 'pending'",
        )
        .await;
    }
}

impl Synthetic {
    /// The first instant after which there is nothing but what a cancelled migration left.
    pub(crate) const AFTER_ALL: &str = "2030-01-01";

    async fn fill_leftovers(&self, conn: &mut Conn) {
        let Self { leftovers, hours, .. } = *self;
        let numbers = format!("FROM {NUMBERS} WHERE seq <= {leftovers}");
        let after_all = Self::AFTER_ALL;
        let batches = self.batches();
        let statements = [
            format!(
                "INSERT INTO harvest_window (id, migration_id, range_from, range_to, state, pages, created_at, recorded_at, \
                 verified_at) SELECT {hours} + seq, 'granarysynthetic', '2026-01-01' - INTERVAL seq HOUR, \
                 '2026-01-01' - INTERVAL seq - 1 HOUR, 'verified', 1, '2026-06-01', '2026-06-01', '2026-06-01' {numbers}"
            ),
            "INSERT INTO window_proof (window_id, outcome, as_of, proven_at, final_at) \
             SELECT id, 'proven', '2026-06-02', '2026-06-02', '2026-06-02' FROM harvest_window"
                .to_owned(),
            format!(
                "INSERT INTO migration (id, kind, state, batch_size, range_from, range_to, harvested_to, requested_by, \
                 created_at, finished_at) VALUES ('granarycancelled', 'backfill', 'cancelled', 1, '{after_all}', \
                 '2050-01-01', '2050-01-01', 'synthetic', '2026-06-01', '2026-06-02')"
            ),
            format!(
                "INSERT INTO harvest_window (id, migration_id, range_from, range_to, state, is_read_once, found, recorded, \
                 pages, batches, created_at, recorded_at) SELECT {hours} + {leftovers} + seq, 'granarycancelled', '{after_all}' + INTERVAL seq HOUR, \
                 '{after_all}' + INTERVAL seq + 1 HOUR, 'recorded', TRUE, 1, 1, 1, 1, '2026-06-01', '2026-06-01' {numbers}"
            ),
            format!(
                "INSERT INTO batch (id, migration_id, window_id, window_ordinal, hour_start, status, message_count, digest_high, \
                 digest_low, time_from, time_to, fence, created_at) SELECT {batches} + seq, 'granarycancelled', \
                 {hours} + {leftovers} + seq, 0, '{after_all}' + INTERVAL seq HOUR, 'cancelled', 1, 0, 0, \
                 '{after_all}' + INTERVAL seq HOUR, '{after_all}' + INTERVAL seq HOUR, 1, '2026-06-01' {numbers}"
            ),
            format!(
                "INSERT INTO message (batch_id, hash_high, hash_low, message_id, index_id, event_time) \
                 SELECT {batches} + seq, {HASH}, id, 1, '{after_all}' + INTERVAL seq HOUR FROM \
                 (SELECT seq, id, SHA2(id, 256) AS hash FROM (SELECT seq, CONCAT('unowned-', seq) AS id {numbers}) n) h"
            ),
        ];
        for statement in &statements {
            sql(conn, statement).await;
        }
    }
}

/// What undoes a multiplication by `number`, modulo `modulus`.
fn inverse(number: u64, modulus: u64) -> u64 {
    let (number, modulus) = (i128::from(number), i128::from(modulus));
    let (mut rest, mut next_rest, mut factor, mut next_factor) = (modulus, number % modulus, 0, 1);
    while next_rest != 0 {
        let times = rest / next_rest;
        (rest, next_rest) = (next_rest, rest - times * next_rest);
        (factor, next_factor) = (next_factor, factor - times * next_factor);
    }
    u64::try_from(factor.rem_euclid(modulus)).unwrap()
}

async fn sql(conn: &mut Conn, statement: &str) {
    conn.query_drop(statement)
        .await
        .unwrap_or_else(|error| panic!("{error}: {statement}"));
}

/// A window over a range, held, of a backfill of its own.
pub(crate) async fn window_of(
    ledger: &Ledger,
    range: TimeRange,
    holder: &str,
    lease: Duration,
) -> LeasedWindow {
    let migration = NewMigration {
        id: MigrationId::new(),
        kind: MigrationKind::Backfill,
        priority: Priority::NORMAL,
        batch_size: 1_000,
        filter: None,
        from: range.from(),
        to: Some(range.to()),
        requested_by: "test".into(),
    };
    ledger.make_migration(&migration).await.unwrap();
    assert!(ledger.open_window(migration.id, range).await.unwrap());
    ledger.claim_window(holder, lease).await.unwrap().unwrap()
}
