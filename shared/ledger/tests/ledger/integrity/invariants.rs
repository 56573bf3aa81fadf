//! Each invariant that the ledger checks by itself, broken in turn by somebody who writes SQL: exactly that one is
//! named, with its batch and its messages.

use crate::stage::{ATTEMPTS_MAX, BACKOFF, Stage, failure, object_of, whole};
use granary_domain::{BatchId, Generation, Invariant, Subject, Violation};
use granary_ledger::export::{Claim, ClaimedBatch, Exception, Fenced};
use granary_ledger::integrity::{BatchSlice, Bounds};
use std::time::Duration;

const BOUNDS: Bounds = Bounds {
    attempts_max: Some(ATTEMPTS_MAX),
    untold_max: Duration::ZERO,
};
const ALL: BatchSlice = BatchSlice::Between {
    after: BatchId(0),
    up_to: BatchId(u64::MAX),
};

/// A ledger with a batch of every kind: pending, held, completed, failed, parked and told, cancelled.
struct Everything {
    stage: Stage,
    pending: BatchId,
    held: ClaimedBatch,
    completed: ClaimedBatch,
    parked: BatchId,
    cancelled: BatchId,
}

impl Everything {
    async fn new() -> Self {
        let stage = Stage::new().await;
        let cancelled = stage.batch(&["c1", "c2"]).await;
        let migrations: Vec<Vec<u8>> = stage.database.rows("SELECT migration_id FROM batch").await;
        let migration = uuid::Uuid::from_slice(&migrations[0]).unwrap();
        let migration = granary_domain::MigrationId(migration);
        stage.give_up(migration).await;

        let completed = stage.batch(&["d1", "d2", "d3"]).await;
        let completed = stage.claim(completed, "worker").await;
        complete_without(&stage, &completed, "d3").await;
        let parked = stage.batch(&["p1"]).await;
        park(&stage, parked).await;
        let held = stage.batch(&["h1", "h2"]).await;
        stage.claim(held, "dies").await;
        stage.reap(held).await;
        stage.let_delays_end().await;
        stage.ledger.retry_failed().await.unwrap();
        let held = stage.claim(held, "worker").await;
        let pending = stage.batch(&["n1", "n2"]).await;
        let failed = stage.batch(&["f1"]).await;
        let failed = stage.claim(failed, "worker").await;
        let delay = Duration::ZERO;
        stage
            .ledger
            .fail(&failed, &failure(), delay, ATTEMPTS_MAX)
            .await
            .unwrap();
        Self {
            stage,
            pending,
            held,
            completed,
            parked,
            cancelled,
        }
    }

    async fn violations(&self) -> Vec<Violation> {
        self.stage.ledger.violations_in(&ALL, &BOUNDS).await.unwrap()
    }

    /// Breaks something, and says what is found amiss. Nothing was before.
    async fn after(&self, statements: &[&str]) -> Vec<Violation> {
        assert_eq!(self.violations().await, [], "before anything was broken");
        self.stage.database.tamper(statements).await;
        self.violations().await
    }
}

/// Settles a batch with one message missing.
async fn complete_without(stage: &Stage, batch: &ClaimedBatch, missing: &str) {
    let exception = Exception {
        message_id: missing.to_owned().try_into().unwrap(),
        outcome: granary_domain::Outcome::Missing,
        reason: "gone".into(),
    };
    let recorded = stage.ledger.record_exceptions(batch, &[exception]).await.unwrap();
    assert_eq!(recorded, Fenced::Done);
    let settlement = granary_ledger::export::Settlement {
        exported: batch.message_count - 1,
        missing: 1,
        ..whole(batch)
    };
    assert_eq!(
        stage.ledger.settle(batch, &settlement).await.unwrap(),
        Fenced::Done
    );
}

async fn park(stage: &Stage, batch: BatchId) {
    loop {
        let Claim::Won(claimed) = stage
            .ledger
            .claim(batch, "fails", Duration::from_secs(90))
            .await
            .unwrap()
        else {
            return;
        };
        let delay = BACKOFF.first;
        stage
            .ledger
            .fail(&claimed, &failure(), delay, ATTEMPTS_MAX)
            .await
            .unwrap();
        stage.let_delays_end().await;
        stage.ledger.retry_failed().await.unwrap();
    }
}

fn named(violations: &[Violation]) -> Vec<(Invariant, Subject)> {
    violations
        .iter()
        .map(|violation| (violation.invariant, violation.subject))
        .collect()
}

fn ids(violation: &Violation) -> Vec<&str> {
    violation.ids.iter().map(|id| id.as_str()).collect()
}

#[tokio::test]
async fn a_ledger_that_nobody_tampered_with_holds_every_invariant() {
    let everything = Everything::new().await;
    assert_eq!(everything.violations().await, []);
    let (ledger, held) = (&everything.stage.ledger, &everything.held);
    assert_eq!(ledger.next_generation(held).await.unwrap(), Some(Generation(2)));
    let held = ClaimedBatch {
        generation: Generation(2),
        ..held.clone()
    };
    assert_eq!(ledger.settle(&held, &whole(&held)).await.unwrap(), Fenced::Done);
    assert_eq!(
        everything.violations().await,
        [],
        "settled under a later generation than it was claimed"
    );
}

