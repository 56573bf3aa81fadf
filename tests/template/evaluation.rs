//! Runs an alarm's definition over series, as CloudWatch documents it: statistic, metric math, M of N, and missing data.
//!
//! Not here: what a function measures. CloudWatch retrieves a few more periods than it evaluates; how many is not documented. Here
//! it is two, as in the documentation's examples. A series without any value is a gap in every period.

use super::Template;
use super::metric_math::compute;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

pub(super) const ALARM: &str = "AWS::CloudWatch::Alarm";

/// Periods that CloudWatch retrieves in addition to those that it evaluates.
const RETRIEVED_BESIDES: usize = 2;

/// Values by metric (`Granary/TickSucceeded/Reaper`: namespace, metric, resource of the template) and period.
#[derive(Debug, Clone, Default)]
pub(crate) struct Series(BTreeMap<(String, usize), Vec<f64>>);

impl Series {
    /// The same value in each of these periods.
    pub(super) fn with(mut self, metric: &str, periods: impl IntoIterator<Item = usize>, value: f64) -> Self {
        for period in periods {
            self.put(metric, period, value);
        }
        self
    }

    /// One value more.
    pub(crate) fn put(&mut self, metric: &str, period: usize, value: f64) {
        self.0.entry((metric.to_owned(), period)).or_default().push(value);
    }

    fn statistic(&self, stat: &Value, period: usize) -> Option<f64> {
        let metric = path(&stat["Metric"]);
        let values = self.0.get(&(metric, period))?;
        match stat["Stat"].as_str().expect("it has a statistic") {
            "Sum" => Some(values.iter().sum()),
            "Maximum" => values.iter().copied().reduce(f64::max),
            other => panic!("the statistic {other} is not known here"),
        }
    }
}

/// Whether the alarm is in the state ALARM after each of the first `periods` periods.
pub(super) fn run(alarm: &Value, threshold: f64, series: &Series, periods: usize) -> Vec<bool> {
    let values: Vec<Option<f64>> = (0..periods).map(|period| value(alarm, series, period)).collect();
    (0..periods)
        .map(|last| fires(alarm, threshold, &values[..=last]))
        .collect()
}

/// The same for an alarm of the template, by its name.
pub(crate) fn states_of(alarm: &str, series: &Series, periods: usize) -> Vec<bool> {
    let template = Template::read();
    let alarm = template.resource(alarm);
    run(alarm, threshold(&template, alarm), series, periods)
}

/// The names of the template's alarms.
pub(crate) fn alarms() -> BTreeSet<String> {
    let template = Template::read();
    let alarms = template.resources_of(ALARM).into_iter();
    alarms.map(|(name, _)| name.to_owned()).collect()
}

/// A number, or the default of the parameter that holds it.
pub(super) fn threshold(template: &Template, alarm: &Value) -> f64 {
    let threshold = &alarm["Threshold"];
    match threshold["Ref"].as_str() {
        Some(parameter) => template.at(&format!("/Parameters/{parameter}/Default")).as_f64(),
        None => threshold.as_f64(),
    }
    .unwrap_or_else(|| panic!("{threshold} is not a number"))
}

/// The metrics that an alarm looks at.
pub(super) fn metrics(alarm: &Value) -> Vec<String> {
    let stats = alarm["Metrics"].as_array().expect("it computes").iter();
    let stats = stats.filter(|metric| metric["MetricStat"].is_object());
    stats
        .map(|metric| path(&metric["MetricStat"]["Metric"]))
        .collect()
}

fn path(metric: &Value) -> String {
    let dimensions = metric["Dimensions"].as_array().expect("it has dimensions");
    assert_eq!(dimensions.len(), 1, "{metric}");
    let of = &dimensions[0]["Value"];
    let resource = of["Ref"].as_str().or_else(|| of["Fn::GetAtt"].as_str());
    let resource = resource
        .expect("it belongs to a resource")
        .split('.')
        .next()
        .unwrap();
    let text = |name: &str| metric[name].as_str().expect("it has a name").to_owned();
    format!("{}/{}/{resource}", text("Namespace"), text("MetricName"))
}

fn value(alarm: &Value, series: &Series, period: usize) -> Option<f64> {
    let metrics = alarm["Metrics"].as_array().expect("it computes");
    let returned: Vec<&Value> = metrics
        .iter()
        .filter(|metric| metric["ReturnData"] != false)
        .collect();
    assert_eq!(returned.len(), 1, "an alarm watches one series: {alarm}");
    let expression = returned[0]["Expression"].as_str().expect("it is an expression");
    compute(expression, &|name| {
        let metric = metrics.iter().find(|metric| metric["Id"] == name);
        let metric = metric.unwrap_or_else(|| panic!("{expression}: there is no metric {name}"));
        series.statistic(&metric["MetricStat"], period)
    })
}

fn fires(alarm: &Value, threshold: f64, values: &[Option<f64>]) -> bool {
    let count = |name: &str| usize::try_from(alarm[name].as_u64().expect("it is a number")).unwrap();
    let (of, needed) = (count("EvaluationPeriods"), count("DatapointsToAlarm"));
    let retrieved = &values[values.len().saturating_sub(of + RETRIEVED_BESIDES)..];
    let newest: Vec<f64> = retrieved.iter().rev().copied().flatten().take(of).collect();
    let comparison = alarm["ComparisonOperator"].as_str().expect("it compares");
    let breaching = newest
        .iter()
        .filter(|value| is_breaching(comparison, **value, threshold));
    let missing = match alarm["TreatMissingData"].as_str() {
        Some("breaching") => of - newest.len(),
        Some("notBreaching") => 0,
        other => panic!("missing data as {other:?} is not known here"),
    };
    breaching.count() + missing >= needed
}

fn is_breaching(comparison: &str, value: f64, threshold: f64) -> bool {
    match comparison {
        "GreaterThanThreshold" => value > threshold,
        "GreaterThanOrEqualToThreshold" => value >= threshold,
        "LessThanThreshold" => value < threshold,
        other => panic!("the comparison {other} is not known here"),
    }
}
