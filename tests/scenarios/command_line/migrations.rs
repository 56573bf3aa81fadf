//! Migrations: foretold, started, followed, verified, given up.

use super::{FROM, TO, archived, at_the_source, count, finish, first_cells, handed_off, parked, reasons};
use serde_json::json;

const ONES: &str = "migration WHERE kind <> 'continuous'";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migration_is_foretold_started_watched_and_verified() {
    let (stage, operator, messages) = at_the_source("cli-migration").await;
    let range = format!("--from {FROM} --to {TO}");
    let foretold = operator.done(&format!("migrate start {range} --dry-run")).await;
    assert!(foretold.out.contains("2026-03-01"), "{foretold:?}");
    assert_eq!(count(&stage, ONES).await, 0, "nothing was changed");

    let started = operator
        .done(&format!("migrate start {range} --batch-size 10 --reason tested"))
        .await;
    let id = started.out.trim().to_owned();
    assert_eq!(count(&stage, ONES).await, 1);
    assert_eq!(
        reasons(&stage, "migrate.start").await,
        [Some("tested".to_owned())]
    );
    let listed = operator.done("migrate list --status open --plain").await;
    assert!(first_cells(&listed.out).contains(&id.as_str()), "{listed:?}");

    let line = format!("watch {id}");
    let (watched, _) = tokio::join!(operator.granary(&line), stage.run_until_quiet());
    assert_eq!(watched.code, 0, "{watched:?}");
    assert!(watched.out.contains("40 (100"), "{watched:?}");
    let status = operator.json(&format!("migrate status {id}")).await;
    assert_eq!(status["progress"]["success"], 40);
    let shown = operator.done(&format!("migrate status {id}")).await;
    assert!(
        shown.out.contains(&id) && shown.out.contains("40 (100"),
        "{shown:?}"
    );

    let verified = operator.done(&format!("verify --migration {id}")).await;
    assert!(verified.out.starts_with("COMPLETE"), "{verified:?}");
    let plain = operator.done(&format!("verify {range} --plain")).await;
    assert!(plain.out.starts_with("verdict\tCOMPLETE\n"), "{plain:?}");
    let listed = operator.json("verify --list").await;
    assert_eq!(listed["verifications"].as_array().unwrap().len(), 2);
    let operations = operator
        .done("operations --kind verify --state succeeded --plain")
        .await;
    let ids = first_cells(&operations.out);
    assert_eq!(ids.len(), 2, "{operations:?}");
    let one = operator.done(&format!("operations show {}", ids[0])).await;
    assert!(one.out.contains("COMPLETE"), "{one:?}");
    operator.done(&format!("operations wait {}", ids[0])).await;
    finish(stage, &messages).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migration_that_is_waited_for_ends_with_what_became_of_it() {
    let (stage, operator, messages) = at_the_source("cli-wait").await;
    let line = format!("migrate start --from {FROM} --to {TO} --wait");
    let (waited, ()) = tokio::join!(operator.granary(&line), async {
        stage.until(&format!("SELECT COUNT(*) FROM {ONES}")).await;
        stage.run_until_quiet().await;
    });
    assert_eq!(waited.code, 0, "{waited:?}");
    assert!(
        waited.out.contains("completed") || waited.out.contains("100"),
        "{waited:?}"
    );
    finish(stage, &messages).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migration_is_given_up_only_by_a_yes() {
    let (stage, operator, messages) = handed_off("cli-cancel").await;
    let id = operator.json("migrate list --kind backfill").await["migrations"][0]["id"].clone();
    let id = id.as_str().unwrap();
    let unanswered = operator.granary(&format!("migrate cancel {id}")).await;
    assert_eq!(
        (unanswered.code, unanswered.err.contains("--yes")),
        (64, true),
        "{unanswered:?}"
    );
    let foretold = operator.json(&format!("migrate cancel {id} --dry-run")).await;
    assert_eq!(foretold["released"]["messages"], 40, "{foretold}");
    assert_eq!(count(&stage, "migration WHERE state = 'cancelled'").await, 0);

    let line = format!("migrate cancel {id} --yes --reason wrong");
    let cancelled = operator.done(&line).await;
    assert!(cancelled.out.contains("messages released"), "{cancelled:?}");
    assert_eq!(count(&stage, "migration WHERE state = 'cancelled'").await, 1);
    assert_eq!(
        reasons(&stage, "migrate.cancel").await.last(),
        Some(&Some("wrong".to_owned()))
    );
    let watched = operator.granary(&format!("watch {id}")).await;
    assert_eq!(watched.code, 2, "{watched:?}");

    let foretold = operator.json("migrate create-missing --dry-run").await;
    assert_eq!(
        foretold["operation"]["result"]["perDay"],
        json!({"2026-03-01": 40})
    );
    let adopted = operator.json("migrate create-missing --reason back").await;
    assert_eq!(adopted["operation"]["result"]["adopted"], 40, "{adopted}");
    finish(stage, &messages).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_watches_what_failed_for_good_is_told_so_by_the_exit_code() {
    let (stage, operator, messages) = parked("cli-left").await;
    let watched = operator.granary("watch").await;
    assert_eq!(watched.code, 2, "{watched:?}");
    assert!(watched.err.contains("granary failures"), "{watched:?}");
    let verified = operator.granary(&format!("verify --from {FROM} --to {TO}")).await;
    assert_eq!(verified.code, 6, "{verified:?}");
    operator
        .done("migrate start --status parked --reason again")
        .await;
    assert_eq!(count(&stage, "batch WHERE parked_at IS NOT NULL").await, 0);
    finish(stage, &messages).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_lost_from_the_archive_is_repaired_by_a_yes() {
    let (stage, operator, messages) = archived("cli-repair").await;
    let lost = stage.bucket.objects().await[0].to_string();
    stage.bucket.delete(&lost).await;
    let range = format!("--from {FROM} --to {TO}");
    let unanswered = operator.granary(&format!("verify {range} --repair")).await;
    assert_eq!(
        (unanswered.code, unanswered.err.contains("--yes")),
        (64, true),
        "{unanswered:?}"
    );
    let rehearsed = operator
        .granary(&format!("verify {range} --repair --dry-run"))
        .await;
    assert_eq!(rehearsed.code, 3, "{rehearsed:?}");
    assert!(
        rehearsed.out.contains("a dry run, nothing was done"),
        "{rehearsed:?}"
    );
    assert_eq!(count(&stage, "batch WHERE status <> 'completed'").await, 0);
    let repaired = operator.granary(&format!("verify {range} --repair --yes")).await;
    assert_eq!(
        repaired.code, 3,
        "the verdict is about what was found: {repaired:?}"
    );
    assert!(repaired.out.contains("batches exported again"), "{repaired:?}");
    stage.run_until_quiet().await;
    operator.done(&format!("verify {range}")).await;
    finish(stage, &messages).await;
}

/// `sweep --apply` is done by the reaper alone, so it waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_job_is_cancelled_once_and_one_that_is_over_is_not() {
    let (stage, operator, messages) = archived("cli-cancel-job").await;
    let (status, sweep) = operator.ask("POST /sweep", Some(json!({"apply": true}))).await;
    assert_eq!(status, 202, "{sweep}");
    let id = sweep["operationId"].as_str().unwrap().to_owned();
    let foretold = operator.json(&format!("operations cancel {id} --dry-run")).await;
    assert_eq!(
        (&foretold["dryRun"], &foretold["operation"]["state"]),
        (&json!(true), &json!("waiting"))
    );
    let line = format!("operations cancel {id} --yes --reason too-early");
    for _ in 0..2 {
        let cancelled = operator.json(&line).await;
        assert_eq!(cancelled["operation"]["state"], "cancelled", "{cancelled}");
    }
    let waited = operator.granary(&format!("operations wait {id}")).await;
    assert!(waited.code != 0 && waited.err.contains("cancelled"), "{waited:?}");
    assert_eq!(stage.reap().await["operation_slices"], 0);
    let reason = Some("too-early".to_owned());
    assert_eq!(
        reasons(&stage, "operations.cancel").await,
        [reason.clone(), reason]
    );

    operator.done(&format!("verify --from {FROM} --to {TO}")).await;
    let over = operator.json("operations --state succeeded").await;
    let over = over["operations"][0]["operationId"].as_str().unwrap();
    let refused = operator.granary(&format!("operations cancel {over} --yes")).await;
    assert!(
        refused.code != 0 && refused.err.contains("is over"),
        "{refused:?}"
    );
    finish(stage, &messages).await;
}
