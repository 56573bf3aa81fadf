//! `/migrate/scheduler`: the schedules that start the harvester and the reaper, shown and switched.
//!
//! While the harvester's is off nothing new is found; while the reaper's is off nothing is retried, nobody is told of
//! anything, and long jobs wait. Nothing is lost by either: what is due is done once they are on again.

use crate::services::{Done, Services};
use crate::web::answer::Answer;
use crate::web::caller::Caller;
use crate::web::change::{Change, ChangeBody};
use crate::web::fields::{BodyFields, Fields};
use crate::web::problem::{Kind, Problem};
use axum::Extension;
use axum::extract::State;
use granary_switchboard::{Schedule, Schedules, Switch, Ticked};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use utoipa::ToSchema;

/// Which schedules are to be switched.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "what `switch` takes, for the document")]
pub(crate) struct SchedulerBody {
    /// Which one; left out: both.
    schedule: Option<ScheduleName>,
    #[serde(flatten)]
    change: ChangeBody,
}

/// What a schedule starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ScheduleName {
    /// The harvester: it finds messages.
    Harvester,
    /// The reaper: it sends, takes back, retries and tells people.
    Reaper,
}

/// How the schedules stand.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SchedulerStatus {
    /// One word for both.
    status: SchedulerStanding,
    /// The harvester's, then the reaper's.
    schedules: Vec<ShownSchedule>,
}

/// One word for how all schedules stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SchedulerStanding {
    /// All are on.
    Running,
    /// All are off.
    Stopped,
    /// Some are on.
    Partly,
}

/// A schedule as EventBridge Scheduler has it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ShownSchedule {
    /// What it starts.
    schedule: ScheduleName,
    /// Its name.
    #[schema(examples("granary-harvester-run"))]
    name: String,
    /// Its group.
    #[schema(examples("granary-harvester"))]
    group: String,
    /// Whether it starts anything.
    enabled: bool,
    /// How often, in EventBridge's words.
    #[schema(examples("rate(1 minute)"))]
    expression: Option<String>,
    /// When somebody changed it last, to the second.
    modified_at: Option<Timestamp>,
}

/// What became of the schedules.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SchedulerSwitched {
    /// Whether it was only foretold: then nothing was switched.
    dry_run: bool,
    /// One word for both, afterwards; in a dry run, as it would be.
    status: SchedulerStanding,
    /// Both as they stand afterwards; in a dry run, as they would.
    schedules: Vec<SwitchedSchedule>,
    /// What that means, for people.
    message: &'static str,
}

/// A schedule after a change.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SwitchedSchedule {
    #[serde(flatten)]
    schedule: ShownSchedule,
    /// Whether it was on before.
    was_enabled: Option<bool>,
}

impl From<&Schedule> for ShownSchedule {
    fn from(schedule: &Schedule) -> Self {
        Self {
            schedule: match schedule.schedule {
                Ticked::Harvester => ScheduleName::Harvester,
                Ticked::Reaper => ScheduleName::Reaper,
            },
            name: schedule.name.clone(),
            group: schedule.group.clone(),
            enabled: schedule.enabled,
            expression: schedule.expression.clone(),
            modified_at: schedule.modified_at,
        }
    }
}

/// How the schedules stand
///
/// They are read from EventBridge Scheduler each time.
#[utoipa::path(get, path = "/migrate/scheduler/status", responses((status = 409, description = "There are none.")))]
pub(crate) async fn status(
    State(services): State<Arc<Services>>,
) -> Result<Answer<SchedulerStatus>, Problem> {
    let schedules = look(&services).await?;
    Ok(Answer::ok(SchedulerStatus {
        status: status_of(&schedules),
        schedules: schedules.iter().map(ShownSchedule::from).collect(),
    }))
}

