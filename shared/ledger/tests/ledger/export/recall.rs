//! Recalling exceptions: they leave their completed batch for one of their own, once, and nothing else changes.

use crate::stage::{Stage, a_day, whole};
use granary_domain::{BatchId, Fence, MessageId, MigrationId, Outcome, Priority};
use granary_ledger::export::{
    ClaimedBatch, Exception, ExceptionFilter, Fenced, Recall, Recalled, Settlement, WhichExceptions,
};
use granary_ledger::integrity::{Bounds, RepairMigration};
use std::time::Duration;

fn heir() -> RepairMigration {
    RepairMigration {
        id: MigrationId::new(),
        range: a_day(),
        batch_size: 1_000,
        priority: Priority::NORMAL,
        requested_by: "granary failures retry".to_owned(),
    }
}

async fn recall(stage: &Stage, batch: &ClaimedBatch, which: WhichExceptions<'_>) -> Recalled {
    let wanted = Recall {
        batch: batch.id,
        fence: batch.fence,
        which,
        reason: "they are back",
        heir: &heir(),
    };
    stage.ledger.recall(&wanted).await.unwrap()
}

/// A batch of these messages, completed: the first `missing` ones are missing, the next one is quarantined.
async fn completed_without(stage: &Stage, ids: &[&str], missing: usize) -> ClaimedBatch {
    let batch = stage.batch(ids).await;
    let batch = stage.claim(batch, "worker").await;
    let exception = |(place, id): (usize, &&str)| Exception {
        message_id: (*id).to_owned().try_into().unwrap(),
        outcome: if place < missing {
            Outcome::Missing
        } else {
            Outcome::Quarantined
        },
        reason: if place < missing { "gone" } else { "not JSON" }.to_owned(),
    };
    let mut sorted = ids.to_vec();
    sorted.sort_unstable();
    let exceptions: Vec<Exception> = sorted
        .iter()
        .take(missing + 1)
        .enumerate()
        .map(exception)
        .collect();
    stage.ledger.record_exceptions(&batch, &exceptions).await.unwrap();
    let exported = (ids.len() - exceptions.len()) as u32;
    let settled = Settlement {
        exported,
        missing: missing as u32,
        quarantined: 1,
        ..whole(&batch)
    };
    let settled = match exported {
        0 => Settlement {
            object: None,
            sha256: None,
            ..settled
        },
        _ => settled,
    };
    assert_eq!(stage.ledger.settle(&batch, &settled).await.unwrap(), Fenced::Done);
    batch
}

/// Status, messages, exported, missing, quarantined, recalled.
async fn counts(stage: &Stage, batch: BatchId) -> (String, u32, Option<u32>, Option<u32>, Option<u32>, u32) {
    let query = format!(
        "SELECT status, message_count, exported, missing, quarantined, recalled FROM batch WHERE id = {batch}"
    );
    stage.database.row(&query).await
}

async fn assert_nothing_is_violated(stage: &Stage) {
    let bounds = Bounds {
        attempts_max: None,
        untold_max: Duration::ZERO,
    };
    let slice = stage.ledger.slice_after(BatchId(0), 100).await.unwrap().unwrap();
    let violations = stage.ledger.violations_in(&slice, &bounds).await.unwrap();
    assert_eq!(violations, []);
}

