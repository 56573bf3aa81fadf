//! What `status` and `migrate status` say of the source: how late documents come, and which are in no window.

use crate::sheet::counted;
use crate::show::{duration, grouped, number, text};
use serde_json::Value;
use std::time::Duration;

/// How late messages come, and the lag that would have been enough for them.
pub(super) fn lateness(answer: &Value) -> String {
    let count = |name: &str| number(&answer[name]);
    if count("windowsRescanned") == 0 {
        let days = counted(count("days"), "day", "days");
        return format!("nothing was read again in {days}");
    }
    let messages = counted(count("messages"), "message", "messages");
    if count("late") == 0 {
        return format!("none of {messages} came late");
    }
    let spoken = |name: &str| duration(Duration::from_secs(count(name)));
    let found = format!(
        "{} of {messages} came late, the latest by {} to {}",
        grouped(count("late")),
        spoken("atLeastSeconds"),
        spoken("atMostSeconds")
    );
    if count("recommendedLagSeconds") > count("lagSeconds") {
        format!(
            "{found}; recommended GRANARY_HARVEST_LAG_SECONDS: {}",
            grouped(count("recommendedLagSeconds"))
        )
    } else {
        format!("{found}; the lag of {} is enough", spoken("lagSeconds"))
    }
}

/// Documents that are in no window.
pub(super) fn outside(answer: &Value) -> String {
    if !answer.is_object() {
        return "not counted yet".to_owned();
    }
    let count = |name: &str| grouped(number(&answer[name]));
    format!(
        "{} without an event time ({} malformed), {} in the future, {} before the first window; counted {}",
        count("withoutTime"),
        count("malformed"),
        count("inFuture"),
        count("beforeFirstWindow"),
        text(&answer["countedAt"])
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn h8_people_read_how_late_messages_came_and_which_lag_is_enough() {
        let mut answer = json!({
            "days": 7, "windowsRescanned": 9, "messages": 1_204_113, "late": 12, "atLeastSeconds": 180,
            "atMostSeconds": 1_075, "lagSeconds": 120, "recommendedLagSeconds": 1_080,
        });
        assert_eq!(
            lateness(&answer),
            "12 of 1,204,113 messages came late, the latest by 3 min 0 s to 17 min 55 s; \
             recommended GRANARY_HARVEST_LAG_SECONDS: 1,080"
        );
        answer["late"] = 0.into();
        assert_eq!(lateness(&answer), "none of 1,204,113 messages came late");
        answer["windowsRescanned"] = 0.into();
        assert_eq!(lateness(&answer), "nothing was read again in 7 days");
    }

    #[test]
    fn h9_documents_outside_of_every_window_are_shown_with_the_time_of_the_count() {
        let answer = json!({
            "withoutTime": 1_003, "malformed": 3, "inFuture": 2, "beforeFirstWindow": 0,
            "countedAt": "2026-11-22T06:00:00Z",
        });
        assert_eq!(
            outside(&answer),
            "1,003 without an event time (3 malformed), 2 in the future, 0 before the first window; counted \
             2026-11-22T06:00:00Z"
        );
        assert_eq!(outside(&Value::Null), "not counted yet");
    }
}
