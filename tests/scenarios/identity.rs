//! Whose ledger it is: a second deployment on the same ledger does no work and says why, a setting that was changed on purpose is
//! adopted, and an alias may be renamed under load.

use crate::stage::{Document, FunctionError, Stage, deliver_event, request};
use granary_domain::BatchStatus;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

const FROM: &str = "2026-03-01T10:00:00Z";
const TO: &str = "2026-03-01T14:00:00Z";
const BATCHES: u64 = 4;

/// Forty messages in four batches that wait in the queue.
async fn handed_off(name: &str) -> (Stage, Vec<Document>) {
    let stage = Stage::with(name, &[("GRANARY_BATCH_SIZE", "10")]).await;
    let messages = Document::many(40, 10..14);
    stage.index_messages(&messages).await;
    stage.backfill(FROM, TO).await;
    stage.harvest().await;
    assert_eq!(stage.batches(BatchStatus::Pending).await, BATCHES);
    (stage, messages)
}

/// Every batch is pending, without an attempt.
async fn assert_nothing_was_claimed(stage: &Stage) {
    let pending: (u64, u64) = stage
        .row("SELECT COUNT(*), CAST(SUM(attempts) AS UNSIGNED) FROM batch WHERE status = 'pending'")
        .await;
    assert_eq!(pending, (BATCHES, 0));
}

async fn alerts(stage: &Stage, kind: &str) -> u64 {
    stage
        .row(&format!("SELECT COUNT(*) FROM alert WHERE kind = '{kind}'"))
        .await
}

fn assert_names(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part}: {text}");
    }
}

/// One check of `GET /doctor`.
async fn identity_of(stage: &Stage) -> Value {
    let examination = stage.look_at("/doctor").await;
    let checks = examination["checks"].as_array().unwrap();
    let found = checks.iter().find(|check| check["check"] == "identity");
    found.expect("it is looked at").clone()
}

/// The second one's functions are each told to work, and touch nothing.
async fn let_the_second_one_try(first: &Stage, second: &Stage) {
    let both = [first.bucket.name.as_str(), second.bucket.name.as_str()];
    let refusal = second.harvester.refusal().await;
    assert_names(
        &refusal,
        &["the ledger belongs to another deployment", "GRANARY_BUCKET"],
    );
    assert_names(&refusal, &both);

    let received = first.receive_all().await;
    let delivered = &received[..1];
    assert_eq!(
        deliver_event(second.exporter(0), delivered).await,
        [""; 0],
        "it is acknowledged"
    );
    for (queue, message) in delivered {
        first.queues.delete(queue, message).await;
    }
    for (queue, message) in &received[1..] {
        first.queues.make_visible(queue, message).await;
    }
    assert_nothing_was_claimed(first).await;
    let unsent: u64 = first
        .row("SELECT COUNT(*) FROM batch WHERE enqueued_at IS NULL")
        .await;
    assert_eq!(unsent, 1, "the first one's reaper sends it again");

    let tick = second.reap().await;
    assert_eq!(
        [&tick["foreign"], &tick["sent"], &tick["published"]],
        [&json!(true), &json!(0), &json!(1)],
        "{tick}"
    );
    let told = second.queues.told().await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert_names(&told[0], &both);
    assert_eq!(second.queues.depth(&second.queues.normal).await, 0);
    assert_eq!(second.bucket.keys().await, [""; 0]);
}

/// Its operator looks, and changes nothing that isn't its own.
async fn ask_the_second_operator(first: &Stage, second: &Stage) {
    let identity = identity_of(second).await;
    assert_eq!(identity["status"], "failed", "{identity}");
    assert_names(
        identity["remedy"].as_str().unwrap(),
        &["granary ledger adopt --setting bucket"],
    );
    let body = r#"{"stage":"export","reason":"a test"}"#;
    let refused = second.ask(request("POST", "/pause", body)).await;
    assert_eq!(refused["statusCode"], 409, "{refused}");
    assert_names(refused["body"].as_str().unwrap(), &["another deployment"]);
    let paused: u64 = first
        .row("SELECT COUNT(*) FROM control WHERE name = 'export.paused'")
        .await;
    assert_eq!(paused, 0);
    let identity = identity_of(first).await;
    assert_eq!(identity["status"], "warning", "{identity}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d5_a_second_deployment_on_the_same_ledger_does_no_work_and_says_why() {
    let (first, messages) = handed_off("first").await;
    let ledger = first.setting("GRANARY_LEDGER_URL");
    let second = Stage::with("second", &[("GRANARY_LEDGER_URL", ledger)]).await;
    second.index_messages(&Document::many(10, 10..11)).await;
    let_the_second_one_try(&first, &second).await;
    ask_the_second_operator(&first, &second).await;

    // The first one isn't kept from anything, and tells of the second one no second time.
    first.run_until_quiet().await;
    first.assert_archived(&messages, FROM, TO).await;
    assert_eq!(alerts(&first, "ledger_identity").await, 1);
    assert_eq!(alerts(&first, "ledger_identity_over").await, 0);
    // The second one gets a ledger of its own.
    first
        .sql("UPDATE deployment_mismatch SET found_at = found_at - INTERVAL 6 MINUTE")
        .await;
    first.reap().await;
    assert_eq!(alerts(&first, "ledger_identity_over").await, 1);
    assert_eq!(identity_of(&first).await["status"], "ok");
    second.finish().await;
    first.finish().await;
}

/// The deployment's bucket was changed, and its objects were copied.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d5_a_setting_that_was_changed_on_purpose_is_adopted_and_the_work_continues() {
    let (stage, messages) = handed_off("adopted-setting").await;
    stage
        .sql("UPDATE deployment_setting SET value = 'granary-before' WHERE name = 'bucket'")
        .await;
    let Err(FunctionError::Returned { message, .. }) = stage.try_harvest().await else {
        panic!("a warm harvester looks as well");
    };
    assert_names(
        &message,
        &["granary-before", &stage.bucket.name, "granary ledger adopt"],
    );
    let exports = stage.export_all().await;
    assert_eq!(
        (exports.acknowledged, exports.returned.len()),
        (BATCHES, 0),
        "none becomes a dead letter"
    );
    assert_nothing_was_claimed(&stage).await;
    let tick = stage.reap().await;
    assert_eq!((&tick["foreign"], &tick["sent"]), (&json!(true), &json!(0)));
    assert_names(&stage.queues.told().await.join("\n"), &["granary-before"]);

    let operator = stage.listen(&[]).await;
    let foretold = operator.json("ledger adopt --setting bucket --dry-run").await;
    assert_eq!(
        (&foretold["before"], &foretold["after"], &foretold["differs"]),
        (&json!("granary-before"), &json!(stage.bucket.name), &json!(true))
    );
    let (status, _) = operator
        .ask("POST /ledger/adopt", Some(json!({"setting": "bucket"})))
        .await;
    assert_eq!(status, 400, "it needs a reason");
    assert!(stage.try_harvest().await.is_err(), "nothing was adopted yet");
    operator
        .done("ledger adopt --setting bucket --reason copied")
        .await;
    let reasons: Vec<String> = stage
        .rows("SELECT reason FROM audit WHERE action = 'ledger.adopt'")
        .await;
    assert_eq!(reasons, ["copied"]);

    stage.run_until_quiet().await;
    stage.assert_archived(&messages, FROM, TO).await;
    assert_eq!(alerts(&stage, "ledger_identity").await, 1);
    assert_eq!(alerts(&stage, "ledger_identity_over").await, 1);
    let again = operator
        .json("ledger adopt --setting bucket --reason copied")
        .await;
    assert_eq!(again["differs"], false, "{again}");
    let changes = stage.look_at("/proof").await["settingChanges"].take();
    assert_eq!(changes[0]["setting"], "bucket", "{changes}");
    stage.finish().await;
}

