//! Alerts: one row for each subject, published at least once; a storm begins once and ends once.

use crate::stage::{ATTEMPTS_MAX, Stage, failure, whole};
use granary_ledger::jobs::FailureRate;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3_600);

#[tokio::test]
async fn an_alert_about_one_subject_is_written_once() {
    let stage = Stage::new().await;
    let raise = async || {
        let raised =
            stage
                .ledger
                .raise_alert("archive_conflict", "7.1", "archive_conflict", "a foreign object");
        raised.await.unwrap()
    };
    assert_eq!((raise().await, raise().await), (1, 0));
    let alerts = stage.ledger.unpublished_alerts(10).await.unwrap();
    assert_eq!((alerts.len(), alerts[0].text.as_str()), (1, "a foreign object"));
    stage.ledger.mark_published(&[]).await.unwrap();
    stage.ledger.mark_published(&[alerts[0].id]).await.unwrap();
    assert!(stage.ledger.unpublished_alerts(10).await.unwrap().is_empty());
    assert_eq!(raise().await, 0, "people were told");
}

#[tokio::test]
async fn alerts_that_did_not_fit_are_found_by_their_cause() {
    let stage = Stage::new().await;
    for (subject, cause) in [("1", "one"), ("2", "one"), ("3", "another"), ("4", "one")] {
        stage
            .ledger
            .raise_alert("parked", subject, cause, "text")
            .await
            .unwrap();
    }
    let alerts = stage.ledger.unpublished_alerts(10).await.unwrap();
    let subjects: Vec<&str> = alerts.iter().map(|alert| alert.subject_key.as_str()).collect();
    assert_eq!(subjects, ["3", "1", "2", "4"]);
    let firsts = stage.ledger.unpublished_alerts(1).await.unwrap();
    let subjects: Vec<&str> = firsts.iter().map(|alert| alert.subject_key.as_str()).collect();
    assert_eq!(subjects, ["3", "1"], "however many there are of one cause");
    let like = async |place: usize, limit| {
        stage
            .ledger
            .unpublished_like(&alerts[place], limit)
            .await
            .unwrap()
    };
    assert!(like(0, 10).await.is_empty());
    assert_eq!(like(1, 10).await, [alerts[2].id, alerts[3].id]);
    assert_eq!(like(1, 1).await, [alerts[2].id]);
    stage.ledger.mark_published(&[alerts[2].id]).await.unwrap();
    assert_eq!(like(1, 10).await, [alerts[3].id]);
}

#[tokio::test]
async fn a1_events_of_a_cause_are_sent_at_once_and_the_next_ones_an_hour_later() {
    let stage = Stage::new().await;
    let raise = async |kind: &str, subject: &str, cause: &str| {
        let raised = stage.ledger.raise_alert(kind, subject, cause, "text").await;
        assert_eq!(raised.unwrap(), 1);
    };
    let to_publish = async || {
        let alerts = stage.ledger.unpublished_alerts(10).await.unwrap();
        alerts
            .into_iter()
            .map(|alert| (alert.id, alert.subject_key))
            .unzip::<_, _, Vec<u64>, Vec<String>>()
    };
    raise("invariant", "1", "miscount").await;
    let (numbers, _) = to_publish().await;
    stage.ledger.mark_published(&numbers).await.unwrap();

    raise("invariant", "2", "miscount").await;
    raise("invariant", "3", "another rule").await;
    raise("source_problem", "4", "miscount").await;
    assert_eq!(
        to_publish().await.1,
        ["3", "4"],
        "the same cause waits, and nothing else"
    );
    stage
        .database
        .sql("UPDATE alert SET published_at = published_at - INTERVAL 3601 SECOND")
        .await;
    assert_eq!(to_publish().await.1, ["3", "2", "4"]);
}

#[tokio::test]
async fn a1_a_storm_alerts_once_and_says_when_it_is_over() {
    let stage = Stage::new().await;
    let ledger = &stage.ledger;
    assert!(
        !ledger
            .end_condition("failure_rate", "failure_rate", "nothing lasted")
            .await
            .unwrap()
    );
    for storm in 1..=2 {
        assert!(
            ledger
                .begin_condition("failure_rate", "failure_rate", "too many")
                .await
                .unwrap()
        );
        assert!(
            !ledger
                .begin_condition("failure_rate", "failure_rate", "still too many")
                .await
                .unwrap()
        );
        assert!(
            ledger
                .begin_condition("source_unavailable", "source_unavailable", "another")
                .await
                .unwrap()
                || storm > 1
        );
        assert!(
            ledger
                .end_condition("failure_rate", "failure_rate", "all is well")
                .await
                .unwrap()
        );
        assert!(
            !ledger
                .end_condition("failure_rate", "failure_rate", "all is well")
                .await
                .unwrap()
        );
    }
    assert_eq!(
        published(&stage).await,
        ["failure_rate", "failure_rate", "source_unavailable"]
    );
    assert_eq!(
        published(&stage).await,
        ["failure_rate_over", "failure_rate_over"],
        "an end waits for its beginning"
    );
}

