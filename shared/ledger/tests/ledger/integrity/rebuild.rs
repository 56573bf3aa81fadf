//! Rebuilding from the archive: each batch as its manifest has it, once, and each message with one owner.

use crate::stage::{Stage, instant, many, seen, whole, with_numbers};
use granary_domain::{BatchId, Compression, Format, Generation, Hour, IdDigest, Layout};
use granary_ledger::harvest::SeenMessage;
use granary_ledger::integrity::{
    ArchivedBatch, ArchivedObject, BatchSlice, Bounds, OwnedElsewhere, RebuildMigration, RebuildObstacle,
    Rebuilt, RebuiltBatch,
};
use granary_ledger::settings::Stage as Part;
use std::time::Duration;

pub(crate) fn migration() -> RebuildMigration {
    RebuildMigration {
        batch_size: 100,
        requested_by: "operator".to_owned(),
    }
}

/// A batch of noon, with an object of so many messages.
pub(crate) fn archived(id: u64, exported: u64) -> ArchivedBatch {
    let (id, hour, generation) = (
        BatchId(id),
        Hour::of(instant("2026-01-01T12:00:00Z")),
        Generation(2),
    );
    let form = (Format::Ndjson, Compression::Zstd);
    let key = Layout::new("archive", "messages").object(hour, id, generation, form);
    ArchivedBatch {
        id,
        hour,
        generation,
        attempt: 3,
        settled_at: instant("2026-01-01T13:00:00Z"),
        object: (exported > 0).then_some(ArchivedObject {
            key,
            sha256: [7; 32],
            bytes_raw: 300,
            bytes_stored: 100,
        }),
        exceptions: 0,
    }
}

async fn rebuild(stage: &Stage, batch: &ArchivedBatch, messages: &[SeenMessage]) -> Rebuilt {
    let rebuilt = stage.ledger.rebuild_batch(&migration(), batch, messages).await;
    rebuilt.unwrap()
}

fn recorded(messages: u64) -> Rebuilt {
    Rebuilt::Recorded {
        messages,
        elsewhere: Vec::new(),
    }
}

fn owned_by(owner: u64, ids: &[&str]) -> Vec<OwnedElsewhere> {
    let of = |id: &&str| OwnedElsewhere {
        message_id: (*id).to_owned().try_into().unwrap(),
        owner: BatchId(owner),
    };
    ids.iter().map(of).collect()
}

async fn assert_nothing_is_violated(stage: &Stage) {
    let slice = BatchSlice::Between {
        after: BatchId(0),
        up_to: BatchId(u64::MAX),
    };
    let bounds = Bounds {
        attempts_max: Some(5),
        untold_max: Duration::ZERO,
    };
    let violations = stage.ledger.violations_in(&slice, &bounds).await.unwrap();
    assert!(violations.is_empty(), "{violations:#?}");
}

#[tokio::test]
async fn d6_a_rebuilt_batch_is_what_its_manifest_says_however_often_it_is_tried() {
    let stage = Stage::new().await;
    let (batch, messages) = (archived(4_711, 5), many("m", 5));
    assert_eq!(rebuild(&stage, &batch, &messages).await, recorded(5));
    let known = RebuiltBatch {
        generation: Generation(2),
        messages: 5,
    };
    assert_eq!(
        rebuild(&stage, &batch, &messages).await,
        Rebuilt::AlreadyThere(known)
    );
    let on_record = stage
        .ledger
        .rebuilt_batches(&[batch.id, BatchId(1)])
        .await
        .unwrap();
    assert_eq!(on_record, [(batch.id, known)].into());
    let row: (u64, String, u32, u32, u32, u32, String) = stage
        .database
        .row(
            "SELECT id, status, generation, fence, exported, message_count, DATE_FORMAT(settled_at, '%H:%i') FROM batch",
        )
        .await;
    assert_eq!(
        row,
        (4_711, "completed".to_owned(), 2, 3, 5, 5, "13:00".to_owned())
    );
    let mut digest = IdDigest::default();
    messages
        .iter()
        .for_each(|message| digest.add(message.message_id.as_str().as_bytes()));
    let sums: (u64, u64) = stage
        .database
        .row("SELECT digest_high, digest_low FROM batch")
        .await;
    assert_eq!(sums, digest.sums());
    let account: (u64, u64, u32, String) = stage
        .database
        .row("SELECT found, recorded, batches, state FROM harvest_window")
        .await;
    assert_eq!(account, (5, 5, 1, "recorded".to_owned()));
    assert!(
        stage.ledger.unsent(None, 10).await.unwrap().is_empty(),
        "nothing is sent"
    );
    assert_nothing_is_violated(&stage).await;
}

