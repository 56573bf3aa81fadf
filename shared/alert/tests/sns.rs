//! Alerts on a real topic, that of the local stack, read from a queue that is subscribed to it.

// Clippy knows only the test functions themselves for tests, not what they call.
#![allow(clippy::unwrap_used)]
#![allow(
    clippy::disallowed_methods,
    reason = "a test stands outside the product: it takes no steps"
)]

use aws_config::SdkConfig;
use aws_sdk_sns::Client as Sns;
use aws_sdk_sqs::Client as Sqs;
use aws_sdk_sqs::types::QueueAttributeName;
use granary_alert::{Alert, Message, Publisher, Sender, Subscriptions};
use serde_json::Value;

const RECEIVE_WAIT_SECS_MAX: i32 = 10;

fn message() -> Message {
    let sender = Sender {
        environment: "staging",
        source: "messages".to_owned(),
        api_url: None,
    };
    sender.message(&Alert {
        number: 42,
        resolves: None,
        kind: "parked".to_owned(),
        cause: "spool".to_owned(),
        count: 3,
        since: "2026-11-22T10:00:00Z".parse().unwrap(),
        lines: vec!["batch 7 is parked".to_owned()],
    })
}

#[tokio::test]
async fn a_subscriber_reads_what_happened_and_gets_the_number_and_the_kind() {
    assert!(
        std::env::var("AWS_ENDPOINT_URL").is_ok(),
        "AWS_ENDPOINT_URL is not set: start the local stack with `make up` and read .local/env"
    );
    let aws = granary_environment::aws::sdk_config().await;
    let (sns, sqs) = (Sns::new(&aws), Sqs::new(&aws));
    let unique = format!("alert-test-{}", uuid::Uuid::now_v7());
    let topic = sns
        .create_topic()
        .name(&unique)
        .send()
        .await
        .unwrap()
        .topic_arn
        .unwrap();
    let queue = sqs
        .create_queue()
        .queue_name(&unique)
        .send()
        .await
        .unwrap()
        .queue_url
        .unwrap();
    let name = QueueAttributeName::QueueArn;
    let attributes = sqs
        .get_queue_attributes()
        .queue_url(&queue)
        .attribute_names(name.clone())
        .send()
        .await
        .unwrap();
    let queue_arn = attributes.attributes.unwrap().remove(&name).unwrap();
    sns.subscribe()
        .topic_arn(&topic)
        .protocol("sqs")
        .endpoint(queue_arn)
        .send()
        .await
        .unwrap();

    let publisher = Publisher::new(&aws, &topic);
    let expected = Subscriptions {
        confirmed: 1,
        pending: 0,
    };
    assert_eq!(publisher.check().await.unwrap(), expected);
    publisher.publish(&message()).await.unwrap();

    let received = sqs
        .receive_message()
        .queue_url(&queue)
        .wait_time_seconds(RECEIVE_WAIT_SECS_MAX)
        .send()
        .await
        .unwrap();
    let envelope: Value = serde_json::from_str(received.messages()[0].body().unwrap()).unwrap();
    assert_eq!(
        envelope["Subject"],
        "[STAGING messages] 3 batches parked: temp directory full"
    );
    let json: Value = serde_json::from_str(envelope["Message"].as_str().unwrap()).unwrap();
    assert_eq!((&json["event"], &json["count"]), (&"triggered".into(), &3.into()));
    let text = json["text"].as_str().unwrap();
    assert!(text.contains("Alert 42 of Granary (parked)."), "{text}");
    assert_eq!(envelope["MessageAttributes"]["number"]["Value"], "42");
    assert_eq!(envelope["MessageAttributes"]["kind"]["Value"], "parked");
    assert_eq!(envelope["MessageAttributes"]["severity"]["Value"], "critical");

    sqs.delete_queue().queue_url(queue).send().await.unwrap();
    sns.delete_topic().topic_arn(topic).send().await.unwrap();
}

#[tokio::test]
async fn a1_a_topic_that_is_gone_is_refused_and_one_out_of_reach_is_the_platforms() {
    let aws = granary_environment::aws::sdk_config().await;
    let absent = Publisher::new(&aws, "arn:aws:sns:us-east-1:000000000000:granary-absent");
    let error = absent.publish(&message()).await.unwrap_err();
    assert!(
        !error.is_platforms() && error.remedy().contains("GRANARY_ALERT_TOPIC_ARN"),
        "{error}"
    );

    let unreachable = out_of_reach(&aws);
    let publisher = Publisher::new(&unreachable, "arn:aws:sns:us-east-1:000000000000:granary-alerts");
    let error = publisher.publish(&message()).await.unwrap_err();
    assert!(
        error.is_platforms() && error.to_string().contains("refused"),
        "{error}"
    );
}

/// The same client configuration for an address where nobody listens. Built from its parts, since an address from
/// the environment would win over one that is changed later.
fn out_of_reach(aws: &SdkConfig) -> SdkConfig {
    let mut builder = SdkConfig::builder();
    builder
        .set_behavior_version(aws.behavior_version())
        .set_http_client(aws.http_client())
        .set_sleep_impl(aws.sleep_impl())
        .set_credentials_provider(aws.credentials_provider())
        .set_region(aws.region().cloned())
        .set_endpoint_url(Some("http://127.0.0.1:9".to_owned()));
    builder.build()
}
