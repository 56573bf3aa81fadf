//! Windows that lack an index: on record with their end, and due for another reading as soon as it can be read.

use crate::harvest::rescan::{let_it_be, recorded, rules};
use crate::stage::{LEASE, Stage, a_day, seen, verification};
use granary_ledger::export::Fenced;
use granary_ledger::harvest::{DueRescan, LeasedWindow, Scan};
use granary_ledger::integrity::ProofOutcome;
use granary_ledger::reports::{LeftOutOfWindow, TimelineFilter};
use std::time::Duration;

const A_YEAR: Duration = Duration::from_secs(365 * 86_400);

fn names(indices: &[&str]) -> Vec<String> {
    indices.iter().map(|index| (*index).to_owned()).collect()
}

/// A window that was opened and recorded a year after its end: it is settled, and read no more.
async fn settled_without(stage: &Stage, indices: &[&str]) -> LeasedWindow {
    let mut window = stage.window(1_000).await;
    stage.record(&mut window, &[seen("m1")]).await;
    window.left_out = names(indices);
    assert_eq!(stage.ledger.finish_window(&window).await.unwrap(), Fenced::Done);
    let_it_be(stage, A_YEAR, Duration::from_secs(3_600)).await;
    window
}

async fn due(stage: &Stage, left_out: &[&str]) -> Vec<DueRescan> {
    let left_out = names(left_out);
    stage
        .ledger
        .due_rescans(rules(stage).await, &left_out, 10)
        .await
        .unwrap()
}

async fn left_out(stage: &Stage) -> Vec<LeftOutOfWindow> {
    let all = TimelineFilter {
        from: None,
        to: None,
        migration: None,
        before: None,
        limit: 10,
    };
    stage.ledger.timeline(&all).await.unwrap().remove(0).left_out
}

#[tokio::test]
async fn h12_a_settled_window_is_read_again_in_full_as_soon_as_an_index_that_it_lacks_can_be_read() {
    let stage = Stage::new().await;
    settled_without(&stage, &["q-1", "q-2"]).await;
    assert!(due(&stage, &["q-2", "q-1", "q-9"]).await.is_empty());
    let due_now = due(&stage, &["q-2"]).await;
    assert_eq!(due_now.len(), 1);
    let window = stage
        .ledger
        .claim_rescan(&due_now[0], "holder", LEASE)
        .await
        .unwrap();
    let mut window = window.expect("nobody else holds it");
    assert_eq!(window.scan, Scan::Deep);
    stage.ledger.restart_window(&mut window).await.unwrap();
    stage.record(&mut window, &[seen("m1"), seen("m2")]).await;
    window.left_out = names(&["q-2"]);
    assert_eq!(stage.ledger.finish_window(&window).await.unwrap(), Fenced::Done);
    assert_eq!(
        stage.ledger.finish_window(&window).await.unwrap(),
        Fenced::Done,
        "twice"
    );
    let remaining = LeftOutOfWindow {
        index: "q-2".to_owned(),
        is_accepted: false,
    };
    assert_eq!(left_out(&stage).await, [remaining]);
    assert!(due(&stage, &["q-2"]).await.is_empty());
    assert_eq!(
        due(&stage, &[]).await.len(),
        1,
        "the index is gone, or can be read"
    );
    let late: (u64, u64) = stage
        .database
        .row("SELECT late_count, late_secs FROM window_scan")
        .await;
    assert_eq!(late, (1, 0), "nothing tells how late it came");
}

#[tokio::test]
async fn h12_a_window_that_lacks_no_index_is_not_due_for_it() {
    let stage = Stage::new().await;
    recorded(&stage, &[seen("m1")]).await;
    let_it_be(&stage, A_YEAR, Duration::from_secs(3_600)).await;
    assert!(due(&stage, &["q-1"]).await.is_empty() && due(&stage, &[]).await.is_empty());
}

#[tokio::test]
async fn h12_what_an_index_that_is_not_read_may_hold_keeps_every_window_unproven() {
    let stage = Stage::new().await;
    let window = settled_without(&stage, &["q-1"]).await;
    let now = stage.ledger.now().await.unwrap();
    let mut failed = verification(a_day(), now);
    failed.is_incomplete_everywhere = true;
    stage
        .ledger
        .keep_differences(&failed, ProofOutcome::Failing)
        .await
        .unwrap();
    let failing = stage.ledger.failing_windows().await.unwrap();
    assert_eq!(failing.iter().map(|one| one.id).collect::<Vec<_>>(), [window.id]);
}
