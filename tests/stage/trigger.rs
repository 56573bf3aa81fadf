//! The SQS trigger of the exporter, as Lambda plays it: BatchSize 1 and `ReportBatchItemFailures`.
//!
//! What the function acknowledges is deleted; what it returns, and what it broke off with, stays where it is until its
//! visibility timeout is over.

use super::queues::{Queue, Queues};
use super::{EXPORTER_TIMEOUT, Function, FunctionError, Stage};
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName};
use serde_json::{Value, json};

/// What became of the messages that were delivered.
#[derive(Debug, Default)]
pub(crate) struct Exports {
    /// Messages that the exporter acknowledged.
    pub(crate) acknowledged: u64,
    /// Messages that it returned to the queue, and those of invocations that came to nothing.
    pub(crate) returned: Vec<(Queue, Message)>,
    /// Why.
    pub(crate) errors: Vec<FunctionError>,
}

impl Exports {
    pub(crate) fn add(&mut self, other: Self) {
        self.acknowledged += other.acknowledged;
        self.returned.extend(other.returned);
        self.errors.extend(other.errors);
    }
}

impl Stage {
    /// Delivers what is in the queues to all exporters side by side, until nothing is visible.
    pub(crate) async fn export_all(&self) -> Exports {
        let mut deliveries = Vec::new();
        for exporter in &self.exporters {
            deliveries.push(deliver(&self.queues, exporter));
        }
        let mut all = Exports::default();
        for exports in join_all(deliveries).await {
            all.add(exports);
        }
        all
    }

    /// Delivers what is in the queues to an exporter that isn't the stage's own, until nothing is visible.
    pub(crate) async fn export_all_by(&self, exporter: &Function) -> Exports {
        deliver(&self.queues, exporter).await
    }

    /// Receives everything that is visible, and delivers none of it.
    pub(crate) async fn receive_all(&self) -> Vec<(Queue, Message)> {
        let mut received = Vec::new();
        while let Some((queue, message)) = self.queues.receive().await {
            received.push((queue.clone(), message));
        }
        received
    }

    /// Delivers one message to one exporter.
    pub(crate) async fn export_one(&self) -> Exports {
        let mut exports = Exports::default();
        if let Some((queue, message)) = self.queues.receive().await {
            deliver_one(&self.queues, &self.exporters[0], queue, message, &mut exports).await;
        }
        exports
    }

    /// Lets the visibility timeout of returned messages be over.
    pub(crate) async fn let_visibility_end(&self, exports: &Exports) {
        for (queue, message) in &exports.returned {
            self.queues.make_visible(queue, message).await;
        }
    }
}

/// Runs futures side by side on this task.
async fn join_all<T>(futures: Vec<impl Future<Output = T>>) -> Vec<T> {
    let mut running: Vec<_> = futures
        .into_iter()
        .map(|future| (Box::pin(future), None))
        .collect();
    std::future::poll_fn(move |context| {
        for (future, output) in &mut running {
            if output.is_none()
                && let std::task::Poll::Ready(ready) = future.as_mut().poll(context)
            {
                *output = Some(ready);
            }
        }
        if running.iter().any(|(_, output)| output.is_none()) {
            return std::task::Poll::Pending;
        }
        std::task::Poll::Ready(
            running
                .iter_mut()
                .filter_map(|(_, output)| output.take())
                .collect(),
        )
    })
    .await
}

async fn deliver(queues: &Queues, exporter: &Function) -> Exports {
    let mut exports = Exports::default();
    while let Some((queue, message)) = queues.receive().await {
        deliver_one(queues, exporter, queue, message, &mut exports).await;
    }
    exports
}

async fn deliver_one(
    queues: &Queues,
    exporter: &Function,
    queue: &Queue,
    message: Message,
    exports: &mut Exports,
) {
    match exporter
        .invoke(sqs_event(&[(queue, &message)]), EXPORTER_TIMEOUT)
        .await
    {
        Ok(response) if failed_items(&response).is_empty() => {
            queues.delete(queue, &message).await;
            exports.acknowledged += 1;
        }
        Ok(_) => exports.returned.push((queue.clone(), message)),
        Err(error) => {
            exports.returned.push((queue.clone(), message));
            exports.errors.push(error);
        }
    }
}

/// Delivers received messages in one event, and deletes none. The ids of those that are to be delivered again.
pub(crate) async fn deliver_event(exporter: &Function, messages: &[(Queue, Message)]) -> Vec<String> {
    let messages: Vec<_> = messages.iter().map(|(queue, message)| (queue, message)).collect();
    let response = exporter.invoke(sqs_event(&messages), EXPORTER_TIMEOUT).await;
    failed_items(&response.unwrap())
}

/// The ids of the messages that are to be delivered again.
pub(crate) fn failed_items(response: &Value) -> Vec<String> {
    let failures = response["batchItemFailures"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let id = |failure: &Value| failure["itemIdentifier"].as_str().unwrap_or_default().to_owned();
    failures.iter().map(id).collect()
}

/// The event that Lambda makes of received messages: the sample's shape, with their ids.
pub(crate) fn sqs_event(messages: &[(&Queue, &Message)]) -> Value {
    let mut event: Value = serde_json::from_str(include_str!("../../events/exporter.sqs.json")).unwrap();
    let sample = event["Records"][0].take();
    let record = |(queue, message): &(&Queue, &Message)| {
        let mut record = sample.clone();
        record["messageId"] = json!(message.message_id);
        record["receiptHandle"] = json!(message.receipt_handle);
        record["body"] = json!(message.body);
        record["md5OfBody"] = json!(message.md5_of_body);
        record["eventSourceARN"] = json!(queue.arn);
        let attributes = message.attributes.iter().flatten();
        for (name, value) in attributes.filter(|(name, _)| is_in_events(name)) {
            record["attributes"][name.as_str()] = json!(value);
        }
        record
    };
    event["Records"] = messages.iter().map(record).collect();
    event
}

fn is_in_events(name: &MessageSystemAttributeName) -> bool {
    [
        MessageSystemAttributeName::ApproximateReceiveCount,
        MessageSystemAttributeName::SentTimestamp,
        MessageSystemAttributeName::SenderId,
        MessageSystemAttributeName::ApproximateFirstReceiveTimestamp,
    ]
    .contains(name)
}
