//! Event times at the edges: what can be on record is archived whatever stands beside it, and nothing stops over what
//! can't.

use crate::stage::{Document, Listening, Stage, TIME_FIELD};
use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use serde_json::{Value, json};

const SANE: &str = "2026-03-01T10:00:00.500Z";
/// Dates of Elasticsearch that no window can hold: "never", microseconds that were taken for milliseconds, before the
/// year 1, and "no value" of another kind.
const BEYOND: [(&str, &str); 4] = [
    ("never", r#""9999-12-31T23:59:59Z""#),
    ("microseconds", "1767261600000000"),
    ("bc", "-65000000000000"),
    ("nought", r#""0000-06-01T00:00:00Z""#),
];

fn beyond() -> Vec<Document> {
    let document = |(id, time): (&str, &str)| {
        Document::raw(id, format!(r#"{{"message_id":"{id}","{TIME_FIELD}":{time}}}"#))
    };
    BEYOND.map(document).into()
}

/// `POST /migrate` without a range, with its dry run before it.
async fn migrate_all(operator: &Listening) -> Value {
    let (status, foretold) = operator.ask("POST /migrate?dryRun=true", Some(json!({}))).await;
    assert_eq!(status, 200, "{foretold}");
    let (status, made) = operator.ask("POST /migrate", Some(json!({}))).await;
    assert!(status < 300, "{made}");
    foretold
}

/// What a verification says of documents that it didn't look at.
fn outside(before: u64, future: u64) -> Value {
    json!({"withoutTime": 0, "malformed": 0, "beforeFirstWindow": before, "inFuture": future})
}

fn assert_outside(report: &Value, before: u64, future: u64) {
    let mut counts = report["outside"].clone();
    counts.as_object_mut().unwrap().remove("countedAt");
    assert_eq!(counts, outside(before, future), "{report}");
}

async fn verify(operator: &Listening, line: &str) -> Value {
    let said = operator.granary(&format!("--json verify {line}")).await;
    said.json()["result"].clone()
}

/// Field cases 1 and 32.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h19_a_message_of_the_year_1_is_archived_verified_and_purged_and_odd_ones_beside_it_stop_nothing() {
    let stage = Stage::new("edges").await;
    let messages = [
        Document::message("one", "0001-01-01T00:00:00Z"),
        Document::message("old", "1965-05-05T05:05:05Z"),
        Document::message("now", SANE),
    ];
    stage.index_messages(&messages).await;
    stage.index_messages(&beyond()).await;
    let operator = stage.listen(&[]).await;

    let foretold = migrate_all(&operator).await;
    assert_eq!(
        (&foretold["range"]["from"], &foretold["inSource"]),
        (&json!("0001-01-01T00:00:00Z"), &json!(3)),
        "{foretold}"
    );
    stage.run_until_quiet().await;
    let keys = stage.bucket.keys().await;
    assert!(
        keys.iter().any(|key| key.contains("dt=0001-01-01/hour=00/")),
        "{keys:?}"
    );
    stage.assert_each_once(&messages).await;

    let windows = operator.json("windows --to 0002-01-01T00:00:00Z").await;
    assert_eq!(windows["days"][0]["date"], "0001-01-01", "{windows}");
    for line in ["", "--from 0001-01-01T00:00:00Z --to 2026-03-02T00:00:00Z"] {
        let report = verify(&operator, line).await;
        assert_eq!(
            (&report["verdict"], &report["counts"]["archive"]),
            (&json!("COMPLETE"), &json!(3)),
            "{report}"
        );
        assert_outside(&report, 2, 2);
    }
    let shown = operator.done("windows --to 0002-01-01T00:00:00Z").await.out;
    assert!(shown.contains("0001-01-01"), "{shown}");
    let purged = operator
        .json("purge --before 2026-03-02T00:00:00Z --apply --yes")
        .await;
    assert_eq!(purged["result"]["hours"], 3, "{purged}");

    let oldest = keys.iter().find(|key| key.contains("dt=0001-01-01/hour=00/"));
    stage
        .bucket
        .delete(oldest.unwrap_or_else(|| panic!("{keys:?}")))
        .await;
    let report = verify(&operator, "").await;
    assert_eq!(report["verdict"], "INCOMPLETE", "{report}");
    stage.finish_broken().await;
}

/// Field case 1, one after the other, with ids that are `_id`s.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h19_each_odd_document_alone_stops_neither_a_migration_nor_a_verification() {
    let mut stage = Stage::new("odd").await;
    stage.tell(&[("GRANARY_SOURCE_ID_FIELD", "_id")]);
    let sane = [Document::message("now", SANE)];
    stage.index_messages(&sane).await;
    let operator = stage.listen(&[]).await;
    let range = json!({"from": "2026-03-01T00:00:00Z", "to": "2026-03-02T00:00:00Z"});
    for odd in beyond() {
        stage.index_messages(std::slice::from_ref(&odd)).await;
        migrate_all(&operator).await;
        for path in ["/migrate?dryRun=true", "/migrate"] {
            let (status, answer) = operator.ask(&format!("POST {path}"), Some(range.clone())).await;
            assert!(status < 300, "{answer}");
        }
        stage.let_counts_age().await;
        stage.run_until_quiet().await;
        let is_early = ["bc", "nought"].contains(&odd.doc_id.as_str());
        for line in ["", "--from 2026-03-01T00:00:00Z --to 2026-03-02T00:00:00Z"] {
            let report = verify(&operator, line).await;
            assert_eq!(report["verdict"], "COMPLETE", "{report}");
            assert_outside(&report, is_early.into(), (!is_early).into());
        }
        stage.indices.delete(&stage.indices.messages, &odd.doc_id).await;
    }
    stage.assert_each_once(&sane).await;
    stage.finish().await;
}

/// Field case 9: every time is a `date_nanos`, and the range begins before the first instant that one can hold.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h19_a_range_that_begins_before_1970_is_archived_where_all_times_are_nanos() {
    let mut stage = Stage::new("all-nanos").await;
    let mut mapping = stage.indices.mapping();
    mapping["mappings"]["properties"][TIME_FIELD]["type"] = json!("date_nanos");
    let nanos = stage.indices.more_messages.clone();
    stage.indices.create(&nanos, mapping).await;
    let alias = format!("{nanos}-alias");
    let action = json!({"actions": [{"add": {"index": nanos, "alias": alias}}]}).to_string();
    stage.indices.ask(Method::POST, &["_aliases"], action).await;
    stage.tell(&[("GRANARY_SOURCE_INDEX", &alias)]);
    let messages = [Document::message("exact", "2026-03-01T10:00:00.500000001Z")];
    stage.indices.write(&nanos, &messages).await;
    let operator = stage.listen(&[]).await;
    let early = json!({"from": "1960-01-01T00:00:00Z"});
    let (status, made) = operator.ask("POST /migrate", Some(early)).await;
    assert!(status < 300, "{made}");
    stage.run_until_quiet().await;
    stage.assert_each_once(&messages).await;
    for line in ["", "--from 1960-01-01T00:00:00Z --to 2300-01-01T00:00:00Z"] {
        let report = verify(&operator, line).await;
        assert_eq!(report["verdict"], "COMPLETE", "{report}");
    }
    stage.finish().await;
}

/// Field case 9.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h19_messages_before_1970_are_archived_beside_an_index_of_nanos() {
    let mut stage = Stage::new("nanos").await;
    let pattern = format!("{}*", stage.indices.messages);
    stage.tell(&[("GRANARY_SOURCE_INDEX", &pattern)]);
    let mut mapping = stage.indices.mapping();
    mapping["mappings"]["properties"][TIME_FIELD]["type"] = json!("date_nanos");
    let nanos = stage.indices.more_messages.clone();
    stage.indices.create(&nanos, mapping).await;
    let mut messages = vec![
        Document::message("sixties", "1965-05-05T05:05:05Z"),
        Document::message("now", SANE),
    ];
    stage.index_messages(&messages).await;
    stage.index_messages(&beyond()).await;
    let exact = Document::message("exact", "2026-03-01T10:00:00.500000001Z");
    stage.indices.write(&nanos, std::slice::from_ref(&exact)).await;
    messages.push(exact);
    let operator = stage.listen(&[]).await;

    let early = json!({"from": "1960-01-01T00:00:00Z"});
    let (status, foretold) = operator.ask("POST /migrate?dryRun=true", Some(early)).await;
    assert_eq!((status, &foretold["inSource"]), (200, &json!(3)), "{foretold}");
    let foretold = migrate_all(&operator).await;
    assert_eq!(foretold["range"]["from"], "1965-05-05T05:00:00Z", "{foretold}");
    stage.run_until_quiet().await;
    stage.assert_each_once(&messages).await;
    for line in ["", "--from 1960-01-01T00:00:00Z --to 2300-01-01T00:00:00Z"] {
        let report = verify(&operator, line).await;
        assert_eq!(
            (&report["verdict"], &report["counts"]["source"]),
            (&json!("COMPLETE"), &json!(3)),
            "{report}"
        );
    }
    stage.indices.delete_index(&nanos).await;
    stage.finish_broken().await;
}