#[tokio::test]
async fn exceptions_leave_for_a_batch_of_their_own_and_their_batch_stays_completed() {
    let stage = Stage::new().await;
    let batch = completed_without(&stage, &["a", "b", "c", "d", "e"], 2).await;
    let Recalled::Asked {
        batch: own,
        missing,
        quarantined,
    } = recall(&stage, &batch, WhichExceptions::All).await
    else {
        panic!("nothing was recalled");
    };
    assert_ne!(own, batch.id);
    assert_eq!((missing, quarantined), (2, 1));
    assert_eq!(
        counts(&stage, batch.id).await,
        ("completed".into(), 2, Some(2), Some(0), Some(0), 3)
    );
    assert_eq!(
        counts(&stage, own).await,
        ("pending".into(), 3, None, None, None, 0)
    );
    let moved: Vec<(String, Option<String>, Option<String>)> = stage
        .database
        .rows(&format!(
            "SELECT CONVERT(message_id USING utf8mb4), outcome, reason FROM message WHERE batch_id = {own} ORDER BY message_id"
        ))
        .await;
    let fresh = |id: &str| (id.to_owned(), None, None);
    assert_eq!(moved, [fresh("a"), fresh("b"), fresh("c")]);
    let alike: u64 = stage
        .database
        .row("SELECT COUNT(DISTINCT migration_id, window_id, hour_start, priority) FROM batch")
        .await;
    assert_eq!(alike, 1, "of the same migration, window, hour and priority");
    let (planned, most): (u32, u32) = stage
        .database
        .row("SELECT (SELECT batches FROM harvest_window), (SELECT MAX(window_ordinal) FROM batch)")
        .await;
    assert_eq!(planned, most + 1, "the window knows of it");
    let audit: (String, String, String) = stage
        .database
        .row("SELECT who, arguments, reason FROM audit WHERE action = 'exceptions.recall'")
        .await;
    assert_eq!(
        audit,
        (
            "granary failures retry".to_owned(),
            format!(r#"{{"batch":{}}}"#, batch.id),
            "they are back".to_owned()
        )
    );
    assert_nothing_is_violated(&stage).await;
}

#[tokio::test]
async fn asking_twice_for_a_recall_is_asking_once() {
    let stage = Stage::new().await;
    let batch = completed_without(&stage, &["a", "b", "c"], 1).await;
    assert!(matches!(
        recall(&stage, &batch, WhichExceptions::All).await,
        Recalled::Asked { .. }
    ));
    assert_eq!(
        recall(&stage, &batch, WhichExceptions::All).await,
        Recalled::NothingLeft
    );
    let (batches, audits): (u64, u64) = stage
        .database
        .row("SELECT (SELECT COUNT(*) FROM batch), (SELECT COUNT(*) FROM audit)")
        .await;
    assert_eq!((batches, audits), (2, 1));
}

#[tokio::test]
async fn only_the_exceptions_that_are_meant_leave() {
    let stage = Stage::new().await;
    let batch = completed_without(&stage, &["a", "b", "c", "d"], 2).await;
    let ids: [MessageId; 2] = ["b", "d"].map(|id| id.to_owned().try_into().unwrap());
    let asked = recall(&stage, &batch, WhichExceptions::These(&ids)).await;
    assert!(
        matches!(
            asked,
            Recalled::Asked {
                missing: 1,
                quarantined: 0,
                ..
            }
        ),
        "d is in the object: {asked:?}"
    );
    let asked = recall(&stage, &batch, WhichExceptions::Of(Outcome::Quarantined)).await;
    assert!(matches!(
        asked,
        Recalled::Asked {
            missing: 0,
            quarantined: 1,
            ..
        }
    ));
    assert_eq!(
        counts(&stage, batch.id).await,
        ("completed".into(), 2, Some(1), Some(1), Some(0), 2)
    );
    assert_eq!(
        recall(&stage, &batch, WhichExceptions::These(&[])).await,
        Recalled::NothingLeft
    );
    assert_nothing_is_violated(&stage).await;
}

/// There is no object that a new export could hold less than.
#[tokio::test]
async fn e15_a_batch_of_nothing_but_exceptions_is_re_exported_and_makes_no_other() {
    let stage = Stage::new().await;
    let batch = completed_without(&stage, &["a", "b"], 1).await;
    for fence in 1..=3 {
        let seen = ClaimedBatch {
            fence: Fence(fence),
            ..batch.clone()
        };
        let asked = recall(&stage, &seen, WhichExceptions::All).await;
        assert_eq!(
            asked,
            Recalled::Asked {
                batch: batch.id,
                missing: 1,
                quarantined: 1
            }
        );
        assert_eq!(
            recall(&stage, &seen, WhichExceptions::All).await,
            Recalled::Changed
        );
        let again = stage.claim(batch.id, "another").await;
        let nothing = Settlement {
            object: None,
            sha256: None,
            exported: 0,
            missing: 1,
            quarantined: 1,
            ..whole(&again)
        };
        assert_eq!(stage.ledger.settle(&again, &nothing).await.unwrap(), Fenced::Done);
    }
    assert_eq!(stage.database.row::<u64>("SELECT COUNT(*) FROM batch").await, 1);
}

#[tokio::test]
async fn a_recall_holds_for_a_completed_batch_as_it_was_seen_and_never_for_a_sealed_one() {
    let stage = Stage::new().await;
    let batch = completed_without(&stage, &["a", "b", "c"], 1).await;
    let stale = ClaimedBatch {
        fence: Fence(7),
        ..batch.clone()
    };
    assert_eq!(
        recall(&stage, &stale, WhichExceptions::All).await,
        Recalled::Changed
    );
    stage
        .database
        .sql(&format!(
            "INSERT INTO sealed_range (range_from, range_to, last_batch_id, windows, messages, exported, missing, quarantined, \
             batches, objects, bytes_stored, digest_high, digest_low, sealed_at, sealed_by) \
             SELECT hour_start, hour_start + INTERVAL 1 HOUR, {0}, '[]', 3, 1, 1, 1, 1, 1, 1, 0, 0, UTC_TIMESTAMP(6), 'test' \
             FROM batch WHERE id = {0}",
            batch.id
        ))
        .await;
    assert_eq!(
        recall(&stage, &batch, WhichExceptions::All).await,
        Recalled::Changed
    );
    let filter = ExceptionFilter::default();
    assert_eq!(
        stage
            .ledger
            .batches_with_exceptions(&filter, BatchId(0), 10)
            .await
            .unwrap(),
        []
    );
}

/// Else it would be given up as soon as it is pending.
#[tokio::test]
async fn what_a_cancelled_migration_left_out_goes_to_the_heir() {
    let stage = Stage::new().await;
    let batch = completed_without(&stage, &["a", "b", "c"], 1).await;
    stage
        .database
        .sql("UPDATE migration SET state = 'cancelled', finished_at = UTC_TIMESTAMP(6)")
        .await;
    let Recalled::Asked { batch: own, .. } = recall(&stage, &batch, WhichExceptions::All).await else {
        panic!("nothing was recalled");
    };
    let state: String = stage
        .database
        .row(&format!(
            "SELECT m.state FROM batch b JOIN migration m ON m.id = b.migration_id WHERE b.id = {own}"
        ))
        .await;
    assert_eq!(state, "draining");
    stage.claim(own, "worker").await;
}

#[tokio::test]
async fn batches_with_exceptions_are_found_by_outcome_and_hours() {
    let stage = Stage::new().await;
    let batch = completed_without(&stage, &["a", "b", "c"], 0).await;
    let other = completed_without(&stage, &["d", "e", "f"], 1).await;
    let found = async |filter: ExceptionFilter, limit| {
        let found = stage
            .ledger
            .batches_with_exceptions(&filter, BatchId(0), limit)
            .await;
        let found = found.unwrap();
        found.into_iter().map(|found| found.batch).collect::<Vec<_>>()
    };
    let all = ExceptionFilter::default();
    assert_eq!(found(all, 10).await, [batch.id, other.id]);
    assert_eq!(found(all, 1).await, [batch.id]);
    let missing = ExceptionFilter {
        outcome: Some(Outcome::Missing),
        ..all
    };
    assert_eq!(found(missing, 10).await, [other.id]);
    let later = ExceptionFilter {
        from: Some(batch.hour.next().start()),
        ..all
    };
    assert_eq!(found(later, 10).await, []);
}

/// In the transaction that settles the batch, so that none ends in silence.
#[tokio::test]
async fn a_batch_that_ends_with_exceptions_raises_one_alert_with_counts_and_reasons() {
    let stage = Stage::new().await;
    completed_without(&stage, &["a", "b", "c", "d"], 2).await;
    let alerts: Vec<(String, String, String)> = stage
        .database
        .rows("SELECT subject_key, cause, text FROM alert WHERE kind = 'exceptions'")
        .await;
    let [(subject, cause, text)] = &alerts[..] else {
        panic!("{alerts:?}");
    };
    assert_eq!((subject.as_str(), cause.as_str()), ("quarantined", "quarantined"));
    for part in [
        "without 3 of them: 2 missing, 1 quarantined",
        "2 × gone",
        "1 × not JSON",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let whole_batch = stage.batch(&["x"]).await;
    let whole_batch = stage.claim(whole_batch, "worker").await;
    stage
        .ledger
        .settle(&whole_batch, &whole(&whole_batch))
        .await
        .unwrap();
    assert_eq!(stage.database.row::<u64>("SELECT COUNT(*) FROM alert").await, 1);
}
