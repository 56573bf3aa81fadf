//! The schedules: EventBridge Scheduler starts the harvester and the reaper by one each.
//!
//! AWS changes a schedule only as a whole: whatever a change doesn't name goes back to its default. So the definition is
//! read, and written again with nothing but its state changed. It has no version to write against; a deployment that
//! changes the schedule within these milliseconds would be undone, and the next one sets it right.

use crate::error::{Request, SwitchError};
use crate::{Switch, instant_of};
use aws_config::SdkConfig;
use aws_sdk_scheduler::Client;
use aws_sdk_scheduler::config::Builder;
use aws_sdk_scheduler::operation::get_schedule::GetScheduleOutput;
use aws_sdk_scheduler::types::ScheduleState;
use granary_environment::aws::RetryClockAndToken;
use granary_steps::{Step, perform};
use jiff::Timestamp;
use serde::Serialize;

const SERVICE: &str = "EventBridge Scheduler";

/// What a schedule starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Ticked {
    /// It finds messages.
    Harvester,
    /// It sends, takes back, retries and tells people.
    Reaper,
}

impl Ticked {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Harvester, Self::Reaper];

    /// Its name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Harvester => "harvester",
            Self::Reaper => "reaper",
        }
    }
}

/// Where the schedules are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleNames {
    /// The schedules' group.
    pub group: String,
    /// The name of the one that starts the harvester.
    pub harvester: String,
    /// The name of the one that starts the reaper.
    pub reaper: String,
}

impl ScheduleNames {
    fn of(&self, ticked: Ticked) -> &str {
        match ticked {
            Ticked::Harvester => &self.harvester,
            Ticked::Reaper => &self.reaper,
        }
    }
}

/// A schedule as AWS has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Schedule {
    /// What it starts.
    pub schedule: Ticked,
    /// Its name.
    pub name: String,
    /// Its group.
    pub group: String,
    /// Whether it does.
    pub enabled: bool,
    /// How often: `rate(1 minute)`.
    pub expression: Option<String>,
    /// When somebody changed it last.
    pub modified_at: Option<Timestamp>,
}

/// The schedules of a deployment.
#[derive(Debug, Clone)]
pub struct Schedules {
    scheduler: Client,
    names: ScheduleNames,
}

impl Schedules {
    /// Connects to nothing yet.
    pub fn new(aws: &SdkConfig, names: ScheduleNames) -> Self {
        let signing_again = Builder::from(aws).retry_classifier(RetryClockAndToken).build();
        Self {
            scheduler: Client::from_conf(signing_again),
            names,
        }
    }

    /// How a schedule stands.
    pub async fn look_at(&self, ticked: Ticked) -> Result<Schedule, SwitchError> {
        let definition = self.definition(ticked).await?;
        Ok(Schedule {
            schedule: ticked,
            name: self.names.of(ticked).to_owned(),
            group: self.names.group.clone(),
            enabled: definition.state == Some(ScheduleState::Enabled),
            expression: definition.schedule_expression,
            modified_at: instant_of(definition.last_modification_date.as_ref()),
        })
    }

    /// Sets a schedule's switch. One that is set already isn't touched.
    #[expect(clippy::disallowed_methods, reason = "this is where the step is taken")]
    pub async fn switch(&self, ticked: Ticked, to: Switch) -> Result<(), SwitchError> {
        let definition = self.definition(ticked).await?;
        let state = match to {
            Switch::On => ScheduleState::Enabled,
            Switch::Off => ScheduleState::Disabled,
        };
        if definition.state.as_ref() == Some(&state) {
            return Ok(());
        }
        let update = self
            .scheduler
            .update_schedule()
            .name(self.names.of(ticked))
            .group_name(&self.names.group)
            .set_schedule_expression(definition.schedule_expression)
            .set_schedule_expression_timezone(definition.schedule_expression_timezone)
            .set_start_date(definition.start_date)
            .set_end_date(definition.end_date)
            .set_description(definition.description)
            .set_kms_key_arn(definition.kms_key_arn)
            .set_target(definition.target)
            .set_flexible_time_window(definition.flexible_time_window)
            .set_action_after_completion(definition.action_after_completion)
            .state(state);
        perform(Step::SwitchSchedule, || update.clone().send())
            .await
            .map_err(|error| SwitchError::new(self.request("UpdateSchedule", ticked), &error))?;
        Ok(())
    }

    async fn definition(&self, ticked: Ticked) -> Result<GetScheduleOutput, SwitchError> {
        self.scheduler
            .get_schedule()
            .group_name(&self.names.group)
            .name(self.names.of(ticked))
            .send()
            .await
            .map_err(|error| SwitchError::new(self.request("GetSchedule", ticked), &error))
    }

    fn request(&self, operation: &'static str, ticked: Ticked) -> Request<'_> {
        Request {
            service: SERVICE,
            operation,
            subject: self.names.of(ticked),
        }
    }
}
