//! A function of a test's own at the AWS emulator: the real binary behind Lambda's API, and at most so many of it at once.
//!
//! What exceeds the limit Lambda refuses (429), and counts as a throttle. Not here: what else a function does, which
//! [`Function`](super::Function) shows. It is removed with its stage.

use super::Stage;
use super::function::binary;
use aws_sdk_lambda::config::Builder;
use aws_sdk_lambda::config::retry::RetryConfig;
use aws_sdk_lambda::operation::invoke::InvokeError;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::{Environment, FunctionCode, Runtime};
use serde_json::Value;
use std::io::{Cursor, Write};
use std::path::Path;
use std::sync::Mutex;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

const ROLE: &str = "arn:aws:iam::000000000000:role/granary-test";
const TIMEOUT_SECS: i32 = 60;

/// What became of an invocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Invoked {
    /// The function answered.
    Answered,
    /// Lambda refused it: the function never saw it.
    Throttled,
}

pub(crate) struct Deployed {
    lambda: aws_sdk_lambda::Client,
    name: String,
}

impl Stage {
    /// Deploys one of its functions to the emulator, told something else on top. At most `at_once` of it work at a time.
    pub(crate) async fn deploy(&self, function: &str, settings: &[(&str, &str)], at_once: i32) -> Deployed {
        let aws = granary_environment::aws::sdk_config().await;
        // The SDK would invoke again what was refused.
        let once = Builder::from(&aws).retry_config(RetryConfig::disabled()).build();
        let lambda = aws_sdk_lambda::Client::from_conf(once);
        let name = format!("{}-{function}", self.id);
        let own = self
            .environment
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        let mut environment = Environment::builder();
        // Lambda sets AWS's own variables.
        for (variable, value) in own.filter(|(name, _)| name.starts_with("GRANARY_")) {
            environment = environment.variables(variable, value);
        }
        for (variable, value) in settings {
            environment = environment.variables(*variable, *value);
        }
        let code = FunctionCode::builder().zip_file(Blob::new(package(&binary(function))));
        let making = lambda
            .create_function()
            .function_name(&name)
            .runtime(Runtime::Providedal2023)
            .handler("bootstrap")
            .role(ROLE)
            .timeout(TIMEOUT_SECS)
            .environment(environment.build())
            .code(code.build());
        making.send().await.unwrap();
        self.deployed.lock().unwrap().push(name.clone());
        let limiting = lambda
            .put_function_concurrency()
            .function_name(&name)
            .reserved_concurrent_executions(at_once);
        limiting.send().await.unwrap();
        Deployed { lambda, name }
    }
}

impl Deployed {
    /// By which others invoke it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Invokes it once; an answer that is an error fails the test.
    pub(crate) async fn invoke(&self, event: &Value) -> Invoked {
        let invoking = self
            .lambda
            .invoke()
            .function_name(&self.name)
            .payload(Blob::new(event.to_string()));
        match invoking.send().await {
            Ok(answer) => {
                assert_eq!(answer.function_error, None, "{}: {answer:?}", self.name);
                Invoked::Answered
            }
            Err(error) => {
                let is_throttled = error
                    .as_service_error()
                    .is_some_and(InvokeError::is_too_many_requests_exception);
                assert!(is_throttled, "{}: {error:?}", self.name);
                Invoked::Throttled
            }
        }
    }
}

/// Removes functions by their names; their processes end.
pub(super) async fn remove(names: &Mutex<Vec<String>>) {
    let names = std::mem::take(&mut *names.lock().unwrap());
    let aws = granary_environment::aws::sdk_config().await;
    let lambda = aws_sdk_lambda::Client::new(&aws);
    for name in names {
        lambda.delete_function().function_name(name).send().await.unwrap();
    }
}

/// A script that becomes the binary: on this machine, the emulator can start it where it lies.
fn package(binary: &Path) -> Vec<u8> {
    let mut package = ZipWriter::new(Cursor::new(Vec::new()));
    let executable = SimpleFileOptions::default().unix_permissions(0o755);
    package.start_file("bootstrap", executable).unwrap();
    writeln!(package, "#!/bin/sh\nexec '{}'", binary.display()).unwrap();
    package.finish().unwrap().into_inner()
}
