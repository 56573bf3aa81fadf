//! Claiming: one worker gets the batch, and only while it is due.

use crate::stage::{LEASE, Stage, sources, whole};
use granary_domain::{BatchId, BatchStatus, Fence};
use granary_ledger::export::{Claim, Fenced, NotClaimed};
use granary_ledger::settings::Stage as JourneyStage;
use std::time::Duration;

async fn lost(stage: &Stage, batch: BatchId) -> NotClaimed {
    match stage.ledger.claim(batch, "late", LEASE).await.unwrap() {
        Claim::Lost(why) => why,
        Claim::Won(claimed) => panic!("claimed: {claimed:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e10_of_twenty_deliveries_at_once_one_wins() {
    let stage = Stage::new().await;
    let batch = stage.batch(&["m"]).await;
    let claims: Vec<_> = (0..20)
        .map(|number| {
            let ledger = stage.ledger.clone();
            tokio::spawn(async move {
                ledger
                    .claim(batch, &format!("worker {number}"), LEASE)
                    .await
                    .unwrap()
            })
        })
        .collect();
    let mut won = 0;
    for claim in claims {
        match claim.await.unwrap() {
            Claim::Won(claimed) => {
                won += 1;
                assert_eq!((claimed.fence, claimed.attempts), (Fence(1), 1));
            }
            Claim::Lost(why) => assert_eq!(why, NotClaimed::Elsewhere(BatchStatus::InProgress)),
        }
    }
    let attempts: u32 = stage.database.row("SELECT COUNT(*) FROM attempt").await;
    assert_eq!((won, attempts), (1, 1));
}

#[tokio::test]
async fn a_claim_whose_answer_was_lost_is_found_again() {
    let stage = Stage::new().await;
    let batch = stage.batch(&["m"]).await;
    let first = stage.claim(batch, "worker").await;
    let again = stage.claim(batch, "worker").await;
    assert_eq!(first, again, "and no attempt is counted twice");
}

#[tokio::test]
async fn a_claimed_batch_says_what_its_worker_needs() {
    let stage = Stage::new().await;
    let batch = stage.batch(&["m1", "m2", "m3"]).await;
    let claimed = stage.claim(batch, "worker").await;
    assert_eq!(
        (
            claimed.message_count,
            claimed.generation.0,
            claimed.deferrals,
            claimed.hour.hour_of_day().as_str()
        ),
        (3, 1, 0, "12")
    );
    let messages = stage.ledger.messages_of(batch).await.unwrap();
    let ids: Vec<_> = messages
        .iter()
        .map(|message| message.message_id.as_str())
        .collect();
    assert_eq!(ids, ["m1", "m2", "m3"]);
}

#[tokio::test]
async fn a_batch_is_not_claimed_before_it_is_due() {
    let stage = Stage::new().await;
    let batch = stage.batch(&["m"]).await;
    stage
        .database
        .sql("UPDATE batch SET not_before = UTC_TIMESTAMP(6) + INTERVAL 1 MINUTE")
        .await;
    assert_eq!(lost(&stage, batch).await, NotClaimed::NotDue);
    stage
        .database
        .sql("UPDATE batch SET not_before = UTC_TIMESTAMP(6)")
        .await;
    stage.claim(batch, "worker").await;
}

#[tokio::test]
async fn a_batch_is_not_claimed_while_it_is_paused() {
    let stage = Stage::new().await;
    let batch = stage.batch(&["m"]).await;
    stage.ledger.pause(JourneyStage::Export, "test").await.unwrap();
    assert_eq!(lost(&stage, batch).await, NotClaimed::NotDue);
    stage.ledger.resume(JourneyStage::Export).await.unwrap();
    stage
        .database
        .sql("UPDATE migration SET paused_at = UTC_TIMESTAMP(6)")
        .await;
    assert_eq!(lost(&stage, batch).await, NotClaimed::NotDue);
    stage.database.sql("UPDATE migration SET paused_at = NULL").await;
    stage.ledger.pause(JourneyStage::Harvest, "test").await.unwrap();
    stage.claim(batch, "worker").await;
}

#[tokio::test]
async fn e10_a_delivery_that_comes_too_late_learns_why() {
    let stage = Stage::new().await;
    let completed = stage.batch(&["completed"]).await;
    let claimed = stage.claim(completed, "worker").await;
    stage.ledger.settle(&claimed, &whole(&claimed)).await.unwrap();
    assert_eq!(
        lost(&stage, completed).await,
        NotClaimed::Over(BatchStatus::Completed)
    );

    let failed = stage.batch(&["failed"]).await;
    stage.claim(failed, "worker").await;
    stage.reap(failed).await;
    assert_eq!(
        lost(&stage, failed).await,
        NotClaimed::Elsewhere(BatchStatus::Failed)
    );

    let cancelled = stage.batch(&["cancelled"]).await;
    let migration = stage.ledger.migrations(Default::default()).await.unwrap();
    assert!(migration.is_empty(), "a list of at most 0");
    stage
        .database
        .sql("UPDATE migration SET state = 'cancelled', finished_at = UTC_TIMESTAMP(6)")
        .await;
    assert_eq!(
        lost(&stage, cancelled).await,
        NotClaimed::NotDue,
        "not released yet"
    );
    stage.ledger.release_cancelled().await.unwrap();
    assert_eq!(
        lost(&stage, cancelled).await,
        NotClaimed::Over(BatchStatus::Cancelled)
    );

    assert_eq!(lost(&stage, BatchId(4_711)).await, NotClaimed::Unknown);
}

#[tokio::test]
async fn each_claim_has_a_fence_of_its_own() {
    let stage = Stage::new().await;
    let batch = stage.batch(&["m"]).await;
    let mut fences = Vec::new();
    for attempt in 1..=3 {
        let claimed = stage.claim(batch, &format!("worker {attempt}")).await;
        assert_eq!(claimed.attempts, attempt);
        fences.push(claimed.fence);
        stage.reap(batch).await;
        stage.let_delays_end().await;
        stage.ledger.retry_failed().await.unwrap();
    }
    assert_eq!(
        fences,
        [Fence(1), Fence(3), Fence(5)],
        "claim and reap each take one"
    );
}

#[tokio::test]
async fn a_heartbeat_moves_the_lease_and_a_stale_one_is_refused() {
    let stage = Stage::new().await;
    let claimed = stage.claimed().await;
    stage
        .database
        .sql("UPDATE batch SET lease_until = UTC_TIMESTAMP(6) + INTERVAL 1 SECOND")
        .await;
    let renewed = stage
        .ledger
        .renew_lease(claimed.id, claimed.fence, LEASE)
        .await
        .unwrap();
    let seconds: i64 = stage
        .database
        .row("SELECT TIMESTAMPDIFF(SECOND, UTC_TIMESTAMP(6), lease_until) FROM batch")
        .await;
    assert_eq!(renewed, Fenced::Done);
    assert!((80..=90).contains(&seconds), "{seconds}");
    stage.reap(claimed.id).await;
    let refused = stage
        .ledger
        .renew_lease(claimed.id, claimed.fence, LEASE)
        .await
        .unwrap();
    assert_eq!(refused, Fenced::Refused);
}

#[tokio::test]
async fn d2_a_lease_begins_and_ends_by_the_databases_clock() {
    let stage = Stage::new().await;
    let batch = stage.batch(&["m"]).await;
    let lease = Duration::from_micros(1_500_001);
    stage.ledger.claim(batch, "worker", lease).await.unwrap();
    let (micros, age): (i64, i64) = stage
        .database
        .row(
            "SELECT TIMESTAMPDIFF(MICROSECOND, claimed_at, lease_until), \
             TIMESTAMPDIFF(SECOND, claimed_at, UTC_TIMESTAMP(6)) FROM batch",
        )
        .await;
    assert_eq!(micros, 1_500_001);
    assert!((0..60).contains(&age), "{age}");
}

/// Whatever the clock of a function says: the ledger never asks it.
#[test]
fn d2_no_function_of_the_ledger_reads_the_machines_clock() {
    for path in sources() {
        let text = std::fs::read_to_string(&path).unwrap();
        let asks = ["Timestamp::now", "SystemTime", "Zoned::now", " NOW()", "SYSDATE"];
        for clock in asks {
            assert!(!text.contains(clock), "{} asks {clock}", path.display());
        }
    }
}
