//! A body that is lost on its way to the API: what was meant as a dry run changes nothing.
//!
//! Clients and proxies drop the body of a DELETE, and some that of any request; the operator and the command line are the
//! real ones, and the proxy between them drops what such proxies drop.

use crate::stage::{Addresses, Document, Fault, HttpProxy, Listening, OPERATOR_TOKEN, Stage, granary};
use serde_json::{Value, json};

const FROM: &str = "2026-03-01T10:00:00Z";
const TO: &str = "2026-03-01T13:00:00Z";

/// Two batches in their queue, a third one parked, and an operator that listens. The migration that they belong to.
async fn handed_off(name: &str) -> (Stage, Listening, Vec<Document>, String) {
    let stage = Stage::with(name, &[("GRANARY_BATCH_SIZE", "10")]).await;
    let messages = Document::many(30, 10..13);
    stage.index_messages(&messages).await;
    let migration = stage.backfill(FROM, TO).await;
    stage.harvest().await;
    stage
        .sql(
            "UPDATE batch SET status = 'failed', parked_at = UTC_TIMESTAMP(6), error_code = 'spool', \
             error_text = 'a test' ORDER BY id LIMIT 1",
        )
        .await;
    let elasticsearch = Addresses::from_environment().elasticsearch.to_string();
    let seeding = [
        ("GRANARY_ALLOW_SEEDING", "true"),
        ("GRANARY_SEED_ES_URL", elasticsearch.as_str()),
    ];
    let operator = stage.listen(&seeding).await;
    (stage, operator, messages, migration.to_string())
}

/// All that a change could have left behind, in one text.
async fn standing(stage: &Stage) -> String {
    let batches: Vec<(u64, String, bool, bool)> = stage
        .rows("SELECT id, status, parked_at IS NOT NULL, enqueued_at IS NOT NULL FROM batch ORDER BY id")
        .await;
    let migrations: Vec<(String, u64)> = stage
        .rows("SELECT state, COUNT(*) FROM migration GROUP BY state ORDER BY state")
        .await;
    let others: (u64, u64, u64) = stage
        .row(
            "SELECT (SELECT COUNT(*) FROM control), (SELECT COUNT(*) FROM probe), \
             (SELECT COUNT(*) FROM message_status WHERE status = 'released')",
        )
        .await;
    let queued = stage.queues.depth(&stage.queues.normal).await;
    format!("{batches:?} {migrations:?} {others:?} {queued}")
}

/// Each route that deletes, with what its body has to confirm.
fn deletions(migration: &str) -> Vec<(String, Value)> {
    vec![
        (format!("/migrate/cancel/{migration}"), json!({})),
        ("/queue/purge/batches".to_owned(), json!({})),
        ("/queue/purge-all".to_owned(), json!({"confirm": "purge-all"})),
        ("/seed/clear".to_owned(), json!({"confirm": "yes-clear-all-data"})),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s4_a_dry_run_of_a_deletion_is_asked_for_in_its_query_or_by_post_and_never_in_the_body_of_a_delete() {
    let (stage, operator, messages, migration) = handed_off("deletions").await;
    let before = standing(&stage).await;
    for (path, mut body) in deletions(&migration) {
        body["dryRun"] = json!(true);
        let (status, refused) = operator.ask(&format!("DELETE {path}"), Some(body.clone())).await;
        assert_eq!(
            (status, &refused["field"]),
            (400, &json!("dryRun")),
            "{path}: {refused}"
        );
        let remedy = refused["remedy"].as_str().unwrap();
        assert!(
            remedy.contains("?dryRun=true") && remedy.contains("POST"),
            "{remedy}"
        );
        for (line, body) in [
            (format!("DELETE {path}?dryRun=true"), None),
            (format!("POST {path}?dryRun=true"), None),
            (format!("POST {path}"), Some(body)),
        ] {
            let (status, foretold) = operator.ask(&line, body).await;
            assert_eq!(
                (status, &foretold["dryRun"]),
                (200, &json!(true)),
                "{line}: {foretold}"
            );
        }
        let (status, refused) = operator.ask(&format!("POST {path}"), None).await;
        assert_eq!(
            (status, &refused["type"]),
            (400, &json!("urn:granary:problem:not-confirmed")),
            "{path}: {refused}"
        );
        assert_eq!(standing(&stage).await, before, "{path} changed something");
    }
    let (status, purged) = operator.ask("POST /queue/purge/batches", Some(json!({}))).await;
    assert_eq!((status, &purged["batchesPutBack"]), (200, &json!(2)), "{purged}");
    let path = format!("POST /migrate/cancel/{migration}");
    let (status, cancelled) = operator.ask(&path, Some(json!({"reason": "a test"}))).await;
    assert_eq!(
        (status, &cancelled["migration"]["state"]),
        (200, &json!("cancelled")),
        "{cancelled}"
    );
    stage.backfill(FROM, TO).await;
    stage.run_until_quiet().await;
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}

/// What people type who want to know first.
fn rehearsals(migration: &str) -> Vec<String> {
    vec![
        format!("migrate cancel {migration} --dry-run"),
        "queue purge batches --dry-run".to_owned(),
        "queue purge --all --dry-run".to_owned(),
        "seed --clear --dry-run".to_owned(),
        "migrate start --dry-run".to_owned(),
        "migrate start --status parked --dry-run".to_owned(),
        "migrate retry --dry-run".to_owned(),
        "migrate process-all --dry-run".to_owned(),
        "migrate fix-stuck --dry-run".to_owned(),
        "migrate create-missing --dry-run".to_owned(),
        "queue probe --dry-run".to_owned(),
    ]
}

/// How it ends, and what it says and tells.
async fn typed(url: &str, line: &str) -> (i32, String, String) {
    let words: Vec<&str> = line.split_whitespace().collect();
    let variables = [("GRANARY_API_URL", url), ("GRANARY_API_TOKEN", OPERATOR_TOKEN)];
    let said = granary(&words, &variables).await;
    (said.code, said.out, said.err)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s4_what_is_rehearsed_on_the_command_line_changes_nothing_through_a_proxy_that_drops_bodies() {
    let (stage, operator, messages, migration) = handed_off("rehearsed").await;
    let proxy = HttpProxy::before(&operator.url).await;
    proxy.inject(Fault::DropBody, u64::MAX, |asked| asked.method == "DELETE");
    for line in rehearsals(&migration) {
        let before = standing(&stage).await;
        let (code, out, err) = typed(&proxy.url, &format!("--json {line}")).await;
        assert_eq!(code, 0, "{line}: {out}{err}");
        assert!(out.contains("\"dryRun\": true"), "{line}: {out}{err}");
        assert_eq!(standing(&stage).await, before, "{line}");
    }
    proxy.restore();
    // Where bodies are dropped altogether, nothing is rehearsed and nothing is done.
    proxy.inject(Fault::DropBody, u64::MAX, |asked| asked.method != "GET");
    let before = standing(&stage).await;
    for line in rehearsals(&migration).into_iter().chain([
        format!("migrate cancel {migration} --yes"),
        "migrate retry --limit 1".to_owned(),
    ]) {
        let (code, out, err) = typed(&proxy.url, &line).await;
        assert!(
            code != 0 && err.contains("granary-body-bytes"),
            "{line}: {code} {out}{err}"
        );
        assert_eq!(standing(&stage).await, before, "{line}");
    }
    let (status, reset) = operator.ask("POST /migrate/reset-pending", None).await;
    assert_eq!((status, &reset["unparked"]), (200, &json!(1)), "{reset}");
    stage.run_until_quiet().await;
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}
