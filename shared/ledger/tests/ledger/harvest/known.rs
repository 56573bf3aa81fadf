//! What a page finds in the ledger is accounted for the same way, whether digests tell or rows do.

use crate::harvest::rescan::{MINUTE, begun, let_it_be, recorded};
use crate::stage::{LEASE, Stage, instant, many, record_page, seen, seen_at};
use granary_domain::{BatchId, Tally};
use granary_ledger::LedgerError;
use granary_ledger::export::Fenced;
use granary_ledger::harvest::{PageOfMessages, Recorded, SeenMessage};
use granary_ledger::integrity::{BatchSlice, Bounds};
use jiff::SignedDuration;
use std::time::Duration;

const ALL: BatchSlice = BatchSlice::Between {
    after: BatchId(0),
    up_to: BatchId(u64::MAX),
};
const BOUNDS: Bounds = Bounds {
    attempts_max: None,
    untold_max: Duration::from_secs(3_600),
};

/// Whose a message is before the page comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    New,
    Page,
    Another,
    Cancelled,
}

/// Messages of two hours, two at each instant, in runs of one owner each. The same `seed` makes the same runs.
fn in_runs(seed: u64, count: u64) -> Vec<(SeenMessage, Owner)> {
    let start = instant("2026-01-01T10:00:00Z");
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = move |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    let (mut owner, mut left) = (Owner::Page, 0);
    (0..count)
        .map(|number| {
            if left == 0 {
                left = 1 + next(900);
                owner = [
                    Owner::New,
                    Owner::Page,
                    Owner::Another,
                    Owner::Page,
                    Owner::Cancelled,
                ][usize::try_from(next(5)).unwrap()];
            }
            left -= 1;
            let time = start + SignedDuration::from_micros(i64::try_from(number / 2 * 4_700_000).unwrap());
            (seen_at(&format!("m{number:05}"), &time.to_string()), owner)
        })
        .collect()
}

async fn assert_all_holds(stage: &Stage) {
    assert_eq!(stage.ledger.violations_in(&ALL, &BOUNDS).await.unwrap(), []);
}

#[tokio::test]
async fn a_page_is_accounted_for_whatever_of_it_is_known() {
    for seed in 1..=5 {
        let stage = Stage::new().await;
        let messages = in_runs(seed, 3_000);
        let of = |wanted: Owner| {
            let those = messages.iter().filter(|(_, owner)| *owner == wanted);
            those.map(|(message, _)| message.clone()).collect::<Vec<_>>()
        };
        for owner in [Owner::Another, Owner::Cancelled] {
            let mut window = stage.window(100).await;
            stage.record(&mut window, &of(owner)).await;
            stage.ledger.finish_window(&window).await.unwrap();
            if owner == Owner::Cancelled {
                stage.give_up(window.migration_id).await;
            }
        }
        let mut window = stage.window(70).await;
        stage.record(&mut window, &of(Owner::Page)).await;
        assert_eq!(
            stage.ledger.restart_window(&mut window).await.unwrap(),
            Fenced::Done
        );
        let page: Vec<SeenMessage> = messages.iter().map(|(message, _)| message.clone()).collect();
        for turn in 0..2 {
            let tally = stage.record(&mut window, &page).await;
            assert_all_holds(&stage).await;
            if turn == 0 {
                let expected = Tally {
                    found: 3_000,
                    recorded: (of(Owner::Page).len() + of(Owner::New).len()) as u64,
                    adopted: of(Owner::Cancelled).len() as u64,
                    owned_elsewhere: of(Owner::Another).len() as u64,
                    ..Tally::default()
                };
                assert_eq!(tally, expected, "seed {seed}");
            } else {
                assert_eq!(
                    (tally.found, tally.adopted),
                    (6_000, of(Owner::Cancelled).len() as u64)
                );
                assert_eq!(tally.owned_elsewhere, 2 * of(Owner::Another).len() as u64);
            }
        }
        let rows: (u64, u64) = stage
            .database
            .row(
                "SELECT COUNT(*), CAST(SUM(b.status = 'pending') AS UNSIGNED) FROM message m JOIN batch b ON b.id = m.batch_id",
            )
            .await;
        assert_eq!(rows, (3_000, 3_000), "each message has one owner");
    }
}

#[tokio::test]
async fn two_ids_with_one_hash_fail_the_page_and_are_both_named() {
    let stage = Stage::new().await;
    stage.batch(&["one"]).await;
    // No two ids with one hash are known: the row is given another id's.
    stage
        .database
        .sql("UPDATE message SET message_id = 'other'")
        .await;
    let window = stage.window(10).await;
    let page = [seen("one"), seen("new")];
    let page = PageOfMessages {
        messages: &page,
        without_id: 0,
        tally_before: window.tally,
        bookmark: "b",
    };
    let refused = stage.ledger.record_page(&window, &page, LEASE).await.unwrap_err();
    let text = refused.to_string();
    assert!(matches!(refused, LedgerError::Inconsistent { .. }) && !refused.is_platforms());
    assert!(text.contains("\"one\"") && text.contains("\"other\""), "{text}");
    let rows: u64 = stage.database.row("SELECT COUNT(*) FROM message").await;
    assert_eq!(rows, 1, "nothing was written");
}

