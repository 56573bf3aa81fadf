//! `granary schema`: the schema of the ledger's database, shown and brought up to date.

use super::Session;
use crate::cli::{Change, Schema};
use crate::ending::Ending;
use crate::progress::say;
use crate::sheet::{Field, Kind, Sheet, items};
use crate::wish::Wish;
use serde_json::Value;
use std::time::Duration;

const ASK_EVERY: Duration = Duration::from_secs(2);
const STATUS: &[Field] = &[
    Field("status", "/status", Kind::State),
    Field("the ledger has", "/version", Kind::Number),
    Field("this version needs", "/needed", Kind::Number),
    Field("oldest version allowed", "/oldestAllowed", Kind::Number),
    Field("being changed", "/beingChanged", Kind::Text),
    Field("means", "/message", Kind::Text),
];
const MIGRATED: &[Field] = &[
    Field("from", "/from", Kind::Number),
    Field("to", "/to", Kind::Number),
];
const PENDING: &[Field] = &[
    Field("VERSION", "/version", Kind::Number),
    Field("NAME", "/name", Kind::Text),
];

pub(super) async fn run(session: &Session, command: Schema) -> anyhow::Result<Ending> {
    match command {
        Schema::Status => {
            session
                .look_at("/schema", |answer| described(answer, STATUS))
                .await
        }
        Schema::Migrate(change) => migrate(session, &change).await,
    }
}

/// The API holds the line for some seconds. What takes longer is asked for again, until it is done or has failed.
async fn migrate(session: &Session, change: &Change) -> anyhow::Result<Ending> {
    let body = Wish::new().change(change).body();
    loop {
        let answer = session.api.post("/schema/migrate", &body).await?;
        session.say_what_became(&answer);
        if !answer["to"].is_null() {
            return session.show(&answer, |answer| described(answer, MIGRATED));
        }
        until_nothing_is_changed(session).await?;
    }
}

async fn until_nothing_is_changed(session: &Session) -> anyhow::Result<()> {
    loop {
        tokio::time::sleep(ASK_EVERY).await;
        let schema = session.api.get("/schema").await?;
        if schema["beingChanged"] != true {
            return Ok(());
        }
        say(&format!(
            "the ledger has schema {}, and is being changed",
            schema["version"]
        ));
    }
}

fn described(answer: &Value, fields: &[Field]) -> Sheet {
    Sheet::new()
        .values(answer, fields)
        .table(items(&answer["pending"]), PENDING)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sheet::Format;
    use serde_json::json;

    #[test]
    fn what_is_lacking_is_a_table() {
        let answer = json!({"status": "older", "version": 45, "needed": 48, "oldestAllowed": null, "beingChanged": false,
            "pending": [{"version": 48, "name": "oldest_program"}], "message": "the ledger has schema 45."});
        insta::assert_snapshot!(described(&answer, STATUS).render(Format::Plain).replace('\t', "|"), @r"
        status|older
        the ledger has|45
        this version needs|48
        oldest version allowed|
        being changed|false
        means|the ledger has schema 45.

        VERSION|NAME
        48|oldest_program
        ");
    }
}
