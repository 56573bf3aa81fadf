//! Exporting again: asked once however often it is asked, and the old object on record until the new one is.

use crate::stage::{ATTEMPTS_MAX, Stage, a_day, failure, object_of, whole};
use granary_domain::{BatchId, BatchStatus, Fence, Generation, Hour, MigrationId, Priority};
use granary_ledger::export::{Fenced, ReExport, ReExported, Settlement};
use granary_ledger::integrity::{RepairMigration, Seal, SealIntent, Standing};
use std::time::Duration;

fn heir() -> RepairMigration {
    RepairMigration {
        id: MigrationId::new(),
        range: a_day(),
        batch_size: 1_000,
        priority: Priority::NORMAL,
        requested_by: "verify --repair".to_owned(),
    }
}

async fn ask(stage: &Stage, batch: BatchId, fence: u32, heir: &RepairMigration) -> ReExported {
    let wanted = ReExport {
        batch,
        fence: Fence(fence),
        reason: "its object isn't there",
        heir,
    };
    stage.ledger.re_export(&wanted).await.unwrap()
}

async fn row_of(stage: &Stage, batch: BatchId) -> (String, u32, u32, u32) {
    let query = format!("SELECT status, attempts, generation, message_count FROM batch WHERE id = {batch}");
    stage.database.row(&query).await
}

/// A batch of three, completed by one attempt.
pub(crate) async fn completed(stage: &Stage) -> granary_ledger::export::ClaimedBatch {
    let batch = stage.claimed().await;
    assert_eq!(
        stage.ledger.settle(&batch, &whole(&batch)).await.unwrap(),
        Fenced::Done
    );
    batch
}

pub(crate) async fn parked(stage: &Stage, ids: &[&str]) -> BatchId {
    let id = stage.batch(ids).await;
    for _ in 0..ATTEMPTS_MAX {
        stage.database.sql("UPDATE batch SET not_before = NULL").await;
        stage.ledger.retry_failed().await.unwrap();
        let batch = stage.claim(id, "worker").await;
        let failed = stage
            .ledger
            .fail(&batch, &failure(), Duration::ZERO, ATTEMPTS_MAX)
            .await;
        failed.unwrap();
    }
    id
}

#[tokio::test]
async fn asking_twice_for_a_new_export_is_asking_once() {
    let stage = Stage::new().await;
    let (batch, heir) = (completed(&stage).await, heir());
    assert_eq!(ask(&stage, batch.id, 1, &heir).await, ReExported::Asked);
    assert_eq!(ask(&stage, batch.id, 1, &heir).await, ReExported::UnderWay);
    assert_eq!(row_of(&stage, batch.id).await, ("pending".into(), 0, 2, 3));
    let again = stage.claim(batch.id, "another").await;
    assert_eq!((again.fence, again.generation), (Fence(2), Generation(2)));
    assert_eq!(ask(&stage, batch.id, 1, &heir).await, ReExported::UnderWay);
    stage.ledger.settle(&again, &whole(&again)).await.unwrap();
    assert_eq!(
        ask(&stage, batch.id, 1, &heir).await,
        ReExported::Changed,
        "what was seen is long over"
    );
    assert_eq!(row_of(&stage, batch.id).await, ("completed".into(), 1, 2, 3));
}

#[tokio::test]
async fn only_what_is_completed_or_parked_is_exported_again() {
    let stage = Stage::new().await;
    let heir = heir();
    let pending = stage.batch(&["p"]).await;
    assert_eq!(ask(&stage, pending, 0, &heir).await, ReExported::Changed);
    stage.claim(pending, "worker").await;
    assert_eq!(ask(&stage, pending, 1, &heir).await, ReExported::Changed);
    assert_eq!(ask(&stage, BatchId(4_711), 1, &heir).await, ReExported::Changed);
    let parked = parked(&stage, &["q"]).await;
    assert_eq!(ask(&stage, parked, ATTEMPTS_MAX, &heir).await, ReExported::Asked);
    assert_eq!(row_of(&stage, parked).await, ("pending".into(), 0, 2, 1));
}

