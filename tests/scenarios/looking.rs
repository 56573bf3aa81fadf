//! What people see when they look, and what they turn: a message's life, failures by cause, the first page, the time line, live
//! settings, and a history of jobs that is none.

use super::queue_desk::ask;
use crate::stage::{CANARY, Document, Stage, request};
use granary_domain::BatchStatus;
use granary_verify::Verdict;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const FROM: &str = "2026-03-01T10:00:00Z";
const TO: &str = "2026-03-01T12:00:00Z";
/// Nobody has it.
/// What a URL can't carry as it is. API Gateway decodes all of it but the per cent sign.
const ODD_ID: &str = "a/b ü?#%41";
const ODD_ID_AS_IT_COMES: &str = "a/b ü?#%2541";

async fn archived(name: &str) -> (Stage, Vec<Document>) {
    let stage = Stage::new(name).await;
    let mut messages = Document::many(40, 10..12);
    messages.push(Document::message(ODD_ID, "2026-03-01T11:30:00Z"));
    stage.index_messages(&messages).await;
    stage.backfill(FROM, TO).await;
    stage.run_until_quiet().await;
    (stage, messages)
}

async fn done(stage: &Stage, method: &str, path: &str, body: Value) -> Value {
    let (status, answer) = ask(&stage.operator, method, path, &body).await;
    assert_eq!(status, 200, "{method} {path}: {answer}");
    answer
}