/// Switch schedules on
///
/// The clock starts the harvester and the reaper then. One that is on already isn't touched.
#[utoipa::path(post, path = "/migrate/scheduler/start", request_body = SchedulerBody)]
pub(crate) async fn start(
    State(services): State<Arc<Services>>,
    Extension(caller): Extension<Caller>,
    BodyFields(fields): BodyFields,
) -> Result<Answer<SchedulerSwitched>, Problem> {
    switch(&services, &caller, &fields, Switch::On).await
}

/// Switch schedules off
///
/// What is at work goes on to its end. Nothing is lost: what is due is done once they are on again.
#[utoipa::path(post, path = "/migrate/scheduler/stop", request_body = SchedulerBody)]
pub(crate) async fn stop(
    State(services): State<Arc<Services>>,
    Extension(caller): Extension<Caller>,
    BodyFields(fields): BodyFields,
) -> Result<Answer<SchedulerSwitched>, Problem> {
    switch(&services, &caller, &fields, Switch::Off).await
}

async fn switch(
    services: &Services,
    caller: &Caller,
    fields: &Fields,
    to: Switch,
) -> Result<Answer<SchedulerSwitched>, Problem> {
    fields.only(&["schedule", "dryRun", "reason"])?;
    let change = Change::read(fields)?;
    let chosen = chosen(fields)?;
    let schedules = schedules(services)?;
    let before = look(services).await?;
    let after: Vec<Schedule> = if change.is_dry_run {
        let foretold = |schedule: &Schedule| Schedule {
            enabled: if chosen.contains(&schedule.schedule) {
                to.is_on()
            } else {
                schedule.enabled
            },
            ..schedule.clone()
        };
        before.iter().map(foretold).collect()
    } else {
        // Who wanted it is written down first: nothing is switched that nobody answers for.
        services
            .record(audit(caller, &change, &chosen, &before, to))
            .await?;
        for ticked in &chosen {
            schedules.switch(*ticked, to).await?;
        }
        look(services).await?
    };
    Ok(Answer::ok(SchedulerSwitched {
        dry_run: change.is_dry_run,
        status: status_of(&after),
        schedules: with_before(&after, &before),
        message: if change.is_dry_run {
            "Nothing was switched."
        } else {
            message(&chosen, to)
        },
    }))
}

fn audit(caller: &Caller, change: &Change, chosen: &[Ticked], before: &[Schedule], to: Switch) -> Done {
    let names: Vec<&str> = chosen.iter().map(|ticked| ticked.as_str()).collect();
    let was = |schedule: &Schedule| (schedule.schedule.as_str().to_owned(), schedule.enabled.into());
    let of_chosen = before
        .iter()
        .filter(|schedule| chosen.contains(&schedule.schedule));
    let before: Map<String, Value> = of_chosen.map(was).collect();
    let after: Map<String, Value> = names
        .iter()
        .map(|name| ((*name).to_owned(), to.is_on().into()))
        .collect();
    Done {
        by: caller.clone(),
        action: match to {
            Switch::On => "scheduler.start",
            Switch::Off => "scheduler.stop",
        },
        arguments: change.with_reason(json!({ "schedules": names })),
        effect: json!({ "before": before, "after": after }),
    }
}

/// The schedule that is meant; both, where none is named.
fn chosen(fields: &Fields) -> Result<Vec<Ticked>, Problem> {
    let Some(wanted) = fields.text("schedule")? else {
        return Ok(Ticked::ALL.into());
    };
    match Ticked::ALL.into_iter().find(|ticked| ticked.as_str() == wanted) {
        Some(ticked) => Ok(vec![ticked]),
        None => Err(Problem::invalid(
            "schedule",
            format!(
                "`schedule` is {wanted:?}; it must be \"harvester\" or \"reaper\", or be left out for both."
            ),
        )),
    }
}

