//! What ticks, and what must not tick twice at once.

use super::Template;
use super::document::{attribute, reference};
use serde_json::{Value, json};

#[test]
fn the_harvester_and_the_reaper_tick_every_minute_and_their_next_tick_is_the_retry() {
    let template = Template::read();
    for function in ["Harvester", "Reaper"] {
        let properties = template.resource(function);
        let events = properties["Events"].as_object().expect("it has events");
        let ticks: Vec<&Value> = events
            .values()
            .filter(|event| event["Type"] == "ScheduleV2")
            .map(|event| &event["Properties"])
            .collect();
        assert_eq!(ticks.len(), 1, "{function}");
        let tick = ticks[0];
        assert_eq!(tick["ScheduleExpression"], "rate(1 minute)", "{function}");
        assert_eq!(tick["State"], reference("ScheduleState"), "{function}");
        let group = reference(&format!("{function}Clock"));
        assert_eq!(tick["GroupName"], group, "AWS counts attempts by group");
        assert_eq!(tick["RetryPolicy"]["MaximumRetryAttempts"], 0, "{function}");
        assert_eq!(
            properties["EventInvokeConfig"]["MaximumRetryAttempts"], 0,
            "{function}"
        );
    }
    assert_eq!(template.at("/Parameters/ScheduleState/Default"), "ENABLED");
}

#[test]
fn the_clock_may_start_what_it_ticks() {
    let template = Template::read();
    let statement = &template.resource("ClockRole")["Policies"][0]["PolicyDocument"]["Statement"][0];
    assert_eq!(statement["Action"], "lambda:InvokeFunction");
    assert_eq!(
        statement["Resource"],
        json!([attribute("Harvester", "Arn"), attribute("Reaper", "Arn")])
    );
}

#[test]
fn the_operator_is_told_of_the_clock_and_of_the_exporter_by_their_names() {
    let template = Template::read();
    let told = &template.resource("Operator")["Environment"]["Variables"];
    assert_eq!(told["GRANARY_EXPORTER_FUNCTION"], reference("Exporter"));
    for (function, variable) in [
        ("Harvester", "GRANARY_HARVESTER_SCHEDULE"),
        ("Reaper", "GRANARY_REAPER_SCHEDULE"),
    ] {
        let events = template.resource(function)["Events"]
            .as_object()
            .expect("it has events");
        let named = |event: &Value| {
            let name = event["Properties"]["Name"]["Fn::Sub"]
                .as_str()
                .expect("it has a name");
            json!({ "Fn::Sub": format!("${{{function}Clock}}/{name}") })
        };
        let names: Vec<Value> = events.values().map(named).collect();
        assert_eq!(names, [told[variable].clone()], "{function}");
    }
}

#[test]
fn one_reaper_works_at_a_time_and_where_none_is_reserved_it_is_told_so() {
    let template = Template::read();
    let reaper = template.resource("Reaper");
    let concurrency = reference("ReaperConcurrency");
    assert_eq!(
        reaper["ReservedConcurrentExecutions"],
        json!({ "Fn::If": ["HasReaperConcurrency", concurrency, reference("AWS::NoValue")] })
    );
    assert_eq!(
        reaper["Environment"]["Variables"]["GRANARY_REAPER_CONCURRENCY"],
        concurrency
    );
    let parameter = template.at("/Parameters/ReaperConcurrency");
    let bounds = ["MinValue", "Default", "MaxValue"].map(|bound| template.number(&parameter[bound]));
    assert_eq!(bounds, [0, 1, 1]);
}
