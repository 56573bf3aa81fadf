//! Queues: looked at, emptied, probed; dead letters moved back.

use super::{count, finish, handed_off, reasons};
use granary_domain::BatchId;
use serde_json::json;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_is_emptied_by_its_name_alone_and_its_batches_are_sent_again() {
    let (stage, operator, messages) = handed_off("cli-purge").await;
    let unanswered = operator.granary("queue purge batches").await;
    assert_eq!(
        (unanswered.code, unanswered.err.contains("--yes")),
        (64, true),
        "{unanswered:?}"
    );
    let foretold = operator.json("queue purge batches --dry-run").await;
    assert_eq!(foretold["batchesPutBack"], 4);
    assert_eq!(
        stage.queues.depth(&stage.queues.normal).await,
        4,
        "nothing changed"
    );
    let purged = operator.done("queue purge batches --yes --reason tested").await;
    assert!(purged.out.contains("batches"), "{purged:?}");
    assert_eq!(stage.queues.depth(&stage.queues.normal).await, 0);
    let unsent = "batch WHERE status = 'pending' AND enqueued_at IS NULL";
    assert_eq!(count(&stage, unsent).await, 4);
    let all = operator.json("queue purge --all --yes").await;
    assert_eq!(all["purged"].as_array().unwrap().len(), 4, "{all}");
    assert_eq!(
        reasons(&stage, "queue.purge").await.first(),
        Some(&Some("tested".to_owned()))
    );
    finish(stage, &messages).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letters_are_counted_and_moved_back() {
    let (stage, operator, messages) = handed_off("cli-redrive").await;
    let queues = &stage.queues;
    while let Some(message) = queues.receive_from(&queues.normal).await {
        queues
            .send(&queues.dead_letters, message.body.as_deref().unwrap())
            .await;
        queues.delete(&queues.normal, &message).await;
    }
    let health = operator.done("queue health --plain").await;
    assert!(health.out.contains("deadLetters\tdegraded"), "{health:?}");
    let foretold = operator.json("redrive dead-letters --dry-run").await;
    assert_eq!((&foretold["found"], &foretold["moved"]), (&json!(4), &json!(0)));
    assert_eq!(queues.depth(&queues.dead_letters).await, 4);
    let moved = operator
        .done("redrive dead-letters --rate 500 --reason back")
        .await;
    assert!(moved.out.contains("dead-letters"), "{moved:?}");
    assert_eq!(queues.depth(&queues.dead_letters).await, 0);
    assert_eq!(queues.depth(&queues.normal).await, 4);
    let stats = operator.done("queue stats --plain").await;
    assert!(stats.out.contains("batches\t4\t0"), "{stats:?}");
    finish(stage, &messages).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn probes_are_waited_for_until_exporters_have_answered_them() {
    let (stage, operator, messages) = handed_off("cli-probe").await;
    operator.done("queue probe --count 5 --dry-run").await;
    assert_eq!(count(&stage, "probe").await, 0);
    operator
        .done("queue probe --no-wait --queue batches-priority")
        .await;
    assert_eq!(count(&stage, "probe").await, 1);
    let (waited, ()) = tokio::join!(operator.granary("queue probe --count 3"), async {
        stage.until("SELECT COUNT(*) > 3 FROM probe").await;
        stage.export_all().await;
    });
    assert_eq!(waited.code, 0, "{waited:?}");
    assert_eq!(waited.out.matches("arrived").count(), 3, "{waited:?}");
    let monitoring = operator.json("queue monitoring").await;
    assert_eq!(monitoring["probes"].as_array().unwrap().len(), 4);
    let shown = operator.done("queue monitoring").await;
    assert!(shown.out.contains("messages a minute"), "{shown:?}");
    finish(stage, &messages).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_works_is_shown_and_attempts_are_counted_anew() {
    let (stage, operator, messages) = handed_off("cli-workers").await;
    assert!(operator.done("queue workers").await.err.contains("nobody works"));
    let batch = BatchId(stage.row("SELECT MIN(id) FROM batch").await);
    let lease = Duration::from_secs(90);
    let claim = stage.ledger.claim(batch, "somebody", lease).await.unwrap();
    let granary_ledger::export::Claim::Won(claimed) = claim else {
        panic!("{claim:?}")
    };
    let working = operator.done("queue workers --plain").await;
    assert!(working.out.contains("somebody"), "{working:?}");
    let failure = granary_domain::Failure {
        cause: granary_domain::Cause::Shutdown,
        text: "a test".to_owned(),
    };
    stage.ledger.hand_back(&claimed, &failure).await.unwrap();
    let foretold = operator.json("queue workers --reset-counter --dry-run").await;
    assert_eq!(foretold["before"]["total"], 1, "{foretold}");
    let reset = operator.json("queue workers --reset-counter --reason anew").await;
    assert_eq!(reset["counter"]["total"], 0, "{reset}");
    finish(stage, &messages).await;
}
