//! The plan of every statement: none of them reads a big table from end to end.
//!
//! The statements aren't copied: every function of the ledger is called on a hundred thousand messages, the server logs
//! what it was asked with the values that it was asked with, and EXPLAIN says how each statement is done. A function that isn't called
//! here fails the test, and so does a statement that scans and isn't excused.

mod asking;
mod reading;
mod batches;
mod writing;

use crate::server::Server;
use crate::synthetic::Synthetic;
use asking::Asking;
use std::collections::BTreeSet;

/// Small enough to be made in seconds, and large enough that no plan takes a scan for cheap.
const SYNTHETIC: Synthetic = Synthetic {
    hours: 40,
    batches_per_hour: 50,
    batch_size: 50,
    pending: 100,
    in_progress: 20,
    failed: 20,
};

/// A table is big from so many rows on. Messages and batches have a hundred and two times as many here.
const SCANNED_ROWS_MAX: u64 = 1_000;

/// Functions that may read a big table from end to end, and why.
const EXCUSED: [(&str, &str); 2] = [
    (
        "batches_by_status",
        "counts all batches, a thousand times fewer than messages; the scale suite measures it",
    ),
    (
        "first_page",
        "asks batches_by_status, among others that are looked at by themselves",
    ),
];

/// A statement of the test's own, which scans.
const ON_PURPOSE: &str = "a scan on purpose";

/// Functions that ask nothing, or nothing of the tables.
const NOT_ASKED: [&str; 5] = ["connect", "disconnect", "ping", "now", "schema_version"];

#[tokio::test]
async fn no_statement_reads_a_big_table_from_end_to_end() {
    let server = Server::start(&[
        "--innodb-buffer-pool-size=256M",
        "--innodb-flush-log-at-trx-commit=0",
        "--log-output=TABLE",
        "--general-log=0",
        "--max-allowed-packet=64M",
    ])
    .await;
    let ledger = server.ledger().await;
    crate::stage::with_numbers(&ledger).await;
    SYNTHETIC.fill(&mut server.connection().await).await;
    server.sql("SET GLOBAL general_log = 1").await;
    let mut asking = Asking::new(&server).await;
    reading::everything(&mut asking, &ledger).await;
    batches::everything(&mut asking, &ledger, &server).await;
    writing::everything(&mut asking, &ledger, &server).await;
    asking.about_to(ON_PURPOSE).await;
    server
        .sql("SELECT COUNT(*) FROM message WHERE index_name = 'x'")
        .await;
    server.sql("SET GLOBAL general_log = 0").await;

    let expected = public_functions();
    let called: BTreeSet<String> = asking.called.iter().map(|name| (*name).to_owned()).collect();
    let forgotten: Vec<&String> = expected.difference(&called).collect();
    assert!(
        forgotten.is_empty(),
        "call these in tests/ledger/plans, so that their plans are looked at: {forgotten:?}"
    );
    let scans = asking.scans(SCANNED_ROWS_MAX).await;
    let excuse = |function: &str| EXCUSED.iter().any(|(excused, _)| *excused == function);
    let unexcused: Vec<_> = scans
        .iter()
        .filter(|scan| !excuse(&scan.function) && scan.function != ON_PURPOSE)
        .collect();
    assert!(unexcused.is_empty(), "{unexcused:#?}");
    let found: BTreeSet<&str> = scans.iter().map(|scan| scan.function.as_str()).collect();
    let expected = EXCUSED.iter().map(|(function, _)| *function).chain([ON_PURPOSE]);
    assert_eq!(
        found,
        expected.collect(),
        "what scans is found, and nothing is excused that doesn't"
    );
    assert!(
        asking.explained > 150,
        "only {} statements were explained",
        asking.explained
    );
}

/// The names of all functions that somebody outside of the ledger can call.
fn public_functions() -> BTreeSet<String> {
    let sources = concat!(env!("CARGO_MANIFEST_DIR"), "/src");
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(sources).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let functions = text
            .lines()
            .filter_map(|line| line.trim_start().strip_prefix("pub async fn "));
        names.extend(functions.filter_map(|rest| Some(rest.split_once(['(', '<'])?.0.to_owned())));
    }
    names.retain(|name| !NOT_ASKED.contains(&name.as_str()));
    names
}
