//! Batches: looked at, retried, exported again, asked for by their messages' ids.

use super::{FROM, TO, archived, count, finish, first_cells, handed_off, parked, reasons};
use crate::stage::{Document, EXPORTER_TIMEOUT, FunctionError, Stage, sqs_event};
use serde_json::json;

async fn numbers(stage: &Stage) -> Vec<u64> {
    stage.rows("SELECT id FROM batch ORDER BY id").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_failed_is_found_by_its_cause_and_retried_once_it_is_removed() {
    let (stage, operator, messages) = parked("cli-failures").await;
    let told = operator.done("failures").await;
    for part in ["unexpected", "4 parked", "failures retry --cause unexpected"] {
        assert!(told.out.contains(part), "{part}: {told:?}");
    }
    let plain = operator.done("failures list --plain").await;
    assert_eq!(first_cells(&plain.out), ["unexpected"]);
    assert!(
        operator
            .done("failures --cause miscount")
            .await
            .err
            .contains("nothing fails")
    );

    let listed = operator
        .done("migrate jobs --status parked --cause unexpected --job-type backfill --plain")
        .await;
    let ids = first_cells(&listed.out);
    assert_eq!(ids.len(), 4, "{listed:?}");
    let page = operator.done("migrate jobs --limit 3").await;
    let cursor = page
        .err
        .split("--cursor ")
        .nth(1)
        .expect("there are more")
        .trim()
        .to_owned();
    let rest = operator
        .done(&format!("migrate jobs --limit 3 --plain --cursor {cursor}"))
        .await;
    assert_eq!(first_cells(&rest.out).len(), 1, "{rest:?}");
    let shown = operator.done(&format!("migrate batch {}", ids[0])).await;
    for part in ["unexpected", "parked since", "OUTCOME"] {
        assert!(shown.out.contains(part), "{part}: {shown:?}");
    }
    let same = operator.done(&format!("migrate status {}", ids[0])).await;
    assert!(same.out.contains("parked since"), "{same:?}");

    let foretold = operator.json("failures retry --cause unexpected --dry-run").await;
    assert_eq!((&foretold["found"], &foretold["retried"]), (&json!(4), &json!(0)));
    assert_eq!(count(&stage, "batch WHERE parked_at IS NOT NULL").await, 4);
    let some = operator
        .json("failures retry --cause unexpected --limit 1 --reason one")
        .await;
    assert_eq!((&some["retried"], &some["hasMore"]), (&json!(1), &json!(true)));
    operator.done("migrate retry --reason rest").await;
    assert_eq!(count(&stage, "batch WHERE parked_at IS NOT NULL").await, 0);
    assert_eq!(
        reasons(&stage, "migrate.retry_failed").await,
        [Some("one".to_owned()), Some("rest".to_owned())]
    );
    finish(stage, &messages).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_due_is_done_at_once() {
    let (stage, operator, messages) = handed_off("cli-due").await;
    let dying = stage.another("exporter", &[(granary_steps::VARIABLE, "claim_batch:after")]);
    let (queue, message) = stage.queues.receive().await.expect("a batch was sent");
    let died = dying
        .invoke(sqs_event(&[(queue, &message)]), EXPORTER_TIMEOUT)
        .await;
    assert!(matches!(died, Err(FunctionError::Exited(_))), "{died:?}");
    stage.let_leases_end().await;
    let foretold = operator.json("migrate complete-processing --dry-run").await;
    assert_eq!(foretold["found"], 1, "{foretold}");
    assert_eq!(count(&stage, "batch WHERE status = 'in_progress'").await, 1);
    let taken = operator.json("migrate complete-processing --reason dead").await;
    assert_eq!(taken["takenBack"], 1, "{taken}");
    assert_eq!(count(&stage, "batch WHERE status = 'in_progress'").await, 0);

    stage
        .sql("UPDATE batch SET enqueued_at = NULL WHERE status = 'pending'")
        .await;
    let foretold = operator.json("migrate process-all --dry-run").await;
    assert_eq!(foretold["found"]["unsent"], 3, "{foretold}");
    let done = operator.done("migrate process-all --plain").await;
    assert!(done.out.contains("not sent\t3\n"), "{done:?}");
    assert_eq!(
        count(&stage, "batch WHERE status = 'pending' AND enqueued_at IS NULL").await,
        0
    );
    let fixed = operator.json("migrate fix-stuck --dry-run").await;
    assert_eq!(fixed["dryRun"], true);
    operator.done("migrate fix-stuck").await;
    finish(stage, &messages).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_are_exported_again_for_a_reason_and_by_a_yes() {
    let (stage, operator, messages) = archived("cli-again").await;
    let first = numbers(&stage).await[0];
    let generations = "batch WHERE generation = 2";
    let line = format!("migrate reset --batch {first} --reason mapping");
    let unanswered = operator.granary(&line).await;
    assert_eq!(
        (unanswered.code, unanswered.err.contains("--yes")),
        (64, true),
        "{unanswered:?}"
    );
    let foretold = operator.json(&format!("{line} --dry-run")).await;
    assert_eq!(foretold["operation"]["result"]["asked"], 1, "{foretold}");
    assert_eq!(count(&stage, generations).await, 0);
    operator.done(&format!("{line} --yes")).await;
    assert_eq!(count(&stage, generations).await, 1);
    let range = format!("migrate reset --from {FROM} --to {TO} --reason mapping --limit 10 --yes");
    operator.done(&range).await;
    assert!(count(&stage, generations).await >= 4);
    assert_eq!(
        reasons(&stage, "migrate.reset_pending").await.last(),
        Some(&Some("mapping".to_owned()))
    );
    finish(stage, &messages).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_are_asked_for_by_their_ids() {
    let (stage, operator, mut messages) = archived("cli-bulk").await;
    let late = Document::message("late", "2026-03-01T10:30:00Z");
    stage.index_messages(std::slice::from_ref(&late)).await;
    messages.push(late);
    let known = messages[0].doc_id.clone();
    let foretold = operator.json("migrate bulk late --dry-run").await;
    assert_eq!(foretold["operation"]["result"]["dryRun"], true, "{foretold}");
    assert_eq!(count(&stage, "message").await, 40);
    let asked = operator
        .done(&format!("migrate bulk late nowhere {known} --reason asked"))
        .await;
    for part in ["nowhere", "on record"] {
        assert!(asked.out.contains(part), "{part}: {asked:?}");
    }
    assert_eq!(count(&stage, "message").await, 41);
    let unanswered = operator
        .granary(&format!("migrate bulk {known} --re-export"))
        .await;
    assert_eq!(
        (unanswered.code, unanswered.err.contains("--yes")),
        (64, true),
        "{unanswered:?}"
    );
    operator
        .done(&format!("migrate bulk {known} --re-export --yes --reason again"))
        .await;
    assert_eq!(count(&stage, "batch WHERE generation = 2").await, 1);
    finish(stage, &messages).await;
}
