//! Candidates for the table of messages, measured on a real server: bytes a message, new and known messages a second on one
//! connection, the server's CPU for each, and the time in which a batch is read. `docs/performance.md` has what came of it.
//!
//! Not a test: `make bench-schema` runs it, on the server that `LEDGER_SERVER` names. `SCHEMA_MESSAGES` (5,000,000) are loaded in pages
//! of 10,000, each page one transaction; ids have 36 bytes and no order. `SCHEMA_POOL` (4G) is the server's buffer pool.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a benchmark may fail by panicking"
)]
#![allow(clippy::print_stdout, reason = "the table is what people run it for")]

mod tables;

use granary_domain::IdDigest;
use granary_test_database::LedgerServer;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Params, Value};
use std::time::{Duration, Instant};
use tables::{CANDIDATES, Candidate};

const PAGE: u64 = 10_000;
const BATCH: u64 = 1_000;
const ROWS_PER_STATEMENT: usize = 512;
const KNOWN_PAGES: u64 = 50;
const BATCHES_READ: u64 = 300;

#[tokio::test]
async fn candidates_are_measured() {
    let messages: u64 = number("SCHEMA_MESSAGES", 5_000_000);
    let pool = std::env::var("SCHEMA_POOL").unwrap_or_else(|_| "4G".to_owned());
    println!(
        "| candidate | bytes a message | new a second | at the end | µs of the server, new | known again a second | by digest a second | a batch of 1,000, ms |"
    );
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    let wanted = std::env::var("SCHEMA_CANDIDATES").unwrap_or_default();
    for candidate in CANDIDATES
        .iter()
        .filter(|known| wanted.is_empty() || wanted.contains(known.name))
    {
        let pool = format!("--innodb-buffer-pool-size={pool}");
        let redo_log = granary_test_database::ServerKind::of_stack().redo_log("2G");
        let server =
            LedgerServer::start_with(&[pool.as_str(), redo_log.as_str(), "--innodb-file-per-table=1"]).await;
        let mut conn = server.connection().await;
        Measured::of(&mut conn, candidate, messages)
            .await
            .report(candidate);
    }
}

fn number(name: &str, or: u64) -> u64 {
    std::env::var(name).map_or(or, |value| value.parse().unwrap())
}

struct Measured {
    bytes: f64,
    new: f64,
    new_at_the_end: f64,
    cpu_micros: f64,
    known: f64,
    digested: f64,
    batch_millis: f64,
}

impl Measured {
    async fn of(conn: &mut Conn, candidate: &Candidate, messages: u64) -> Self {
        for statement in candidate.tables {
            conn.query_drop(*statement).await.unwrap();
        }
        let cpu_before = server_cpu(conn).await;
        let (began, pages) = (Instant::now(), messages / PAGE);
        let mut the_end = Instant::now();
        let last = pages - pages / 10;
        for page in 0..pages {
            if page == last {
                the_end = Instant::now();
            }
            insert(conn, candidate, page).await;
        }
        let (all, end) = (began.elapsed(), the_end.elapsed());
        let cpu = server_cpu(conn).await - cpu_before;
        let bytes = bytes_of(conn).await as f64 / (pages * PAGE) as f64;
        let known = known_again(conn, candidate, pages).await;
        let digested = digested(conn, candidate, pages).await;
        Self {
            bytes,
            new: rate(pages, all),
            new_at_the_end: rate(pages - last, end),
            cpu_micros: cpu.as_secs_f64() * 1e6 / (pages * PAGE) as f64,
            known,
            digested,
            batch_millis: batch_millis(conn, candidate, pages).await,
        }
    }

    fn report(&self, candidate: &Candidate) {
        println!(
            "| {} | {:.0} | {:.0} | {:.0} | {:.1} | {:.0} | {:.0} | {:.2} |",
            candidate.name,
            self.bytes,
            self.new,
            self.new_at_the_end,
            self.cpu_micros,
            self.known,
            self.digested,
            self.batch_millis
        );
    }
}

fn rate(pages: u64, time: Duration) -> f64 {
    (pages * PAGE) as f64 / time.as_secs_f64()
}

/// As a random UUID looks.
fn id(number: u64) -> String {
    let hash = IdDigest::hash(&number.to_be_bytes());
    let hex = format!("{hash:032x}");
    format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    )
}

/// Those of a page, in the order in which the ledger inserts them.
fn rows_of(page: u64) -> Vec<Row> {
    let mut rows: Vec<Row> = (page * PAGE..(page + 1) * PAGE)
        .map(|number| {
            let id = id(number);
            let (high, low) = IdDigest::halves(id.as_bytes());
            Row {
                batch: 1 + number / BATCH,
                n: number % BATCH,
                high,
                low,
                id,
                micros: number * 700,
            }
        })
        .collect();
    rows.sort_unstable_by_key(|row| (row.high, row.low));
    rows
}

