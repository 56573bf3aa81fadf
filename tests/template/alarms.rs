//! The alarms: whom they tell, and that silence, hanging ticks and queues that nothing touches can't hide what they look for.

use super::Template;
use super::document::{checkout, reference};
use super::evaluation::{ALARM, Series, metrics, run, threshold};
use serde_json::{Value, json};

#[test]
fn every_alarm_has_the_same_form_and_is_sent_when_it_begins_and_ends() {
    let template = Template::read();
    let alarms = template.resources_of(ALARM);
    assert_eq!(alarms.len(), SCENES.len(), "each alarm has a scene");
    for (name, alarm) in alarms {
        for actions in ["AlarmActions", "OKActions"] {
            assert_eq!(alarm[actions], json!([reference("Alerts")]), "{name}");
        }
        assert_eq!(alarm["TreatMissingData"], "notBreaching", "{name}");
        let text = alarm["AlarmDescription"]["Fn::Sub"][0].as_str();
        let section = format!(" Runbook: ${{Runbook}}#alarm-{}", name.to_lowercase());
        assert!(
            text.is_some_and(|text| text.ends_with(&section)),
            "{name}: {text:?}"
        );
        assert!(
            alarm["DatapointsToAlarm"].as_u64() <= alarm["EvaluationPeriods"].as_u64(),
            "{name}"
        );
        for metric in alarm["Metrics"].as_array().expect("it computes") {
            let stat = &metric["MetricStat"];
            assert!(stat.is_null() || stat["Period"] == 300, "{name}: {metric}");
        }
    }
}

/// What one alarm sees in each of ten periods of a day when all is well, and of a day of trouble.
struct Scene {
    alarm: &'static str,
    well: &'static [(&'static str, f64)],
    trouble: &'static [(&'static str, f64)],
}

const fn scene(
    alarm: &'static str,
    well: &'static [(&'static str, f64)],
    trouble: &'static [(&'static str, f64)],
) -> Scene {
    Scene { alarm, well, trouble }
}

const HARVESTER_ATTEMPTS: &str = "AWS/Scheduler/InvocationAttemptCount/HarvesterClock";
const REAPER_ATTEMPTS: &str = "AWS/Scheduler/InvocationAttemptCount/ReaperClock";
const HARVESTS: &str = "AWS/Lambda/Invocations/Harvester";
const EXPORTED: &str = "Granary/BatchesExported/Exporter";
const FAILED: &str = "Granary/BatchesFailed/Exporter";

