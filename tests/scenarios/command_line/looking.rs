//! What is only looked at: messages, windows, alerts, the audit, the database. And test messages.

use super::{FROM, TO, archived, at_the_source, count, finish, first_cells, parked};
use crate::stage::Stage;
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_life_of_a_message_is_told_from_its_window_to_its_line() {
    let (stage, operator, messages) = archived("cli-trace").await;
    let id = &messages[0].doc_id;
    let told = operator.done(&format!("trace {id}")).await;
    for part in ["archived", "line's sha256", "unchanged", "completed"] {
        assert!(told.out.contains(part), "{part}: {told:?}");
    }
    let body = messages[0].body.as_str();
    assert!(!told.out.contains(body), "contents are shown nowhere");
    let less = operator.json(&format!("trace {id} --no-line --no-source")).await;
    assert_eq!(
        (&less["object"]["line"], &less["source"]["asked"]),
        (&json!(null), &json!(false))
    );
    for unknown in ["nowhere", ".."] {
        let refused = operator.granary(&format!("trace {unknown}")).await;
        assert_eq!(refused.code, 1, "{refused:?}");
        assert!(refused.err.contains(unknown), "{refused:?}");
    }
    finish(stage, &messages).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_deployment_is_looked_at_from_all_sides() {
    let (stage, operator, messages) = archived("cli-looking").await;
    let windows = operator
        .done(&format!("windows --from {FROM} --to {TO} --plain"))
        .await;
    assert!(!first_cells(&windows.out).is_empty(), "{windows:?}");
    assert!(
        operator
            .done("windows --state failing")
            .await
            .err
            .contains("no such window")
    );
    let overview = operator.done("overview").await;
    assert!(
        overview.out.contains("archived") && overview.out.contains("40"),
        "{overview:?}"
    );
    let status = operator.json("status").await;
    assert_eq!(status["queue"]["messages"]["success"], 40);
    operator.done("status").await;
    for (line, part) in [
        ("db ping", "status\tup"),
        ("db health", "schema version"),
        ("db status", "success\t4\t40"),
        ("db count", "messages\t40"),
        ("db pending-count", "messages\t0"),
        ("db success-count", "messages\t40"),
        ("db info", "batch\t"),
        ("health", "ledger\tup"),
        ("health --ready", "status\tready"),
        ("health --live", "status\tup"),
    ] {
        let said = operator.done(&format!("{line} --plain")).await;
        assert!(said.out.contains(part), "{line}: {said:?}");
    }
    finish(stage, &messages).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_people_were_told_and_what_they_did_is_listed() {
    let (stage, operator, messages) = parked("cli-told").await;
    stage.reap().await;
    let alerts = operator.done("alerts --open --plain").await;
    assert!(!first_cells(&alerts.out).is_empty(), "{alerts:?}");
    assert!(
        operator
            .done("alerts --kind nothing")
            .await
            .err
            .contains("no such alert")
    );
    operator.done("pause harvest --reason lunch").await;
    operator.done("resume harvest").await;
    let audit = operator.done("audit --who operator --from 1h --plain").await;
    let actions: Vec<&str> = audit
        .out
        .lines()
        .filter_map(|line| line.split('\t').nth(2))
        .collect();
    assert_eq!(actions, ["ACTION", "resume", "pause"], "{audit:?}");
    let paused = operator.json("audit --action pause --limit 1").await;
    assert_eq!(paused["entries"][0]["reason"], "lunch");
    operator.done("failures retry").await;
    finish(stage, &messages).await;
}

/// A tick of the reaper as soon as a job waits for it.
async fn reap_what_is_asked(stage: &Stage) {
    while stage
        .row::<u64>("SELECT COUNT(*) FROM operation WHERE state = 'waiting'")
        .await
        == 0
    {
        tokio::task::yield_now().await;
    }
    stage.reap().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orphans_are_named_and_removed_by_a_yes() {
    let (stage, operator, messages) = archived("cli-sweep").await;
    let named = operator.done("sweep").await;
    assert!(named.out.contains("objects and manifests looked at"), "{named:?}");
    let unanswered = operator.granary("sweep --apply").await;
    assert_eq!(
        (unanswered.code, unanswered.err.contains("--yes")),
        (64, true),
        "{unanswered:?}"
    );
    // Only the reaper deletes: the command waits for its ticks.
    tokio::join!(
        operator.done("sweep --apply --yes --older-than 24h"),
        reap_what_is_asked(&stage)
    );
    let listed = operator.json("sweep --list").await;
    assert_eq!(listed["sweeps"].as_array().unwrap().len(), 2, "{listed}");

    let unanswered = operator.granary(&format!("purge --before {TO} --apply")).await;
    assert_eq!(
        (unanswered.code, unanswered.err.contains("--yes")),
        (64, true),
        "{unanswered:?}"
    );
    operator.done(&format!("purge --before {TO}")).await;
    operator.done(&format!("purge --before {TO} --apply --yes")).await;
    finish(stage, &messages).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seeding_is_refused_where_it_is_off_and_jobs_are_made_where_it_is_on() {
    let (stage, operator, messages) = at_the_source("cli-seed").await;
    let refused = operator.granary("seed 5").await;
    assert_eq!((refused.code, refused.out.as_str()), (1, ""), "{refused:?}");
    let unanswered = operator.granary("seed --clear").await;
    assert_eq!(unanswered.code, 64, "{unanswered:?}");
    let elasticsearch = stage.setting("GRANARY_ES_URL");
    let allowed = [
        ("GRANARY_ALLOW_SEEDING", "true"),
        ("GRANARY_SEED_ES_URL", elasticsearch),
    ];
    let operator = stage.listen(&allowed).await;
    let before = count(&stage, "migration").await;
    operator.done("seed --jobs 3 --dry-run").await;
    assert_eq!(count(&stage, "migration").await, before);
    operator.done("seed --jobs 3").await;
    assert_eq!(count(&stage, "migration").await, before + 3);
    operator.done("seed 5 --dry-run").await;
    operator.done("seed --stats").await;
    operator.done("seed --clear --dry-run").await;
    assert_eq!(count(&stage, "migration").await, before + 3);
    operator.done("seed --clear --yes").await;
    assert_eq!(count(&stage, "migration").await, before);
    stage.backfill(FROM, TO).await;
    finish(stage, &messages).await;
}
