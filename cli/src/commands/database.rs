//! `granary db`: the ledger's database.

use super::Session;
use crate::cli::Database;
use crate::ending::Ending;
use crate::sheet::{Field, Kind, Sheet, items};
use crate::show::number;
use serde_json::{Value, json};

const HEALTH: &[Field] = &[
    Field("status", "/status", Kind::State),
    Field("answered in ms", "/milliseconds", Kind::Count),
    Field("schema version", "/schemaVersion", Kind::Number),
    Field("its clock", "/clock", Kind::Time),
    Field(
        "ahead of the operator's by ms",
        "/clockAheadMilliseconds",
        Kind::Text,
    ),
];
const INFO: &[Field] = &[
    Field("server", "/serverVersion", Kind::Text),
    Field("schema version", "/schemaVersion", Kind::Number),
    Field("its clock", "/clock", Kind::Time),
    Field("bytes, about", "/bytes", Kind::Bytes),
];
const TABLES: &[Field] = &[
    Field("TABLE", "/table", Kind::Text),
    Field("ROWS, ABOUT", "/rowsAbout", Kind::Count),
    Field("DATA", "/bytesData", Kind::Bytes),
    Field("INDEXES", "/bytesIndexes", Kind::Bytes),
];
const STATUS: &[Field] = &[
    Field("schema version", "/schemaVersion", Kind::Number),
    Field("its clock", "/clock", Kind::Time),
    Field("parked batches", "/parked", Kind::Count),
    Field("stored", "/bytesStored", Kind::Bytes),
    Field("purged messages", "/purgedMessages", Kind::Count),
];
/// Of whichever counts there are.
const COUNTS: &[Field] = &[
    Field("messages", "/count", Kind::Count),
    Field("batches", "/batches", Kind::Count),
    Field("pending", "/messages/pending", Kind::Count),
    Field("processing", "/messages/processing", Kind::Count),
    Field("archived", "/messages/success", Kind::Count),
    Field("failed", "/messages/failed", Kind::Count),
    Field("gone at the source", "/messages/missing", Kind::Count),
    Field("can't be exported", "/messages/quarantined", Kind::Count),
    Field("gone at the source", "/missing", Kind::Count),
    Field("can't be exported", "/quarantined", Kind::Count),
];
const BY_STATUS: &[Field] = &[
    Field("STATUS", "/status", Kind::State),
    Field("BATCHES", "/batches", Kind::Count),
    Field("MESSAGES", "/messages", Kind::Count),
];
const STATUSES: [&str; 5] = ["pending", "processing", "success", "failed", "cancelled"];

pub(super) async fn run(session: &Session, command: &Database) -> anyhow::Result<Ending> {
    let (path, sheet): (_, fn(&Value) -> Sheet) = match command {
        Database::Ping => ("/db/ping", |answer| Sheet::new().values(answer, &HEALTH[..2])),
        Database::Health => ("/db/health", |answer| Sheet::new().values(answer, HEALTH)),
        Database::Info => ("/db/info", |answer| {
            Sheet::new()
                .values(answer, INFO)
                .table(items(&answer["tables"]), TABLES)
        }),
        Database::Status => ("/db/status", |answer| {
            by_status(Sheet::new().values(answer, STATUS), answer)
        }),
        Database::Count => ("/db/count", counts),
        Database::PendingCount => ("/db/pending-count", counts),
        Database::SuccessCount => ("/db/success-count", counts),
    };
    session.look_at(path, sheet).await
}

fn counts(answer: &Value) -> Sheet {
    let told: Vec<Field> = COUNTS
        .iter()
        .filter(|Field(_, place, _)| answer.pointer(place).is_some())
        .copied()
        .collect();
    Sheet::new().values(answer, &told)
}

/// Batches and messages, a row for each status.
pub(super) fn by_status(sheet: Sheet, answer: &Value) -> Sheet {
    let rows = STATUSES.map(|status| {
        json!({ "status": status, "batches": number(&answer["batches"][status]),
            "messages": number(&answer["messages"][status]) })
    });
    sheet.table(&rows, BY_STATUS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sheet::Format;

    #[test]
    fn counts_are_told_as_far_as_the_route_has_them() {
        let pending = counts(&json!({"count": 1_000, "batches": 1}));
        insta::assert_snapshot!(pending.render(Format::People), @r"
        messages  1,000
        batches   1
        ");
        let all = counts(
            &json!({"count": 20_000_000, "messages": {"known": 20_000_000, "pending": 0, "processing": 0,
            "success": 19_999_999, "failed": 0, "missing": 1, "quarantined": 0}}),
        );
        insta::assert_snapshot!(all.render(Format::Plain).replace('\t', "|"), @r"
        messages|20000000
        pending|0
        processing|0
        archived|19999999
        failed|0
        gone at the source|1
        can't be exported|0
        ");
    }

    #[test]
    fn every_status_has_its_row() {
        let answer = json!({"batches": {"pending": 3}, "messages": {"pending": 3_000}});
        insta::assert_snapshot!(by_status(Sheet::new(), &answer).render(Format::People), @r"
        STATUS      BATCHES  MESSAGES
        pending           3     3,000
        processing        0         0
        success           0         0
        failed            0         0
        cancelled         0         0
        ");
    }
}
