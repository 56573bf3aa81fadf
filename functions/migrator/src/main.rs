//! The migrator: it brings the ledger's schema up to date, when the stack is deployed and when a person asks. No other function
//! changes the schema. See `migrate.rs`.
//!
//! It starts without settings and services, so that whatever is wrong with them is an answer to who asked.

mod config;
mod event;
mod migrate;
mod answer;

use granary_environment::{Deadline, aws};
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde_json::Value;

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    granary_telemetry::init("migrator");
    let aws = &aws::sdk_config().await;
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| async move {
        let deadline = Deadline::of_invocation(event.context.deadline);
        let handled = migrate::handle(aws, event.payload, deadline).await;
        handled.map_err(|error| {
            tracing::error!("the migrator failed: {error:#}");
            Diagnostic {
                error_type: "MigrationFailed".into(),
                error_message: error.to_string(),
            }
        })
    }))
    .await
}
