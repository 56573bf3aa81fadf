//! Which windows are proven, which are due for a verification, and how far the proof reaches.

use crate::stage::{Stage, a_day, instant, verification};
use granary_domain::{Hour, TimeRange};
use granary_ledger::integrity::{Difference, ProofOutcome, ProofPass, ProofRules, ProofState};
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3_600);
const RULES: ProofRules = ProofRules {
    after: HOUR,
    horizon: Duration::from_secs(7 * 86_400),
    every: Some(Duration::from_secs(30 * 86_400)),
};

fn range(from: i64, to: i64) -> TimeRange {
    let hour = |number| a_day().from() + SignedDuration::from_hours(number);
    TimeRange::new(hour(from), hour(to)).unwrap()
}

/// Windows of an hour each, recorded two hours ago, with ten messages each.
async fn recorded(stage: &Stage, hours: &[i64]) {
    let first = range(hours[0], hours[0] + 1);
    let migration = stage.backfill(first, 10).await;
    stage
        .database
        .sql("UPDATE migration SET range_to = '2026-01-02'")
        .await;
    for number in &hours[1..] {
        let range = range(*number, number + 1);
        stage
            .database
            .sql(&format!(
                "UPDATE migration SET harvested_to = '{}'",
                range.from().strftime("%F %T")
            ))
            .await;
        assert!(stage.ledger.open_window(migration, range).await.unwrap());
    }
    stage.let_windows_be_recorded().await;
}

async fn due(stage: &Stage) -> Option<(ProofPass, TimeRange)> {
    let due = stage.ledger.due_proof(&RULES).await.unwrap()?;
    stage.ledger.note_proof_asked(&due.windows).await.unwrap();
    Some((due.pass, due.range))
}

async fn state(stage: &Stage) -> ProofState {
    stage.ledger.proof_state(None).await.unwrap()
}

fn hours_of(state: &ProofState) -> (u64, u64, u64) {
    (state.hours_proven, state.hours_waiting, state.hours_failing)
}

async fn now(stage: &Stage) -> Timestamp {
    stage.ledger.now().await.unwrap()
}

#[tokio::test]
async fn windows_that_follow_each_other_are_verified_together_and_proven_up_to_a_gap() {
    let stage = Stage::new().await;
    recorded(&stage, &[0, 1, 2, 5]).await;
    assert_eq!(hours_of(&state(&stage).await), (0, 4, 0));
    assert_eq!(due(&stage).await, Some((ProofPass::First, range(0, 3))));
    let mut verified = verification(range(0, 3), now(&stage).await);
    verified.source_at = Some("a".to_owned());
    assert_eq!(stage.ledger.mark_verified(&verified).await.unwrap(), 3);
    let proven = state(&stage).await;
    assert_eq!(hours_of(&proven), (3, 1, 0));
    assert_eq!(
        (proven.proven_to, proven.gaps.as_slice()),
        (Some(range(0, 3).to()), &[range(3, 5)][..])
    );
    assert_eq!(proven.source_at, None, "the fourth window isn't proven in it");
    let before = stage.ledger.proof_state(Some(range(3, 4).from())).await.unwrap();
    assert_eq!(before.source_at.as_deref(), Some("a"));
    assert_eq!((before.gaps.len(), before.as_of), (0, Some(verified.as_of)));
    // It has settled long ago, and is final at once.
    assert_eq!(before.final_to, before.proven_to);
    assert_eq!(due(&stage).await, Some((ProofPass::First, range(5, 6))));
    assert_eq!(due(&stage).await, None, "asked for, and not yet again");
}