#[tokio::test]
async fn the_old_object_stays_on_record_until_the_new_one_is_and_is_superseded_then() {
    let stage = Stage::new().await;
    let batch = completed(&stage).await;
    ask(&stage, batch.id, 1, &heir()).await;
    let on_record = async || {
        stage
            .ledger
            .objects_of_hour(batch.hour, BatchId(0), 10)
            .await
            .unwrap()
    };
    let waiting = on_record().await;
    assert_eq!(waiting.len(), 1);
    assert_eq!(
        (&waiting[0].object, waiting[0].is_being_replaced),
        (&Some(object_of(&batch)), true)
    );
    let digests = stage.ledger.digests_of(a_day()).await.unwrap();
    assert_eq!(digests.keys().collect::<Vec<_>>(), [&Standing::OnRecord]);
    assert_eq!(
        stage.ledger.superseded((BatchId(0), Fence(0)), 10).await.unwrap(),
        []
    );

    let again = stage.claim(batch.id, "another").await;
    assert_eq!(
        on_record().await[0].object,
        Some(object_of(&batch)),
        "while it is exported, too"
    );
    let settlement = Settlement {
        sha256: Some([8; 32]),
        ..whole(&again)
    };
    stage.ledger.settle(&again, &settlement).await.unwrap();
    let settled = on_record().await;
    assert_eq!(
        (&settled[0].object, settled[0].is_being_replaced),
        (&Some(object_of(&again)), false)
    );
    assert_ne!(object_of(&again), object_of(&batch));

    let superseded = stage.ledger.superseded((BatchId(0), Fence(0)), 10).await.unwrap();
    assert_eq!(superseded.len(), 1);
    assert_eq!(
        (&superseded[0].object, superseded[0].generation),
        (&Some(object_of(&batch)), Generation(1))
    );
    for _ in 0..2 {
        stage
            .ledger
            .forget_superseded(batch.id, superseded[0].fence)
            .await
            .unwrap();
    }
    assert_eq!(
        stage.ledger.superseded((BatchId(0), Fence(0)), 10).await.unwrap(),
        []
    );
}

#[tokio::test]
async fn a_batch_that_is_exported_again_counts_the_messages_that_it_owns() {
    let stage = Stage::new().await;
    let batch = completed(&stage).await;
    stage
        .database
        .sql("DELETE FROM message ORDER BY message_id LIMIT 1")
        .await;
    ask(&stage, batch.id, 1, &heir()).await;
    assert_eq!(row_of(&stage, batch.id).await.3, 2);
}

#[tokio::test]
async fn a_batch_of_a_cancelled_migration_is_exported_again_under_another_one() {
    let stage = Stage::new().await;
    let (batch, heir) = (completed(&stage).await, heir());
    stage.ledger.cancel_migration(batch.migration_id).await.unwrap();
    assert_eq!(ask(&stage, batch.id, 1, &heir).await, ReExported::Asked);
    assert!(
        stage.ledger.release_cancelled().await.unwrap().is_none(),
        "nobody gives it up"
    );
    let again = stage.claim(batch.id, "another").await;
    assert_eq!(again.migration_id, heir.id);
    let migration = stage.ledger.migration(heir.id).await.unwrap().unwrap();
    assert_eq!(
        (migration.state.as_str(), migration.requested_by.as_str()),
        ("draining", "verify --repair")
    );
}

#[tokio::test]
async fn a_batch_whose_heir_is_cancelled_too_is_left_as_it_is() {
    let stage = Stage::new().await;
    let (batch, heir) = (completed(&stage).await, heir());
    stage.ledger.cancel_migration(batch.migration_id).await.unwrap();
    assert_eq!(ask(&stage, batch.id, 1, &heir).await, ReExported::Asked);
    let again = stage.claim(batch.id, "another").await;
    let settled = stage.ledger.settle(&again, &whole(&again)).await.unwrap();
    assert_eq!(settled, Fenced::Done);
    assert!(stage.ledger.cancel_migration(heir.id).await.unwrap());
    let before = row_of(&stage, batch.id).await;
    assert_eq!(
        ask(&stage, batch.id, again.fence.0, &heir).await,
        ReExported::Changed
    );
    assert_eq!(row_of(&stage, batch.id).await, before);
}

#[tokio::test]
async fn a_parked_batch_gets_all_its_attempts_again_and_once() {
    let stage = Stage::new().await;
    let (one, other) = (parked(&stage, &["a"]).await, stage.batch(&["b"]).await);
    assert_eq!(
        stage.ledger.unpark(&[one, other, BatchId(4_711)]).await.unwrap(),
        1
    );
    assert_eq!(stage.ledger.unpark(&[one]).await.unwrap(), 0);
    assert_eq!(stage.ledger.unpark(&[]).await.unwrap(), 0);
    let query = format!("SELECT status, attempts, generation, retry_count FROM batch WHERE id = {one}");
    let row: (String, u32, u32, u32) = stage.database.row(&query).await;
    assert_eq!(row, (BatchStatus::Pending.to_string(), 0, 1, 1));
    let again = stage.claim(one, "worker").await;
    assert_eq!(
        (again.attempts, Hour::of(a_day().from()) <= again.hour),
        (1, true)
    );
}