const SCENES: [Scene; 19] = [
    scene(
        "ReaperSilent",
        &[(REAPER_ATTEMPTS, 5.0), ("Granary/TickSucceeded/Reaper", 5.0)],
        &[(REAPER_ATTEMPTS, 5.0), ("Granary/TickSucceeded/Reaper", 0.0)],
    ),
    scene(
        "HarvesterSilent",
        &[
            (HARVESTER_ATTEMPTS, 5.0),
            ("Granary/TickSucceeded/Harvester", 1.0),
        ],
        &[(HARVESTER_ATTEMPTS, 5.0)],
    ),
    scene(
        "HarvesterFails",
        &[(HARVESTS, 5.0), ("AWS/Lambda/Errors/Harvester", 2.0)],
        &[(HARVESTS, 5.0), ("AWS/Lambda/Errors/Harvester", 3.0)],
    ),
    scene(
        "ExporterFails",
        &[("AWS/Lambda/Invocations/Exporter", 50.0)],
        &[
            ("AWS/Lambda/Invocations/Exporter", 50.0),
            ("AWS/Lambda/Errors/Exporter", 25.0),
        ],
    ),
    scene(
        "ReaperFails",
        &[("AWS/Lambda/Invocations/Reaper", 5.0)],
        &[
            ("AWS/Lambda/Invocations/Reaper", 1.0),
            ("AWS/Lambda/Errors/Reaper", 1.0),
        ],
    ),
    scene(
        "OperatorFails",
        &[],
        &[
            ("AWS/Lambda/Invocations/Operator", 4.0),
            ("AWS/Lambda/Errors/Operator", 4.0),
        ],
    ),
    scene(
        "DeadLetters",
        &[(
            "AWS/SQS/ApproximateNumberOfMessagesVisible/BatchesDeadLetters",
            0.0,
        )],
        &[(
            "AWS/SQS/ApproximateNumberOfMessagesVisible/BatchesPriorityDeadLetters",
            1.0,
        )],
    ),
    scene(
        "ArchiveLag",
        &[(HARVESTS, 5.0), ("Granary/ArchiveLag/Reaper", 7300.0)],
        &[(HARVESTS, 5.0), ("Granary/ArchiveLag/Reaper", 14401.0)],
    ),
    scene(
        "ProvenLag",
        &[(HARVESTS, 5.0), ("Granary/ProvenLag/Reaper", 14500.0)],
        &[(HARVESTS, 5.0), ("Granary/ProvenLag/Reaper", 28801.0)],
    ),
    scene(
        "OldestPending",
        &[("Granary/OldestPending/Reaper", 30.0)],
        &[("Granary/OldestPending/Reaper", 14401.0)],
    ),
    scene(
        "FailureRate",
        &[(EXPORTED, 90.0), (FAILED, 10.0)],
        &[(EXPORTED, 80.0), (FAILED, 20.0)],
    ),
    scene(
        "BatchesParked",
        &[("Granary/BatchesParked/Reaper", 0.0)],
        &[("Granary/BatchesParked/Reaper", 1.0)],
    ),
    scene(
        "InvariantViolated",
        &[("Granary/InvariantsViolated/Reaper", 0.0)],
        &[("Granary/InvariantsViolated/Reaper", 1.0)],
    ),
    scene("BadVerdict", &[], &[("Granary/BadVerdicts/Reaper", 1.0)]),
    scene(
        "LedgerConnections",
        &[("Granary/LedgerConnectionsUsed/Reaper", 79.0)],
        &[("Granary/LedgerConnectionsUsed/Reaper", 80.0)],
    ),
    scene(
        "LoginsFailed",
        &[("Granary/LoginsFailed/Operator", 19.0)],
        &[("Granary/LoginsFailed/Operator", 20.0)],
    ),
    scene(
        "HarvesterThrottled",
        &[(HARVESTS, 5.0)],
        &[(HARVESTS, 4.0), ("AWS/Lambda/Throttles/Harvester", 1.0)],
    ),
    scene(
        "ExporterThrottled",
        &[
            ("AWS/Lambda/Invocations/Exporter", 95.0),
            ("AWS/Lambda/Throttles/Exporter", 5.0),
        ],
        &[("AWS/Lambda/Throttles/Exporter", 5.0)],
    ),
    scene(
        "OperatorThrottled",
        &[("AWS/Lambda/Invocations/Operator", 5.0)],
        &[
            ("AWS/Lambda/Invocations/Operator", 9.0),
            ("AWS/Lambda/Throttles/Operator", 1.0),
        ],
    ),
];

/// Periods of each part of a scene.
const PART: usize = 10;

#[test]
fn every_alarm_rests_while_all_is_well_fires_in_trouble_and_rests_again() {
    let template = Template::read();
    for Scene {
        alarm: name,
        well,
        trouble,
    } in SCENES
    {
        let alarm = template.resource(name);
        let known = metrics(alarm);
        let mut series = Series::default();
        for (part, values) in [well, trouble, well].into_iter().enumerate() {
            for (metric, value) in values {
                assert!(
                    known.iter().any(|known| known == metric),
                    "{name} does not look at {metric}"
                );
                series = series.with(metric, part * PART..(part + 1) * PART, *value);
            }
        }
        let states = run(alarm, threshold(&template, alarm), &series, 3 * PART);
        assert!(states[..PART].iter().all(|fires| !fires), "{name}: {states:?}");
        assert!(states[2 * PART - 1], "{name}: {states:?}");
        assert!(!states[3 * PART - 1], "{name}: {states:?}");
    }
}

#[test]
fn no_alarm_fires_without_any_data_as_where_both_schedules_are_off() {
    let template = Template::read();
    for (name, alarm) in template.resources_of(ALARM) {
        let states = run(alarm, threshold(&template, alarm), &Series::default(), PART);
        assert!(!states.contains(&true), "{name}: {states:?}");
    }
}

#[test]
fn an_alarm_about_silence_counts_the_attempts_of_its_own_schedule_alone() {
    let template = Template::read();
    for (name, attempts, of_the_other) in [
        ("HarvesterSilent", HARVESTER_ATTEMPTS, REAPER_ATTEMPTS),
        ("ReaperSilent", REAPER_ATTEMPTS, HARVESTER_ATTEMPTS),
    ] {
        let alarm = template.resource(name);
        assert!(metrics(alarm).iter().any(|metric| metric == attempts), "{name}");
        let series = Series::default().with(of_the_other, 0..PART, 5.0);
        let states = run(alarm, threshold(&template, alarm), &series, PART);
        assert!(!states.contains(&true), "{name}: {states:?}");
    }
}

