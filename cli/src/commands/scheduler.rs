//! `granary scheduler`: what starts the harvester and the reaper, shown and switched.

use super::Session;
use crate::cli::{Scheduled, Schedules};
use crate::ending::Ending;
use crate::sheet::{Field, Kind, Sheet, items};
use crate::wish::Wish;
use serde_json::Value;

const STATUS: &[Field] = &[Field("status", "/status", Kind::State)];
const SCHEDULES: &[Field] = &[
    Field("SCHEDULE", "/schedule", Kind::Text),
    Field("ENABLED", "/enabled", Kind::State),
    Field("WAS", "/wasEnabled", Kind::Text),
    Field("EXPRESSION", "/expression", Kind::Text),
    Field("CHANGED", "/modifiedAt", Kind::Time),
    Field("NAME", "/name", Kind::Text),
];

pub(super) async fn run(session: &Session, command: Schedules) -> anyhow::Result<Ending> {
    match command {
        Schedules::Status => session.look_at("/migrate/scheduler/status", described).await,
        Schedules::Start(options) => switch(session, "/migrate/scheduler/start", &options).await,
        Schedules::Stop(options) => switch(session, "/migrate/scheduler/stop", &options).await,
    }
}

async fn switch(session: &Session, path: &str, options: &Scheduled) -> anyhow::Result<Ending> {
    let body = Wish::new()
        .with_text("schedule", options.schedule.as_ref())
        .change(&options.change)
        .body();
    session.change(path, &body, described).await
}

fn described(answer: &Value) -> Sheet {
    Sheet::new()
        .values(answer, STATUS)
        .table(items(&answer["schedules"]), SCHEDULES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sheet::Format;
    use serde_json::json;

    #[test]
    fn schedules_are_rows() {
        let answer = json!({"status": "partly", "schedules": [
            {"schedule": "harvester", "name": "granary-harvester-run", "group": "granary-harvester", "enabled": true,
             "expression": "rate(1 minute)", "modifiedAt": "2026-11-22T10:00:00Z"},
            {"schedule": "reaper", "name": "granary-reaper-run", "group": "granary-reaper", "enabled": false, "wasEnabled": true,
             "expression": "rate(1 minute)", "modifiedAt": null}]});
        insta::assert_snapshot!(described(&answer).render(Format::People), @r"
         status  partly

        SCHEDULE   ENABLED  WAS   EXPRESSION      CHANGED               NAME
        harvester  true     -     rate(1 minute)  2026-11-22 10:00:00Z  granary-harvester-run
        reaper     false    true  rate(1 minute)  -                     granary-reaper-run
        ");
    }
}