/// As API Gateway hands the path over.
async fn trace(stage: &Stage, id_as_it_comes: &str, query: &str) -> (u64, Value) {
    let mut event = request("GET", "/messages", "");
    event["rawPath"] = json!(format!("/messages/{id_as_it_comes}/trace"));
    event["rawQueryString"] = json!(query);
    let answer = stage
        .operator
        .invoke(event, crate::stage::REAPER_TIMEOUT)
        .await
        .unwrap();
    let body = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
    (answer["statusCode"].as_u64().unwrap(), body)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_is_traced_to_its_line_and_what_changed_since_is_told() {
    let (stage, _) = archived("trace").await;
    let (status, life) = trace(&stage, ODD_ID_AS_IT_COMES, "").await;
    assert_eq!(status, 200, "{life}");
    assert_eq!(
        (&life["messageId"], &life["state"]),
        (&json!(ODD_ID), &json!("archived"))
    );
    assert_eq!(life["batch"]["status"], "success");
    assert_eq!(life["attempts"][0]["outcome"], "completed");
    assert_eq!(life["migration"]["kind"], "backfill");
    assert!(life["window"]["recordedAt"].is_string(), "{life}");

    let object = &life["object"];
    let key = object["key"].as_str().unwrap();
    let of_object: Vec<_> = stage
        .bucket
        .lines()
        .await
        .into_iter()
        .filter(|line| line.key.as_str() == key)
        .collect();
    let number = of_object
        .iter()
        .position(|line| line.message_id == ODD_ID)
        .unwrap()
        + 1;
    assert_eq!(
        (&object["line"], &object["lineRead"]),
        (&json!(number), &json!("read"))
    );
    let stored = stage.bucket.body(key).await;
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(object["sha256"], hex(Sha256::digest(&stored).as_slice()));
    let raw = zstd::stream::decode_all(stored.as_slice()).unwrap();
    let line = raw.split(|byte| *byte == b'\n').nth(number - 1).unwrap();
    assert_eq!(object["lineSha256"], hex(Sha256::digest(line).as_slice()));
    let manifest: Value =
        serde_json::from_slice(&stage.bucket.body(object["manifestKey"].as_str().unwrap()).await).unwrap();
    assert_eq!(manifest["batch_id"], life["batch"]["id"]);
    assert!(!life.to_string().contains(CANARY), "contents are shown nowhere");

    assert_eq!(
        (&life["source"]["present"], &life["source"]["change"]),
        (&json!(true), &json!("unchanged"))
    );
    stage
        .index_messages(&[Document::message("m-0001", "2026-03-01T11:30:00Z")])
        .await;
    assert_eq!(trace(&stage, "m-0001", "").await.1["source"]["change"], "updated");
    stage.indices.delete(&stage.indices.messages, "m-0002").await;
    assert_eq!(trace(&stage, "m-0002", "").await.1["source"]["change"], "gone");
    let skipped = trace(&stage, "m-0002", "line=false&source=false").await.1;
    assert_eq!(
        (&skipped["object"]["lineRead"], &skipped["source"]["asked"]),
        (&json!("skipped"), &json!(false))
    );
    stage.finish_broken().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_the_ledger_does_not_have_is_looked_for_at_the_source() {
    let (stage, _) = archived("trace-unknown").await;
    let (status, problem) = trace(&stage, "nobody", "").await;
    assert_eq!(
        (status, &problem["seenAtSource"]),
        (404, &json!(false)),
        "{problem}"
    );
    stage
        .index_messages(&[Document::message("late", "2026-03-01T11:30:00Z")])
        .await;
    let (status, problem) = trace(&stage, "late", "").await;
    assert_eq!(
        (status, &problem["seenAtSource"]),
        (404, &json!(true)),
        "{problem}"
    );
    assert!(
        problem["remedy"].as_str().unwrap().contains("repair"),
        "{problem}"
    );
    stage.finish_broken().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tuned_number_of_attempts_parks_a_batch_and_the_failure_says_what_to_do() {
    let stage = Stage::new("tune").await;
    let messages = Document::many(20, 10..11);
    stage.index_messages(&messages).await;
    stage.backfill(FROM, TO).await;
    stage.harvest().await;
    let foretold = done(&stage, "POST", "/tune", json!({"maxAttempts": 1, "dryRun": true})).await;
    assert_eq!(foretold["changes"][0]["after"], 1);
    assert_eq!(stage.look_at("/tune").await["settings"][0]["source"], "default");
    let tuned = done(
        &stage,
        "POST",
        "/tune",
        json!({"maxAttempts": "1", "reason": "a test"}),
    )
    .await;
    assert_eq!(
        tuned["changes"],
        json!([{"name": "maxAttempts", "before": 5, "after": 1, "source": "tuned"}])
    );

    let blind = stage.blind_ledger().await;
    let exporter = stage.another("exporter", &[("GRANARY_LEDGER_URL", &blind)]);
    stage.export_all_by(&exporter).await;
    stage.reap().await;
    let parked: u64 = stage
        .row("SELECT COUNT(*) FROM batch WHERE parked_at IS NOT NULL")
        .await;
    assert_eq!(parked, 1, "after one attempt");
    let failures = stage.look_at("/failures").await;
    let group = &failures["failures"][0];
    assert_eq!(
        (&group["cause"], &group["needsPeople"]),
        (&json!("unexpected"), &json!(true)),
        "{failures}"
    );
    assert_eq!(
        (&group["parked"]["batches"], &group["parked"]["messages"]),
        (&json!(1), &json!(20))
    );
    assert_eq!(group["samples"].as_array().unwrap().len(), 1);
    let told = stage.queues.told().await.join("\n");
    assert!(
        told.contains(group["remedy"].as_str().unwrap()),
        "an alert says the same: {told}"
    );
    assert_eq!(
        stage.look_at("/alerts?open=true").await["alerts"][0]["kind"],
        "parked"
    );
    let overview = stage.look_at("/overview").await;
    assert_eq!(
        (&overview["parked"], &overview["openAlerts"]),
        (&json!(1), &json!(1)),
        "{overview}"
    );
    assert_eq!(
        stage.look_at("/windows?to=2026-03-02T00:00:00Z").await["days"][0]["state"],
        "failing"
    );

    done(&stage, "POST", "/tune", json!({"maxAttempts": null})).await;
    assert_tuned_there_and_back(&stage).await;
    done(&stage, "POST", "/migrate/retry-failed", json!({})).await;
    stage.run_until_quiet().await;
    stage.assert_archived(&messages, FROM, TO).await;
    assert_eq!(stage.look_at("/alerts?open=true").await["count"], 0);
    stage.finish().await;
}

/// Both changes stand in the audit, each by its own request.
async fn assert_tuned_there_and_back(stage: &Stage) {
    let entries = stage.look_at("/audit?action=tune").await["entries"].clone();
    let (newest, first) = (&entries[0], &entries[1]);
    assert_eq!(
        newest["effect"],
        json!({"before": {"maxAttempts": 1}, "after": {"maxAttempts": 5}})
    );
    assert_eq!(
        (&first["reason"], &first["who"]),
        (&json!("a test"), &json!("operator"))
    );
    assert!(first["requestId"].is_string() && first["requestId"] != newest["requestId"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_page_and_the_time_line_show_what_was_archived() {
    let (stage, messages) = archived("overview").await;
    let overview = stage.look_at("/overview").await;
    assert_eq!(overview["messages"]["success"], messages.len());
    assert_eq!(overview["backlog"], json!({"batches": 0, "messages": 0}));
    assert_eq!(
        (&overview["eta"], &overview["oldestUnexported"]),
        (&Value::Null, &Value::Null)
    );
    assert!(
        overview["rate"]["last15Minutes"]["messagesPerMinute"]
            .as_f64()
            .unwrap()
            > 0.0,
        "{overview}"
    );
    let buckets = overview["throughput"]["buckets"].as_array().unwrap();
    let shown: u64 = buckets
        .iter()
        .map(|bucket| bucket["messages"].as_u64().unwrap())
        .sum();
    assert_eq!((buckets.len(), shown), (96, messages.len() as u64));
    let windows = stage
        .look_at("/windows?from=2026-03-01T00:00:00Z&to=2026-03-02T00:00:00Z")
        .await;
    assert_eq!(
        (&windows["days"][0]["date"], &windows["days"][0]["state"]),
        (&json!("2026-03-01"), &json!("complete"))
    );
    let page = stage.look_at("/windows?limit=1").await;
    let rest = format!(
        "/windows?limit=500&cursor={}",
        page["nextCursor"].as_str().unwrap()
    );
    let rest = stage.look_at(&rest).await;
    let all = stage.look_at("/windows?limit=500").await;
    assert_eq!(
        rest["count"].as_u64().unwrap() + 1,
        all["count"].as_u64().unwrap()
    );

    done(&stage, "POST", "/pause", json!({"stage": "export"})).await;
    let late = [Document::message("late", "2026-03-01T11:40:00Z")];
    stage.index_messages(&late).await;
    stage.backfill(FROM, TO).await;
    stage.harvest().await;
    let overview = stage.look_at("/overview").await;
    assert_eq!(overview["pauses"][0]["stage"], "export");
    assert_eq!(overview["backlog"], json!({"batches": 1, "messages": 1}));
    assert_eq!(overview["oldestUnexported"]["eventTime"], "2026-03-01T11:40:00Z");
    assert!(overview["eta"]["at"].is_string(), "{overview}");
    assert_eq!(stage.batches(BatchStatus::Pending).await, 1);
    stage.finish_broken().await;
}

/// Where five made-up migrations are, and as many operations: what seeding and clearing would do, and that they don't.
async fn assert_only_foretold(stage: &Stage) {
    let one = |what, path, body| done(stage, what, path, body);
    let foretold = one("POST", "/seed/some-model", json!({"count": 7, "dryRun": true})).await;
    assert_eq!(
        (&foretold["dryRun"], &foretold["messages"]),
        (&json!(true), &json!(7))
    );
    let foretold = one("POST", "/seed/bulk/9", json!({"dryRun": true})).await;
    assert_eq!(
        (&foretold["dryRun"], &foretold["messages"]),
        (&json!(true), &json!(9))
    );
    let foretold = one("POST", "/seed/clear", json!({"dryRun": true})).await;
    assert_eq!(
        foretold["synthetic"],
        json!({"migrations": 5, "operations": 5}),
        "{foretold}"
    );
    let stats = stage.look_at("/seed/stats").await;
    assert_eq!(
        (&stats["stats"], &stats["synthetic"]),
        (&foretold["stats"], &foretold["synthetic"]),
        "nothing was written or deleted"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_history_of_jobs_that_is_none_changes_no_verdict_and_goes_when_it_is_cleared() {
    let elasticsearch = crate::stage::Addresses::from_environment()
        .elasticsearch
        .to_string();
    let seeding = [
        ("GRANARY_ALLOW_SEEDING", "true"),
        ("GRANARY_SEED_ES_URL", elasticsearch.as_str()),
    ];
    let stage = Stage::with("history", &seeding).await;
    let messages = Document::many(20, 10..11);
    stage.index_messages(&messages).await;
    stage.backfill(FROM, TO).await;
    stage.run_until_quiet().await;
    let before = stage.look_at("/queue/stats").await["messages"].clone();
    let foretold = done(
        &stage,
        "POST",
        "/seed/job-status",
        json!({"count": 5, "dryRun": true}),
    )
    .await;
    assert_eq!(foretold["synthetic"], json!({"migrations": 5, "operations": 5}));
    assert_eq!(stage.look_at("/seed/stats").await["synthetic"]["migrations"], 0);
    done(&stage, "POST", "/seed/job-status", json!({"count": 5})).await;
    assert_eq!(stage.look_at("/seed/stats").await["synthetic"]["migrations"], 5);

    assert_only_foretold(&stage).await;

    let listed = stage.look_at("/migrate?limit=500").await;
    let of_seed = |migration: &&Value| migration["requestedBy"] == "granary_seed";
    let synthetic: Vec<&Value> = listed["migrations"]
        .as_array()
        .unwrap()
        .iter()
        .filter(of_seed)
        .collect();
    assert_eq!(synthetic.len(), 5);
    let status = format!("/migrate/status/{}", synthetic[0]["id"].as_str().unwrap());
    assert_eq!(stage.look_at(&status).await["progress"]["known"], 0);
    assert_eq!(stage.look_at("/queue/stats").await["messages"], before);
    stage.reap().await;
    assert_eq!(stage.verify(FROM, TO).await.verdict, Verdict::Complete);
    stage.assert_archived(&messages, FROM, TO).await;

    let cleared = done(
        &stage,
        "DELETE",
        "/seed/clear",
        json!({"confirm": "yes-clear-all-data", "reason": "they were looked at"}),
    )
    .await;
    assert_eq!(cleared["result"]["syntheticJobs"], 10, "{cleared}");
    let entries = stage.look_at("/audit?action=seed.clear").await;
    assert_eq!(
        entries["entries"][0]["reason"], "they were looked at",
        "{entries}"
    );
    assert_eq!(stage.look_at("/seed/stats").await["synthetic"]["migrations"], 0);
    stage.finish().await;
}
