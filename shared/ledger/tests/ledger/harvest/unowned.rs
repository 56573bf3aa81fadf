//! Messages that nobody owns are found hour by hour, and batches that can be exported anew by what they have in common.

use crate::export::re_export::{completed, parked};
use crate::stage::{Stage, a_day, instant, seen_at};
use granary_domain::{BatchId, Fence, Hour, IdDigest, MigrationId, Priority, TimeRange};
use granary_ledger::export::ReExportSelection;
use granary_ledger::integrity::{FoundAgain, RepairMigration};

fn range(from: &str, to: &str) -> TimeRange {
    TimeRange::new(instant(from), instant(to)).unwrap()
}

/// Five messages in two hours that a cancelled migration released.
async fn released(stage: &Stage) {
    let mut window = stage.window(10).await;
    let messages = [
        seen_at("b", "2026-01-01T10:10:00Z"),
        seen_at("a", "2026-01-01T10:20:00Z"),
        seen_at("c", "2026-01-01T10:20:00Z"),
        seen_at("d", "2026-01-01T13:00:00Z"),
        seen_at("e", "2026-01-01T13:59:59.999999Z"),
    ];
    stage.record(&mut window, &messages).await;
    stage.give_up(window.migration_id).await;
}

#[tokio::test]
async fn hours_of_messages_that_nobody_owns_go_from_the_first_to_the_last() {
    let stage = Stage::new().await;
    completed(&stage).await;
    assert_eq!(stage.ledger.hours_of_unowned(None, None).await.unwrap(), None);
    released(&stage).await;
    assert_eq!(
        stage.ledger.hours_of_unowned(None, None).await.unwrap(),
        Some(range("2026-01-01T10:00:00Z", "2026-01-01T14:00:00Z"))
    );
    let (from, to) = (instant("2026-01-01T11:00:00Z"), instant("2026-01-01T13:00:00Z"));
    assert_eq!(
        stage.ledger.hours_of_unowned(Some(from), Some(to)).await.unwrap(),
        None
    );
    assert_eq!(
        stage
            .ledger
            .first_unowned(range("2026-01-01T10:10:00.000001Z", "2026-01-02T00:00:00Z"))
            .await
            .unwrap(),
        Some(Hour::of(instant("2026-01-01T10:00:00Z")))
    );
    assert_eq!(stage.ledger.count_unowned(a_day()).await.unwrap(), 5);
}

#[tokio::test]
async fn unowned_messages_come_batch_by_batch_in_the_order_of_their_hashes_and_none_twice() {
    let stage = Stage::new().await;
    released(&stage).await;
    let hour = Hour::of(instant("2026-01-01T10:00:00Z")).range();
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let last = after.as_ref().map(|(batch, id)| (*batch, id));
        let page = stage.ledger.unowned_in(hour, last, 1).await.unwrap();
        let Some(unowned) = page.into_iter().next() else {
            break;
        };
        found.push(unowned.message.message_id.to_string());
        after = Some((unowned.batch, unowned.message.message_id));
    }
    let mut by_hash = vec!["a", "b", "c"];
    by_hash.sort_by_key(|id| IdDigest::hash(id.as_bytes()));
    assert_eq!(found, by_hash);
}

