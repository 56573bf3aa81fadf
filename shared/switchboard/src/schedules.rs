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
use std::str::FromStr;

const SERVICE: &str = "EventBridge Scheduler";
const NOT_A_NAME: &str = "it is not group/name, such as granary-harvester/granary-harvester-run";

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

/// Where a schedule is: `group/name`, as in its ARN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleName {
    /// Its group. AWS counts attempts by group, so each schedule has one of its own.
    pub group: String,
    /// Its name in the group.
    pub name: String,
}

impl FromStr for ScheduleName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts: Vec<&str> = text.split('/').collect();
        let [group, name] = parts[..] else {
            return Err(NOT_A_NAME);
        };
        if group.is_empty() || name.is_empty() {
            return Err(NOT_A_NAME);
        }
        Ok(Self {
            group: group.to_owned(),
            name: name.to_owned(),
        })
    }
}

/// Where the schedules are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleNames {
    /// The one that starts the harvester.
    pub harvester: ScheduleName,
    /// The one that starts the reaper.
    pub reaper: ScheduleName,
}

impl ScheduleNames {
    fn of(&self, ticked: Ticked) -> &ScheduleName {
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
            name: self.names.of(ticked).name.clone(),
            group: self.names.of(ticked).group.clone(),
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
            .name(&self.names.of(ticked).name)
            .group_name(&self.names.of(ticked).group)
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
            .group_name(&self.names.of(ticked).group)
            .name(&self.names.of(ticked).name)
            .send()
            .await
            .map_err(|error| SwitchError::new(self.request("GetSchedule", ticked), &error))
    }

    fn request(&self, operation: &'static str, ticked: Ticked) -> Request<'_> {
        Request {
            service: SERVICE,
            operation,
            subject: &self.names.of(ticked).name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_is_named_by_its_group_and_its_name() {
        let named: ScheduleName = "granary-reaper/granary-reaper-run".parse().unwrap();
        assert_eq!(
            (named.group.as_str(), named.name.as_str()),
            ("granary-reaper", "granary-reaper-run")
        );
        for text in ["granary-reaper", "/tick", "granary/", "a/b/c", ""] {
            assert_eq!(text.parse::<ScheduleName>(), Err(NOT_A_NAME), "{text}");
        }
    }
}