#[tokio::test]
async fn h8_what_the_pages_of_a_re_scan_find_is_one_batch_of_the_hour_and_is_sent_when_it_is_over() {
    let stage = Stage::new().await;
    let window = recorded(&stage, &many("m", 5)).await;
    let sent = stage.ledger.unsent(None, 10).await.unwrap();
    stage.ledger.mark_sent(&sent).await.unwrap();
    let_it_be(&stage, MINUTE, 20 * MINUTE).await;

    let mut again = begun(&stage).await;
    let mut page = many("m", 5);
    page.push(seen_at("late1", "2026-01-01T12:30:00Z"));
    stage.record(&mut again, &page).await;
    let next = [
        seen_at("late2", "2026-01-01T12:40:00Z"),
        seen_at("late3", "2026-01-01T13:00:00Z"),
    ];
    stage.record(&mut again, &next).await;
    let sizes = "SELECT message_count, CAST(time_from AS CHAR), CAST(time_to AS CHAR) FROM batch ORDER BY id";
    let batches: Vec<(u32, String, String)> = stage.database.rows(sizes).await;
    let times = |from: &str, to: &str| {
        (
            format!("2026-01-01 {from}.000000"),
            format!("2026-01-01 {to}.000000"),
        )
    };
    let expected = [
        (5, "12:00:00", "12:00:00"),
        (2, "12:30:00", "12:40:00"),
        (1, "13:00:00", "13:00:00"),
    ];
    let expected = expected.map(|(count, from, to)| {
        let (from, to) = times(from, to);
        (count, from, to)
    });
    assert_eq!(batches, expected, "what a batch says of its times is widened");
    assert!(
        stage.ledger.unsent(None, 10).await.unwrap().is_empty(),
        "more may come"
    );
    assert_all_holds(&stage).await;

    assert_eq!(stage.ledger.finish_window(&again).await.unwrap(), Fenced::Done);
    assert_eq!(stage.ledger.unsent(None, 10).await.unwrap().len(), 2);
    assert_eq!(stage.ledger.late_in(window.id).await.unwrap(), 3);
}

#[tokio::test]
async fn h8_what_came_late_joins_no_batch_that_a_worker_has_seen_or_that_has_no_room() {
    let stage = Stage::new().await;
    let mut window = stage.window(3).await;
    let page = ["a", "b", "c", "d"].map(seen);
    stage.record(&mut window, &page).await;
    stage.ledger.finish_window(&window).await.unwrap();
    let last: u64 = stage.database.row("SELECT MAX(id) FROM batch").await;
    let claimed = stage.claim(BatchId(last), "worker").await;
    let (failure, delay) = (crate::stage::failure(), Duration::ZERO);
    stage.ledger.defer(&claimed, &failure, delay).await.unwrap();
    let_it_be(&stage, MINUTE, 20 * MINUTE).await;

    let mut again = begun(&stage).await;
    let mut page = page.to_vec();
    page.push(seen("late"));
    stage.record(&mut again, &page).await;
    let sizes: Vec<u32> = stage
        .database
        .rows("SELECT message_count FROM batch ORDER BY id")
        .await;
    assert_eq!(sizes, [3, 1, 1], "one was full, the other was claimed before");
    assert_all_holds(&stage).await;
}

/// A harvester that meets a message which is being released waits for the end of that, and adopts it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h17_a_page_and_a_cancellation_of_what_it_meets_come_one_after_the_other() {
    let stage = Stage::new().await;
    let mut given_up = stage.window(10).await;
    let page = many("m", 300);
    stage.record(&mut given_up, &page).await;
    stage.ledger.finish_window(&given_up).await.unwrap();
    let mut kept = stage.window(10).await;
    stage
        .ledger
        .cancel_migration(given_up.migration_id)
        .await
        .unwrap();
    let (ledger, window, messages) = (stage.ledger.clone(), kept.clone(), page.clone());
    let recording = tokio::spawn(async move { record_page(&ledger, &window, &messages).await });
    while stage.ledger.release_cancelled().await.unwrap().is_some() {}
    let Recorded::Done { tally, .. } = recording.await.unwrap() else {
        panic!("the window is somebody else's");
    };
    kept.pages += 1;
    kept.tally = tally;
    assert_eq!(tally.adopted + tally.owned_elsewhere, 300);
    assert_eq!(stage.ledger.finish_window(&kept).await.unwrap(), Fenced::Done);
    if tally.owned_elsewhere > 0 {
        let state = "SELECT state FROM harvest_window ORDER BY id DESC LIMIT 1";
        assert_eq!(
            stage.database.row::<String>(state).await,
            "open",
            "it is read again"
        );
    }
    assert_all_holds(&stage).await;
}
