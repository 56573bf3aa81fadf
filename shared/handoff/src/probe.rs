//! Sending what is neither a batch's first message nor marked in the ledger: probes, and dead letters once more.
//!
//! Who sends them has written down what he expects, or deletes only what was taken; so a request whose answer got lost may
//! be repeated, and what isn't known to be taken is told with its reason.

use crate::handoff::MESSAGES_PER_REQUEST_MAX;
use crate::{Handoff, HandoffError, Lane, Message};
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use granary_steps::{Step, perform};
use serde_json::Value;
use uuid::Uuid;

/// What became of probes that were to be sent. Each is in one of the two lists.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProbesSent {
    /// In their queue, for certain.
    pub sent: Vec<Uuid>,
    /// Not known to be in their queue, and why.
    pub failed: Vec<(Uuid, String)>,
}

impl Handoff {
    /// Sends probes, ten a request, each with this message. An error means that none was sent.
    pub async fn send_probes(
        &self,
        lane: Lane,
        probes: &[Uuid],
        message: Option<&Value>,
    ) -> Result<ProbesSent, HandoffError> {
        let mut total = ProbesSent::default();
        let mut first_error = None;
        for chunk in probes.chunks(MESSAGES_PER_REQUEST_MAX) {
            let mut entries = Vec::with_capacity(chunk.len());
            for (place, probe) in chunk.iter().enumerate() {
                let entry = SendMessageBatchRequestEntry::builder()
                    .id(place.to_string())
                    .message_body(Message::probe_body(*probe, message));
                let entry = entry
                    .build()
                    .map_err(|error| self.refused("SendMessage", lane, error.to_string()))?;
                entries.push(entry);
            }
            match self.send_entries(Step::SendProbes, lane, entries).await {
                Ok(outcomes) => {
                    for (probe, outcome) in chunk.iter().zip(outcomes) {
                        match outcome {
                            Ok(()) => total.sent.push(*probe),
                            Err(reason) => total.failed.push((*probe, reason)),
                        }
                    }
                }
                Err(error) => {
                    total
                        .failed
                        .extend(chunk.iter().map(|probe| (*probe, error.to_string())));
                    first_error.get_or_insert(error);
                }
            }
        }
        match first_error {
            Some(error) if total.sent.is_empty() => Err(error),
            Some(_) | None => Ok(total),
        }
    }

    /// Sends these entries, whose ids are their places, and says of each whether SQS took it.
    #[expect(clippy::disallowed_methods, reason = "this is where the step is taken")]
    pub(crate) async fn send_entries(
        &self,
        step: Step,
        lane: Lane,
        entries: Vec<SendMessageBatchRequestEntry>,
    ) -> Result<Vec<Result<(), String>>, HandoffError> {
        let count = entries.len();
        let request = self
            .sqs
            .send_message_batch()
            .queue_url(self.urls.of(lane))
            .set_entries(Some(entries));
        let answer = perform(step, || request.clone().send())
            .await
            .map_err(|error| HandoffError::new("SendMessage", self.urls.name(lane), &error))?;
        let outcome_of = |place: usize| {
            let id = place.to_string();
            if answer.successful().iter().any(|taken| taken.id() == id) {
                return Ok(());
            }
            match answer.failed().iter().find(|failed| failed.id() == id) {
                Some(failed) => Err(format!(
                    "{}: {}",
                    failed.code(),
                    failed.message().unwrap_or("no message")
                )),
                None => Err("SQS said nothing about it".to_owned()),
            }
        };
        Ok((0..count).map(outcome_of).collect())
    }

    pub(crate) fn refused(&self, operation: &'static str, lane: Lane, reason: String) -> HandoffError {
        HandoffError::Refused {
            operation,
            queue: self.urls.name(lane).to_owned(),
            reason,
        }
    }
}
