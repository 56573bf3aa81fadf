//! What a server was asked, by which function, and how it would go about it.

use crate::server::Server;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row};
use std::collections::BTreeSet;

/// Calls a function of the ledger under its own name, and expects an answer.
macro_rules! ask {
    ($asking:expr, $ledger:ident.$function:ident($($argument:expr),* $(,)?)) => {{
        $asking.about_to(stringify!($function)).await;
        $ledger.$function($($argument),*).await.unwrap()
    }};
}
pub(super) use ask;

pub(super) struct Asking<'a> {
    server: &'a Server,
    conn: Conn,
    pub(super) called: BTreeSet<&'static str>,
    pub(super) explained: u64,
}

/// A statement that reads a big table from end to end.
#[derive(Debug)]
#[allow(dead_code, reason = "what a failure shows")]
pub(super) struct Scan {
    pub(super) function: String,
    table: String,
    access: String,
    rows: u64,
    statement: String,
}

const MARK: &str = "SELECT 'about to: ";
const STATEMENT_CHARS_SHOWN: usize = 600;

impl<'a> Asking<'a> {
    pub(super) async fn new(server: &'a Server) -> Self {
        Self {
            server,
            conn: server.connection().await,
            called: BTreeSet::new(),
            explained: 0,
        }
    }

    /// What is asked from here on, this function asks.
    pub(super) async fn about_to(&mut self, function: &'static str) {
        self.called.insert(function);
        self.conn.query_drop(format!("{MARK}{function}'")).await.unwrap();
    }

    /// All statements that would read more than `rows_max` rows without an index to find them by.
    pub(super) async fn scans(&mut self, rows_max: u64) -> Vec<Scan> {
        let logged: Vec<Vec<u8>> = self
            .conn
            .query("SELECT argument FROM mysql.general_log WHERE command_type IN ('Query', 'Execute')")
            .await
            .unwrap();
        let mut explaining = self.server.connection().await;
        let mut function = String::new();
        let mut seen: BTreeSet<String> = BTreeSet::new();
        let mut scans = Vec::new();
        for statement in logged {
            let statement = String::from_utf8_lossy(&statement).into_owned();
            if let Some(rest) = statement.strip_prefix(MARK) {
                function = rest.trim_end_matches('\'').to_owned();
                continue;
            }
            if function.is_empty() || !is_planned(&statement) || !seen.insert(form_of(&function, &statement))
            {
                continue;
            }
            self.explained += 1;
            let plan: Vec<Row> = explaining
                .query(format!("EXPLAIN {statement}"))
                .await
                .unwrap_or_else(|error| panic!("{function}: {error}: {statement}"));
            scans.extend(
                plan.into_iter()
                    .filter_map(|step| scan_of(step, &function, &statement, rows_max)),
            );
        }
        scans
    }
}

/// What has a plan. An INSERT of given rows has none.
fn is_planned(statement: &str) -> bool {
    let is_insert = statement.starts_with("INSERT") || statement.starts_with("REPLACE");
    (is_insert && statement.contains(" SELECT "))
        || ["SELECT", "UPDATE", "DELETE"]
            .iter()
            .any(|verb| statement.starts_with(verb))
}

/// Statements that differ in their numbers alone have one form.
fn form_of(function: &str, statement: &str) -> String {
    let form: String = statement
        .chars()
        .filter(|char| !char.is_ascii_digit())
        .take(2_000)
        .collect();
    format!("{function}: {form}")
}

fn scan_of(mut step: Row, function: &str, statement: &str, rows_max: u64) -> Option<Scan> {
    let mut text = |column: &str| {
        step.take::<Option<String>, _>(column)
            .flatten()
            .unwrap_or_default()
    };
    let (kind, table, access) = (text("select_type"), text("table"), text("type"));
    let rows: u64 = text("rows").parse().unwrap_or(0);
    let reads_all = access == "ALL" || access == "index";
    // The target of an INSERT is shown as if it were read.
    let is_target = kind == "INSERT";
    // A subquery's own rows, which were found by an index or not: it has a step of its own.
    let is_derived = table.starts_with('<');
    (reads_all && !is_target && !is_derived && rows > rows_max).then(|| Scan {
        function: function.to_owned(),
        table,
        access,
        rows,
        statement: statement.chars().take(STATEMENT_CHARS_SHOWN).collect(),
    })
}
