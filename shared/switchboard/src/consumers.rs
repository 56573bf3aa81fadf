//! The consumers: Lambda's event source mappings, by which the queues start exporters.
//!
//! Which there are is asked of Lambda by the exporter's name, since their ids are Lambda's to choose. Switching takes AWS up
//! to a minute, and meanwhile a consumer is neither on nor off: [`Standing`] tells. Whoever was started already goes on
//! to the end.

use crate::error::{Request, SwitchError};
use crate::{Switch, instant_of};
use aws_config::SdkConfig;
use aws_sdk_lambda::Client;
use aws_sdk_lambda::config::Builder;
use aws_sdk_lambda::types::EventSourceMappingConfiguration;
use granary_environment::aws::{RetryClockAndToken, small_request_timeouts};
use granary_steps::{Step, perform};
use jiff::Timestamp;
use serde::Serialize;

const SERVICE: &str = "Lambda";
/// Two are ours.
const PAGES_MAX: u32 = 10;
const PAGE_ITEMS: i32 = 100;

/// How a consumer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// It starts exporters.
    On,
    /// It doesn't.
    Off,
    /// It is about to.
    TurningOn,
    /// It is about to stop.
    TurningOff,
    /// It is being made, changed or taken away.
    BeingChanged,
}

impl Standing {
    /// By the name that Lambda has for it.
    fn of(state: &str) -> Self {
        match state {
            "Enabled" => Self::On,
            "Disabled" => Self::Off,
            "Enabling" => Self::TurningOn,
            "Disabling" => Self::TurningOff,
            _ => Self::BeingChanged,
        }
    }

    /// Whether it is set to this, or is on its way there.
    pub fn is_or_becomes(self, switch: Switch) -> bool {
        match switch {
            Switch::On => matches!(self, Self::On | Self::TurningOn),
            Switch::Off => matches!(self, Self::Off | Self::TurningOff),
        }
    }

    /// Whether it is neither on nor off for the moment.
    pub fn is_changing(self) -> bool {
        match self {
            Self::On | Self::Off => false,
            Self::TurningOn | Self::TurningOff | Self::BeingChanged => true,
        }
    }
}

/// A consumer as Lambda has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consumer {
    /// Lambda's id of it.
    pub id: String,
    /// The ARN of what it takes from: a queue's, for ours.
    pub source_arn: String,
    /// Lambda's word for how it stands.
    pub state: String,
    /// What that means.
    pub standing: Standing,
    /// Messages that one exporter is handed.
    pub batch_size: Option<i32>,
    /// Exporters at once.
    pub concurrency_max: Option<i32>,
    /// When somebody changed it last.
    pub modified_at: Option<Timestamp>,
    /// What Lambda says of the last time.
    pub last_result: Option<String>,
}

/// The consumers of a deployment's exporter.
#[derive(Debug, Clone)]
pub struct Consumers {
    lambda: Client,
    function: String,
}

impl Consumers {
    /// Connects to nothing yet.
    pub fn new(aws: &SdkConfig, function: String) -> Self {
        let signing_again = Builder::from(aws)
            .retry_classifier(RetryClockAndToken)
            .timeout_config(small_request_timeouts())
            .build();
        Self {
            lambda: Client::from_conf(signing_again),
            function,
        }
    }

    /// All consumers of the exporter, whatever they take from.
    pub async fn look(&self) -> Result<Vec<Consumer>, SwitchError> {
        let mut consumers = Vec::new();
        let mut marker = None;
        for _ in 0..PAGES_MAX {
            let request = self
                .lambda
                .list_event_source_mappings()
                .function_name(&self.function)
                .max_items(PAGE_ITEMS)
                .set_marker(marker);
            let page = request.send().await.map_err(|error| {
                let asked = Request {
                    service: SERVICE,
                    operation: "ListEventSourceMappings",
                    subject: &self.function,
                };
                SwitchError::new(asked, &error)
            })?;
            consumers.extend(page.event_source_mappings.into_iter().flatten().map(consumer_of));
            marker = page.next_marker.filter(|marker| !marker.is_empty());
            if marker.is_none() {
                break;
            }
        }
        Ok(consumers)
    }

    /// How many exporters may run at once, where that is reserved for them; 0: none. `None`: as many as the account has left.
    pub async fn reserved_concurrency(&self) -> Result<Option<i32>, SwitchError> {
        let request = self
            .lambda
            .get_function_concurrency()
            .function_name(&self.function);
        let answer = request.send().await.map_err(|error| {
            let asked = Request {
                service: SERVICE,
                operation: "GetFunctionConcurrency",
                subject: &self.function,
            };
            SwitchError::new(asked, &error)
        })?;
        Ok(answer.reserved_concurrent_executions)
    }

    /// Sets a consumer's switch. One that is set already, or is on its way there, isn't touched.
    #[expect(clippy::disallowed_methods, reason = "this is where the step is taken")]
    pub async fn switch(&self, id: &str, to: Switch) -> Result<(), SwitchError> {
        let request = |operation| Request {
            service: SERVICE,
            operation,
            subject: id,
        };
        let found = self
            .lambda
            .get_event_source_mapping()
            .uuid(id)
            .send()
            .await
            .map_err(|error| SwitchError::new(request("GetEventSourceMapping"), &error))?;
        if Standing::of(found.state.as_deref().unwrap_or_default()).is_or_becomes(to) {
            return Ok(());
        }
        let update = self
            .lambda
            .update_event_source_mapping()
            .uuid(id)
            .enabled(to.is_on());
        perform(Step::SwitchConsumer, || update.clone().send())
            .await
            .map_err(|error| SwitchError::new(request("UpdateEventSourceMapping"), &error))?;
        Ok(())
    }
}

fn consumer_of(mapping: EventSourceMappingConfiguration) -> Consumer {
    let state = mapping.state.unwrap_or_default();
    Consumer {
        id: mapping.uuid.unwrap_or_default(),
        source_arn: mapping.event_source_arn.unwrap_or_default(),
        standing: Standing::of(&state),
        state,
        batch_size: mapping.batch_size,
        concurrency_max: mapping
            .scaling_config
            .and_then(|scaling| scaling.maximum_concurrency),
        modified_at: instant_of(mapping.last_modified.as_ref()),
        last_result: mapping.last_processing_result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_on_its_way_somewhere_is_neither_on_nor_off() {
        let standings = ["Enabled", "Enabling", "Disabling", "Disabled", "Updating", ""].map(Standing::of);
        let becomes = |switch| standings.map(|standing| standing.is_or_becomes(switch));
        assert_eq!(becomes(Switch::On), [true, true, false, false, false, false]);
        assert_eq!(becomes(Switch::Off), [false, false, true, true, false, false]);
        assert_eq!(
            standings.map(Standing::is_changing),
            [false, true, true, false, true, true]
        );
    }
}