#[tokio::test]
async fn a_window_is_verified_once_more_after_it_has_settled_and_then_by_rotation() {
    let stage = Stage::new().await;
    recorded(&stage, &[0, 1]).await;
    // Opened while documents still became visible: a deep re-scan has to end first.
    stage
        .database
        .sql("UPDATE harvest_window SET created_at = range_to + INTERVAL 1 HOUR")
        .await;
    let verified = verification(range(0, 2), now(&stage).await);
    stage.ledger.mark_verified(&verified).await.unwrap();
    let proven = state(&stage).await;
    assert_eq!(
        (proven.proven_to, proven.final_to),
        (Some(range(0, 2).to()), None)
    );
    assert_eq!(due(&stage).await, None);
    stage
        .database
        .sql("UPDATE harvest_window SET created_at = range_to + INTERVAL 8 DAY")
        .await;
    assert_eq!(due(&stage).await, Some((ProofPass::Final, range(0, 2))));
    let verified = verification(range(0, 2), now(&stage).await);
    stage.ledger.mark_verified(&verified).await.unwrap();
    assert_eq!(state(&stage).await.final_to, Some(range(0, 2).to()));
    assert_eq!(due(&stage).await, None);
    stage
        .database
        .sql("UPDATE window_proof SET proven_at = proven_at - INTERVAL 31 DAY")
        .await;
    let never = ProofRules { every: None, ..RULES };
    assert_eq!(stage.ledger.due_proof(&never).await.unwrap(), None);
    assert_eq!(due(&stage).await, Some((ProofPass::Rotation, range(0, 2))));
}

#[tokio::test]
async fn what_is_found_missing_is_failing_and_keeps_no_other_window_from_being_proven() {
    let stage = Stage::new().await;
    recorded(&stage, &[0, 1, 2]).await;
    let ledger = &stage.ledger;
    let first = now(&stage).await;
    ledger
        .mark_verified(&verification(range(0, 3), first))
        .await
        .unwrap();
    let second = now(&stage).await;
    let hour = Hour::of(range(1, 2).from());
    ledger
        .record_difference(hour, Difference::Incomplete, second)
        .await
        .unwrap();
    ledger
        .keep_differences(&verification(range(0, 3), second), ProofOutcome::Failing)
        .await
        .unwrap();
    let failing = state(&stage).await;
    assert_eq!(hours_of(&failing), (2, 0, 1));
    assert_eq!(failing.proven_to, Some(range(0, 1).to()));
    let named: Vec<TimeRange> = failing.failing.iter().map(|window| window.range).collect();
    assert_eq!(named, [range(1, 2)]);
    assert_eq!(due(&stage).await, Some((ProofPass::First, range(1, 2))));
    // An older verification that ends late says nothing any more.
    ledger
        .mark_verified(&verification(range(0, 3), first))
        .await
        .unwrap();
    assert_eq!(hours_of(&state(&stage).await), (2, 0, 1));
    ledger
        .mark_verified(&verification(a_day(), now(&stage).await))
        .await
        .unwrap();
    assert_eq!(hours_of(&state(&stage).await), (3, 0, 0));
}

#[tokio::test]
async fn a_window_without_an_outcome_is_asked_for_later_and_later_alone_and_is_failing_in_the_end() {
    let stage = Stage::new().await;
    recorded(&stage, &[0, 1]).await;
    assert_eq!(due(&stage).await, Some((ProofPass::First, range(0, 2))));
    for hours in [1, 2] {
        let passed = format!("UPDATE window_proof SET asked_at = asked_at - INTERVAL {hours} HOUR");
        stage
            .database
            .sql("UPDATE window_proof SET asked_at = UTC_TIMESTAMP(6) WHERE window_id > 1")
            .await;
        stage.database.sql(&passed).await;
        assert_eq!(due(&stage).await, Some((ProofPass::First, range(0, 1))));
    }
    let failing = state(&stage).await;
    assert_eq!(hours_of(&failing), (0, 1, 1));
    assert_eq!(failing.failing[0].as_of, None);
}

