//! A message's rows are found, whatever became of it.

use crate::stage::{Stage, seen, whole};
use granary_domain::{BatchId, MessageId, Outcome};
use granary_ledger::export::{Exception, Settlement};

fn id(text: &str) -> MessageId {
    text.to_owned().try_into().unwrap()
}

#[tokio::test]
async fn a_message_is_found_with_its_place_and_its_window() {
    let stage = Stage::new().await;
    let mut window = stage.window(10).await;
    let mut odd = seen("a/b ü");
    odd.doc_id = Some("doc".into());
    odd.routing = Some("shard".into());
    stage.record(&mut window, &[odd.clone()]).await;
    let message = stage.ledger.message(&id("a/b ü")).await.unwrap().unwrap();
    assert_eq!(
        (message.doc_id.as_deref(), message.routing.as_deref()),
        (Some("doc"), Some("shard"))
    );
    assert_eq!(
        (message.index.as_str(), message.event_time),
        (&*odd.index, odd.event_time)
    );
    assert_eq!(message.exception, None);
    let found = stage.ledger.window(window.id).await.unwrap().unwrap();
    assert_eq!((found.id, found.migration_id), (window.id, window.migration_id));
    assert_eq!(
        stage.ledger.message(&id("A/B ü")).await.unwrap(),
        None,
        "ids are compared byte by byte"
    );
}

#[tokio::test]
async fn what_was_found_instead_of_a_message_is_told_with_its_reason() {
    let stage = Stage::new().await;
    let batch = stage.claimed().await;
    let gone = [Exception {
        message_id: id("m2"),
        outcome: Outcome::Missing,
        reason: "gone".into(),
    }];
    stage.ledger.record_exceptions(&batch, &gone).await.unwrap();
    let settlement = Settlement {
        exported: 2,
        missing: 1,
        ..whole(&batch)
    };
    stage.ledger.settle(&batch, &settlement).await.unwrap();
    let message = stage.ledger.message(&id("m2")).await.unwrap().unwrap();
    assert_eq!(message.exception, Some((Outcome::Missing, "gone".into())));
    assert_eq!(message.batch, Some(batch.id));
}

#[tokio::test]
async fn a_released_message_is_nobodys_and_a_batch_without_replaced_exports_has_none() {
    let stage = Stage::new().await;
    let batch = stage.batch(&["m1"]).await;
    stage.database.sql("UPDATE batch SET status = 'cancelled'").await;
    assert_eq!(
        stage.ledger.message(&id("m1")).await.unwrap().unwrap().batch,
        None
    );
    assert!(stage.ledger.replaced_exports_of(batch).await.unwrap().is_empty());
    assert!(
        stage
            .ledger
            .replaced_exports_of(BatchId(99))
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn an_export_that_was_asked_for_again_is_listed_with_its_reason() {
    let stage = Stage::new().await;
    let batch = stage.claimed().await;
    stage.ledger.settle(&batch, &whole(&batch)).await.unwrap();
    let heir = granary_ledger::integrity::RepairMigration {
        id: granary_domain::MigrationId::new(),
        range: crate::stage::a_day(),
        batch_size: 100,
        priority: granary_domain::Priority::NORMAL,
        requested_by: "test".into(),
    };
    let wanted = granary_ledger::export::ReExport {
        batch: batch.id,
        fence: batch.fence,
        reason: "it was damaged",
        heir: &heir,
    };
    stage.ledger.re_export(&wanted).await.unwrap();
    let replaced = stage.ledger.replaced_exports_of(batch.id).await.unwrap();
    assert_eq!(replaced.len(), 1);
    assert_eq!(
        (replaced[0].generation, replaced[0].reason.as_str()),
        (batch.generation, "it was damaged")
    );
    assert_eq!(replaced[0].object, whole(&batch).object);
    assert_eq!((replaced[0].removed_at, replaced[0].kept_at), (None, None));
}
