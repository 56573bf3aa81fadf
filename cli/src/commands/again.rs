//! `granary migrate reset`, `bulk` and `create-missing`: messages that are to be archived again, or at last.

use super::{Session, confirm, operation, say_notes};
use crate::cli::{Again, Bulk, Missing};
use crate::ending::Ending;
use crate::progress::{Position, say};
use crate::sheet::{Cell, Field, Kind, Sheet, items};
use crate::show::number;
use crate::wish::Wish;
use anyhow::Context;
use serde_json::Value;
use std::io::Read;

/// As many as the API takes at once.
const IDS_MAX: usize = 1_000;
/// A thousand ids of half a kilobyte.
const IDS_BYTES_MAX: u64 = 1_000_000;

const RESET: &[Field] = &[
    Field("batches", "/batches", Kind::Count),
    Field("messages", "/messages", Kind::Count),
    Field("stored", "/bytesStored", Kind::Bytes),
    Field("asked to be exported again", "/asked", Kind::Count),
    Field("under way already", "/underWay", Kind::Count),
    Field("changed meanwhile", "/changed", Kind::Count),
    Field(
        "left alone, since messages would be lost",
        "/wouldLoseBatches",
        Kind::Count,
    ),
    Field("neither archived nor parked", "/skipped", Kind::Count),
];
const WOULD_LOSE: &[Field] = &[
    Field("BATCH", "/batch", Kind::Number),
    Field("MESSAGES LOST", "/messages", Kind::Count),
];
const BULK: &[Field] = &[
    Field("migration", "/migrationId", Kind::Text),
    Field("asked for", "/asked", Kind::Count),
    Field("recorded", "/recorded", Kind::Count),
    Field("left", "/left", Kind::Count),
];
const KNOWN: &[Field] = &[
    Field("ID", "/id", Kind::Text),
    Field("STANDING", "/standing", Kind::State),
];
const ADOPTED: &[Field] = &[
    Field("migration", "/migrationId", Kind::Text),
    Field("messages found", "/found", Kind::Count),
    Field("adopted", "/adopted", Kind::Count),
    Field("left", "/left", Kind::Count),
];

pub(super) async fn reset(session: &Session, options: &Again) -> anyhow::Result<Ending> {
    if !options.dry_run {
        confirm("Have these batches exported again, to new objects?", options.yes)?;
    }
    let ids = (!options.batch.is_empty()).then(|| options.batch.clone());
    let body = Wish::new()
        .with("batchIds", ids)
        .with_text("migrationId", options.migration.as_ref())
        .with_text("from", options.from.as_ref())
        .with_text("to", options.to.as_ref())
        .with("limit", options.limit)
        .with("dryRun", options.dry_run.then_some(true))
        .with("reason", Some(options.reason.clone()))
        .body();
    let label = "batches asked to be exported again";
    work(session, "/migrate/reset-pending", &body, label, of_reset).await
}

pub(super) async fn bulk(session: &Session, options: &Bulk) -> anyhow::Result<Ending> {
    let ids = ids_of(&options.ids)?;
    if options.re_export && !options.change.dry_run {
        confirm(
            "Export the batches again of those that are archived already?",
            options.yes,
        )?;
    }
    let body = Wish::new()
        .with("ids", Some(ids))
        .with("reexport", options.re_export.then_some(true))
        .with("batchSize", options.batch_size)
        .with("priority", options.priority)
        .change(&options.change)
        .body();
    work(session, "/migrate/bulk", &body, "messages looked up", of_bulk).await
}

pub(super) async fn create_missing(session: &Session, options: &Missing) -> anyhow::Result<Ending> {
    let body = Wish::new()
        .span(&options.span)
        .with("batchSize", options.batch_size)
        .with("limit", options.limit)
        .change(&options.change)
        .body();
    let label = "messages adopted";
    work(
        session,
        "/migrate/create-missing-migrations",
        &body,
        label,
        of_missing,
    )
    .await
}

/// A long job, waited for.
async fn work(
    session: &Session,
    path: &str,
    body: &Value,
    label: &'static str,
    sheet: fn(&Value) -> Sheet,
) -> anyhow::Result<Ending> {
    let first = session.api.post(path, body).await?;
    let position = |progress: &Value| Position {
        done: number(&progress["done"]),
        total: None,
        note: String::new(),
    };
    let answer = operation::wait(session, first, (label, position)).await?;
    let result = &answer["operation"]["result"];
    say_notes(result);
    if result["dryRun"] == true {
        say("dry run: nothing was changed");
    }
    if result["hasMore"] == true {
        say("there are more: ask again");
    }
    session.show(&answer, |answer| sheet(&answer["operation"]["result"]))
}

