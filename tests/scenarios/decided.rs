//! What a person decides about an object that fails the sweep's proof: it is adopted, or discarded.

use super::sweep::{AT_ONCE, at_its_end, post_sweep};
use super::tamper::{FROM, TO, archived, batch_of, id_of};
use crate::stage::{APPLY, EXPORTER_TIMEOUT, Stage, request};
use granary_sweep::SweepArguments;
use granary_verify::Verdict;
use serde_json::{Value, json};

/// An archive whose ledger has lost the batch of the first hour, as a backup restores it; the batch's number and object.
async fn with_a_lost_batch(name: &str) -> (Stage, u64, String) {
    let (stage, _) = archived(name, &[AT_ONCE]).await;
    let (batch, key) = batch_of(&stage, 10).await;
    for table in [
        "message WHERE batch_id",
        "attempt WHERE batch_id",
        "batch WHERE id",
    ] {
        stage.sql(&format!("DELETE FROM {table} = {batch}")).await;
    }
    (stage, batch, key)
}

/// Asks about one object; the answer.
async fn ask(stage: &Stage, what: &str, body: Value) -> Value {
    let event = request("POST", &format!("/sweep/{what}"), &body.to_string());
    stage.operator.invoke(event, EXPORTER_TIMEOUT).await.unwrap()
}

/// The same; the operation's result.
async fn decide(stage: &Stage, what: &str, body: Value) -> Value {
    let operation = at_its_end(stage, &ask(stage, what, body).await).await;
    assert_eq!(operation["state"], "succeeded", "{operation}");
    operation["result"].clone()
}

async fn delete_at_the_source(stage: &Stage, numbers: std::ops::Range<usize>) {
    for number in numbers {
        let id = id_of(number);
        stage.indices.delete(&stage.indices.messages, &id).await;
    }
    stage.indices.refresh(&stage.indices.messages).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e13_an_adopted_object_has_its_messages_on_record_though_the_source_deleted_them() {
    let (stage, _, key) = with_a_lost_batch("adopted").await;
    delete_at_the_source(&stage, 0..5).await;
    let lines = stage.bucket.lines().await;
    let before: Vec<String> = lines.iter().map(|line| line.message.clone()).collect();

    let looked = decide(&stage, "adopt", json!({"key": key, "dryRun": true})).await;
    assert_eq!(
        (&looked["messages"], &looked["recorded"]),
        (&json!(10), &json!(10)),
        "{looked}"
    );
    assert_eq!(
        stage.row::<u32>("SELECT COUNT(*) FROM message").await,
        90,
        "nothing was written"
    );
    let adopted = decide(
        &stage,
        "adopt",
        json!({"key": key, "reason": "a backup was restored"}),
    )
    .await;
    assert_eq!(
        (&adopted["recorded"], &adopted["left"]),
        (&json!(10), &json!(0)),
        "{adopted}"
    );
    let again = decide(&stage, "adopt", json!({"key": key})).await;
    assert_eq!(
        (&again["recorded"], &again["waiting"]),
        (&json!(0), &json!(10)),
        "{again}"
    );
    stage.run_until_quiet().await;

    // The source lacks five of them by now, and nothing else is to be said.
    let report = stage.verify(FROM, TO).await;
    assert_eq!(report.verdict, Verdict::Drifted, "{report:#?}");
    assert_eq!(report.account.counts.drifted, 5);
    let with_unknown = SweepArguments {
        include_unknown: true,
        ..APPLY
    };
    let swept = stage.sweep(&with_unknown).await;
    assert_eq!(swept.orphans.keys.len(), 1, "{swept:#?}");
    assert_eq!(swept.orphans.keys[0].as_str(), key);
    let mut now: Vec<String> = stage
        .bucket
        .lines()
        .await
        .into_iter()
        .map(|line| line.message)
        .collect();
    let mut before = before;
    now.sort();
    before.sort();
    assert_eq!(now, before, "each line is there once, byte for byte");
    let audited: Vec<String> = stage
        .rows("SELECT action FROM audit WHERE action LIKE 'sweep.%' ORDER BY id")
        .await;
    assert_eq!(audited, ["sweep.adopt"; 3]);
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e13_an_object_is_discarded_by_the_reaper_with_a_reason_and_only_if_it_is_the_one_that_was_seen() {
    let (stage, _, key) = with_a_lost_batch("discarded").await;
    let refused = ask(&stage, "discard", json!({"key": key})).await;
    assert_eq!(refused["statusCode"], 400, "without a reason: {refused}");
    let looked = decide(&stage, "discard", json!({"key": key, "dryRun": true})).await;
    assert_eq!(
        looked["loss"], "it holds 10 messages that no other object holds",
        "{looked}"
    );
    assert!(stage.bucket.keys().await.contains(&key));

    // Somebody else puts another object there after it was seen.
    let body = json!({"key": key, "reason": "test data"});
    let asked = ask(&stage, "discard", body.clone()).await;
    assert_eq!(asked["statusCode"], 202, "the operator deletes nothing: {asked}");
    let original = stage.bucket.body(&key).await;
    stage.bucket.put(&key, b"another".to_vec()).await;
    let overtaken = at_its_end(&stage, &asked).await;
    assert_eq!(overtaken["state"], "failed", "{overtaken}");
    assert!(
        overtaken["error"]
            .as_str()
            .unwrap()
            .contains("not the object that was seen")
    );
    stage.bucket.put_as_a_worker(&key, original).await;

    let discarded = decide(&stage, "discard", body.clone()).await;
    assert_eq!(discarded["loss"], looked["loss"], "{discarded}");
    let keys = stage.bucket.keys().await;
    assert_eq!(
        (keys.contains(&key), keys.len()),
        (false, 18),
        "its manifest went with it"
    );
    assert_eq!(ask(&stage, "discard", body).await["statusCode"], 404);
    // What is on record can't be discarded.
    let (_, on_record) = batch_of(&stage, 11).await;
    let body = json!({"key": on_record, "reason": "by mistake"});
    let kept = at_its_end(&stage, &ask(&stage, "discard", body).await).await;
    assert_eq!(kept["state"], "failed", "{kept}");
    assert!(
        kept["error"].as_str().unwrap().contains("it is on record"),
        "{kept}"
    );
    stage.finish().await;
}

/// A replaced object that holds more than its replacement is kept until a person decides.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e13_a_replaced_object_that_was_kept_is_discarded_and_verify_names_it_no_more() {
    let (stage, _) = archived("kept-no-more", &[AT_ONCE]).await;
    let (_, old) = batch_of(&stage, 10).await;
    let body = json!({"from": FROM, "to": "2026-03-01T11:00:00Z", "reason": "a test"});
    let event = request("POST", "/migrate/reset-pending", &body.to_string());
    stage.operator.invoke(event, EXPORTER_TIMEOUT).await.unwrap();
    delete_at_the_source(&stage, 0..2).await;
    stage.run_until_quiet().await;
    stage.reap().await;
    assert_eq!(
        stage.verify(FROM, TO).await.verdict,
        Verdict::Incomplete,
        "two objects hold the same"
    );
    let swept = post_sweep(&stage, json!({"apply": true})).await;
    assert_eq!(
        swept["result"]["orphans"]["count"], 0,
        "it isn't the sweep's: {swept}"
    );
    decide(
        &stage,
        "discard",
        json!({"key": old, "reason": "they were test messages"}),
    )
    .await;
    let report = stage.verify(FROM, TO).await;
    assert_eq!(
        (report.verdict, report.account.findings.len()),
        (Verdict::Complete, 0),
        "{report:#?}"
    );
    stage.finish().await;
}
