//! The answer that CloudFormation waits for: a PUT to the address in its request, a presigned one of S3.
//!
//! In a VPC it goes through the gateway endpoint of S3. The address is a secret and is in no error. Where S3 doesn't
//! take the answer, the invocation fails, Lambda invokes the function again, and the answer is given then.

use crate::event::StackRequest;
use anyhow::Context;
use backon::{ExponentialBuilder, Retryable};
use std::time::Duration;

const CONNECT_SECS_MAX: u64 = 3;
const ANSWER_SECS_MAX: u64 = 10;
/// CloudFormation takes 4,096 bytes of answer, and shows some hundred characters.
const REASON_CHARS_MAX: usize = 800;

/// Says how it ended.
pub(crate) async fn give(request: &StackRequest, outcome: &anyhow::Result<String>) -> anyhow::Result<()> {
    let (status, reason) = match outcome {
        Ok(done) => ("SUCCESS", done.clone()),
        Err(error) => {
            tracing::error!("the schema is not what the stack needs: {error:#}");
            ("FAILED", error.to_string())
        }
    };
    let reason: String = reason.chars().take(REASON_CHARS_MAX).collect();
    put(&request.response_url, request.answer(status, &reason).to_string())
        .await
        .map_err(reqwest::Error::without_url)
        .context("CloudFormation did not get its answer")
}

/// Without a type of content: it isn't a part of what was signed.
async fn put(url: &str, body: String) -> Result<(), reqwest::Error> {
    let http = reqwest::Client::builder()
        .connect_timeout(Duration::from_secs(CONNECT_SECS_MAX))
        .timeout(Duration::from_secs(ANSWER_SECS_MAX))
        .build()?;
    let put = || async {
        let answer = http.put(url).body(body.clone()).send().await?;
        answer.error_for_status().map(drop)
    };
    put.retry(ExponentialBuilder::default().with_jitter()).await
}
