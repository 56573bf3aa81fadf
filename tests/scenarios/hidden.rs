//! Q3: a worker dies between a message's delivery and its claim. The queue hides the message for 18 minutes, and the ledger
//! knows of no attempt. The reaper resends the batch after two minutes, and never more than what the queue hides.

use crate::stage::{Document, FunctionError, Proxy, Queue, Stage};
use serde_json::json;

const FROM: &str = "2026-03-01T10:00:00Z";
const TO: &str = "2026-03-01T14:00:00Z";

/// Four batches of 10 messages, recorded and sent.
async fn harvested(name: &str) -> (Stage, Vec<Document>) {
    let stage = Stage::new(name).await;
    let messages = Document::many(40, 10..14);
    stage.index_messages(&messages).await;
    stage.backfill(FROM, TO).await;
    assert_eq!(stage.harvest().await["batches_sent"], 4);
    (stage, messages)
}

/// Delivers one message to a worker that dies before it claims the batch. The message stays hidden.
async fn deliver_to_a_dying_worker(stage: &Stage) {
    let dying = stage.another("exporter", &[(granary_steps::VARIABLE, "claim_batch:before")]);
    let (queue, message) = stage.queues.receive().await.expect("a batch was sent");
    let event = crate::stage::sqs_event(&[(queue, &message)]);
    let died = dying.invoke(event, crate::stage::EXPORTER_TIMEOUT).await;
    assert!(matches!(died, Err(FunctionError::Exited(_))), "{died:?}");
}

/// A tick, and then as much time as the reaper wants to see the queue idle.
async fn resent_then_two_minutes(stage: &Stage) -> u64 {
    let resent = stage.reap().await["resent"].as_u64().unwrap();
    stage.let_the_queues_idle("2 MINUTE").await;
    resent
}

async fn sends(stage: &Stage) -> Vec<u32> {
    stage.rows("SELECT sends FROM batch ORDER BY id").await
}

async fn normal(stage: &Stage) -> (&Queue, u64) {
    let queue = &stage.queues.normal;
    (queue, stage.queues.depth(queue).await)
}

/// Field case 56.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn q3_a_batch_whose_worker_died_before_its_claim_is_sent_again_once_two_idle_minutes_are_over() {
    let (stage, messages) = harvested("hidden").await;
    deliver_to_a_dying_worker(&stage).await;
    assert_eq!(resent_then_two_minutes(&stage).await, 0, "three are visible");
    assert_eq!(
        resent_then_two_minutes(&stage).await,
        0,
        "behind a backlog nothing is resent"
    );
    assert_eq!(stage.export_all().await.acknowledged, 3);
    assert_eq!(normal(&stage).await.1, 1, "it is hidden");

    assert_eq!(resent_then_two_minutes(&stage).await, 0, "idle from here on");
    assert_eq!(resent_then_two_minutes(&stage).await, 1);
    assert_eq!(resent_then_two_minutes(&stage).await, 0, "it is visible now");
    assert_eq!(stage.export_all().await.acknowledged, 1);
    assert_eq!(stage.row::<u64>("SELECT COUNT(*) FROM attempt").await, 4);
    stage.run_until_quiet().await;
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}

/// No flood: a worker that dies each time before its claim makes the reaper wait twice as long each time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn q3_no_more_batches_are_sent_again_than_the_queue_hides_the_oldest_first_and_later_each_time() {
    let (stage, messages) = harvested("hides-two").await;
    stage
        .sql("UPDATE batch SET enqueued_at = enqueued_at - INTERVAL 5 - id SECOND")
        .await;
    let received = stage.receive_all().await;
    for (queue, message) in &received[..2] {
        stage.queues.delete(queue, message).await;
    }
    assert_eq!((received.len(), normal(&stage).await.1), (4, 2));
    assert_eq!(resent_then_two_minutes(&stage).await, 0);
    assert_eq!(resent_then_two_minutes(&stage).await, 2, "it hides two of four");
    assert_eq!(sends(&stage).await, [2, 2, 1, 1], "the oldest first");
    assert_eq!(resent_then_two_minutes(&stage).await, 0, "two are visible");

    assert_eq!(stage.receive_all().await.len(), 2);
    stage.reap().await;
    stage.sql("UPDATE batch SET enqueued_at = UTC_TIMESTAMP(6)").await;
    let mut resent = Vec::new();
    for _ in 0..8 {
        stage.let_the_queues_idle("1 MINUTE").await;
        resent.push(stage.reap().await["resent"].as_u64().unwrap());
        stage.receive_all().await;
    }
    // Those that were sent once after two minutes, those that were sent twice after four.
    assert_eq!(resent, [0, 2, 0, 2, 0, 2, 0, 0]);
    assert_eq!(sends(&stage).await, [3, 3, 3, 3]);
    stage.sql("UPDATE batch SET enqueued_at = NULL").await;
    stage.run_until_quiet().await;
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn q3_a_message_in_a_workers_hands_is_not_taken_for_a_hidden_one() {
    let (stage, messages) = harvested("in-hand").await;
    let network = Proxy::before(stage.setting("GRANARY_ES_URL")).await;
    let working = stage.another("exporter", &[("GRANARY_ES_URL", &network.url())]);
    let (queue, in_hand) = stage.queues.receive().await.expect("a batch was sent");
    let rest = stage.receive_all().await;
    for (queue, lost) in &rest {
        stage.queues.delete(queue, lost).await;
    }
    network.stall();
    let event = crate::stage::sqs_event(&[(queue, &in_hand)]);
    let (exported, ()) = tokio::join!(working.invoke(event, crate::stage::EXPORTER_TIMEOUT), async {
        stage
            .until("SELECT COUNT(*) FROM batch WHERE status = 'in_progress'")
            .await;
        for _ in 0..3 {
            assert_eq!(
                resent_then_two_minutes(&stage).await,
                0,
                "it is in progress, nothing is hidden"
            );
        }
        network.restore();
    });
    assert_eq!(exported.unwrap()["batchItemFailures"], json!([]));
    stage.queues.delete(queue, &in_hand).await;
    stage
        .sql("UPDATE batch SET enqueued_at = NULL WHERE status = 'pending'")
        .await;
    stage.run_until_quiet().await;
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}
