//! The domain's state machine and the ledger's UPDATEs, walked side by side.
//!
//! From every state that a batch can be in, every transition is tried: a legal one makes the row equal to the
//! domain's result, an illegal one changes nothing.

use crate::stage::{ATTEMPTS_MAX, BACKOFF, LEASE, Stage, a_day, as_if_claimed, failure, object_of, whole};
use granary_domain::{Batch, BatchId, Cause, Failure, Fence, Generation, MigrationId, Priority, Transition};
use granary_ledger::export::{ClaimedBatch, ReExport};
use granary_ledger::integrity::RepairMigration;
use std::time::Duration;
use uuid::Uuid;

/// The row, as the domain knows it.
async fn batch_of(stage: &Stage, id: BatchId) -> Batch {
    let query = format!(
        "SELECT status, fence, attempts, generation, deferrals, settled_at IS NOT NULL FROM batch \
         WHERE id = {id} AND (deferrals > 0) = (deferred_since IS NOT NULL)"
    );
    let (status, fence, attempts, generation, deferrals, is_on_record): (String, u32, u32, u32, u32, bool) =
        stage.database.row(&query).await;
    Batch {
        status: status.parse().unwrap(),
        fence: Fence(fence),
        attempts,
        generation: Generation(generation),
        deferrals,
        is_on_record,
    }
}

/// How the ledger is asked for a transition. A batch is deferred for a fault of the platform, or unfinished.
#[derive(Debug, Clone, Copy)]
enum Asked {
    Claim,
    Settle(Fence),
    Fail(Fence),
    Defer(Fence),
    DeferUnfinished(Fence),
    /// For a batch that was too large for an attempt before.
    Split(Fence),
    HandBack(Fence),
    Reap,
    Retry,
    Cancel,
    Unpark,
    ReExport(Fence),
}

/// An attempt that the batch is too large for, as another of its generation was.
async fn split(stage: &Stage, batch: &ClaimedBatch) {
    let earlier = format!(
        "INSERT INTO attempt (batch_id, number, generation, worker, started_at, ended_at, outcome, error_code) \
         SELECT id, 4711, generation, 'w', UTC_TIMESTAMP(6), UTC_TIMESTAMP(6), 'deferred', 'spool' FROM batch WHERE id = {}",
        batch.id
    );
    stage.database.sql(&earlier).await;
    let too_large = Failure {
        cause: Cause::Spool,
        text: "too large".to_owned(),
    };
    let ended = stage
        .ledger
        .defer_too_large(batch, &too_large, Duration::ZERO, &object_of(batch))
        .await;
    ended.unwrap();
}

impl Asked {
    fn of(fence: Fence) -> [Self; 18] {
        let stale = Fence(fence.0 + 1);
        [
            Self::Claim,
            Self::Settle(fence),
            Self::Settle(stale),
            Self::Fail(fence),
            Self::Fail(stale),
            Self::Defer(fence),
            Self::Defer(stale),
            Self::DeferUnfinished(fence),
            Self::DeferUnfinished(stale),
            Self::Split(fence),
            Self::Split(stale),
            Self::HandBack(fence),
            Self::HandBack(stale),
            Self::Reap,
            Self::Retry,
            Self::Cancel,
            Self::Unpark,
            Self::ReExport(fence),
        ]
    }

    fn transition(self) -> Transition {
        match self {
            Self::Claim => Transition::Claim,
            Self::Settle(fence) => Transition::Settle { fence },
            Self::Fail(fence) => Transition::Fail { fence },
            Self::Defer(fence) | Self::DeferUnfinished(fence) => Transition::Defer { fence },
            Self::Split(fence) => Transition::Split { fence },
            Self::HandBack(fence) => Transition::HandBack { fence },
            Self::Reap => Transition::Reap,
            Self::Retry => Transition::Retry,
            Self::Cancel => Transition::Cancel,
            Self::Unpark => Transition::Unpark,
            Self::ReExport(_) => Transition::ReExport,
        }
    }