#[test]
fn an_alarm_about_lag_rests_while_the_harvester_is_off() {
    let template = Template::read();
    for name in ["ArchiveLag", "ProvenLag"] {
        let alarm = template.resource(name);
        let lag = format!("Granary/{name}/Reaper");
        let series = Series::default().with(&lag, 0..PART, 1_000_000.0);
        let states = run(alarm, threshold(&template, alarm), &series, PART);
        assert!(!states.contains(&true), "{name}: {states:?}");
    }
}

#[test]
fn one_bad_period_is_no_failure_rate_and_a_rate_that_swings_does_not_flap() {
    let template = Template::read();
    let alarm = template.resource("FailureRate");
    let limit = threshold(&template, alarm);
    let storm = |bad: &[usize]| {
        let series = Series::default().with(EXPORTED, 0..3 * PART, 10.0);
        let series = series.with(FAILED, bad.iter().copied(), 10.0);
        run(alarm, limit, &series, 3 * PART)
    };
    assert!(!storm(&[5]).contains(&true));
    let swinging: Vec<usize> = (0..3 * PART).filter(|period| period % 2 == 0).collect();
    let states = storm(&swinging);
    assert!(states[PART..].iter().all(|fires| *fires), "{states:?}");
}

#[test]
fn the_alarms_about_silence_exist_only_where_the_schedules_are_deployed_as_on() {
    let template = Template::read();
    for name in ["HarvesterSilent", "ReaperSilent"] {
        let condition = template.at(&format!("/Resources/{name}/Condition"));
        assert_eq!(condition, "Ticking", "{name}");
    }
    let is_enabled = json!({ "Fn::Equals": [reference("ScheduleState"), "ENABLED"] });
    assert_eq!(template.at("/Conditions/Ticking/Fn::And")[1], is_enabled);
}

#[test]
fn the_documentation_has_the_costs_of_the_alarms() {
    let template = Template::read();
    let alarms = template.resources_of(ALARM);
    let watched: usize = alarms.iter().map(|(_, alarm)| metrics(alarm).len()).sum();
    let cents = watched * 10;
    let row = format!(
        "| {} alarms | {watched} metrics × 0.10 | {}.{:02} |",
        alarms.len(),
        cents / 100,
        cents % 100
    );
    let docs = std::fs::read_to_string(checkout().join("docs/deploy.md")).unwrap();
    assert!(docs.contains(&row), "docs/deploy.md lacks: {row}");
}

/// A tick that hangs for five minutes fails once in that time: errors are a share of the invocations, never a number.
#[test]
fn every_function_has_an_alarm_about_the_share_of_its_invocations_that_fail() {
    let template = Template::read();
    // CloudFormation says where the migrator fails: the deployment does.
    let watched = template.functions().into_iter();
    for (function, _) in watched.filter(|(function, _)| *function != "Migrator") {
        let name = format!("{function}Fails");
        let alarm = template.resource(&name);
        let expression = metric(alarm, "ratio")["Expression"].as_str().unwrap();
        assert!(
            expression.contains("FILL(errors, 0)") && expression.contains("/ invocations"),
            "{expression}"
        );
        for (id, of_lambda) in [("errors", "Errors"), ("invocations", "Invocations")] {
            let stat = &metric(alarm, id)["MetricStat"];
            assert_eq!(stat["Metric"]["MetricName"], of_lambda, "{name}");
            assert_eq!(
                stat["Metric"]["Dimensions"][0]["Value"],
                reference(function),
                "{name}"
            );
            assert_eq!(stat["Stat"], "Sum", "{name}");
        }
        let share = alarm["Threshold"].as_f64().unwrap();
        assert!(share > 0.0 && share <= 0.5, "{name}: {share}");
    }
}

/// The sum of a number and of no data is no data.
#[test]
fn a_dead_letter_in_one_queue_is_seen_while_the_other_has_no_data() {
    let template = Template::read();
    let alarm = template.resource("DeadLetters");
    let expression = metric(alarm, "both")["Expression"].as_str().unwrap();
    assert_eq!(expression, "FILL(batches, 0) + FILL(priority, 0)");
}

fn metric<'a>(alarm: &'a Value, id: &str) -> &'a Value {
    let metrics = alarm["Metrics"].as_array().expect("it computes");
    let of_id = metrics.iter().find(|metric| metric["Id"] == id);
    of_id.unwrap_or_else(|| panic!("no metric {id}"))
}
