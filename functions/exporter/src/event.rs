//! The SQS event: one batch or one probe a record, and which records SQS is to deliver again.
//!
//! A record is returned to SQS in two cases only: its body can't be understood (it comes back until it lands in the
//! dead-letter queue), or the ledger could not be written. Each time that the ledger is away the record is hidden for
//! longer, so that its five receives last for an outage of an hour. Everything else stands in the ledger, which decides
//! the retry, so the record is acknowledged.

use crate::export::Exporter;
use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use granary_environment::Deadline;
use granary_handoff::{Message, Receipt};
use granary_ledger::LedgerError;
use lambda_runtime::Diagnostic;
use serde_json::Value;
use std::time::Duration;

/// How soon a returned record comes back. Without it SQS would wait out the queue's visibility timeout, 18 minutes.
const RETURNED_AFTER: Duration = Duration::from_secs(30);
/// Each time that the ledger was away a record waits for so many times as long: 30 s, 2 min, 8 min, then half an hour.
const LONGER_EACH_TIME: u32 = 4;
const RETURNED_AFTER_MAX: Duration = Duration::from_secs(1_800);

/// Works on every record, one after the other.
pub(crate) async fn handle(
    exporter: &Exporter,
    payload: Value,
    request_id: &str,
    deadline: Deadline,
) -> Result<SqsBatchResponse, Diagnostic> {
    // Parsed here: what the runtime can't read would never reach the handler, nor the log.
    let event: SqsEvent = serde_json::from_value(payload).map_err(|error| {
        tracing::error!("the event is not an SQS event: {error}");
        Diagnostic {
            error_type: "NotAnSqsEvent".into(),
            error_message: error.to_string(),
        }
    })?;
    let mut response = SqsBatchResponse::default();
    for record in &event.records {
        if let Err(reason) = handle_record(exporter, record, request_id, deadline).await {
            let id = record.message_id.clone().unwrap_or_default();
            tracing::error!(message = id, "the message goes back to the queue: {reason:#}");
            let delay = delay_of(record, &reason);
            postpone(exporter, record, delay).await;
            let mut failure = BatchItemFailure::default();
            failure.item_identifier = id;
            response.batch_item_failures.push(failure);
        }
    }
    Ok(response)
}

async fn handle_record(
    exporter: &Exporter,
    record: &SqsMessage,
    request_id: &str,
    deadline: Deadline,
) -> anyhow::Result<()> {
    let message_id = record.message_id.as_deref().unwrap_or_default();
    let body = record.body.as_deref().unwrap_or_default();
    let worker = format!("{request_id}/{message_id}");
    exporter.ledger.ready().await?;
    match Message::parse(body) {
        Ok(Message::Batch(message)) => Ok(exporter.export(message.batch_id, &worker, deadline).await?),
        Ok(Message::Probe(probe)) => {
            exporter.ledger.receive_probe(probe, &worker).await?;
            tracing::info!(%probe, "a probe has arrived");
            Ok(())
        }
        Err(unreadable) => {
            let text = format!("the hand-off message {message_id} can't be read: {unreadable}");
            exporter
                .ledger
                .raise_alert("unreadable_message", message_id, "unreadable_message", &text)
                .await?;
            Err(unreadable.into())
        }
    }
}

/// How long a returned record is hidden.
fn delay_of(record: &SqsMessage, reason: &anyhow::Error) -> Duration {
    let is_away = reason.downcast_ref().is_some_and(LedgerError::is_platforms);
    if !is_away {
        return RETURNED_AFTER;
    }
    let receives = record.attributes.get("ApproximateReceiveCount");
    let before = receives
        .and_then(|count| count.parse::<u32>().ok())
        .map_or(0, |count| count.saturating_sub(1));
    let longer = LONGER_EACH_TIME.saturating_pow(before);
    RETURNED_AFTER.saturating_mul(longer).min(RETURNED_AFTER_MAX)
}

/// Only changes the wait: where it fails, the record comes back after the queue's visibility timeout.
async fn postpone(exporter: &Exporter, record: &SqsMessage, delay: Duration) {
    let (Some(handle), Some(queue_arn)) = (&record.receipt_handle, &record.event_source_arn) else {
        return;
    };
    if let Err(error) = exporter
        .handoff
        .postpone(Receipt { handle, queue_arn }, delay)
        .await
    {
        tracing::warn!("{error}. {}", error.remedy());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::anyhow;

    fn received(times: u32) -> SqsMessage {
        let mut record = SqsMessage::default();
        let count = ("ApproximateReceiveCount".to_owned(), times.to_string());
        record.attributes.extend([count]);
        record
    }

    #[test]
    fn d1_five_receives_of_a_message_last_for_an_outage_of_the_ledger_of_more_than_an_hour() {
        let delay = |times| {
            let away = anyhow!(LedgerError::Silent {
                operation: "claim a batch",
                secs: 5
            });
            delay_of(&received(times), &away).as_secs()
        };
        let delays: Vec<u64> = (1..=5).map(delay).collect();
        assert_eq!(delays, [30, 120, 480, 1_800, 1_800]);
        assert_eq!(delay(u32::MAX), 1_800);
        assert!(delays.iter().sum::<u64>() > 3_600);
    }

    #[test]
    fn a_message_that_nobody_understands_comes_back_after_half_a_minute_each_time() {
        assert_eq!(delay_of(&received(4), &anyhow!("not JSON")), RETURNED_AFTER);
    }
}
