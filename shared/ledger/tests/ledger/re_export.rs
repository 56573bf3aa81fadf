//! Exporting again: asked once however often it is asked, and the old object on record until the new one is.

use crate::stage::{ATTEMPTS_MAX, Stage, a_day, failure, object_of, whole};
use granary_domain::{BatchId, BatchStatus, Fence, Generation, Hour, MigrationId};
use granary_ledger::{Fenced, ReExport, ReExported, RepairMigration, Settlement, Standing};
use std::time::Duration;

fn heir() -> RepairMigration {
    RepairMigration {
        id: MigrationId::new(),
        range: a_day(),
        batch_size: 1_000,
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
async fn completed(stage: &Stage) -> granary_ledger::ClaimedBatch {
    let batch = stage.claimed().await;
    assert_eq!(
        stage.ledger.settle(&batch, &whole(&batch)).await.unwrap(),
        Fenced::Done
    );
    batch
}

async fn parked(stage: &Stage, ids: &[&str]) -> BatchId {
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
    assert_eq!(stage.ledger.superseded(10).await.unwrap(), []);

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

    let superseded = stage.ledger.superseded(10).await.unwrap();
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
    assert_eq!(stage.ledger.superseded(10).await.unwrap(), []);
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
