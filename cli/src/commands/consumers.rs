//! `granary queue consumers`: what starts exporters, shown and switched.

use super::{Session, operation, queue};
use crate::cli::{Change, Consumers, Switched};
use crate::ending::Ending;
use crate::progress::{Position, say};
use crate::sheet::{Field, Kind, Sheet, items};
use crate::show::{number, text};
use crate::wish::Wish;
use serde_json::Value;

const STATUS: &[Field] = &[
    Field("status", "/status", Kind::State),
    Field("attempts in flight", "/attemptsInFlight", Kind::Count),
    Field("restart", "/restart/phase", Kind::State),
];
const CONSUMERS: &[Field] = &[
    Field("QUEUE", "/queue", Kind::Text),
    Field("STATE", "/state", Kind::State),
    Field("WAS ON", "/wasEnabled", Kind::Text),
    Field("EXPORTERS, AT MOST", "/maximumConcurrency", Kind::Count),
    Field("CHANGED", "/modifiedAt", Kind::Time),
    Field("ID", "/id", Kind::Text),
];

pub(super) async fn run(session: &Session, command: Consumers) -> anyhow::Result<Ending> {
    match command {
        Consumers::Status => session.look_at("/queue/consumers/status", described).await,
        Consumers::Health => queue::health(session, "/queue/consumers/health").await,
        Consumers::Start(options) => switch(session, "/queue/consumers/start", &options).await,
        Consumers::Stop(options) => switch(session, "/queue/consumers/stop", &options).await,
        Consumers::Restart(change) => restart(session, &change).await,
    }
}

async fn switch(session: &Session, path: &str, options: &Switched) -> anyhow::Result<Ending> {
    let body = Wish::new()
        .with_text("queue", options.queue.as_ref())
        .change(&options.change)
        .body();
    session.change(path, &body, described).await
}

/// Whoever waits for it drives it.
async fn restart(session: &Session, change: &Change) -> anyhow::Result<Ending> {
    let body = Wish::new().change(change).body();
    let first = session.api.post("/queue/consumers/restart", &body).await?;
    session.say_what_became(&first);
    if change.dry_run {
        return session.show(&first, described);
    }
    let position = |progress: &Value| Position {
        done: match progress["phase"].as_str() {
            Some("idle") => 1,
            Some("on") => 2,
            Some(_) | None => 0,
        },
        total: Some(3),
        note: format!(
            "phase {}, {} at work",
            text(&progress["phase"]),
            number(&progress["inFlight"])
        ),
    };
    let answer = operation::wait(session, first, ("restarting", position)).await?;
    say("the consumers are on again");
    session.show(&answer, |answer| described(&answer["operation"]["result"]))
}

fn described(answer: &Value) -> Sheet {
    Sheet::new()
        .values(answer, STATUS)
        .table(items(&answer["consumers"]), CONSUMERS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sheet::Format;
    use serde_json::json;

    #[test]
    fn consumers_are_rows() {
        let answer = json!({"status": "partly", "attemptsInFlight": 2, "restart": null, "consumers": [
            {"id": "u-1", "queue": "batches", "state": "Enabled", "enabled": true, "maximumConcurrency": 4,
             "modifiedAt": "2026-11-22T10:00:00Z", "wasEnabled": false},
            {"id": "u-2", "queue": "batches-priority", "state": "Disabled", "enabled": false, "maximumConcurrency": null,
             "modifiedAt": null}]});
        insta::assert_snapshot!(described(&answer).render(Format::People), @r"
         status              partly
         attempts in flight  2

        QUEUE             STATE     WAS ON  EXPORTERS, AT MOST  CHANGED               ID
        batches           Enabled   false                    4  2026-11-22 10:00:00Z  u-1
        batches-priority  Disabled  -                        -  -                     u-2
        ");
    }
}
