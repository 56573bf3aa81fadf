//! Emptying a queue, and looking at what is in it.
//!
//! Not responsible for what becomes of the batches whose messages go: whoever purges puts them back to unsent in the
//! ledger (`handoff/purged_queue.rs` there says in which order).

use crate::handoff::MESSAGES_PER_REQUEST_MAX;
use crate::{Handoff, HandoffError, Lane};
use aws_sdk_sqs::error::ProvideErrorMetadata;
use aws_sdk_sqs::types::Message;
use granary_steps::{Step, perform};
use std::time::Duration;

/// What was received comes back by itself when nothing was done with it for so long.
pub(crate) const IN_HAND: Duration = Duration::from_secs(20);
/// Without waiting, SQS asks some of its servers only, and may say that a queue is empty which isn't.
const WAIT_SECS: i32 = 1;

impl Handoff {
    /// Deletes everything that a queue holds. SQS takes up to a minute for it, and what is sent meanwhile may go too.
    /// Where a purge is under way already, that one is it.
    #[expect(clippy::disallowed_methods, reason = "this is where the step is taken")]
    pub async fn purge(&self, lane: Lane) -> Result<(), HandoffError> {
        let request = self.sqs.purge_queue().queue_url(self.urls.of(lane));
        match perform(Step::PurgeQueue, || request.clone().send()).await {
            Ok(_) => Ok(()),
            Err(error)
                if error
                    .code()
                    .is_some_and(|code| code.ends_with("PurgeQueueInProgress")) =>
            {
                Ok(())
            }
            Err(error) => Err(HandoffError::new("PurgeQueue", self.urls.name(lane), &error)),
        }
    }

    /// The bodies of up to ten messages of a queue that nobody else has in hand; none: there are no more. They are out of
    /// sight for a while, so that the next call sees others.
    pub async fn look_into(&self, lane: Lane) -> Result<Vec<String>, HandoffError> {
        let received = self.receive(lane).await?;
        Ok(received.into_iter().filter_map(|message| message.body).collect())
    }

    pub(crate) async fn receive(&self, lane: Lane) -> Result<Vec<Message>, HandoffError> {
        let in_hand_secs = i32::try_from(IN_HAND.as_secs()).unwrap_or(i32::MAX);
        let count = i32::try_from(MESSAGES_PER_REQUEST_MAX).unwrap_or(1);
        let answer = self
            .sqs
            .receive_message()
            .queue_url(self.urls.of(lane))
            .max_number_of_messages(count)
            .visibility_timeout(in_hand_secs)
            .wait_time_seconds(WAIT_SECS)
            .message_attribute_names("All")
            .send()
            .await
            .map_err(|error| HandoffError::new("ReceiveMessage", self.urls.name(lane), &error))?;
        Ok(answer.messages.unwrap_or_default())
    }
}
