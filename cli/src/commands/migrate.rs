//! `granary migrate`: starting, listing, looking at and cancelling migrations.

use super::{Listing, Session, again, confirm, deferral, jobs, retrying, say_notes, source, watch};
use crate::cli::{Change, Migrate, Page, Start};
use crate::ending::Ending;
use crate::progress::say;
use crate::sheet::{Cell, Field, Format, Kind, Sheet, items};
use crate::show::{self, grouped, number, text};
use crate::wish::Wish;
use serde_json::Value;
use std::time::Duration;
use uuid::Uuid;

const MIGRATIONS: Listing = Listing {
    member: "migrations",
    fields: &[
        Field("ID", "/id", Kind::Text),
        Field("KIND", "/kind", Kind::Text),
        Field("STATE", "/state", Kind::State),
        Field("FROM", "/from", Kind::Time),
        Field("TO", "/to", Kind::Time),
        Field("PRIORITY", "/priority", Kind::Number),
        Field("VERDICT", "/verdict", Kind::State),
    ],
    nothing: "there is no such migration; ask for one: granary migrate start",
};
const CANCELLED: &[Field] = &[
    Field("batches cancelled", "/released/batches", Kind::Count),
    Field("messages released", "/released/messages", Kind::Count),
];
const ACTED: &[Field] = &[
    Field("status", "/status", Kind::State),
    Field("found", "/found", Kind::Count),
    Field("changed", "/changed", Kind::Count),
];
const FORECAST: &[Field] = &[
    Field("objects, about", "/objects", Kind::Count),
    Field("bytes, about", "/bytesRaw", Kind::Bytes),
    Field("stored, about", "/bytesStored", Kind::Bytes),
    Field("takes, about", "/durationSeconds", Kind::Seconds),
];
/// For pipes.
const COST: &[Field] = &[
    Field("currency", "/currency", Kind::Text),
    Field("costs, about", "/total", Kind::Number),
    Field("a month to keep it", "/storagePerMonth", Kind::Number),
];
const DAYS: &[Field] = &[
    Field("DAY", "/day", Kind::Text),
    Field("IN THE SOURCE", "/inSource", Kind::Count),
    Field("IN THE LEDGER", "/inLedger", Kind::Count),
    Field("NEW", "/new", Kind::Count),
];
/// For pipes.
const MIGRATION: &[Field] = &[
    Field("migration", "/migration/id", Kind::Text),
    Field("kind", "/migration/kind", Kind::Text),
    Field("state", "/migration/state", Kind::State),
    Field("from", "/migration/from", Kind::Time),
    Field("to", "/migration/to", Kind::Time),
    Field("ids read, percent", "/idsPercentage", Kind::Number),
    Field("messages", "/progress/known", Kind::Count),
    Field("archived", "/progress/success", Kind::Count),
    Field("done with, percent", "/percentage", Kind::Number),
    Field("waiting", "/progress/pending", Kind::Count),
    Field("in progress", "/progress/processing", Kind::Count),
    Field("failed", "/progress/failed", Kind::Count),
    Field("parked batches", "/parked", Kind::Count),
    Field("messages a second", "/pace/messagesPerSecond", Kind::Count),
    Field("left", "/pace/etaSeconds", Kind::Seconds),
    Field("gone at the source", "/progress/missing", Kind::Count),
    Field("can't be exported", "/progress/quarantined", Kind::Count),
    Field("late", "/lateness/late", Kind::Count),
    Field(
        "recommended lag",
        "/lateness/recommendedLagSeconds",
        Kind::Seconds,
    ),
    Field("verdict", "/migration/verdict", Kind::State),
    Field("asked for by", "/migration/requestedBy", Kind::Text),
];

pub(super) async fn run(session: &Session, command: Migrate) -> anyhow::Result<Ending> {
    match command {
        Migrate::Start(options) => start(session, options).await,
        Migrate::Status { id } => status(session, &id).await,
        Migrate::List { status, kind, page } => list(session, status, kind, &page).await,
        Migrate::Cancel { id, change, yes } => {
            if !change.dry_run {
                confirm(&format!("Cancel migration {id}?"), yes)?;
            }
            cancel(session, id, &change).await
        }
        Migrate::Jobs(options) => jobs::list(session, &options).await,
        Migrate::Batch { id } => jobs::show(session, id).await,
        Migrate::Retry(options) => retrying::retry(session, &options).await,
        Migrate::ProcessAll(change) => retrying::process_all(session, &change).await,
        Migrate::CompleteProcessing(change) => retrying::complete_processing(session, &change).await,
        Migrate::FixStuck(change) => retrying::fix_stuck(session, &change).await,
        Migrate::CreateMissing(options) => again::create_missing(session, &options).await,
        Migrate::Reset(options) => again::reset(session, &options).await,
        Migrate::Bulk(options) => again::bulk(session, &options).await,
    }
}