fn schedules(services: &Services) -> Result<&Schedules, Problem> {
    services.schedules.as_ref().ok_or_else(|| {
        Problem::new(
            Kind::NotPossible,
            "This deployment has no schedules that the operator knows of.",
        )
        .remedy(
            "Set GRANARY_HARVESTER_SCHEDULE and GRANARY_REAPER_SCHEDULE of the operator, as template.yaml does.",
        )
    })
}

/// Both schedules as they stand.
pub(crate) async fn look(services: &Services) -> Result<Vec<Schedule>, Problem> {
    let schedules = schedules(services)?;
    let (harvester, reaper) = tokio::try_join!(
        schedules.look_at(Ticked::Harvester),
        schedules.look_at(Ticked::Reaper)
    )?;
    Ok(vec![harvester, reaper])
}

/// One word for all of them.
fn status_of(schedules: &[Schedule]) -> SchedulerStanding {
    let enabled = schedules.iter().filter(|schedule| schedule.enabled).count();
    match enabled {
        0 => SchedulerStanding::Stopped,
        count if count == schedules.len() => SchedulerStanding::Running,
        _ => SchedulerStanding::Partly,
    }
}

fn with_before(after: &[Schedule], before: &[Schedule]) -> Vec<SwitchedSchedule> {
    let shown = |schedule: &Schedule| {
        let was = before.iter().find(|before| before.schedule == schedule.schedule);
        SwitchedSchedule {
            schedule: schedule.into(),
            was_enabled: was.map(|was| was.enabled),
        }
    };
    after.iter().map(shown).collect()
}

fn message(chosen: &[Ticked], to: Switch) -> &'static str {
    match (to, chosen.contains(&Ticked::Reaper)) {
        (Switch::On, _) => "The clock starts them within a minute; what is due meanwhile is done then.",
        (Switch::Off, true) => {
            "What is at work goes on to its end. Until the reaper's is on again nothing is retried, nobody is told of \
             anything, and long jobs wait."
        }
        (Switch::Off, false) => {
            "What is at work goes on to its end. New messages are found once it is on again."
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(schedule: Ticked, switch: Switch) -> Schedule {
        Schedule {
            schedule,
            name: format!("granary-{}-tick", schedule.as_str()),
            group: format!("granary-{}", schedule.as_str()),
            enabled: switch.is_on(),
            expression: Some("rate(1 minute)".into()),
            modified_at: None,
        }
    }

    #[test]
    fn one_word_says_how_both_stand() {
        let status = |harvester, reaper| {
            status_of(&[
                schedule(Ticked::Harvester, harvester),
                schedule(Ticked::Reaper, reaper),
            ])
        };
        assert_eq!(status(Switch::On, Switch::On), SchedulerStanding::Running);
        assert_eq!(status(Switch::On, Switch::Off), SchedulerStanding::Partly);
        assert_eq!(status(Switch::Off, Switch::Off), SchedulerStanding::Stopped);
    }

    #[test]
    fn a_schedule_is_named_or_both_are_meant() {
        let read = |json: &str| chosen(&Fields::of_json(json.as_bytes()).unwrap());
        assert_eq!(read("").unwrap(), Ticked::ALL);
        assert_eq!(read(r#"{"schedule":"reaper"}"#).unwrap(), [Ticked::Reaper]);
        assert_eq!(
            read(r#"{"schedule":"exporter"}"#).unwrap_err().field(),
            Some("schedule")
        );
    }

    #[test]
    fn the_audit_has_what_was_before_and_what_is_after_of_those_that_are_switched() {
        let before = [
            schedule(Ticked::Harvester, Switch::On),
            schedule(Ticked::Reaper, Switch::On),
        ];
        let change = Change::read(&Fields::default()).unwrap();
        let done = audit(
            &Caller::of_a_test(),
            &change,
            &[Ticked::Reaper],
            &before,
            Switch::Off,
        );
        assert_eq!(done.action, "scheduler.stop");
        assert_eq!(
            done.effect,
            json!({"before": {"reaper": true}, "after": {"reaper": false}})
        );
    }
}
