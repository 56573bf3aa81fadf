//! The harvester: every minute it reads the ids of what is due from Elasticsearch, records them in the ledger and
//! hands their batches off to SQS. See `harvest.rs`.

mod config;
mod identity;
mod harvest;
mod survey;
mod window;
mod heartbeat;
mod page_size;
mod bookmark;
mod rescan;
mod watch;

use crate::harvest::Harvester;
use granary_environment::Deadline;
use granary_telemetry::{Metric, start_metrics, write_metrics};
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde_json::Value;

/// What each tick's line of metrics may hold.
const EMITTED: [Metric; 7] = [
    Metric::TickSucceeded,
    Metric::TickDuration,
    Metric::MessagesHarvested,
    Metric::WindowsRecorded,
    Metric::MessagesLate,
    Metric::Lateness,
    Metric::MemoryUsed,
];

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    granary_telemetry::init("harvester");
    start_metrics(&EMITTED);
    let harvester = &Harvester::start().await.inspect_err(|error| {
        tracing::error!("the harvester can't start: {error:#}");
    })?;
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| async move {
        let deadline = Deadline::of_invocation(event.context.deadline);
        let ticked = harvester.tick(&event.context.request_id, deadline).await;
        write_metrics();
        ticked.map_err(|error| {
            tracing::error!("the harvest failed: {error:#}");
            Diagnostic {
                error_type: "HarvestFailed".into(),
                error_message: format!("{error:#}"),
            }
        })
    }))
    .await
}