#[tokio::test]
async fn messages_that_nobody_owns_get_a_batch_and_are_somebodys_then() {
    let stage = Stage::new().await;
    released(&stage).await;
    let hour = Hour::of(instant("2026-01-01T10:00:00Z")).range();
    let unowned = stage.ledger.unowned_in(hour, None, 10).await.unwrap();
    let messages: Vec<_> = unowned.into_iter().map(|unowned| unowned.message).collect();
    let heir = RepairMigration {
        id: MigrationId::new(),
        range: a_day(),
        batch_size: 2,
        priority: Priority::try_from(7).unwrap(),
        requested_by: "somebody".to_owned(),
    };
    for _ in 0..2 {
        let found = stage.ledger.record_found(&heir, hour, &messages).await.unwrap();
        assert_eq!(found, FoundAgain::Recorded { messages: 3 });
    }
    assert_eq!(stage.ledger.count_unowned(hour).await.unwrap(), 0);
    assert_eq!(stage.ledger.count_unowned(a_day()).await.unwrap(), 2);
    let batches: Vec<(u32, u8)> = stage
        .database
        .rows("SELECT message_count, priority FROM batch WHERE status = 'pending' ORDER BY id")
        .await;
    assert_eq!(batches, [(2, 7), (1, 7)]);
    let migration = stage.ledger.migration(heir.id).await.unwrap().unwrap();
    assert_eq!(
        (migration.requested_by.as_str(), u8::from(migration.priority)),
        ("somebody", 7)
    );
}

#[tokio::test]
async fn what_can_be_exported_anew_is_completed_or_parked_and_not_sealed() {
    let stage = Stage::new().await;
    let done = completed(&stage).await;
    let parked = parked(&stage, &["p"]).await;
    let pending = stage.batch(&["w"]).await;
    let all = ReExportSelection::Batches(vec![done.id, parked, pending, BatchId(4_711)]);
    let list = async |selection: &ReExportSelection, after: u64| {
        let found = stage
            .ledger
            .batches_to_re_export(selection, BatchId(after), 10)
            .await;
        let found = found.unwrap();
        found.iter().map(|found| found.batch).collect::<Vec<_>>()
    };
    assert_eq!(list(&all, 0).await, [done.id, parked]);
    assert_eq!(list(&all, done.id.0).await, [parked]);
    let found = stage
        .ledger
        .batches_to_re_export(&all, BatchId(0), 1)
        .await
        .unwrap();
    assert_eq!(
        (found[0].fence, found[0].messages, found[0].bytes_stored),
        (Fence(1), 3, 100)
    );
    assert_eq!(
        list(&ReExportSelection::Migration(done.migration_id), 0).await,
        [done.id]
    );
    let noon = range("2026-01-01T12:30:00Z", "2026-01-01T13:00:00Z");
    assert_eq!(list(&ReExportSelection::Hours(noon), 0).await, [done.id, parked]);
    let earlier = range("2026-01-01T11:00:00Z", "2026-01-01T12:00:00Z");
    assert_eq!(list(&ReExportSelection::Hours(earlier), 0).await, []);
    assert_eq!(list(&ReExportSelection::Batches(Vec::new()), 0).await, []);
    assert_eq!(
        stage.ledger.hours_to_re_export(&all).await.unwrap(),
        Some(range("2026-01-01T12:00:00Z", "2026-01-01T13:00:00Z"))
    );
    let none = ReExportSelection::Batches(vec![BatchId(4_711)]);
    assert_eq!(stage.ledger.hours_to_re_export(&none).await.unwrap(), None);
    assert_eq!(
        stage
            .ledger
            .hours_to_re_export(&ReExportSelection::Hours(noon))
            .await
            .unwrap(),
        Some(range("2026-01-01T12:00:00Z", "2026-01-01T13:00:00Z")),
        "hours are whole"
    );
    let of_migration = ReExportSelection::Migration(done.migration_id);
    assert_eq!(
        stage.ledger.hours_to_re_export(&of_migration).await.unwrap(),
        Some(a_day())
    );

    stage
        .database
        .sql(&format!(
            "INSERT INTO sealed_range (range_from, range_to, last_batch_id, windows, messages, exported, missing, \
             quarantined, batches, objects, bytes_stored, digest_high, digest_low, sealed_at, sealed_by) \
             VALUES ('2026-01-01 12:00:00', '2026-01-01 13:00:00', {}, '[]', 3, 3, 0, 0, 1, 1, 100, 0, 0, \
             UTC_TIMESTAMP(6), 'test')",
            done.id
        ))
        .await;
    assert_eq!(
        list(&all, 0).await,
        [parked],
        "the other's hour is sealed up to it"
    );
}
