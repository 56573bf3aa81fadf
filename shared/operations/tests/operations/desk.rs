//! The desk: operations are taken up, gone on with, finished and given up.

use crate::stand::{LEASE, Stand, VISIBILITY, arguments};
use granary_ledger::export::Fenced;
use granary_ledger::jobs::{NewOperation, OperationState};
use granary_operations::{Advanced, AskError, Budget, Desk, Job, Outcome};
use granary_verify::VerifyArguments;
use serde_json::json;
use std::time::{Duration, Instant};
use uuid::Uuid;

fn some_seconds() -> Budget {
    Budget {
        until: Instant::now() + Duration::from_secs(60),
        messages_max: u64::MAX,
    }
}

fn no_time() -> Budget {
    Budget {
        until: Instant::now(),
        messages_max: u64::MAX,
    }
}

#[tokio::test]
async fn jobs_are_worked_on_to_their_results() {
    let stand = Stand::new().await;
    let jobs = [
        Job::Seed(arguments(30, 1)),
        Job::Verify(VerifyArguments::default()),
        Job::Clear,
    ];
    let mut ids = Vec::new();
    for job in jobs {
        let id = stand.desk.ask(&job, "anna").await.unwrap();
        let round = stand.desk.work(&some_seconds()).await.unwrap();
        let last = round.last().unwrap();
        assert_eq!(last.id, id);
        assert!(matches!(last.outcome, Outcome::Finished { .. }), "{round:?}");
        ids.push(id);
    }
    let [seed, verify, clear] = ids[..] else {
        unreachable!()
    };
    let result_of = async |id| stand.ledger.operation(id).await.unwrap().unwrap().result.unwrap();
    assert_eq!(result_of(seed).await["documents"][&stand.index], 30);
    assert_eq!(result_of(verify).await["verdict"], "INCOMPLETE");
    assert_eq!(result_of(clear).await["documents"][&stand.index], 30);
    assert!(stand.desk.work(&some_seconds()).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_slice_without_time_leaves_the_operation_to_the_next() {
    let (stand, _) = Stand::with_exported(30, 3).await;
    let id = stand
        .desk
        .ask(&Job::Verify(VerifyArguments::default()), "anna")
        .await
        .unwrap();
    let advanced = stand.desk.advance(Some(id), &no_time()).await.unwrap().unwrap();
    assert_eq!(advanced.outcome, Outcome::OutOfTime);
    let small = Budget {
        messages_max: 0,
        ..some_seconds()
    };
    let advanced = stand.desk.advance(Some(id), &small).await.unwrap().unwrap();
    assert!(
        matches!(advanced.outcome, Outcome::TooLarge { .. }),
        "{advanced:?}"
    );
    let waiting = stand.ledger.operation(id).await.unwrap().unwrap();
    assert_eq!(waiting.state, OperationState::Waiting);
    let advanced = stand.desk.advance(None, &some_seconds()).await.unwrap().unwrap();
    let Outcome::Finished { result } = advanced.outcome else {
        panic!("{advanced:?}")
    };
    assert_eq!(
        (&result["verdict"], &result["hours"]),
        (&json!("COMPLETE"), &json!(3))
    );
}

#[tokio::test]
async fn an_operation_that_somebody_holds_is_not_taken_twice() {
    let stand = Stand::new().await;
    let id = stand
        .desk
        .ask(&Job::Verify(VerifyArguments::default()), "anna")
        .await
        .unwrap();
    let held = stand
        .ledger
        .claim_operation(Some(id), Duration::from_secs(90))
        .await
        .unwrap();
    assert!(held.is_some());
    assert!(
        stand
            .desk
            .advance(Some(id), &some_seconds())
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn what_can_never_succeed_ends_with_a_reason() {
    let stand = Stand::new().await;
    let strange = NewOperation {
        id: Uuid::now_v7(),
        kind: "paint".into(),
        arguments: json!({}),
        requested_by: "anna".into(),
    };
    stand.ledger.make_operation(&strange).await.unwrap();
    let unknown = VerifyArguments {
        migration: Some(granary_domain::MigrationId::new()),
        ..VerifyArguments::default()
    };
    let of_nothing = stand.desk.ask(&Job::Verify(unknown), "anna").await.unwrap();
    let round = stand.desk.work(&some_seconds()).await.unwrap();
    assert!(
        round
            .iter()
            .all(|advanced| matches!(advanced.outcome, Outcome::Failed { .. })),
        "{round:?}"
    );
    for (id, part) in [(strange.id, "paint"), (of_nothing, "no migration")] {
        let failed = stand.ledger.operation(id).await.unwrap().unwrap();
        assert_eq!(failed.state, OperationState::Failed);
        assert!(failed.error.unwrap().contains(part));
    }
}

#[tokio::test]
async fn a_platforms_fault_is_tried_again_at_the_next_tick_and_blocks_no_other_job() {
    let stand = Stand::new().await;
    let id = stand
        .desk
        .ask(&Job::Verify(VerifyArguments::default()), "anna")
        .await
        .unwrap();
    let away = granary_source::Source::new(granary_source::SourceSettings {
        url: "http://127.0.0.1:1".parse().unwrap(),
        credentials: None,
        ca: None,
        index: "messages".into(),
        id_field: "_id".into(),
        doc_id_is_message_id: granary_source::DocId::IsItsOwn,
        time_field: "at".into(),
        filter: None,
        request_timeout: Duration::from_secs(1),
    });
    let verifier = granary_verify::Verifier::new(
        stand.ledger.clone(),
        away.unwrap(),
        stand.archive.clone(),
        VISIBILITY,
    );
    let desk = Desk::new(stand.ledger.clone(), verifier, Some(stand.seeder.clone()));
    let seed = desk.ask(&Job::Seed(arguments(10, 1)), "anna").await.unwrap();
    let round = desk.work(&some_seconds()).await.unwrap();
    assert_eq!(round[0].id, id);
    assert!(
        matches!(round[0].outcome, Outcome::ToBeTriedAgain { .. }),
        "{round:?}"
    );
    let (finished, slices) = round[1..].split_last().unwrap();
    assert!(matches!(finished.outcome, Outcome::Finished { .. }), "{round:?}");
    assert_eq!(finished.id, seed, "not again in the same round: {round:?}");
    // On a busy machine a job takes more than a slice of time.
    let is_cut = |slice: &Advanced| slice.id == seed && matches!(slice.outcome, Outcome::OutOfTime);
    assert!(slices.iter().all(is_cut), "{round:?}");
    let operation = stand.ledger.operation(id).await.unwrap().unwrap();
    assert_eq!(operation.state, OperationState::Waiting);
    assert!(operation.error.is_some());
}

#[tokio::test]
async fn jobs_have_their_turns_one_after_the_other() {
    let stand = Stand::new().await;
    let mut jobs = Vec::new();
    for _ in 0..3 {
        let job = Job::Verify(VerifyArguments::default());
        jobs.push(stand.desk.ask(&job, "anna").await.unwrap());
    }
    let mut turns = Vec::new();
    for _ in 0..6 {
        let advanced = stand.desk.advance(None, &no_time()).await.unwrap().unwrap();
        assert_eq!(advanced.outcome, Outcome::OutOfTime);
        turns.push(advanced.id);
    }
    assert_eq!(turns, [jobs.clone(), jobs].concat());
}

#[tokio::test]
async fn a_job_that_was_cancelled_is_worked_on_no_more() {
    let stand = Stand::new().await;
    let id = stand
        .desk
        .ask(&Job::Seed(arguments(10, 1)), "anna")
        .await
        .unwrap();
    let held = stand
        .ledger
        .claim_operation(Some(id), LEASE)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(stand.ledger.cancel_operation(id).await.unwrap(), Fenced::Done);
    let saved = stand
        .ledger
        .save_progress(&held, &json!({}), LEASE)
        .await
        .unwrap();
    assert_eq!(saved, Fenced::Refused, "its worker has lost it");
    assert!(stand.desk.work(&some_seconds()).await.unwrap().is_empty());
    assert_eq!(stand.ledger.cancel_operation(id).await.unwrap(), Fenced::Refused);
    let cancelled = stand.ledger.operation(id).await.unwrap().unwrap();
    assert_eq!(cancelled.state, OperationState::Cancelled);
    assert!(cancelled.finished_at.is_some());
}

#[tokio::test]
async fn a_slice_whose_operation_was_taken_over_writes_nothing() {
    let stand = Stand::new().await;
    let id = stand
        .desk
        .ask(&Job::Seed(arguments(10, 1)), "anna")
        .await
        .unwrap();
    let lapsed = stand
        .ledger
        .claim_operation(Some(id), Duration::ZERO)
        .await
        .unwrap()
        .unwrap();
    let advanced = stand
        .desk
        .advance(Some(id), &some_seconds())
        .await
        .unwrap()
        .unwrap();
    assert!(matches!(advanced.outcome, Outcome::Finished { .. }));
    let late = stand
        .ledger
        .renew_operation(&lapsed, Duration::from_secs(90))
        .await
        .unwrap();
    assert_eq!(late, granary_ledger::export::Fenced::Refused);
}

#[tokio::test]
async fn s1_a_desk_without_a_seeder_takes_no_seeding_jobs() {
    let stand = Stand::new().await;
    let desk = Desk::new(stand.ledger.clone(), stand.verifier.clone(), None);
    for job in [Job::Seed(arguments(10, 1)), Job::Clear] {
        let refused = desk.ask(&job, "anna").await;
        assert!(matches!(refused, Err(AskError::SeedingOff)), "{refused:?}");
    }
    stand.desk.ask(&Job::Clear, "anna").await.unwrap();
    let round = desk.work(&some_seconds()).await.unwrap();
    assert!(
        matches!(&round[0].outcome, Outcome::Failed { error } if error.contains("GRANARY_ALLOW_SEEDING"))
    );
}

#[test]
fn a_desk_can_be_shared_by_a_server() {
    fn assert_send<T: Send>(_: impl FnOnce(Desk) -> T) {}
    assert_send(|desk| async move { desk.work(&some_seconds()).await });
}
