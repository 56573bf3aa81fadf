//! Steering: pausing a stage and resuming it, and giving parked batches their attempts again.
//!
//! What was asked for is done when the answer comes, and asking twice is asking once. Workers finish what they have in hand;
//! the reaper sends what is to be sent at its next tick.

use crate::answer::Answer;
use crate::auth::Role;
use crate::fields::{BodyFields, Fields};
use crate::problem::Problem;
use crate::services::{Done, Services};
use axum::Extension;
use axum::extract::State;
use granary_domain::BatchId;
use granary_ledger::Stage;
use serde_json::json;
use std::sync::Arc;

const BATCHES_PER_REQUEST_MAX: u32 = 1_000;

/// `POST /pause`.
pub(crate) async fn pause(
    State(services): State<Arc<Services>>,
    Extension(role): Extension<Role>,
    BodyFields(fields): BodyFields,
) -> Result<Answer, Problem> {
    steer(&services, role, &fields, Steering::Pause).await
}

/// `POST /resume`.
pub(crate) async fn resume(
    State(services): State<Arc<Services>>,
    Extension(role): Extension<Role>,
    BodyFields(fields): BodyFields,
) -> Result<Answer, Problem> {
    steer(&services, role, &fields, Steering::Resume).await
}

/// `POST /migrate/retry-failed`: batches that are parked. Failed ones with attempts left are retried anyway.
pub(crate) async fn retry_failed(
    State(services): State<Arc<Services>>,
    Extension(role): Extension<Role>,
    BodyFields(fields): BodyFields,
) -> Result<Answer, Problem> {
    fields.only(&["limit", "dryRun"])?;
    let limit = fields
        .number("limit", 1..=BATCHES_PER_REQUEST_MAX)?
        .unwrap_or(BATCHES_PER_REQUEST_MAX);
    let is_dry_run = fields.switch("dryRun")?;
    let ledger = services.ledger().await?;
    let parked: Vec<BatchId> = ledger.parked_batches(limit).await?;
    let retried = if is_dry_run {
        0
    } else {
        ledger.unpark(&parked).await?
    };
    let batches: Vec<u64> = parked.iter().map(|batch| batch.0).collect();
    if !is_dry_run {
        services
            .record(Done {
                by: role,
                action: "migrate.retry_failed",
                arguments: json!({ "limit": limit }),
                effect: json!({ "retried": retried, "batches": batches }),
            })
            .await?;
    }
    Ok(Answer::ok(
        json!({ "dryRun": is_dry_run, "found": batches.len(), "retried": retried, "batches": batches }),
    ))
}

/// What is done to a stage.
#[derive(Clone, Copy)]
enum Steering {
    Pause,
    Resume,
}

async fn steer(
    services: &Services,
    role: Role,
    fields: &Fields,
    steering: Steering,
) -> Result<Answer, Problem> {
    let stages = stages(fields)?;
    let ledger = services.ledger().await?;
    for (stage, _) in &stages {
        match steering {
            Steering::Pause => ledger.pause(*stage, role.as_str()).await?,
            Steering::Resume => ledger.resume(*stage).await?,
        }
    }
    let action = match steering {
        Steering::Pause => "pause",
        Steering::Resume => "resume",
    };
    let names: Vec<&str> = stages.iter().map(|(_, name)| *name).collect();
    services
        .record(Done {
            by: role,
            action,
            arguments: json!({ "stages": names }),
            effect: json!({}),
        })
        .await?;
    Ok(Answer::ok(json!({ "action": action, "stages": names })))
}

/// The stage that is meant; both, where none is named.
fn stages(fields: &Fields) -> Result<Vec<(Stage, &'static str)>, Problem> {
    fields.only(&["stage"])?;
    let both = [(Stage::Harvest, "harvest"), (Stage::Export, "export")];
    match fields.text("stage")? {
        None => Ok(both.into()),
        Some(wanted) => match both.into_iter().find(|(_, name)| *name == wanted) {
            Some(stage) => Ok(vec![stage]),
            None => Err(Problem::invalid(
                "stage",
                format!(
                    "`stage` is {wanted:?}; it must be \"harvest\" or \"export\", or be left out for both."
                ),
            )),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_is_named_or_both_are_meant() {
        let read = |json: &str| stages(&Fields::of_json(json.as_bytes()).unwrap());
        assert_eq!(read("").unwrap().len(), 2);
        assert_eq!(
            read(r#"{"stage":"export"}"#).unwrap(),
            [(Stage::Export, "export")]
        );
        assert_eq!(read(r#"{"stage":"exports"}"#).unwrap_err().field(), Some("stage"));
    }
}