#[tokio::test]
async fn waiting_batches_and_late_messages_are_waited_for_and_raise_nothing() {
    let stage = Stage::new().await;
    recorded(&stage, &[0]).await;
    let ledger = &stage.ledger;
    for _ in 0..4 {
        let waiting = verification(range(0, 1), now(&stage).await);
        ledger
            .keep_differences(&waiting, ProofOutcome::Waiting)
            .await
            .unwrap();
        stage
            .database
            .sql("UPDATE window_proof SET asked_at = UTC_TIMESTAMP(6) - INTERVAL 1 HOUR")
            .await;
        assert_eq!(due(&stage).await, Some((ProofPass::First, range(0, 1))));
    }
    assert_eq!(hours_of(&state(&stage).await), (0, 1, 0));
    // What only the archive has makes nothing less proven.
    ledger
        .keep_differences(
            &verification(range(0, 1), now(&stage).await),
            ProofOutcome::Proven,
        )
        .await
        .unwrap();
    assert_eq!(hours_of(&state(&stage).await), (1, 0, 0));
    stage
        .database
        .sql(
            "INSERT INTO window_scan (window_id, kind, started_at, first_page, first_ordinal, was_verified, late_count, late_at) \
             SELECT id, 'overlap', UTC_TIMESTAMP(6), 0, 0, TRUE, 1, UTC_TIMESTAMP(6) FROM harvest_window",
        )
        .await;
    assert_eq!(hours_of(&state(&stage).await), (0, 1, 0));
    assert_eq!(due(&stage).await, Some((ProofPass::First, range(0, 1))));
}

#[tokio::test]
async fn an_empty_ledger_has_proven_nothing_and_owes_nothing() {
    let stage = Stage::new().await;
    let empty = state(&stage).await;
    assert_eq!(
        (empty.proven_to, empty.as_of, hours_of(&empty)),
        (None, None, (0, 0, 0))
    );
    assert_eq!(due(&stage).await, None);
    assert_eq!(
        stage
            .ledger
            .proof_state(Some(instant("2026-01-01T00:00:00Z")))
            .await
            .unwrap(),
        empty
    );
}

#[tokio::test]
async fn an_hour_that_several_windows_cover_counts_once_as_the_worst_of_them() {
    let stage = Stage::new().await;
    recorded(&stage, &[0, 1, 2]).await;
    let ledger = &stage.ledger;
    ledger
        .mark_verified(&verification(range(0, 3), now(&stage).await))
        .await
        .unwrap();
    recorded(&stage, &[1]).await;
    assert_eq!(hours_of(&state(&stage).await), (2, 1, 0));
    ledger
        .mark_verified(&verification(range(0, 3), now(&stage).await))
        .await
        .unwrap();
    let proven = state(&stage).await;
    assert_eq!(hours_of(&proven), (3, 0, 0));
    assert_eq!(proven.proven_to, Some(range(0, 3).to()));
}

/// Without the source nothing is proven that the source didn't prove before.
#[tokio::test]
async fn a_window_was_final_until_the_source_shows_what_is_missing_or_what_came_late() {
    let stage = Stage::new().await;
    recorded(&stage, &[0]).await;
    let were_final = async || stage.ledger.were_final(range(0, 1)).await.unwrap();
    assert!(!were_final().await, "it was never verified");
    stage
        .ledger
        .mark_verified(&verification(range(0, 1), now(&stage).await))
        .await
        .unwrap();
    assert!(were_final().await);
    let mut failed = verification(range(0, 1), now(&stage).await);
    failed.is_incomplete_everywhere = true;
    failed.is_of_archive_only = true;
    let fail = async |failed: &granary_ledger::integrity::Verification| {
        stage
            .ledger
            .keep_differences(failed, ProofOutcome::Failing)
            .await
            .unwrap();
    };
    fail(&failed).await;
    assert!(
        were_final().await,
        "the archive differs, and the source has nothing to say"
    );
    failed.is_of_archive_only = false;
    failed.as_of = now(&stage).await;
    fail(&failed).await;
    assert!(!were_final().await, "the source shows what is missing");
}
