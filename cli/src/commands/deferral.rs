//! What `status`, `migrate status` and `watch` say of work that waits because the platform breaks it off.

use crate::sheet::{Field, Kind};
use crate::show::{grouped, number, text};
use serde_json::Value;

/// For pipes: a row for each cause.
pub(super) const DEFERRALS: &[Field] = &[
    Field("WAITING FOR", "/cause", Kind::Text),
    Field("BATCHES", "/batches", Kind::Count),
    Field("MESSAGES", "/messages", Kind::Count),
    Field("WINDOWS", "/windows", Kind::Count),
    Field("SINCE", "/since", Kind::Time),
    Field("NEXT TRY", "/nextTry", Kind::Time),
    Field("REASON", "/reason", Kind::Text),
];

/// A line for each cause, without one where nothing waits.
pub(super) fn lines(answer: &Value) -> Vec<String> {
    deferrals(answer)
        .map(|deferral| {
            let (what, reason) = (short(deferral), text(&deferral["reason"]));
            format!("waiting: {what}: {reason}")
        })
        .collect()
}

/// The causes with their counts, in few words.
pub(super) fn note(answer: &Value) -> Option<String> {
    let causes: Vec<String> = deferrals(answer).map(short).collect();
    (!causes.is_empty()).then(|| format!("waiting: {}", causes.join("; ")))
}

/// The causes alone: what changes when there is something new to say.
pub(super) fn causes(answer: &Value) -> Vec<String> {
    deferrals(answer)
        .map(|deferral| text(&deferral["cause"]))
        .collect()
}

fn deferrals(answer: &Value) -> impl Iterator<Item = &Value> {
    answer["deferrals"].as_array().into_iter().flatten()
}

fn short(deferral: &Value) -> String {
    let mut parts = vec![text(&deferral["cause"])];
    for (field, one, many) in [("batches", "batch", "batches"), ("windows", "window", "windows")] {
        match number(&deferral[field]) {
            0 => {}
            1 => parts.push(format!("1 {one}")),
            count => parts.push(format!("{} {many}", grouped(count))),
        }
    }
    parts.push(format!("since {}", minute(&text(&deferral["since"]))));
    parts.join(", ")
}

/// `2026-03-01T14:02:11.5Z` as `2026-03-01 14:02 UTC`.
fn minute(instant: &str) -> String {
    match instant.parse::<jiff::Timestamp>() {
        Ok(instant) => instant.strftime("%Y-%m-%d %H:%M UTC").to_string(),
        Err(_) => instant.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_waits_is_told_with_its_cause_its_count_since_when_and_why() {
        let answer = json!({"deferrals": [
            {"cause": "source_unavailable", "batches": 1200, "messages": 1_200_000, "windows": 1,
             "since": "2026-03-01T14:02:11.5Z", "reason": "Elasticsearch is unavailable: could not connect"},
            {"cause": "deadline", "batches": 1, "messages": 1000, "windows": 0, "since": "2026-03-01T14:05:00Z",
             "reason": "the function's time is nearly over"},
        ]});
        assert_eq!(
            lines(&answer),
            [
                "waiting: source_unavailable, 1,200 batches, 1 window, since 2026-03-01 14:02 UTC: Elasticsearch is \
                 unavailable: could not connect",
                "waiting: deadline, 1 batch, since 2026-03-01 14:05 UTC: the function's time is nearly over",
            ]
        );
        assert_eq!(causes(&answer), ["source_unavailable", "deadline"]);
        assert!(
            note(&answer).is_some_and(|note| note.ends_with("deadline, 1 batch, since 2026-03-01 14:05 UTC"))
        );
    }

    #[test]
    fn nothing_is_said_where_nothing_waits_or_an_older_deployment_does_not_tell() {
        for answer in [json!({}), json!({"deferrals": []}), Value::Null] {
            assert!(lines(&answer).is_empty() && causes(&answer).is_empty() && note(&answer).is_none());
        }
    }
}
