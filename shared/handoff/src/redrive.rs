//! Redriving: what came to a dead-letter queue goes back to the queue that it came from.
//!
//! Moving back is always safe: a message is a hint, and the ledger knows whether its batch is due. SQS does it by itself
//! (a *move task*) where it offers that; elsewhere it is done one by one, ten at a time: received, sent, deleted. Dying in
//! between leaves a message twice, never none. A body that nobody understands comes back here in the end.
//!
//! The functions stand on the [`Handoff`] of the dead-letter queues; a lane there is the lane that it belongs to.

use crate::{Handoff, HandoffError, Lane};
use aws_sdk_sqs::error::ProvideErrorMetadata;
use aws_sdk_sqs::types::{
    DeleteMessageBatchRequestEntry, Message, QueueAttributeName, SendMessageBatchRequestEntry,
};
use granary_steps::{Step, perform};

/// What services answer that have no such action.
const NOT_OFFERED: [&str; 4] = [
    "InvalidAction",
    "UnknownOperation",
    "UnknownOperationException",
    "NotImplemented",
];
const RUNNING: &str = "RUNNING";

/// Whether SQS moves dead letters by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MoveStart {
    /// It does, from now on.
    Begun,
    /// It did already.
    UnderWay,
    /// It doesn't: this service has no such thing, or not for this queue.
    NotOffered,
}

/// What SQS tells of a move task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MoveTask {
    /// `RUNNING`, `COMPLETED`, `FAILED`, …
    pub status: String,
    /// About how many were moved.
    pub moved: u64,
    /// About how many there were; unknown before it has begun.
    pub to_move: Option<u64>,
    /// Why it failed.
    pub reason: Option<String>,
}

/// What one round came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Moved {
    /// Messages that were received. None: there are no more, or somebody else has them in hand.
    pub received: u64,
    /// Of these, those that are in their queue again.
    pub moved: u64,
    /// Why the first of the others is not.
    pub failure: Option<String>,
}

impl Handoff {
    /// Has SQS move everything back by itself, so many messages a second at most.
    #[expect(clippy::disallowed_methods, reason = "this is where the step is taken")]
    pub async fn start_moving(&self, lane: Lane, per_second_max: u32) -> Result<MoveStart, HandoffError> {
        const OPERATION: &str = "StartMessageMoveTask";
        let request = self
            .sqs
            .start_message_move_task()
            .source_arn(self.arn_of(lane).await?)
            .max_number_of_messages_per_second(i32::try_from(per_second_max).unwrap_or(i32::MAX));
        let error = match perform(Step::MoveDeadLetters, || request.clone().send()).await {
            Ok(_) => return Ok(MoveStart::Begun),
            Err(error) => error,
        };
        let code = error.code().unwrap_or_default();
        if NOT_OFFERED.contains(&code) {
            return Ok(MoveStart::NotOffered);
        }
        if !code.ends_with("UnsupportedOperation") {
            return Err(HandoffError::new(OPERATION, self.urls.name(lane), &error));
        }
        // There is one already, or this queue can't have any.
        let task = self.move_task(lane).await?;
        Ok(match task {
            Some(task) if task.status == RUNNING => MoveStart::UnderWay,
            Some(_) | None => MoveStart::NotOffered,
        })
    }

    /// The newest move task of a dead-letter queue, if there was any.
    pub async fn move_task(&self, lane: Lane) -> Result<Option<MoveTask>, HandoffError> {
        let answer = self
            .sqs
            .list_message_move_tasks()
            .source_arn(self.arn_of(lane).await?)
            .max_results(1)
            .send()
            .await
            .map_err(|error| HandoffError::new("ListMessageMoveTasks", self.urls.name(lane), &error))?;
        let task = answer.results.unwrap_or_default().into_iter().next();
        Ok(task.map(|task| MoveTask {
            status: task.status.unwrap_or_default(),
            moved: u64::try_from(task.approximate_number_of_messages_moved).unwrap_or(0),
            to_move: task
                .approximate_number_of_messages_to_move
                .and_then(|count| u64::try_from(count).ok()),
            reason: task.failure_reason,
        }))
    }

    /// Moves up to ten messages to the same lane of `to`. What SQS doesn't take stays where it is.
    pub async fn move_some(&self, to: &Handoff, lane: Lane) -> Result<Moved, HandoffError> {
        let received = self.receive(lane).await?;
        if received.is_empty() {
            return Ok(Moved::default());
        }
        let mut entries = Vec::with_capacity(received.len());
        for (place, message) in received.iter().enumerate() {
            let entry = SendMessageBatchRequestEntry::builder()
                .id(place.to_string())
                .message_body(message.body.clone().unwrap_or_default())
                .set_message_attributes(message.message_attributes.clone());
            let entry = entry
                .build()
                .map_err(|error| to.refused("SendMessage", lane, error.to_string()))?;
            entries.push(entry);
        }
        let outcomes = to.send_entries(Step::SendDeadLetters, lane, entries).await?;
        let failure = outcomes.iter().find_map(|outcome| outcome.clone().err());
        let taken: Vec<&Message> = received
            .iter()
            .zip(&outcomes)
            .filter(|(_, outcome)| outcome.is_ok())
            .map(|(message, _)| message)
            .collect();
        self.delete(lane, &taken).await?;
        Ok(Moved {
            received: received.len() as u64,
            moved: taken.len() as u64,
            failure,
        })
    }

    /// One that isn't deleted comes back, and is sent once more: harmless.
    #[expect(clippy::disallowed_methods, reason = "this is where the step is taken")]
    async fn delete(&self, lane: Lane, messages: &[&Message]) -> Result<(), HandoffError> {
        if messages.is_empty() {
            return Ok(());
        }
        let mut request = self.sqs.delete_message_batch().queue_url(self.urls.of(lane));
        for (place, message) in messages.iter().enumerate() {
            let entry = DeleteMessageBatchRequestEntry::builder()
                .id(place.to_string())
                .receipt_handle(message.receipt_handle.clone().unwrap_or_default());
            let entry = entry
                .build()
                .map_err(|error| self.refused("DeleteMessage", lane, error.to_string()))?;
            request = request.entries(entry);
        }
        let answer = perform(Step::DeleteDeadLetters, || request.clone().send())
            .await
            .map_err(|error| HandoffError::new("DeleteMessage", self.urls.name(lane), &error))?;
        if let Some(failed) = answer.failed().first() {
            tracing::warn!(
                count = answer.failed().len(),
                code = failed.code(),
                "dead letters that were sent again are still there"
            );
        }
        Ok(())
    }

    async fn arn_of(&self, lane: Lane) -> Result<String, HandoffError> {
        const OPERATION: &str = "GetQueueAttributes";
        const ARN: QueueAttributeName = QueueAttributeName::QueueArn;
        let answer = self
            .sqs
            .get_queue_attributes()
            .queue_url(self.urls.of(lane))
            .attribute_names(ARN)
            .send()
            .await
            .map_err(|error| HandoffError::new(OPERATION, self.urls.name(lane), &error))?;
        let arn = answer
            .attributes
            .and_then(|mut attributes| attributes.remove(&ARN));
        arn.ok_or_else(|| self.refused(OPERATION, lane, "it has no ARN".to_owned()))
    }
}