/// Field cases 17 and 18.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h20_documents_in_the_future_and_before_the_first_window_are_counted_shown_and_alerted_once() {
    let stage = Stage::new("outside").await;
    let messages = [Document::message("now", SANE)];
    stage.index_messages(&messages).await;
    let seconds_as_millis = Document::raw(
        "early",
        format!(r#"{{"message_id":"early","{TIME_FIELD}":1767261600}}"#),
    );
    let ahead = (Timestamp::now() + SignedDuration::from_hours(24 * 300)).to_string();
    let future = [
        Document::message("ahead", &ahead),
        Document::message("never", "9999-12-30T00:00:00Z"),
    ];
    stage.indices.write(&stage.indices.messages, &future).await;
    stage
        .indices
        .write(&stage.indices.messages, &[seconds_as_millis])
        .await;
    stage
        .backfill("2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z")
        .await;
    let harvested = stage.harvest().await;
    let counts = json!({"withoutTime": 0, "malformed": 0, "beforeFirstWindow": 1, "inFuture": 2});
    assert_eq!(harvested["outside"], counts);
    for _ in 0..2 {
        stage.let_counts_age().await;
        assert_eq!(stage.harvest().await["outside"], counts);
        stage.run_until_quiet().await;
    }
    let told = stage.queues.told().await;
    assert_eq!(told.len(), 2, "one of each: {told:?}");
    for text in [
        "2 documents of the source have an event time in the future",
        "1 documents of the source have an event time before 2026-03-01T00:00:00Z",
    ] {
        assert!(told.iter().any(|told| told.contains(text)), "{told:?}");
    }
    let operator = stage.listen(&[]).await;
    let status = operator.done("status").await.out;
    assert!(
        status.contains("2 in the future, 1 before the first window"),
        "{status}"
    );
    assert_eq!(stage.look_at("/source/stats").await["outside"]["inFuture"], 2);
    let report = verify(&operator, "--from 2026-03-01T00:00:00Z --to 2026-03-02T00:00:00Z").await;
    assert_eq!(report["verdict"], "COMPLETE", "{report}");
    assert_outside(&report, 1, 2);
    // Without a range it begins with the first message.
    let report = verify(&operator, "").await;
    assert_eq!(report["verdict"], "INCOMPLETE", "{report}");
    assert_eq!(report["findings"][0]["sampleIds"], json!(["early"]), "{report}");

    migrate_all(&operator).await;
    stage.let_counts_age().await;
    assert_eq!(stage.harvest().await["outside"]["beforeFirstWindow"], 0);
    stage.run_until_quiet().await;
    let told = stage.queues.told().await;
    assert!(
        matches!(&told[..], [only] if only.contains("no document of the source lies before the first window any more")),
        "{told:?}"
    );
    stage.finish().await;
}
