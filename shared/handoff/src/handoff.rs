//! Sending, postponing and counting.

use crate::{HandOffMessage, HandoffError};
use aws_config::SdkConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::Builder;
use aws_sdk_sqs::operation::send_message_batch::SendMessageBatchOutput;
use aws_sdk_sqs::types::{BatchResultErrorEntry, QueueAttributeName, SendMessageBatchRequestEntry};
use futures::{StreamExt, stream};
use granary_domain::{BatchId, MigrationId, Priority};
use granary_environment::aws::{RetryClockAndToken, small_request_timeouts};
use granary_ledger::handoff::QueueLane;
use granary_steps::{Step, perform};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// SQS takes no more in one request.
pub(crate) const MESSAGES_PER_REQUEST_MAX: usize = 10;
/// Enough to send 1,000 batches within a second, and far below what SQS throttles.
const REQUESTS_IN_FLIGHT_MAX: usize = 8;

/// Which of the two queues a batch takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lane {
    /// `batches`.
    Normal,
    /// `batches-priority`, which isn't behind the backlog of the other.
    Priority,
}

impl Lane {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Normal, Self::Priority];
}

impl From<Lane> for QueueLane {
    fn from(lane: Lane) -> Self {
        match lane {
            Lane::Normal => Self::Normal,
            Lane::Priority => Self::Priority,
        }
    }
}

impl From<Priority> for Lane {
    fn from(priority: Priority) -> Self {
        if priority.is_urgent() {
            Self::Priority
        } else {
            Self::Normal
        }
    }
}

/// The addresses of the two queues.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueUrls {
    /// `batches`.
    pub normal: String,
    /// `batches-priority`.
    pub priority: String,
}

impl QueueUrls {
    pub(crate) fn of(&self, lane: Lane) -> &str {
        match lane {
            Lane::Normal => &self.normal,
            Lane::Priority => &self.priority,
        }
    }

    /// Its name: the last part of its address.
    pub(crate) fn name(&self, lane: Lane) -> &str {
        self.of(lane).rsplit('/').next().unwrap_or_default()
    }

    /// The lane that an event source is, by the last part of its ARN.
    fn lane_of(&self, queue_arn: &str) -> Option<Lane> {
        let name = queue_arn.rsplit(':').next();
        Lane::ALL.into_iter().find(|lane| Some(self.name(*lane)) == name)
    }
}

/// A batch that is to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outgoing {
    /// The batch.
    pub batch_id: BatchId,
    /// The migration that asked for it.
    pub migration_id: MigrationId,
    /// The queue that it takes.
    pub lane: Lane,
}

/// What became of the batches that were to be sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sent {
    /// In their queue, for certain. In no particular order. The others are to be sent again by the next tick; a second
    /// message is harmless.
    pub sent: Vec<BatchId>,
    /// Why the others are not known to be in their queue: the first reason of several.
    pub error: Option<HandoffError>,
}

/// A message that was received, as the event names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt<'a> {
    /// `receiptHandle`.
    pub handle: &'a str,
    /// `eventSourceARN`.
    pub queue_arn: &'a str,
}

/// About how many messages a queue holds. SQS counts approximately, and is up to a minute late.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueueDepth {
    /// Waiting.
    pub visible: u64,
    /// Received, not yet acknowledged.
    pub in_flight: u64,
    /// Sent with a delay that isn't over.
    pub delayed: u64,
}

impl QueueDepth {
    /// Everything that the queue holds.
    pub fn held(&self) -> u64 {
        self.visible + self.in_flight + self.delayed
    }
}

/// About how many messages each lane holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Depth {
    /// Of `batches`.
    pub normal: QueueDepth,
    /// Of `batches-priority`.
    pub priority: QueueDepth,
}

impl Depth {
    /// Everything that both hold.
    pub fn held(&self) -> u64 {
        self.normal.held() + self.priority.held()
    }
}

/// The two queues.
#[derive(Debug, Clone)]
pub struct Handoff {
    pub(crate) sqs: Client,
    pub(crate) urls: QueueUrls,
}

impl Handoff {
    /// Connects to nothing yet; [`Handoff::check`] does.
    pub fn new(aws: &SdkConfig, urls: QueueUrls) -> Self {
        let signing_again = Builder::from(aws)
            .retry_classifier(RetryClockAndToken)
            .timeout_config(small_request_timeouts())
            .build();
        Self {
            sqs: Client::from_conf(signing_again),
            urls,
        }
    }