#[tokio::test]
async fn a_replaced_object_that_is_kept_comes_again_after_an_hour_and_keeps_its_hour_unsealed() {
    let stage = Stage::new().await;
    let batch = completed(&stage).await;
    ask(&stage, batch.id, 1, &heir()).await;
    let again = stage.claim(batch.id, "another").await;
    stage.ledger.settle(&again, &whole(&again)).await.unwrap();
    let listed = async || {
        let superseded = stage.ledger.superseded((BatchId(0), Fence(0)), 10).await;
        superseded.unwrap()
    };
    let old = listed().await;
    assert_eq!((old.len(), old[0].exported, old[0].exported_anew), (1, 3, 3));
    assert_eq!(old[0].replacement, Some(object_of(&again)));
    let after = stage.ledger.superseded((batch.id, Fence(1)), 10).await.unwrap();
    assert_eq!(after, [], "not from before that one on");

    stage.ledger.keep_superseded(batch.id, Fence(1)).await.unwrap();
    assert_eq!(listed().await, []);
    let known = stage.ledger.objects_of_batches(&[batch.id]).await.unwrap();
    assert_eq!(known[&batch.id].kept, [object_of(&batch)]);
    let known = stage.ledger.batches_at_keys(&[batch.id]).await.unwrap();
    assert_eq!(known[&batch.id].replaced, [Generation(1)]);
    let seal = SealIntent::Look;
    let Seal::Refused { reasons } = stage
        .ledger
        .seal_hour(batch.hour, Duration::ZERO, &seal)
        .await
        .unwrap()
    else {
        panic!("it was sealed");
    };
    assert!(
        reasons.contains(&"an object that was replaced isn't removed".to_owned()),
        "{reasons:?}"
    );

    stage
        .database
        .sql("UPDATE superseded_object SET kept_at = kept_at - INTERVAL 61 MINUTE")
        .await;
    assert_eq!(listed().await, old);
    stage.ledger.forget_superseded(batch.id, Fence(1)).await.unwrap();
    assert_eq!(listed().await, []);
    let known = stage.ledger.objects_of_batches(&[batch.id]).await.unwrap();
    assert!(known[&batch.id].kept.is_empty());
}

#[tokio::test]
async fn h17_a_batch_that_is_exported_again_survives_its_migrations_cancellation() {
    let stage = Stage::new().await;
    let batch = completed(&stage).await;
    ask(&stage, batch.id, 1, &heir()).await;
    assert!(stage.ledger.cancel_migration(batch.migration_id).await.unwrap());
    assert_eq!(stage.ledger.release_cancelled().await.unwrap(), None);
    let owned: u64 = stage
        .database
        .row("SELECT COUNT(*) FROM message_status WHERE status <> 'released'")
        .await;
    assert_eq!(owned, 3, "its messages are on record");
    let unsent = stage.ledger.unsent(None, 10).await.unwrap();
    assert_eq!(
        unsent.iter().map(|unsent| unsent.batch_id).collect::<Vec<_>>(),
        [batch.id]
    );

    let again = stage.claim(batch.id, "another").await;
    assert_eq!(
        stage.ledger.release_cancelled().await.unwrap(),
        None,
        "nor while it is held"
    );
    assert_eq!(
        stage.ledger.settle(&again, &whole(&again)).await.unwrap(),
        Fenced::Done
    );
    let superseded = stage.ledger.superseded((BatchId(0), Fence(0)), 10).await.unwrap();
    assert_eq!(superseded.len(), 1, "the old object goes");
}

#[tokio::test]
async fn asking_for_a_new_export_waits_for_a_seal_that_is_being_set() {
    let stage = Stage::new().await;
    let (batch, heir) = (completed(&stage).await, heir());
    let sealing = stage
        .database
        .held("SELECT name FROM control WHERE name = 'seal.gate' FOR UPDATE")
        .await;
    let another = stage.database.ledger().await;
    let asking = tokio::spawn(async move {
        let wanted = ReExport {
            batch: batch.id,
            fence: batch.fence,
            reason: "its object isn't there",
            heir: &heir,
        };
        another.re_export(&wanted).await
    });
    stage.database.until_a_connection_waits().await;
    assert_eq!(row_of(&stage, batch.id).await.0, "completed");
    sealing.disconnect().await.unwrap();
    assert_eq!(asking.await.unwrap().unwrap(), ReExported::Asked);
}