/// A first deployment with a bucket that isn't there is corrected: nothing was archived, so nothing has to be adopted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d5_a_first_deployment_with_a_wrong_setting_is_corrected_without_an_adoption() {
    let mut stage = Stage::new("corrected").await;
    let bucket = stage.bucket.name.clone();
    let messages = Document::many(40, 10..14);
    stage.index_messages(&messages).await;
    stage.backfill(FROM, TO).await;
    stage.tell(&[("GRANARY_BUCKET", "granary-no-such-bucket")]);
    // It finds out when it reserves batch numbers.
    stage.try_harvest().await.ok();
    let recorded = "SELECT value FROM deployment_setting WHERE name = 'bucket' ORDER BY number DESC LIMIT 1";
    assert_eq!(stage.row::<String>(recorded).await, "granary-no-such-bucket");
    stage.tell(&[("GRANARY_BUCKET", &bucket)]);
    stage.let_leases_end().await;
    stage.let_delays_end().await;
    stage.run_until_quiet().await;
    assert_eq!(stage.row::<String>(recorded).await, bucket);
    stage.assert_archived(&messages, FROM, TO).await;
    assert_eq!(alerts(&stage, "ledger_identity").await, 0);
    stage.finish().await;
}

async fn change_aliases(stage: &Stage, actions: Value) {
    let body = json!({ "actions": actions }).to_string();
    stage.indices.ask(Method::POST, &["_aliases"], body).await;
}

/// The index keeps its name; what it is called by is another one, while exporters are at work.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d5_h12_an_alias_that_is_renamed_under_load_loses_nothing_and_is_on_record() {
    let [old, new] = ["old", "new"].map(|name| format!("{name}-{}", Uuid::now_v7().simple()));
    let settings = [
        ("GRANARY_SOURCE_INDEX", old.as_str()),
        ("GRANARY_BATCH_SIZE", "10"),
    ];
    let mut stage = Stage::with("renamed", &settings).await;
    let index = stage.indices.messages.clone();
    change_aliases(&stage, json!([{"add": {"index": index, "alias": old}}])).await;
    let messages = Document::many(400, 10..14);
    let (before, after) = messages.split_at(200);
    stage.index_messages(before).await;
    stage.backfill(FROM, TO).await;
    stage.harvest().await;
    let renaming = json!([
        {"remove": {"index": index, "alias": old}},
        {"add": {"index": index, "alias": new}},
    ]);
    let (exports, ()) = tokio::join!(stage.export_all(), async {
        stage
            .until("SELECT COUNT(*) FROM batch WHERE status = 'in_progress' OR settled_at IS NOT NULL")
            .await;
        change_aliases(&stage, renaming).await;
    });
    stage.let_visibility_end(&exports).await;

    stage.tell(&[("GRANARY_SOURCE_INDEX", &new)]);
    stage.index_messages(after).await;
    stage.backfill(FROM, TO).await;
    stage.let_leases_end().await;
    stage.let_delays_end().await;
    stage.run_until_quiet().await;
    stage.assert_archived(&messages, FROM, TO).await;
    assert_eq!(alerts(&stage, "ledger_identity").await, 0);
    let changes = stage.look_at("/proof").await["settingChanges"].take();
    assert_eq!(
        (
            &changes[0]["setting"],
            &changes[0]["before"],
            &changes[0]["after"]
        ),
        (&json!("index"), &json!(old), &json!(new)),
        "{changes}"
    );
    stage.finish().await;
}