    /// Sends batches, ten a request, some requests at a time.
    ///
    /// SQS may take some and not others (edge case Q4). Nothing is tried again here, since the next tick sends whatever the
    /// ledger doesn't hold for sent. After a request that failed no other is begun to the same queue: one that refuses or
    /// doesn't answer costs a few requests, however many batches wait for it.
    pub async fn send(&self, batches: &[Outgoing]) -> Sent {
        let mut requests = Vec::new();
        for lane in Lane::ALL {
            let of_lane: Vec<Outgoing> = batches
                .iter()
                .filter(|batch| batch.lane == lane)
                .copied()
                .collect();
            let has_failed = Arc::new(AtomicBool::new(false));
            for chunk in of_lane.chunks(MESSAGES_PER_REQUEST_MAX) {
                requests.push((lane, Arc::clone(&has_failed), chunk.to_vec()));
            }
        }
        let mut answers = stream::iter(requests)
            .map(|(lane, has_failed, chunk)| async move {
                if has_failed.load(Ordering::Relaxed) {
                    return Ok(Sent::default());
                }
                let answer = self.send_chunk(lane, &chunk).await;
                has_failed.fetch_or(answer.is_err(), Ordering::Relaxed);
                answer
            })
            .buffer_unordered(REQUESTS_IN_FLIGHT_MAX);
        let mut total = Sent::default();
        while let Some(answer) = answers.next().await {
            let part = answer.unwrap_or_else(|error| Sent {
                sent: Vec::new(),
                error: Some(error),
            });
            total.sent.extend(part.sent);
            total.error = total.error.or(part.error);
        }
        total
    }

    #[expect(clippy::disallowed_methods, reason = "this is where the step is taken")]
    async fn send_chunk(&self, lane: Lane, chunk: &[Outgoing]) -> Result<Sent, HandoffError> {
        let refused = |reason: String| HandoffError::Refused {
            operation: "SendMessage",
            queue: self.urls.name(lane).to_owned(),
            reason,
        };
        let mut request = self.sqs.send_message_batch().queue_url(self.urls.of(lane));
        for (
            place,
            Outgoing {
                batch_id,
                migration_id,
                ..
            },
        ) in chunk.iter().copied().enumerate()
        {
            let message = HandOffMessage {
                batch_id,
                migration_id,
            };
            let body = message.to_body().map_err(|error| refused(error.to_string()))?;
            let entry = SendMessageBatchRequestEntry::builder()
                .id(place.to_string())
                .message_body(body);
            request = request.entries(entry.build().map_err(|error| refused(error.to_string()))?);
        }
        let answer = perform(Step::SendMessages, || request.clone().send()).await;
        let answer =
            answer.map_err(|error| HandoffError::new("SendMessage", self.urls.name(lane), &error))?;
        Ok(sorted_out(self.urls.name(lane), chunk, &answer))
    }

    /// Makes a message that was received come back after `delay`, in whole seconds, instead of after the queue's
    /// visibility timeout. For one that is to be returned as failed: the ledger is down, or the body unreadable.
    #[expect(clippy::disallowed_methods, reason = "this is where the step is taken")]
    pub async fn postpone(&self, receipt: Receipt<'_>, delay: Duration) -> Result<(), HandoffError> {
        const OPERATION: &str = "ChangeMessageVisibility";
        let Some(lane) = self.urls.lane_of(receipt.queue_arn) else {
            return Err(HandoffError::Refused {
                operation: OPERATION,
                queue: receipt
                    .queue_arn
                    .rsplit(':')
                    .next()
                    .unwrap_or_default()
                    .to_owned(),
                reason: "it is none of the queues of the hand-off".to_owned(),
            });
        };
        let postpone = self
            .sqs
            .change_message_visibility()
            .queue_url(self.urls.of(lane))
            .receipt_handle(receipt.handle)
            .visibility_timeout(i32::try_from(delay.as_secs()).unwrap_or(i32::MAX));
        perform(Step::PostponeMessage, || postpone.clone().send())
            .await
            .map_err(|error| HandoffError::new(OPERATION, self.urls.name(lane), &error))?;
        Ok(())
    }

    /// About how many messages wait, are out, or are delayed.
    pub async fn depth(&self) -> Result<Depth, HandoffError> {
        let (normal, priority) =
            futures::try_join!(self.depth_of(Lane::Normal), self.depth_of(Lane::Priority))?;
        Ok(Depth { normal, priority })
    }

    /// The same of one of them.
    pub async fn depth_of(&self, lane: Lane) -> Result<QueueDepth, HandoffError> {
        const VISIBLE: QueueAttributeName = QueueAttributeName::ApproximateNumberOfMessages;
        const IN_FLIGHT: QueueAttributeName = QueueAttributeName::ApproximateNumberOfMessagesNotVisible;
        const DELAYED: QueueAttributeName = QueueAttributeName::ApproximateNumberOfMessagesDelayed;
        let answer = self
            .sqs
            .get_queue_attributes()
            .queue_url(self.urls.of(lane))
            .attribute_names(VISIBLE)
            .attribute_names(IN_FLIGHT)
            .attribute_names(DELAYED)
            .send()
            .await
            .map_err(|error| HandoffError::new("GetQueueAttributes", self.urls.name(lane), &error))?;
        let count = |name: QueueAttributeName| {
            let text = answer
                .attributes
                .as_ref()
                .and_then(|attributes| attributes.get(&name));
            text.and_then(|text| text.parse().ok()).unwrap_or_default()
        };
        Ok(QueueDepth {
            visible: count(VISIBLE),
            in_flight: count(IN_FLIGHT),
            delayed: count(DELAYED),
        })
    }

