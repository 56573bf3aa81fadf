//! Purging: what keeps an hour open, what is left of a sealed one, and that nobody records in it again.

use crate::stage::{
    ATTEMPTS_MAX, Stage, a_day, failure, instant, many, record_page, seen, verification, whole,
};
use granary_domain::{BatchId, ExceptionKind, Hour, IdDigest, MigrationId, Priority, TimeRange};
use granary_ledger::export::{ClaimedBatch, ReExport, ReExported};
use granary_ledger::harvest::Recorded;
use granary_ledger::integrity::{RepairMigration, Seal, SealIntent, SealedRange};
use std::time::Duration;
use uuid::Uuid;

const A_DAY: Duration = Duration::from_secs(86_400);

fn noon() -> Hour {
    Hour::of(instant("2026-01-01T12:00:00Z"))
}

fn seal() -> SealIntent {
    SealIntent::Seal {
        by: "operator".into(),
    }
}

async fn complete(stage: &Stage, batch: BatchId) -> ClaimedBatch {
    let claimed = stage.claim(batch, "worker").await;
    stage.ledger.settle(&claimed, &whole(&claimed)).await.unwrap();
    claimed
}

/// A verification that was COMPLETE, begun now.
async fn verify(stage: &Stage) {
    let now = stage.ledger.now().await.unwrap();
    assert!(
        stage
            .ledger
            .mark_verified(&verification(a_day(), now))
            .await
            .unwrap()
            > 0
    );
}

/// A completed batch of three messages, verified.
async fn archived(stage: &Stage) -> ClaimedBatch {
    let batch = stage.batch(&["m1", "m2", "m3"]).await;
    let batch = complete(stage, batch).await;
    verify(stage).await;
    batch
}

async fn refusal(stage: &Stage, horizon: Duration) -> String {
    match stage.ledger.seal_hour(noon(), horizon, &seal()).await.unwrap() {
        Seal::Refused { reasons } => reasons.join("; "),
        other @ (Seal::Sealable { .. } | Seal::Already) => panic!("it was not refused: {other:?}"),
    }
}

async fn sealed(stage: &Stage) -> Vec<SealedRange> {
    stage.ledger.sealed_ranges(a_day(), 100).await.unwrap()
}

async fn rows_left(stage: &Stage) -> u64 {
    let query = "SELECT (SELECT COUNT(*) FROM message) + (SELECT COUNT(*) FROM batch) + (SELECT COUNT(*) FROM attempt)";
    stage.database.row(query).await
}

async fn purge(stage: &Stage) {
    let sealing = stage.ledger.seal_hour(noon(), A_DAY, &seal()).await.unwrap();
    assert!(matches!(sealing, Seal::Sealable { .. }), "{sealing:?}");
    while stage.ledger.purge_batches(noon()).await.unwrap().is_some() {}
}

#[tokio::test]
async fn an_hour_that_has_come_to_its_end_leaves_one_row_with_its_digest() {
    let stage = Stage::new().await;
    let batch = archived(&stage).await;
    let before = stage.ledger.progress_of(a_day()).await.unwrap();
    let looked = stage
        .ledger
        .seal_hour(noon(), A_DAY, &SealIntent::Look)
        .await
        .unwrap();
    let expected = Seal::Sealable {
        messages: 3,
        batches: 1,
        objects: 1,
        bytes_stored: 100,
    };
    assert_eq!(looked, expected);
    assert!(sealed(&stage).await.is_empty() && !stage.ledger.is_sealed(noon()).await.unwrap());

    assert_eq!(
        stage.ledger.seal_hour(noon(), A_DAY, &seal()).await.unwrap(),
        expected
    );
    assert_eq!(stage.ledger.progress_of(a_day()).await.unwrap(), before);
    assert_eq!(sealed(&stage).await[0].purged_at, None);
    let purged = stage.ledger.purge_batches(noon()).await.unwrap().unwrap();
    assert_eq!((purged.messages, purged.batches, purged.attempts), (3, 1, 1));
    assert_eq!(stage.ledger.purge_batches(noon()).await.unwrap(), None);
    assert_eq!(rows_left(&stage).await, 0);

    let mut digest = IdDigest::default();
    ["m1", "m2", "m3"].iter().for_each(|id| digest.add(id.as_bytes()));
    let left = &sealed(&stage).await[0];
    assert_eq!(
        (left.id_digest, left.last_batch, left.range),
        (digest, batch.id, noon().range())
    );
    assert_eq!(
        (left.objects, left.bytes_stored, &*left.sealed_by),
        (1, 100, "operator")
    );
    assert!(left.purged_at.is_some());
    assert_eq!(
        stage.ledger.progress_of(a_day()).await.unwrap(),
        before,
        "it still counts"
    );
    assert_eq!(stage.ledger.sealed_up_to(noon()).await.unwrap(), Some(batch.id));
    assert_eq!(
        stage.ledger.first_sealed_hour_of(a_day()).await.unwrap(),
        Some(noon())
    );
}

