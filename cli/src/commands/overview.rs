//! `granary overview`: what the dashboard's first page shows.

use super::{Session, alerts, deferral, pausing};
use crate::ending::Ending;
use crate::sheet::{Cell, Field, Kind, Sheet, counted, items};
use crate::show::number;
use serde_json::Value;

const FIRST: &[Field] = &[
    Field("source", "/source", Kind::Text),
    Field("backlog", "/backlog/messages", Kind::Count),
    Field("in batches", "/backlog/batches", Kind::Count),
    Field("archived", "/messages/success", Kind::Count),
    Field("stored", "/bytesStored", Kind::Bytes),
    Field("failed", "/messages/failed", Kind::Count),
    Field("parked batches", "/parked", Kind::Count),
    Field(
        "messages a minute",
        "/rate/last15Minutes/messagesPerMinute",
        Kind::Count,
    ),
    Field("nothing is left in", "/eta/seconds", Kind::Seconds),
    Field("oldest unarchived", "/oldestUnexported/eventTime", Kind::Time),
    Field("its age", "/oldestUnexported/ageSeconds", Kind::Seconds),
    Field("harvested up to", "/harvestedTo", Kind::Time),
    Field("open alerts", "/openAlerts", Kind::Count),
];
const SCHEDULES: &[Field] = &[
    Field("SCHEDULE", "/schedule", Kind::Text),
    Field("ENABLED", "/enabled", Kind::State),
    Field("EXPRESSION", "/expression", Kind::Text),
];
const OPERATIONS: &[Field] = &[
    Field("UNDER WAY", "/kind", Kind::Text),
    Field("STATE", "/state", Kind::State),
    Field("SINCE", "/createdAt", Kind::Time),
    Field("BY", "/requestedBy", Kind::Text),
    Field("OPERATION", "/operationId", Kind::Text),
];
const VERDICTS: &[Field] = &[
    Field("VERIFIED", "/finishedAt", Kind::Time),
    Field("VERDICT", "/verdict", Kind::State),
    Field("STATE", "/state", Kind::State),
];

pub(super) async fn run(session: &Session) -> anyhow::Result<Ending> {
    session.look_at("/overview", described).await
}

fn described(answer: &Value) -> Sheet {
    let line = answer["proof"]["line"].as_str().unwrap_or_default();
    let mut sheet = Sheet::new().line(format!(" {line}")).values(answer, FIRST);
    for pause in items(&answer["pauses"]) {
        sheet = sheet.pairs(vec![("paused", Cell::text(pausing::told(pause)))]);
    }
    if let Some(text) = answer["restored"]["text"].as_str() {
        sheet = sheet.line(format!("  {text}: granary sweep confirm-restored --reason"));
    }
    for line in deferral::lines(answer) {
        sheet = sheet.line(format!("  {line}"));
    }
    let open: Vec<&Value> = items(&answer["alerts"])
        .iter()
        .filter(|alert| alert["open"] == true)
        .collect();
    let open_alerts = number(&answer["openAlerts"]);
    sheet = sheet
        .table(items(&answer["schedules"]), SCHEDULES)
        .table(open.iter().copied(), alerts::ALERTS.fields)
        .table(items(&answer["operations"]), OPERATIONS)
        .table(items(&answer["verdicts"]), VERDICTS);
    if open_alerts > open.len() as u64 {
        sheet = sheet.line(format!(
            " {}: granary alerts --open",
            counted(open_alerts, "alert is open", "alerts are open")
        ));
    }
    sheet
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sheet::Format;
    use serde_json::json;

    #[test]
    fn the_first_look_says_what_waits_and_what_keeps_it() {
        let answer = json!({
            "source": "messages", "messages": {"success": 19_000_000, "failed": 0}, "parked": 2, "bytesStored": 123_456_789,
            "backlog": {"batches": 12, "messages": 12_000}, "rate": {"last15Minutes": {"messagesPerMinute": 1000.0}},
            "eta": {"seconds": 720}, "oldestUnexported": {"eventTime": "2026-11-22T10:00:00Z", "ageSeconds": 3_700},
            "harvestedTo": "2026-11-22T11:00:00Z", "openAlerts": 1,
            "pauses": [{"stage": "export", "since": "2026-11-22T10:30:00Z", "by": "operator", "reason": "a rebuild"}],
            "deferrals": [{"cause": "deadline", "batches": 1, "windows": 0, "since": "2026-11-22T10:30:00Z", "reason": "too slow"}],
            "schedules": [{"schedule": "harvester", "enabled": true, "expression": "rate(1 minute)"}],
            "alerts": [{"id": 9, "kind": "parked", "headline": "batches are parked", "subject": "7", "open": true,
                        "occurrences": 2, "createdAt": "2026-11-22T10:31:00Z"}],
            "operations": [], "verdicts": [{"finishedAt": null, "verdict": null, "state": "running"}],
        });
        insta::assert_snapshot!(described(&answer).render(Format::People), @r"
         source              messages
         backlog             12,000
         in batches          12
         archived            19,000,000
         stored              117.7 MiB
         failed              0
         parked batches      2
         messages a minute   1,000
         nothing is left in  12 min 0 s
         oldest unarchived   2026-11-22 10:00:00Z
         its age             1 h 1 min
         harvested up to     2026-11-22 11:00:00Z
         open alerts         1
         paused              export since 2026-11-22T10:30:00Z by operator: a rebuild; granary resume export

         waiting: deadline, 1 batch, since 2026-11-22 10:30 UTC: too slow

        SCHEDULE   ENABLED  EXPRESSION
        harvester  true     rate(1 minute)

        ALERT  KIND    OPEN  TIMES  SINCE                 OVER  WHAT                WHAT TO DO
            9  parked  true      2  2026-11-22 10:31:00Z  -     batches are parked  -

        VERIFIED  VERDICT  STATE
        -         -        running
        ");
    }
}