async fn start(session: &Session, options: Start) -> anyhow::Result<Ending> {
    let answer = session.api.post("/migrate", &body_of(&options)).await?;
    say_notes(&answer);
    let id = answer["migrationId"]
        .as_str()
        .and_then(|id| id.parse::<Uuid>().ok());
    let Some(id) = id else {
        return tell_nothing_started(session, &answer);
    };
    if session.format == Format::Json && !options.wait {
        show::print_json(&answer)?;
        return Ok(Ending::Done);
    }
    say(&format!("migration {id}: {}", range(&answer["range"])));
    if options.wait {
        return watch::run(session, Some(id)).await;
    }
    say(&format!(
        "{} Follow it: granary watch {id}",
        text(&answer["message"])
    ));
    show::print(&id.to_string())?;
    Ok(Ending::Done)
}

/// A dry run, batches on record, or a source without such messages.
fn tell_nothing_started(session: &Session, answer: &Value) -> anyhow::Result<Ending> {
    if session.format != Format::Json {
        say(&text(&answer["message"]));
    }
    session.show(answer, |answer| {
        if answer["status"].is_string() {
            jobs::named(Sheet::new().values(answer, ACTED), answer)
        } else if answer["range"].is_object() {
            forecast(answer, session.format)
        } else {
            Sheet::new()
        }
    })
}

fn body_of(options: &Start) -> Value {
    let filters = match (&options.filter, &options.status) {
        (Some(filter), _) => Some(Value::Object(filter.clone())),
        (None, Some(status)) => Some(serde_json::json!({ "status": status })),
        (None, None) => None,
    };
    Wish::new()
        .with_text("from", options.from.as_ref())
        .with_text("to", options.to.as_ref())
        .with("batchSize", options.batch_size)
        .with("priority", options.priority)
        .with("filters", filters)
        .with("reExport", options.re_export.then_some(true))
        .change(&options.change)
        .body()
}

/// What a migration would find, how long it would take, and what it would cost.
pub(super) fn forecast(answer: &Value, format: Format) -> Sheet {
    let (in_source, in_ledger) = (number(&answer["inSource"]), &answer["inLedger"]);
    let batch_size = number(&answer["batchSize"]).max(1);
    let count = |value: &Value| Cell::of(value, Kind::Count);
    let sheet = Sheet::new()
        .pairs(vec![
            ("range", Cell::text(range(&answer["range"]))),
            ("in the source", count(&answer["inSource"])),
            ("in the ledger", count(&in_ledger["known"])),
            ("archived", count(&in_ledger["success"])),
            ("new, at least", count(&answer["newAtLeast"])),
            (
                "batches, at most",
                count(&Value::from(in_source.div_ceil(batch_size))),
            ),
        ])
        .values(&answer["estimate"], FORECAST);
    let (cost, days) = (&answer["estimate"]["cost"], items(&answer["perDay"]));
    let notes = items(&answer["estimate"]["notes"])
        .iter()
        .filter_map(Value::as_str);
    match format {
        Format::Plain => notes
            .fold(sheet.values(cost, COST), |sheet, note| {
                sheet.pairs(vec![("note", Cell::text(note))])
            })
            .table(days, DAYS),
        Format::People | Format::Json => notes
            .fold(sheet.pairs(costs(cost)).table(days, DAYS), |sheet, note| {
                sheet.line(format!("  {note}"))
            }),
    }
}

/// In words, where it is known.
fn costs(cost: &Value) -> Vec<(&'static str, Cell)> {
    let Some(total) = cost["total"].as_f64() else {
        return Vec::new();
    };
    let currency = text(&cost["currency"]);
    let storage = cost["storagePerMonth"].as_f64().unwrap_or(0.0);
    let told = format!("{total:.4} {currency}, and {storage:.4} a month to keep it");
    vec![("costs, about", Cell::text(told))]
}

/// A batch is told by its number.
async fn status(session: &Session, id: &str) -> anyhow::Result<Ending> {
    if let Ok(number) = id.parse() {
        return jobs::show(session, number).await;
    }
    let id: Uuid = id.parse().map_err(|_| {
        anyhow::anyhow!(
            "{id:?} is neither a migration's id nor a batch's number; granary migrate list has ids"
        )
    })?;
    session
        .look_at(&format!("/migrate/status/{id}"), |answer| {
            described(answer, session.format)
        })
        .await
}

/// One migration.
pub(super) fn described(answer: &Value, format: Format) -> Sheet {
    match format {
        Format::Plain => Sheet::new()
            .values(answer, MIGRATION)
            .table(items(&answer["deferrals"]), deferral::DEFERRALS),
        Format::People | Format::Json => Sheet::new().line(told(answer)),
    }
}