#[tokio::test]
async fn sealing_and_purging_twice_is_harmless_and_numbers_of_batches_are_not_used_again() {
    let stage = Stage::new().await;
    let batch = archived(&stage).await;
    purge(&stage).await;
    assert_eq!(
        stage.ledger.seal_hour(noon(), A_DAY, &seal()).await.unwrap(),
        Seal::Already
    );
    assert_eq!(stage.ledger.purge_batches(noon()).await.unwrap(), None);
    assert_eq!(sealed(&stage).await.len(), 1);
    assert_eq!(stage.ledger.next_hour_to_purge(a_day()).await.unwrap(), None);
    let mut window = stage.window(1_000).await;
    stage
        .ledger
        .allow_re_export(window.migration_id, "operator")
        .await
        .unwrap();
    stage.record(&mut window, &[seen("m1")]).await;
    let newest: u64 = stage.database.row("SELECT MAX(id) FROM batch").await;
    assert!(newest > batch.id.0);
}

#[tokio::test]
async fn h14_a_purge_that_dies_in_the_middle_is_gone_on_with_by_another() {
    let stage = Stage::new().await;
    let mut window = stage.window(6_000).await;
    stage.record(&mut window, &many("m", 12_000)).await;
    stage.ledger.finish_window(&window).await.unwrap();
    for batch in stage.database.rows("SELECT id FROM batch").await {
        complete(&stage, BatchId(batch)).await;
    }
    verify(&stage).await;
    stage.ledger.seal_hour(noon(), A_DAY, &seal()).await.unwrap();
    assert_eq!(
        stage
            .ledger
            .purge_batches(noon())
            .await
            .unwrap()
            .unwrap()
            .messages,
        6_000
    );
    let left: u64 = stage.database.row("SELECT COUNT(*) FROM message").await;
    assert_eq!(left, 6_000);
    assert_eq!(
        stage.ledger.next_hour_to_purge(a_day()).await.unwrap(),
        Some(noon())
    );

    let another = stage.database.ledger().await;
    assert_eq!(
        another.seal_hour(noon(), A_DAY, &seal()).await.unwrap(),
        Seal::Already
    );
    while another.purge_batches(noon()).await.unwrap().is_some() {}
    assert_eq!(rows_left(&stage).await, 0);
    assert_eq!(another.progress_of(a_day()).await.unwrap().success, 12_000);
}

#[tokio::test]
async fn what_is_not_verified_as_a_whole_since_its_last_settlement_stays() {
    let stage = Stage::new().await;
    let batch = stage.batch(&["m"]).await;
    let before = stage.ledger.now().await.unwrap();
    complete(&stage, batch).await;
    assert!(refusal(&stage, A_DAY).await.contains("COMPLETE"));
    stage
        .ledger
        .mark_verified(&verification(a_day(), before))
        .await
        .unwrap();
    assert!(refusal(&stage, A_DAY).await.contains("since it was settled"));
    stage
        .database
        .sql("UPDATE migration SET source_filter = '{}'")
        .await;
    verify(&stage).await;
    assert!(
        refusal(&stage, A_DAY).await.contains("COMPLETE"),
        "a selection is not the whole"
    );
    stage
        .database
        .sql("UPDATE migration SET source_filter = NULL")
        .await;
    purge(&stage).await;
}

