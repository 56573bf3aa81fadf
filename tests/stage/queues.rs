//! The hand-off and the alerts: queues as the template makes them, and a topic that writes to a queue.

use super::canary::Lines;
use aws_config::SdkConfig;
use aws_sdk_sqs::error::SdkError;
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName, QueueAttributeName};
use serde_json::{Value, json};

/// Six times the exporter's timeout, as in the template.
const VISIBILITY_SECS: &str = "1080";
const RECEIVES_MAX: u32 = 5;
/// What SQS gives at once.
const MESSAGES_PER_ANSWER: i32 = 10;
/// Of what is left in a queue.
const ANSWERS_MAX: u32 = 20;

/// A queue by both of its names.
#[derive(Debug, Clone)]
pub(crate) struct Queue {
    pub(crate) url: String,
    pub(crate) arn: String,
}

#[derive(Clone)]
pub(crate) struct Queues {
    pub(crate) normal: Queue,
    pub(crate) priority: Queue,
    pub(crate) dead_letters: Queue,
    pub(crate) topic_arn: String,
    /// Subscribed to the topic.
    told: Queue,
    /// The bodies of all messages that were received.
    pub(super) received: Lines,
    pub(crate) sqs: aws_sdk_sqs::Client,
    pub(crate) sns: aws_sdk_sns::Client,
}

impl Queues {
    pub(crate) async fn new(aws: &SdkConfig, id: &str) -> Self {
        let sqs = aws_sdk_sqs::Client::new(aws);
        let sns = aws_sdk_sns::Client::new(aws);
        let dead_letters = create(&sqs, &format!("{id}-dead-letters"), None).await;
        let normal = create(&sqs, &format!("{id}-batches"), Some(&dead_letters)).await;
        let priority = create(&sqs, &format!("{id}-batches-priority"), Some(&dead_letters)).await;
        let told = create(&sqs, &format!("{id}-told"), None).await;
        let topic = sns
            .create_topic()
            .name(format!("{id}-alerts"))
            .send()
            .await
            .unwrap();
        let topic_arn = topic.topic_arn.expect("a topic has an ARN");
        let subscribing = sns
            .subscribe()
            .topic_arn(&topic_arn)
            .protocol("sqs")
            .endpoint(&told.arn);
        subscribing.send().await.unwrap();
        Self {
            normal,
            priority,
            dead_letters,
            topic_arn,
            told,
            received: Lines::default(),
            sqs,
            sns,
        }
    }

    /// The same queues, over connections of the runtime at hand.
    pub(crate) fn reconnected(&self, aws: &SdkConfig) -> Self {
        Self {
            sqs: aws_sdk_sqs::Client::new(aws),
            sns: aws_sdk_sns::Client::new(aws),
            ..self.clone()
        }
    }

    /// The next message: of the priority queue if it has one. In AWS each queue has pollers of its own.
    pub(crate) async fn receive(&self) -> Option<(&Queue, Message)> {
        for queue in [&self.priority, &self.normal] {
            if let Some(message) = self.receive_from(queue).await {
                return Some((queue, message));
            }
        }
        None
    }

    pub(crate) async fn receive_from(&self, queue: &Queue) -> Option<Message> {
        let request = self
            .sqs
            .receive_message()
            .queue_url(&queue.url)
            .max_number_of_messages(1)
            .message_system_attribute_names(MessageSystemAttributeName::All);
        let message = request.send().await.unwrap().messages.unwrap_or_default().pop();
        self.note(message.as_slice());
        message
    }

    /// Receives what is left in all queues, and keeps none of it: a look at what was said.
    pub(super) async fn receive_the_rest(&self) {
        let queues = [&self.normal, &self.priority, &self.dead_letters, &self.told];
        futures::future::join_all(queues.map(|queue| self.receive_rest_of(queue))).await;
    }

    async fn receive_rest_of(&self, queue: &Queue) {
        for _ in 0..ANSWERS_MAX {
            let request = self.sqs.receive_message().queue_url(&queue.url);
            let request = request.max_number_of_messages(MESSAGES_PER_ANSWER);
            let messages = match request.send().await.map_err(SdkError::into_service_error) {
                Ok(answer) => answer.messages.unwrap_or_default(),
                // By the scenario.
                Err(error) if error.is_queue_does_not_exist() => return,
                Err(error) => panic!("{}: {error:?}", queue.url),
            };
            self.note(&messages);
            if messages.is_empty() {
                return;
            }
        }
        panic!("{} holds more than is searched", queue.url);
    }

    fn note(&self, messages: &[Message]) {
        let bodies = messages.iter().filter_map(|message| message.body.clone());
        self.received.lock().unwrap().extend(bodies);
    }

    pub(crate) async fn delete(&self, queue: &Queue, message: &Message) {
        let handle = message.receipt_handle.clone().unwrap_or_default();
        self.sqs
            .delete_message()
            .queue_url(&queue.url)
            .receipt_handle(handle)
            .send()
            .await
            .unwrap();
    }

