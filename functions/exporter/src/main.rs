//! The exporter: for each batch that SQS hands it, it fetches the messages from Elasticsearch, writes them to one
//! object in S3 and settles the batch in the ledger. See `export.rs`.

mod config;
mod event;
mod identity;
mod export;
mod deferral;
mod lease;
mod careful;
mod copy;
mod absence;
mod fetch;
mod request_size;
mod blame;
mod quarantine;
mod draft;
mod writer;
mod failure;
mod progress;
mod shutdown;

use crate::export::Exporter;
use crate::shutdown::Shutdown;
use granary_environment::Deadline;
use granary_telemetry::{Metric, start_metrics, write_metrics};
use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::Value;

/// What each invocation's line of metrics may hold.
const EMITTED: [Metric; 12] = [
    Metric::MessagesExported,
    Metric::BatchesExported,
    Metric::BatchesFailed,
    Metric::BatchesDeferred,
    Metric::MessagesExcepted,
    Metric::BytesStored,
    Metric::BatchDuration,
    Metric::LedgerDuration,
    Metric::FetchDuration,
    Metric::UploadDuration,
    Metric::Attempts,
    Metric::MemoryUsed,
];

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    granary_telemetry::init("exporter");
    start_metrics(&EMITTED);
    let shutdown = Shutdown::on_sigterm()?;
    let exporter = &Exporter::start(shutdown.clone()).await.inspect_err(|error| {
        tracing::error!("the exporter can't start: {error:#}");
    })?;
    let serve = lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| async move {
        let deadline = Deadline::of_invocation(event.context.deadline);
        let handled = event::handle(exporter, event.payload, &event.context.request_id, deadline).await;
        write_metrics();
        handled
    }));
    tokio::select! {
        served = serve => served,
        () = shutdown.and_idle() => Ok(()),
    }
}
