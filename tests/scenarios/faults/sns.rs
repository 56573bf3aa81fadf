//! SNS can't be reached, throttles, or publishes and doesn't say so: alerts wait in the ledger.

use super::{FROM, TO, harvested};
use crate::stage::{Asked, Fault, FunctionError, HttpProxy, Said, Stage};

const FOR_EVER: u64 = 1_000_000;

fn is_publish(asked: &Asked) -> bool {
    asked.body.contains("Action=Publish") || asked.target.contains("Publish")
}

fn throttled() -> Said {
    Said {
        status: 503,
        headers: vec![("content-type", "text/xml".into())],
        body: "<ErrorResponse><Error><Type>Receiver</Type><Code>ServiceUnavailable</Code><Message>said by the proxy\
               </Message></Error></ErrorResponse>"
            .into(),
    }
}

/// A1, A2: none is lost, each is told with its number, and once more where nobody knows that it was told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a1_alerts_outlast_an_sns_that_refuses_and_one_that_publishes_without_saying_so() {
    let mut stage = Stage::new("sns").await;
    let proxy = HttpProxy::before(stage.setting("AWS_ENDPOINT_URL")).await;
    stage.tell(&[("AWS_ENDPOINT_URL_SNS", &proxy.url)]);
    let messages = harvested(&stage).await;
    stage.export_all().await;
    for subject in ["1.1", "2.1"] {
        stage
            .ledger
            .raise_alert("archive_conflict", subject, "archive_conflict", "an object")
            .await
            .unwrap();
    }
    let numbers: Vec<u64> = stage.rows("SELECT id FROM alert ORDER BY id").await;

    proxy.inject(Fault::Refuse(throttled()), FOR_EVER, is_publish);
    let outcome = stage.try_reap().await;
    assert!(
        matches!(&outcome, Err(FunctionError::Returned { .. })),
        "{outcome:?}"
    );
    assert!(proxy.faults() > 0);
    assert_eq!(stage.queues.told().await.len(), 0);
    let unpublished = "SELECT COUNT(*) FROM alert WHERE published_at IS NULL";
    assert_eq!(stage.row::<u64>(unpublished).await, 2);
    proxy.restore();

    proxy.inject(Fault::DoAndSay(throttled()), FOR_EVER, is_publish);
    stage.try_reap().await.unwrap_err();
    assert_eq!(
        stage.row::<u64>(unpublished).await,
        2,
        "nobody knows that they were told"
    );
    proxy.restore();
    stage.run_until_quiet().await;
    assert_eq!(stage.row::<u64>(unpublished).await, 0);
    let told = stage.queues.told().await;
    for number in numbers {
        let times = told.iter().filter(|text| {
            text.contains(&format!("[{number}]")) || text.contains(&format!("Alert {number} "))
        });
        assert!(times.count() >= 2, "{number} in {told:?}");
    }
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}

fn refused() -> Said {
    Said {
        status: 400,
        body: "<ErrorResponse><Error><Type>Sender</Type><Code>InvalidParameter</Code><Message>said by the proxy</Message>\
               </Error></ErrorResponse>"
            .into(),
        ..throttled()
    }
}

/// A1: the message that SNS refuses waits, the others don't, and the tick says which one it was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a1_one_alert_that_sns_refuses_holds_up_no_other() {
    let mut stage = Stage::new("sns-one").await;
    let proxy = HttpProxy::before(stage.setting("AWS_ENDPOINT_URL")).await;
    stage.tell(&[("AWS_ENDPOINT_URL_SNS", &proxy.url)]);
    for kind in ["archive_conflict", "invariant", "unreadable_message"] {
        stage.ledger.raise_alert(kind, "1.1", kind, "text").await.unwrap();
    }
    proxy.inject(Fault::Refuse(refused()), FOR_EVER, |asked| {
        is_publish(asked) && asked.body.contains("archive_conflict")
    });
    let outcome = stage.try_reap().await;
    let Err(FunctionError::Returned { message, .. }) = &outcome else {
        panic!("{outcome:?}");
    };
    assert!(
        message.contains("publish alerts") && message.contains("InvalidParameter"),
        "{message}"
    );
    let unpublished = "SELECT kind FROM alert WHERE published_at IS NULL";
    assert_eq!(stage.rows::<String>(unpublished).await, ["archive_conflict"]);
    assert_eq!(stage.queues.told().await.len(), 2);
    proxy.restore();
    stage.reap().await;
    assert_eq!(stage.rows::<String>(unpublished).await, [""; 0]);
    assert_eq!(stage.queues.told().await.len(), 1);
    stage.finish().await;
}
