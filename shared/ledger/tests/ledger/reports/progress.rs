//! Progress: how far a range is, whoever owns its messages.

use crate::stage::{Stage, a_day, many, seen_at, whole};
use granary_domain::{BatchStatus, TimeRange};
use granary_ledger::export::Settlement;
use granary_ledger::reports::Progress;

#[tokio::test]
async fn a_range_is_counted_by_what_became_of_its_messages() {
    let stage = Stage::new().await;
    let mut window = stage.window(10).await;
    stage.record(&mut window, &many("m", 40)).await;
    let unsent = stage.ledger.unsent(None, 10).await.unwrap();
    let exported = stage.claim(unsent[0].batch_id, "worker").await;
    let settlement = Settlement {
        exported: 7,
        missing: 2,
        quarantined: 1,
        ..whole(&exported)
    };
    stage.ledger.settle(&exported, &settlement).await.unwrap();
    stage.claim(unsent[1].batch_id, "worker").await;
    stage.claim(unsent[2].batch_id, "worker").await;
    stage.reap(unsent[2].batch_id).await;
    let progress = stage.ledger.progress_of(a_day()).await.unwrap();
    let expected = Progress {
        known: 40,
        pending: 10,
        processing: 10,
        success: 7,
        failed: 10,
        missing: 2,
        quarantined: 1,
    };
    assert_eq!((progress, progress.open()), (expected, 30));
    let completed = stage.ledger.batches_by_status().await.unwrap();
    let completed = completed
        .iter()
        .find(|count| count.status == BatchStatus::Completed)
        .unwrap();
    assert_eq!(
        (completed.batches, completed.messages, completed.bytes_stored),
        (1, 10, 100)
    );
}

#[tokio::test]
async fn a_range_that_cuts_hours_in_two_counts_only_its_own_messages() {
    let stage = Stage::new().await;
    let mut window = stage.window(1_000).await;
    let minutes: Vec<_> = (0..240)
        .map(|minute| {
            let time = format!("2026-01-01T{:02}:{:02}:00Z", 10 + minute / 60, minute % 60);
            seen_at(&format!("m{minute:03}"), &time)
        })
        .collect();
    stage.record(&mut window, &minutes).await;
    let known = async |from: &str, to: &str| {
        let instant = |time: &str| crate::stage::instant(&format!("2026-01-01T{time}:00Z"));
        let range = TimeRange::new(instant(from), instant(to)).unwrap();
        stage.ledger.progress_of(range).await.unwrap().known
    };
    assert_eq!(known("10:00", "14:00").await, 240);
    assert_eq!(known("10:30", "12:15").await, 105);
    assert_eq!(known("10:30", "10:31").await, 1);
    assert_eq!(known("10:00", "11:00").await, 60);
    assert_eq!(known("10:30", "11:00").await, 30);
    assert_eq!(known("14:00", "15:00").await, 0);
}
