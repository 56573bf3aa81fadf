//! The migrator: the one function that changes the ledger's schema, invoked for a person.
//!
//! The call waits for some seconds. A change that takes longer continues without it; asking again tells
//! what came of it, since the migrator does what is left and says so. Not responsible for who may ask.

use crate::error::{Request, SwitchError};
use aws_config::SdkConfig;
use aws_sdk_lambda::Client;
use aws_sdk_lambda::config::Builder;
use aws_sdk_lambda::config::retry::RetryConfig;
use aws_sdk_lambda::config::timeout::TimeoutConfig;
use aws_sdk_lambda::error::SdkError;
use aws_sdk_lambda::primitives::Blob;
use granary_steps::{Step, perform};
use serde_json::Value;
use std::time::Duration;

const SERVICE: &str = "Lambda";
const CONNECT_SECS_MAX: u64 = 3;
/// API Gateway waits for 30 s.
const ANSWER_SECS_MAX: u64 = 18;

/// The migrator of a deployment.
#[derive(Debug, Clone)]
pub struct Migrator {
    lambda: Client,
    function: String,
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Migrating {
    /// It is done, and this is the answer.
    Done(Value),
    /// It is not done, and this is why.
    Failed(String),
    /// It is still at work.
    AtWork,
}

impl Migrator {
    /// Connects to nothing yet.
    pub fn new(aws: &SdkConfig, function: String) -> Self {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(CONNECT_SECS_MAX))
            .operation_attempt_timeout(Duration::from_secs(ANSWER_SECS_MAX))
            .operation_timeout(Duration::from_secs(ANSWER_SECS_MAX))
            .build();
        // A second invocation would only wait for the first one.
        let once = Builder::from(aws)
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts)
            .build();
        Self {
            lambda: Client::from_conf(once),
            function,
        }
    }

    /// Has the schema brought up to date. `asked`: who wants it, and why, for the audit.
    #[expect(clippy::disallowed_methods, reason = "this is where the step is taken")]
    pub async fn migrate(&self, asked: &Value) -> Result<Migrating, SwitchError> {
        let invoke = self
            .lambda
            .invoke()
            .function_name(&self.function)
            .payload(Blob::new(asked.to_string()));
        let answer = match perform(Step::AskForMigration, || invoke.clone().send()).await {
            Ok(answer) => answer,
            Err(SdkError::TimeoutError(_)) => return Ok(Migrating::AtWork),
            Err(error) => {
                let asked = Request {
                    service: SERVICE,
                    operation: "Invoke",
                    subject: &self.function,
                };
                return Err(SwitchError::new(asked, &error));
            }
        };
        let payload = answer.payload.map(Blob::into_inner).unwrap_or_default();
        let payload: Value = serde_json::from_slice(&payload).unwrap_or_default();
        Ok(match answer.function_error {
            None => Migrating::Done(payload),
            Some(kind) => Migrating::Failed(payload["errorMessage"].as_str().unwrap_or(&kind).to_owned()),
        })
    }
}