#[tokio::test]
async fn what_is_young_stays() {
    let stage = Stage::new().await;
    archived(&stage).await;
    let ever = A_DAY * 365 * 20;
    assert!(refusal(&stage, ever).await.contains("younger"));
    assert!(sealed(&stage).await.is_empty());
}

#[tokio::test]
async fn what_is_open_parked_or_owned_by_nobody_stays() {
    let stage = Stage::new().await;
    archived(&stage).await;
    let other = stage.batch(&["n"]).await;
    verify(&stage).await;
    assert!(
        refusal(&stage, A_DAY)
            .await
            .contains("1 of its batches are not completed")
    );
    let claimed = stage.claim(other, "worker").await;
    assert!(refusal(&stage, A_DAY).await.contains("not completed"));
    let (failure, delay) = (failure(), Duration::ZERO);
    stage
        .database
        .sql("UPDATE batch SET attempts = 5 WHERE status = 'in_progress'")
        .await;
    stage
        .ledger
        .fail(&claimed, &failure, delay, ATTEMPTS_MAX)
        .await
        .unwrap();
    assert!(
        refusal(&stage, A_DAY)
            .await
            .contains("1 of its batches are parked")
    );
    stage.give_up(claimed.migration_id).await;
    assert!(refusal(&stage, A_DAY).await.contains("unowned"));
    for statement in [
        "DELETE m FROM message m JOIN batch b ON b.id = m.batch_id WHERE b.status = 'cancelled'",
        "UPDATE batch SET message_count = 0, digest_high = 0, digest_low = 0, time_from = NULL, time_to = NULL \
         WHERE status = 'cancelled'",
    ] {
        stage.database.sql(statement).await;
    }
    purge(&stage).await;
    assert_eq!(rows_left(&stage).await, 0, "cancelled batches go as well");
}

#[tokio::test]
async fn what_somebody_has_yet_to_read_stays() {
    let stage = Stage::new().await;
    archived(&stage).await;
    let migration = stage.backfill(a_day(), 1_000).await;
    assert!(refusal(&stage, A_DAY).await.contains("still to be read"));
    stage.ledger.cancel_migration(migration).await.unwrap();
    stage
        .database
        .sql("UPDATE migration SET state = 'open', harvested_to = range_from WHERE state <> 'cancelled'")
        .await;
    assert!(refusal(&stage, A_DAY).await.contains("has yet to read it"));
}

#[tokio::test]
async fn h18_the_rows_of_quarantined_messages_stay_since_nothing_else_tells_which_they_are() {
    let stage = Stage::new().await;
    archived(&stage).await;
    for statement in [
        "UPDATE message SET outcome = 'quarantined', reason = 'too large' WHERE message_id = 'm2'",
        "UPDATE batch SET exported = 2, quarantined = 1",
    ] {
        stage.database.sql(statement).await;
    }
    let refused = refusal(&stage, A_DAY).await;
    assert_eq!(
        refused,
        "1 of its messages are quarantined, and only their rows tell which"
    );
}

#[tokio::test]
async fn rows_that_contradict_their_batches_stay() {
    let stage = Stage::new().await;
    archived(&stage).await;
    stage
        .database
        .sql("DELETE FROM message WHERE message_id = 'm2'")
        .await;
    let refused = refusal(&stage, A_DAY).await;
    assert!(refused.contains("its batches say 3 exported"), "{refused}");
}

#[tokio::test]
async fn h17_a_harvest_over_a_sealed_hour_records_nothing_in_it_unless_it_is_allowed_to() {
    let stage = Stage::new().await;
    archived(&stage).await;
    purge(&stage).await;
    let page = [
        seen("m1"),
        seen("m2"),
        seen("m3"),
        seen("late"),
        crate::stage::seen_at("open", "2026-01-01T13:00:00Z"),
    ];
    let mut window = stage.window(1_000).await;
    let tally = stage.record(&mut window, &page).await;
    assert_eq!((tally.found, tally.recorded, tally.owned_elsewhere), (5, 1, 4));
    let known: Vec<String> = stage.database.rows("SELECT message_id FROM message").await;
    assert_eq!(known, ["open"]);
    stage.ledger.finish_window(&window).await.unwrap();

    let mut window = stage.window(1_000).await;
    stage
        .ledger
        .allow_re_export(window.migration_id, "operator")
        .await
        .unwrap();
    let tally = stage.record(&mut window, &page).await;
    assert_eq!((tally.recorded, tally.owned_elsewhere), (4, 1));
    stage.ledger.finish_window(&window).await.unwrap();
    for batch in stage
        .database
        .rows("SELECT id FROM batch WHERE status = 'pending'")
        .await
    {
        complete(&stage, BatchId(batch)).await;
    }
    verify(&stage).await;
    purge(&stage).await;
    let seals = sealed(&stage).await;
    assert_eq!(seals.iter().map(|seal| seal.exported).collect::<Vec<_>>(), [3, 4]);
    assert!(seals[0].last_batch < seals[1].last_batch);
}

