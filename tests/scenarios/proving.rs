//! What is proven without anybody asking: windows are verified by schedule, and what fails is one alert.

use super::takeover::{FROM, TO};
use super::tamper::verify;
use crate::stage::{Document, EXPORTER_TIMEOUT, REAPER_TIMEOUT, Stage, request};
use granary_ledger::integrity::ProofState;
use granary_ledger::jobs::NewOperation;
use granary_verify::Verdict;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

const AT_ONCE: (&str, &str) = ("GRANARY_VERIFY_AFTER_SECONDS", "0");

async fn archived(name: &str, settings: &[(&str, &str)]) -> (Stage, Vec<Document>) {
    let stage = Stage::with(name, settings).await;
    let messages = Document::many(40, 10..12);
    stage.index_messages(&messages).await;
    stage.backfill(FROM, TO).await;
    stage.harvest().await;
    (stage, messages)
}

async fn state(stage: &Stage) -> ProofState {
    stage.ledger.proof_state(None).await.unwrap()
}

fn hours_of(state: &ProofState) -> (u64, u64, u64) {
    (state.hours_proven, state.hours_waiting, state.hours_failing)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn windows_are_proven_by_schedule_once_their_batches_are_archived_and_wait_without_an_alert() {
    let (stage, messages) = archived("proven", &[AT_ONCE]).await;
    stage.reap().await;
    assert_eq!(
        hours_of(&state(&stage).await),
        (0, 2, 0),
        "its batches are waited for"
    );
    stage.export_all().await;
    assert_eq!(stage.reap().await["verifications_asked"], 1);
    let proven = state(&stage).await;
    assert_eq!(hours_of(&proven), (2, 0, 0), "{proven:?}");
    assert_eq!(proven.proven_to, Some(TO.parse().unwrap()));
    assert_eq!(stage.queues.told().await, [""; 0]);
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_window_whose_object_is_gone_is_failing_until_it_was_repaired_and_told_once() {
    let (stage, messages) = archived("failing", &[AT_ONCE, ("GRANARY_VERIFY_EVERY_DAYS", "1")]).await;
    stage.export_all().await;
    stage.reap().await;
    stage.reap().await;
    assert_eq!(hours_of(&state(&stage).await), (2, 0, 0));
    let lost = stage.bucket.objects().await.remove(0);
    stage.bucket.delete(&lost.to_string()).await;
    stage
        .sql("UPDATE window_proof SET proven_at = proven_at - INTERVAL 2 DAY")
        .await;
    for _ in 0..3 {
        stage.reap().await;
    }
    let failing = state(&stage).await;
    assert_eq!(hours_of(&failing), (1, 0, 1), "{failing:?}");
    let told = stage.queues.told().await;
    let unproven: Vec<_> = told
        .iter()
        .filter(|told| told.contains("windows are not proven"))
        .collect();
    assert!(
        unproven.len() == 1
            && unproven[0].contains("2026-03-01T10:00:00Z to 2026-03-01T11:00:00Z (INCOMPLETE)"),
        "{told:?}"
    );
    verify(&stage, json!({"repair": true})).await;
    stage.run_until_quiet().await;
    verify(&stage, json!({})).await;
    stage.reap().await;
    stage.reap().await;
    assert_eq!(hours_of(&state(&stage).await), (2, 0, 0));
    let told = stage.queues.told().await;
    assert!(
        told.iter().any(|told| told.contains("no window is failing")),
        "{told:?}"
    );
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}

/// What was final stays proven by the archive alone: the source may be cleaned up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_final_window_is_verified_by_rotation_though_its_index_was_deleted() {
    let (stage, _) = archived("rotation", &[AT_ONCE, ("GRANARY_VERIFY_EVERY_DAYS", "1")]).await;
    stage.export_all().await;
    stage.reap().await;
    stage.reap().await;
    let proven = state(&stage).await;
    assert_eq!(proven.final_to, Some(TO.parse().unwrap()), "{proven:?}");

    stage.indices.delete_index(&stage.indices.messages).await;
    let a_month_passes =
        "UPDATE window_proof SET proven_at = proven_at - INTERVAL 31 DAY, asked_at = NULL, asked = 0";
    stage.sql(a_month_passes).await;
    for _ in 0..3 {
        stage.reap().await;
    }
    let rotated = state(&stage).await;
    assert_eq!(hours_of(&rotated), (2, 0, 0), "{rotated:?}");
    assert!(rotated.as_of > proven.as_of, "{rotated:?}");
    assert_eq!(stage.queues.told().await, [""; 0]);

    let lost = stage.bucket.objects().await.remove(0);
    stage.bucket.delete(&lost.to_string()).await;
    stage.sql(a_month_passes).await;
    for _ in 0..3 {
        stage.reap().await;
    }
    let failing = state(&stage).await;
    assert_eq!(hours_of(&failing), (1, 0, 1), "{failing:?}");
    stage.finish_broken().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hours_older_than_the_setting_are_purged_by_schedule_once_they_are_proven() {
    let (stage, messages) = archived("purging", &[AT_ONCE, ("GRANARY_PURGE_AFTER_DAYS", "1")]).await;
    stage.reap().await;
    let purged = "SELECT COUNT(*) FROM sealed_range WHERE purged_at IS NOT NULL";
    assert_eq!(stage.row::<u64>(purged).await, 0, "its batches are waited for");
    stage.export_all().await;
    stage
        .sql("UPDATE migration SET created_at = created_at - INTERVAL 2 DAY")
        .await;
    for _ in 0..4 {
        stage.reap().await;
    }
    assert_eq!(stage.row::<u64>(purged).await, 2);
    assert_eq!(stage.row::<u64>("SELECT COUNT(*) FROM message").await, 0);
    let report = verify(&stage, json!({ "content": true })).await;
    let equal = report.account.content.equal;
    assert_eq!(
        (report.verdict, equal),
        (Verdict::Complete, messages.len() as u64),
        "{report:#?}"
    );
    stage.finish().await;
}

/// Asks for a verification of everything; its state in the ledger.
async fn ask_as(stage: &Stage, requested_by: &str) -> Uuid {
    let operation = NewOperation {
        id: Uuid::now_v7(),
        kind: "verify".to_owned(),
        arguments: json!({"from": FROM, "to": TO}),
        requested_by: requested_by.to_owned(),
    };
    stage.ledger.make_operation(&operation).await.unwrap();
    operation.id
}

async fn is_over(stage: &Stage, operation: Uuid) -> bool {
    let id = operation.simple();
    let count: u64 = stage
        .row(&format!(
            "SELECT COUNT(*) FROM operation WHERE id = UNHEX('{id}') AND state = 'succeeded'"
        ))
        .await;
    count == 1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_quiet_hours_a_verification_of_the_schedule_rests_and_one_that_a_person_wants_goes_on() {
    let now = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).hour();
    let quiet = format!("{}-{}", now, (now + 2) % 24);
    let (stage, messages) = archived("quiet", &[AT_ONCE, ("GRANARY_VERIFY_QUIET_HOURS", &quiet)]).await;
    stage.export_all().await;
    let of_schedule = ask_as(&stage, "schedule").await;
    let of_person = ask_as(&stage, "anna").await;
    assert_eq!(stage.reap().await["verifications_asked"], 0);
    assert!(is_over(&stage, of_person).await && !is_over(&stage, of_schedule).await);
    let reaper = stage.another("reaper", &[("GRANARY_VERIFY_QUIET_HOURS", "")]);
    reaper.invoke(json!({}), REAPER_TIMEOUT).await.unwrap();
    assert!(is_over(&stage, of_schedule).await);
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}

async fn proof(stage: &Stage, path: &str) -> Value {
    let answer = stage
        .operator
        .invoke(request("GET", path, ""), EXPORTER_TIMEOUT)
        .await
        .unwrap();
    assert_eq!(answer["statusCode"], 200, "{answer}");
    serde_json::from_str(answer["body"].as_str().unwrap()).unwrap()
}

async fn block(stage: &Stage, is_blocked: bool) {
    let body = json!({"index.blocks.write": is_blocked}).to_string();
    let path = [stage.indices.messages.as_str(), "_settings"];
    stage.indices.ask(Method::PUT, &path, body).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_source_is_safe_to_delete_only_while_it_is_in_the_very_state_that_was_verified() {
    let (stage, messages) = archived("deletable", &[("GRANARY_RESCAN_DAYS", "0")]).await;
    stage.export_all().await;
    let nothing = proof(&stage, "/proof").await;
    assert_eq!(
        (&nothing["safeToDelete"], &nothing["provenTo"]),
        (&json!(false), &Value::Null)
    );
    verify(&stage, json!({})).await;
    let writable = proof(&stage, "/proof").await;
    assert_eq!(
        writable["line"],
        format!("Proven complete through {TO}. 2 hours archived, 0 waiting, 0 failing.")
    );
    assert_eq!(writable["finalTo"], TO, "{writable}");
    assert_eq!(writable["writable"], json!([stage.indices.messages]));
    let todo = writable["todo"].as_array().unwrap();
    assert_eq!(todo.len(), 1, "{todo:?}");
    assert!(
        todo[0].as_str().unwrap().contains("index.blocks.write"),
        "{todo:?}"
    );

    block(&stage, true).await;
    let unverified = proof(&stage, "/proof").await;
    assert!(
        unverified["todo"][0]
            .as_str()
            .unwrap()
            .starts_with("Verify again"),
        "{unverified}"
    );
    verify(&stage, json!({})).await;
    let safe = proof(&stage, "/proof").await;
    assert_eq!(
        (&safe["safeToDelete"], &safe["todo"]),
        (&json!(true), &json!([])),
        "{safe}"
    );
    let later = proof(&stage, "/proof?before=2026-03-02T00:00:00Z").await;
    assert_eq!(later["safeToDelete"], false, "nothing is proven so far: {later}");

    // The block is there again, and a document was written in between.
    block(&stage, false).await;
    stage
        .index_messages(&[Document::raw("new", json!({"message_id": "new"}).to_string())])
        .await;
    block(&stage, true).await;
    let changed = proof(&stage, "/proof").await;
    assert_eq!(
        (&changed["safeToDelete"], &changed["outside"]),
        (&json!(false), &json!(1)),
        "{changed}"
    );
    block(&stage, false).await;
    stage.assert_each_once(&messages).await;
    stage.finish().await;
}

/// What was written before the block and isn't visible yet, and what a search through the pattern doesn't read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_source_is_not_safe_to_delete_with_what_no_search_shows() {
    let mut stage = Stage::with("hidden", &[("GRANARY_RESCAN_DAYS", "0")]).await;
    let pattern = format!("{}*", stage.indices.messages);
    stage.tell(&[("GRANARY_SOURCE_INDEX", &pattern)]);
    let (index, other) = (
        stage.indices.messages.clone(),
        stage.indices.more_messages.clone(),
    );
    let never = json!({"index.refresh_interval": "-1"}).to_string();
    stage
        .indices
        .ask(Method::PUT, &[&index, "_settings"], never)
        .await;
    stage.index_messages(&Document::many(40, 10..12)).await;
    stage.backfill(FROM, TO).await;
    stage.harvest().await;
    stage.export_all().await;
    let late = json!({"message_id": "late", "created_at": "2026-03-01T10:30:00Z"}).to_string();
    stage
        .indices
        .ask(Method::PUT, &[&index, "_doc", "late"], late)
        .await;
    block(&stage, true).await;
    verify(&stage, json!({})).await;
    let unrefreshed = proof(&stage, "/proof").await;
    assert_eq!(unrefreshed["safeToDelete"], false, "{unrefreshed}");

    verify(&stage, json!({"repair": true})).await;
    stage.run_until_quiet().await;
    verify(&stage, json!({})).await;
    let safe = proof(&stage, "/proof").await;
    assert_eq!(safe["safeToDelete"], true, "{safe}");

    stage.indices.create(&other, stage.indices.mapping()).await;
    stage
        .indices
        .ask(Method::PUT, &[&other, "_block", "write"], "")
        .await;
    stage.indices.ask(Method::POST, &[&other, "_close"], "").await;
    let closed = proof(&stage, "/proof").await;
    assert_eq!(
        (&closed["safeToDelete"], &closed["unread"]),
        (&json!(false), &json!([other])),
        "{closed}"
    );
    stage.indices.ask(Method::POST, &[&other, "_open"], "").await;
    block(&stage, false).await;
    stage.finish().await;
}
