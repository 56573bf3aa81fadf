//! The reaper: every minute it sends what is unsent, takes back what dead workers held, retries what failed, tells
//! people what they have to know, and goes on with long operations. See `reap.rs`.

mod config;
mod login;
mod identity;
mod reap;
mod resend;
mod purged_queues;
mod failure_rate;
mod conditions;
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
mod measure;

use crate::config::Config;
use crate::login::LoginWatch;
use crate::reap::Reaper;
use aws_config::SdkConfig;
use granary_alert::Publisher;
use granary_environment::{Deadline, aws};
use granary_telemetry::{Metric, record_tick, start_metrics, write_metrics};
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde_json::Value;
use std::time::Instant;
use tokio::sync::OnceCell;

/// What each tick's line of metrics may hold.
const EMITTED: [Metric; 11] = [
    Metric::TickSucceeded,
    Metric::TickDuration,
    Metric::ArchiveLag,
    Metric::ProvenLag,
    Metric::OldestPending,
    Metric::BatchesParked,
    Metric::OpenAlerts,
    Metric::InvariantsViolated,
    Metric::BadVerdicts,
    Metric::LedgerConnectionsUsed,
    Metric::MemoryUsed,
];

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    granary_telemetry::init("reaper");
    start_metrics(&EMITTED);
    let aws = &aws::sdk_config().await;
    let read = Config::read(aws).await.map_err(anyhow::Error::from);
    let config = &read.inspect_err(|error| tracing::error!("the reaper can't start: {error:#}"))?;
    let watch = &LoginWatch::new(
        Publisher::new(aws, config.alert_topic_arn.clone()),
        config.sender.clone(),
    );
    let reaper = &start(config, aws, watch).await?;
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| async move {
        let started = Instant::now();
        let deadline = Deadline::of_invocation(event.context.deadline);
        let ticked = async {
            let connected = reaper.get_or_try_init(|| Reaper::start(config.clone(), aws));
            connected.await?.tick(deadline).await
        };
        let ticked = ticked.await;
        watch.look(&ticked).await;
        let is_done = ticked.as_ref().is_ok_and(|tick| !tick.skipped);
        record_tick(is_done, started);
        write_metrics();
        ticked.map_err(|error| {
            tracing::error!("the reaper failed: {error:#}");
            Diagnostic {
                error_type: "ReapFailed".into(),
                error_message: format!("{error:#}"),
            }
        })
    }))
    .await
}

/// The reaper or, where the ledger refuses its login, the place for it: such a process lives on, since it has to know when its
/// secret was read, and that people were told.
async fn start(config: &Config, aws: &SdkConfig, watch: &LoginWatch) -> anyhow::Result<OnceCell<Reaper>> {
    let started = Reaper::start(config.clone(), aws).await;
    watch.look(&started).await;
    match started {
        Ok(reaper) => Ok(OnceCell::new_with(Some(reaper))),
        Err(error) => {
            tracing::error!("the reaper can't start: {error:#}");
            match login::is_login_refused(&error) {
                true => Ok(OnceCell::new()),
                false => Err(error),
            }
        }
    }
}