#[tokio::test]
async fn a_page_that_is_being_recorded_is_waited_for() {
    let stage = Stage::new().await;
    archived(&stage).await;
    let gate = stage
        .database
        .held("SELECT name FROM control WHERE name = 'seal.gate' LOCK IN SHARE MODE")
        .await;
    let another = stage.database.ledger().await;
    let sealing = tokio::spawn(async move { another.seal_hour(noon(), A_DAY, &seal()).await });
    stage.database.until_a_connection_waits().await;
    assert!(sealed(&stage).await.is_empty());
    gate.disconnect().await.unwrap();
    assert!(matches!(sealing.await.unwrap().unwrap(), Seal::Sealable { .. }));
}

#[tokio::test]
async fn a_batch_of_a_sealed_hour_is_not_exported_again() {
    let stage = Stage::new().await;
    let batch = archived(&stage).await;
    stage.ledger.seal_hour(noon(), A_DAY, &seal()).await.unwrap();
    let heir = RepairMigration {
        id: MigrationId(Uuid::now_v7()),
        range: a_day(),
        batch_size: 10,
        priority: Priority::NORMAL,
        requested_by: "verify --repair".to_owned(),
    };
    let wanted = ReExport {
        batch: batch.id,
        fence: batch.fence,
        reason: "test",
        heir: &heir,
    };
    assert_eq!(
        stage.ledger.re_export(&wanted).await.unwrap(),
        ReExported::Changed
    );
}

#[tokio::test]
async fn only_windows_that_lie_in_what_was_verified_are_verified() {
    let stage = Stage::new().await;
    stage.batch(&["m"]).await;
    let now = stage.ledger.now().await.unwrap();
    let morning = TimeRange::new(a_day().from(), noon().start()).unwrap();
    assert_eq!(
        stage
            .ledger
            .mark_verified(&verification(morning, now))
            .await
            .unwrap(),
        0
    );
    assert_eq!(
        stage
            .ledger
            .mark_verified(&verification(a_day(), a_day().from()))
            .await
            .unwrap(),
        0,
        "it was recorded later"
    );
    assert_eq!(
        stage
            .ledger
            .mark_verified(&verification(a_day(), now))
            .await
            .unwrap(),
        1
    );
}

#[tokio::test]
async fn a_page_recorded_twice_over_a_sealed_hour_is_accounted_for_once() {
    let stage = Stage::new().await;
    archived(&stage).await;
    purge(&stage).await;
    let window = stage.window(1_000).await;
    let first = record_page(&stage.ledger, &window, &[seen("m1")]).await;
    let again = record_page(&stage.ledger, &window, &[seen("m1")]).await;
    assert!(matches!(first, Recorded::Done { batches: 0, .. }), "{first:?}");
    assert_eq!(first, again);
}

/// Verified before the index came: its messages of that hour would be outside of the archive for good.
#[tokio::test]
async fn h12_an_hour_of_a_window_that_lacks_an_index_is_not_sealed_until_that_is_accepted() {
    let stage = Stage::new().await;
    archived(&stage).await;
    stage
        .database
        .sql("INSERT INTO window_left_out (window_id, index_name) SELECT id, 'q-1' FROM harvest_window")
        .await;
    let refused = refusal(&stage, A_DAY).await;
    assert!(refused.contains("without an index"), "{refused}");
    stage.accept(ExceptionKind::LeftOut, "q-1", 1).await;
    purge(&stage).await;
}
