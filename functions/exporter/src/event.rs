//! The SQS event: one batch or one probe a record, and which records SQS is to deliver again.
//!
//! A record is returned to SQS in two cases only: its body can't be understood (it comes back until it lands in the
//! dead-letter queue), or the ledger could not be written. Everything else stands in the ledger, which decides
//! the retry, so the record is acknowledged.

use crate::export::Exporter;
use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use granary_environment::Deadline;
use granary_handoff::{Message, Receipt};
use lambda_runtime::Diagnostic;
use serde_json::Value;
use std::time::Duration;

/// How soon a returned record comes back. Without it SQS would wait out the queue's visibility timeout, 18 minutes.
const RETURNED_AFTER: Duration = Duration::from_secs(30);

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
            postpone(exporter, record).await;
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

/// Only shortens the wait: where it fails, the record comes back after the queue's visibility timeout.
async fn postpone(exporter: &Exporter, record: &SqsMessage) {
    let (Some(handle), Some(queue_arn)) = (&record.receipt_handle, &record.event_source_arn) else {
        return;
    };
    if let Err(error) = exporter
        .handoff
        .postpone(Receipt { handle, queue_arn }, RETURNED_AFTER)
        .await
    {
        tracing::warn!("{error}. {}", error.remedy());
    }
}