#[tokio::test]
async fn messages_of_a_batch_that_is_not_there_are_named() {
    let everything = Everything::new().await;
    let nobody = BatchId(4_000_000_000);
    let violations = everything
        .after(&[&format!(
            "INSERT INTO message (message_id, index_id, event_time, batch_id, hash_high, hash_low) \
             VALUES ('stray', 1, '2026-01-01 12:00:00', {nobody}, 0, 0)"
        )])
        .await;
    assert_eq!(
        named(&violations),
        [(Invariant::OneStanding, Subject::Batch(nobody))]
    );
    assert_eq!(violations.iter().map(ids).collect::<Vec<_>>(), [["stray"]]);
}

#[tokio::test]
async fn a_batch_that_counts_other_messages_than_it_owns_is_named() {
    for (break_it, which) in [
        ("DELETE FROM message WHERE message_id = 'n1'", "pending"),
        ("DELETE FROM message WHERE message_id = 'c1'", "cancelled"),
        (
            "UPDATE message SET hash_low = hash_low + 1 WHERE message_id = 'n1'",
            "pending",
        ),
        (
            "UPDATE message SET event_time = event_time + INTERVAL 1 HOUR WHERE message_id = 'n1'",
            "pending",
        ),
        (
            "UPDATE batch SET message_count = 3 WHERE status = 'in_progress'",
            "held",
        ),
        (
            "UPDATE message SET outcome = NULL WHERE message_id = 'd3'",
            "completed",
        ),
        (
            "UPDATE message SET outcome = 'quarantined' WHERE message_id = 'd3'",
            "completed",
        ),
        (
            "UPDATE batch SET exported = 3, missing = 0 WHERE status = 'completed'",
            "completed",
        ),
    ] {
        let everything = Everything::new().await;
        let batch = match which {
            "pending" => everything.pending,
            "held" => everything.held.id,
            "cancelled" => everything.cancelled,
            _ => everything.completed.id,
        };
        let violations = everything.after(&[break_it]).await;
        let expected = [(Invariant::CountsAreRows, Subject::Batch(batch))];
        assert_eq!(named(&violations), expected, "{break_it}: {violations:?}");
    }
}

#[tokio::test]
async fn a2_a_batch_with_more_attempts_than_it_may_have_or_than_the_log_shows_is_named() {
    let everything = Everything::new().await;
    let (held, parked) = (everything.held.id, everything.parked);
    let violations = everything
        .after(&[
            &format!("UPDATE batch SET attempts = 6 WHERE id = {held}"),
            &format!("UPDATE attempt SET outcome = 'handed_back' WHERE batch_id = {parked} LIMIT 1"),
        ])
        .await;
    let expected = [parked, held].map(|batch| (Invariant::AttemptsAreBounded, Subject::Batch(batch)));
    assert_eq!(named(&violations), expected, "{violations:?}");
    assert!(
        violations[0].text.contains("counts 5 attempts, the log shows 4"),
        "{violations:?}"
    );
    assert!(violations[1].text.contains("5 at most"), "{violations:?}");
}

#[tokio::test]
async fn e11_a_batch_in_other_hands_than_one_is_named() {
    for (break_it, which) in [
        (
            "UPDATE attempt SET ended_at = NULL, outcome = NULL WHERE outcome = 'reaped'",
            "held",
        ),
        (
            "UPDATE attempt SET ended_at = started_at, outcome = 'failed' WHERE outcome IS NULL",
            "held",
        ),
        (
            "UPDATE batch SET fence = fence + 1 WHERE status = 'in_progress'",
            "held",
        ),
        (
            "INSERT INTO attempt (batch_id, number, generation, worker, started_at) \
             SELECT id, 1, 1, 'w', created_at FROM batch WHERE status = 'pending'",
            "pending",
        ),
    ] {
        let everything = Everything::new().await;
        let batch = match which {
            "held" => everything.held.id,
            _ => everything.pending,
        };
        let violations = everything.after(&[break_it]).await;
        let expected = [(Invariant::OneWorker, Subject::Batch(batch))];
        assert_eq!(named(&violations), expected, "{break_it}: {violations:?}");
    }
}

