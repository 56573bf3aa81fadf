//! Messages that nobody of ours sent, or that come once more.

use super::{Deployment, PrivateHour, until};
use aws_sdk_sqs::types::QueueAttributeName;
use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

/// Q2, E10: as somebody does who moves a dead-letter queue back, and then once more.
#[tokio::test]
async fn q2_a_completed_batch_that_is_sent_again_by_hand_stays_as_it_is() {
    let deployment = Deployment::of_environment().await;
    let hour = PrivateHour::with_messages(&deployment, 5).await;
    hour.migrate().await;
    let (objects, batches) = (hour.objects().await, hour.batches().await);
    let (number, migration, ..) = &batches[0];

    let since = Timestamp::now();
    let sqs = aws_sdk_sqs::Client::new(&deployment.aws);
    let body = json!({ "v": 1, "batch_id": number, "migration_id": migration }).to_string();
    for _ in 0..2 {
        let sending = sqs
            .send_message()
            .queue_url(&deployment.queue_url)
            .message_body(&body);
        sending.send().await.unwrap();
    }
    let of_batch = format!("\"batch\":{number},");
    until("both messages were taken and refused", async || {
        let texts = ["batch not claimed", "Completed", &of_batch];
        let refused = deployment.log("exporter", since, &texts).await;
        (refused.len() >= 2).then_some(())
    })
    .await;

    assert_eq!(
        hour.batches().await,
        batches,
        "its owner, its attempts, its object"
    );
    assert_eq!(hour.objects().await, objects, "written once");
}

/// Q1: what five receives lead to, the dead-letter queue, is SQS's part and isn't waited for.
#[tokio::test]
async fn q1_messages_that_cannot_be_read_go_back_to_the_queue_and_people_are_told() {
    let deployment = Deployment::of_environment().await;
    let told = Told::subscribe(&deployment).await;
    let (malformed, future) = (Uuid::now_v7().to_string(), Uuid::now_v7().to_string());
    let secret = format!("secret-{}", Uuid::now_v7());
    let mut event: Value =
        serde_json::from_str(include_str!("../../events/exporter.sqs-malformed.json")).unwrap();
    let mut second = event["Records"][0].clone();
    event["Records"][0]["messageId"] = malformed.as_str().into();
    event["Records"][0]["body"] = format!("{{\"batch\": {secret}").into();
    second["messageId"] = future.as_str().into();
    second["body"] = json!({ "v": 2, "batches": [secret] }).to_string().into();
    event["Records"]
        .as_array_mut()
        .expect("an event has records")
        .push(second);

    let answer = deployment.invoke("exporter", &event).await;

    assert_eq!(
        answer,
        Some(json!({ "batchItemFailures": [{ "itemIdentifier": malformed }, { "itemIdentifier": future }] }))
    );
    let alerts: Vec<(String, String)> = deployment
        .rows(&format!(
            "SELECT subject_key, text FROM alert WHERE kind = 'unreadable_message' \
             AND subject_key IN ('{malformed}', '{future}') ORDER BY id"
        ))
        .await;
    assert_eq!(
        alerts.iter().map(|(id, _)| id).collect::<Vec<_>>(),
        [&malformed, &future]
    );
    assert!(alerts[1].1.contains("version 2"), "{alerts:?}");
    // Another test may have had one sent within the last hour, and the reaper one of these two alone.
    let _: Vec<u64> = deployment
        .rows("UPDATE alert SET published_at = published_at - INTERVAL 1 HOUR WHERE kind = 'unreadable_message'")
        .await;
    let published = told.about(&[&malformed, &future]).await;
    for text in alerts.iter().map(|(_, text)| text).chain(&published) {
        assert!(!text.contains(&secret), "{text}");
    }
    told.unsubscribe().await;
}

/// Somebody who is told of alerts.
struct Told {
    sqs: aws_sdk_sqs::Client,
    sns: aws_sdk_sns::Client,
    queue_url: String,
    subscription: String,
}

impl Told {
    async fn subscribe(deployment: &Deployment) -> Self {
        let sqs = aws_sdk_sqs::Client::new(&deployment.aws);
        let sns = aws_sdk_sns::Client::new(&deployment.aws);
        let name = format!("test-told-{}", Uuid::now_v7().simple());
        let made = sqs.create_queue().queue_name(name).send().await.unwrap();
        let queue_url = made.queue_url.expect("a queue has a URL");
        let arn = QueueAttributeName::QueueArn;
        let asked = sqs
            .get_queue_attributes()
            .queue_url(&queue_url)
            .attribute_names(arn.clone());
        let attributes = asked.send().await.unwrap().attributes.expect("it has some");
        let subscribing = sns
            .subscribe()
            .topic_arn(&deployment.topic_arn)
            .protocol("sqs")
            .endpoint(&attributes[&arn])
            .return_subscription_arn(true);
        let subscription = subscribing
            .send()
            .await
            .unwrap()
            .subscription_arn
            .expect("it has an ARN");
        Self {
            sqs,
            sns,
            queue_url,
            subscription,
        }
    }

    /// Waits for what was published about all of these: at the reaper's next tick.
    async fn about(&self, subjects: &[&str]) -> Vec<String> {
        let mut texts: Vec<String> = Vec::new();
        until("the alerts were published", async || {
            let asked = self
                .sqs
                .receive_message()
                .queue_url(&self.queue_url)
                .max_number_of_messages(10);
            for message in asked.send().await.unwrap().messages.unwrap_or_default() {
                texts.push(message.body.expect("a message has a body"));
                let handle = message.receipt_handle.expect("it was received");
                let deleting = self
                    .sqs
                    .delete_message()
                    .queue_url(&self.queue_url)
                    .receipt_handle(handle);
                deleting.send().await.unwrap();
            }
            let is_told = |subject: &&str| texts.iter().any(|text| text.contains(*subject));
            subjects.iter().all(is_told).then_some(())
        })
        .await;
        texts
    }

    async fn unsubscribe(self) {
        let leaving = self.sns.unsubscribe().subscription_arn(&self.subscription);
        leaving.send().await.unwrap();
        self.sqs
            .delete_queue()
            .queue_url(&self.queue_url)
            .send()
            .await
            .unwrap();
    }
}
