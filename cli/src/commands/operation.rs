//! Waiting for a long job.

use super::Session;
use crate::progress::{Meter, Position};
use serde_json::Value;
use std::time::{Duration, Instant};

const ASK_EVERY: Duration = Duration::from_secs(1);
/// In a row; what may pass by itself has passed by then, or won't.
const FAILED_ASKS_MAX: u32 = 30;
/// The reaper goes on every minute, and takes over from a worker that died after a minute and a half.
const STANDSTILL_SECS_MAX: u64 = 180;

/// What a long job came to, waiting for it where the first answer hasn't it yet: the answer with `operation.result`.
pub(super) async fn wait(
    session: &Session,
    first: Value,
    (label, position_of): (&'static str, impl Fn(&Value) -> Position),
) -> anyhow::Result<Value> {
    let mut answer = first;
    let mut meter = Meter::new(label);
    let mut failed_asks = 0;
    let mut standstill = Standstill::default();
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
            Some("cancelled") => {
                meter.finish();
                anyhow::bail!("the operation was cancelled by an operator");
            }
            Some(_) | None => {
                meter.show(&position_of(&operation["progress"]));
                standstill.notice(&operation["updatedAt"], &meter);
            }
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

/// Notices when nobody works on a job any more.
#[derive(Default)]
struct Standstill {
    last: Option<(Value, Instant)>,
}

impl Standstill {
    fn notice(&mut self, updated_at: &Value, meter: &Meter) {
        match &self.last {
            Some((before, since)) if before == updated_at => {
                if since.elapsed().as_secs() >= STANDSTILL_SECS_MAX {
                    meter.say(
                        "nobody has worked on it for three minutes. Does the reaper tick? Its log says.",
                    );
                    self.last = None;
                }
            }
            Some(_) | None => self.last = Some((updated_at.clone(), Instant::now())),
        }
    }
}