/// Publishes what is to be published now. Its kinds.
async fn published(stage: &Stage) -> Vec<String> {
    let alerts = stage.ledger.unpublished_alerts(10).await.unwrap();
    let numbers: Vec<u64> = alerts.iter().map(|alert| alert.id).collect();
    stage.ledger.mark_published(&numbers).await.unwrap();
    alerts.into_iter().map(|alert| alert.kind).collect()
}

#[tokio::test]
async fn a1_two_reapers_at_once_begin_one_storm() {
    let stage = Stage::new().await;
    let other = stage.database.ledger().await;
    for round in 0..5 {
        let kind = format!("condition_{round}");
        let (one, another) = tokio::join!(
            stage.ledger.begin_condition(&kind, "cause", "one"),
            other.begin_condition(&kind, "cause", "another")
        );
        assert!(one.unwrap() ^ another.unwrap(), "round {round}");
    }
}

#[tokio::test]
async fn a1_the_failure_rate_leaves_out_what_the_platform_broke_off() {
    let stage = Stage::new().await;
    let empty = stage.ledger.failure_rate(HOUR).await.unwrap();
    assert_eq!((empty.attempts, empty.ratio()), (0, 0.0));
    for (number, ending) in ["settle", "settle", "settle", "fail", "reap", "defer", "hand back"]
        .iter()
        .enumerate()
    {
        let batch = stage.batch(&[&format!("m{number}")]).await;
        let batch = stage.claim(batch, "worker").await;
        match *ending {
            "settle" => drop(stage.ledger.settle(&batch, &whole(&batch)).await.unwrap()),
            "fail" => drop(
                stage
                    .ledger
                    .fail(&batch, &failure(), HOUR, ATTEMPTS_MAX)
                    .await
                    .unwrap(),
            ),
            "reap" => stage.reap(batch.id).await,
            "defer" => drop(stage.ledger.defer(&batch, &failure(), HOUR).await.unwrap()),
            _ => drop(stage.ledger.hand_back(&batch, &failure()).await.unwrap()),
        }
    }
    let rate = stage.ledger.failure_rate(HOUR).await.unwrap();
    assert_eq!(
        rate,
        FailureRate {
            attempts: 5,
            failed: 2
        }
    );
    stage
        .database
        .sql("UPDATE attempt SET ended_at = ended_at - INTERVAL 2 HOUR")
        .await;
    assert_eq!(stage.ledger.failure_rate(HOUR).await.unwrap().attempts, 0);
}

/// Two problems of the source: one is mended, and comes back.
#[tokio::test]
async fn a1_an_alert_ends_with_its_subject_and_begins_anew_when_that_comes_back() {
    let stage = Stage::new().await;
    let ledger = &stage.ledger;
    let subjects = ["index a", "index b"];
    for subject in subjects {
        let raised = ledger.raise_alert("source_problem", subject, "refused", subject);
        raised.await.unwrap();
    }
    let publish = async || {
        let alerts = ledger.unpublished_alerts(10).await.unwrap();
        let ids: Vec<u64> = alerts.iter().map(|alert| alert.id).collect();
        ledger.mark_published(&ids).await.unwrap();
        let told = alerts.into_iter().map(|alert| (alert.kind, alert.text));
        told.collect::<Vec<_>>()
    };
    assert_eq!(publish().await.len(), 2);
    let row = |kind: &str, text: &str| (kind.to_owned(), text.to_owned());
    for _ in 0..2 {
        for _ in 0..2 {
            let lasting = ["index b".to_owned()];
            ledger.end_alerts_but("source_problem", &lasting).await.unwrap();
        }
        let over = row("source_problem_over", "no longer the case: index a");
        assert_eq!(publish().await, [over]);
        assert_eq!(ledger.open_alerts().await.unwrap(), 1);
        for _ in 0..2 {
            let raised = ledger.raise_alert("source_problem", "index a", "refused", "index a");
            raised.await.unwrap();
        }
        assert_eq!(publish().await, [row("source_problem", "index a")]);
        assert_eq!(ledger.open_alerts().await.unwrap(), 2);
    }
}

#[tokio::test]
async fn a_storm_of_exceptions_is_over_after_an_hour_without_another() {
    let stage = Stage::new().await;
    let raised = stage
        .ledger
        .raise_alert("exceptions", "missing", "missing", "a batch");
    raised.await.unwrap();
    stage.ledger.end_storms().await.unwrap();
    assert_eq!(stage.ledger.open_alerts().await.unwrap(), 1);
    let hour_ago = "UPDATE alert SET created_at = created_at - INTERVAL 61 MINUTE";
    stage.database.sql(hour_ago).await;
    stage.ledger.end_storms().await.unwrap();
    assert_eq!(stage.ledger.open_alerts().await.unwrap(), 0);
    assert_eq!(published(&stage).await, ["exceptions"]);
    let over = stage.ledger.unpublished_alerts(10).await.unwrap();
    assert_eq!((over.len(), over[0].kind.as_str()), (1, "exceptions_over"));
    let begun: String = stage
        .database
        .row("SELECT CAST(id AS CHAR) FROM alert WHERE kind = 'exceptions'")
        .await;
    assert_eq!(over[0].subject_key, begun);
    stage.ledger.end_storms().await.unwrap();
    let over = stage.ledger.unpublished_alerts(10).await.unwrap();
    assert_eq!(over.len(), 1, "it ends once");
}