/// One migration in words and numbers.
fn told(answer: &Value) -> String {
    let (migration, progress) = (&answer["migration"], &answer["progress"]);
    let count = |name: &str| grouped(number(&progress[name]));
    let pairs = show::pairs(&[
        ("migration", text(&migration["id"])),
        ("kind", text(&migration["kind"])),
        ("state", text(&migration["state"])),
        ("range", range(migration)),
        ("ids read", format!("{} %", text(&answer["idsPercentage"]))),
        ("messages", count("known")),
        (
            "archived",
            format!("{} ({} %)", count("success"), text(&answer["percentage"])),
        ),
        ("waiting", count("pending")),
        ("in progress", count("processing")),
        ("failed", count("failed")),
        ("parked batches", grouped(number(&answer["parked"]))),
        ("pace", pace(&answer["pace"])),
        ("gone at the source", count("missing")),
        ("can't be exported", count("quarantined")),
        ("late", source::lateness(&answer["lateness"])),
        ("verdict", text(&migration["verdict"])),
        ("asked for by", text(&migration["requestedBy"])),
    ]);
    let waiting = deferral::lines(answer)
        .into_iter()
        .map(|line| format!("  {line}"));
    std::iter::once(pairs)
        .chain(waiting)
        .collect::<Vec<_>>()
        .join("\n")
}

async fn list(
    session: &Session,
    status: Option<String>,
    kind: Option<String>,
    page: &Page,
) -> anyhow::Result<Ending> {
    let path = Wish::new()
        .with("status", status)
        .with("kind", kind)
        .page(page)
        .of_path("/migrate");
    session.list(&path, MIGRATIONS).await
}

async fn cancel(session: &Session, id: Uuid, change: &Change) -> anyhow::Result<Ending> {
    let body = Wish::new().change(change).body();
    let answer = session.api.post(&format!("/migrate/cancel/{id}"), &body).await?;
    session.say_what_became(&answer);
    session.show(&answer, |answer| Sheet::new().values(answer, CANCELLED))
}

/// How fast it went in the last minutes, and when it is over if that lasts.
fn pace(pace: &Value) -> String {
    let Some(per_second) = pace["messagesPerSecond"].as_f64().filter(|rate| *rate > 0.0) else {
        return "nothing was archived in the last minutes".to_owned();
    };
    let rate = format!("{per_second:.1} messages a second");
    match pace["etaSeconds"].as_f64() {
        Some(seconds) => {
            let left = Duration::from_secs_f64(seconds.clamp(0.0, 1e9));
            format!("{rate}, {} left", show::duration(left))
        }
        None => rate,
    }
}

fn range(value: &Value) -> String {
    match value["to"].as_str() {
        Some(to) => format!("{} to {to}", text(&value["from"])),
        None => format!("from {} on, without an end", text(&value["from"])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_migration_is_told_with_its_pace_and_what_waits() {
        let answer = json!({"migration": {"id": "m", "kind": "backfill", "state": "open", "from": "2026-03-01T10:00:00Z",
            "to": null, "verdict": null, "requestedBy": "operator"}, "idsPercentage": 50.0, "percentage": 25.0,
            "progress": {"known": 1_000, "success": 250, "pending": 750}, "pace": {"messagesPerSecond": 10.0, "etaSeconds": 75.0},
            "lateness": {}, "deferrals": []});
        insta::assert_snapshot!(described(&answer, Format::People).render(Format::People), @r"
        migration           m
        kind                backfill
        state               open
        range               from 2026-03-01T10:00:00Z on, without an end
        ids read            50.0 %
        messages            1,000
        archived            250 (25.0 %)
        waiting             750
        in progress         0
        failed              0
        parked batches      0
        pace                10.0 messages a second, 1 min 15 s left
        gone at the source  0
        can't be exported   0
        late                nothing was read again in 0 days
        verdict             -
        asked for by        operator
        ");
        assert_eq!(pace(&Value::Null), "nothing was archived in the last minutes");
    }

    #[test]
    fn a_dry_run_is_told_with_days_and_costs() {
        let answer = json!({"range": {"from": "2026-03-01T10:00:00Z", "to": "2026-03-01T14:00:00Z"}, "inSource": 40,
            "inLedger": {"known": 20, "success": 20}, "newAtLeast": 20, "batchSize": 10,
            "perDay": [{"day": "2026-03-01", "inSource": 40, "inLedger": 20, "new": 20}],
            "estimate": {"objects": 2, "bytesRaw": 38_000, "bytesStored": 8_400, "durationSeconds": 12.5,
                "cost": {"currency": "USD", "total": 0.01, "storagePerMonth": 0.0001}, "notes": ["By the last 500 batches."]}});
        insta::assert_snapshot!(forecast(&answer, Format::People).render(Format::People), @r"
         range             2026-03-01T10:00:00Z to 2026-03-01T14:00:00Z
         in the source     40
         in the ledger     20
         archived          20
         new, at least     20
         batches, at most  4
         objects, about    2
         bytes, about      37.1 KiB
         stored, about     8.2 KiB
         takes, about      13 s
         costs, about      0.0100 USD, and 0.0001 a month to keep it

        DAY         IN THE SOURCE  IN THE LEDGER  NEW
        2026-03-01             40             20   20

         By the last 500 batches.
        ");
    }
}