    /// Which of the two queues an event source is, by its ARN.
    pub fn lane_of(&self, queue_arn: &str) -> Option<Lane> {
        self.urls.lane_of(queue_arn)
    }

    /// Whether both queues are there and may be read. [`HandoffError::remedy`] says what to do where not.
    pub async fn check(&self) -> Result<(), HandoffError> {
        self.depth().await.map(|_| ())
    }
}

/// Which batches of a request SQS took. One that it names in neither list counts as not taken.
fn sorted_out(queue: &str, chunk: &[Outgoing], answer: &SendMessageBatchOutput) -> Sent {
    let mut outcome = Sent::default();
    for (place, batch) in chunk.iter().enumerate() {
        let id = place.to_string();
        if answer.successful().iter().any(|taken| taken.id() == id) {
            outcome.sent.push(batch.batch_id);
            continue;
        }
        let failed = answer.failed().iter().find(|failed| failed.id() == id);
        outcome.error.get_or_insert_with(|| not_taken(queue, failed));
    }
    outcome
}

fn not_taken(queue: &str, failed: Option<&BatchResultErrorEntry>) -> HandoffError {
    let (operation, queue) = ("SendMessage", queue.to_owned());
    let reason = failed.map_or_else(
        || "SQS said nothing about it".to_owned(),
        |failed| format!("{}: {}", failed.code(), failed.message().unwrap_or("no message")),
    );
    if failed.is_some_and(BatchResultErrorEntry::sender_fault) {
        HandoffError::Refused {
            operation,
            queue,
            reason,
        }
    } else {
        HandoffError::Unavailable {
            operation,
            queue,
            reason,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_sqs::types::SendMessageBatchResultEntry;

    #[test]
    fn q4_what_sqs_took_is_told_by_batch_and_silence_counts_as_failure() {
        let outgoing = |number| Outgoing {
            batch_id: BatchId(number),
            migration_id: MigrationId::new(),
            lane: Lane::Normal,
        };
        let taken = SendMessageBatchResultEntry::builder()
            .id("0")
            .message_id("m")
            .md5_of_message_body("5");
        let refused = BatchResultErrorEntry::builder()
            .id("2")
            .sender_fault(false)
            .code("InternalError");
        let answer = SendMessageBatchOutput::builder()
            .successful(taken.build().unwrap())
            .failed(refused.build().unwrap())
            .build()
            .unwrap();
        let outcome = |numbers: &[u64]| {
            let chunk: Vec<Outgoing> = numbers.iter().copied().map(outgoing).collect();
            sorted_out("batches", &chunk, &answer)
        };
        assert_eq!(outcome(&[70]).error, None);
        let outcome = outcome(&[70, 71, 72]);
        assert_eq!(outcome.sent, [BatchId(70)]);
        assert_eq!(
            outcome.error.map(|error| error.to_string()).as_deref(),
            Some("SQS is unavailable: SendMessage on the queue batches: SQS said nothing about it")
        );
    }

    #[test]
    fn q4_a_batch_that_sqs_blames_on_the_sender_was_refused() {
        let failed = |is_senders| {
            let entry = BatchResultErrorEntry::builder()
                .id("0")
                .sender_fault(is_senders)
                .code("InvalidMessageContents");
            not_taken("batches", Some(&entry.build().unwrap())).is_platforms()
        };
        assert_eq!([failed(true), failed(false)], [false, true]);
    }

    #[test]
    fn an_event_source_is_matched_by_its_whole_name() {
        let urls = QueueUrls {
            normal: "https://sqs.eu-central-1.amazonaws.com/1/batches".to_owned(),
            priority: "https://sqs.eu-central-1.amazonaws.com/1/batches-priority".to_owned(),
        };
        assert_eq!(
            urls.lane_of("arn:aws:sqs:eu-central-1:1:batches"),
            Some(Lane::Normal)
        );
        assert_eq!(
            urls.lane_of("arn:aws:sqs:eu-central-1:1:batches-priority"),
            Some(Lane::Priority)
        );
        assert_eq!(urls.lane_of("arn:aws:sqs:eu-central-1:1:batches-dead"), None);
    }

    #[test]
    fn priority_five_and_above_takes_the_priority_queue() {
        let lane = |number| Lane::from(Priority::try_from(number).unwrap());
        assert_eq!(
            [lane(0), lane(4), lane(5), lane(9)],
            [Lane::Normal, Lane::Normal, Lane::Priority, Lane::Priority]
        );
    }
}
