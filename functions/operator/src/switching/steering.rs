//! Steering: pausing a stage and resuming it.
//!
//! What was asked for is done when the answer comes, and asking twice is asking once. Workers finish what they have in hand;
//! the reaper sends what is to be sent at its next tick.

use crate::services::{Done, Services};
use crate::web::answer::Answer;
use crate::web::caller::Caller;
use crate::web::change::{Change, ChangeBody};
use crate::web::fields::{BodyFields, Fields};
use crate::web::problem::Problem;
use axum::Extension;
use axum::extract::State;
use granary_ledger::Ledger;
use granary_ledger::settings::Stage;
use serde::Serialize;
use serde_json::json;
use std::sync::Arc;
use utoipa::ToSchema;

/// Which stages are meant.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "what `steer` takes, for the document")]
pub(crate) struct SteeringBody {
    /// Which one; left out: both.
    stage: Option<StageName>,
    #[serde(flatten)]
    change: ChangeBody,
}

/// A part of the way that messages go.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "what `stages` reads, for the document")]
pub(crate) enum StageName {
    /// Finding messages.
    Harvest,
    /// Archiving batches.
    Export,
}

/// What became of the stages.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Steered {
    /// Whether it was only foretold: then nothing was changed.
    dry_run: bool,
    /// `pause` or `resume`.
    #[schema(examples("pause"))]
    action: &'static str,
    /// The stages that were meant: `harvest`, `export`.
    #[schema(examples(json!(["harvest", "export"])))]
    stages: Vec<&'static str>,
    /// How each of them stood before.
    before: Standings,
    /// How each of them stands now; in a dry run, would.
    after: Standings,
}

/// How those stages stand that were meant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Standings {
    /// The harvest: finding messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    harvest: Option<StageStanding>,
    /// The export: archiving batches.
    #[serde(skip_serializing_if = "Option::is_none")]
    export: Option<StageStanding>,
}

/// How a stage stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum StageStanding {
    /// Nothing new is begun.
    Paused,
    /// It goes on.
    Running,
}

/// Pause stages
///
/// Workers finish what they have in hand; nothing new is begun. Nothing is lost.
#[utoipa::path(post, path = "/pause", request_body = SteeringBody)]
pub(crate) async fn pause(
    State(services): State<Arc<Services>>,
    Extension(caller): Extension<Caller>,
    BodyFields(fields): BodyFields,
) -> Result<Answer<Steered>, Problem> {
    steer(&services, &caller, &fields, Steering::Pause).await
}

/// Resume stages
#[utoipa::path(post, path = "/resume", request_body = SteeringBody)]
pub(crate) async fn resume(
    State(services): State<Arc<Services>>,
    Extension(caller): Extension<Caller>,
    BodyFields(fields): BodyFields,
) -> Result<Answer<Steered>, Problem> {
    steer(&services, &caller, &fields, Steering::Resume).await
}

/// What is done to a stage.
#[derive(Clone, Copy)]
enum Steering {
    Pause,
    Resume,
}

impl Steering {
    /// The name in the audit, and how a stage stands afterwards.
    fn names(self) -> (&'static str, StageStanding) {
        match self {
            Self::Pause => ("pause", StageStanding::Paused),
            Self::Resume => ("resume", StageStanding::Running),
        }
    }
}

async fn steer(
    services: &Services,
    caller: &Caller,
    fields: &Fields,
    steering: Steering,
) -> Result<Answer<Steered>, Problem> {
    fields.only(&["stage", "dryRun", "reason"])?;
    let stages = stages(fields)?;
    let change = Change::read(fields)?;
    let ledger = services.ledger().await?;
    let (action, stands) = steering.names();
    let before = standing(ledger, &stages).await?;
    let mut after = Standings::default();
    for (stage, _) in &stages {
        after.set(*stage, stands);
    }
    let names: Vec<&'static str> = stages.iter().map(|(_, name)| *name).collect();
    if !change.is_dry_run {
        // Who wanted it is written down first: nothing stands still that nobody answers for.
        services
            .record(Done {
                by: caller.clone(),
                action,
                arguments: change.with_reason(json!({ "stages": names })),
                effect: json!({ "before": before, "after": after }),
            })
            .await?;
        for (stage, _) in &stages {
            match steering {
                Steering::Pause => {
                    ledger
                        .pause_because(*stage, caller.name(), change.reason())
                        .await?;
                }
                Steering::Resume => ledger.resume(*stage).await?,
            }
        }
    }
    Ok(Answer::ok(Steered {
        dry_run: change.is_dry_run,
        action,
        stages: names,
        before,
        after,
    }))
}

/// How each stage stands.
async fn standing(ledger: &Ledger, stages: &[(Stage, &'static str)]) -> Result<Standings, Problem> {
    let mut standing = Standings::default();
    for (stage, _) in stages {
        let stands = match ledger.pause_of(*stage).await? {
            Some(_) => StageStanding::Paused,
            None => StageStanding::Running,
        };
        standing.set(*stage, stands);
    }
    Ok(standing)
}

impl Standings {
    fn set(&mut self, stage: Stage, stands: StageStanding) {
        match stage {
            Stage::Harvest => self.harvest = Some(stands),
            Stage::Export => self.export = Some(stands),
        }
    }
}

/// The stage that is meant; both, where none is named.
fn stages(fields: &Fields) -> Result<Vec<(Stage, &'static str)>, Problem> {
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
