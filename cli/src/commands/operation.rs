//! Waiting for a long job.

use super::Session;
use crate::progress::{Meter, Position};
use serde_json::Value;
use std::time::Duration;

const ASK_EVERY: Duration = Duration::from_secs(1);
/// In a row; what may pass by itself has passed by then, or won't.
const FAILED_ASKS_MAX: u32 = 30;

/// What a long job came to, waiting for it where the first answer hasn't it yet: the answer with `operation.result`.
pub(super) async fn wait(
    session: &Session,
    first: Value,
    (label, position_of): (&'static str, impl Fn(&Value) -> Position),
) -> anyhow::Result<Value> {
    let mut answer = first;
    let mut meter = Meter::new(label);
    let mut failed_asks = 0;
    loop {
        let operation = &answer["operation"];
        match operation["state"].as_str() {
            Some("succeeded") => break,
            Some("failed") => {
                meter.finish();
                anyhow::bail!(
                    "{}",
                    operation["error"].as_str().unwrap_or("the operation failed")
                );
            }
            Some(_) | None => meter.show(&position_of(&operation["progress"])),
        }
        let id = operation["id"].as_str().unwrap_or_default().to_owned();
        tokio::time::sleep(ASK_EVERY).await;
        match session.api.get(&format!("/operations/{id}")).await {
            Ok(newer) => (answer, failed_asks) = (newer, 0),
            Err(error) if error.may_pass() && failed_asks < FAILED_ASKS_MAX => {
                failed_asks += 1;
                if failed_asks == 1 {
                    meter.say(&format!("still waiting: {error}"));
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    meter.finish();
    Ok(answer)
}
