//! The deployed stack after the suites: its logs, its ledger and the emulator's log hold nothing of a message's content.

use crate::canary::{CANARY, COLUMNS_WITH_TEXT, Search, Values, texts_of};
use crate::deployment::{Deployment, variable};
use jiff::{SignedDuration, Timestamp};

/// All suites together take less.
const HOURS_OF_LOGS: i64 = 3;

#[tokio::test]
async fn no_log_of_a_deployed_function_holds_the_content_of_a_message() {
    let deployment = Deployment::of_environment().await;
    let search = Search::of(&Values::default());
    let since = Timestamp::now() - SignedDuration::from_hours(HOURS_OF_LOGS);
    for function in ["migrator", "harvester", "exporter", "reaper", "operator"] {
        let lines = deployment.log(function, since, &[]).await;
        assert!(
            !lines.is_empty(),
            "the {function} has logged nothing: run the suites first"
        );
        let place = format!("the log of the {function}");
        let leak = lines.iter().find_map(|line| search.leak(&place, line.as_bytes()));
        assert_eq!(leak, None);
    }
}

#[tokio::test]
async fn the_deployed_ledger_holds_the_content_of_no_message() {
    let deployment = Deployment::of_environment().await;
    let search = Search::of(&Values::default());
    let columns: Vec<(String, String)> = deployment.rows(COLUMNS_WITH_TEXT).await;
    let rows: Vec<(String, Vec<u8>)> = deployment.rows(&texts_of(&columns)).await;
    assert!(
        rows.iter().any(|(table, _)| table == "batch"),
        "the ledger has no batches: run the suites first"
    );
    let leak = rows
        .iter()
        .find_map(|(table, text)| search.leak(&format!("the table {table}"), text));
    assert_eq!(leak, None);
}

#[test]
fn the_log_of_the_emulator_and_of_what_it_runs_holds_the_content_of_no_message() {
    let path = variable("EMULATOR_LOG");
    let log = std::fs::read(&path).unwrap();
    assert!(!log.is_empty(), "{path} is empty");
    let search = Search::of(&Values::default());
    assert_eq!(search.leak(&path, &log), None, "{CANARY} is in it");
}
