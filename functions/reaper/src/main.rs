//! The reaper: every minute it sends what is unsent, takes back what dead workers held, retries what failed, tells
//! people what they have to know, and goes on with long operations. See `reap.rs`.

mod config;
mod reap;
mod resend;
mod purged_queues;
mod failure_rate;
mod deferrals;
mod stalls;
mod inspect;
mod publish;
mod superseded;
mod probes;
mod history;
mod restarts;
mod daily;
mod sweep;
mod prove;
mod purge;
mod operations;

use crate::reap::Reaper;
use granary_environment::Deadline;
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde_json::Value;

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    granary_telemetry::init("reaper");
    let reaper = &Reaper::start().await.inspect_err(|error| {
        tracing::error!("the reaper can't start: {error:#}");
    })?;
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| async move {
        let deadline = Deadline::of_invocation(event.context.deadline);
        reaper.tick(deadline).await.map_err(|error| {
            tracing::error!("the reaper failed: {error:#}");
            Diagnostic {
                error_type: "ReapFailed".into(),
                error_message: format!("{error:#}"),
            }
        })
    }))
    .await
}
