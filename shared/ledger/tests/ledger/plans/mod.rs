//! The plan of every statement, by what it reads: none reads a big table for the few rows that it is about.
//!
//! The statements aren't copied: every function of the ledger is called on a hundred thousand messages, with what years leave
//! behind around them, and the server's counters say how many rows each call read. A function that isn't called here
//! fails the test, and so does one that reads more than it may. It says so of the server that the suite runs on: the two
//! plan differently, and `make test` asks both.

mod asking;
mod reading;
mod batches;
mod writing;
mod lookups;

use crate::stage::sources;
use crate::synthetic::Synthetic;
use asking::Asking;
use granary_test_database::LedgerServer;
use std::collections::BTreeSet;

/// Small enough to be made in seconds, and large enough that reading too much shows.
const SYNTHETIC: Synthetic = Synthetic {
    hours: 40,
    batches_per_hour: 50,
    batch_size: 50,
    pending: 100,
    in_progress: 20,
    failed: 20,
    leftovers: 5_000,
};

/// The options of a server that tells what it was asked.
const LOGGED: [&str; 4] = [
    "--innodb-buffer-pool-size=256M",
    "--innodb-flush-log-at-trx-commit=0",
    "--log-output=TABLE",
    "--general-log=0",
];

/// What a call may read: a page of a list, an hour's messages. What it must not read is 5,000 rows or more: of messages that
/// nobody owns, of windows that have settled, of a cancelled migration's batches.
const ROWS_READ_MAX: u64 = 3_000;

/// Functions that may read more, how much, and why.
const MORE: [(&str, u64, &str); 16] = [
    ("digests_of", AN_HOUR, "an hour's messages, each with its batch"),
    (
        "digests_of_part",
        AN_HOUR,
        "an hour's messages, each with its batch",
    ),
    (
        "seeded_by_status",
        ALL_MESSAGES + 100,
        "counts test data, in a deployment that allows it",
    ),
    (
        "digests_of_pieces",
        2 * AN_HOUR,
        "an hour's messages, each with its batch",
    ),
    ("seal_hour", AN_HOUR, "an hour's messages and batches"),
    (
        "violations_in",
        2 * AN_HOUR,
        "all rows of fifty batches, by each invariant",
    ),
    (
        "progress_of",
        12_000,
        "counts the batches of the range, and the messages of hours that it cuts",
    ),
    (
        "progress_of_all",
        2 * ALL_BATCHES,
        "counts the batches of a range that is all of time",
    ),
    (
        "batches_by_status",
        ALL_BATCHES,
        "counts all batches, a thousand times fewer than messages",
    ),
    (
        "first_page",
        ALL_BATCHES,
        "asks batches_by_status, among others that are looked at by themselves",
    ),
    (
        "batches",
        2 * ALL_BATCHES,
        "a list of what has a cause reads whatever has none",
    ),
    (
        "batch_numbers",
        2 * ALL_BATCHES,
        "a list of what has a cause reads whatever has none",
    ),
    ("window_counts", 2 * ALL_WINDOWS, "counts a migration's windows"),
    (
        "lag",
        5 * ALL_WINDOWS,
        "looks at the newest 10,000 windows of a migration, each with its scan and its proof",
    ),
    (
        "proof_state",
        8 * ALL_WINDOWS,
        "looks at every window once, with its scan and its proof",
    ),
    (
        "adopt_setting",
        8 * ALL_WINDOWS,
        "takes the proof of every window back, which happens once in a deployment's life",
    ),
];
/// With some rows of the temporary tables that group them.
const AN_HOUR: u64 = 5_600;
const ALL_MESSAGES: u64 = 105_000;
const ALL_BATCHES: u64 = 7_500;
const ALL_WINDOWS: u64 = 10_500;

/// A statement of the test's own, which reads everything.
const ON_PURPOSE: &str = "a scan on purpose";

/// Functions that ask nothing, or nothing of the tables.
const NOT_ASKED: [&str; 9] = [
    "connect",
    "ready",
    "ping",
    "cipher",
    "now",
    "schema",
    "schema_version",
    "migrate_schema",
    "take_turn",
];

#[tokio::test]
async fn no_statement_reads_more_than_it_is_about() {
    let server = LedgerServer::start_with(&LOGGED).await;
    let ledger = server.ledger().await;
    crate::stage::with_numbers(&ledger).await;
    SYNTHETIC.fill(&mut server.connection().await).await;
    server.administer("SET GLOBAL general_log = 1").await;
    let mut asking = Asking::new(&server).await;
    reading::everything(&mut asking, &ledger).await;
    batches::everything(&mut asking, &ledger, &server).await;
    writing::everything(&mut asking, &ledger, &server).await;
    asking.about_to(ON_PURPOSE).await;
    server
        .administer("SELECT COUNT(*) FROM message WHERE routing = 'x'")
        .await;
    asking.has_been_done().await;
    server.administer("SET GLOBAL general_log = 0").await;

    let expected = public_functions();
    let called: BTreeSet<String> = asking.called.iter().map(|name| (*name).to_owned()).collect();
    let forgotten: Vec<&String> = expected.difference(&called).collect();
    assert!(
        forgotten.is_empty(),
        "call these in tests/ledger/plans, so that what they read is counted: {forgotten:?}"
    );
    assert!(
        asking.most_read_by(ON_PURPOSE) >= SYNTHETIC.messages(),
        "what reads everything is counted"
    );
    let most = |function: &str| {
        let more = MORE.iter().find(|(name, _, _)| *name == function);
        more.map_or(ROWS_READ_MAX, |(_, most, _)| *most)
    };
    let mut excesses = asking.excesses(most).await;
    excesses.retain(|excess, _| !excess.starts_with(ON_PURPOSE));
    assert!(excesses.is_empty(), "{excesses:#?}");
    assert_eq!(
        asking.ranges_without_memory().await,
        0,
        "MySQL gave an index up because a list was too long for it (3170)"
    );
}

/// The names of all functions that somebody outside of the ledger can call.
fn public_functions() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for path in sources() {
        let text = std::fs::read_to_string(path).unwrap();
        let functions = text
            .lines()
            .filter_map(|line| line.trim_start().strip_prefix("pub async fn "));
        names.extend(functions.filter_map(|rest| Some(rest.split_once(['(', '<'])?.0.to_owned())));
    }
    names.retain(|name| !NOT_ASKED.contains(&name.as_str()));
    names
}
