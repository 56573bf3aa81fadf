//! Suspects: who was in hand when a worker died, and nobody else.

use crate::stage::{ATTEMPTS_MAX, Stage, failure, whole};
use granary_domain::{Fence, MessageId};
use granary_ledger::export::{ClaimedBatch, Fenced};
use std::time::Duration;

fn message(id: &str) -> MessageId {
    MessageId::try_from(id.to_owned()).unwrap()
}

async fn suspects(stage: &Stage, batch: &ClaimedBatch) -> Vec<(String, Fence)> {
    let suspects = stage.ledger.careful_record_of(batch).await.unwrap().suspects;
    let mut suspects: Vec<_> = suspects
        .into_iter()
        .map(|suspect| (suspect.message_id.as_str().to_owned(), suspect.attempt))
        .collect();
    suspects.sort();
    suspects
}

/// The batch in the hands of the next worker.
async fn claim_again(stage: &Stage, batch: &ClaimedBatch, worker: &str) -> ClaimedBatch {
    stage.let_delays_end().await;
    stage.ledger.retry_failed().await.unwrap();
    stage.claim(batch.id, worker).await
}

async fn name(stage: &Stage, batch: &ClaimedBatch, id: &str) -> Fenced {
    stage.ledger.suspect(batch, &message(id)).await.unwrap()
}

#[tokio::test]
async fn e8_the_messages_over_which_workers_died_are_suspects_and_each_death_has_one() {
    let stage = Stage::new().await;
    let first = stage.claimed().await;
    assert_eq!(suspects(&stage, &first).await, []);
    for id in ["m1", "m2", "m2"] {
        assert_eq!(
            name(&stage, &first, id).await,
            Fenced::Done,
            "also when it is repeated"
        );
    }
    stage.reap(first.id).await;
    let second = claim_again(&stage, &first, "second").await;
    assert_eq!(suspects(&stage, &second).await, [("m2".to_owned(), Fence(1))]);

    name(&stage, &second, "m3").await;
    stage.reap(second.id).await;
    let third = claim_again(&stage, &second, "third").await;
    let both = [("m2".to_owned(), Fence(1)), ("m3".to_owned(), Fence(3))];
    assert_eq!(suspects(&stage, &third).await, both);
}

#[tokio::test]
async fn e8_an_attempt_that_ends_in_any_other_way_leaves_no_suspect() {
    let stage = Stage::new().await;
    let mut batch = stage.claimed().await;
    for ending in 0..4 {
        name(&stage, &batch, "m2").await;
        let (ledger, delay) = (&stage.ledger, Duration::ZERO);
        let ended = match ending {
            0 => ledger.fail(&batch, &failure(), delay, ATTEMPTS_MAX).await,
            1 => ledger.defer(&batch, &failure(), delay).await,
            2 => ledger.hand_back(&batch, &failure()).await,
            _ => ledger.settle(&batch, &whole(&batch)).await,
        };
        assert_eq!(ended.unwrap(), Fenced::Done);
        if ending < 3 {
            batch = claim_again(&stage, &batch, &format!("worker {ending}")).await;
        }
        assert_eq!(suspects(&stage, &batch).await, [], "ending {ending}");
    }
}

#[tokio::test]
async fn e8_e9_an_attempt_whose_time_was_over_says_how_far_it_came() {
    let stage = Stage::new().await;
    let first = stage.claimed().await;
    name(&stage, &first, "m2").await;
    let delay = Duration::ZERO;
    let ended = stage.ledger.defer_unfinished(&first, &failure(), delay).await;
    assert_eq!(ended.unwrap(), Fenced::Done);
    let second = claim_again(&stage, &first, "second").await;
    let record = stage.ledger.careful_record_of(&second).await.unwrap();
    assert_eq!((record.suspects, record.reached), (vec![], vec![message("m2")]));
}

#[tokio::test]
async fn e8_a_worker_that_has_no_message_in_hand_any_more_leaves_no_suspect_when_it_dies() {
    let stage = Stage::new().await;
    let batch = stage.claimed().await;
    name(&stage, &batch, "m3").await;
    for _ in 0..2 {
        stage.ledger.clear_suspect(&batch).await.unwrap();
    }
    stage.reap(batch.id).await;
    let next = claim_again(&stage, &batch, "next").await;
    assert_eq!(suspects(&stage, &next).await, []);
}

#[tokio::test]
async fn e11_a_stale_worker_names_no_suspect_but_may_take_its_own_back() {
    let stage = Stage::new().await;
    let stale = stage.claimed().await;
    name(&stage, &stale, "m1").await;
    stage.reap(stale.id).await;
    assert_eq!(name(&stage, &stale, "m2").await, Fenced::Refused);
    let current = claim_again(&stage, &stale, "current").await;
    assert_eq!(name(&stage, &stale, "m2").await, Fenced::Refused);
    assert_eq!(suspects(&stage, &current).await, [("m1".to_owned(), Fence(1))]);

    name(&stage, &current, "m3").await;
    stage.ledger.clear_suspect(&stale).await.unwrap();
    assert_eq!(suspects(&stage, &current).await, []);
    stage.reap(current.id).await;
    let next = claim_again(&stage, &current, "next").await;
    assert_eq!(suspects(&stage, &next).await, [("m3".to_owned(), Fence(3))]);
}

#[tokio::test]
async fn e8_a_new_generation_gives_each_message_another_chance() {
    let stage = Stage::new().await;
    let batch = stage.claimed().await;
    name(&stage, &batch, "m1").await;
    stage.reap(batch.id).await;
    stage
        .database
        .sql("UPDATE batch SET generation = generation + 1")
        .await;
    let next = claim_again(&stage, &batch, "next").await;
    assert_eq!(suspects(&stage, &next).await, []);
}
