//! What a server was asked, by which function, and how many rows it read for it.
//!
//! Counted are rows, not kinds of access: a range may be everything, and a scan of a small table costs nothing. The server is the
//! test's own, so that what its counters grow by is what the function made it read.

use granary_test_database::{LedgerServer, ServerKind};
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use std::collections::{BTreeMap, BTreeSet};

/// Calls a function of the ledger under its own name, and expects an answer.
macro_rules! ask {
    ($asking:expr, $ledger:ident.$function:ident($($argument:expr),* $(,)?)) => {{
        $asking.about_to(stringify!($function)).await;
        let answer = $ledger.$function($($argument),*).await.unwrap();
        $asking.has_been_done().await;
        answer
    }};
}
pub(super) use ask;

pub(super) struct Asking<'a> {
    server: &'a LedgerServer,
    conn: Conn,
    pub(super) called: BTreeSet<&'static str>,
    /// What is being asked, and what had been read before.
    current: Option<(&'static str, u64)>,
    /// What looking at the counters adds to them.
    overhead: u64,
    /// The most that one call of each function read.
    reads: BTreeMap<&'static str, u64>,
}

const MARK: &str = "SELECT 'about to: ";
const STATEMENT_CHARS_SHOWN: usize = 600;
/// A range of keys for which MySQL lacked memory, so that it read the whole table.
const RANGE_WITHOUT_MEMORY: u16 = 3170;

impl<'a> Asking<'a> {
    pub(super) async fn new(server: &'a LedgerServer) -> Self {
        let mut asking = Self {
            server,
            conn: server.connection().await,
            called: BTreeSet::new(),
            current: None,
            overhead: 0,
            reads: BTreeMap::new(),
        };
        asking.conn.query_drop(format!("{MARK}nothing'")).await.unwrap();
        let (first, second) = (asking.rows_read().await, asking.rows_read().await);
        asking.overhead = second - first;
        asking
    }

    /// What is asked from here on, this function asks.
    pub(super) async fn about_to(&mut self, function: &'static str) {
        self.called.insert(function);
        self.conn.query_drop(format!("{MARK}{function}'")).await.unwrap();
        self.current = Some((function, self.rows_read().await));
    }

    pub(super) async fn has_been_done(&mut self) {
        let now = self.rows_read().await;
        let (function, before) = self.current.take().expect("something is being done");
        let read = (now - before).saturating_sub(self.overhead);
        let most = self.reads.entry(function).or_default();
        *most = read.max(*most);
    }

    /// Rows that the server's handlers gave out since it started, and those that the engine left out by a pushed condition.
    async fn rows_read(&mut self) -> u64 {
        let handlers = "SHOW GLOBAL STATUS WHERE variable_name LIKE 'Handler_read%' \
                        OR variable_name = 'Handler_icp_attempts'";
        let counters: Vec<(String, u64)> = self.conn.query(handlers).await.unwrap();
        let pushed: Option<u64> = match self.server.kind {
            ServerKind::MariaDb => None,
            ServerKind::MySql => {
                let query = "SELECT count FROM information_schema.innodb_metrics WHERE name = 'icp_attempts'";
                self.conn.query_first(query).await.unwrap()
            }
        };
        counters.into_iter().map(|(_, rows)| rows).sum::<u64>() + pushed.unwrap_or(0)
    }

    /// The functions that read more rows than they may, and what was asked by them.
    pub(super) async fn excesses(&mut self, most_of: impl Fn(&str) -> u64) -> BTreeMap<String, Vec<String>> {
        let mut excesses = BTreeMap::new();
        for (function, read) in self.reads.clone() {
            let most = most_of(function);
            if read > most {
                let statements = self.statements_of(function).await;
                excesses.insert(
                    format!("{function} read {read} rows, {most} are enough"),
                    statements,
                );
            }
        }
        excesses
    }

    pub(super) fn most_read_by(&self, function: &str) -> u64 {
        self.reads.get(function).copied().unwrap_or(0)
    }

    async fn statements_of(&mut self, function: &str) -> Vec<String> {
        let logged: Vec<Vec<u8>> = self
            .conn
            .query("SELECT argument FROM mysql.general_log WHERE command_type IN ('Query', 'Execute')")
            .await
            .unwrap();
        let mut is_its = false;
        let mut statements: BTreeMap<String, String> = BTreeMap::new();
        for statement in logged {
            let statement = String::from_utf8_lossy(&statement).into_owned();
            if let Some(rest) = statement.strip_prefix(MARK) {
                is_its = rest.trim_end_matches('\'') == function;
            } else if is_its && !statement.starts_with("SHOW") {
                let shown: String = statement.chars().take(STATEMENT_CHARS_SHOWN).collect();
                let form = shown.chars().filter(|char| !char.is_ascii_digit()).collect();
                statements.insert(form, shown);
            }
        }
        statements.into_values().collect()
    }

    /// How often MySQL gave up an index for the length of a list. MariaDB never does.
    pub(super) async fn ranges_without_memory(&mut self) -> u64 {
        match self.server.kind {
            ServerKind::MariaDb => 0,
            ServerKind::MySql => {
                let query = format!(
                    "SELECT SUM(sum_error_raised) FROM performance_schema.events_errors_summary_global_by_error \
                     WHERE error_number = {RANGE_WITHOUT_MEMORY}"
                );
                let raised: Option<Option<u64>> = self.conn.query_first(query).await.unwrap();
                raised.flatten().unwrap_or(0)
            }
        }
    }
}