fn of_reset(result: &Value) -> Sheet {
    Sheet::new()
        .values(result, RESET)
        .table(items(&result["wouldLose"]), WOULD_LOSE)
}

fn of_bulk(result: &Value) -> Sheet {
    let list = |name: &'static str| {
        let ids: Vec<&str> = items(&result[name]).iter().filter_map(Value::as_str).collect();
        (!ids.is_empty()).then(|| Cell::text(ids.join(", ")))
    };
    let mut sheet = Sheet::new().values(result, BULK);
    for (member, name) in [("notFound", "not at the source"), ("notSettled", "too new")] {
        if let Some(ids) = list(member) {
            sheet = sheet.pairs(vec![(name, ids)]);
        }
    }
    if result["reExport"].is_object() {
        sheet = sheet.values(&result["reExport"], RESET);
    }
    sheet.table(items(&result["known"]), KNOWN)
}

fn of_missing(result: &Value) -> Sheet {
    let days = result["perDay"].as_object().into_iter().flatten();
    let rows = days.map(|(day, count)| vec![Cell::text(day.clone()), Cell::of(count, Kind::Count)]);
    Sheet::new().values(result, ADOPTED).rows(
        &[Field("DAY", "", Kind::Text), Field("MESSAGES", "", Kind::Count)],
        rows.collect(),
    )
}

/// As they were typed, or the lines of standard input.
fn ids_of(typed: &[String]) -> anyhow::Result<Vec<String>> {
    let ids: Vec<String> = if typed == ["-"] {
        let mut text = String::new();
        std::io::stdin()
            .take(IDS_BYTES_MAX)
            .read_to_string(&mut text)
            .context("the ids can't be read from standard input")?;
        text.lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .map(str::to_owned)
            .collect()
    } else {
        typed.to_vec()
    };
    anyhow::ensure!(!ids.is_empty(), "standard input has no ids; write one a line");
    anyhow::ensure!(
        ids.len() <= IDS_MAX,
        "{} ids are more than the {IDS_MAX} that can be asked for at once; split them",
        ids.len()
    );
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sheet::Format;
    use serde_json::json;

    #[test]
    fn what_would_be_lost_is_named() {
        let result = json!({"dryRun": false, "reason": "x", "batches": 12, "messages": 12_000, "bytesStored": 2_048, "asked": 10,
            "underWay": 1, "changed": 0, "wouldLose": [{"batch": 7, "messages": 3}], "wouldLoseBatches": 1, "skipped": 0});
        insta::assert_snapshot!(of_reset(&result).render(Format::People), @r"
         batches                                   12
         messages                                  12,000
         stored                                    2.0 KiB
         asked to be exported again                10
         under way already                         1
         changed meanwhile                         0
         left alone, since messages would be lost  1
         neither archived nor parked               0

        BATCH  MESSAGES LOST
            7              3
        ");
    }

    #[test]
    fn ids_are_told_by_what_became_of_them() {
        let result = json!({"asked": 5, "notFound": ["x"], "notSettled": [], "known": [{"id": "a", "standing": "on_record"}],
            "migrationId": "m", "recorded": 3, "left": 0, "reExport": null});
        insta::assert_snapshot!(of_bulk(&result).render(Format::People), @r"
         migration          m
         asked for          5
         recorded           3
         left               0
         not at the source  x

        ID  STANDING
        a   on record
        ");
    }

    #[test]
    fn adopted_messages_are_counted_by_day() {
        let result =
            json!({"migrationId": "m", "found": 10, "adopted": 10, "left": 0, "perDay": {"2026-11-22": 10}});
        insta::assert_snapshot!(of_missing(&result).render(Format::People), @r"
         migration       m
         messages found  10
         adopted         10
         left            0

        DAY         MESSAGES
        2026-11-22        10
        ");
    }

    #[test]
    fn there_are_a_thousand_ids_at_most() {
        let many: Vec<String> = (0..1_001).map(|number| number.to_string()).collect();
        assert!(ids_of(&many).is_err());
        assert_eq!(ids_of(&many[..2]).unwrap(), ["0", "1"]);
    }
}
