//! What is AWS's: the bucket, the queues and their dead letters, the topic, the schedules and the consumers.
//!
//! A request that AWS refuses for a lack of rights is told with the right that is lacking. What isn't configured here (as where
//! the operator runs on a developer's machine) is a warning: it can't be looked at.

use super::{Check, Finding};
use crate::queueing::queue_health;
use crate::services::Services;
use crate::switching::scheduler;
use crate::web::problem::Problem;
use granary_alert::Subscriptions;
use granary_switchboard::Schedule;

pub(super) async fn checks(services: &Services) -> Vec<Check> {
    let (bucket, queues, dead_letters, topic, schedules, consumers) = tokio::join!(
        Check::of("bucket", bucket(services)),
        Check::of("queues", queues(services)),
        Check::of("deadLetters", dead_letters(services)),
        Check::of("topic", topic(services)),
        Check::of("schedules", schedules(services)),
        Check::of("consumers", consumers(services)),
    );
    vec![bucket, queues, dead_letters, topic, schedules, consumers]
}

async fn bucket(services: &Services) -> Result<Finding, Problem> {
    let archive = &services.config.archive;
    Ok(match services.archive.check().await {
        Ok(()) => Finding::ok(format!("{}, which is there and may be seen", archive.bucket)),
        Err(error) => Finding::failed(
            error.to_string(),
            "Check that GRANARY_BUCKET names a bucket of this account and region, and that the operator's role may \
             s3:ListBucket on it and s3:GetObject below its prefix.",
        ),
    })
}

async fn queues(services: &Services) -> Result<Finding, Problem> {
    Ok(match services.handoff.depth().await {
        Ok(depth) => Finding::ok(format!(
            "{} messages in batches, {} in batches-priority",
            depth.normal.held(),
            depth.priority.held()
        )),
        Err(error) => Finding::failed(error.to_string(), error.remedy()),
    })
}

async fn dead_letters(services: &Services) -> Result<Finding, Problem> {
    Ok(Finding::of_health(
        queue_health::dead_letters(services).await?,
        "none",
        "See why: granary failures. Then move them back: granary redrive",
    ))
}

async fn topic(services: &Services) -> Result<Finding, Problem> {
    let Some(topic) = &services.topic else {
        return Ok(Finding::warning(
            "the operator isn't told which topic people are alerted by",
            "Set GRANARY_ALERT_TOPIC_ARN of the operator, as the template does; the reaper has its own.",
        ));
    };
    Ok(match topic.check().await {
        Ok(subscriptions) => of_subscriptions(subscriptions),
        Err(error) if error.is_platforms() => Finding::failed(error.to_string(), error.remedy()),
        Err(error) => Finding::failed(
            error.to_string(),
            format!(
                "{} To look at it, the operator's role needs sns:GetTopicAttributes.",
                error.remedy()
            ),
        ),
    })
}

fn of_subscriptions(subscriptions: Subscriptions) -> Finding {
    let Subscriptions { confirmed, pending } = subscriptions;
    if pending > 0 {
        return Finding::warning(
            format!("{pending} subscriptions wait for their confirmation, and receive nothing"),
            "Follow the link in the mail \"AWS Notification - Subscription Confirmation\". Then try it: granary alerts test",
        );
    }
    if confirmed == 0 {
        return Finding::warning(
            "it has no subscription: alerts and alarms reach no one",
            "Set the template's AlertEmail, or subscribe a pager to the topic. AWS deletes a subscription that was not confirmed within \
             48 hours: subscribe the address again with aws sns subscribe. Then try it: granary alerts test",
        );
    }
    let subscriptions = if confirmed == 1 {
        "subscription receives"
    } else {
        "subscriptions receive"
    };
    Finding::ok(format!(
        "the reaper publishes alerts to it; {confirmed} {subscriptions} them"
    ))
}

async fn schedules(services: &Services) -> Result<Finding, Problem> {
    if services.schedules.is_none() {
        return Ok(Finding::warning(
            "the operator isn't told which schedules there are",
            "Set GRANARY_HARVESTER_SCHEDULE and GRANARY_REAPER_SCHEDULE, as the template does.",
        ));
    }
    Ok(of_schedules(&scheduler::look(services).await?))
}

fn of_schedules(schedules: &[Schedule]) -> Finding {
    let off: Vec<&str> = schedules
        .iter()
        .filter(|schedule| !schedule.enabled)
        .map(|schedule| schedule.schedule.as_str())
        .collect();
    if off.is_empty() {
        let each: Vec<String> = schedules
            .iter()
            .map(|schedule| {
                let expression = schedule.expression.as_deref().unwrap_or("some time");
                format!("the {} by {expression}", schedule.schedule.as_str())
            })
            .collect();
        return Finding::ok(each.join(", "));
    }
    Finding::warning(
        format!(
            "switched off: {}. What they start doesn't start by itself",
            off.join(", ")
        ),
        "If nobody wants that any more: granary scheduler start",
    )
}

async fn consumers(services: &Services) -> Result<Finding, Problem> {
    Ok(Finding::of_health(
        queue_health::triggers(services).await?,
        "both queues start exporters",
        "If nobody wants that any more: granary queue consumers start",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::looking::doctor::Standing;
    use granary_switchboard::Ticked;

    fn schedule(schedule: Ticked, enabled: bool) -> Schedule {
        Schedule {
            schedule,
            name: "granary-x".to_owned(),
            group: "granary".to_owned(),
            enabled,
            expression: Some("rate(1 minute)".to_owned()),
            modified_at: None,
        }
    }

    #[test]
    fn a_schedule_that_is_off_is_named_with_the_way_to_switch_it_on() {
        let both = [schedule(Ticked::Harvester, true), schedule(Ticked::Reaper, true)];
        let well = of_schedules(&both);
        assert_eq!(
            (well.standing, well.found.as_str()),
            (
                Standing::Ok,
                "the harvester by rate(1 minute), the reaper by rate(1 minute)"
            )
        );
        let ill = of_schedules(&[schedule(Ticked::Harvester, false)]);
        assert_eq!(ill.standing, Standing::Warning);
        assert!(ill.found.contains("harvester"), "{}", ill.found);
        assert!(
            ill.remedy
                .is_some_and(|remedy| remedy.contains("scheduler start"))
        );
    }
}
