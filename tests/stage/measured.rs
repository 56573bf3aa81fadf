//! Metrics, as a function wrote them: the lines of CloudWatch's embedded metric format in its captured output.
//!
//! A line that names metrics and lacks one of them fails the test.

use super::Function;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// By metric: when it was written, in milliseconds since 1970, and each value.
pub(crate) type Series = BTreeMap<String, Vec<(i64, f64)>>;

const POLL_INTERVAL: Duration = Duration::from_millis(20);
const POLLS_MAX: u32 = 500;

/// The lines of metrics among everything that a function wrote.
fn lines_of(output: &[String]) -> Vec<Value> {
    let parsed = output
        .iter()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    parsed.filter(|line| line["_aws"].is_object()).collect()
}

/// What lines of metrics hold, in the order in which they were written.
pub(crate) fn series_of(lines: &[Value]) -> Series {
    let mut series = Series::new();
    for line in lines {
        let at = line["_aws"]["Timestamp"].as_i64().unwrap();
        for name in units_of(line).into_keys() {
            let written = &line[&name];
            let values = written
                .as_array()
                .cloned()
                .unwrap_or_else(|| vec![written.clone()]);
            let points = values.iter().map(|value| (at, value.as_f64().unwrap()));
            series.entry(name).or_default().extend(points);
        }
    }
    series
}

/// The unit of each metric of a line.
pub(crate) fn units_of(line: &Value) -> BTreeMap<String, String> {
    let metrics = line["_aws"]["CloudWatchMetrics"][0]["Metrics"]
        .as_array()
        .unwrap();
    let text = |metric: &Value, field: &str| metric[field].as_str().unwrap().to_owned();
    metrics
        .iter()
        .map(|metric| (text(metric, "Name"), text(metric, "Unit")))
        .collect()
}

/// The lines of metrics of a function, once there are so many: its output is read a little behind it.
pub(crate) async fn measured(function: &Function, lines: usize) -> Vec<Value> {
    for _ in 0..POLLS_MAX {
        let found = lines_of(&function.log());
        if found.len() >= lines {
            return found;
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    panic!("there are not {lines} lines of metrics: {:#?}", function.log());
}