    async fn ask(self, stage: &Stage, id: BatchId) {
        let ledger = &stage.ledger;
        let held = |fence: Fence| as_if_claimed(id, fence.0);
        match self {
            Self::Claim => drop(ledger.claim(id, "worker", LEASE).await.unwrap()),
            Self::Settle(fence) => {
                let batch = held(fence);
                ledger.settle(&batch, &whole(&batch)).await.unwrap();
            }
            Self::Fail(fence) => {
                let failed = ledger
                    .fail(&held(fence), &failure(), Duration::ZERO, ATTEMPTS_MAX)
                    .await;
                failed.unwrap();
            }
            Self::Defer(fence) => {
                ledger
                    .defer(&held(fence), &failure(), Duration::ZERO)
                    .await
                    .unwrap();
            }
            Self::DeferUnfinished(fence) => {
                ledger
                    .defer_unfinished(&held(fence), &failure(), Duration::ZERO)
                    .await
                    .unwrap();
            }
            Self::Split(fence) => split(stage, &held(fence)).await,
            Self::HandBack(fence) => {
                ledger.hand_back(&held(fence), &failure()).await.unwrap();
            }
            Self::Reap => {
                stage.let_lease_end(id).await;
                ledger.reap_dead(BACKOFF, ATTEMPTS_MAX).await.unwrap();
            }
            Self::Retry => {
                stage.let_delays_end().await;
                ledger.retry_failed().await.unwrap();
            }
            Self::Cancel => {
                let query = format!("SELECT migration_id FROM batch WHERE id = {id}");
                let migration: Vec<u8> = stage.database.row(&query).await;
                let migration = MigrationId(Uuid::from_slice(&migration).unwrap());
                ledger.cancel_migration(migration).await.unwrap();
                while ledger.release_cancelled().await.unwrap().is_some() {}
            }
            Self::Unpark => drop(ledger.unpark(&[id]).await.unwrap()),
            Self::ReExport(fence) => {
                let heir = RepairMigration {
                    id: MigrationId::new(),
                    range: a_day(),
                    batch_size: 3,
                    priority: Priority::NORMAL,
                    requested_by: "verify --repair".to_owned(),
                };
                let wanted = ReExport {
                    batch: id,
                    fence,
                    reason: "",
                    heir: &heir,
                };
                ledger.re_export(&wanted).await.unwrap();
            }
        }
    }
}

/// A history that brings a new batch to a state. Fences are those that the history has come to.
const HISTORIES: [&[Asked]; 13] = [
    &[],
    &[Asked::Claim],
    &[Asked::Claim, Asked::Reap, Asked::Retry, Asked::Claim],
    &[Asked::Claim, Asked::Settle(Fence(1))],
    &[Asked::Claim, Asked::Settle(Fence(1)), Asked::ReExport(Fence(1))],
    &[
        Asked::Claim,
        Asked::Settle(Fence(1)),
        Asked::ReExport(Fence(1)),
        Asked::Claim,
    ],
    &[Asked::Claim, Asked::Fail(Fence(1))],
    &[Asked::Claim, Asked::Reap],
    &[Asked::Claim, Asked::Defer(Fence(1))],
    &[Asked::Claim, Asked::Defer(Fence(1)), Asked::Claim],
    &[Asked::Claim, Asked::DeferUnfinished(Fence(1)), Asked::Claim],
    &[Asked::Claim, Asked::HandBack(Fence(1))],
    &[Asked::Cancel],
];

async fn walk(stage: &Stage, id: BatchId, asked: Asked, history: &[Asked]) {
    let before = batch_of(stage, id).await;
    asked.ask(stage, id).await;
    let after = batch_of(stage, id).await;
    match before.after(asked.transition(), ATTEMPTS_MAX) {
        Ok(legal) => assert_eq!(after, legal, "{asked:?} after {history:?}"),
        Err(illegal) => assert_eq!(after, before, "{illegal}, after {history:?}"),
    }
}

#[tokio::test]
async fn the_ledger_makes_every_transition_of_the_domain_and_no_other() {
    let stage = Stage::new().await;
    let mut number = 0;
    for history in HISTORIES {
        for choice in 0..Asked::of(Fence(0)).len() {
            number += 1;
            let ids = [1, 2, 3].map(|message| format!("m{number}.{message}"));
            let id = stage.batch(&[&ids[0], &ids[1], &ids[2]]).await;
            for asked in history {
                walk(&stage, id, *asked, &[]).await;
            }
            let fence = batch_of(&stage, id).await.fence;
            walk(&stage, id, Asked::of(fence)[choice], history).await;
        }
    }
}

#[tokio::test]
async fn the_ledger_makes_every_transition_of_a_parked_batch_and_no_other() {
    let stage = Stage::new().await;
    for choice in 0..Asked::of(Fence(0)).len() {
        let ids = [1, 2, 3].map(|message| format!("m{choice}.{message}"));
        let id = stage.batch(&[&ids[0], &ids[1], &ids[2]]).await;
        for _ in 0..ATTEMPTS_MAX {
            for asked in [Asked::Retry, Asked::Claim, Asked::Reap] {
                walk(&stage, id, asked, &[]).await;
            }
        }
        let parked = batch_of(&stage, id).await;
        assert!(parked.is_parked(ATTEMPTS_MAX));
        walk(&stage, id, Asked::of(parked.fence)[choice], &[]).await;
    }
}
