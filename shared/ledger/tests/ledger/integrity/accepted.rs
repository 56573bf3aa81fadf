//! Exceptions that an operator accepts: by kind and index, replaced and taken back.

use crate::stage::{Stage, a_day, verification};
use granary_domain::{ExceptionKind, Hour, TimeRange};
use granary_ledger::integrity::CountedExceptions;
use jiff::SignedDuration;

#[tokio::test]
async fn h18_what_is_accepted_is_replaced_by_kind_and_index_and_taken_back_with_none() {
    let stage = Stage::new().await;
    let accepted = async || {
        let accepted = stage.ledger.accepted_exceptions().await.unwrap();
        accepted
            .into_iter()
            .map(|one| (one.kind, one.index, one.max, one.accepted_by))
            .collect::<Vec<_>>()
    };
    assert!(accepted().await.is_empty());
    for kind in ExceptionKind::ALL {
        stage.accept(kind, "q-1", 3).await;
    }
    stage.accept(ExceptionKind::MergedId, "q-2", 1).await;
    stage.accept(ExceptionKind::MergedId, "q-1", 5).await;
    stage.accept(ExceptionKind::Quarantined, "q-1", 0).await;
    stage.accept(ExceptionKind::Quarantined, "q-9", 0).await;
    let row = |kind, index: &str, max| (kind, index.to_owned(), max, "operator".to_owned());
    assert_eq!(
        accepted().await,
        [
            row(ExceptionKind::LeftOut, "q-1", 3),
            row(ExceptionKind::MergedId, "q-1", 5),
            row(ExceptionKind::MergedId, "q-2", 1),
            row(ExceptionKind::WithoutId, "q-1", 3),
        ]
    );
}

#[tokio::test]
async fn h18_what_hours_outside_of_a_range_have_of_the_accepted_kinds_is_summed_up() {
    let stage = Stage::new().await;
    stage.accept(ExceptionKind::WithoutId, "q-1", 3).await;
    let counted = |kind, index: &str, messages| CountedExceptions {
        kind,
        index: index.to_owned(),
        messages,
    };
    let hour = |number: i64| Hour::of(a_day().from() + SignedDuration::from_hours(number));
    let count = async |number: i64, exceptions: &[CountedExceptions]| {
        stage
            .ledger
            .count_exceptions(hour(number), exceptions)
            .await
            .unwrap();
    };
    let others = [
        counted(ExceptionKind::MergedId, "q-1", 7),
        counted(ExceptionKind::WithoutId, "q-1", 2),
        counted(ExceptionKind::WithoutId, "q-2", 7),
    ];
    count(0, &others).await;
    count(1, &[counted(ExceptionKind::WithoutId, "q-1", 5)]).await;
    count(1, &[counted(ExceptionKind::WithoutId, "q-1", 1)]).await;
    let outside = async |from: i64, to: i64| {
        let range = TimeRange::new(hour(from).start(), hour(to).start()).unwrap();
        let outside = stage.ledger.accepted_outside(range).await.unwrap();
        outside.iter().map(|counted| counted.messages).collect::<Vec<_>>()
    };
    assert_eq!(outside(2, 3).await, [3]);
    assert_eq!(outside(1, 2).await, [2], "an hour written again is written once");
    assert_eq!(outside(0, 2).await, [0; 0]);
    count(0, &[]).await;
    assert_eq!(outside(2, 3).await, [1]);
}

/// The windows are final, with two accepted exceptions among them; another one relies on none.
#[tokio::test]
async fn h18_accepting_less_takes_back_the_proofs_that_rely_on_it_and_no_others() {
    let stage = Stage::new().await;
    let hour = |number: i64| a_day().from() + SignedDuration::from_hours(number);
    let ranges = [0, 1].map(|number| TimeRange::new(hour(number), hour(number + 1)).unwrap());
    for range in ranges {
        stage.backfill(range, 10).await;
    }
    stage.let_windows_be_recorded().await;
    let prove = async || {
        let accepted = stage.ledger.accepted_exceptions().await.unwrap();
        let mut relying = verification(ranges[0], stage.ledger.now().await.unwrap());
        relying.accepted = accepted;
        let proven = stage.ledger.mark_verified(&relying).await.unwrap();
        (relying, proven)
    };
    let proven = async || {
        let state = stage.ledger.proof_state(None).await.unwrap();
        (state.hours_proven, state.hours_waiting)
    };
    let plain = verification(ranges[1], stage.ledger.now().await.unwrap());
    stage.ledger.mark_verified(&plain).await.unwrap();
    stage.accept(ExceptionKind::WithoutId, "q-1", 2).await;
    let (relying, windows) = prove().await;
    assert_eq!((windows, proven().await), (1, (2, 0)));

    stage.accept(ExceptionKind::WithoutId, "q-1", 3).await;
    assert_eq!(proven().await, (2, 0), "more is accepted");
    stage.accept(ExceptionKind::WithoutId, "q-1", 1).await;
    assert_eq!(proven().await, (1, 1));
    assert_eq!(
        stage.ledger.mark_verified(&relying).await.unwrap(),
        0,
        "a verification that ends now read what was accepted before"
    );
    assert_eq!(proven().await, (1, 1));
    prove().await;
    assert_eq!(proven().await, (2, 0));
    stage.accept(ExceptionKind::WithoutId, "q-1", 0).await;
    assert_eq!(proven().await, (1, 1));
}