struct Row {
    batch: u64,
    n: u64,
    high: u64,
    low: u64,
    id: String,
    micros: u64,
}

impl Row {
    fn value(&self, column: &str) -> Value {
        match column {
            "batch_id" => self.batch.into(),
            "n" => self.n.into(),
            "hash_high" => self.high.into(),
            "hash_low" => self.low.into(),
            "message_id" => self.id.as_str().into(),
            "index_id" => 1.into(),
            "index_name" => "messages-2026.01.01-000001".into(),
            "event_time" => Value::Date(
                2026,
                1,
                1,
                (self.micros / 3_600_000_000 % 24) as u8,
                (self.micros / 60_000_000 % 60) as u8,
                (self.micros / 1_000_000 % 60) as u8,
                (self.micros % 1_000_000) as u32,
            ),
            other => panic!("{other} is no column"),
        }
    }
}

async fn insert(conn: &mut Conn, candidate: &Candidate, page: u64) -> u64 {
    let rows = rows_of(page);
    let mut inserted = 0;
    conn.query_drop("START TRANSACTION").await.unwrap();
    for chunk in rows.chunks(ROWS_PER_STATEMENT) {
        let row = format!("({})", vec!["?"; candidate.columns.len()].join(","));
        let statement = format!(
            "INSERT IGNORE INTO message ({}) VALUES {}",
            candidate.columns.join(","),
            vec![row; chunk.len()].join(",")
        );
        let values = chunk
            .iter()
            .flat_map(|row| candidate.columns.iter().map(|column| row.value(column)));
        conn.exec_drop(statement, Params::Positional(values.collect()))
            .await
            .unwrap();
        inserted += conn.affected_rows();
    }
    if let Some(block) = candidate.block {
        for batch in page * PAGE / BATCH + 1..=(page + 1) * PAGE / BATCH {
            let mut ids: Vec<&str> = rows
                .iter()
                .filter(|row| row.batch == batch)
                .map(|row| row.id.as_str())
                .collect();
            ids.sort_unstable();
            conn.exec_drop(block, (batch, ids.join("\n"))).await.unwrap();
        }
    }
    conn.query_drop("COMMIT").await.unwrap();
    inserted
}

/// Pages that are known as a whole, row by row: none may be inserted.
async fn known_again(conn: &mut Conn, candidate: &Candidate, pages: u64) -> f64 {
    let began = Instant::now();
    for turn in 0..KNOWN_PAGES {
        let inserted = insert(
            conn,
            &Candidate {
                block: None,
                ..*candidate
            },
            turn * 7_919 % pages,
        )
        .await;
        assert_eq!(inserted, 0, "{}", candidate.name);
    }
    rate(KNOWN_PAGES, began.elapsed())
}

/// The same by a digest of each page's rows.
async fn digested(conn: &mut Conn, candidate: &Candidate, pages: u64) -> f64 {
    let began = Instant::now();
    for turn in 0..KNOWN_PAGES {
        let page = turn * 7_919 % pages;
        let (first, last) = (page * PAGE / BATCH + 1, (page + 1) * PAGE / BATCH);
        let query = "SELECT COUNT(*), CAST(SUM(hash_high) AS CHAR), CAST(SUM(hash_low) AS CHAR) FROM message WHERE batch_id BETWEEN ? AND ?";
        let (count, ..): (u64, String, String) =
            conn.exec_first(query, (first, last)).await.unwrap().unwrap();
        assert_eq!(count, PAGE, "{}", candidate.name);
    }
    rate(KNOWN_PAGES, began.elapsed())
}

async fn batch_millis(conn: &mut Conn, candidate: &Candidate, pages: u64) -> f64 {
    let batches = pages * PAGE / BATCH;
    let began = Instant::now();
    for turn in 0..BATCHES_READ {
        let batch = 1 + turn * 7_919 % batches;
        let rows: Vec<mysql_async::Row> = conn.exec(candidate.read, (batch,)).await.unwrap();
        assert!(
            rows.len() == usize::try_from(BATCH).unwrap() || candidate.block.is_some(),
            "{}",
            candidate.name
        );
    }
    began.elapsed().as_secs_f64() * 1e3 / BATCHES_READ as f64
}

/// Of the tables' files.
async fn bytes_of(conn: &mut Conn) -> u64 {
    let folder: String = conn
        .query_first("SELECT CONCAT(@@datadir, DATABASE())")
        .await
        .unwrap()
        .unwrap();
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap());
    files
        .filter(|file| file.file_name().to_string_lossy().starts_with("message"))
        .map(|file| file.metadata().unwrap().len())
        .sum()
}

/// The CPU time of the server's process.
async fn server_cpu(conn: &mut Conn) -> Duration {
    let pid_file: String = conn.query_first("SELECT @@pid_file").await.unwrap().unwrap();
    let pid = std::fs::read_to_string(pid_file).unwrap();
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}
