//! What a person decides about one object that no batch has on record: it is adopted, or discarded.
//!
//! Each is one step. It may be repeated: an object that was adopted holds nobody's messages any more, one that was
//! discarded isn't there.

use crate::slice::Turned;
use granary_domain::{Cause, Failure, MigrationId, ObjectKey, Place, Priority};
use granary_ledger::integrity::RepairMigration;
use granary_sweep::{DiscardArguments, DiscardReport, Discarded, Sweeper};
use granary_verify::{Adopted, Intent, ObjectAdoption, Verifier};
use serde::{Deserialize, Serialize};

/// What somebody asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AdoptObjectArguments {
    /// Which object.
    pub key: ObjectKey,
    /// Messages in a batch at most.
    pub batch_size: u32,
    /// Only look; write nothing.
    pub dry_run: bool,
    /// Why.
    pub reason: Option<String>,
    /// Who asked.
    pub requested_by: String,
}

/// Under which migration the messages are recorded: known before anything is written, so that a repetition finds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AdoptObjectProgress {
    heir: RepairMigration,
}

/// Takes the next step.
pub(crate) async fn adopt(
    verifier: &Verifier,
    place: Option<Place>,
    arguments: &AdoptObjectArguments,
    progress: Option<AdoptObjectProgress>,
) -> Result<Turned<AdoptObjectProgress, ObjectAdoption>, Failure> {
    let Some(Place::Object { hour, .. }) = place else {
        return Err(refused(format!(
            "{} is not the key of a data object of this archive",
            arguments.key
        )));
    };
    let Some(progress) = progress else {
        return Ok(Turned::More(AdoptObjectProgress {
            heir: RepairMigration {
                id: MigrationId::new(),
                range: hour.range(),
                batch_size: arguments.batch_size,
                priority: Priority::NORMAL,
                requested_by: arguments.requested_by.clone(),
            },
        }));
    };
    let intent = if arguments.dry_run {
        Intent::Look
    } else {
        Intent::Do
    };
    match verifier
        .adopt_object(&arguments.key, &progress.heir, intent)
        .await
    {
        Ok(Adopted::Done(adoption)) => Ok(Turned::Done(adoption)),
        Ok(Adopted::Refused(why)) => Err(refused(why)),
        Err(error) => Err(Failure::new(error.cause(), &error)),
    }
}

/// Takes the only step.
pub(crate) async fn discard(
    sweeper: &Sweeper,
    arguments: &DiscardArguments,
) -> Result<Option<DiscardReport>, Failure> {
    match sweeper.discard(arguments).await {
        Ok(Discarded::Done(report)) => Ok(Some(report)),
        Ok(Discarded::Pause) => Ok(None),
        Ok(Discarded::Refused(why)) => Err(refused(why)),
        Err(error) => Err(Failure::new(error.cause(), &error)),
    }
}

fn refused(text: String) -> Failure {
    Failure {
        cause: Cause::Unexpected,
        text,
    }
}