    /// Lets a message's visibility timeout be over.
    pub(crate) async fn make_visible(&self, queue: &Queue, message: &Message) {
        let handle = message.receipt_handle.clone().unwrap_or_default();
        let request = self
            .sqs
            .change_message_visibility()
            .queue_url(&queue.url)
            .receipt_handle(handle);
        request.visibility_timeout(0).send().await.unwrap();
    }

    pub(crate) async fn send(&self, queue: &Queue, body: &str) {
        self.sqs
            .send_message()
            .queue_url(&queue.url)
            .message_body(body)
            .send()
            .await
            .unwrap();
    }

    pub(crate) async fn purge(&self, queue: &Queue) {
        self.sqs.purge_queue().queue_url(&queue.url).send().await.unwrap();
    }

    /// As somebody does who deletes the wrong queue.
    pub(crate) async fn delete_queue(&self, queue: &Queue) {
        self.sqs
            .delete_queue()
            .queue_url(&queue.url)
            .send()
            .await
            .unwrap();
    }

    /// Makes a queue of the hand-off once more, under its name.
    pub(crate) async fn make_again(&self, queue: &Queue) {
        let name = queue.url.rsplit('/').next().unwrap_or_default();
        let made = create(&self.sqs, name, Some(&self.dead_letters)).await;
        assert_eq!(made.url, queue.url);
    }

    /// How many messages a queue holds, whether they are visible or not.
    pub(crate) async fn depth(&self, queue: &Queue) -> u64 {
        let names = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
        ];
        let request = self
            .sqs
            .get_queue_attributes()
            .queue_url(&queue.url)
            .set_attribute_names(Some(names.into()));
        let attributes = request.send().await.unwrap().attributes.unwrap_or_default();
        attributes
            .values()
            .map(|count| count.parse::<u64>().unwrap())
            .sum()
    }

    /// How many messages of a queue are visible: what SQS gives to CloudWatch as `ApproximateNumberOfMessagesVisible`.
    pub(crate) async fn visible(&self, queue: &Queue) -> u64 {
        let name = QueueAttributeName::ApproximateNumberOfMessages;
        let request = self
            .sqs
            .get_queue_attributes()
            .queue_url(&queue.url)
            .attribute_names(name.clone());
        let attributes = request.send().await.unwrap().attributes.unwrap_or_default();
        attributes[&name].parse().unwrap()
    }

    /// Takes everything from the dead-letter queue.
    pub(crate) async fn dead_letters(&self) -> Vec<String> {
        self.drain(&self.dead_letters).await
    }

    /// The alerts that were published since the last call, as SQS gets them.
    pub(crate) async fn received_alerts(&self) -> Vec<Value> {
        let notifications = self.drain(&self.told).await;
        let alert = |body: &String| {
            let notification: Value = serde_json::from_str(body).unwrap();
            serde_json::from_str(notification["Message"].as_str().unwrap()).unwrap()
        };
        notifications.iter().map(alert).collect()
    }

    /// Their texts.
    pub(crate) async fn told(&self) -> Vec<String> {
        let alerts = self.received_alerts().await;
        let text = |alert: &Value| alert["text"].as_str().unwrap().to_owned();
        alerts.iter().map(text).collect()
    }

    async fn drain(&self, queue: &Queue) -> Vec<String> {
        let mut bodies = Vec::new();
        while let Some(message) = self.receive_from(queue).await {
            self.delete(queue, &message).await;
            bodies.extend(message.body);
        }
        bodies
    }

    pub(crate) async fn remove(&self) {
        for queue in [&self.normal, &self.priority, &self.dead_letters, &self.told] {
            self.delete_queue(queue).await;
        }
        self.sns
            .delete_topic()
            .topic_arn(&self.topic_arn)
            .send()
            .await
            .unwrap();
    }
}

async fn create(sqs: &aws_sdk_sqs::Client, name: &str, dead_letters: Option<&Queue>) -> Queue {
    let mut request = sqs
        .create_queue()
        .queue_name(name)
        .attributes(QueueAttributeName::VisibilityTimeout, VISIBILITY_SECS);
    if let Some(dead_letters) = dead_letters {
        let policy = json!({"deadLetterTargetArn": dead_letters.arn, "maxReceiveCount": RECEIVES_MAX});
        request = request.attributes(QueueAttributeName::RedrivePolicy, policy.to_string());
    }
    let url = request
        .send()
        .await
        .unwrap()
        .queue_url
        .expect("a queue has a URL");
    let name = QueueAttributeName::QueueArn;
    let answer = sqs
        .get_queue_attributes()
        .queue_url(&url)
        .attribute_names(name.clone())
        .send()
        .await
        .unwrap();
    let arn = answer
        .attributes
        .and_then(|mut attributes| attributes.remove(&name));
    Queue {
        url,
        arn: arn.expect("a queue has an ARN"),
    }
}
