//! The alarms: whom they tell, and that silence, hanging ticks and queues that nothing touches can't hide what they look for.

use super::Template;
use super::document::reference;
use serde_json::{Value, json};

const ALARM: &str = "AWS::CloudWatch::Alarm";

#[test]
fn every_alarm_tells_people_of_its_beginning_and_its_end_and_decides_about_missing_data() {
    let template = Template::read();
    let alarms = template.resources_of(ALARM);
    assert!(alarms.len() >= 7, "{}", alarms.len());
    for (name, alarm) in alarms {
        for actions in ["AlarmActions", "OKActions"] {
            assert_eq!(alarm[actions], json!([reference("Alerts")]), "{name}");
        }
        assert!(alarm["TreatMissingData"].is_string(), "{name}");
        assert!(alarm["AlarmDescription"].is_string(), "{name}");
    }
}

#[test]
fn an_alarm_about_silence_rests_where_the_schedules_are_off_on_purpose() {
    let template = Template::read();
    let mut silent = Vec::new();
    for (name, alarm) in template.resources_of(ALARM) {
        if alarm["TreatMissingData"] == "breaching" {
            let condition = template.at(&format!("/Resources/{name}/Condition"));
            assert_eq!(condition, "Ticking", "{name}");
            silent.push(name);
        }
    }
    assert_eq!(silent, ["HarvesterSilent", "ReaperSilent"]);
    let conditions = template.at("/Conditions/Ticking/Fn::And");
    let is_enabled = json!({ "Fn::Equals": [reference("ScheduleState"), "ENABLED"] });
    assert_eq!(conditions[1], is_enabled);
}

/// A tick that hangs for five minutes fails once in that time: errors are a share of the invocations, never a number.
#[test]
fn every_function_has_an_alarm_about_the_share_of_its_invocations_that_fail() {
    let template = Template::read();
    for (function, _) in template.functions() {
        let name = format!("{function}Fails");
        let alarm = template.resource(&name);
        let expression = metric(alarm, "ratio")["Expression"].as_str().unwrap();
        assert!(
            expression.contains("FILL(errors, 0) / invocations"),
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
