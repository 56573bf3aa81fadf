//! Removing test data: whole batches of it, and nothing else.

use crate::stage::Stage;
use granary_domain::MessageId;

fn ids<const N: usize>(ids: [&str; N]) -> [MessageId; N] {
    ids.map(|id| MessageId::try_from(id.to_owned()).unwrap())
}

#[tokio::test]
async fn s1_the_owners_of_seeded_messages_are_found_and_forgotten() {
    let stage = Stage::new().await;
    let seeded = stage.batch(&["s1", "s2"]).await;
    let kept = stage.batch(&["m"]).await;
    stage.claim(seeded, "worker").await;
    let owners = stage
        .ledger
        .owners_of(&ids(["s1", "s2", "unknown"]))
        .await
        .unwrap();
    assert_eq!(owners.len(), 1);
    assert_eq!((owners[0].batch_id, owners[0].message_count), (seeded, 2));
    assert_eq!(stage.ledger.forget_batch(seeded).await.unwrap(), 2);
    assert_eq!(stage.ledger.forget_batch(seeded).await.unwrap(), 0);
    let left: (u64, u64, u64) = stage
        .database
        .row(
            "SELECT (SELECT COUNT(*) FROM batch), (SELECT COUNT(*) FROM message), (SELECT COUNT(*) FROM attempt)",
        )
        .await;
    assert_eq!(left, (1, 1, 0));
    assert_eq!(stage.status_of(kept).await, "pending");
    assert!(stage.ledger.owners_of(&[]).await.unwrap().is_empty());
}

#[tokio::test]
async fn s1_only_messages_that_nobody_owns_are_forgotten_by_id() {
    let stage = Stage::new().await;
    stage.batch(&["owned"]).await;
    let batch = stage.batch(&["released"]).await;
    stage
        .database
        .sql(&format!(
            "UPDATE batch SET status = 'cancelled' WHERE id = {batch}"
        ))
        .await;
    let both = ids(["owned", "released"]);
    assert_eq!(stage.ledger.forget_unowned(&both).await.unwrap(), 1);
    assert_eq!(stage.ledger.forget_unowned(&both).await.unwrap(), 0);
}
