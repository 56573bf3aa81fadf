//! The search for the canary, which every scenario ends with, finds what is leaked on purpose.

use crate::stage::canary::{CANARY_NUMBER, COLUMNS_WITH_TEXT, Heard, Lines, Search, Values, texts_of};
use crate::stage::{CANARY, Document, Stage};

/// Not the canary itself: the emulator logs what is published, and its log is searched for the canary after all suites.
const LEAKED: &str = "leaked on purpose";

fn written(lines: &[&str]) -> Lines {
    let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
    std::sync::Arc::new(std::sync::Mutex::new(lines))
}

#[test]
fn a_canary_in_a_line_of_a_log_is_found_and_the_place_is_named() {
    let heard = Heard::default();
    let quoting = format!(
        r#"{{"level":"WARN","fields":{{"cause":"failed to parse [text]: '{CANARY} m-0007' is no date"}}}}"#
    );
    let metric = format!(r#"{{"_aws":{{}},"FunctionName":"exporter","{CANARY}":1}}"#);
    heard.listen("the log of the harvester", &written(&["began", "ended"]));
    heard.listen("the log of the exporter", &written(&["began", &quoting]));
    let number = format!(r#"{{"cause":"{CANARY_NUMBER} is out of range"}}"#);
    heard.listen("the log of the reaper", &written(&[&number]));
    let metrics = written(&[]);
    heard.listen("the metrics", &metrics);
    // Written after somebody listens.
    metrics.lock().unwrap().push(metric);
    let leaks = heard.leaks(&Search::of(&Values::default()));
    assert_eq!(leaks.len(), 3, "{leaks:?}");
    assert!(
        leaks[0].starts_with("the log of the exporter: …") && leaks[0].contains("is no date"),
        "{leaks:?}"
    );
    assert!(leaks[1].starts_with("the log of the reaper: …"), "{leaks:?}");
    assert!(leaks[2].starts_with("the metrics: …"), "{leaks:?}");
}

#[test]
fn a_document_with_a_body_of_its_own_is_searched_for_by_its_values_and_not_by_its_id_or_time() {
    let values = Values::default();
    let body = r#"{"message_id":"order-of-a-customer","created_at":"2026-03-01T10:30:00Z","state":"sent",
        "seen":"2026-03-01T11:30:00Z","number":"00000000000000000000","copy":"order-of-a-customer",
        "lines":[{"note":"caf\u00e9 for Dr. Jekyll, London"}]}"#;
    values.learn([("order-of-a-customer", body)].into_iter());
    let search = Search::of(&values);
    let is_found = |text: &str| search.leak("a place", text.as_bytes()).is_some();
    assert!(is_found("the reason is: caf\u{e9} for Dr. Jekyll"));
    assert!(is_found(r#"{"note":"for Dr. Jekyll"}"#));
    for harmless in [
        "the batch of order-of-a-customer is sent",
        "from 2026-03-01T10:30:00Z to 2026-03-01T11:30:00Z",
        "granary_operator-of-this-stage-00000000000000000000",
    ] {
        assert!(!is_found(harmless), "{harmless}");
    }
}

#[test]
fn all_columns_of_a_table_are_read_by_one_of_the_selects_of_one_statement() {
    let columns = [("alert", "kind"), ("alert", "text"), ("batch", "error_text")];
    let columns = columns.map(|(table, column)| (table.to_owned(), column.to_owned()));
    assert_eq!(
        texts_of(&columns),
        "SELECT 'alert', CONCAT_WS(X'0A', CAST(`kind` AS BINARY), CAST(`text` AS BINARY)) FROM `alert` \
         WHERE `kind` IS NOT NULL OR `text` IS NOT NULL \
         UNION ALL SELECT 'batch', CONCAT_WS(X'0A', CAST(`error_text` AS BINARY)) FROM `batch` \
         WHERE `error_text` IS NOT NULL"
    );
}

/// Without a leak, nothing is found in the same places.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_leaked_on_purpose_into_the_ledger_an_alert_a_queue_and_an_answer_is_found() {
    let stage = Stage::new("indiscreet").await;
    let body = format!(r#"{{"message_id":"m-1","created_at":"2026-03-01T10:30:00Z","note":"{LEAKED}"}}"#);
    stage.index_messages(&[Document::raw("m-1", body)]).await;
    stage
        .backfill("2026-03-01T10:00:00Z", "2026-03-01T11:00:00Z")
        .await;
    stage.run_until_quiet().await;
    assert_eq!(stage.leaks().await, [""; 0]);

    let text = format!("the document holds {LEAKED}");
    stage
        .ledger
        .raise_alert("invariant", "1.1", "invariant", &text)
        .await
        .unwrap();
    stage.reap().await;
    stage.sql("UPDATE alert SET text = 'nothing'").await;
    let leaks = stage.leaks().await;
    let is_found = |leaks: &[String], place: &str| leaks.iter().any(|leak| leak.starts_with(place));
    assert!(
        is_found(&leaks, "a message of a queue or an alert: …"),
        "{leaks:?}"
    );
    assert!(
        !is_found(&leaks, "the table"),
        "the ledger has forgotten it: {leaks:?}"
    );

    stage
        .sql(&format!(
            "UPDATE batch SET error_code = 'test', error_text = '{text}'"
        ))
        .await;
    let unreadable = stage
        .another("harvester", &[("GRANARY_BATCH_SIZE", LEAKED)])
        .refusal()
        .await;
    let leaks = stage.leaks().await;
    assert!(is_found(&leaks, "the table batch: …"), "{leaks:?}");
    assert!(unreadable.contains(LEAKED), "{unreadable}");
    assert!(is_found(&leaks, "an answer of the harvester: …"), "{leaks:?}");
    let columns: Vec<(String, String)> = stage.rows(COLUMNS_WITH_TEXT).await;
    for (table, column) in [
        ("message", "reason"),
        ("attempt", "error_text"),
        ("audit", "arguments"),
    ] {
        let column = (table.to_owned(), column.to_owned());
        assert!(
            columns.contains(&column),
            "{column:?} is not searched: {columns:?}"
        );
    }
    stage.finish_indiscreet().await;
}