#[tokio::test]
async fn d6_a_message_in_two_objects_stays_with_its_first_owner_and_is_named() {
    let stage = Stage::new().await;
    rebuild(&stage, &archived(1, 2), &[seen("a"), seen("b")]).await;
    let shared = rebuild(&stage, &archived(2, 3), &[seen("c"), seen("b"), seen("d")]).await;
    assert_eq!(
        shared,
        Rebuilt::Recorded {
            messages: 2,
            elsewhere: owned_by(1, &["b"])
        }
    );
    let twice = rebuild(&stage, &archived(3, 2), &[seen("e"), seen("e")]).await;
    assert_eq!(
        twice,
        Rebuilt::Recorded {
            messages: 1,
            elsewhere: owned_by(3, &["e"])
        }
    );
    let redundant = rebuild(&stage, &archived(4, 1), &[seen("a")]).await;
    assert_eq!(
        redundant,
        Rebuilt::Redundant {
            elsewhere: owned_by(1, &["a"])
        }
    );
    let counts: Vec<(u64, u32)> = stage
        .database
        .rows("SELECT id, message_count FROM batch ORDER BY id")
        .await;
    assert_eq!(counts, [(1, 2), (2, 2), (3, 1)]);
    assert_nothing_is_violated(&stage).await;
}

#[tokio::test]
async fn d6_a_batch_of_exceptions_alone_keeps_its_number_and_owns_nothing() {
    let stage = Stage::new().await;
    let batch = ArchivedBatch {
        exceptions: 3,
        ..archived(9, 0)
    };
    assert_eq!(rebuild(&stage, &batch, &[]).await, recorded(0));
    let counts: (u32, u32, u32) = stage
        .database
        .row("SELECT message_count, exported, recalled FROM batch")
        .await;
    assert_eq!(counts, (0, 0, 3));
    assert_nothing_is_violated(&stage).await;
}

#[tokio::test]
async fn d6_the_harvest_finds_rebuilt_messages_known_and_numbers_above_their_batches() {
    let stage = Stage::new().await;
    let messages = many("m", 5);
    rebuild(&stage, &archived(4_000_000, 5), &messages).await;
    with_numbers(&stage.ledger).await;
    let mut window = stage.window(100).await;
    let mut shown = messages.clone();
    shown.push(seen("new"));
    let tally = stage.record(&mut window, &shown).await;
    assert_eq!(
        (tally.owned_elsewhere, tally.recorded, tally.duplicate),
        (5, 1, 0)
    );
    let newest: u64 = stage.database.row("SELECT MAX(id) FROM batch").await;
    assert!(newest > 4_000_000, "{newest}");
    stage.ledger.finish_window(&window).await.unwrap();
    let claimed = stage.claim(BatchId(newest), "worker").await;
    stage.ledger.settle(&claimed, &whole(&claimed)).await.unwrap();
    assert_nothing_is_violated(&stage).await;
}

#[tokio::test]
async fn d6_a_rebuild_needs_both_stages_paused_and_a_ledger_without_other_batches() {
    let stage = Stage::new().await;
    let mut window = stage.window(10).await;
    let obstacle = async || stage.ledger.rebuild_obstacle().await.unwrap();
    assert_eq!(obstacle().await, Some(RebuildObstacle::HarvestRuns));
    stage.ledger.pause(Part::Harvest, "test").await.unwrap();
    assert_eq!(obstacle().await, Some(RebuildObstacle::ExportRuns));
    stage.ledger.pause(Part::Export, "test").await.unwrap();
    assert_eq!(
        obstacle().await,
        None,
        "a migration without a batch isn't in the way"
    );
    rebuild(&stage, &archived(1, 1), &[seen("a")]).await;
    assert_eq!(obstacle().await, None, "its own batches are none in the way");
    let range = stage.database.row::<(String, String)>(
        "SELECT DATE_FORMAT(range_from, '%H:%i'), DATE_FORMAT(range_to, '%H:%i') FROM migration \
         WHERE only_one = 'rebuild'",
    );
    assert_eq!(range.await, ("12:00".to_owned(), "13:00".to_owned()));
    stage.record(&mut window, &[seen("b")]).await;
    assert_eq!(obstacle().await, Some(RebuildObstacle::NotEmpty));
}

#[tokio::test]
async fn d6_a_cancelled_rebuild_records_nothing_more() {
    let stage = Stage::new().await;
    rebuild(&stage, &archived(1, 1), &[seen("a")]).await;
    stage
        .database
        .sql("UPDATE migration SET state = 'cancelled', finished_at = UTC_TIMESTAMP(6)")
        .await;
    assert_eq!(
        rebuild(&stage, &archived(2, 1), &[seen("b")]).await,
        Rebuilt::Cancelled
    );
    assert_eq!(stage.database.row::<u64>("SELECT COUNT(*) FROM message").await, 1);
}
