//! What went wrong is grouped by cause, with samples.

use crate::stage::{ATTEMPTS_MAX, Stage, failure, whole};
use granary_domain::{Cause, Failure, MessageId, Outcome};
use granary_ledger::export::{Exception, Settlement};
use granary_ledger::reports::Counted;
use std::time::Duration;

fn id(text: &str) -> MessageId {
    text.to_owned().try_into().unwrap()
}

fn refused() -> Failure {
    Failure {
        cause: Cause::ArchiveRefused,
        text: "S3 refused".into(),
    }
}

#[tokio::test]
async fn parked_and_retried_batches_of_one_cause_are_one_group() {
    let stage = Stage::new().await;
    let delay = Duration::from_secs(60);
    for (number, attempts_max) in [1, ATTEMPTS_MAX, ATTEMPTS_MAX].into_iter().enumerate() {
        let batch = stage.batch(&[&format!("m{number}"), &format!("n{number}")]).await;
        let claimed = stage.claim(batch, "worker").await;
        let failure = if number == 2 { refused() } else { failure() };
        stage
            .ledger
            .fail(&claimed, &failure, delay, attempts_max)
            .await
            .unwrap();
    }
    let two = Counted {
        batches: 1,
        messages: 2,
    };
    let mut groups = stage.ledger.failed_by_cause().await.unwrap();
    groups.sort_by(|left, right| left.cause.cmp(&right.cause));
    assert_eq!(groups.len(), 2);
    assert_eq!(
        (groups[0].cause.as_str(), groups[0].parked),
        ("archive_refused", Counted::default())
    );
    assert_eq!(
        (groups[1].cause.as_str(), groups[1].parked, groups[1].retrying),
        ("spool", two, two)
    );
    assert!(groups[1].next_try.is_some() && groups[1].first_seen <= groups[1].last_seen);
}

#[tokio::test]
async fn of_each_cause_the_newest_are_shown_and_deferred_ones_too() {
    let stage = Stage::new().await;
    let mut last = None;
    for number in 0..4 {
        let batch = stage.batch(&[&format!("m{number}")]).await;
        let claimed = stage.claim(batch, "worker").await;
        stage
            .ledger
            .fail(&claimed, &failure(), Duration::ZERO, 1)
            .await
            .unwrap();
        last = Some(batch);
    }
    let deferred = stage.batch(&["d"]).await;
    let claimed = stage.claim(deferred, "worker").await;
    let down = Failure {
        cause: Cause::SourceUnavailable,
        text: "down".into(),
    };
    stage.ledger.defer(&claimed, &down, Duration::ZERO).await.unwrap();
    let samples = stage.ledger.failure_samples(2).await.unwrap();
    let of_spool: Vec<_> = samples.iter().filter(|sample| sample.cause == "spool").collect();
    assert_eq!(of_spool.len(), 2);
    assert_eq!(Some(of_spool[0].batch), last);
    assert!(of_spool[0].is_parked && of_spool[0].error.as_deref() == Some("the disk is full"));
    let waiting: Vec<_> = samples.iter().filter(|sample| sample.batch == deferred).collect();
    assert_eq!((waiting.len(), waiting[0].is_parked), (1, false));
}

#[tokio::test]
async fn messages_that_are_in_no_object_are_counted_and_named_with_their_reasons() {
    let stage = Stage::new().await;
    let batch = stage.claimed().await;
    let exception = |message: &str, outcome, reason: &str| Exception {
        message_id: id(message),
        outcome,
        reason: reason.into(),
    };
    let exceptions = [
        exception("m1", Outcome::Missing, "gone"),
        exception("m2", Outcome::Quarantined, "no JSON"),
    ];
    stage.ledger.record_exceptions(&batch, &exceptions).await.unwrap();
    let none: u64 = stage
        .ledger
        .exceptions()
        .await
        .unwrap()
        .iter()
        .map(|group| group.messages)
        .sum();
    assert_eq!(none, 0, "the next attempt may find otherwise");
    let settlement = Settlement {
        exported: 1,
        missing: 1,
        quarantined: 1,
        ..whole(&batch)
    };
    stage.ledger.settle(&batch, &settlement).await.unwrap();
    for group in stage.ledger.exceptions().await.unwrap() {
        assert_eq!((group.batches, group.messages), (1, 1), "{group:?}");
        assert!(group.first_seen.is_some() && group.first_seen == group.last_seen);
    }
    let samples = stage
        .ledger
        .exception_samples(Outcome::Quarantined, 10)
        .await
        .unwrap();
    assert_eq!(samples.len(), 1);
    assert_eq!(
        (samples[0].message.as_str(), samples[0].reason.as_str()),
        ("m2", "no JSON")
    );
    assert_eq!(
        stage
            .ledger
            .exception_samples(Outcome::Missing, 10)
            .await
            .unwrap()[0]
            .message,
        id("m1")
    );
}