#[tokio::test]
async fn e11_a_completion_by_a_stale_fence_is_named() {
    for (break_it, which) in [
        // Reaped, and completed all the same by the fence that was taken from it.
        (
            "UPDATE attempt SET outcome = 'completed' WHERE outcome = 'reaped'",
            "held",
        ),
        (
            "UPDATE batch SET fence = fence + 1 WHERE status = 'completed'",
            "completed",
        ),
        (
            "UPDATE attempt SET outcome = 'failed' WHERE outcome = 'completed'",
            "completed",
        ),
        (
            "INSERT INTO attempt (batch_id, number, generation, worker, started_at, ended_at, outcome) \
             SELECT id, 0, 1, 'w', created_at, created_at, 'completed' FROM batch WHERE status = 'completed'",
            "completed",
        ),
    ] {
        let everything = Everything::new().await;
        let batch = match which {
            "held" => everything.held.id,
            _ => everything.completed.id,
        };
        let violations = everything.after(&[break_it]).await;
        let expected = [(Invariant::NoStaleCompletion, Subject::Batch(batch))];
        assert_eq!(named(&violations), expected, "{break_it}: {violations:?}");
    }
}

#[tokio::test]
async fn a_completed_batch_that_does_not_name_its_own_object_is_named() {
    for break_it in [
        "UPDATE batch SET object_key = NULL WHERE status = 'completed'",
        "UPDATE batch SET sha256 = NULL WHERE status = 'completed'",
        "UPDATE batch SET settled_at = NULL WHERE status = 'completed'",
        "UPDATE batch SET generation = 2 WHERE status = 'completed'",
        "UPDATE batch SET object_key = REPLACE(object_key, 'hour=12', 'hour=13') WHERE status = 'completed'",
        "UPDATE batch SET object_key = REPLACE(object_key, 'batch-', 'batch-1') WHERE status = 'completed'",
    ] {
        let everything = Everything::new().await;
        let batch = everything.completed.id;
        assert!(
            object_of(&everything.completed)
                .as_str()
                .contains("hour=12/batch-")
        );
        let violations = everything.after(&[break_it]).await;
        let expected = [(Invariant::RecordIsWhole, Subject::Batch(batch))];
        assert_eq!(named(&violations), expected, "{break_it}: {violations:?}");
    }
}

#[tokio::test]
async fn a2_a_parked_batch_without_an_alert_of_its_cause_is_named() {
    let everything = Everything::new().await;
    let parked = everything.parked;
    let violations = everything
        .after(&["UPDATE alert SET subject_key = 'another' WHERE kind = 'parked'"])
        .await;
    let expected = [(Invariant::ParkedIsTold, Subject::Batch(parked))];
    assert_eq!(named(&violations), expected, "{violations:?}");
}

#[tokio::test]
async fn a2_a_batch_that_was_parked_a_moment_ago_may_be_untold() {
    let everything = Everything::new().await;
    everything.stage.database.sql("DELETE FROM alert").await;
    let bounds = Bounds {
        untold_max: Duration::from_secs(300),
        ..BOUNDS
    };
    let ledger = &everything.stage.ledger;
    assert_eq!(ledger.violations_in(&ALL, &bounds).await.unwrap(), []);
    let past = "UPDATE batch SET parked_at = parked_at - INTERVAL 6 MINUTE WHERE parked_at IS NOT NULL";
    everything.stage.database.sql(past).await;
    let violations = ledger.violations_in(&ALL, &bounds).await.unwrap();
    let expected = [(Invariant::ParkedIsTold, Subject::Batch(everything.parked))];
    assert_eq!(named(&violations), expected);
}

#[tokio::test]
async fn a_window_whose_account_does_not_add_up_is_named() {
    let everything = Everything::new().await;
    let query = format!("SELECT window_id FROM batch WHERE id = {}", everything.pending);
    let window = granary_domain::WindowId(everything.stage.database.row(&query).await);
    let violations = everything
        .after(&[&format!(
            "UPDATE harvest_window SET found = found + 1 WHERE id = {window}"
        )])
        .await;
    assert_eq!(
        named(&violations),
        [(Invariant::WindowsAddUp, Subject::Window(window))]
    );
}

#[tokio::test]
async fn a_round_comes_to_every_batch_and_to_what_lies_beyond_the_last() {
    let everything = Everything::new().await;
    let ledger = &everything.stage.ledger;
    let (mut after, mut slices) = (BatchId(0), Vec::new());
    while let Some(slice) = ledger.slice_after(after, 2).await.unwrap() {
        after = slice.last();
        slices.push(slice);
    }
    let count: u64 = everything.stage.database.row("SELECT COUNT(*) FROM batch").await;
    assert_eq!((slices.len() as u64, after), (count / 2 + 1, BatchId(u64::MAX)));
    assert_eq!(ledger.inspected_up_to().await.unwrap(), BatchId(0));
    for to in [BatchId(7), BatchId(u64::MAX)] {
        ledger.move_inspection(to).await.unwrap();
        assert_eq!(ledger.inspected_up_to().await.unwrap(), to);
    }
    let recent = ledger.slice_of_recent(Duration::from_secs(60), 3).await.unwrap();
    let BatchSlice::These(recent) = recent else {
        panic!("recent batches are named one by one");
    };
    assert!((1..=3).contains(&recent.len()), "{recent:?}");
    assert!(!recent.contains(&everything.pending), "nobody worked on it");
}
